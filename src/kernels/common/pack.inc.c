/* Packing of matrices for the tiles of gemm.inc.c.  Transposed are sixteen-bit elements, which are
 * widened afterwards: that halves the work of the shuffles. */

/* y[r*ldy + i] = widen(x[r*ldx + i]) for i < m <= ldx, where ldx is 8 or 16, or m. */
VFN void ISA(widen_strip)(const f16 *x, size_t ldx, size_t rows, size_t m, float *y, size_t ldy)
{
    size_t r = 0;
    if (m == ldx && ldx == ldy) { /* one run */
        const size_t n = rows * m, whole = n / VL * VL;
        for (size_t i = 0; i < whole; i += VL)
            v_store(y + i, v_load_f16(x + i));
        if (whole < n)
            v_store_n(y + whole, v_load_f16_n(x + whole, n - whole), n - whole);
        return;
    }
    /* Where rows touch, a full store may run over into the next row, which comes later. */
    if (m == ldy && VL <= 8)
        for (; r * ldy + ldx <= rows * ldy; r++)
            for (size_t i = 0; i < m; i += VL)
                v_store(y + r * ldy + i, v_load_f16(x + r * ldx + i));
    for (; r < rows; r++)
        for (size_t i = 0; i < m; i += VL) {
            if (m - i >= VL)
                v_store(y + r * ldy + i, v_load_f16(x + r * ldx + i));
            else
                v_store_n(y + r * ldy + i, v_load_f16_n(x + r * ldx + i, m - i), m - i);
        }
}

#if TILE_MR == 6
/* Six rows side by side for every k, without the places of two rows that a block of eight has.  In
 * every 128-bit lane of eight k's pairs of rows are zipped, and three pairs woven. */
#define SIX_LANES (VL == 8 ? 2 : 1)
typedef uint16_t six_halves __attribute__((vector_size(16 * SIX_LANES)));
typedef uint32_t six_pairs __attribute__((vector_size(16 * SIX_LANES)));
enum { SIX_K = 8 * SIX_LANES };
/* Elements 0 to 3 of a lane of a, 4 to 7 of the same lane of b. */
#define OF_LANE(lane, i) (i) % 4 + 4 * (lane) + (i) / 4 * 4 * SIX_LANES
#if VL == 8
#define ZIP_SIX(a, b, at) __builtin_shufflevector(a, b, ZIPS_16(at))
#define PICK(a, b, p, q, r, s)                                                                     \
    __builtin_shufflevector(a, b, OF_LANE(0, p), OF_LANE(0, q), OF_LANE(0, r), OF_LANE(0, s),      \
                            OF_LANE(1, p), OF_LANE(1, q), OF_LANE(1, r), OF_LANE(1, s))
#else
#define ZIP_SIX(a, b, at) __builtin_shufflevector(a, b, ZIPS_8(at))
#define PICK(a, b, p, q, r, s)                                                                     \
    __builtin_shufflevector(a, b, OF_LANE(0, p), OF_LANE(0, q), OF_LANE(0, r), OF_LANE(0, s))
#endif

/* The lanes of y at t, a lane of eight k's of six rows apart. */
VFN void ISA(store_six)(f16 *t, six_pairs y)
{
    UNROLL for (size_t lane = 0; lane < SIX_LANES; lane++)
        __builtin_memcpy(t + lane * 48, (const f16 *)&y + lane * 8, 16);
}

/* t[k*6 + i] = x[i*ldx + k] for i < 6, k < kc, kc >= SIX_K. */
VFN void ISA(turn_six)(const f16 *x, size_t ldx, size_t kc, f16 *t)
{
    for (size_t k = 0; k < kc; k += SIX_K) {
        k = k + SIX_K <= kc ? k : kc - SIX_K; /* as in turn_rows */
        six_halves r[6];
        UNROLL for (size_t i = 0; i < 6; i++)
            __builtin_memcpy(&r[i], x + i * ldx + k, sizeof r[i]);
        UNROLL for (size_t half = 0; half < 2; half++) {
            /* Rows 0 1, 2 3 and 4 5 of four k's. */
            const six_pairs a = (six_pairs)(half ? ZIP_SIX(r[0], r[1], 4) : ZIP_SIX(r[0], r[1], 0));
            const six_pairs b = (six_pairs)(half ? ZIP_SIX(r[2], r[3], 4) : ZIP_SIX(r[2], r[3], 0));
            const six_pairs c = (six_pairs)(half ? ZIP_SIX(r[4], r[5], 4) : ZIP_SIX(r[4], r[5], 0));
            const six_pairs ab = PICK(a, b, 0, 4, 1, 5), ab_next = PICK(a, b, 2, 6, 3, 7);
            const six_pairs first = PICK(ab, PICK(c, a, 0, 0, 5, 5), 0, 1, 4, 6);
            const six_pairs second = PICK(PICK(b, c, 1, 1, 5, 5), ab_next, 0, 2, 4, 5);
            const six_pairs third =
                PICK(PICK(c, a, 2, 2, 7, 7), PICK(b, c, 3, 3, 7, 7), 0, 2, 4, 6);
            f16 *to = t + (k + 4 * half) * 6;
            ISA(store_six)(to, first);
            ISA(store_six)(to + 8, second);
            ISA(store_six)(to + 16, third);
        }
    }
}
#endif

#if VL == 16
/* Nine to sixteen rows.  A register has eight k's of rows i and i + 8, and the next eight k's of
 * both, so that turned it is all rows for two k's; loads bring its parts together.  Eight of those
 * are TURN_K k's, which lie in memory before they are widened: there the upper half of a register
 * takes no shuffle. */
