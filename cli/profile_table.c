/* The per-instruction table of run --profile and bench --profile.
 *
 * Order, shares and rates follow the minimum over the calls: on a machine with other work the mean
 * tells about that work.  After one call the two are the same. */
#include "profile_table.h"

#include <stdlib.h>

static int longest_first(const void *x, const void *y)
{
    const anf_timing *a = x, *b = y;
    return a->min_ns < b->min_ns ? 1 : a->min_ns > b->min_ns ? -1 : 0;
}

static void print_row(const anf_timing *t, double whole)
{
    double calls = t->calls ? (double)t->calls : 1, ns = t->min_ns ? (double)t->min_ns : 1;
    printf("%10s %10s %6.1f %10.2f %8.2f  %s\n", time_text((double)t->min_ns * 1e-9).s,
           time_text((double)t->total_ns * 1e-9 / calls).s, whole > 0 ? 100 * ns / whole : 0.0,
           (double)t->flops / ns, (double)t->bytes / ns, t->text);
}

anf_status profile_print(struct cli *c, const anf_run_state *rs)
{
    int n = anf_profile_count(rs);
    anf_timing *t = cli_alloc(c, (size_t)n, sizeof *t), sum = {.text = "total"};
    anf_status st = t ? ANF_OK : ANF_E_NOMEM;
    for (int i = 0; st == ANF_OK && i < n; i++) {
        st = cli_check(c, anf_profile_get(rs, i, &t[i]));
        sum.total_ns += t[i].total_ns;
        sum.min_ns += t[i].min_ns;
        sum.flops += t[i].flops;
        sum.bytes += t[i].bytes;
        sum.calls = t[i].calls;
    }
    if (st == ANF_OK && n) {
        qsort(t, (size_t)n, sizeof *t, longest_first);
        printf("%10s %10s %6s %10s %8s  %s\n", "min", "mean", "%", "GFLOP/s", "GB/s",
               "instruction");
        for (int i = 0; i < n; i++)
            print_row(&t[i], (double)sum.min_ns);
        print_row(&sum, (double)sum.min_ns);
    }
    free(t);
    return st;
}

anf_status samples_add(struct cli *c, struct samples *s, double seconds)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        double *grown = realloc(s->seconds, cap * sizeof *grown);
        if (!grown)
            return cli_fail(c, ANF_E_NOMEM, "out of memory: %zu times", cap);
        s->seconds = grown;
        s->cap = cap;
    }
    s->seconds[s->n++] = seconds;
    return ANF_OK;
}

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

void samples_sort(struct samples *s)
{
    if (s->n)
        qsort(s->seconds, s->n, sizeof *s->seconds, ascending);
}

double samples_quantile(const struct samples *s, double part)
{
    return s->n ? s->seconds[(size_t)(part * (double)(s->n - 1) + 0.5)] : 0;
}

void samples_free(struct samples *s)
{
    free(s->seconds);
    *s = (struct samples){0};
}
