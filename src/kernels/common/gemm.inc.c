/* Matrix multiplication: the register tile and the packing that feeds it.
 *
 * The tile is one body, tile_body, with mr and nv as compile-time constants: the accumulators of
 * every shape live in registers, and a step of k is nv panel loads, mr broadcasts and mr*nv
 * panel-wide multiply-adds.  Each output element is one chain over k ascending, so the shape of
 * the tile and the way k is cut never show in a result.
 *
 * The largest tile fills the register file and leaves room for one row of B and one broadcast:
 *     AVX-512   8 x 3 panels   24 of 32 zmm
 *     AVX2      6 x 1 panel    12 of 16 ymm
 *     NEON      6 x 1 panel    24 of 32 q
 * With one row only, a tile of that width would wait for the latency of its few multiply-adds,
 * so gemm_tile_f16 also takes 1 x TILE_MR panels.
 *
 * Packing transposes 16-bit elements first, 8 x 8 at a time in 128-bit registers, and widens
 * afterwards, which halves the work of the shuffles. */
#if VL == 16
#define TILE_MR 8
#define TILE_NV 3
#elif VL == 1
#define TILE_MR 4
#define TILE_NV 1
#else
#define TILE_MR 6
#define TILE_NV 1
#endif

/* Without these the compilers keep the accumulators in an array in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum {
    PANEL_VECS = ANF_PANEL / VL,
    TILE_ACC = TILE_MR * TILE_NV * PANEL_VECS,
    /* B is read once by the binary16 tile; two cache lines of every panel are asked for this far
     * ahead, because the hardware does not follow a panel over a page end. */
    TILE_AHEAD = 1024,
    PACK_K = 64, /* k's transposed at a time: the buffer is 2 KiB */
    PACK_ROWS = 8,
};

struct tile {
    size_t kc;
    const float *a;
    size_t a_k;
    const void *b; /* float or f16 */
    size_t b_panel;
    float *c;
    size_t ldc;
    bool accumulate;
    float *wide; /* of WIDENING: where B goes in float32, panels kc*16 apart */
    const struct gemm_ahead *ahead;
    const struct gemm_out *out; /* finished results instead of sums, or NULL */
};

/* What a tile does with B: binary16 panels are widened in registers, and kept for the strips that
 * follow where that pays.  IN_ROWS is about A, which then lies in rows, a_k apart. */
enum tile_kind { FLOATS, FLOATS_AHEAD, HALVES, WIDENING, IN_ROWS };

VFN void ISA(tile_finish)(const struct gemm_out *out, size_t mr, size_t nvec, const vf *acc)
{
    const f16 *bias = out->bias;
    UNROLL for (size_t v = 0; v < nvec; v++) {
        const size_t j = v * VL, n = out->cols > j ? out->cols - j : 0;
        f16 *y = out->y + j;
        if (n >= VL) {
            const vf add = bias ? v_load_f16(bias + j) : v_zero();
            UNROLL for (size_t i = 0; i < mr; i++) {
                const vf s = acc[i * nvec + v];
                v_store_f16(y + i * out->ldy, bias ? v_add(s, add) : s);
            }
        } else if (n > 0) {
            const vf add = bias ? v_load_f16_n(bias + j, n) : v_zero();
            UNROLL for (size_t i = 0; i < mr; i++) {
                const vf s = acc[i * nvec + v];
                v_store_f16_n(y + i * out->ldy, bias ? v_add(s, add) : s, n);
            }
        }
    }
}

