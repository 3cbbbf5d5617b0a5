/* Winograd's F(4x4, 3x3): the transforms, see winograd.h.
 *
 * Sixteen channels are the lanes everywhere, so that nothing is shuffled inside a transform and no
 * number of tiles wastes lanes.
 *
 * Input: the planes are turned first, sixteen channels of a pixel side by side, while their
 * elements are still small.  The columns of a row of tiles are transformed once for the two tiles
 * that share them.
 *
 * Output: a tile is rounded and then turned, and eight of them make one run of each image row. */
enum {
    WINO_COLS = 8, /* tiles of a row transformed together */
    WINO_WIDTH = WINOGRAD_OUT * WINO_COLS + 2,
    WINO_PIXELS = 640, /* turned together: 20 KiB */
    WINO_RUN = 8,      /* tiles stored together */
    WINO_FEW_U = 36 * 8, /* positions and input channels whose U is in L1: 18 KiB */
};

VFN void ISA(wino_input_1d)(const vf x[6], vf y[6])
{
    const vf two = v_set(2.0f), four = v_set(4.0f), five = v_set(5.0f);
    const vf p = v_fnma(four, x[2], x[4]), q = v_fnma(four, x[1], x[3]);
    const vf s = v_sub(x[4], x[2]), t = v_sub(x[3], x[1]);
    y[0] = v_fma(four, x[0], v_fnma(five, x[2], x[4]));
    y[1] = v_add(p, q);
    y[2] = v_sub(p, q);
    y[3] = v_fma(two, t, s);
    y[4] = v_fnma(two, t, s);
    y[5] = v_fma(four, x[1], v_fnma(five, x[3], x[5]));
}

VFN void ISA(wino_output_1d)(const vf m[6], vf y[4])
{
    const vf s1 = v_add(m[1], m[2]), d1 = v_sub(m[1], m[2]);
    const vf s2 = v_add(m[3], m[4]), d2 = v_sub(m[3], m[4]);
    y[0] = v_add(v_add(m[0], s1), s2);
    y[1] = v_fma(v_set(2.0f), d2, d1);
    y[2] = v_fma(v_set(4.0f), s2, s1);
    y[3] = v_add(v_fma(v_set(8.0f), d2, d1), m[5]);
}

/* to[16i + c] = x[c*plane + i] for c < channels <= 8, i < n; zero for the others of eight. */
VFN void ISA(wino_turn_8)(const f16 *x, size_t plane, size_t channels, size_t n, f16 *to)
{
    const size_t whole = n / 8 * 8;
    ISA(turn_rows)(x, plane, channels, whole ? whole : n, to, ANF_PANEL);
    if (whole && whole < n) /* the last eight, some of them once more */
        ISA(turn_rows)(x + n - 8, plane, channels, 8, to + (n - 8) * ANF_PANEL, ANF_PANEL);
}

static void ISA(wino_turn)(const f16 *x, size_t plane, size_t channels, size_t n, f16 *to)
{
    for (size_t c = 0; c < ANF_PANEL; c += 8, to += 8)
        if (c + 8 <= channels)
            ISA(wino_turn_8)(x + c * plane, plane, 8, n, to);
        else if (c < channels)
            ISA(wino_turn_8)(x + c * plane, plane, channels - c, n, to);
        else
            ISA(wino_turn_8)(x, plane, 0, n, to);
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
        ISA(wino_turn)(x, plane, channels, rows * width, p->pixel);
        return;
    }
    for (size_t y = 0; y < rows; y++)
        ISA(wino_turn)(x + y * g->in_w, plane, channels, width,
                       p->pixel + y * width * ANF_PANEL);
}

/* Columns of the input tiles whose first pixel is (y, x): t[j][i] is row i of column j. */
VFN void ISA(wino_columns)(const struct ISA(wino_pixels) *p, ptrdiff_t y, ptrdiff_t x,
                           size_t width, float (*t)[WINOGRAD_IN][ANF_PANEL])
{
    static const f16 zeros[ANF_PANEL];
    const size_t pitch = (size_t)(p->x1 - p->x0) * ANF_PANEL;
    for (size_t j = 0; j < width; j++) {
        const ptrdiff_t col = x + (ptrdiff_t)j;
        const bool inside = col >= p->x0 && col < p->x1;
        const f16 *from[WINOGRAD_IN];
        UNROLL for (ptrdiff_t i = 0; i < WINOGRAD_IN; i++)
            from[i] = inside && y + i >= p->y0 && y + i < p->y1
                          ? p->pixel + (size_t)(y + i - p->y0) * pitch +
                                (size_t)(col - p->x0) * ANF_PANEL
                          : zeros;
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf d[6], z[6];
            UNROLL for (size_t i = 0; i < 6; i++)
                d[i] = v_load_f16(from[i] + l);
            ISA(wino_input_1d)(d, z);
            UNROLL for (size_t i = 0; i < 6; i++)
                v_store(t[j][i] + l, z[i]);
        }
    }
}

