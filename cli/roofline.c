/* Time of instructions against the machine: the roofline model.
 *
 * An instruction needs at least flops / peak and bytes / bandwidth; the longer of the two is its
 * bound.  The peak is that of multiply-adds on registers in the vectors of the kernel set.  The
 * bandwidth is that of reading as much memory as a whole call touches: calls follow each other, so
 * that is where weights lie when an instruction comes to them.
 *
 * An instruction can be faster than its bound: operands may lie in a nearer cache, and a Winograd
 * convolution does fewer multiplications than are counted.  It then has no gap, and its best time
 * is the measured one, so that time = best + gap holds for every line and for the sum.
 *
 * Times are minima over the calls and rates are maxima over the probes: both are what remains of a
 * machine with other work. */
#include "roofline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_TOUCHED = 1 << 16, /* the first-level cache is as near as memory gets */
    MOST_TOUCHED = 1 << 29,  /* beyond the caches the rate does not change any more */
    LISTED_GAPS = 10
};

struct line {
    anf_timing t;
    int number;
    bool memory_bound;
    double seconds, best, gap;
    double of_peak, of_read;
};

anf_status roof_new(struct cli *c, const anf_ctx *ctx, size_t touched, struct roof *out)
{
    *out = (struct roof){.loop = peak_loop(anf_ctx_isa(ctx))};
    touched = touched < LEAST_TOUCHED ? LEAST_TOUCHED : touched;
    touched = touched > MOST_TOUCHED ? MOST_TOUCHED : touched;
    if (!peak_memory_new(&out->memory, touched, anf_ctx_threads(ctx)))
        return cli_fail(c, ANF_E_NOMEM, "out of memory: %zu bytes to measure reads with", touched);
    return ANF_OK;
}

void roof_free(struct roof *roof)
{
    peak_memory_free(&roof->memory);
}

