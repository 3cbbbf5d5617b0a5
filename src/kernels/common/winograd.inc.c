/* Winograd's F(4x4, 3x3): the transforms, see winograd.h.
 *
 * Input: sixteen neighbouring tiles are the lanes.  The columns of all tiles are transformed at
 * once along whole image rows, where nothing has to be shuffled; `line` then holds rows of tiles
 * one after the other, four pixels a tile, and `next` the same four pixels further, because a tile
 * also needs the first two columns of its neighbour, and the last tile has none.  Reading every
 * fourth element makes lanes of them.
 *
 * Output: sixteen channels are the lanes, as in the products; a tile is rounded and then
 * transposed, and eight of them make one run of each image row. */
enum {
    WINO_LINE = WINOGRAD_OUT * ANF_WINOGRAD_TILES,
    WINO_SLACK = 4 * VL,
    /* Input rows of a call: most where every row of tiles has one tile. */
    WINO_PITCH_SLACK = 4 + ANF_PANEL,
    WINO_ROWS = (WINO_LINE + 2) * (WINOGRAD_OUT + WINO_PITCH_SLACK),
    WINO_RUN = 8, /* tiles stored together */
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

VFN void ISA(wino_store)(float *p, vf a, size_t n)
{
    if (n >= VL)
        v_store(p, a);
    else
        v_store_n(p, a, n);
}

/* The input rows of the tiles with zeros around the image; the distance of two of them. */
static size_t ISA(wino_rows)(const struct conv_geom *g, const f16 *x, size_t row, size_t n_rows,
                             size_t col, size_t n_cols, f16 *rows)
{
    const size_t width = WINOGRAD_OUT * n_cols + 2, pitch = width + 2 + ANF_PANEL;
    const ptrdiff_t y0 = (ptrdiff_t)(row * WINOGRAD_OUT) - g->pad_h;
    const ptrdiff_t x0 = (ptrdiff_t)(col * WINOGRAD_OUT) - g->pad_w;
    const ptrdiff_t from = x0 < 0 ? 0 : x0, end = x0 + (ptrdiff_t)width;
    const ptrdiff_t to = end < (ptrdiff_t)g->in_w ? end : (ptrdiff_t)g->in_w;
    for (size_t r = 0; r < WINOGRAD_OUT * n_rows + 2; r++) {
        const ptrdiff_t y = y0 + (ptrdiff_t)r;
        f16 *line = rows + r * pitch;
        __builtin_memset(line, 0, pitch * sizeof *line);
        if (y >= 0 && y < (ptrdiff_t)g->in_h && from < to)
            ISA(copy_run)(line + (from - x0), x + (size_t)y * g->in_w + from,
                          (size_t)(to - from));
    }
    return pitch;
}

/* From the last row of tiles to the first, because a row begins by writing over four elements
 * that belong to the one before. */
VFN void ISA(wino_columns)(const f16 *rows, size_t pitch, size_t n_rows, size_t n_cols,
                           float (*line)[WINO_LINE + WINO_SLACK],
                           float (*next)[4 + WINO_LINE + WINO_SLACK])
{
    const size_t width = WINOGRAD_OUT * n_cols;
    for (size_t r = n_rows; r-- > 0;)
        for (size_t x = 0; x < width + 2; x += VL) {
            vf d[6], t[6];
            UNROLL for (size_t i = 0; i < 6; i++)
                d[i] = v_load_f16(rows + (WINOGRAD_OUT * r + i) * pitch + x);
            ISA(wino_input_1d)(d, t);
            UNROLL for (size_t i = 0; i < 6; i++) {
                if (x < width)
                    ISA(wino_store)(line[i] + r * width + x, t[i], width - x);
                ISA(wino_store)(next[i] + r * width + x, t[i], width + 4 - x);
            }
        }
}

static void ISA(winograd_input)(const struct conv_geom *g, const f16 *x, size_t row, size_t n_rows,
                                size_t col, size_t n_cols, float *v, size_t v_pos)
{
    f16 rows[WINO_ROWS + ANF_PANEL];
    float line[6][WINO_LINE + WINO_SLACK], next[6][4 + WINO_LINE + WINO_SLACK];
    const size_t n = n_rows * n_cols, used = WINOGRAD_OUT * n;
    const size_t pitch = ISA(wino_rows)(g, x, row, n_rows, col, n_cols, rows);
    ISA(wino_columns)(rows, pitch, n_rows, n_cols, line, next);
    for (size_t i = 0; i < 6 && n % VL; i++) {
        __builtin_memset(line[i] + used, 0, WINO_SLACK * sizeof(float));
        __builtin_memset(next[i] + 4 + used, 0, WINO_SLACK * sizeof(float));
    }
    for (size_t t = 0; t < n; t += VL)
        for (size_t i = 0; i < 6; i++) {
            vf d[6], e[4], y[6];
            v_load_4(line[i] + WINOGRAD_OUT * t, d);
            v_load_4(next[i] + 4 + WINOGRAD_OUT * t, e);
            d[4] = e[0];
            d[5] = e[1];
            ISA(wino_input_1d)(d, y);
            UNROLL for (size_t j = 0; j < 6; j++)
                ISA(wino_store)(v + (i * 6 + j) * v_pos + t, y[j], n - t);
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

static void ISA(winograd_weights)(const f16 *w, size_t n, float *u, size_t u_pos)
{
    for (; n; n--, w += 9 * ANF_PANEL, u += ANF_PANEL)
        for (size_t l = 0; l < ANF_PANEL; l += VL) {
            vf z[3][6], y[6];
            UNROLL for (size_t c = 0; c < 3; c++)
                ISA(wino_weights_1d)(v_load_f16(w + c * ANF_PANEL + l),
                                     v_load_f16(w + (3 + c) * ANF_PANEL + l),
                                     v_load_f16(w + (6 + c) * ANF_PANEL + l), z[c]);
            UNROLL for (size_t i = 0; i < 6; i++) {
                ISA(wino_weights_1d)(z[0][i], z[1][i], z[2][i], y);
                UNROLL for (size_t k = 0; k < 6; k++)
                    v_store(u + (i * 6 + k) * u_pos + l, y[k]);
            }
        }
}

/* ---- few tiles ------------------------------------------------------------------------------- */
/* The products of kc channels; `first` begins the sums.  The next weights are asked for meanwhile:
 * nine of 32 bytes a channel are a cache line for each of the 36 positions of eight channels. */
VFN void ISA(wino_few_slice)(const float *u, const float *v, size_t n_tiles, size_t kc, bool first,
                             const f16 *next, float *m, size_t m_pos)
{
    for (size_t pos = 0; pos < WINOGRAD_POSITIONS; pos++) {
        vf acc[TILE_MR * PANEL_VECS];
        __builtin_prefetch(next + pos * 32);
        UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
            acc[i] = first ? v_zero() : v_load(m + i * VL);
        for (size_t k = 0; k < kc; k++) {
            vf b[PANEL_VECS];
            UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
                b[i] = v_load(u + k * ANF_PANEL + i * VL);
            UNROLL for (size_t t = 0; t < n_tiles; t++) {
                const vf a = v_set(v[k * n_tiles + t]);
                UNROLL for (size_t i = 0; i < PANEL_VECS; i++)
                    acc[t * PANEL_VECS + i] = v_fma(a, b[i], acc[t * PANEL_VECS + i]);
            }
        }
        UNROLL for (size_t i = 0; i < n_tiles * PANEL_VECS; i++)
            v_store(m + i * VL, acc[i]);
        u += ANF_WINOGRAD_SLICE * ANF_PANEL;
        v += ANF_WINOGRAD_SLICE * n_tiles;
        m += m_pos;
    }
}

VFN void ISA(wino_few_tiles)(const f16 *w, size_t n, const float *v, size_t n_tiles, float *m,
                             size_t m_pos)
{
    enum { SLICE = ANF_WINOGRAD_SLICE };
    _Alignas(64) float u[WINOGRAD_POSITIONS * SLICE * ANF_PANEL];
    for (size_t c = 0; c < n; c += SLICE) {
        const size_t kc = n - c < SLICE ? n - c : SLICE;
        const f16 *at = w + c * 9 * ANF_PANEL;
        const f16 *next = n - c < 2 * SLICE ? w : at + SLICE * 9 * ANF_PANEL;
        ISA(winograd_weights)(at, kc, u, SLICE * ANF_PANEL);
        if (kc == SLICE)
            ISA(wino_few_slice)(u, v, n_tiles, SLICE, c == 0, next, m, m_pos);
        else
            ISA(wino_few_slice)(u, v, n_tiles, kc, c == 0, next, m, m_pos);
        v += WINOGRAD_POSITIONS * SLICE * n_tiles;
    }
}

static void ISA(winograd_few)(const f16 *w, size_t n, const float *v, size_t n_tiles, float *m,
                              size_t m_pos)
{
    switch (n_tiles) {
    case 1: ISA(wino_few_tiles)(w, n, v, 1, m, m_pos); break;
    case 2: ISA(wino_few_tiles)(w, n, v, 2, m, m_pos); break;
    case 3: ISA(wino_few_tiles)(w, n, v, 3, m, m_pos); break;
    case 4: ISA(wino_few_tiles)(w, n, v, 4, m, m_pos); break;
#if TILE_MR > 4
    case 5: ISA(wino_few_tiles)(w, n, v, 5, m, m_pos); break;
    case 6: ISA(wino_few_tiles)(w, n, v, 6, m, m_pos); break;
#endif
#if TILE_MR > 6
    case 7: ISA(wino_few_tiles)(w, n, v, 7, m, m_pos); break;
    case 8: ISA(wino_few_tiles)(w, n, v, 8, m, m_pos); break;
#endif
    default: break;
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