/* Rows of the tiles, to their places in V. */
VFN void ISA(wino_rows)(float (*t)[WINOGRAD_IN][ANF_PANEL], size_t n_tiles, size_t channels,
                        float *v, size_t v_pos, size_t v_tile)
{
    for (; n_tiles; n_tiles--, t += WINOGRAD_OUT, v += v_tile)
        for (size_t l = 0; l < channels; l += VL)
            for (size_t i = 0; i < 6; i++) {
                vf d[6], y[6];
                UNROLL for (size_t j = 0; j < 6; j++)
                    d[j] = v_load(t[j][i] + l);
                ISA(wino_input_1d)(d, y);
                UNROLL for (size_t j = 0; j < 6; j++)
                    if (channels - l >= VL)
                        v_store(v + (i * 6 + j) * v_pos + l, y[j]);
                    else
                        v_store_n(v + (i * 6 + j) * v_pos + l, y[j], channels - l);
            }
}

static void ISA(winograd_input)(const struct conv_geom *g, const f16 *x, size_t channels,
                                size_t row, size_t n_rows, size_t col, size_t n_cols, float *v,
                                size_t v_pos, size_t v_tile)
{
    _Alignas(64) float t[WINO_WIDTH][WINOGRAD_IN][ANF_PANEL];
    struct ISA(wino_pixels) p;
    for (size_t c = 0, cols; c < n_cols; c += cols) {
        const size_t parts = (n_cols - c + WINO_COLS - 1) / WINO_COLS;
        cols = (n_cols - c + parts - 1) / parts;
        const size_t width = WINOGRAD_OUT * cols + 2;
        const ptrdiff_t x0 = (ptrdiff_t)((col + c) * WINOGRAD_OUT) - g->pad_w;
        const ptrdiff_t x1 = x0 + (ptrdiff_t)width, in_w = (ptrdiff_t)g->in_w;
        p.x0 = x0 > 0 ? x0 : 0;
        p.x1 = x1 < in_w ? x1 : in_w;
        for (size_t r = 0, rows; r < n_rows; r += rows) {
            const size_t most = (WINO_PIXELS / width - 2) / WINOGRAD_OUT;
            rows = n_rows - r < most ? n_rows - r : most;
            const ptrdiff_t y0 = (ptrdiff_t)((row + r) * WINOGRAD_OUT) - g->pad_h;
            const ptrdiff_t y1 = y0 + (ptrdiff_t)(WINOGRAD_OUT * rows + 2);
            p.y0 = y0 > 0 ? y0 : 0;
            p.y1 = y1 < (ptrdiff_t)g->in_h ? y1 : (ptrdiff_t)g->in_h;
            if (p.x0 < p.x1 && p.y0 < p.y1)
                ISA(wino_load)(g, x, channels, &p);
            for (size_t i = 0; i < rows; i++) {
                ISA(wino_columns)(&p, y0 + (ptrdiff_t)(WINOGRAD_OUT * i), x0, width, t);
                ISA(wino_rows)(t, cols, channels,
                               v + ((r + i) * n_cols + c) * v_tile, v_pos, v_tile);
            }
        }
    }
}

VFN void ISA(wino_weights_1d)(vf x0, vf x1, vf x2, vf y[6])
{
    const vf sixth = v_set(-1.0f / 6.0f), ends = v_add(x0, x2);
    const vf even = v_fma(x2, v_set(1.0f / 6.0f), v_mul(x0, v_set(1.0f / 24.0f)));
    const vf odd = v_mul(x1, v_set(1.0f / 12.0f));
    y[0] = v_mul(x0, v_set(0.25f));
    y[1] = v_mul(v_add(ends, x1), sixth);
    y[2] = v_mul(v_sub(ends, x1), sixth);
    y[3] = v_add(even, odd);
    y[4] = v_sub(even, odd);
    y[5] = x2;
}

