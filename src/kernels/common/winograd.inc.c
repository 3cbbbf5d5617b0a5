/* Winograd's convolution: the transforms, see winograd.h.
 *
 * Sixteen channels are the lanes everywhere, so that nothing is shuffled inside a transform and no
 * number of tiles wastes lanes.
 *
 * Input: the planes are turned first, sixteen channels of a pixel side by side, while their
 * elements are still small.  The columns of a row of tiles are transformed once for the tiles that
 * share them.
 *
 * Output: tiles are rounded, and the pixels of eight of them turned at once, row by row.
 *
 * `span`, of rows or of columns, is that of winograd.h: a constant where something is unrolled, so
 * that a smaller tile costs what it has. */
enum {
    WINO_COLS = 8,     /* tiles of a row transformed together, if they have no more columns than */
    WINO_WIDTH = 34,
    WINO_PIXELS = 640, /* turned together: 20 KiB */
    WINO_RUN = 8,      /* tiles stored together, */
    WINO_ROW = WINOGRAD_OUT * WINO_RUN, /* the most pixels of a row of them */
    WINO_FEW_POSITIONS = WINOGRAD_SMALL_IN * WINOGRAD_SMALL_IN,
    WINO_FEW_U = WINO_FEW_POSITIONS * 8, /* and input channels whose U is in L1: 18 KiB */
};

VFN void ISA(wino_input_1d)(size_t span, const vf *x, vf *y)
{
    const vf two = v_set(2.0f), four = v_set(4.0f), five = v_set(5.0f);
    if (span == 4) {
        y[0] = v_sub(x[0], x[2]);
        y[1] = v_add(x[1], x[2]);
        y[2] = v_sub(x[2], x[1]);
        y[3] = v_sub(x[3], x[1]);
    } else if (span == 6) {
        const vf p = v_fnma(four, x[2], x[4]), q = v_fnma(four, x[1], x[3]);
        const vf s = v_sub(x[4], x[2]), t = v_sub(x[3], x[1]);
        y[0] = v_fma(four, x[0], v_fnma(five, x[2], x[4]));
        y[1] = v_add(p, q);
        y[2] = v_sub(p, q);
        y[3] = v_fma(two, t, s);
        y[4] = v_fnma(two, t, s);
        y[5] = v_fma(four, x[1], v_fnma(five, x[3], x[5]));
    } else {
        const vf quarter = v_set(0.25f), half = v_set(0.5f);
        const vf by_ends = v_set(5.25f), by_one = v_set(4.25f), by_two = v_set(1.25f);
        const vf p = v_fnma(by_one, x[4], v_add(x[2], x[6]));
        const vf q = v_fnma(by_one, x[3], v_add(x[1], x[5]));
        const vf s = v_fma(quarter, x[2], v_fnma(by_two, x[4], x[6]));
        const vf t = v_fma(quarter, x[1], v_fnma(by_two, x[3], x[5]));
        const vf u = v_fma(four, x[2], v_fnma(five, x[4], x[6]));
        const vf v = v_fma(four, x[1], v_fnma(five, x[3], x[5]));
        y[0] = v_fma(by_ends, v_sub(x[4], x[2]), v_sub(x[0], x[6]));
        y[1] = v_add(p, q);
        y[2] = v_sub(p, q);
        y[3] = v_fma(two, t, s);
        y[4] = v_fnma(two, t, s);
        y[5] = v_fma(half, v, u);
        y[6] = v_fnma(half, v, u);
        y[7] = v_fma(by_ends, v_sub(x[3], x[5]), v_sub(x[7], x[1]));
    }
}

