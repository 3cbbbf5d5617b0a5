/* The kernel table: where graph code and instruction sets meet.
 *
 * A table holds one function per slot of kernels.def, one per micro-op of uops.def, and the block
 * sizes that go with them.  Algorithms above (block_gemm.c, block_conv.c, program/exec.c) never
 * name an instruction set; kernels below know no graph.  All tables give the same bits: the
 * arithmetic of every slot is fixed here and in docs/numerics.md, vector width is only a schedule.
 *
 * Contract of every kernel:
 *   - counts are in elements, any count including 0; strides in elements;
 *   - nothing outside the named ranges is read or written (a guard-page test checks it);
 *   - unaligned pointers are fine; outputs alias inputs only where "in place" is said;
 *   - no allocation, no errors, no globals, single-threaded: threads are above.
 *
 * Arithmetic:
 *   - binary16 inputs are widened exactly; all arithmetic is IEEE float32, contraction off, every
 *     fused multiply-add explicit; results are rounded once to binary16 (nearest even), NaN as
 *     0x7e00;
 *   - max(a, b) below is `a > b ? a : b`, min(a, b) is `a < b ? a : b` (what maxps/minps compute);
 *   - a reduction over n elements is done in blocks of ANF_REDUCE_BLOCK elements; inside a block,
 *     64 virtual lanes start at the identity, lane i takes elements i, i+64, ... in order, then the
 *     lanes are combined pairwise: lane i with i+32, then i+16, 8, 4, 2, 1; the block results are
 *     added in block order, starting from the first block's result.  Lanes past a short row keep
 *     the identity (0 for sums). */
#ifndef ANF_KERNELS_KERN_H
#define ANF_KERNELS_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t f16;

enum {
    ANF_PANEL = 16,          /* columns of a packed panel, the same on every ISA, so that a saved
                                model runs everywhere */
    ANF_REDUCE_LANES = 64,   /* hides the latency of an add on every ISA */
    ANF_REDUCE_BLOCK = 4096, /* elements of one reduction block */
    ANF_TILE = 512,          /* elements of an elementwise tile: 1 KiB an operand, L1-resident */
    ANF_DIRECT_TAPS = 256,   /* of a convolution whose taps are read where they lie */
    ANF_DIRECT_FLOATS = 24 * 1024, /* of its patches: 96 KiB, L2-resident */
    ANF_LANES_PIXELS = 512,  /* of the patch of depthwise_lanes: 32 KiB */
    ANF_LANES_COLUMNS = 256, /* of its input, of which whole rows are turned */
    ANF_POOL_HALVES = (1024 + 8) * ANF_PANEL, /* of the input of avg_pool_planes: 32 KiB */
};

/* ---- conversions and stores ------------------------------------------------------------------ */
typedef void f16_from_f32_fn(const float *x, f16 *y, size_t n);
typedef void f32_from_f16_fn(const f16 *x, float *y, size_t n);
typedef void f16_from_u8_fn(const uint8_t *x, f16 *y, size_t n);
/* y[i] = round(x[i] + bias[i]). */
typedef void add_bias_run_fn(const float *x, const f16 *bias, f16 *y, size_t n);

/* ---- elementwise micro-ops ------------------------------------------------------------------- */
/* y[i] = op(a[i], b[i], c[i]; p).  Unused operands are NULL.  y may be any of the operands (in
 * place). */
typedef void uop_fn(f16 *y, const f16 *a, const f16 *b, const f16 *c, size_t n, const float *p);

/* A chain of micro-ops of one rounding at most (uop_chains), of which each takes up the value that
 * the one before left.  For each element, step after step:
 *     if reads: v = value[a];  v = uop(v, o, value[c]), with the operands v and o as `form` says;
 *     if keeps: value[y] = v
 * and y = v behind the last step.  The bits are those of the separate micro-ops, but that NaN may
 * be any in a kept value.  Operands and y are the same memory or do not overlap. */