enum { TURN_K = 16, TURN_HALVES = TURN_K * 16 };

/* Where the k's begin that are to begin at k: the last ones do some of those before once more. */
VFN size_t ISA(turn_from)(size_t k, size_t kc)
{
    return k + TURN_K <= kc ? k : kc - TURN_K;
}

/* a[k*a_k + i] = widen(row[i][k]) for i < rows, k < kc, kc >= TURN_K. */
VFN void ISA(pack_sixteen)(const f16 *const row[16], size_t rows, size_t kc, float *a, size_t a_k)
{
    _Alignas(64) f16 turned[PACK_K / TURN_K * TURN_HALVES];
    for (size_t k0 = 0, nk; k0 < kc; k0 += nk) {
        nk = kc - k0 < PACK_K ? kc - k0 : PACK_K;
        const size_t blocks = (nk + TURN_K - 1) / TURN_K;
        for (size_t n = 0; n < blocks; n++) {
            const size_t k = ISA(turn_from)(k0 + n * TURN_K, kc);
            u16x32 r[8];
            UNROLL for (size_t i = 0; i < 8; i++)
                r[i] = (u16x32)vi_load_parts(row[i] + k, row[i + 8] + k, row[i] + k + 8,
                                             row[i + 8] + k + 8);
            ISA(turn_32)(r);
            __builtin_memcpy(turned + n * TURN_HALVES, r, sizeof r);
        }
        for (size_t n = 0; n < blocks; n++) {
            float *to = a + ISA(turn_from)(k0 + n * TURN_K, kc) * a_k;
            UNROLL for (size_t k = 0; k < TURN_K; k++, to += a_k) {
                const vf y = v_load_f16(turned + n * TURN_HALVES + k % 8 * 32 + k / 8 * 16);
                if (rows == 16)
                    v_store(to, y);
                else
                    v_store_n(to, y, rows);
            }
        }
    }
}
#endif

/* Of `left` k's, how many to turn now, so that no few are left for the last time. */
VFN size_t ISA(turn_depth)(size_t left)
{
    return left < PACK_K + 8 ? left : PACK_K;
}

/* Up to ld rows, 8 or 16. */
VFN void ISA(pack_strip)(const f16 *x, size_t ldx, size_t rows, size_t ld, size_t kc, float *a,
                         size_t a_k)
{
    f16 turned[(PACK_K + 8) * 16];
#if VL == 16
    if (ld == 16 && kc >= TURN_K) {
        const f16 *row[16];
        for (size_t i = 0; i < 16; i++)
            row[i] = x + (i < rows ? i : 0) * ldx;
        if (rows == 16)
            ISA(pack_sixteen)(row, 16, kc, a, a_k);
        else
            ISA(pack_sixteen)(row, rows, kc, a, a_k);
        return;
    }
#endif
    for (size_t k = 0, nk; k < kc; k += nk) {
        nk = ISA(turn_depth)(kc - k);
#if TILE_MR == 6
        if (rows == 6 && a_k == 6 && nk >= SIX_K) {
            ISA(turn_six)(x + k, ldx, nk, turned);
            ISA(widen_strip)(turned, 6, nk, 6, a + k * 6, 6);
            continue;
        }
#endif
        for (size_t h = 0; h < ld; h += 8) {
            const f16 *from = x + h * ldx + k;
            if (rows >= h + 8)
                ISA(turn_rows)(from, ldx, 8, nk, turned + h, ld);
            else
                ISA(turn_rows)(from, ldx, rows - h, nk, turned + h, ld);
        }
        ISA(widen_strip)(turned, ld, nk, rows, a + k * a_k, a_k);
    }
}

static void ISA(pack_rows)(const f16 *x, size_t ldx, size_t m, size_t kc, float *a, size_t a_k)
{
    if (m == 1 && a_k == 1) {
        ISA(f32_from_f16)(x, a, kc);
        return;
    }
    for (size_t i = 0; i < m; i += 16) {
        const size_t rows = m - i < 16 ? m - i : 16;
        if (rows > 8)
            ISA(pack_strip)(x + i * ldx, ldx, rows, 16, kc, a + i, a_k);
        else
            ISA(pack_strip)(x + i * ldx, ldx, rows, 8, kc, a + i, a_k);
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
    f16 turned[(PACK_K + 8) * ANF_PANEL];
    for (size_t j = 0; j < n; j += ANF_PANEL, b += b_panel) {
        const size_t rows = n - j < ANF_PANEL ? n - j : ANF_PANEL;
        if (rows == ANF_PANEL) {
            ISA(pack_strip)(x + j * ldx, ldx, ANF_PANEL, ANF_PANEL, kc, b, ANF_PANEL);
            continue;
        }
        for (size_t k = 0, nk; k < kc; k += nk) {
            nk = ISA(turn_depth)(kc - k);
            const f16 *from = x + j * ldx + k;
            ISA(turn_rows)(from, ldx, rows, nk, turned, ANF_PANEL);
            ISA(turn_rows)(rows > 8 ? from + 8 * ldx : from, ldx, rows > 8 ? rows - 8 : 0, nk,
                           turned + 8, ANF_PANEL);
            for (size_t i = 0; i < nk * ANF_PANEL; i += VL)
                v_store(b + k * ANF_PANEL + i, v_load_f16(turned + i));
        }
    }
}
