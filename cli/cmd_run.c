/* aneforge run: feed a model, run it, show or write what comes out.
 *
 * Everything that can be refused is refused before the run, and files are written last, so a
 * failure leaves old results in place. */
#include "open_model.h"
#include "port_inputs.h"
#include "profile_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_OUTPUT = 1,
    OPT_TOP,
    OPT_REPEAT,
    OPT_PROFILE,
    OPT_TRACE,
    OPT_TEXT,
    OPT_RESIZE,
    OPT_LEVEL,
    FIRST_SHOWN = 8 /* values of an output in its summary */
};

struct run_opts {
    const char *output, *trace;
    uint64_t top, repeat;
    bool profile, text, resize;
    anf_opt level;
};

static const struct option_desc options[] = {
    {"output", 'o', "FILE", OPT_OUTPUT, "write the outputs: .npy (one output) or .npz"},
    {"top", 't', "K", OPT_TOP, "show the K largest values of every item with their index"},
    {"text", 0, NULL, OPT_TEXT, "show all values"},
    {"resize", 0, NULL, OPT_RESIZE, "scale images to the size of their input"},
    {"repeat", 'n', "N", OPT_REPEAT, "run N times and show the time"},
    {"profile", 'p', NULL, OPT_PROFILE, "show the time of every instruction"},
    {"trace", 0, "FILE", OPT_TRACE, "write the last run as a Chrome trace (.json)"},
    {"opt", 0, "LEVEL", OPT_LEVEL, "of a graph text: default or none"},
    {0},
};

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    struct run_opts *o = opts;
    switch (id) {
    case OPT_OUTPUT:
        o->output = value;
        return ANF_OK;
    case OPT_TOP:
        return cli_count(c, "--top", value, 1, 1000000, &o->top);
    case OPT_REPEAT:
        return cli_count(c, "--repeat", value, 1, 1000000000, &o->repeat);
    case OPT_TRACE:
        o->trace = value;
        return ANF_OK;
    case OPT_LEVEL:
        return cli_opt_level(c, value, &o->level);
    case OPT_PROFILE:
        o->profile = true;
        return ANF_OK;
    case OPT_TEXT:
        o->text = true;
        return ANF_OK;
    default:
        o->resize = true;
        return ANF_OK;
    }
}

/* One run with its memory. */
struct job {
    struct cli *cli;
    const struct run_opts *opts;
    struct open_model file;
    struct port_inputs inputs;
    anf_run_state *rs;
    int n_outputs;
    anf_array *outputs; /* float32 */
    struct samples times;
};

/* ---- showing --------------------------------------------------------------------------------- */

/* The fewest digits that read back as the same float16, which is what an output is. */
static struct short_text half_text(float x)
{
    struct short_text t = number_text((double)x);
    for (int digits = 1; digits <= 5 && isfinite(x) && x != floorf(x); digits++) {
        struct short_text s;
        snprintf(s.s, sizeof s.s, "%.*g", digits, (double)x);
        if (anf_f16_from_f32(strtof(s.s, NULL)) == anf_f16_from_f32(x))
            return s;
    }
    return t;
}

static void print_summary(const anf_port *port, const float *x)
{
    size_t n = port->n_elements, n_nan = 0;
    float least = INFINITY, most = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        n_nan += isnan(x[i]) != 0;
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
        sum += (double)x[i];
    }
    printf("%s", port_text(port).s);
    if (n > n_nan)
        printf("  min %s  max %s  mean %.6g", half_text(least).s, half_text(most).s,
               n_nan ? (double)NAN : sum / (double)n);
    if (n_nan)
        printf("  nan %zu", n_nan);
    fputs("\n ", stdout);
    for (size_t i = 0; i < n && i < FIRST_SHOWN; i++)
        printf(" %s", half_text(x[i]).s);
    puts(n > FIRST_SHOWN ? " ..." : "");
}

/* A line per row of the last axis. */
static void print_values(const anf_port *port, const float *x)
{
    int rank = port->shape.rank;
    size_t row = rank ? (size_t)port->shape.dim[rank - 1] : 1;
    printf("%s\n", port_text(port).s);
    for (size_t i = 0; i < port->n_elements; i++)
        printf("%s%s", half_text(x[i]).s, (i + 1) % row ? " " : "\n");
}

struct ranked {
    float x;
    size_t at;
};