VFN void ISA(tile_body)(const struct tile *t, size_t mr, size_t nv, enum tile_kind kind)
{
    const bool half = kind == HALVES || kind == WIDENING;
    const bool ask = kind == FLOATS_AHEAD || kind == WIDENING;
    const size_t nvec = nv * PANEL_VECS, b_panel = t->b_panel, a_k = t->a_k, ldc = t->ldc;
    const size_t ahead_panel = ask ? t->ahead->panel : 0, ahead_step = ask ? t->ahead->step : 0;
    const size_t wide_panel = t->kc * ANF_PANEL;
    const float *a = t->a, *b32 = t->b;
    const f16 *b16 = t->b, *ahead = ask ? t->ahead->at : NULL;
    float *c = t->c, *wide = t->wide;
    vf acc[TILE_ACC];

    if (t->accumulate) {
        UNROLL for (size_t i = 0; i < mr; i++)
            UNROLL for (size_t v = 0; v < nvec; v++)
                acc[i * nvec + v] = v_load(c + i * ldc + v * VL);
    } else {
        UNROLL for (size_t i = 0; i < mr * nvec; i++)
            acc[i] = v_zero();
    }
    for (size_t k = t->kc; k; k--) {
        vf b[TILE_ACC];
        UNROLL for (size_t v = 0; v < nvec; v++) {
            size_t at = v / PANEL_VECS * b_panel + v % PANEL_VECS * VL;
            b[v] = half ? v_load_f16(b16 + at) : v_load(b32 + at);
            if (kind == WIDENING)
                v_store(wide + v / PANEL_VECS * wide_panel + v % PANEL_VECS * VL, b[v]);
            if (mr == 1) /* here, so that a wide row of B need not be held */
                acc[v] = v_fma(v_set(a[0]), b[v], acc[v]);
        }
        if (kind == HALVES)
            UNROLL for (size_t v = 0; v < nv; v++)
                __builtin_prefetch(b16 + v * b_panel + TILE_AHEAD);
        if (ask) {
            UNROLL for (size_t v = 0; v < nv; v++)
                __builtin_prefetch(ahead + v * ahead_panel, 0, 2);
            ahead += ahead_step;
        }
        if (half)
            b16 += ANF_PANEL;
        else
            b32 += ANF_PANEL;
        wide += kind == WIDENING ? ANF_PANEL : 0;
        UNROLL for (size_t i = 0; i < mr && mr > 1; i++) {
            vf ai = v_set(a[kind == IN_ROWS ? i * a_k : i]);
            UNROLL for (size_t v = 0; v < nvec; v++)
                acc[i * nvec + v] = v_fma(ai, b[v], acc[i * nvec + v]);
        }
        a += kind == IN_ROWS ? 1 : a_k;
    }
    if (ask && t->out) {
        ISA(tile_finish)(t->out, mr, nvec, acc);
        return;
    }
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t v = 0; v < nvec; v++)
            v_store(c + i * ldc + v * VL, acc[i * nvec + v]);
}

VFN void ISA(tile_rows)(const struct tile *t, size_t mr, size_t nv, enum tile_kind kind)
{
    switch (mr) {
    case 1: ISA(tile_body)(t, 1, nv, kind); break;
    case 2: ISA(tile_body)(t, 2, nv, kind); break;
    case 3: ISA(tile_body)(t, 3, nv, kind); break;
    case 4: ISA(tile_body)(t, 4, nv, kind); break;
#if TILE_MR > 4
    case 5: ISA(tile_body)(t, 5, nv, kind); break;
    case 6: ISA(tile_body)(t, 6, nv, kind); break;
#endif
#if TILE_MR > 6
    case 7: ISA(tile_body)(t, 7, nv, kind); break;
    case 8: ISA(tile_body)(t, 8, nv, kind); break;
#endif
    default: break;
    }
}

VFN void ISA(tile_any)(const struct tile *t, size_t mr, size_t nv, enum tile_kind kind)
{
    switch (nv) {
    case 1: ISA(tile_rows)(t, mr, 1, kind); break;
#if TILE_NV > 1
    case 2: ISA(tile_rows)(t, mr, 2, kind); break;
    case 3: ISA(tile_rows)(t, mr, 3, kind); break;
#endif
    default: break;
    }
}

/* One row, as many panels as hide the latency of the multiply-add. */
VFN void ISA(tile_one_row)(const struct tile *t, size_t nv)
{
    switch (nv) {
    case 2: ISA(tile_body)(t, 1, 2, HALVES); break;
    case 3: ISA(tile_body)(t, 1, 3, HALVES); break;
    case 4: ISA(tile_body)(t, 1, 4, HALVES); break;
#if TILE_MR > 4
    case 5: ISA(tile_body)(t, 1, 5, HALVES); break;
    case 6: ISA(tile_body)(t, 1, 6, HALVES); break;
#endif
#if TILE_MR > 6
    case 7: ISA(tile_body)(t, 1, 7, HALVES); break;
    case 8: ISA(tile_body)(t, 1, 8, HALVES); break;
#endif
    default: break;
    }
}

