/* aneforge bench: the time of a model, for every kernel set and thread count asked for.
 *
 * A sample is the mean of as many calls as take about 50 us, so that reading the clock (some 30 ns)
 * does not show; samples are taken until the time is up, after a warm-up of a tenth of it.  The
 * profiled calls are extra: profiling costs two clock reads per instruction.  For a roofline they
 * are taken in parts, with probes of the machine before, between and behind them. */
#include "open_model.h"
#include "port_inputs.h"
#include "profile_table.h"
#include "roofline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_SECONDS = 1, OPT_LIST_THREADS, OPT_LIST_ISA, OPT_PROFILE, OPT_ROOFLINE, OPT_JSON,
       OPT_LEVEL };
/* Parts of the profiled time: a machine that is shared is undisturbed for moments only. */
enum { PROFILE_PARTS = 16 };

struct bench_opts {
    double seconds; /* 0: one */
    const char *threads, *isa;
    bool profile, roofline, json;
    anf_opt level;
};

static const struct option_desc options[] = {
    {"seconds", 's', "S", OPT_SECONDS, "time to measure each configuration (1)"},
    {"threads", 0, "LIST", OPT_LIST_THREADS, "thread counts, as in 1,2,4; 0: one per core"},
    {"isa", 0, "LIST", OPT_LIST_ISA, "kernel sets, as in ref,avx2; all: every available one"},
    {"profile", 'p', NULL, OPT_PROFILE, "also the time of every instruction"},
    {"roofline", 'r', NULL, OPT_ROOFLINE,
     "also how far each instruction is from the machine's peak"},
    {"json", 'j', NULL, OPT_JSON, "print JSON, times in nanoseconds"},
    {"opt", 0, "LEVEL", OPT_LEVEL, "of a graph text: default or none"},
    {0},
};

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    struct bench_opts *o = opts;
    char *end;
    switch (id) {
    case OPT_SECONDS:
        o->seconds = strtod(value, &end);
        if (end == value || *end || !(o->seconds > 0 && o->seconds <= 86400))
            return cli_fail(c, ANF_E_ARG, "--seconds '%.40s' must be a number in (0, 86400]",
                            value);
        return ANF_OK;
    case OPT_LIST_THREADS:
        o->threads = value;
        return ANF_OK;
    case OPT_LIST_ISA:
        o->isa = value;
        return ANF_OK;
    case OPT_LEVEL:
        return cli_opt_level(c, value, &o->level);
    case OPT_ROOFLINE:
        o->roofline = true;
        return ANF_OK;
    case OPT_JSON:
        o->json = true;
        return ANF_OK;
    default:
        o->profile = true;
        return ANF_OK;
    }
}

struct measurement {
    struct cli *cli;
    const struct bench_opts *opts;
    const char *path;
    struct samples times;
    uint64_t calls;
    int n_printed; /* configurations */
};

/* ---- one configuration ----------------------------------------------------------------------- */

static anf_status time_calls(struct measurement *b, anf_run_state *rs, double seconds,
                             uint64_t batch)
{
    struct progress progress;
    double begin = seconds_now(), now = begin;
    anf_status st = ANF_OK;
    progress_start(&progress, b->cli, "measuring");
    b->times.n = 0;
    b->calls = 0;
    while (st == ANF_OK && (now - begin < seconds || b->times.n == 0)) {
        double start = now;
        for (uint64_t i = 0; st == ANF_OK && i < batch; i++)
            st = cli_check(b->cli, anf_execute(rs));
        now = seconds_now();
        b->calls += batch;
        if (st == ANF_OK)
            st = samples_add(b->cli, &b->times, (now - start) / (double)batch);
        progress_step(&progress, (uint64_t)((now - begin) * 1e6), (uint64_t)(seconds * 1e6));
    }
    progress_end(&progress);
    samples_sort(&b->times);
    return st;
}

static double flops_rate(const struct measurement *b, const anf_model *m)
{
    const double median = samples_quantile(&b->times, 0.5);
    anf_model_stats stats;
    anf_model_get_stats(m, &stats);
    return median > 0 ? (double)stats.flops / median * 1e-9 : 0.0;
}