enum uop_form {
    UOP_ALONE,   /* one operand */
    UOP_WITH,    /* v, value[b] */
    UOP_SWAPPED, /* value[b], v */
    UOP_SELF,    /* v, v */
};
struct uop_step {
    uint8_t uop, form;
    bool reads, keeps;
    bool a_splat, b_splat; /* all of value[a], value[b] are its first element */
    uint8_t a, b, c, y;
};
typedef void uop_chain_fn(const struct uop_step *steps, size_t n_steps, f16 *const *value, f16 *y,
                          size_t n);

/* ---- matrix multiplication ------------------------------------------------------------------- */
/* Where a tile of a matrix product puts sums that are final, for the columns j < cols:
 *     y[i*ldy + j] = round(s + bias[j]), or round(s) without bias.
 * gemm_tile adds row_bias[i] instead, and nothing for NULL; with relu it puts max(y, 0), as the
 * micro-op does.  any_nan: gemm_tile_rows may leave any
 * NaN for a NaN.  scale, of nv*16 elements: gemm_tile_ahead takes s * scale[j] for s, one float32
 * product. */
struct gemm_out {
    f16 *y;
    size_t ldy;
    const f16 *bias;       /* or NULL, as the other two */
    size_t cols;
    bool any_nan;
    const f16 *scale;
    const float *row_bias;
    bool relu;
};
/* Panels: B [K][N] is stored as [ceil(N / 16)][K][16]; columns past N are zero.
 *
 * A register tile computes, for i < mr, v < nv, j < 16,
 *     s = accumulate ? c[i*ldc + 16v + j] : 0
 *     for k = 0 .. kc-1 ascending:  s = fma(A(i, k), B(v, k, j), s)
 *     c[i*ldc + 16v + j] = s, or with `out` s goes there, and c is not written
 * where A(i, k) = a[k*a_k + i], B(v, k, j) = b[v*b_panel + 16k + j] unless said otherwise, mr and
 * nv are at least 1 and kc may be 0.  Splitting k into several calls does not change a bit, because
 * the float32 accumulator is stored exactly in between.
 *
 *     gemm_tile              B in float32; mr <= table.mr, nv <= table.nv
 *     gemm_tile_ahead        also mr <= table.tall_mr with nv <= table.tall_nv; asks for `ahead`
 *     gemm_tile_widen        the same with B in binary16, widened in registers, and left in float32
 *                            for the strips that follow: wide[v*kc*16 + 16k + j] = B(v, k, j)
 *     gemm_tile_widen_int8,  the same with encoded weights: rows k0 .. k0+kc-1 of nv panels that
 *     gemm_tile_widen_int4   follow each other, of which `weights` is the first; k0 is a multiple
 *                            of 8.  b is not read
 *     gemm_tile_f16          B in binary16, for few rows, where it is read once:
 *                            mr <= table.few_rows, mr * nv <= table.mr * table.nv; mr = 1 takes up
 *                            to table.row_nv panels, to hide the latency of the chain
 *     gemm_tile_rows         A as it lies, A(i, k) = a[i*a_k + k], for attention;
 *                            mr <= table.rows_mr, nv <= table.rows_nv.  May do some of `beside`, in
 *                            units of the CPU that multiply-adds leave idle
 *     gemm_tile_taps,        of gemm_tile and gemm_tile_widen, A(i, k) = a[taps[k] + i], for
 *     gemm_tile_taps_widen   convolutions; sums only, nothing is asked for */
struct gemm_tile {
    size_t kc;
    const float *a;
    size_t a_k;
    const void *b;
    size_t b_panel; /* from panel to panel, in what B consists of */
    size_t b_ahead; /* bytes, as weight_panel.ahead; of gemm_tile_f16 with mr = 1 */
    float *c;
    size_t ldc;
    bool accumulate;
    const struct gemm_out *out; /* or NULL */
    float *wide;
    const struct gemm_ahead *ahead;
    const struct weight_panel *weights;
    size_t k0;
    const uint32_t *taps;
    struct softmax_rows *beside; /* or NULL */
};
typedef void gemm_tile_fn(size_t mr, size_t nv, const struct gemm_tile *tile);
/* Memory that somebody will need soon, for a tile to ask for on its way: kc*step elements at +
 * v*panel, v < nv, step <= 16.  Nothing is read there. */
