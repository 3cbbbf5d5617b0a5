/* Encoded weights: the register tile that expands them for few rows, and the widening that feeds
 * the float32 tile for many.  Layouts are in weight_panels.h.
 *
 * The tile keeps mr x nv panels of sums in registers, as the tile of gemm.inc.c does, and takes its
 * panels row by row side by side: several runs of memory at once, and enough independent chains to
 * hide the latency of the multiply-add.  What differs is how sixteen weights are had. */
struct weight_tile {
    const float *a;
    size_t a_k;
    const struct weight_panel *panels;
    float *c;
    size_t ldc;
};

VFN void ISA(weight_step)(const float *a, size_t mr, size_t v, size_t nv, const vf *b, vf *acc)
{
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++) {
            vf *s = &acc[(i * nv + v) * PANEL_VECS + e];
            *s = v_fma(v_set(a[i]), b[e], *s);
        }
}

VFN void ISA(weight_start)(vf *acc, size_t mr, size_t nv)
{
    UNROLL for (size_t i = 0; i < mr * nv * PANEL_VECS; i++)
        acc[i] = v_zero();
}

VFN void ISA(weight_end)(const struct weight_tile *t, const vf *acc, size_t mr, size_t nv)
{
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++)
            v_store(t->c + i * t->ldc + e * VL, acc[i * nv * PANEL_VECS + e]);
}

VFN void ISA(tile_int8)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k, panel = k * ANF_PANEL;
    const int8_t *w = t->panels[0].w;
    const float *a = t->a;
    vf acc[TILE_ACC], b[PANEL_VECS];
    ISA(weight_start)(acc, mr, nv);
    for (size_t r = 0; r < k; r++, a += t->a_k, w += ANF_PANEL)
        UNROLL for (size_t v = 0; v < nv; v++) {
            v_load_i8(w + v * panel, b);
            ISA(weight_step)(a, mr, v, nv, b, acc);
        }
    ISA(weight_end)(t, acc, mr, nv);
}

VFN void ISA(tile_int4)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k, panel = (k + 1) / 2 * ANF_PANEL;
    const uint8_t *w = t->panels[0].w;
    const vbook book = v_book(t->panels[0].side);
    const float *a = t->a;
    vf acc[TILE_ACC], low[PANEL_VECS], high[PANEL_VECS];
    ISA(weight_start)(acc, mr, nv);
    for (size_t r = 0; r < k / 2; r++, a += 2 * t->a_k, w += ANF_PANEL)
        UNROLL for (size_t v = 0; v < nv; v++) {
            v_look(book, w + v * panel, low, high);
            ISA(weight_step)(a, mr, v, nv, low, acc);
            ISA(weight_step)(a + t->a_k, mr, v, nv, high, acc);
        }
    if (k % 2)
        UNROLL for (size_t v = 0; v < nv; v++) {
            v_look(book, w + v * panel, low, high);
            ISA(weight_step)(a, mr, v, nv, low, acc);
        }
    ISA(weight_end)(t, acc, mr, nv);
}

VFN void ISA(tile_sparse)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k;
    const float *a = t->a;
    const f16 *values[TILE_ACC];
    vf acc[TILE_ACC], b[PANEL_VECS];
    ISA(weight_start)(acc, mr, nv);
    UNROLL for (size_t v = 0; v < nv; v++)
        values[v] = (const f16 *)t->panels[v].w + *(const uint64_t *)t->panels[v].side;
    for (size_t k0 = 0; k0 < k; k0 += WEIGHT_GROUP) {
        const size_t rows = k - k0 < WEIGHT_GROUP ? k - k0 : WEIGHT_GROUP;
        const f16 *masks[TILE_ACC];
        UNROLL for (size_t v = 0; v < nv; v++) {
            masks[v] = values[v];
            values[v] += rows;
        }
        for (size_t r = 0; r < rows; r++, a += t->a_k)
            UNROLL for (size_t v = 0; v < nv; v++) {
                const uint32_t mask = masks[v][r];
                v_expand(mask, values[v], b);
                values[v] += __builtin_popcount(mask);
                ISA(weight_step)(a, mr, v, nv, b, acc);
            }
    }
    ISA(weight_end)(t, acc, mr, nv);
}

VFN void ISA(tile_blockwise)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k, block = t->panels[0].block, panel = k * ANF_PANEL;
    const size_t scales = k / block * ANF_PANEL;
    const int8_t *w = t->panels[0].w;
    const f16 *scale = t->panels[0].side;
    const float *a = t->a;
    vf acc[TILE_ACC], b[PANEL_VECS];
    ISA(weight_start)(acc, mr, nv);
    for (size_t k0 = 0; k0 < k; k0 += block, scale += ANF_PANEL) {
        vf s[TILE_ACC];
        UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++)
            s[e] = v_load_f16(scale + e / PANEL_VECS * scales + e % PANEL_VECS * VL);
        for (size_t r = 0; r < block; r++, a += t->a_k, w += ANF_PANEL)
            UNROLL for (size_t v = 0; v < nv; v++) {
                v_load_i8(w + v * panel, b);
                UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
                    b[e] = v_mul(b[e], s[v * PANEL_VECS + e]);
                ISA(weight_step)(a, mr, v, nv, b, acc);
            }
    }
    ISA(weight_end)(t, acc, mr, nv);
}

/* Every shape that a table may be asked for: rows with TILE_NV panels at most, one row with TILE_MR
 * panels. */
