/* int4: every element becomes one of 16 binary16 values, chosen for the least squared error.
 *
 * Among binary16 numbers there are few different values, so the best codebook can be found, not
 * just a good one.  The elements are counted by value and the values put in order.  An optimal
 * codebook cuts them into 16 runs, since an element belongs to the nearest entry, and the best
 * entry of a run is its mean rounded to binary16.  With cost(i, j) the error of one run,
 *
 *     least[t][j] = min over i < j of least[t - 1][i] + cost(i, j)
 *
 * is the error of the first j values in t runs.  The best i never falls as j grows: cost satisfies
 * the quadrangle inequality (for a <= b <= c <= d, exchanging the entries of (a, d) and (b, c)
 * makes (a, c) and (b, d) no worse; rounding the entries to a grid does not touch the argument).
 * So each layer is computed by divide and conquer in n log n steps. */
#include "compress/encode.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Values are finite, the zeros being one. */
enum { N_BITS = 0x10000, MAX_VALUES = 2 * F16_INF - 1 };

struct runs {
    size_t n;          /* different values */
    f16 *value;        /* ascending */
    double *count;     /* [n + 1]: elements among the first i values */
    double *sum;       /* [n + 1]: and their sum */
    double *least[2];  /* [n + 1]: of the last layer and of this one */
    uint16_t *first;   /* [INT4_ENTRIES][n + 1]: where the last run begins */
};

/* x to the precision of binary16, as its conversion does for finite results.  Where x lies within a
 * float's rounding of a tie either neighbour is as good. */