struct gemm_ahead {
    const f16 *at;
    size_t panel, step;
};
/* Packed rows: n of them in strips of h, the last one what is left, k in slices of kc alike.  The
 * slice from k0 on of the strip from row i on, of m rows and nk k's, begins at + k0*n + i*nk with m
 * rows for every k.  Up to GEMM_SLACK floats after them are read. */
struct gemm_rows {
    const float *at;
    size_t n, h, k, kc;
};
enum { GEMM_SLACK = 16 };
/* The same for the first out->cols columns of one binary16 panel, one by one, with vectors along
 * the rows: a tile would spend a whole panel on them. */
typedef void gemm_columns_fn(const struct gemm_rows *a, const f16 *b, const struct gemm_out *out);
/* One panel of encoded weights; weight_panels.h has the layouts and says what a weight is.  W[k][j]
 * below is the weight of row k and column j in float32; in int8 panels it is the integer, and
 * scale_columns or gemm_out.scale ends the sum. */
struct weight_panel {
    const void *w, *side;
    size_t k, block; /* rows of the whole panel; rows that share a scale (blockwise) */
    size_t ahead;    /* bytes from what is read to the cache lines that are asked for meanwhile:
                        table.weights_ahead */
};
/* b[16i + j] = W[k0 + i][j] for i < kc. */
typedef void widen_weights_fn(const struct weight_panel *panel, size_t k0, size_t kc, float *b);
/* gemm_tile from zero over all k rows of nv panels, expanded in registers: for few rows, where B is
 * read once.  A is [k][mr], of widened binary16.  mr = 1 takes up to table.row_nv panels, of int4
 * and lists, which have more latency to hide, up to table.mr.  Lists want mr = 1. */
enum { WEIGHT_TILE_PANELS = 8 }; /* the most of any table */
typedef void gemm_tile_weights_fn(size_t mr, size_t nv, const float *a,
                                  const struct weight_panel *panels, float *c, size_t ldc);
/* Many rows with the non-zeros of sparse_t panels, column by column.  For a group of rows, from k0
 * on (a multiple of 64) kc of them (64, or what is left), and the columns j < 16*n_panels of panels
 * that follow each other,
 *     s = k0 ? c[j*ldc + i] : 0;  for k < kc ascending:  s = fma(a[k*a_k + i], W[k0 + k][j], s)
 *     c[j*ldc + i] = s, or with `out`, of which y, ldy, bias and cols are read, s goes there
 * for i < m <= table.sparse_rows.  Rows of A and of sums are read, and of sums written, in whole
 * vectors: ldc is a multiple of 16, and so many floats are there behind the last row. */
struct sparse_slice {
    const float *a;
    size_t m, a_k, k0, kc, ldc;
};
typedef void gemm_sparse_t_fn(const struct sparse_slice *s, const struct weight_panel *panels,
                              size_t n_panels, float *c, const struct gemm_out *out);
/* x[i] = x[i] * widen(scale[i]), in float32. */
typedef void scale_columns_fn(float *x, const f16 *scale, size_t n);
/* a[k*a_k + i] = widen(x[i*ldx + k]) for i < m, k < kc.  m <= a_k.  Entries i >= m stay
 * unwritten. */
typedef void pack_rows_fn(const f16 *x, size_t ldx, size_t m, size_t kc, float *a, size_t a_k);
/* b[v*b_panel + 16k + j] = widen(x[k*ldx + 16v + j]), zero where 16v + j >= n; v < ceil(n / 16). */
typedef void pack_panels_fn(const f16 *x, size_t ldx, size_t kc, size_t n, float *b,
                            size_t b_panel);
/* b[v*b_panel + 16k + j] = widen(x[(16v + j)*ldx + k]), zero where 16v + j >= n. */
typedef void pack_panels_t_fn(const f16 *x, size_t ldx, size_t kc, size_t n, float *b,
                              size_t b_panel);