VFN void ISA(wino_output_1d)(size_t span, size_t out, const vf *m, vf *y)
{
    if (span == 4) {
        const vf half = v_set(0.5f);
        y[0] = v_fma(half, v_add(m[1], m[2]), m[0]);
        y[1] = v_fma(half, v_sub(m[1], m[2]), m[3]);
    } else if (span == 6) {
        const vf sixth = v_set(-1.0f / 6.0f);
        const vf s1 = v_mul(v_add(m[1], m[2]), sixth), d1 = v_mul(v_sub(m[1], m[2]), sixth);
        const vf s2 = v_add(m[3], m[4]), d2 = v_sub(m[3], m[4]);
        y[0] = v_fma(v_set(1.0f / 24.0f), s2, v_fma(v_set(0.25f), m[0], s1));
        y[1] = v_fma(v_set(1.0f / 12.0f), d2, d1);
        y[2] = v_fnma(sixth, s2, s1);
        y[3] = v_fma(v_set(1.0f / 3.0f), d2, d1);
        const size_t last = out < 4 ? out - 1 : 3;
        y[last] = v_add(y[last], m[5]);
    } else {
        const vf by_one = v_set(-2.0f / 9.0f);
        const vf by_90 = v_set(1.0f / 90.0f), by_45 = v_set(1.0f / 45.0f);
        const vf by_2_45 = v_set(2.0f / 45.0f), by_4_45 = v_set(4.0f / 45.0f);
        const vf by_8_45 = v_set(8.0f / 45.0f);
        const vf s1 = v_mul(v_add(m[1], m[2]), by_one), d1 = v_mul(v_sub(m[1], m[2]), by_one);
        const vf s2 = v_add(m[3], m[4]), d2 = v_sub(m[3], m[4]);
        const vf s3 = v_add(m[5], m[6]), d3 = v_sub(m[5], m[6]);
        y[0] = v_fma(by_8_45, s3, v_fma(by_90, s2, v_add(m[0], s1)));
        y[1] = v_fma(by_4_45, d3, v_fma(by_45, d2, d1));
        y[2] = v_fma(by_2_45, s3, v_fma(by_2_45, s2, s1));
        y[3] = v_fma(by_45, d3, v_fma(by_4_45, d2, d1));
        y[4] = v_fma(by_90, s3, v_fma(by_8_45, s2, s1));
        y[5] = v_add(v_fma(v_set(1.0f / 180.0f), d3, v_fma(v_set(16.0f / 45.0f), d2, d1)), m[7]);
    }
}

/* The part of a plane that some tiles read, turned: rows y0 .. y1-1, columns x0 .. x1-1. */
struct ISA(wino_pixels) {
    ptrdiff_t y0, y1, x0, x1;
    _Alignas(64) f16 pixel[(WINO_PIXELS + 8) * ANF_PANEL]; /* turn_rows writes eight at a time */
};

static void ISA(wino_load)(const struct conv_geom *g, const f16 *x, size_t channels,
                           struct ISA(wino_pixels) *p)
{
    const size_t plane = g->in_h * g->in_w, width = (size_t)(p->x1 - p->x0);
    const size_t rows = (size_t)(p->y1 - p->y0);
    x += (size_t)p->y0 * g->in_w + (size_t)p->x0;
    if (width == g->in_w) {
        ISA(turn_planes)(x, plane, channels, rows * width, p->pixel);
        return;
    }
    for (size_t y = 0; y < rows; y++)
        ISA(turn_planes)(x + y * g->in_w, plane, channels, width,
                       p->pixel + y * width * ANF_PANEL);
}

/* The same of the phases of a convolution with a stride, channels first .. first+channels-1 of
 * winograd.h, with the zeros around the image; places are those of the padded phases. */