/* Rows row .. row+n_rows-1 of U. */
VFN void ISA(wino_weights_rows)(const f16 *w, size_t n, size_t row, size_t n_rows, float *u,
                                size_t u_pos)
{
    for (; n; n--, w += 9 * ANF_PANEL, u += ANF_PANEL)
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf z[3][6], y[6];
            UNROLL for (size_t c = 0; c < 3; c++)
                ISA(wino_weights_1d)(v_load_f16(w + c * ANF_PANEL + l),
                                     v_load_f16(w + (3 + c) * ANF_PANEL + l),
                                     v_load_f16(w + (6 + c) * ANF_PANEL + l), z[c]);
            UNROLL for (size_t i = 0; i < n_rows; i++) {
                ISA(wino_weights_1d)(z[0][row + i], z[1][row + i], z[2][row + i], y);
                UNROLL for (size_t k = 0; k < 6; k++)
                    v_store(u + (i * 6 + k) * u_pos + l, y[k]);
            }
        }
}

static void ISA(winograd_weights)(const f16 *w, size_t n, float *u, size_t u_pos)
{
    ISA(wino_weights_rows)(w, n, 0, 6, u, u_pos);
}

/* ---- few tiles ------------------------------------------------------------------------------- */
/* The products of kc channels at one position; `first` begins the sums. */
VFN void ISA(wino_few_products)(const float *u, const float *v, size_t n_tiles, size_t kc,
                                bool first, float *m)
{
    vf acc[TILE_FEW * PANEL_VECS];
    UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
        acc[i] = first ? v_zero() : v_load(m + i * VL);
    for (size_t k = 0; k < kc; k++) {
        vf b[PANEL_VECS];
        UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
            b[i] = v_load(u + k * ANF_PANEL + i * VL);
        UNROLL for (size_t t = 0; t < n_tiles; t++) {
            const vf a = v_set(v[t * ANF_PANEL + k]);
            UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
                acc[t * PANEL_VECS + i] = v_fma(a, b[i], acc[t * PANEL_VECS + i]);
        }
    }
    UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
        v_store(m + i * VL, acc[i]);
}

#if TILE_FEW > TILE_MR
/* The same where the number of tiles is no constant: more than TILE_MR. */
static void ISA(wino_few_many)(const float *u, const float *v, size_t n_tiles, size_t kc,
                               bool first, float *m)
{
    switch (n_tiles) {
#define TILES(n) case n: ISA(wino_few_products)(u, v, n, kc, first, m); break;
    TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14) TILES(15) TILES(16)
    TILES(17) TILES(18) TILES(19) TILES(20) TILES(21) TILES(22) TILES(23) TILES(24)
#undef TILES
    default: break;
    }
}
#endif

/* Some rows of positions, with U of `slice` channels at a time in L1.  The next weights are asked
 * for meanwhile.  n_tiles is a constant where all rows are taken at once. */
VFN void ISA(wino_few_rows)(const f16 *w, size_t n, const float *v, size_t n_tiles,
                            size_t row, size_t n_rows, size_t slice, float *m, size_t m_pos)
{
    const size_t positions = 6 * n_rows, u_pos = slice * ANF_PANEL;
    const size_t ask = (slice * 9 * ANF_PANEL / 32 + positions - 1) / positions;
    const f16 *const end = w + n * 9 * ANF_PANEL;
    _Alignas(64) float u[WINO_FEW_U * ANF_PANEL];
    for (size_t c = 0; c < n; c += slice) {
        const size_t kc = n - c < slice ? n - c : slice;
        const f16 *at = w + c * 9 * ANF_PANEL;
        const f16 *next = n - c > slice ? at + slice * 9 * ANF_PANEL : row + n_rows < 6 ? w : end;
        const float *at_v = v + c % ANF_PANEL + (c / ANF_PANEL * WINOGRAD_POSITIONS + 6 * row) *
                                                    n_tiles * ANF_PANEL;
        ISA(wino_weights_rows)(at, kc, row, n_rows, u, u_pos);
        for (size_t p = 0; p < positions; p++, at_v += n_tiles * ANF_PANEL) {
            float *sums = m + (6 * row + p) * m_pos;
            for (size_t i = 0; i < ask; i++)
                __builtin_prefetch(next + (p * ask + i) * 32);
#if TILE_FEW > TILE_MR
            if (n_rows < 6) {
                ISA(wino_few_many)(u + p * u_pos, at_v, n_tiles, kc, c == 0, sums);
                continue;
            }
#endif
            if (kc == slice)
                ISA(wino_few_products)(u + p * u_pos, at_v, n_tiles, slice, c == 0, sums);
            else
                ISA(wino_few_products)(u + p * u_pos, at_v, n_tiles, kc, c == 0, sums);
        }
    }
}