/* ---- convolution ----------------------------------------------------------------------------- */
/* Geometry of one image and one group.  The reduction index is k = (ci*kh + u)*kw + v, ascending;
 * the pixel index is p = oy*out_w + ox.  Tap (u, v) of pixel (oy, ox) reads the input at
 *     y = oy*stride_h - pad_h + u*dil_h,   x = ox*stride_w - pad_w + v*dil_w
 * and zero outside. */
struct conv_geom {
    size_t cin;              /* input channels of the group */
    size_t in_h, in_w;
    size_t out_h, out_w;
    size_t kh, kw;
    size_t stride_h, stride_w;
    size_t dil_h, dil_w;
    ptrdiff_t pad_h, pad_w;  /* may be negative (transposed convolution) */
};
/* b[v*b_panel + 16k' + j] = widen(tap k0 + k' of pixel p0 + 16v + j) for k' < kc, 16v + j < np;
 * zero in the rest of the last panel.  x is [cin][in_h][in_w]. */
typedef void conv_gather_fn(const struct conv_geom *g, const f16 *x, size_t k0, size_t kc,
                            size_t p0, size_t np, float *b, size_t b_panel);
/* planes[i*room + ..] = the patch (conv_patch.h) of plane i < n_planes of x, widened, for the
 * output rows oy0 .. oy0+n_oy-1; there is a plan for them, and room is its conv_patch_room. */
typedef void conv_planes_fn(const struct conv_geom *g, const f16 *x, size_t n_planes, size_t oy0,
                            size_t n_oy, float *planes);
/* y[c*y_channel + p] = round(s[p*ld + c] + bias[c]), bias NULL: without the addition, for p < n and
 * c < n_channels; with relu, max(y, 0), as the micro-op does.  s is read in channels of sixteen. */
typedef void store_planes_fn(const float *s, size_t ld, size_t n, const f16 *bias,
                             size_t n_channels, bool relu, f16 *y, size_t y_channel);
/* Few taps.  For each of n_groups groups, which follow each other in x, f->w, f->bias and y, its
 * output channels c < cout and the pixels p of the output rows oy0 <= oy < oy1
 *     y[c*out_h*out_w + p] = round(chain of fma over k ascending from 0, + bias[c])
 * or, with relu, max(y, 0), as the micro-op does; with weights w[(c/16*n + k)*w_k + c%16] of
 * n = cin*kh*kw taps; w_k is 16, or 1 where cout is 1.  `scratch` is ANF_DIRECT_FLOATS. */
struct conv_filters {
    const float *w, *bias; /* bias: or NULL */
    size_t w_group, w_k, cout, n_groups;
    bool relu;
};
typedef void conv_direct_fn(const struct conv_geom *g, const f16 *x, const struct conv_filters *f,
                            f16 *y, size_t oy0, size_t oy1, float *scratch);

/* Depthwise, of n_planes <= 16 neighbouring planes and their filters w[k*16 + plane]: all rows as
 * conv_direct makes them, bias as in store_planes.  conv_lanes_rows (conv_patch.h) is not 0;
 * `scratch` is ANF_LANES_PIXELS * 16. */
typedef void depthwise_lanes_fn(const struct conv_geom *g, const f16 *x, const float *w,
                                const f16 *bias, bool relu, size_t n_planes, f16 *y,
                                float *scratch);

/* Winograd, see winograd.h for the formulas.
 *
 * Tiles in which an image ends take part in some positions only.  So tiles are numbered by kind,
 * first[bottom][right] being the first one of a kind: bottom, whether the image ends in its rows;
 * right, whether in its columns.  The kinds lie such that the tiles of any position are neighbours.
 * Within a kind tiles are numbered by rows. */