static void print_row(struct measurement *b, const anf_ctx *ctx, const anf_model *m)
{
    if (!b->n_printed++)
        printf("%-8s %7s %10s %10s %10s %10s %10s\n", "isa", "threads", "median", "p10", "min",
               "GFLOP/s", "calls");
    printf("%-8s %7d %10s %10s %10s %10.2f %10llu\n", anf_ctx_isa(ctx), anf_ctx_threads(ctx),
           time_text(samples_quantile(&b->times, 0.5)).s,
           time_text(samples_quantile(&b->times, 0.1)).s,
           time_text(samples_quantile(&b->times, 0)).s, flops_rate(b, m),
           (unsigned long long)b->calls);
    fflush(stdout);
}

static void print_json_row(struct measurement *b, const anf_ctx *ctx, const anf_model *m)
{
    printf("%s{\"model\":", b->n_printed++ ? ",\n " : "[");
    print_json_text(b->path);
    printf(",\"isa\":\"%s\",\"threads\":%d,\"median_ns\":%.1f,\"p10_ns\":%.1f,\"min_ns\":%.1f,"
           "\"gflops\":%.6g,\"calls\":%llu",
           anf_ctx_isa(ctx), anf_ctx_threads(ctx), samples_quantile(&b->times, 0.5) * 1e9,
           samples_quantile(&b->times, 0.1) * 1e9, samples_quantile(&b->times, 0) * 1e9,
           flops_rate(b, m), (unsigned long long)b->calls);
}

/* The bytes that a call goes through: weights, and the memory of a run. */
static size_t touched_bytes(const anf_model *m, const anf_run_state *rs)
{
    anf_model_stats stats;
    anf_model_get_stats(m, &stats);
    return stats.weight_bytes + anf_run_state_bytes(rs);
}

static anf_status profile(struct measurement *b, anf_run_state *rs, double seconds,
                          struct roof *roof)
{
    TRY(cli_check(b->cli, anf_profile(rs, true)));
    for (int i = 0; i < PROFILE_PARTS; i++) {
        if (roof)
            TRY(roof_probe(b->cli, roof));
        TRY(time_calls(b, rs, seconds / PROFILE_PARTS, 1));
    }
    return roof ? roof_probe(b->cli, roof) : ANF_OK;
}

static anf_status measure_roof(struct measurement *b, const anf_ctx *ctx, const anf_model *m,
                               anf_run_state *rs, double seconds)
{
    struct roof roof;
    TRY(roof_new(b->cli, ctx, touched_bytes(m, rs), &roof));
    anf_status st = profile(b, rs, seconds, &roof);
    if (st == ANF_OK && b->opts->json)
        st = roofline_json(b->cli, rs, &roof);
    else if (st == ANF_OK)
        st = roofline_print(b->cli, rs, &roof);
    roof_free(&roof);
    return st;
}

static anf_status measure(struct measurement *b, const anf_ctx *ctx, const anf_model *m,
                          anf_run_state *rs)
{
    const struct bench_opts *o = b->opts;
    double seconds = o->seconds > 0 ? o->seconds : 1;
    for (int i = 0; i < anf_model_n_inputs(m); i++)
        fill_random(anf_model_input(m, i), 0, i, anf_input_view(rs, i));
    TRY(time_calls(b, rs, seconds / 10, 1));
    double once = samples_quantile(&b->times, 0.5);
    TRY(time_calls(b, rs, seconds, once < 50e-6 ? (uint64_t)(50e-6 / (once + 1e-9)) + 1 : 1));
    (o->json ? print_json_row : print_row)(b, ctx, m);
    if (o->roofline)
        return measure_roof(b, ctx, m, rs, seconds);
    if (!o->profile)
        return ANF_OK;
    TRY(profile(b, rs, seconds / 4, NULL));
    return o->json ? roofline_json(b->cli, rs, NULL) : profile_print(b->cli, rs);
}

static anf_status bench_one(struct measurement *b, const char *isa, const char *threads)
{
    struct model_opts m = {.opt = b->opts->level,
                           .text_only = b->opts->level != ANF_OPT_DEFAULT,
                           .needs = "--opt needs a graph text"};
    struct open_model file = {0};
    anf_run_state *rs = NULL;
    anf_ctx *ctx;
    TRY(cli_context_new(b->cli, isa, threads, &ctx));
    anf_status st = model_open(b->cli, ctx, b->path, &m, &file);
    if (st == ANF_OK)
        st = cli_check(b->cli, anf_run_state_new(file.model, &rs));
    if (st == ANF_OK) {
        st = measure(b, ctx, file.model, rs);
        if (b->opts->json && b->n_printed)
            printf("}");
    }
    anf_run_state_free(rs);
    anf_model_free(file.model);
    anf_ctx_free(ctx);
    return st;
}

