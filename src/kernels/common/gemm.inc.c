/* Matrix multiplication: the register tile.
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
 * Where there are rows enough, AVX-512 takes 14 x 2 panels, 28 of 32 zmm.  A third of the elements
 * of A are memory operands: other instructions count where another program runs on the same core.
 * Binary16 panels that are read once are widened on their way, two instructions for a vector: a
 * tile that is tall and narrow spends the least on it, up to TILE_FEW rows on as many panels as
 * leave the accumulators in registers.  With one row only, such a tile would wait for the latency
 * of its few multiply-adds, so gemm_tile_f16 also takes 1 x ROW_NV panels.  Such runs lie apart by
 * powers of two where k is one: memory that others use too is a fifth slower with eight of them
 * than with six, on AMD Zen 5. */
#if VL == 16
#define TILE_MR 8
#define TILE_NV 3
#define TILE_FEW 24
#define TALL_MR 14
#define TALL_NV 2
#elif VL == 1
#define TILE_MR 4
#define TILE_NV 1
#else
#define TILE_MR 6
#define TILE_NV 1
#endif
#define ROW_NV (TILE_MR < 6 ? TILE_MR : 6)
#ifndef TILE_FEW
#define TILE_FEW TILE_MR
#define TALL_MR TILE_MR
#define TALL_NV TILE_NV
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
    TALL_ACC = TALL_MR * TALL_NV * PANEL_VECS, /* at least as many */
    /* B is read once by the binary16 tile; two cache lines of every panel are asked for this far
     * ahead, because the hardware does not follow a panel over a page end. */
    TILE_AHEAD = 1024,
    /* Steps of k in one turn of the loop, which asks ahead once.  Instructions that are no
     * multiply-adds cost time where two programs share a core. */
    TILE_STEPS = VL >= 8 ? 4 : 1,
    WIDE_AHEAD = 8, /* rows of `wide`, whose lines are asked for before they are stored to */
    HALVES_ASK = 2, /* a cache line holds two rows of a panel */
    PACK_K = 64, /* k's transposed at a time, up to 7 more the last time: a buffer of 2 KiB */
    PACK_ROWS = 8,
    COLUMN_VECS = 8, /* hides the latency of a multiply-add */
};

/* What a tile does with B: panels of binary16, of bytes or of words of indices are widened in
 * registers, and kept for the strips that follow where that pays. */
enum tile_kind { FLOATS, FLOATS_AHEAD, HALVES, WIDENING, WIDENING_INT8, WIDENING_INT4 };
/* Where it finds element (i, k) of A: at i + k*a_k, at i*a_k + k, or at i + taps[k]. */
enum tile_a { PACKED, ROWS, TAPS };

/* Which field of gemm_out a tile heeds beside bias, or instead of it (ROW_BIAS). */
enum tile_end { COLUMN_BIAS, ANY_NAN, SCALED, ROW_BIAS };

/* relu of what a sum is rounded to.  Where that is -0, so is relu: down to half of the least
 * binary16. */
VFN vf ISA(relu_first)(vf s)
{
    return v_clear(v_lt(s, v_set(-0x1p-25f)), s);
}

