/* How tests of gemm, convolution and attention run a driver: for several thread counts, tasks last
 * to first, each with scratch full of NaN and guarded; and how they compare. */
#ifndef ANF_TESTS_DRIVER_RUN_H
#define ANF_TESTS_DRIVER_RUN_H

#include "plain.h"

#include "epilogue_seen.h"
#include "kernel_values.h"

#include "base/fp16.h"
#include "kernels/kern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GUARD 64

/* Small, so that sums do not round. */
static inline f16 *integers(size_t n)
{
    f16 *x = fenced(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = f32_to_f16((float)(int)(next() % 7) - 3.0f);
    return x;
}

static inline void poison(f16 *x, size_t n)
{
    static const f16 bad[] = {0x7e00, 0x7c00, 0xfc00, 0xfe01, 0x8000, 0x7bff};
    for (size_t i = 0; i < 3 && n; i++)
        x[next() % n] = bad[next() % 6];
}

static inline void same(const struct kern *kern, const char *what, const f16 *got, const f16 *want,
                 size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s, %s: element %zu of %zu is %04x (%g), not %04x (%g)\n", kern->name, what,
                     i, n, got[i], (double)f16_to_f32(got[i]), want[i],
                     (double)f16_to_f32(want[i]));
}

typedef void task_fn(const struct kern *kern, const void *job, size_t task, void *own);

static inline void run(const struct kern *kern, task_fn *fn, const void *job, size_t n_tasks,
                       size_t bytes)
{
    unsigned char *own = fenced((bytes + GUARD + 63) / 64 * 64);
    for (size_t task = n_tasks; task-- > 0;) {
        memset(own, 0xff, bytes);
        memset(own + bytes, 0xa5, GUARD);
        fn(kern, job, task, own);
        for (size_t i = 0; i < GUARD; i++)
            assert_int_equal(own[bytes + i], 0xa5);
    }
    unfence(own);
}

static inline void all_seen_once(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(s->count[i], 1);
    memset(s->count, 0, s->n);
}

static const size_t thread_counts[] = {1, 2, 3, 7};

/* y = r (A B) against (r A) B for random r.  With e the error of an element,
 *     |e| <= 2^-11 |c| + 2^-25 + k 2^-24 (|A| |B|)
 * (final rounding, its subnormal case, k roundings of partial sums to first order; doubled). */
static inline void check_product(const struct kern *kern, const char *what, size_t m, size_t n,
                                 size_t k, const double *a, const double *b, const f16 *c)
{
    double *ra = fenced(k * sizeof *ra), *abs_ra = fenced(k * sizeof *abs_ra);
    double *r = fenced(m * sizeof *r);
    for (size_t i = 0; i < m; i++) {
        r[i] = (double)next() * 0x1p-23 - 1.0;
        for (size_t e = 0; e < k; e++) {
            ra[e] += r[i] * a[i * k + e];
            abs_ra[e] += fabs(r[i] * a[i * k + e]);
        }
    }
    for (size_t j = 0; j < n; j++) {
        double want = 0, got = 0, bound = 0;
        for (size_t e = 0; e < k; e++) {
            want += ra[e] * b[e * n + j];
            bound += abs_ra[e] * fabs(b[e * n + j]) * (double)k * 0x1p-23;
        }
        for (size_t i = 0; i < m; i++) {
            got += r[i] * (double)f16_to_f32(c[i * n + j]);
            bound += fabs(r[i]) * (fabs((double)f16_to_f32(c[i * n + j])) * 0x1p-10 + 0x1p-24);
        }
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, %s: column %zu is off by %g, allowed %g\n", kern->name, what, j,
                     fabs(got - want), bound);
    }
    unfence(ra), unfence(abs_ra), unfence(r);
}

static inline double *widened(const f16 *x, size_t n)
{
    double *y = fenced(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)f16_to_f32(x[i]);
    return y;
}

/* A size of random shapes: mostly small, sometimes up to `most`. */
static inline size_t draw(size_t most)
{
    const size_t small = most < 5 ? most : 5, below = next() % 3 ? small : most;
    return 1 + next() % below;
}

#endif