/* ---- lists ----------------------------------------------------------------------------------- */

enum { MAX_LIST = 16, MAX_NAME = 16 };

struct list {
    int n;
    bool given; /* false: one entry, which stands for the default */
    char name[MAX_LIST][MAX_NAME];
};

static anf_status split(struct cli *c, const char *what, const char *text, struct list *out)
{
    *out = (struct list){.n = 1};
    if (!text)
        return ANF_OK;
    *out = (struct list){.given = true};
    for (const char *s = text;; s++) {
        size_t n = strcspn(s, ",");
        if (n == 0 || n >= MAX_NAME || out->n == MAX_LIST)
            return cli_fail(c, ANF_E_ARG,
                            "%s '%.60s' must be a list of at most %d items, as in a,b", what, text,
                            MAX_LIST);
        memcpy(out->name[out->n++], s, n);
        s += n;
        if (!*s)
            return ANF_OK;
    }
}

static void all_available(struct list *out)
{
    *out = (struct list){.given = true};
    for (int i = 0; i < anf_isa_count() && out->n < MAX_LIST; i++)
        if (anf_isa_available(i))
            snprintf(out->name[out->n++], MAX_NAME, "%s", anf_isa_name(i));
}

/* A configuration that cannot work is refused before the first one is measured. */
static anf_status check_lists(struct cli *c, const struct list *isas, const struct list *threads)
{
    uint64_t n;
    for (int i = 0; i < threads->n && threads->given; i++)
        TRY(cli_count(c, "--threads", threads->name[i], 0, 1024, &n));
    for (int i = 0; i < isas->n; i++) {
        anf_ctx *ctx;
        TRY(cli_context_new(c, isas->given ? isas->name[i] : NULL, "1", &ctx));
        anf_ctx_free(ctx);
    }
    return ANF_OK;
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    const struct bench_opts *o = opts;
    struct measurement b = {.cli = c, .opts = o};
    struct list isas, threads;
    anf_status st = ANF_OK;
    TRY(cli_need_args(c, n_args, 1, 1));
    b.path = args[0];
    const char *isa = o->isa ? o->isa : cli_isa(c);
    TRY(split(c, "--isa", isa, &isas));
    TRY(split(c, "--threads", o->threads ? o->threads : cli_threads(c), &threads));
    if (isa && strcmp(isa, "all") == 0)
        all_available(&isas);
    TRY(check_lists(c, &isas, &threads));
    if (isas.n * threads.n > 1 && input_comes_once(b.path))
        return cli_fail(c, ANF_E_ARG, "%s can be read once, but %d configurations need it",
                        strcmp(b.path, "-") == 0 ? "standard input" : b.path, isas.n * threads.n);
    for (int i = 0; st == ANF_OK && i < isas.n; i++)
        for (int k = 0; st == ANF_OK && k < threads.n; k++)
            st = bench_one(&b, isas.given ? isas.name[i] : NULL,
                           threads.given ? threads.name[k] : NULL);
    if (o->json && b.n_printed)
        puts("]");
    samples_free(&b.times);
    return st;
}

const struct verb verb_bench = {
    .name = "bench",
    .operands = "MODEL",
    .summary = "Measure how long a model or a graph text takes.",
    .text = "MODEL is a saved model or a graph text. The inputs are random. A row per kernel set\n"
            "and thread count: median, 10th percentile and minimum of the time of a call, and the\n"
            "rate that the median gives.\n\n"
            "A roofline compares every instruction with the multiply-adds and the reads that the\n"
            "machine can do in that time, and lists where most time is lost.\n\n"
            "Examples:\n"
            "  aneforge bench net.anf\n"
            "  aneforge bench net.anf --threads 1,2 --isa all --seconds 3\n"
            "  aneforge bench net.graph --profile\n"
            "  aneforge bench net.anf --isa avx2 --roofline\n",
    .options = options,
    .opts_size = sizeof(struct bench_opts),
    .option = take,
    .run = run,
};
