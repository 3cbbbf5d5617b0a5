/* Winograd's convolution: a square of outputs from the products of 36 pairs of numbers, where
 * direct sums take 144 for a 3x3 kernel.
 *
 * A kernel of 3, 4 or 5 taps a side meets tiles of 4x4, 3x3 or 2x2 pixels: F(4x4, 3x3), F(3x3, 4x4)
 * and F(2x2, 5x5) in the terms of Lavin and Gray ("Fast Algorithms for Convolutional Neural
 * Networks", 2016).  All read 6x6 inputs and have the points 0, 1, -1, 2, -2 and infinity, so that
 * what they do with the input is the same.  Tile (r, c) of n x n pixels reads the inputs d that
 * begin at row n*r - pad_h, column n*c - pad_w, zeros outside the image.  With g a kernel,
 *
 *     U = G g G',    V = B' d B,    M[i][j] = chain over input channels ascending of
 *     fma(U[i][j], V[i][j], s) from zero,    y = A' M A
 *
 * and the bias is added to y, which is then rounded once.  All of it is float32, in the order of
 * operations of the functions below, columns of a matrix first and then its rows.
 *
 * A convolution of stride s is a sum of s*s such ones of stride 1.  Phase (p, q) of the padded
 * input is its rows p, p + s, ... and columns q, q + s, ..., and only meets the taps of such rows
 * and columns of the kernel: (k + s - 1) / s a side, or one less, for which there is a zero.
 * Phases are input channels, channel (c*s + p)*s + q being phase (p, q) of channel c.
 *
 * Where the image ends in a 4x4 tile some of the 36 are not needed.  Three rows do without the
 * point at infinity.  One or two are computed as F(2, 3): the points 2 and -2 are left out, and
 * infinity with one row.  Columns likewise.
 *
 * G is the values of the kernel's polynomial at the points, without the factors that depend on the
 * other points (1/4, -1/6, -1/6, 1/24, 1/24, 1; 1, 1/2, 1/2, 1 in F(2, 3)): they are in A'.  So U
 * is the same for all tiles, cheap, and as good as exact, since the kernels are binary16.
 *
 * U is made while the program runs, a cache block at a time: in float32 it has several times the
 * bytes of the kernels, and reading them would take longer than making them.  In binary16 its error
 * would exceed half an ulp of the result.
 *
 * Which convolutions are done this way follows from their shape alone, whatever the batch, the
 * instruction set, the threads: it can be seen in the bits. */
#ifndef ANF_KERNELS_WINOGRAD_H
#define ANF_KERNELS_WINOGRAD_H

#include "kernels/kern.h"

#include <math.h>

enum {
    WINOGRAD_IN = 6,         /* rows and columns of an input tile */
    WINOGRAD_POSITIONS = 36, /* elements of an input tile: independent matrix products */
    WINOGRAD_OUT = 4,        /* the most rows and columns of an output tile */
    WINOGRAD_TAPS = 5,       /* the most of a phase's kernel */
    WINOGRAD_STRIDE = 4,     /* the largest */
};

/* What follows from the geometry. */
struct winograd_form {
    size_t stride, phases;      /* phases: stride * stride */
    size_t channels;            /* of all phases of the input */
    size_t taps, out;           /* rows and columns of a phase's kernel, of an output tile */
    size_t tile_rows, tile_cols;
    size_t rest_rows, rest_cols; /* of pixels that the last tiles have; 0: as all others */
};

/* Of a convolution that winograd_possible allows. */
static inline struct winograd_form winograd_form(const struct conv_geom *g)
{
    const size_t s = g->stride_h, taps = (g->kh + s - 1) / s, out = WINOGRAD_IN + 1 - taps;
    const bool parted = out == WINOGRAD_OUT; /* smaller tiles are not worth it */
    return (struct winograd_form){
        .stride = s, .phases = s * s, .channels = g->cin * s * s, .taps = taps, .out = out,
        .tile_rows = (g->out_h + out - 1) / out, .tile_cols = (g->out_w + out - 1) / out,
        .rest_rows = parted ? g->out_h % out : 0, .rest_cols = parted ? g->out_w % out : 0};
}

