/* Winograd's F(4x4, 3x3): a 3x3 convolution of stride 1 with 36 multiplications for 16 results
 * instead of 144.
 *
 * The output is cut into tiles of 4x4 pixels; tile (r, c) reads the 6x6 inputs d that begin at row
 * 4r - pad_h, column 4c - pad_w, zeros outside the image.  With g a 3x3 kernel (Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks", 2016; points 0, 1, -1, 2, -2, infinity)
 *
 *     U = G g G',    V = B' d B,    M[i][j] = chain over input channels ascending of
 *     fma(U[i][j], V[i][j], s) from zero,    y = A' M A
 *
 * and the bias is added to y, which is then rounded once.  All of it is float32, in the order of
 * operations of the functions below, columns of a matrix first and then its rows.
 *
 * Where the image ends in a tile some of the 36 are not needed.  Three rows do without the point at
 * infinity.  One or two are computed as F(2, 3): the points 2 and -2 are left out, and infinity
 * with one row.  Columns likewise.
 *
 * G is the values of the kernel's polynomial at the points, without the factors that depend on the
 * other points (1/4, -1/6, -1/6, 1/24, 1/24, 1; 1, 1/2, 1/2, 1 in F(2, 3)): they are in A'.  So U is
 * the same for all tiles, cheap, and as good as exact, since the kernels are binary16.
 *
 * U is made while the program runs, a cache block at a time: in float32 it has eight times the
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
    WINOGRAD_OUT = 4,        /* rows and columns of an output tile */
    WINOGRAD_IN = 6,         /* of an input tile */
    WINOGRAD_POSITIONS = 36, /* elements of an input tile: independent matrix products */
};

static inline size_t winograd_tiles(size_t pixels)
{
    return (pixels + WINOGRAD_OUT - 1) / WINOGRAD_OUT;
}

/* Is a tile computed as F(2, 3) where the image has so many rows (or columns) left, at least 1? */
static inline bool winograd_short(size_t pixels)
{
    return pixels <= 2;
}

/* The rows (or columns) of positions that a tile with 0 .. 4 pixels there takes part in: bit i for
 * row i. */
static inline unsigned winograd_positions(size_t pixels)
{
    static const unsigned char of[WINOGRAD_OUT + 1] = {0, 0x07, 0x27, 0x1f, 0x3f};
    return of[pixels];
}

/* Can the formula compute it? */
bool winograd_possible(const struct conv_geom *g);

/* Is it what computes it?  With few channels the transforms cost more than they save, with few
 * pixels that of the weights does. */
bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout);

/* G x for three values. */
static inline void winograd_weights_1d(const float x[3], float y[6])
{
    const float ends = x[0] + x[2], even = fmaf(4.0f, x[2], x[0]);
    y[0] = x[0];
    y[1] = ends + x[1];
    y[2] = ends - x[1];
    y[3] = fmaf(2.0f, x[1], even);
    y[4] = fmaf(-2.0f, x[1], even);
    y[5] = x[2];
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

/* A' m of a whole tile. */
static inline void winograd_output_1d(const float m[6], float y[4])
{
    const float s1 = (m[1] + m[2]) * (-1.0f / 6.0f), d1 = (m[1] - m[2]) * (-1.0f / 6.0f);
    const float s2 = m[3] + m[4], d2 = m[3] - m[4];
    y[0] = fmaf(1.0f / 24.0f, s2, fmaf(0.25f, m[0], s1));
    y[1] = fmaf(1.0f / 12.0f, d2, d1);
    y[2] = fmaf(1.0f / 6.0f, s2, s1);
    y[3] = fmaf(1.0f / 3.0f, d2, d1) + m[5];
}

/* A' m of a short one. */
static inline void winograd_output_short_1d(const float m[6], float y[2])
{
    y[0] = fmaf(0.5f, m[1] + m[2], m[0]);
    y[1] = fmaf(0.5f, m[1] - m[2], m[5]);
}

#endif
