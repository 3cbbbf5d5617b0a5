/* Winograd's convolution: a square of outputs from the products of 64 pairs of numbers, where
 * direct sums take 324 for a 3x3 kernel, or of 36, where they take 144.
 *
 * A kernel of 3, 4 or 5 taps a side meets tiles of 4x4, 3x3 or 2x2 pixels: F(4x4, 3x3), F(3x3, 4x4)
 * and F(2x2, 5x5) in the terms of Lavin and Gray ("Fast Algorithms for Convolutional Neural
 * Networks", 2016).  All read 6x6 inputs and have the points 0, 1, -1, 2, -2 and infinity, so that
 * what they do with the input is the same.  In large images 3 taps meet tiles of 6x6 pixels:
 * F(6x6, 3x3), with 8x8 inputs and the points 1/2 and -1/2 besides.  Tile (r, c) of n x n pixels
 * reads the inputs d that begin at row n*r - pad_h, column n*c - pad_w, zeros outside the image.
 * With g a kernel,
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
 * Where the image ends in a tile of 3 taps fewer positions do.  Its rows of pixels are computed as
 * those of a smaller tile: one or two as F(2, 3), three or four as F(4, 3), which have no points 2
 * and -2, 1/2 and -1/2.  An odd number of them does without the point at infinity.  Columns
 * likewise.
 *
 * G is the values of the kernel's polynomial at the points (at 1/2 and -1/2 four times them),
 * without the factors that depend on the other points: 1/4, -1/6, -1/6, 1/24, 1/24, 1 in F(4, 3),
 * they are in A'.  So U is the same for all tiles, cheap, and as good as exact, since the kernels
 * are binary16.
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
    WINOGRAD_IN = 8,         /* the most rows and columns of an input tile; the other tiles have */
    WINOGRAD_SMALL_IN = 6,   /* so many */
    WINOGRAD_POSITIONS = 64, /* elements of the largest: independent matrix products */
    WINOGRAD_OUT = 6,        /* the most rows and columns of an output tile */
    WINOGRAD_TAPS = 5,       /* the most of a phase's kernel */
    WINOGRAD_STRIDE = 4,     /* the largest */
};

/* What follows from the shape. */
struct winograd_form {
    size_t stride, phases;      /* phases: stride * stride */
    size_t channels;            /* of all phases of the input */
    size_t in, taps, out;       /* rows and columns of an input tile, of a phase's kernel, of an
                                 * output tile */
    size_t tile_rows, tile_cols;
    size_t rest_rows, rest_cols; /* of pixels that the last tiles have; 0: as all others */
};

/* Of a convolution that winograd_possible allows; cout output channels. */
struct winograd_form winograd_form(const struct conv_geom *g, size_t cout);

/* Rows (or columns) of the input that a tile with so many of pixels reads; as many as of the
 * positions that it takes part in, which are one less where the pixels are odd. */
static inline size_t winograd_span(size_t in, size_t out, size_t pixels)
{
    const bool parted = in + 1 - out == 3; /* smaller tiles are not worth it */
    return parted && pixels < out ? (pixels + 1) / 2 * 2 + 2 : in;
}

/* The position of element k of such a tile: the last one is the point at infinity. */
static inline size_t winograd_position(size_t in, size_t span, size_t k)
{
    return k + 1 < span ? k : in - 1;
}

/* The rows (or columns) of positions that a last tile takes part in, bit i for row i; rest as in
 * the form. */
static inline unsigned winograd_positions(const struct winograd_form *f, size_t rest)
{
    const size_t span = rest ? winograd_span(f->in, f->out, rest) : f->in;
    return ((1u << (span - 1)) - 1) | (rest % 2 ? 0 : 1u << (f->in - 1));
}

/* Kernels of 3x3 taps, as they lie: winograd_weights can make rows of their U. */
static inline bool winograd_has_rows(const struct winograd_form *f)
{
    return f->stride == 1 && f->taps == 3;
}

/* And tiles of 4x4: winograd_few has them. */
static inline bool winograd_may_be_few(const struct winograd_form *f)
{
    return winograd_has_rows(f) && f->in == WINOGRAD_SMALL_IN;
}

/* Can the formula compute it? */
bool winograd_possible(const struct conv_geom *g);

/* Is it what computes it?  With few channels the transforms of input and output cost more than they
 * save, with few pixels that of the weights does. */
bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout);