static int largest_first(const void *p, const void *q)
{
    const struct ranked *a = p, *b = q;
    if (isnan(a->x) != isnan(b->x))
        return isnan(a->x) ? 1 : -1;
    if (a->x != b->x && !isnan(a->x))
        return a->x < b->x ? 1 : -1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* "4", or "2,0,7" where an item has several axes. */
static struct shape_text index_text(const anf_dims *shape, int first, size_t at)
{
    anf_dims index = {shape->rank > first ? shape->rank - first : 1, {0}};
    index.dim[0] = (int64_t)at;
    for (int k = index.rank - 1; k > 0; k--) {
        size_t d = (size_t)shape->dim[first + k];
        index.dim[k] = (int64_t)(at % d);
        at /= d;
        index.dim[k - 1] = (int64_t)at;
    }
    struct shape_text t = shape_text(&index);
    size_t n = strlen(t.s);
    memmove(t.s, t.s + 1, n);
    t.s[n - 2] = 0;
    return t;
}

/* With two axes or more, the first one counts items. */
static anf_status print_top(struct cli *c, const anf_port *port, const float *x, size_t k)
{
    int first = port->shape.rank > 1;
    size_t items = first ? (size_t)port->shape.dim[0] : 1, n = items ? port->n_elements / items : 0;
    struct ranked *r = cli_alloc(c, n, sizeof *r);
    if (!r)
        return ANF_E_NOMEM;
    for (size_t item = 0; item < items; item++) {
        for (size_t i = 0; i < n; i++)
            r[i] = (struct ranked){x[item * n + i], i};
        qsort(r, n, sizeof *r, largest_first);
        printf(items > 1 ? "%s, top %zu of item %zu\n" : "%s, top %zu\n", port->name, k < n ? k : n,
               item);
        for (size_t i = 0; i < k && i < n; i++)
            printf("%8s  %s\n", index_text(&port->shape, first, r[i].at).s, half_text(r[i].x).s);
    }
    free(r);
    return ANF_OK;
}

static anf_status show(const struct job *j)
{
    const struct run_opts *o = j->opts;
    bool summary = !o->output && !j->cli->quiet && !o->text;
    for (int i = 0; i < j->n_outputs; i++) {
        const anf_port *port = anf_model_output(j->file.model, i);
        if (summary)
            print_summary(port, j->outputs[i].data);
        if (o->text)
            print_values(port, j->outputs[i].data);
        if (o->top)
            TRY(print_top(j->cli, port, j->outputs[i].data, (size_t)o->top));
    }
    if (o->repeat)
        printf("time: median %s, min %s of %zu runs\n",
               time_text(samples_quantile(&j->times, 0.5)).s,
               time_text(samples_quantile(&j->times, 0)).s, j->times.n);
    return o->profile ? profile_print(j->cli, j->rs) : ANF_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static anf_status check_output(const struct job *j)
{
    const char *path = j->opts->output;
    if (!path || path_ends_with(path, ".npz"))
        return ANF_OK;
    if (!path_ends_with(path, ".npy"))
        return cli_fail(j->cli, ANF_E_ARG, "--output %s: must end in .npy or .npz", path);
    if (j->n_outputs != 1)
        return cli_fail(j->cli, ANF_E_ARG, "--output %s: the model has %d outputs, .npz holds them",
                        path, j->n_outputs);
    return ANF_OK;
}

static anf_status make_outputs(struct job *j)
{
    j->outputs = cli_alloc(j->cli, (size_t)j->n_outputs, sizeof *j->outputs);
    if (!j->outputs)
        return ANF_E_NOMEM;
    for (int i = 0; i < j->n_outputs; i++) {
        const anf_port *port = anf_model_output(j->file.model, i);
        void *block = cli_alloc(j->cli, port->n_elements, sizeof(float));
        if (!block)
            return ANF_E_NOMEM;
        j->outputs[i] = anf_array_of(block, ANF_F32, port->shape);
    }
    return ANF_OK;
}

static anf_status execute(struct job *j)
{
    struct progress progress;
    uint64_t n = j->opts->repeat ? j->opts->repeat : 1;
    anf_status st = ANF_OK;
    progress_start(&progress, j->cli, "running");
    for (uint64_t i = 0; st == ANF_OK && i < n; i++) {
        double start = seconds_now();
        st = cli_check(j->cli, anf_run_state_run(j->rs, j->inputs.arrays, j->outputs));
        if (st == ANF_OK)
            st = samples_add(j->cli, &j->times, seconds_now() - start);
        progress_step(&progress, i + 1, n);
    }
    progress_end(&progress);
    samples_sort(&j->times);
    return st;
}

static anf_status write_npz(const struct job *j, const char *path)
{
    const char **names = cli_alloc(j->cli, (size_t)j->n_outputs, sizeof *names);
    if (!names)
        return ANF_E_NOMEM;
    for (int i = 0; i < j->n_outputs; i++)
        names[i] = anf_model_output(j->file.model, i)->name;
    anf_status st = anf_npz_write(j->cli->ctx, path, j->outputs, names, j->n_outputs);
    free(names);
    return cli_check(j->cli, st);
}

static anf_status write_outputs(const struct job *j, const char *path)
{
    signals_hold();
    anf_status st = path_ends_with(path, ".npz")
                        ? write_npz(j, path)
                        : cli_check(j->cli, anf_npy_write(j->cli->ctx, path, j->outputs[0]));
    signals_release();
    return st;
}

static anf_status start_trace(const struct job *j, struct output *out)
{
    struct text text = {0};
    anf_status st = cli_check(j->cli, anf_profile_trace(j->rs, text_sink, &text));
    if (st == ANF_OK)
        return output_start(j->cli, j->opts->trace, &text, out);
    text_free(&text);
    return st;
}

/* A trace that cannot be written leaves the old outputs in place. */
static anf_status write_files(const struct job *j)
{
    struct output trace = {0};
    if (j->opts->trace)
        TRY(start_trace(j, &trace));
    anf_status st = j->opts->output ? write_outputs(j, j->opts->output) : ANF_OK;
    if (st == ANF_OK)
        return output_finish(j->cli, &trace);
    output_discard(&trace);
    return st;
}

static anf_status do_job(struct job *j, int n_args, char **args)
{
    const struct run_opts *o = j->opts;
    struct model_opts m = {.opt = o->level,
                           .text_only = o->level != ANF_OPT_DEFAULT,
                           .needs = "--opt needs a graph text"};
    TRY(cli_context(j->cli));
    TRY(model_open(j->cli, j->cli->ctx, args[0], &m, &j->file));
    j->n_outputs = anf_model_n_outputs(j->file.model);
    TRY(check_output(j));
    TRY(port_inputs_open(j->cli, j->file.model, n_args - 1, args + 1, o->resize, &j->inputs));
    TRY(make_outputs(j));
    TRY(cli_check(j->cli, anf_run_state_new(j->file.model, &j->rs)));
    if (o->profile || o->trace)
        TRY(cli_check(j->cli, anf_profile(j->rs, true)));
    TRY(execute(j));
    TRY(write_files(j));
    return show(j);
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    struct job j = {.cli = c, .opts = opts};
    TRY(cli_need_args(c, n_args, 1, -1));
    anf_status st = do_job(&j, n_args, args);
    for (int i = 0; j.outputs && i < j.n_outputs; i++)
        free(j.outputs[i].data);
    free(j.outputs);
    samples_free(&j.times);
    port_inputs_free(&j.inputs);
    anf_run_state_free(j.rs);
    anf_model_free(j.file.model);
    return st;
}

const struct verb verb_run = {
    .name = "run",
    .operands = "MODEL INPUT...",
    .summary = "Run a model or a graph text on some inputs.",
    .text = "MODEL is a saved model or a graph text, '-' for a graph text on standard input.\n"
            "Inputs are given in the order of the model or as NAME=INPUT. An INPUT is one of\n"
            "  FILE             .npy; or .npz and .safetensors, whose arrays go to the inputs of\n"
            "                   their names; or .png and .jpg for a uint8 input [1,1,H,W] or\n"
            "                   [1,3,H,W]\n"
            "  FILE:ENTRY       one array of a .npz or .safetensors file\n"
            "  zeros            all zero\n"
            "  random[:SEED]    uniform in [-1,1), or bytes for a uint8 input\n\n"
            "Without --output and --text, a summary of every output is shown.\n\n"
            "Examples:\n"
            "  aneforge run net.anf x.npy\n"
            "  aneforge run net.anf x=batch.npz:images mask=zeros -o result.npz\n"
            "  aneforge run classifier.anf photo.jpg --resize --top 5 --quiet\n"
            "  aneforge run net.graph random:7 --repeat 100 --profile --trace net.json\n",
    .options = options,
    .opts_size = sizeof(struct run_opts),
    .option = take,
    .run = run,
};