static void ISA(wino_load_phases)(const struct conv_geom *g, const f16 *x, size_t first,
                                  size_t channels, struct ISA(wino_pixels) *p)
{
    const size_t stride = g->stride_w, plane = g->in_h * g->in_w;
    const size_t width = (size_t)(p->x1 - p->x0), line = stride * width;
    /* A line is a row of the input, parted into the phases it is of. */
    const size_t line0 = first / stride, n_lines = (first + channels - 1) / stride - line0 + 1;
    const ptrdiff_t x0 = p->x0 * (ptrdiff_t)stride - g->pad_w, in_w = (ptrdiff_t)g->in_w;
    const ptrdiff_t begin = x0 > 0 ? x0 : 0;
    const ptrdiff_t end = x0 + (ptrdiff_t)line < in_w ? x0 + (ptrdiff_t)line : in_w;
    const struct conv_patch patch = {
        .phases = stride, .phase_len = width, .in_x = (size_t)begin, .e0 = (size_t)(begin - x0),
        .n = begin < end ? (size_t)(end - begin) : 0};
    f16 lines[(ANF_PANEL + 2 * WINOGRAD_STRIDE) * WINO_WIDTH];
    memset(lines, 0, n_lines * line * sizeof *lines);
    for (ptrdiff_t y = p->y0; y < p->y1; y++) {
        for (size_t i = 0; i < n_lines; i++) {
            const size_t ci = (line0 + i) / stride, phase = (line0 + i) % stride;
            const ptrdiff_t row = y * (ptrdiff_t)stride + (ptrdiff_t)phase - g->pad_h;
            if (row < 0 || row >= (ptrdiff_t)g->in_h)
                memset(lines + i * line, 0, line * sizeof *lines);
            else if (patch.n)
                ISA(patch_row)(g, &patch, x + ci * plane + (size_t)row * g->in_w, lines + i * line);
        }
        ISA(turn_planes)(lines + (first - line0 * stride) * width, width, channels, width,
                       p->pixel + (size_t)(y - p->y0) * width * ANF_PANEL);
    }
}

/* Columns of the input tiles whose first pixel is (y, x): t[(in*j + i)*16] is element i of column
 * j. */
VFN void ISA(wino_columns_of)(size_t span, const struct ISA(wino_pixels) *p, ptrdiff_t y,
                              ptrdiff_t x, size_t width, float *t, size_t in)
{
    static const f16 zeros[ANF_PANEL];
    const size_t pitch = (size_t)(p->x1 - p->x0) * ANF_PANEL;
    for (size_t j = 0; j < width; j++, t += in * ANF_PANEL) {
        const ptrdiff_t col = x + (ptrdiff_t)j;
        const bool inside = col >= p->x0 && col < p->x1;
        const f16 *from[WINOGRAD_IN];
        UNROLL for (size_t i = 0; i < span; i++) {
            const ptrdiff_t row = y + (ptrdiff_t)i;
            from[i] = inside && row >= p->y0 && row < p->y1
                          ? p->pixel + (size_t)(row - p->y0) * pitch +
                                (size_t)(col - p->x0) * ANF_PANEL
                          : zeros;
        }
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf d[WINOGRAD_IN], z[WINOGRAD_IN];
            UNROLL for (size_t i = 0; i < span; i++)
                d[i] = v_load_f16(from[i] + l);
            ISA(wino_input_1d)(span, d, z);
            UNROLL for (size_t i = 0; i < span; i++)
                v_store(t + i * ANF_PANEL + l, z[i]);
        }
    }
}

static void ISA(wino_columns)(size_t span, const struct ISA(wino_pixels) *p, ptrdiff_t y,
                              ptrdiff_t x, size_t width, float *t, size_t in)
{
    if (span == 4)
        ISA(wino_columns_of)(4, p, y, x, width, t, in);
    else if (span == 6)
        ISA(wino_columns_of)(6, p, y, x, width, t, in);
    else
        ISA(wino_columns_of)(8, p, y, x, width, t, in);
}

/* Rows of the tiles, to their places in V. */
VFN void ISA(wino_rows_of)(size_t row_span, size_t span, const float *t,
                           const struct winograd_form *f, size_t n_tiles, size_t channels,
                           float *v, size_t v_pos, size_t v_tile)
{
    const size_t in = f->in, column = in * ANF_PANEL;
    for (; n_tiles; n_tiles--, t += f->out * column, v += v_tile)
        for (size_t l = 0; l < channels; l += VL)
            for (size_t i = 0; i < row_span; i++) {
                float *const row = v + winograd_position(in, row_span, i) * in * v_pos + l;
                vf d[WINOGRAD_IN], y[WINOGRAD_IN];
                UNROLL for (size_t j = 0; j < span; j++)
                    d[j] = v_load(t + j * column + i * ANF_PANEL + l);
                ISA(wino_input_1d)(span, d, y);
                UNROLL for (size_t j = 0; j < span; j++) {
                    float *const to = row + winograd_position(in, span, j) * v_pos;
                    if (channels - l >= VL)
                        v_store(to, y[j]);
                    else
                        v_store_n(to, y[j], channels - l);
                }
            }
}