static inline double entry_near(double x)
{
    float f = (float)x;
    uint32_t bits, mag;
    memcpy(&bits, &f, sizeof bits);
    mag = bits & 0x7fffffffu;
    if (mag < 0x38800000u) /* below 2^-14: multiples of 2^-24 */
        return (double)((f + 0x1.8p-1f) - 0x1.8p-1f);
    bits = (bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Squared error of the values [i, j) in one run, less the sum of their squares, which no cut
 * changes. */
static inline double run_cost(const struct runs *r, size_t i, size_t j)
{
    double count = r->count[j] - r->count[i], sum = r->sum[j] - r->sum[i];
    double entry = entry_near(sum / count);
    return entry * (entry * count - 2 * sum);
}

/* Layer t for j in [j0, j1], whose best cuts lie in [i0, i1]. */
static void fill_layer(const struct runs *r, size_t t, size_t j0, size_t j1, size_t i0, size_t i1)
{
    const double *last = r->least[0];
    while (j0 <= j1) {
        size_t j = (j0 + j1) / 2, from = i0 < t ? t : i0, to = i1 < j - 1 ? i1 : j - 1, best = from;
        double least = INFINITY;
        for (size_t i = from; i <= to; i++) {
            double c = last[i] + run_cost(r, i, j);
            if (c < least) {
                least = c;
                best = i;
            }
        }
        r->least[1][j] = least;
        r->first[t * (r->n + 1) + j] = (uint16_t)best;
        if (j > j0)
            fill_layer(r, t, j0, j - 1, i0, best);
        j0 = j + 1;
        i0 = best;
    }
}

/* Runs t = 0 .. 15 end in layer t; at least 17 values. */
static void best_codebook(struct runs *r, f16 codebook[INT4_ENTRIES])
{
    for (size_t j = 1; j <= r->n; j++)
        r->least[0][j] = run_cost(r, 0, j);
    for (size_t t = 1; t < INT4_ENTRIES; t++) {
        fill_layer(r, t, t + 1, r->n, t, r->n - 1);
        double *swap = r->least[0];
        r->least[0] = r->least[1];
        r->least[1] = swap;
    }
    for (size_t t = INT4_ENTRIES, j = r->n; t-- > 0;) {
        size_t i = t ? r->first[t * (r->n + 1) + j] : 0;
        codebook[t] = f64_to_f16((r->sum[j] - r->sum[i]) / (r->count[j] - r->count[i]));
        j = i;
    }
}

/* Values in ascending order: negative ones by falling bits, then the rest by rising ones. */
static void order_values(const size_t *n_of, struct runs *r)
{
    for (uint32_t k = 0; k < MAX_VALUES; k++) {
        uint32_t bits = k < F16_INF - 1u ? 0x8000u + F16_INF - 1 - k : k - (F16_INF - 1u);
        if (!n_of[bits])
            continue;
        r->value[r->n] = (f16)bits;
        r->count[r->n + 1] = r->count[r->n] + (double)n_of[bits];
        r->sum[r->n + 1] = r->sum[r->n] + (double)n_of[bits] * (double)f16_to_f32((f16)bits);
        r->n++;
    }
}

/* The nearest entry of every value, the lower one where two are as near. */
static void nearest_entries(const struct runs *r, struct encoded *out, const size_t *n_of,
                            uint8_t *index_of)
{
    double squared_error = 0, squared = 0;
    for (size_t i = 0; i < r->n; i++) {
        double x = (double)f16_to_f32(r->value[i]), least = INFINITY;
        for (uint8_t e = 0; e < INT4_ENTRIES; e++) {
            double d = fabs(x - (double)f16_to_f32(out->codebook[e]));
            if (d < least) {
                least = d;
                index_of[r->value[i]] = e;
            }
        }
        squared_error += (double)n_of[r->value[i]] * least * least;
        squared += (double)n_of[r->value[i]] * x * x;
    }
    index_of[0x8000] = index_of[0];
    out->error = encode_error(squared_error, squared);
}

static anf_status find_codebook(const size_t *n_of, struct arena *a, struct encoded *out,
                                uint8_t *index_of)
{
    struct runs r = {0};
    r.value = arena_alloc_array(a, MAX_VALUES, sizeof *r.value);
    r.count = arena_alloc_array(a, MAX_VALUES + 1, sizeof *r.count);
    r.sum = arena_alloc_array(a, MAX_VALUES + 1, sizeof *r.sum);
    if (!r.value || !r.count || !r.sum)
        return ANF_E_NOMEM;
    order_values(n_of, &r);
    if (r.n <= INT4_ENTRIES) {
        for (size_t i = 0; i < INT4_ENTRIES; i++)
            out->codebook[i] = r.value[i < r.n ? i : r.n - 1];
    } else {
        r.least[0] = arena_alloc_array(a, r.n + 1, sizeof *r.least[0]);
        r.least[1] = arena_alloc_array(a, r.n + 1, sizeof *r.least[1]);
        r.first = arena_alloc_array(a, INT4_ENTRIES * (r.n + 1), sizeof *r.first);
        if (!r.least[0] || !r.least[1] || !r.first)
            return ANF_E_NOMEM;
        best_codebook(&r, out->codebook);
    }
    nearest_entries(&r, out, n_of, index_of);
    return ANF_OK;
}

anf_status encode_int4(const struct weight *w, const struct encode_opts *o,
                       struct encode_memory *m, struct encoded *out, char why[WHY_MAX])
{
    const size_t count = w->n * w->k;
    bool finite = true;
    *out = (struct encoded){.n = w->n, .k = w->k};
    if (w->k % 2) {
        snprintf(why, WHY_MAX, "int4 needs an even depth, this is %zu", w->k);
        return ANF_OK;
    }
    size_t *n_of = arena_alloc_array(&m->scratch, N_BITS, sizeof *n_of);
    uint8_t *index_of = arena_alloc(&m->scratch, N_BITS);
    if (!n_of || !index_of)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        n_of[w->w[i]]++;
    for (uint32_t bits = F16_INF; bits < 0x8000; bits++)
        finite = finite && !n_of[bits] && !n_of[bits | 0x8000];
    if (!finite) {
        snprintf(why, WHY_MAX, "int4 needs finite elements");
        return ANF_OK;
    }
    n_of[0] += n_of[0x8000];
    TRY(find_codebook(n_of, &m->scratch, out, index_of));
    bool fits = out->error <= o->atol;
    snprintf(why, WHY_MAX, "int4 has error %s, %s %s", decimal_text(out->error, 4).s,
             fits ? "within" : "more than", decimal_text(o->atol, 4).s);
    if (!fits)
        return ANF_OK;
    out->index = arena_alloc(&m->keep, count);
    if (!out->index)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        out->index[i] = index_of[w->w[i]];
    out->encoding = ANF_ENCODING_INT4;
    out->n_bytes = count / 2 + INT4_ENTRIES * sizeof(f16);
    return ANF_OK;
}