VFN void ISA(tile_finish)(const struct gemm_out *out, size_t mr, size_t nvec, vf *acc,
                          enum tile_end end)
{
    const bool any_nan = end == ANY_NAN, scaled = end == SCALED;
    const f16 *bias = end == ROW_BIAS ? NULL : out->bias;
    UNROLL for (size_t v = 0; v < nvec; v++) {
        const size_t j = v * VL, n = out->cols > j ? out->cols - j : 0;
        f16 *y = out->y + j;
        if (end == ROW_BIAS && out->row_bias)
            UNROLL for (size_t i = 0; i < mr; i++)
                acc[i * nvec + v] = v_add(acc[i * nvec + v], v_set(out->row_bias[i]));
        if (end == ROW_BIAS && out->relu)
            UNROLL for (size_t i = 0; i < mr; i++)
                acc[i * nvec + v] = ISA(relu_first)(acc[i * nvec + v]);
        if (scaled && out->scale) {
            const vf scale = v_load_f16(out->scale + j);
            UNROLL for (size_t i = 0; i < mr; i++)
                acc[i * nvec + v] = v_mul(acc[i * nvec + v], scale);
        }
        if (n >= VL) {
            const vf add = bias ? v_load_f16(bias + j) : v_zero();
            UNROLL for (size_t i = 0; i < mr; i++) {
                const vf s = acc[i * nvec + v];
                if (any_nan)
                    v_put_f16(y + i * out->ldy, s);
                else
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

/* Whether element i of A is a memory operand, where multiply-adds have them: an instruction less,
 * but a load for every panel, and CPUs have no more loads of such vectors in a cycle than
 * multiply-adds.  At most three loads for four of them, or sums wait for loads, on AMD Zen 5 up to
 * a twentieth of the time; with one panel nothing is loaded twice.  Up to four rows are few
 * multiply-adds for what is widened: there a broadcast more costs an eighth, on AMD Zen 4.  With
 * four panels an element is used four times, and a broadcast saves three loads: a twentieth of the
 * time, on an Intel Xeon with FP16. */
VFN bool ISA(tile_reads)(size_t i, size_t mr, size_t nv)
{
    if (nv == 4 && mr > 4)
        return false;
    if (nv == 2 && mr > TILE_MR)
        return i % 3 == 1;
    return nv == 1 || mr <= 4 || i % 4 == 0;
}

/* Where a tile is in its k. */
struct tile_at {
    const float *a;
    const void *b;
    const f16 *ahead;
    float *wide;
    const uint32_t *tap;
};

/* Steps of k in one turn of the loop. */
VFN size_t ISA(tile_turn)(enum tile_kind kind)
{
    return kind == WIDENING_INT4 ? WEIGHT_PER_WORD : TILE_STEPS;
}

/* A row of a panel of B, the u'th of its turn. */
VFN void ISA(tile_load)(const struct gemm_tile *t, const void *row, const vbook *book, size_t panel,
                        enum tile_kind kind, size_t u, vf *b)
{
    const size_t at = panel * t->b_panel;
    if (kind == WIDENING_INT8)
        v_load_i8((const int8_t *)row + at, b);
    else if (kind == WIDENING_INT4)
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            b[e] = v_look(*book, v_codes((const uint32_t *)row + at), e, u);
    else
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            b[e] = kind == HALVES || kind == WIDENING ? v_load_f16((const f16 *)row + at + e * VL)
                                                      : v_load((const float *)row + at + e * VL);
}

/* From the u'th row of B to the next one, in bytes. */
VFN size_t ISA(tile_row_bytes)(enum tile_kind kind, size_t u)
{
    switch (kind) {
    case HALVES:
    case WIDENING: return ANF_PANEL * sizeof(f16);
    case WIDENING_INT8: return ANF_PANEL;
    case WIDENING_INT4: return u == WEIGHT_PER_WORD - 1 ? ANF_PANEL * sizeof(uint32_t) : 0;
    default: return ANF_PANEL * sizeof(float);
    }
}

/* One k, the u'th of its turn. */
VFN void ISA(tile_step)(const struct gemm_tile *t, struct tile_at *at, const vbook *book, size_t mr,
                        size_t nv, enum tile_kind kind, enum tile_a a_kind, size_t u, vf *acc)
{
    const size_t nvec = nv * PANEL_VECS, wide_panel = t->kc * ANF_PANEL;
    vf b[TALL_ACC];
    if (a_kind == TAPS)
        at->a = t->a + *at->tap++;
    UNROLL for (size_t panel = 0; panel < nv; panel++) {
        ISA(tile_load)(t, at->b, book, panel, kind, u, b + panel * PANEL_VECS);
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++) {
            const size_t v = panel * PANEL_VECS + e;
            /* Or gcc loads it for every row, more than can be loaded. */
            if ((VL <= 8 || a_kind == ROWS) && mr > 1)
                V_ONCE(b[v]);
            if (kind >= WIDENING)
                v_store(at->wide + panel * wide_panel + e * VL, b[v]);
            if (mr == 1) /* here, so that a wide row of B need not be held */
                acc[v] = v_fma(v_set(at->a[0]), b[v], acc[v]);
        }
    }
    if (kind == HALVES && u % HALVES_ASK == 0)
        UNROLL for (size_t v = 0; v < nv; v++)
            __builtin_prefetch((const f16 *)at->b + v * t->b_panel +
                               (mr == 1 ? t->b_ahead / sizeof(f16) : TILE_AHEAD));
    if (VL == 8 && kind >= WIDENING) /* or stores wait for their lines, on AMD Zen 3 */
        UNROLL for (size_t v = 0; v < nv; v++)
            __builtin_prefetch(at->wide + v * wide_panel + WIDE_AHEAD * ANF_PANEL, 1);
    if ((kind == FLOATS_AHEAD || kind >= WIDENING) && u % TILE_STEPS == 0) {
        UNROLL for (size_t v = 0; v < nv; v++)
            __builtin_prefetch(at->ahead + v * t->ahead->panel, 0, 2);
        at->ahead += TILE_STEPS * t->ahead->step;
    }
    UNROLL for (size_t i = 0; i < mr && mr > 1; i++) {
        const float *a = at->a + (a_kind == ROWS ? i * t->a_k : i);
        const vf ai = v_set(*a);
        UNROLL for (size_t v = 0; v < nvec; v++) {
            vf *s = &acc[i * nvec + v];
            *s = ISA(tile_reads)(i, mr, nv) ? v_fma_at(a, b[v], *s) : v_fma_to(ai, b[v], *s);
        }
    }
    at->a += a_kind == ROWS ? 1 : a_kind == TAPS ? 0 : t->a_k;
    /* Or gcc keeps the offset of every memory operand, more than there are registers for. */
    if (a_kind == PACKED)
        __asm__("" : "+r"(at->a));
    at->b = (const char *)at->b + ISA(tile_row_bytes)(kind, u);
    at->wide += kind >= WIDENING ? ANF_PANEL : 0;
}

/* n steps of k. */
VFN void ISA(tile_steps)(const struct gemm_tile *t, struct tile_at *at, const vbook *book,
                         size_t mr, size_t nv, enum tile_kind kind, enum tile_a a_kind, size_t n,
                         vf *acc)
{
    const size_t turn = ISA(tile_turn)(kind);
    for (size_t turns = n / turn; turns; turns--)
        UNROLL for (size_t u = 0; u < turn; u++)
            ISA(tile_step)(t, at, book, mr, nv, kind, a_kind, u, acc);
    for (size_t u = 0; u < n % turn; u++)
        ISA(tile_step)(t, at, book, mr, nv, kind, a_kind, u, acc);
}

VFN void ISA(tile_begin)(const struct gemm_tile *t, size_t mr, size_t nv, vf *acc)
{
    const size_t nvec = nv * PANEL_VECS;
    if (t->accumulate) {
        UNROLL for (size_t i = 0; i < mr; i++)
            UNROLL for (size_t v = 0; v < nvec; v++)
                acc[i * nvec + v] = v_load(t->c + i * t->ldc + v * VL);
    } else {
        UNROLL for (size_t i = 0; i < mr * nvec; i++)
            acc[i] = v_zero();
    }
}

VFN void ISA(tile_end)(const struct gemm_tile *t, size_t mr, size_t nv, enum tile_kind kind,
                       enum tile_a a_kind, vf *acc)
{
    const size_t nvec = nv * PANEL_VECS;
    if ((kind != FLOATS || a_kind != TAPS) && t->out) {
        if (a_kind == ROWS && t->out->any_nan)
            ISA(tile_finish)(t->out, mr, nvec, acc, ANY_NAN);
        else
            ISA(tile_finish)(t->out, mr, nvec, acc,
                             kind == FLOATS_AHEAD || kind == WIDENING_INT8 ? SCALED
                             : kind == FLOATS && a_kind == PACKED         ? ROW_BIAS
                                                                          : COLUMN_BIAS);
        return;
    }
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t v = 0; v < nvec; v++)
            v_store(t->c + i * t->ldc + v * VL, acc[i * nvec + v]);
}

VFN void ISA(tile_body)(const struct gemm_tile *from, size_t mr, size_t nv, enum tile_kind kind,
                        enum tile_a a_kind)
{
    const struct gemm_tile t = *from;
    const bool ask = kind == FLOATS_AHEAD || kind >= WIDENING;
    struct tile_at at = {t.a, t.b, ask ? t.ahead->at : NULL, t.wide, t.taps};
    vbook book;
    vf acc[TALL_ACC];

    if (kind == WIDENING_INT4)
        book = v_book(t.weights->side);
    ISA(tile_begin)(&t, mr, nv, acc);
    ISA(tile_steps)(&t, &at, &book, mr, nv, kind, a_kind, t.kc, acc);
    ISA(tile_end)(&t, mr, nv, kind, a_kind, acc);
}

VFN void ISA(tile_rows)(const struct gemm_tile *t, size_t mr, size_t nv, enum tile_kind kind,
                        enum tile_a a_kind)
{
    switch (mr) {
    case 1: ISA(tile_body)(t, 1, nv, kind, a_kind); break;
    case 2: ISA(tile_body)(t, 2, nv, kind, a_kind); break;
    case 3: ISA(tile_body)(t, 3, nv, kind, a_kind); break;
    case 4: ISA(tile_body)(t, 4, nv, kind, a_kind); break;
#if TILE_MR > 4
    case 5: ISA(tile_body)(t, 5, nv, kind, a_kind); break;
    case 6: ISA(tile_body)(t, 6, nv, kind, a_kind); break;
#endif
#if TILE_MR > 6
    case 7: ISA(tile_body)(t, 7, nv, kind, a_kind); break;
    case 8: ISA(tile_body)(t, 8, nv, kind, a_kind); break;
#endif
    default: break;
    }
}

#if TALL_MR > TILE_MR
/* More rows than TILE_MR, on fewer panels: up to TALL_MR, up to TILE_FEW of binary16 panels. */
VFN void ISA(tile_tall)(const struct gemm_tile *t, size_t mr, size_t nv, enum tile_kind kind)
{
    const size_t most = kind == HALVES ? TILE_ACC : TALL_ACC;
    switch (mr) {
#define TALL(rows)                                                                                 \
    case rows:                                                                                     \
        if (nv == 2 && 2 * rows <= most)                                                           \
            ISA(tile_body)(t, rows, 2 * rows <= TALL_ACC ? 2 : 1, kind, PACKED);                   \
        else if (rows <= TALL_MR || kind == HALVES)                                                \
            ISA(tile_body)(t, rows, 1, kind, PACKED);                                              \
        break;
        TALL(9) TALL(10) TALL(11) TALL(12) TALL(13) TALL(14) TALL(15) TALL(16)
        TALL(17) TALL(18) TALL(19) TALL(20) TALL(21) TALL(22) TALL(23) TALL(24)
#undef TALL
    default: break;
    }
}
#endif

VFN void ISA(tile_any)(const struct gemm_tile *t, size_t mr, size_t nv, enum tile_kind kind,
                       enum tile_a a_kind)
{
#if TALL_MR > TILE_MR
    if (a_kind == PACKED && kind != FLOATS && mr > TILE_MR) {
        ISA(tile_tall)(t, mr, nv, kind);
        return;
    }
#endif
    switch (nv) {
    case 1: ISA(tile_rows)(t, mr, 1, kind, a_kind); break;
#if TILE_NV > 1
    case 2: ISA(tile_rows)(t, mr, 2, kind, a_kind); break;
    case 3: ISA(tile_rows)(t, mr, 3, kind, a_kind); break;
#endif
    default: break;
    }
}

/* One row, as many panels as hide the latency of the multiply-add. */
VFN void ISA(tile_one_row)(const struct gemm_tile *t, size_t nv)
{
    switch (nv) {
    case 2: ISA(tile_body)(t, 1, 2, HALVES, PACKED); break;
    case 3: ISA(tile_body)(t, 1, 3, HALVES, PACKED); break;
    case 4: ISA(tile_body)(t, 1, 4, HALVES, PACKED); break;
#if TILE_MR > 4
    case 5: ISA(tile_body)(t, 1, 5, HALVES, PACKED); break;
    case 6: ISA(tile_body)(t, 1, 6, HALVES, PACKED); break;
#endif
    default: break;
    }
}

static void ISA(gemm_tile)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    ISA(tile_any)(tile, mr, nv, FLOATS, PACKED);
}

static void ISA(gemm_tile_ahead)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    ISA(tile_any)(tile, mr, nv, FLOATS_AHEAD, PACKED);
}

