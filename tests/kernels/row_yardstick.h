/* What tests of row kernels measure with: scalar code that follows the words of kern.h, for one row
 * at a time, inputs of every kind, and guarded memory.
 *
 * The yardstick keeps 64 lanes in an array and visits one element at a time; results compare bit
 * for bit.  It shares two things with the library: the scalar binary16 of base/fp16.h and the
 * exponential v_exp2_16th, which kern.h names without spelling it out.
 *
 * Inputs end at an inaccessible page; outputs do too, with a frame of known bytes before them. */
#ifndef ANF_TESTS_ROW_YARDSTICK_H
#define ANF_TESTS_ROW_YARDSTICK_H

#include "fenced.h"
#include "plain.h"

#include "base/fp16.h"
#include "kernels/kern.h"

#include <math.h>
#include <string.h>

#define ISA(x) x##_yardstick
#include "kernels/simd/simd_ref.h"

#include "kernels/common/lanes.inc.c"
#include "kernels/common/exp2.inc.c"
#include "kernels/common/math.inc.c"

enum { REGION = 256 * 1024, FRAME = 64 };

/* ---- guarded memory -------------------------------------------------------------------------- */
static unsigned char *region[6];

static inline void open_regions(void)
{
    for (size_t i = 0; i < 6; i++)
        region[i] = fenced(REGION);
}

static inline void close_regions(void)
{
    for (size_t i = 0; i < 6; i++)
        unfence(region[i]);
}

/* n_bytes that end at the inaccessible page, behind a frame. */
static inline void *guarded(size_t i, size_t n_bytes)
{
    unsigned char *p = region[i] + REGION - n_bytes;
    memset(p - FRAME, 0xab, FRAME);
    return p;
}

static inline bool frame_intact(const void *at)
{
    const unsigned char *p = at;
    for (size_t i = 1; i <= FRAME; i++)
        if (p[-(ptrdiff_t)i] != 0xab)
            return false;
    return true;
}

/* ---- inputs ---------------------------------------------------------------------------------- */
static uint64_t seed = 0x9e3779b97f4a7c15u;

static inline uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

static inline float uniform(void) /* -1 .. 1 */
{
    return (float)next_random() * 0x1p-31f - 1.0f;
}

enum kind { ORDINARY, WIDE, NEGATIVE, EQUAL, ZEROS, NANS, INFS, MINUS_INFS, KINDS };

static inline void make_rows(f16 *x, size_t rows, size_t n, enum kind kind)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < n; j++) {
            f16 h = f32_to_f16(uniform() * 4.0f);
            if (kind == WIDE)
                h = (f16)(next_random() % 0x7c00 | (next_random() & 0x8000));
            else if (kind == NEGATIVE)
                h |= 0x8000;
            else if (kind == EQUAL)
                h = f32_to_f16(1.0f + (float)r);
            else if (kind == ZEROS)
                h = next_random() & 0x8000;
            else if (kind == MINUS_INFS)
                h = 0xfc00;
            x[r * n + j] = h;
        }
    if ((kind == NANS || kind == INFS) && n)
        for (size_t r = 0; r < rows; r++) {
            static const f16 nans[] = {0x7e00, 0xfe01, 0x7c01}, infs[] = {0x7c00, 0xfc00};
            x[r * n + next_random() % n] = kind == NANS ? nans[r % 3] : infs[r % 2];
        }
}

/* ---- the yardstick --------------------------------------------------------------------------- */
enum op { ADD, MAX, MIN };

static inline float combine(enum op op, float a, float b)
{
    return op == ADD ? a + b : op == MAX ? (a > b ? a : b) : (a < b ? a : b);
}

static inline float slow_reduce(enum op op, const float *x, size_t n)
{
    float total = 0;
    size_t at = 0;
    do {
        float lane[ANF_REDUCE_LANES];
        size_t end = n - at < ANF_REDUCE_BLOCK ? n : at + ANF_REDUCE_BLOCK;
        for (size_t i = 0; i < ANF_REDUCE_LANES; i++)
            lane[i] = op == ADD ? 0.0f : op == MAX ? -INFINITY : INFINITY;
        for (size_t i = at; i < end; i++)
            lane[(i - at) % ANF_REDUCE_LANES] =
                combine(op, lane[(i - at) % ANF_REDUCE_LANES], x[i]);
        for (size_t half = ANF_REDUCE_LANES / 2; half; half /= 2)
            for (size_t i = 0; i < half; i++)
                lane[i] = combine(op, lane[i], lane[i + half]);
        total = at ? combine(op, total, lane[0]) : lane[0];
        at = end;
    } while (at < n);
    return total;
}

static inline bool any_nan(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return true;
    return false;
}

enum { SUM, MEAN, RMAX, RMIN, REDUCES };

static inline f16 slow_reduction(int which, const float *x, size_t n)
{
    if (which == SUM)
        return f32_to_f16(slow_reduce(ADD, x, n));
    if (which == MEAN)
        return f32_to_f16(slow_reduce(ADD, x, n) / (float)n);
    return any_nan(x, n) ? F16_NAN : f32_to_f16(slow_reduce(which == RMAX ? MAX : MIN, x, n));
}

/* x becomes the exponentials; y the rounded softmax. */
static inline void slow_softmax(float *x, f16 *y, size_t n)
{
    float m = any_nan(x, n) ? NAN : slow_reduce(MAX, x, n);
    for (size_t j = 0; j < n; j++)
        x[j] = v_exp2_16th(fmaf(x[j], MATH_16_LOG2E, -(m * MATH_16_LOG2E)));
    float inv = 1.0f / slow_reduce(ADD, x, n);
    for (size_t j = 0; j < n; j++)
        y[j] = f32_to_f16(x[j] * inv);
}

static inline void widen(const f16 *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = f16_to_f32(x[i]);
}

#endif