struct winograd_places {
    size_t first[2][2];
    size_t pitch;        /* whole tiles of a row */
};
static inline size_t winograd_place(const struct winograd_places *p, bool bottom, bool right,
                                    size_t row, size_t col)
{
    return p->first[bottom][right] + (bottom ? 0 : row * (right ? 1 : p->pitch)) +
           (right ? 0 : col);
}
struct winograd_range {
    size_t first, n;
};
struct winograd_form; /* what winograd_form makes of the geometry */
/* Input: V of the tiles of channels first .. first+channels-1 of winograd.h, first a multiple of 16
 * and channels <= 16, of the image x; rows row .. row+n_rows-1 and columns col .. col+n_cols-1:
 *     v[(in*i + j)*v_pos + t*v_tile + c] = V[i][j] of channel first + c, tile (row + r, col + s)
 * with t = winograd_place() of row r, column s, where the tile takes part in position (i, j); what
 * else there is of a tile may be written. */
typedef void winograd_input_fn(const struct conv_geom *g, const struct winograd_form *f,
                               const f16 *x, size_t first, size_t channels, size_t row,
                               size_t n_rows, size_t col, size_t n_cols,
                               const struct winograd_places *places, float *v, size_t v_pos,
                               size_t v_tile);
/* All rows of U, n_rows = in, row = 0, or, if winograd_has_rows, two of them, row even; of the
 * kernels of sixteen output channels j in w, [cin][kh][kw][16] as packed, for c < n:
 *     u[(in*i + k)*u_pos + 16c + j] = U[row + i][k] of channel first + c */
typedef void winograd_weights_fn(const struct conv_geom *g, const struct winograd_form *f,
                                 const f16 *w, size_t first, size_t n, size_t row, size_t n_rows,
                                 float *u, size_t u_pos);
/* The products of few tiles of F(4x4, 3x3) with kernels of stride 1, for which U is made and used
 * in L1.  With U of the n kernels of sixteen output channels j in w, for all positions p and the
 * tiles t of tiles[p], which are some of n_tiles <= table.few_rows,
 *     s = 0;  for ci = 0 .. n-1 ascending:  s = fma(U[p] of (ci, j), V[p] of (ci, t), s)
 *     m[p*m_pos + 16t + j] = s
 * V is [ceil(n / 16)][36][n_tiles][16], so that what is used together lies together. */
typedef void winograd_few_fn(const f16 *w, size_t n, const float *v, size_t n_tiles,
                             const struct winograd_range *tiles, float *m, size_t m_pos);
/* Output of n_tiles neighbouring tiles of one row of tiles, for n_channels <= 16 channels c:
 *     y[c*y_channel + i*y_row + out*t + j] = round((A' M A)[i][j] of tile t + bias[c])
 * or, with relu, max(y, 0), as the micro-op does, for i < rows <= out and out*t + j < cols, with
 * M[i][j] = m[(in*i + j)*m_pos + t*m_tile + c], or that of `last` for the last tile; all sixteen
 * channels are read.  What rows and cols leave of a tile of 4x4 or 6x6 tells how it was made. */
struct winograd_output {
    size_t in, out; /* rows and columns of positions, of pixels of a tile */
    size_t m_pos, m_tile, y_channel, y_row;
    bool relu;
};
typedef void winograd_output_fn(const struct winograd_output *o, const float *m, const float *last,
                                size_t n_tiles, const f16 *bias, size_t n_channels, f16 *y,
                                size_t rows, size_t cols);

/* ---- rows ------------------------------------------------------------------------------------ */
/* Rows are contiguous: row r is x + r*n. */
/* mean = sum / (float)n.  max and min: lanes start at -inf / +inf and take max(lane, x), so the
 * later of two equal elements (zeros of different sign) stays; a row with a NaN gives NaN. */
typedef void reduce_fn(const f16 *x, size_t rows, size_t n, f16 *y);
/* m = max of row, e_j = v_exp2_16th(fma(x_j, c, -(m * c))) with c = 16 log2(e), s = sum e
 * (reduction order above), y_j = round(e_j * (1 / s)).  A row of which the maximum is -inf, or
 * +inf, or NaN gives NaN where the formula does. scratch: softmax_floats(n) of them.  In place. */