static void ISA(gemm_tile_widen)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    ISA(tile_any)(tile, mr, nv, WIDENING, PACKED);
}

static void ISA(gemm_tile_taps)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    ISA(tile_any)(tile, mr, nv, FLOATS, TAPS);
}

static void ISA(gemm_tile_taps_widen)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    const struct gemm_ahead none = {tile->b, 0, 0};
    struct gemm_tile t = *tile;
    t.ahead = &none;
    ISA(tile_any)(&t, mr, nv, WIDENING, TAPS);
}

static void ISA(gemm_tile_f16)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    if (mr == 1 && nv > 1)
        ISA(tile_one_row)(tile, nv);
    else
        ISA(tile_any)(tile, mr, nv, HALVES, PACKED);
}

/* ---- few columns ----------------------------------------------------------------------------- */
/* What a vector holds: n rows from `row` on, `skip` rows behind the first one of their strip. */
struct row_vector {
    size_t row, n, skip;
};

/* One column for n_vecs vectors of rows in strips of h. */
VFN void ISA(one_column)(const struct row_vector *rows, size_t n_vecs, size_t h,
                         const struct gemm_rows *a, const f16 *b, size_t column,
                         const struct gemm_out *out)
{
    const size_t lane = column % VL;
    float wide[PACK_K * VL];
    f16 y[VL];
    vf acc[COLUMN_VECS];
    UNROLL for (size_t i = 0; i < n_vecs; i++)
        acc[i] = v_zero();
    for (size_t k0 = 0, kc; k0 < a->k; k0 += kc) {
        const float *at[COLUMN_VECS];
        kc = a->k - k0 < a->kc ? a->k - k0 : a->kc;
        UNROLL for (size_t i = 0; i < n_vecs; i++)
            at[i] = a->at + k0 * a->n + (rows[i].row - rows[i].skip) * kc + rows[i].skip;
        for (size_t left = kc, nk; left; left -= nk, b += nk * ANF_PANEL) {
            nk = left < PACK_K ? left : PACK_K;
            /* One lane of a vector is wanted: cheaper than one by itself.  A vector that began
             * there could end past the last panel. */
            for (size_t j = 0; j < nk; j++)
                v_store(wide + j * VL, v_load_f16(b + j * ANF_PANEL + column - lane));
            for (size_t j = 0; j < nk; j++) {
                const vf w = v_set(wide[j * VL + lane]);
                UNROLL for (size_t i = 0; i < n_vecs; i++) {
                    acc[i] = v_fma(v_load(at[i]), w, acc[i]);
                    at[i] += h;
                }
            }
        }
    }
    if (out->bias) {
        v_store_n(wide, v_load_f16_n(out->bias + column, 1), 1);
        UNROLL for (size_t i = 0; i < n_vecs; i++)
            acc[i] = v_add(acc[i], v_set(wide[0]));
    }
    UNROLL for (size_t i = 0; i < n_vecs; i++) {
        v_store_f16(y, acc[i]);
        for (size_t r = 0; r < rows[i].n; r++)
            out->y[(rows[i].row + r) * out->ldy + column] = y[r];
    }
}

static void ISA(gemm_columns)(const struct gemm_rows *a, const f16 *b, const struct gemm_out *out)
{
    for (size_t row = 0; row < a->n;) {
        const size_t whole = a->n / a->h * a->h, end = row < whole ? whole : a->n;
        const size_t h = row < whole ? a->h : a->n - whole;
        struct row_vector v[COLUMN_VECS];
        size_t n = 0;
        for (; n < COLUMN_VECS && row < end; n++) {
            const size_t skip = row % a->h, left = h - skip;
            v[n] = (struct row_vector){row, left < VL ? left : VL, skip};
            row += v[n].n;
        }
        const size_t n_vecs = n;
        for (; n < COLUMN_VECS; n++) /* the first once more, without results */
            v[n] = (struct row_vector){v[0].row, 0, v[0].skip};
        for (size_t column = 0; column < out->cols; column++) {
            if (n_vecs <= COLUMN_VECS / 2)
                ISA(one_column)(v, COLUMN_VECS / 2, h, a, b, column, out);
            else
                ISA(one_column)(v, COLUMN_VECS, h, a, b, column, out);
        }
    }
}