static void ISA(wino_rows)(size_t row_span, size_t span, const float *t,
                           const struct winograd_form *f, size_t n_tiles, size_t channels,
                           float *v, size_t v_pos, size_t v_tile)
{
    if (span == 4)
        ISA(wino_rows_of)(row_span, 4, t, f, n_tiles, channels, v, v_pos, v_tile);
    else if (span == 6)
        ISA(wino_rows_of)(row_span, 6, t, f, n_tiles, channels, v, v_pos, v_tile);
    else
        ISA(wino_rows_of)(row_span, 8, t, f, n_tiles, channels, v, v_pos, v_tile);
}

static void ISA(winograd_input)(const struct conv_geom *g, const struct winograd_form *f,
                                const f16 *x, size_t first, size_t channels, size_t row,
                                size_t n_rows, size_t col, size_t n_cols,
                                const struct winograd_places *places, float *v, size_t v_pos,
                                size_t v_tile)
{
    _Alignas(64) float t[WINO_WIDTH * WINOGRAD_IN * ANF_PANEL];
    struct ISA(wino_pixels) p;
    const size_t in = f->in, out = f->out, fit = (WINO_WIDTH - in) / out + 1;
    const size_t most_cols = fit < WINO_COLS ? fit : WINO_COLS;
    const bool phased = f->stride > 1; /* their padding is loaded */
    const ptrdiff_t pad_h = phased ? 0 : g->pad_h, pad_w = phased ? 0 : g->pad_w;
    const ptrdiff_t in_h = (ptrdiff_t)g->in_h, in_w = (ptrdiff_t)g->in_w;
    for (size_t c = 0, cols; c < n_cols; c += cols) {
        const size_t parts = (n_cols - c + most_cols - 1) / most_cols;
        cols = (n_cols - c + parts - 1) / parts;
        const bool right = f->rest_cols && col + c + cols == f->tile_cols;
        const size_t last_span = right ? winograd_span(in, out, f->rest_cols) : in;
        const size_t width = out * (cols - 1) + last_span;
        const ptrdiff_t x0 = (ptrdiff_t)((col + c) * out) - pad_w, x1 = x0 + (ptrdiff_t)width;
        p.x0 = phased || x0 > 0 ? x0 : 0;
        p.x1 = phased || x1 < in_w ? x1 : in_w;
        for (size_t r = 0, rows; r < n_rows; r += rows) {
            const size_t most = (WINO_PIXELS / width - in) / out + 1;
            rows = n_rows - r < most ? n_rows - r : most;
            const ptrdiff_t y0 = (ptrdiff_t)((row + r) * out) - pad_h;
            const ptrdiff_t y1 = y0 + (ptrdiff_t)(out * (rows - 1) + in);
            p.y0 = phased || y0 > 0 ? y0 : 0;
            p.y1 = phased || y1 < in_h ? y1 : in_h;
            if (phased)
                ISA(wino_load_phases)(g, x, first, channels, &p);
            else if (p.x0 < p.x1 && p.y0 < p.y1)
                ISA(wino_load)(g, x + first * g->in_h * g->in_w, channels, &p);
            for (size_t i = r; i < r + rows; i++) {
                const bool bottom = f->rest_rows && row + i + 1 == f->tile_rows;
                const size_t span = bottom ? winograd_span(in, out, f->rest_rows) : in;
                const size_t whole = winograd_place(places, bottom, false, i, c);
                const size_t last = winograd_place(places, bottom, true, i, 0);
                ISA(wino_columns)(span, &p, y0 + (ptrdiff_t)(out * (i - r)), x0, width, t, in);
                ISA(wino_rows)(span, in, t, f, cols - right, channels, v + whole * v_tile, v_pos,
                               v_tile);
                ISA(wino_rows)(span, last_span, t + out * (cols - 1) * in * ANF_PANEL, f, right,
                               channels, v + last * v_tile, v_pos, v_tile);
            }
        }
    }
}