/* With very few tiles the transform of the weights is the most, and done at once. */
static void ISA(winograd_few)(const f16 *w, size_t n, const float *v, size_t n_tiles, float *m,
                              size_t m_pos)
{
    switch (n_tiles) {
#define TILES(t) case t: ISA(wino_few_rows)(w, n, v, t, 0, 6, 8, m, m_pos); break;
    TILES(1) TILES(2) TILES(3) TILES(4)
#if TILE_MR > 4
    TILES(5) TILES(6)
#endif
#if TILE_MR > 6
    TILES(7) TILES(8)
#endif
#undef TILES
    default:
#if TILE_FEW > TILE_MR
        ISA(wino_few_rows)(w, n, v, n_tiles, 0, 2, ANF_PANEL, m, m_pos);
        ISA(wino_few_rows)(w, n, v, n_tiles, 2, 2, ANF_PANEL, m, m_pos);
        ISA(wino_few_rows)(w, n, v, n_tiles, 4, 2, ANF_PANEL, m, m_pos);
#endif
        break;
    }
}

/* Tile t of a run of sixteen channels. */
VFN void ISA(wino_tile)(const float *m, size_t m_pos, const float *bias, size_t t,
                        f16 (*run)[WINOGRAD_OUT][WINOGRAD_OUT * WINO_RUN])
{
    f16 pixels[16 * ANF_PANEL];
    for (size_t l = 0; l < ANF_PANEL; l += VL) {
        vf z[4][6], column[6], out[4];
        UNROLL for (size_t j = 0; j < 6; j++) {
            UNROLL for (size_t i = 0; i < 6; i++)
                column[i] = v_load(m + (i * 6 + j) * m_pos + l);
            ISA(wino_output_1d)(column, out);
            UNROLL for (size_t r = 0; r < 4; r++)
                z[r][j] = out[r];
        }
        UNROLL for (size_t r = 0; r < 4; r++) {
            ISA(wino_output_1d)(z[r], out);
            UNROLL for (size_t c = 0; c < 4; c++) {
                if (bias)
                    out[c] = v_add(out[c], v_load(bias + l));
                v_store_f16(pixels + (4 * r + c) * ANF_PANEL + l, out[c]);
            }
        }
    }
    for (size_t c = 0; c < ANF_PANEL; c += 8)
        UNROLL for (size_t r = 0; r < WINOGRAD_OUT; r += 2) {
            u16x8 two[8]; /* rows of pixels, of a channel once turned */
            UNROLL for (size_t p = 0; p < 8; p++)
                __builtin_memcpy(&two[p], pixels + (WINOGRAD_OUT * r + p) * ANF_PANEL + c,
                                 sizeof two[p]);
            ISA(turn_8)(two);
            UNROLL for (size_t i = 0; i < 8; i++) {
                typedef uint64_t u64x2 __attribute__((vector_size(16)));
                const u64x2 rows = (u64x2)two[i];
                __builtin_memcpy(run[c + i][r] + WINOGRAD_OUT * t, &rows, 8);
                const uint64_t second = rows[1];
                __builtin_memcpy(run[c + i][r + 1] + WINOGRAD_OUT * t, &second, 8);
            }
        }
}

static void ISA(winograd_output)(const float *m, size_t m_pos, size_t m_tile, size_t n_tiles,
                                 const f16 *bias, size_t n_channels, f16 *y, size_t y_channel,
                                 size_t y_row, size_t rows, size_t cols)
{
    float wide[ANF_PANEL] = {0};
    f16 run[ANF_PANEL][WINOGRAD_OUT][WINOGRAD_OUT * WINO_RUN];
    for (size_t c = 0; bias && c < n_channels; c++)
        v_store_n(wide + c, v_load_f16_n(bias + c, 1), 1);
    for (size_t t0 = 0; t0 < n_tiles; t0 += WINO_RUN) {
        const size_t n = n_tiles - t0 < WINO_RUN ? n_tiles - t0 : WINO_RUN;
        const size_t left = cols - WINOGRAD_OUT * t0;
        const size_t width = left < WINOGRAD_OUT * n ? left : WINOGRAD_OUT * n;
        for (size_t t = 0; t < n; t++)
            ISA(wino_tile)(m + (t0 + t) * m_tile, m_pos, bias ? wide : NULL, t, run);
        for (size_t c = 0; c < n_channels; c++)
            for (size_t r = 0; r < rows; r++)
                ISA(copy_run)(y + c * y_channel + r * y_row + WINOGRAD_OUT * t0, run[c][r], width);
    }
}