anf_status roof_probe(struct cli *c, struct roof *roof)
{
    roof->flops = fmax(roof->flops, peak_rate(roof->loop, roof->memory.threads));
    roof->bytes = fmax(roof->bytes, peak_read(&roof->memory));
    if (!(roof->flops > 0 && roof->bytes > 0))
        return cli_fail(c, ANF_E_NOMEM, "out of memory: %d threads to measure the machine with",
                        roof->memory.threads);
    return ANF_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* A clock that ticks coarsely may show no time at all. */
static double least_seconds(const anf_timing *t)
{
    return t->min_ns ? (double)t->min_ns * 1e-9 : 1e-9;
}

static void rates_of(struct line *l, const struct roof *roof)
{
    l->of_peak = (double)l->t.flops / l->seconds / roof->flops;
    l->of_read = (double)l->t.bytes / l->seconds / roof->bytes;
}

static void bound_of(struct line *l, const struct roof *roof)
{
    l->seconds = least_seconds(&l->t);
    rates_of(l, roof);
    l->memory_bound = l->of_read > l->of_peak;
    l->best = l->seconds * fmin(1, fmax(l->of_peak, l->of_read));
    l->gap = l->seconds - l->best;
}

/* n + 1 lines, the last is the sum. */
static anf_status lines_new(struct cli *c, const anf_run_state *rs, const struct roof *roof,
                            struct line **out)
{
    const int n = anf_profile_count(rs);
    struct line *lines = cli_alloc(c, (size_t)n + 1, sizeof *lines), *sum = lines + n;
    *out = lines;
    if (!lines)
        return ANF_E_NOMEM;
    for (int i = 0; i < n; i++) {
        struct line *l = &lines[i];
        TRY(cli_check(c, anf_profile_get(rs, i, &l->t)));
        l->number = i;
        bound_of(l, roof);
        sum->t.flops += l->t.flops;
        sum->t.bytes += l->t.bytes;
        sum->seconds += l->seconds;
        sum->best += l->best;
        sum->gap += l->gap;
    }
    if (n)
        rates_of(sum, roof);
    return ANF_OK;
}

/* ---- gaps ------------------------------------------------------------------------------------ */

/* Instructions alike in all but their operands are one entry: a network repeats its layers. */
struct gap {
    const char *text, *rest; /* "conv ...", and its geometry, behind the operands */
    int first, count;
    double seconds;
};

/* The text of an instruction is its name, operands and geometry, two spaces or more apart. */
static const char *geometry_of(const char *text)
{
    const char *s = text + strcspn(text, " ");
    s += strspn(s, " ");
    const char *end = strstr(s, "  ");
    return end ? end + strspn(end, " ") : s + strlen(s);
}

static int kind_order(const struct gap *a, const struct gap *b)
{
    int order = strncmp(a->text, b->text, strcspn(a->text, " ") + 1);
    return order ? order : strcmp(a->rest, b->rest);
}

static int by_kind(const void *x, const void *y)
{
    const struct gap *a = x, *b = y;
    int order = kind_order(a, b);
    return order ? order : a->first - b->first;
}

static int widest_first(const void *x, const void *y)
{
    const struct gap *a = x, *b = y;
    return a->seconds < b->seconds ? 1 : a->seconds > b->seconds ? -1 : a->first - b->first;
}

/* The widest, at most LISTED_GAPS. */
static anf_status gaps_new(struct cli *c, const struct line *lines, int n, struct gap **out,
                           int *n_out)
{
    struct gap *gaps = *out = cli_alloc(c, (size_t)n, sizeof *gaps);
    int n_gaps = 0;
    if (!gaps)
        return ANF_E_NOMEM;
    for (int i = 0; i < n; i++)
        gaps[i] = (struct gap){lines[i].t.text, geometry_of(lines[i].t.text), i, 1, lines[i].gap};
    qsort(gaps, (size_t)n, sizeof *gaps, by_kind);
    for (int i = 0; i < n; i++) {
        struct gap *last = n_gaps ? &gaps[n_gaps - 1] : NULL;
        if (last && kind_order(last, &gaps[i]) == 0) {
            last->count++;
            last->seconds += gaps[i].seconds;
        } else {
            gaps[n_gaps++] = gaps[i];
        }
    }
    qsort(gaps, (size_t)n_gaps, sizeof *gaps, widest_first);
    n_gaps = n_gaps < LISTED_GAPS ? n_gaps : LISTED_GAPS;
    while (n_gaps && gaps[n_gaps - 1].seconds <= 0)
        n_gaps--;
    *n_out = n_gaps;
    return ANF_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_line(const struct line *l)
{
    printf("%10s %6.0f %% %6.0f %%  %-8s %10s %10s", time_text(l->seconds).s, 100 * l->of_peak,
           100 * l->of_read, l->t.text ? l->memory_bound ? "memory" : "flops" : "",
           time_text(l->best).s, time_text(l->gap).s);
    if (l->t.text)
        printf("  %d %s\n", l->number, l->t.text);
    else
        printf("  total\n");
}

static void print_gaps(const struct gap *gaps, int n, double whole)
{
    double so_far = 0;
    printf("largest gaps\n%10s %8s %8s %6s  %s\n", "gap", "of time", "so far", "times",
           "instruction");
    for (int i = 0; i < n; i++) {
        so_far += gaps[i].seconds;
        printf("%10s %6.1f %% %6.1f %% %6d  %-9.*s %s\n", time_text(gaps[i].seconds).s,
               100 * gaps[i].seconds / whole, 100 * so_far / whole, gaps[i].count,
               (int)strcspn(gaps[i].text, " "), gaps[i].text, gaps[i].rest);
    }
}

anf_status roofline_print(struct cli *c, const anf_run_state *rs, const struct roof *roof)
{
    const int n = anf_profile_count(rs);
    struct line *lines = NULL;
    struct gap *gaps = NULL;
    int n_gaps = 0;
    anf_status st = lines_new(c, rs, roof, &lines);
    if (st == ANF_OK)
        st = gaps_new(c, lines, n, &gaps, &n_gaps);
    if (st == ANF_OK && n) {
        printf("peak: %.1f GFLOP/s of multiply-adds; reads: %.1f GB/s of %s\n", roof->flops * 1e-9,
               roof->bytes * 1e-9, bytes_text((double)roof->memory.bytes).s);
        printf("%10s %8s %8s  %-8s %10s %10s  %s\n", "time", "of peak", "of reads", "bound by",
               "at best", "gap", "instruction");
        for (int i = 0; i <= n; i++)
            print_line(&lines[i]);
        print_gaps(gaps, n_gaps, lines[n].seconds);
    }
    free(gaps);
    free(lines);
    return st;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_json_bound(const struct line *l)
{
    printf("\"of_peak\":%.6g,\"of_reads\":%.6g,\"best_ns\":%.1f,\"gap_ns\":%.1f", l->of_peak,
           l->of_read, l->best * 1e9, l->gap * 1e9);
}

static void print_json_line(const struct line *l, bool bounded)
{
    printf("{\"text\":");
    print_json_text(l->t.text);
    printf(",\"calls\":%llu,\"min_ns\":%llu,\"mean_ns\":%.1f,\"flops\":%llu,\"bytes\":%llu",
           (unsigned long long)l->t.calls, (unsigned long long)l->t.min_ns,
           (double)l->t.total_ns / (double)(l->t.calls ? l->t.calls : 1),
           (unsigned long long)l->t.flops, (unsigned long long)l->t.bytes);
    if (bounded) {
        printf(",\"bound\":\"%s\",", l->memory_bound ? "memory" : "flops");
        print_json_bound(l);
    }
    putchar('}');
}

static void print_json_gaps(const struct gap *gaps, int n)
{
    printf(",\n  \"largest_gaps\":[");
    for (int i = 0; i < n; i++) {
        printf("%s\n    {\"gap_ns\":%.1f,\"times\":%d,\"first\":%d,\"name\":\"%.*s\",\"geometry\":",
               i ? "," : "", gaps[i].seconds * 1e9, gaps[i].count, gaps[i].first,
               (int)strcspn(gaps[i].text, " "), gaps[i].text);
        print_json_text(gaps[i].rest);
        putchar('}');
    }
    putchar(']');
}

static void print_json_total(const struct line *sum)
{
    printf(",\n  \"total\":{\"min_ns\":%.1f,\"flops\":%llu,\"bytes\":%llu,", sum->seconds * 1e9,
           (unsigned long long)sum->t.flops, (unsigned long long)sum->t.bytes);
    print_json_bound(sum);
    putchar('}');
}

anf_status roofline_json(struct cli *c, const anf_run_state *rs, const struct roof *roof)
{
    static const struct roof none = {.flops = 1, .bytes = 1};
    const int n = anf_profile_count(rs);
    struct line *lines = NULL;
    struct gap *gaps = NULL;
    int n_gaps = 0;
    anf_status st = lines_new(c, rs, roof ? roof : &none, &lines);
    if (st == ANF_OK && roof)
        st = gaps_new(c, lines, n, &gaps, &n_gaps);
    if (st == ANF_OK) {
        if (roof)
            printf(",\n  \"roof\":{\"flops_per_s\":%.6g,\"read_bytes_per_s\":%.6g,"
                   "\"read_bytes\":%zu}",
                   roof->flops, roof->bytes, roof->memory.bytes);
        printf(",\n  \"instructions\":[");
        for (int i = 0; i < n; i++) {
            printf("%s\n    ", i ? "," : "");
            print_json_line(&lines[i], roof);
        }
        putchar(']');
        if (roof) {
            print_json_total(&lines[n]);
            print_json_gaps(gaps, n_gaps);
        }
    }
    free(gaps);
    free(lines);
    return st;
}