VFN void ISA(wino_weights_1d)(size_t in, size_t taps, const vf *x, vf *y)
{
    const vf two = v_set(2.0f), four = v_set(4.0f);
    vf ends = v_add(x[0], x[2]), odd = x[1], even = v_fma(four, x[2], x[0]), odd_2 = x[1];
    if (taps > 3) {
        odd = v_add(x[1], x[3]);
        odd_2 = v_fma(four, x[3], x[1]);
    }
    if (taps > 4) {
        ends = v_add(ends, x[4]);
        even = v_fma(v_set(16.0f), x[4], even);
    }
    y[0] = x[0];
    y[1] = v_add(ends, odd);
    y[2] = v_sub(ends, odd);
    y[3] = v_fma(two, odd_2, even);
    y[4] = v_fnma(two, odd_2, even);
    if (in == 8) {
        const vf even_half = v_fma(four, x[0], x[2]);
        y[5] = v_fma(two, x[1], even_half);
        y[6] = v_fnma(two, x[1], even_half);
    }
    y[in - 1] = x[taps - 1];
}

/* Rows row .. row+n_rows-1 of U, of which columns are z. */
VFN void ISA(wino_weights_of)(size_t in, size_t taps, vf (*z)[WINOGRAD_IN], size_t row,
                              size_t n_rows, float *u, size_t u_pos)
{
    vf x[WINOGRAD_TAPS], y[WINOGRAD_IN];
    UNROLL for (size_t i = 0; i < n_rows; i++) {
        UNROLL for (size_t c = 0; c < taps; c++)
            x[c] = z[c][row + i];
        ISA(wino_weights_1d)(in, taps, x, y);
        UNROLL for (size_t k = 0; k < in; k++)
            v_store(u + (i * in + k) * u_pos, y[k]);
    }
}

/* The same of n 3x3 kernels that follow each other. */
VFN void ISA(wino_weights_rows)(size_t in, const f16 *w, size_t n, size_t row, size_t n_rows,
                                float *u, size_t u_pos)
{
    for (; n; n--, w += 9 * ANF_PANEL, u += ANF_PANEL)
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf z[3][WINOGRAD_IN], x[3];
            UNROLL for (size_t c = 0; c < 3; c++) {
                UNROLL for (size_t r = 0; r < 3; r++)
                    x[r] = v_load_f16(w + (3 * r + c) * ANF_PANEL + l);
                ISA(wino_weights_1d)(in, 3, x, z[c]);
            }
            ISA(wino_weights_of)(in, 3, z, row, n_rows, u + l, u_pos);
        }
}

/* U of n channels from c on: each a phase of kernels of kh x kw taps. */
VFN void ISA(wino_weights_phases)(size_t taps, const struct conv_geom *g, size_t stride,
                                  const f16 *w, size_t c, size_t n, float *u, size_t u_pos)
{
    static const f16 zeros[ANF_PANEL];
    for (const size_t end = c + n; c < end; c++, u += ANF_PANEL) {
        const size_t top = c / stride % stride, left = c % stride;
        const f16 *const kernel = w + c / (stride * stride) * g->kh * g->kw * ANF_PANEL;
        const f16 *at[WINOGRAD_TAPS][WINOGRAD_TAPS];
        for (size_t r = 0; r < taps; r++)
            for (size_t k = 0; k < taps; k++) {
                const size_t y = top + r * stride, x = left + k * stride;
                at[r][k] = y < g->kh && x < g->kw ? kernel + (y * g->kw + x) * ANF_PANEL : zeros;
            }
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf z[WINOGRAD_TAPS][WINOGRAD_IN], x[WINOGRAD_TAPS];
            UNROLL for (size_t k = 0; k < taps; k++) {
                UNROLL for (size_t r = 0; r < taps; r++)
                    x[r] = v_load_f16(at[r][k] + l);
                ISA(wino_weights_1d)(6, taps, x, z[k]);
            }
            ISA(wino_weights_of)(6, taps, z, 0, 6, u + l, u_pos);
        }
    }
}