static void ISA(gemm_tile)(size_t mr, size_t nv, size_t kc, const float *a, size_t a_k,
                           const float *b, size_t b_panel, float *c, size_t ldc, bool accumulate)
{
    const struct tile t = {kc, a, a_k, b, b_panel, c, ldc, accumulate, NULL, NULL, NULL};
    ISA(tile_any)(&t, mr, nv, FLOATS);
}

static void ISA(gemm_tile_ahead)(size_t mr, size_t nv, size_t kc, const float *a, size_t a_k,
                                 const float *b, size_t b_panel, float *c, size_t ldc,
                                 bool accumulate, const struct gemm_ahead *ahead,
                                 const struct gemm_out *out)
{
    const struct tile t = {kc, a, a_k, b, b_panel, c, ldc, accumulate, NULL, ahead, out};
    ISA(tile_any)(&t, mr, nv, FLOATS_AHEAD);
}

static void ISA(gemm_tile_widen)(size_t mr, size_t nv, size_t kc, const float *a, size_t a_k,
                                 const f16 *b, size_t b_panel, float *wide, float *c, size_t ldc,
                                 bool accumulate, const struct gemm_ahead *ahead,
                                 const struct gemm_out *out)
{
    const struct tile t = {kc, a, a_k, b, b_panel, c, ldc, accumulate, wide, ahead, out};
    ISA(tile_any)(&t, mr, nv, WIDENING);
}

static void ISA(gemm_tile_f16)(size_t mr, size_t nv, size_t kc, const float *a, size_t a_k,
                               const f16 *b, size_t b_panel, float *c, size_t ldc, bool accumulate)
{
    const struct tile t = {kc, a, a_k, b, b_panel, c, ldc, accumulate, NULL, NULL, NULL};
    if (mr == 1 && nv > 1)
        ISA(tile_one_row)(&t, nv);
    else
        ISA(tile_any)(&t, mr, nv, HALVES);
}

/* ---- packing --------------------------------------------------------------------------------- */
typedef uint16_t u16x8 __attribute__((vector_size(16)));