typedef void softmax_fn(const f16 *x, f16 *y, size_t rows, size_t n, float *scratch);
static inline size_t softmax_floats(size_t n)
{
    return n > ANF_REDUCE_BLOCK ? n : ANF_REDUCE_BLOCK; /* short rows are taken several at once */
}
/* The same for the columns of a matrix x[n][cols] of row stride ld: y[c] is the reduction of column
 * c, and column c of y[n][cols], of the same stride and in place if wanted, its softmax, for which
 * n is at most ANF_COLUMN_MAX.  scratch: softmax_columns_floats(n) of them. */
typedef void reduce_columns_fn(const f16 *x, size_t ld, size_t n, size_t cols, f16 *y);
typedef void softmax_columns_fn(const f16 *x, f16 *y, size_t ld, size_t n, size_t cols,
                                float *scratch);
enum {
    ANF_COLUMN_PANEL = 64,
    ANF_COLUMN_MAX = 1024, /* so that a panel of a softmax, 256 KiB in float32, stays in L2 */
};
static inline size_t softmax_columns_floats(size_t n)
{
    return n * ANF_COLUMN_PANEL;
}
struct norm_args {
    const f16 *gamma, *beta; /* NULL: 1 and 0 (no multiplication, no addition) */
    /* element j of row r has affine index ((first_row + r) % row_period)*per_row + j / run; the
     * others are at least 1 */
    size_t first_row, run, per_row, row_period;
    float eps;
};
/* l2_norm:    y = x * (1 / sqrt(ss + eps)),              ss = sum of fma-free squares x*x
 * rms_norm:   y = (x * (1 / sqrt(ss / n + eps))) * gamma
 * layer_norm: m = sum / n, d = x - m, q = sum of d*d, t = d * (1 / sqrt(q / n + eps)),
 *             y = fma(t, gamma, beta)   (t * gamma, t + beta where only one is given)
 * gamma/beta apply to every kind where given.  In place. */
typedef void norm_fn(const f16 *x, f16 *y, size_t rows, size_t n, const struct norm_args *args);
/* y[i] = round(fma(x[i] - mean, scale, shift)).  In place. */
typedef void channel_affine_fn(const f16 *x, f16 *y, size_t n, float mean, float scale,
                               float shift);

/* ---- pooling --------------------------------------------------------------------------------- */
/* One plane; only in_*, out_*, kh, kw, stride_*, pad_* of the geometry are read; rows oy0 <= oy <
 * oy1.
 * max: an element takes the place of a smaller one, +0 that of -0, a NaN of any; padded cells never
 * win.
 * avg: taps added in order u, v (padding as zeros), then divided by (float)(kh*kw); stride_w is 1
 * or 2. */
typedef void pool_fn(const struct conv_geom *g, const f16 *x, f16 *y, size_t oy0, size_t oy1);
/* The same averages with any stride, of n_planes <= 16 planes: plane i is x + i*x_plane, and its
 * results are y + i*out_h*out_w.  `scratch` is ANF_POOL_HALVES. */
typedef void pool_planes_fn(const struct conv_geom *g, const f16 *x, size_t x_plane,
                            size_t n_planes, f16 *y, size_t oy0, size_t oy1, f16 *scratch);

/* ---- moves ----------------------------------------------------------------------------------- */
/* y[c*ldy + r] = x[r*ldx + c] for r < rows, c < cols. */
typedef void transpose_fn(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows, size_t cols);

/* ---- attention ------------------------------------------------------------------------------- */
/* On `rows` rows of n scores (row stride ld), in place, what the separate operators do: if scaled,
 * s = round(s * scale); if mask, s = round(s + mask[j]).  top[r] becomes the maximum of row r, of
 * zeros any, and anything where the row has a NaN.  scale is a binary16 value; mask row r is mask +
 * r*mask_ld, and a NULL mask adds nothing. */
typedef void score_rows_fn(f16 *s, size_t ld, size_t rows, size_t n, bool scaled, float scale,
                           const f16 *mask, size_t mask_ld, float *top);