static void ISA(winograd_weights)(const struct conv_geom *g, const struct winograd_form *f,
                                  const f16 *w, size_t first, size_t n, size_t row, size_t n_rows,
                                  float *u, size_t u_pos)
{
    const f16 *const plain = w + first * 9 * ANF_PANEL;
    if (f->taps == 5)
        ISA(wino_weights_phases)(5, g, f->stride, w, first, n, u, u_pos);
    else if (f->taps == 4)
        ISA(wino_weights_phases)(4, g, f->stride, w, first, n, u, u_pos);
    else if (f->stride > 1)
        ISA(wino_weights_phases)(3, g, f->stride, w, first, n, u, u_pos);
#define ROWS(in_, from, rows)                                                                      \
    else if (f->in == (in_) && row == (from) && n_rows == (rows))                                  \
        ISA(wino_weights_rows)(in_, plain, n, from, rows, u, u_pos);
    ROWS(6, 0, 6) ROWS(6, 0, 2) ROWS(6, 2, 2) ROWS(6, 4, 2)
    ROWS(8, 0, 8) ROWS(8, 0, 2) ROWS(8, 2, 2) ROWS(8, 4, 2) ROWS(8, 6, 2)
#undef ROWS
}

/* ---- few tiles ------------------------------------------------------------------------------- */
/* A position: its tiles, and where they begin in U, V and M of a slice of channels; the end of the
 * positions that have as many tiles. */
struct ISA(wino_position) {
    uint32_t n_tiles, u, v, m, end;
};

/* The products of kc channels at positions p .. end-1, all of which have n_tiles; `first` begins
 * the sums.  `ask` of the lines at *next are asked for with each. */
VFN void ISA(wino_few_positions)(const struct ISA(wino_position) *p,
                                 const struct ISA(wino_position) *end, size_t n_tiles,
                                 const float *u, const float *v, float *m, size_t kc, bool first,
                                 const f16 **next, size_t ask)
{
    const f16 *line = *next;
    for (; p < end; p++) {
        vf acc[TILE_FEW * PANEL_VECS];
        const float *at_u = u + p->u, *at_v = v + p->v;
        float *sums = m + p->m;
        __asm__("" : "+r"(at_u), "+r"(at_v), "+r"(sums)); /* or all addresses become long ones */
        for (size_t i = 0; i < ask; i++, line += 32)
            __builtin_prefetch(line);
        UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
            acc[i] = first ? v_zero() : v_load(sums + i * VL);
        for (size_t k = 0; k < kc; k++) {
            vf b[PANEL_VECS];
            UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
                b[i] = v_load(at_u + k * ANF_PANEL + i * VL);
            UNROLL for (size_t t = 0; t < n_tiles; t++) {
                const vf a = v_set(at_v[t * ANF_PANEL + k]);
                UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
                    acc[t * PANEL_VECS + i] = v_fma(a, b[i], acc[t * PANEL_VECS + i]);
            }
        }
        UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
            v_store(sums + i * VL, acc[i]);
    }
    *next = line;
}

/* The number of tiles, at most `most`, is a constant in the loops over positions. */
VFN void ISA(wino_few_slice)(const struct ISA(wino_position) *p, size_t n, size_t most,
                             const float *u, const float *v, float *m, size_t kc, bool first,
                             const f16 *next, size_t ask)
{
    for (size_t i = 0; i < n; i = p[i].end) {
        switch (p[i].n_tiles) {
#define TILES(t)                                                                                   \
    case t:                                                                                        \
        if (t <= most)                                                                             \
            ISA(wino_few_positions)(p + i, p + p[i].end, t, u, v, m, kc, first, &next, ask);       \
        break;
        TILES(1) TILES(2) TILES(3) TILES(4)
#if TILE_FEW > 4
        TILES(5) TILES(6)
#endif
#if TILE_FEW > 6
        TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14) TILES(15)
        TILES(16) TILES(17) TILES(18) TILES(19) TILES(20) TILES(21) TILES(22) TILES(23) TILES(24)
#endif
#undef TILES
        default: break;
        }
    }
}

/* The same with kc no constant. */
static void ISA(wino_few_any)(const struct ISA(wino_position) *p, size_t n, const float *u,
                              const float *v, float *m, size_t kc, bool first, const f16 *next,
                              size_t ask)
{
    ISA(wino_few_slice)(p, n, TILE_FEW, u, v, m, kc, first, next, ask);
}