#if TILE_NV > 1
#define WEIGHT_WIDER(tile, mr) if (nv == 3) { tile(t, mr, 3); break; } \
                               if (nv == 2) { tile(t, mr, 2); break; }
#else
#define WEIGHT_WIDER(tile, mr)
#endif
#define WEIGHT_ROWS(tile, mr) case mr: WEIGHT_WIDER(tile, mr) tile(t, mr, 1); break;
#define WEIGHT_PANELS(tile, nv) case nv: tile(t, 1, nv); break;
#if TILE_MR > 6
#define WEIGHT_UP_TO_MR(X, tile) X(tile, 2) X(tile, 3) X(tile, 4) X(tile, 5) X(tile, 6) \
                                 X(tile, 7) X(tile, 8)
#elif TILE_MR > 4
#define WEIGHT_UP_TO_MR(X, tile) X(tile, 2) X(tile, 3) X(tile, 4) X(tile, 5) X(tile, 6)
#else
#define WEIGHT_UP_TO_MR(X, tile) X(tile, 2) X(tile, 3) X(tile, 4)
#endif

#define WEIGHT_TILE(encoding)                                                                      \
    VFN void ISA(any_##encoding)(const struct weight_tile *t, size_t mr, size_t nv)                \
    {                                                                                              \
        switch (mr) {                                                                              \
        case 1:                                                                                    \
            switch (nv) {                                                                          \
            WEIGHT_PANELS(ISA(tile_##encoding), 1)                                                 \
            WEIGHT_UP_TO_MR(WEIGHT_PANELS, ISA(tile_##encoding))                                   \
            default: break;                                                                        \
            }                                                                                      \
            break;                                                                                 \
        WEIGHT_UP_TO_MR(WEIGHT_ROWS, ISA(tile_##encoding))                                         \
        default: break;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void ISA(gemm_tile_##encoding)(size_t mr, size_t nv, const float *a, size_t a_k,        \
                                          const struct weight_panel *panels, float *c, size_t ldc) \
    {                                                                                              \
        const struct weight_tile t = {a, a_k, panels, c, ldc};                                     \
        ISA(any_##encoding)(&t, mr, nv);                                                           \
    }
WEIGHT_TILE(int8)
WEIGHT_TILE(int4)
WEIGHT_TILE(sparse)
WEIGHT_TILE(blockwise)

/* ---- widening -------------------------------------------------------------------------------- */
VFN void ISA(panel_store)(float *b, const vf *x)
{
    UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
        v_store(b + e * VL, x[e]);
}

static void ISA(widen_int8)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const int8_t *w = (const int8_t *)p->w + k0 * ANF_PANEL;
    vf x[PANEL_VECS];
    for (size_t i = 0; i < kc; i++) {
        v_load_i8(w + i * ANF_PANEL, x);
        ISA(panel_store)(b + i * ANF_PANEL, x);
    }
}

static void ISA(widen_int4)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const uint8_t *w = (const uint8_t *)p->w + k0 / 2 * ANF_PANEL;
    const vbook book = v_book(p->side);
    vf low[PANEL_VECS], high[PANEL_VECS];
    size_t i = 0;
    if (k0 % 2 && kc) {
        v_look(book, w, low, high);
        ISA(panel_store)(b, high);
        w += ANF_PANEL;
        i = 1;
    }
    for (; i < kc; i += 2, w += ANF_PANEL) {
        v_look(book, w, low, high);
        ISA(panel_store)(b + i * ANF_PANEL, low);
        if (i + 1 < kc)
            ISA(panel_store)(b + (i + 1) * ANF_PANEL, high);
    }
}

static void ISA(widen_sparse)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const uint64_t *starts = (const uint64_t *)p->side + k0 / WEIGHT_GROUP;
    vf x[PANEL_VECS];
    for (size_t from = k0 % WEIGHT_GROUP; kc; from = 0) {
        const size_t left = p->k - (k0 - from);
        const size_t rows = left < WEIGHT_GROUP ? left : WEIGHT_GROUP;
        const f16 *masks = (const f16 *)p->w + *starts++, *values = masks + rows;
        for (size_t i = 0; i < from; i++)
            values += __builtin_popcount(masks[i]);
        for (; from < rows && kc; from++, k0++, kc--, b += ANF_PANEL) {
            v_expand(masks[from], values, x);
            values += __builtin_popcount(masks[from]);
            ISA(panel_store)(b, x);
        }
    }
}

static void ISA(widen_blockwise)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const int8_t *w = (const int8_t *)p->w + k0 * ANF_PANEL;
    const f16 *scale = (const f16 *)p->side + k0 / p->block * ANF_PANEL;
    vf s[PANEL_VECS], x[PANEL_VECS];
    for (size_t from = k0 % p->block; kc; from = 0, scale += ANF_PANEL) {
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            s[e] = v_load_f16(scale + e * VL);
        for (; from < p->block && kc; from++, kc--, w += ANF_PANEL, b += ANF_PANEL) {
            v_load_i8(w, x);
            UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
                x[e] = v_mul(x[e], s[e]);
            ISA(panel_store)(b, x);
        }
    }
}

static void ISA(scale_columns)(float *x, const f16 *scale, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(x + i, v_mul(v_load(x + i), v_load_f16(scale + i)));
    if (i < n)
        v_store_n(x + i, v_mul(v_load_n(x + i, n - i), v_load_f16_n(scale + i, n - i)), n - i);
}