/* G x for `taps` values: `in` ones, by position.  Eight have three taps. */
static inline void winograd_weights_1d(size_t in, size_t taps, const float *x,
                                       float y[WINOGRAD_IN])
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
    if (in == 8) {
        const float even_half = fmaf(4.0f, x[0], x[2]);
        y[5] = fmaf(2.0f, x[1], even_half);
        y[6] = fmaf(-2.0f, x[1], even_half);
    }
    y[in - 1] = x[taps - 1];
}

/* B' x of a tile that reads `span` values: so many. */
static inline void winograd_input_1d(size_t span, const float x[WINOGRAD_IN], float y[WINOGRAD_IN])
{
    if (span == 4) {
        y[0] = x[0] - x[2];
        y[1] = x[1] + x[2];
        y[2] = x[2] - x[1];
        y[3] = x[3] - x[1];
    } else if (span == 6) {
        const float p = fmaf(-4.0f, x[2], x[4]), q = fmaf(-4.0f, x[1], x[3]);
        const float s = x[4] - x[2], t = x[3] - x[1];
        y[0] = fmaf(4.0f, x[0], fmaf(-5.0f, x[2], x[4]));
        y[1] = p + q;
        y[2] = p - q;
        y[3] = fmaf(2.0f, t, s);
        y[4] = fmaf(-2.0f, t, s);
        y[5] = fmaf(4.0f, x[1], fmaf(-5.0f, x[3], x[5]));
    } else {
        const float p = fmaf(-4.25f, x[4], x[2] + x[6]), q = fmaf(-4.25f, x[3], x[1] + x[5]);
        const float s = fmaf(0.25f, x[2], fmaf(-1.25f, x[4], x[6]));
        const float t = fmaf(0.25f, x[1], fmaf(-1.25f, x[3], x[5]));
        const float u = fmaf(4.0f, x[2], fmaf(-5.0f, x[4], x[6]));
        const float v = fmaf(4.0f, x[1], fmaf(-5.0f, x[3], x[5]));
        y[0] = fmaf(5.25f, x[4] - x[2], x[0] - x[6]);
        y[1] = p + q;
        y[2] = p - q;
        y[3] = fmaf(2.0f, t, s);
        y[4] = fmaf(-2.0f, t, s);
        y[5] = fmaf(0.5f, v, u);
        y[6] = fmaf(-0.5f, v, u);
        y[7] = fmaf(5.25f, x[3] - x[5], x[7] - x[1]);
    }
}

/* A' m of such a tile, if the whole ones have `out` pixels: as many as it has, to y, which has room
 * for six.  Of an odd number one more is written, which is none. */
static inline void winograd_output_1d(size_t span, size_t out, const float m[WINOGRAD_IN],
                                      float y[WINOGRAD_OUT])
{
    if (span == 4) {
        y[0] = fmaf(0.5f, m[1] + m[2], m[0]);
        y[1] = fmaf(0.5f, m[1] - m[2], m[3]);
    } else if (span == 6) {
        const float s1 = (m[1] + m[2]) * (-1.0f / 6.0f), d1 = (m[1] - m[2]) * (-1.0f / 6.0f);
        const float s2 = m[3] + m[4], d2 = m[3] - m[4];
        y[0] = fmaf(1.0f / 24.0f, s2, fmaf(0.25f, m[0], s1));
        y[1] = fmaf(1.0f / 12.0f, d2, d1);
        y[2] = fmaf(1.0f / 6.0f, s2, s1);
        y[3] = fmaf(1.0f / 3.0f, d2, d1);
        const size_t last = out < 4 ? out - 1 : 3;
        y[last] = y[last] + m[5];
    } else {
        const float s1 = (m[1] + m[2]) * (-2.0f / 9.0f), d1 = (m[1] - m[2]) * (-2.0f / 9.0f);
        const float s2 = m[3] + m[4], d2 = m[3] - m[4], s3 = m[5] + m[6], d3 = m[5] - m[6];
        y[0] = fmaf(8.0f / 45.0f, s3, fmaf(1.0f / 90.0f, s2, m[0] + s1));
        y[1] = fmaf(4.0f / 45.0f, d3, fmaf(1.0f / 45.0f, d2, d1));
        y[2] = fmaf(2.0f / 45.0f, s3, fmaf(2.0f / 45.0f, s2, s1));
        y[3] = fmaf(1.0f / 45.0f, d3, fmaf(4.0f / 45.0f, d2, d1));
        y[4] = fmaf(1.0f / 90.0f, s3, fmaf(8.0f / 45.0f, s2, s1));
        y[5] = fmaf(1.0f / 180.0f, d3, fmaf(16.0f / 45.0f, d2, d1)) + m[7];
    }
}

#endif