/* Some rows of positions, with U of `slice` channels at a time in L1.  The next weights are asked
 * for meanwhile. */
VFN void ISA(wino_few_rows)(const f16 *w, size_t n, const float *v, size_t n_tiles,
                            const struct winograd_range *tiles, size_t row, size_t n_rows,
                            size_t slice, float *m, size_t m_pos)
{
    const size_t positions = 6 * n_rows, lines = slice * 9 * ANF_PANEL / 32;
    const size_t ask = (lines + positions - 1) / positions;
    const f16 *const end = w + n * 9 * ANF_PANEL;
    struct ISA(wino_position) of[WINO_FEW_POSITIONS]; /* those with most tiles first */
    size_t n_of = 0;
    _Alignas(64) float u[WINO_FEW_U * ANF_PANEL];
    for (size_t count = n_tiles, start; count; count--) {
        start = n_of;
        for (size_t p = 0; p < positions; p++) {
            const struct winograd_range *range = &tiles[6 * row + p];
            if (range->n == count)
                of[n_of++] = (struct ISA(wino_position)){
                    .n_tiles = (uint32_t)count, .u = (uint32_t)(p * slice * ANF_PANEL),
                    .v = (uint32_t)(((6 * row + p) * n_tiles + range->first) * ANF_PANEL),
                    .m = (uint32_t)((6 * row + p) * m_pos + range->first * ANF_PANEL)};
        }
        for (size_t i = start; i < n_of; i++)
            of[i].end = (uint32_t)n_of;
    }
    for (size_t c = 0; c < n; c += slice) {
        const size_t kc = n - c < slice ? n - c : slice;
        const f16 *at = w + c * 9 * ANF_PANEL;
        const f16 *next = n - c > slice ? at + slice * 9 * ANF_PANEL : row + n_rows < 6 ? w : end;
        const float *at_v = v + c % ANF_PANEL +
                            c / ANF_PANEL * WINO_FEW_POSITIONS * n_tiles * ANF_PANEL;
        ISA(wino_weights_rows)(6, at, kc, row, n_rows, u, slice * ANF_PANEL);
        if (n_rows == 6 && kc == slice)
            ISA(wino_few_slice)(of, n_of, TILE_MR, u, at_v, m, slice, c == 0, next, ask);
        else
            ISA(wino_few_any)(of, n_of, u, at_v, m, kc, c == 0, next, ask);
    }
}

/* With very few tiles the transform of the weights is the most, and done at once. */
static void ISA(winograd_few)(const f16 *w, size_t n, const float *v, size_t n_tiles,
                              const struct winograd_range *tiles, float *m, size_t m_pos)
{
    if (n_tiles <= TILE_MR) {
        ISA(wino_few_rows)(w, n, v, n_tiles, tiles, 0, 6, 8, m, m_pos);
        return;
    }
#if TILE_FEW > TILE_MR
    ISA(wino_few_rows)(w, n, v, n_tiles, tiles, 0, 2, ANF_PANEL, m, m_pos);
    ISA(wino_few_rows)(w, n, v, n_tiles, tiles, 2, 2, ANF_PANEL, m, m_pos);
    ISA(wino_few_rows)(w, n, v, n_tiles, tiles, 4, 2, ANF_PANEL, m, m_pos);
#endif
}

/* The pixels of a tile, sixteen channels of each, in rows of WINO_ROW: `out` a side, or as many as
 * the spans allow. */