/* Rows of scores on their way to a softmax: those of row r, s[r*ld + j], become exponentials
 *     e[r*ld + j] = v_exp2_16th(fma(x, factor, shift[r])),  x = s[r*ld + j] + off - off
 * and then, with shift[r] = 1 / the sum of the row, shares:
 *     e[r*ld + j] = e[r*ld + j] * shift[r]
 * rounded to binary16 and widened (of NaN, only that it is one).
 * Both go by groups of ANF_REDUCE_LANES, row by row; what rows have beyond whole groups comes
 * last.  Of exponentials that are done the row's lanes, lanes[r*ANF_REDUCE_LANES + i], have the
 * sums. */
struct softmax_rows {
    const f16 *s;
    float *e;
    size_t ld, rows, n;
    float factor, off;
    float *shift, *lanes;
    bool summed;   /* groups become shares now */
    size_t groups; /* of a row; 0 where rows are longer than ANF_REDUCE_BLOCK */
    size_t row, group; /* the next one */
};
/* Sets factor, off, shift, summed and groups, and begins with row 0.  shift[r] is the maximum of
 * row r before, as score_rows finds it.  If scaled, the softmax is that of round(s * scale), for a
 * scale that is a power of two from 2^-14 to 1, and maxima are not asked for. */
typedef void score_start_fn(struct softmax_rows *rows, bool scaled, float scale);
/* The exponentials that are not done, and the sums; then no share is done. */
typedef void score_sums_fn(struct softmax_rows *rows);
/* All that is not done.  Afterwards the shares are complete. */
typedef void score_softmax_fn(struct softmax_rows *rows);

/* ---- the table ------------------------------------------------------------------------------- */
enum uop {
#define U(name, n_in, n_p, doc) UOP_##name,
#include "kernels/uops.def"
#undef U
    UOP_COUNT
};

struct kern {
    const char *name;   /* "ref", "avx2", "avx512", "avx512fp16", "neon" */
    const char *needs;  /* CPU features, for messages and `aneforge info` */
    bool (*available)(void);
    size_t mr, nv;      /* largest register tile: mr rows, nv panels */
    size_t tall_mr, tall_nv; /* of gemm_tile_ahead and _widen: at least mr, at most nv */
    size_t row_nv;      /* panels of a single row: at least nv, at most mr */
    size_t few_rows;    /* most rows of gemm_tile_f16, tiles of winograd_few; at least mr */
    size_t sparse_rows; /* most rows of gemm_sparse_t */
    size_t rows_mr, rows_nv; /* the same of gemm_tile_rows */
    bool rows_beside;        /* whether it works on `beside` */
    bool score_halves;       /* whether score_rows computes in binary16: cheaper than a scale in
                                score_start */
    size_t kc;          /* k-block: a B sliver of nv panels stays in L1 */
    size_t tall_kc;     /* the same of tall_nv panels */
    size_t mc, nc;      /* row and column blocks of the drivers (nc a multiple of 16) */
    size_t l2_floats;   /* of packed rows that stay in L2 beside what else is there */
    /* How far ahead lines are asked for, in bytes, where a single row, or encoded weights, take
     * many panels side by side. */
    size_t weights_ahead;
    uop_fn *uops[UOP_COUNT];
#define K(slot, type, doc) type *slot;
#include "kernels/kernels.def"
#undef K
};

/* The tile sizes of a table, which the files of common/ define in an ISA file. */
#define KERN_TILES                                                                                 \
    .mr = TILE_MR, .nv = TILE_NV, .tall_mr = TALL_MR, .tall_nv = TALL_NV, .row_nv = ROW_NV,        \
    .few_rows = TILE_FEW, .sparse_rows = SPARSE_ROWS, .rows_mr = ROWS_MR, .rows_nv = ROWS_NV

/* Best first; the last, "ref", is always available. NULL-terminated. */
extern const struct kern *const kern_tables[];

/* The table called `name`, or the best available one for NULL. NULL if unknown or not available. */
const struct kern *kern_select(const char *name);

struct uop_info {
    const char *name;
    int n_in, n_params;
};
extern const struct uop_info uop_info[UOP_COUNT];

/* Whether a chain may hold it: the micro-ops of common/uops_exact.inc.c. */
extern const bool uop_chains[UOP_COUNT];

#endif