VFN u16x8 ISA(zip_lo)(u16x8 a, u16x8 b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

VFN u16x8 ISA(zip_hi)(u16x8 a, u16x8 b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/* Element j of r[i] and element i of r[j] change places.  Zipping row i with row i + 4 rotates the
 * index bits (i, j) by one; three times transposes. */
VFN void ISA(turn_8)(u16x8 r[8])
{
    u16x8 s[8];
    UNROLL for (size_t round = 0; round < 3; round++) {
        UNROLL for (size_t i = 0; i < 4; i++) {
            s[2 * i] = ISA(zip_lo)(r[i], r[i + 4]);
            s[2 * i + 1] = ISA(zip_hi)(r[i], r[i + 4]);
        }
        UNROLL for (size_t i = 0; i < 8; i++)
            r[i] = s[i];
    }
}

/* t[k*ld + i] = x[i*ldx + k] for i < 8, k < kc rounded up to 8; rows from `rows` on read as zero. */
VFN void ISA(turn_rows)(const f16 *x, size_t ldx, size_t rows, size_t kc, f16 *t, size_t ld)
{
    for (size_t k = 0; k < kc; k += 8) {
        const size_t nk = kc - k < 8 ? kc - k : 8;
        u16x8 r[8];
        UNROLL for (size_t i = 0; i < 8; i++) {
            r[i] = (u16x8){0};
            if (i < rows && nk == 8) {
                __builtin_memcpy(&r[i], x + i * ldx + k, sizeof r[i]);
            } else if (i < rows) {
                f16 part[8] = {0};
                for (size_t e = 0; e < nk; e++)
                    part[e] = x[i * ldx + k + e];
                __builtin_memcpy(&r[i], part, sizeof r[i]);
            }
        }
        ISA(turn_8)(r);
        UNROLL for (size_t i = 0; i < 8; i++)
            __builtin_memcpy(t + (k + i) * ld, &r[i], sizeof r[i]);
    }
}

/* y[r*ldy + i] = widen(x[r*8 + i]) for i < m <= 8.  Where rows touch, a full store may run over
 * into the next row, which comes later. */
VFN void ISA(widen_strip)(const f16 *x, size_t rows, size_t m, float *y, size_t ldy)
{
    size_t r = 0;
    if (m == 8 && ldy == 8) {
        size_t i = 0;
        for (; i + VL <= rows * 8; i += VL)
            v_store(y + i, v_load_f16(x + i));
        v_store_n(y + i, v_load_f16_n(x + i, rows * 8 - i), rows * 8 - i);
        return;
    }
    if (m == ldy && VL <= 8)
        for (; (r + 2) * ldy + 8 <= rows * ldy; r++)
            for (size_t i = 0; i < m; i += VL)
                v_store(y + r * ldy + i, v_load_f16(x + r * 8 + i));
    for (; r < rows; r++)
        for (size_t i = 0; i < m; i += VL) {
            if (m - i >= VL)
                v_store(y + r * ldy + i, v_load_f16(x + r * 8 + i));
            else
                v_store_n(y + r * ldy + i, v_load_f16_n(x + r * 8 + i, m - i), m - i);
        }
}

static void ISA(pack_rows)(const f16 *x, size_t ldx, size_t m, size_t kc, float *a, size_t a_k)
{
    f16 turned[PACK_K * 8];
    if (m == 1 && a_k == 1) {
        ISA(f32_from_f16)(x, a, kc);
        return;
    }
    for (size_t i = 0; i < m; i += 8) {
        const size_t rows = m - i < 8 ? m - i : 8;
        for (size_t k = 0; k < kc; k += PACK_K) {
            const size_t nk = kc - k < PACK_K ? kc - k : PACK_K;
            if (rows == 8)
                ISA(turn_rows)(x + i * ldx + k, ldx, 8, nk, turned, 8);
            else
                ISA(turn_rows)(x + i * ldx + k, ldx, rows, nk, turned, 8);
            ISA(widen_strip)(turned, nk, rows, a + k * a_k + i, a_k);
        }
    }
}

static void ISA(pack_panels)(const f16 *x, size_t ldx, size_t kc, size_t n, float *b,
                             size_t b_panel)
{
    /* A few rows at a time through all panels: the rows are far apart, and a cache line of one
     * holds two panels. */
    const size_t whole = n / ANF_PANEL;
    for (size_t k0 = 0; k0 < kc; k0 += PACK_ROWS) {
        const size_t k1 = kc - k0 < PACK_ROWS ? kc : k0 + PACK_ROWS;
        for (size_t v = 0; v < whole; v++)
            for (size_t k = k0; k < k1; k++)
                UNROLL for (size_t j = 0; j < ANF_PANEL; j += VL)
                    v_store(b + v * b_panel + k * ANF_PANEL + j,
                            v_load_f16(x + k * ldx + v * ANF_PANEL + j));
    }
    x += whole * ANF_PANEL;
    b += whole * b_panel;
    n -= whole * ANF_PANEL;
    if (n)
        for (size_t k = 0; k < kc; k++)
            for (size_t j = 0; j < ANF_PANEL; j += VL) {
                const f16 *from = x + k * ldx + j;
                const size_t left = j < n ? n - j : 0;
                v_store(b + k * ANF_PANEL + j,
                        left >= VL ? v_load_f16(from) : v_load_f16_n(left ? from : x, left));
            }
}

static void ISA(pack_panels_t)(const f16 *x, size_t ldx, size_t kc, size_t n, float *b,
                               size_t b_panel)
{
    f16 turned[PACK_K * ANF_PANEL];
    for (size_t j = 0; j < n; j += ANF_PANEL, b += b_panel) {
        const size_t rows = n - j < ANF_PANEL ? n - j : ANF_PANEL;
        for (size_t k = 0; k < kc; k += PACK_K) {
            const size_t nk = kc - k < PACK_K ? kc - k : PACK_K;
            const f16 *from = x + j * ldx + k;
            if (rows == ANF_PANEL) {
                ISA(turn_rows)(from, ldx, 8, nk, turned, ANF_PANEL);
                ISA(turn_rows)(from + 8 * ldx, ldx, 8, nk, turned + 8, ANF_PANEL);
            } else {
                ISA(turn_rows)(from, ldx, rows, nk, turned, ANF_PANEL);
                ISA(turn_rows)(rows > 8 ? from + 8 * ldx : from, ldx, rows > 8 ? rows - 8 : 0, nk,
                               turned + 8, ANF_PANEL);
            }
            for (size_t i = 0; i < nk * ANF_PANEL; i += VL)
                v_store(b + k * ANF_PANEL + i, v_load_f16(turned + i));
        }
    }
}