VFN void ISA(wino_tile_of)(size_t row_span, size_t span, size_t out, const float *m, size_t in,
                           size_t m_pos, const float *bias, bool relu, f16 *pixels)
{
    const size_t rows = out < row_span - 2 ? out : row_span - 2;
    const size_t cols = out < span - 2 ? out : span - 2;
    const size_t row = in * m_pos, last_row = (in - 1) * row;
    for (size_t l = 0; l < ANF_PANEL; l += VL) {
        vf z[WINOGRAD_OUT][WINOGRAD_IN], column[WINOGRAD_IN], y[WINOGRAD_OUT];
        UNROLL for (size_t j = 0; j < span; j++) {
            const float *at = m + winograd_position(in, span, j) * m_pos + l;
            __asm__("" : "+r"(at)); /* or each address of a tile is kept in memory */
            UNROLL for (size_t i = 0; i < row_span; i++)
                column[i] = v_load(at + (i + 1 < row_span ? i * row : last_row));
            ISA(wino_output_1d)(row_span, out, column, y);
            UNROLL for (size_t r = 0; r < rows; r++)
                z[r][j] = y[r];
        }
        UNROLL for (size_t r = 0; r < rows; r++) {
            ISA(wino_output_1d)(span, out, z[r], y);
            UNROLL for (size_t c = 0; c < cols; c++) {
                if (bias)
                    y[c] = v_add(y[c], v_load(bias + l));
                if (relu)
                    y[c] = ISA(relu_first)(y[c]);
                v_store_f16(pixels + (r * WINO_ROW + c) * ANF_PANEL + l, y[c]);
            }
        }
    }
}

VFN void ISA(wino_tile)(size_t row_span, size_t span, size_t out, const float *m, size_t in,
                        size_t m_pos, const float *bias, bool relu, f16 *pixels)
{
    if (out == 2)
        ISA(wino_tile_of)(6, 6, 2, m, in, m_pos, bias, relu, pixels);
    else if (out == 3)
        ISA(wino_tile_of)(6, 6, 3, m, in, m_pos, bias, relu, pixels);
#define TILE(rows, cols)                                                                           \
    else if (row_span == (rows) && span == (cols))                                                 \
        ISA(wino_tile_of)(rows, cols, WINOGRAD_OUT, m, in, m_pos, bias, relu, pixels);
    TILE(8, 8) TILE(8, 6) TILE(8, 4)
    TILE(6, 8) TILE(6, 6) TILE(6, 4)
    TILE(4, 8) TILE(4, 6) TILE(4, 4)
#undef TILE
}

VFN void ISA(winograd_output_of)(bool relu, const struct winograd_output *o, const float *m,
                                 const float *last, size_t n_tiles, const f16 *bias,
                                 size_t n_channels, f16 *y, size_t rows, size_t cols)
{
    const size_t in = o->in, out = o->out, last_cols = cols - out * (n_tiles - 1);
    const size_t row_span = winograd_span(in, out, rows);
    const size_t last_span = winograd_span(in, out, last_cols);
    float wide[ANF_PANEL] = {0};
    f16 pixels[WINOGRAD_OUT * WINO_ROW * ANF_PANEL];
    for (size_t c = 0; bias && c < n_channels; c++)
        v_store_n(wide + c, v_load_f16_n(bias + c, 1), 1);
    for (size_t t0 = 0; t0 < n_tiles; t0 += WINO_RUN) {
        const size_t n = n_tiles - t0 < WINO_RUN ? n_tiles - t0 : WINO_RUN;
        const size_t left = cols - out * t0, width = left < out * n ? left : out * n;
        for (size_t t = 0; t < n; t++) {
            const bool at_end = t0 + t == n_tiles - 1;
            const float *at = at_end ? last : m + (t0 + t) * o->m_tile;
            ISA(wino_tile)(row_span, at_end ? last_span : in, out, at, in, o->m_pos,
                           bias ? wide : NULL, relu, pixels + out * t * ANF_PANEL);
        }
        for (size_t c = 0; c < n_channels; c += 8)
            ISA(turn_back)(pixels + c, WINO_ROW, n_channels - c < 8 ? n_channels - c : 8, rows,
                           width, y + c * o->y_channel + out * t0, o->y_channel, o->y_row);
    }
}

static void ISA(winograd_output)(const struct winograd_output *o, const float *m,
                                 const float *last, size_t n_tiles, const f16 *bias,
                                 size_t n_channels, f16 *y, size_t rows, size_t cols)
{
    if (o->relu)
        ISA(winograd_output_of)(true, o, m, last, n_tiles, bias, n_channels, y, rows, cols);
    else
        ISA(winograd_output_of)(false, o, m, last, n_tiles, bias, n_channels, y, rows, cols);
}
