/* What kernel tests draw their operands from: one generator, seeded alike in every test, and values
 * whose sums round. */
#ifndef ANF_TESTS_KERNEL_VALUES_H
#define ANF_TESTS_KERNEL_VALUES_H

#include "fenced.h"

#include "base/fp16.h"
#include "kernels/kern.h"

static uint32_t seed = 1;

static inline uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Mixed magnitudes. */
static inline f16 any_value(void)
{
    float m = (float)(int)(next() % 2001) - 1000.0f;
    return f32_to_f16(m * (float)(1 << next() % 6) * 0x1p-13f);
}

/* Exactly n of them, behind which nothing can be read (fenced.h). */
static inline f16 *values(size_t n)
{
    f16 *x = fenced(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = any_value();
    return x;
}

/* Outputs before a kernel runs, to see what it leaves alone. */
#define UNTOUCHED 0x1234

static inline f16 *untouched(size_t n)
{
    f16 *x = fenced(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = UNTOUCHED;
    return x;
}

/* The tables this machine has, best first; `out` has room for 8. */
static inline size_t tables(const struct kern **out)
{
    size_t n = 0;
    for (size_t i = 0; kern_tables[i]; i++)
        if (kern_tables[i]->available())
            out[n++] = kern_tables[i];
    return n;
}

#endif