/* Is a tile computed as F(2, 3) that has so many rows (or columns) of pixels, rest_rows? */
static inline bool winograd_short(size_t rest)
{
    return rest == 1 || rest == 2;
}

/* The rows (or columns) of positions that such a tile takes part in: bit i for row i. */
static inline unsigned winograd_positions(size_t rest)
{
    static const unsigned char of[WINOGRAD_OUT] = {0x3f, 0x07, 0x27, 0x1f};
    return of[rest];
}

/* Kernels of 3x3 taps, as they lie: winograd_few has them. */
static inline bool winograd_may_be_few(const struct winograd_form *f)
{
    return f->stride == 1 && f->taps == 3;
}

/* Can the formula compute it? */
bool winograd_possible(const struct conv_geom *g);

/* Is it what computes it?  With few channels the transforms of input and output cost more than they
 * save, with few pixels that of the weights does. */
bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout);

/* G x for `taps` values. */
static inline void winograd_weights_1d(size_t taps, const float *x, float y[6])
{
    float ends = x[0] + x[2], odd = x[1], even = fmaf(4.0f, x[2], x[0]), odd_2 = x[1];
    if (taps > 3) {
        odd = x[1] + x[3];
        odd_2 = fmaf(4.0f, x[3], x[1]);
    }
    if (taps > 4) {
        ends = ends + x[4];
        even = fmaf(16.0f, x[4], even);
    }
    y[0] = x[0];
    y[1] = ends + odd;
    y[2] = ends - odd;
    y[3] = fmaf(2.0f, odd_2, even);
    y[4] = fmaf(-2.0f, odd_2, even);
    y[5] = x[taps - 1];
}

/* B' x of a whole tile: six values. */
static inline void winograd_input_1d(const float x[6], float y[6])
{
    const float p = fmaf(-4.0f, x[2], x[4]), q = fmaf(-4.0f, x[1], x[3]);
    const float s = x[4] - x[2], t = x[3] - x[1];
    y[0] = fmaf(4.0f, x[0], fmaf(-5.0f, x[2], x[4]));
    y[1] = p + q;
    y[2] = p - q;
    y[3] = fmaf(2.0f, t, s);
    y[4] = fmaf(-2.0f, t, s);
    y[5] = fmaf(4.0f, x[1], fmaf(-5.0f, x[3], x[5]));
}

/* B' x of a short one: four values, to their positions of the six. */
static inline void winograd_input_short_1d(const float x[4], float y[6])
{
    y[0] = x[0] - x[2];
    y[1] = x[1] + x[2];
    y[2] = x[2] - x[1];
    y[5] = x[3] - x[1];
}

/* A' m of a whole tile of `out` pixels; y has room for four. */
static inline void winograd_output_1d(size_t out, const float m[6], float y[4])
{
    const float s1 = (m[1] + m[2]) * (-1.0f / 6.0f), d1 = (m[1] - m[2]) * (-1.0f / 6.0f);
    const float s2 = m[3] + m[4], d2 = m[3] - m[4];
    y[0] = fmaf(1.0f / 24.0f, s2, fmaf(0.25f, m[0], s1));
    y[1] = fmaf(1.0f / 12.0f, d2, d1);
    y[2] = fmaf(1.0f / 6.0f, s2, s1);
    y[3] = fmaf(1.0f / 3.0f, d2, d1);
    y[out - 1] = y[out - 1] + m[5];
}

/* A' m of a short one. */
static inline void winograd_output_short_1d(const float m[6], float y[2])
{
    y[0] = fmaf(0.5f, m[1] + m[2], m[0]);
    y[1] = fmaf(0.5f, m[1] - m[2], m[5]);
}

#endif
