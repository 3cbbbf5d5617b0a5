/* Weights to encode, of several distributions, and their decoding error in double. */
#ifndef ANF_TESTS_WEIGHTS_FIXTURE_H
#define ANF_TESTS_WEIGHTS_FIXTURE_H

#include "compress/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline double wf_uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

static inline double wf_normal(uint64_t *state)
{
    double r = sqrt(-2 * log(wf_uniform(state)));
    return r * cos(6.283185307179586 * wf_uniform(state));
}

static inline bool wf_is(const char *kind, const char *name)
{
    return strlen(kind) == strlen(name) && memcmp(kind, name, strlen(name)) == 0;
}

static inline double wf_value(const char *kind, uint64_t *state)
{
    double u = wf_uniform(state), x = wf_normal(state);
    if (wf_is(kind, "normal"))
        return 0.05 * x;
    if (wf_is(kind, "uniform"))
        return 2 * u - 1;
    if (wf_is(kind, "laplace"))
        return u < 0.5 ? 0.02 * log(2 * u) : -0.02 * log(2 - 2 * u);
    if (wf_is(kind, "two humps"))
        return 0.1 * x + (u < 0.3 ? -2 : 3);
    if (wf_is(kind, "outliers"))
        return u < 0.01 ? 40 * x : 0.05 * x;
    if (wf_is(kind, "tiny"))
        return 1e-6 * x; /* subnormal in binary16 */
    if (wf_is(kind, "huge"))
        return 20000 * tanh(x);
    if (wf_is(kind, "seventeen"))
        return floor(17 * u) / 7 - 1;
    return u < 0.7 ? 0 : x; /* "sparse" */
}

static const char *const wf_kinds[] = {"normal",   "uniform", "laplace", "two humps", "outliers",
                                       "tiny",     "huge",    "seventeen", "sparse"};
enum { WF_KINDS = sizeof wf_kinds / sizeof *wf_kinds };

/* Freed with free. */
static inline f16 *wf_weight(const char *kind, size_t count, uint64_t seed)
{
    f16 *w = malloc(count * sizeof *w);
    for (size_t i = 0; w && i < count; i++)
        w[i] = f64_to_f16(wf_value(kind, &seed));
    return w;
}

static inline void wf_memory_init(struct encode_memory *m)
{
    arena_init(&m->keep, &alloc_default);
    arena_init(&m->scratch, &alloc_default);
}

static inline void wf_memory_free(struct encode_memory *m)
{
    arena_free(&m->keep);
    arena_free(&m->scratch);
}

#endif
