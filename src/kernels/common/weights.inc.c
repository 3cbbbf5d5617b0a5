/* Encoded weights: the register tile that expands them for few rows, and the widening that feeds
 * the float32 tile for many.  Layouts are in weight_panels.h.
 *
 * The tile keeps mr x nv panels of sums in registers, as the tile of gemm.inc.c does, and takes its
 * panels row by row side by side: several runs of memory at once, and enough independent chains to
 * hide the latency of the multiply-add.  What differs is how sixteen weights are had. */
enum {
    CACHE_LINE = 64,
    LINE_INT8 = 4, /* rows of a cache line */
};
struct weight_tile {
    const float *a; /* [k][mr] */
    const struct weight_panel *panels;
    float *c;
    size_t ldc;
};

_Static_assert(ROW_NV <= WEIGHT_TILE_PANELS && TILE_MR <= WEIGHT_TILE_PANELS,
               "gemm_tile_weights_fn takes more panels");

#define LIST_PANELS 8 /* side by side at most, where a table has the registers */
/* How far the lists of a panel are. */
struct list_at {
    const f16 *block;
    const float *a; /* the rows that the last step chose from */
};

/* A row of vector e of nv panels, and of all of panel v.  Elements of A are memory operands, which
 * take no broadcast; one row alone waits for memory, by a fiftieth more with so many loads (int4,
 * AMD Zen 4). */
VFN void vector_step(const float *a, size_t mr, size_t e, size_t nv, vf b, vf *acc)
{
    UNROLL for (size_t i = 0; i < mr; i++) {
        vf *s = &acc[i * nv * PANEL_VECS + e];
        *s = mr == 1 ? v_fma_to(v_set(a[0]), b, *s) : v_fma_at(&a[i], b, *s);
    }
}

VFN void weight_step(const float *a, size_t mr, size_t v, size_t nv, const vf *b, vf *acc)
{
    UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
        vector_step(a, mr, v * PANEL_VECS + e, nv, b[e], acc);
}

VFN void weight_start(vf *acc, size_t mr, size_t nv)
{
    UNROLL for (size_t i = 0; i < mr * nv * PANEL_VECS; i++)
        acc[i] = v_zero();
}

/* Asks for what is read `ahead` bytes later: the hardware does not follow a panel over a page end.
 * `left` bytes are to come of these nv panels, which lie `panel` bytes apart; behind them come
 * those of the next tile. */
VFN void weight_ahead(const void *w, size_t ahead, size_t nv, size_t panel, size_t left)
{
    const char *next = (const char *)w + ahead;
    if (left <= ahead)
        next += (nv - 1) * panel;
    UNROLL for (size_t v = 0; v < nv; v++)
        __builtin_prefetch(next + v * panel);
}

VFN void weight_end(const struct weight_tile *t, const vf *acc, size_t mr, size_t nv)
{
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++)
            v_store(t->c + i * t->ldc + e * VL, acc[i * nv * PANEL_VECS + e]);
}

VFN void panel_store(float *b, const vf *x)
{
    UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
        v_store(b + e * VL, x[e]);
}

/* A row of nv panels of bytes, each multiplied by its scale or not. */
VFN void ISA(byte_row)(const int8_t *w, size_t panel, bool scaled, const vf *scale, const float *a,
                       size_t mr, size_t nv, vf *acc)
{
    UNROLL for (size_t v = 0; v < nv; v++) {
        vf b[PANEL_VECS];
        v_load_i8(w + v * panel, b);
        if (scaled)
            UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
                b[e] = v_mul(b[e], scale[v * PANEL_VECS + e]);
        weight_step(a, mr, v, nv, b, acc);
    }
}

/* int8 is one block that is scaled later. */
VFN void ISA(tile_bytes)(const struct weight_tile *t, size_t mr, size_t nv, bool scaled)
{
    const size_t k = t->panels[0].k, block = scaled ? t->panels[0].block : k;
    const size_t panel = k * ANF_PANEL, scales = scaled ? k / block * ANF_PANEL : 0;
    const size_t ahead = t->panels[0].ahead;
    const int8_t *w = t->panels[0].w;
    const f16 *scale = t->panels[0].side;
    const float *a = t->a;
    vf acc[TILE_ACC], s[TILE_ACC];
    weight_start(acc, mr, nv);
    for (size_t k0 = 0; k0 < k; k0 += block, scale += ANF_PANEL) {
        size_t r = 0;
        if (scaled)
            UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++)
                s[e] = v_load_f16(scale + e / PANEL_VECS * scales + e % PANEL_VECS * VL);
        for (; r + LINE_INT8 <= block; r += LINE_INT8) {
            weight_ahead(w, ahead, nv, panel, (k - k0 - r) * ANF_PANEL);
            UNROLL for (size_t e = 0; e < LINE_INT8; e++, a += mr, w += ANF_PANEL)
                ISA(byte_row)(w, panel, scaled, s, a, mr, nv, acc);
        }
        for (; r < block; r++, a += mr, w += ANF_PANEL)
            ISA(byte_row)(w, panel, scaled, s, a, mr, nv, acc);
    }
    weight_end(t, acc, mr, nv);
}

VFN void ISA(tile_int8)(const struct weight_tile *t, size_t mr, size_t nv)
{
    ISA(tile_bytes)(t, mr, nv, false);
}

VFN void ISA(tile_blockwise)(const struct weight_tile *t, size_t mr, size_t nv)
{
    ISA(tile_bytes)(t, mr, nv, true);
}

/* Every shape that a table may be asked for: rows with TILE_NV panels at most, one row with ROW_NV
 * panels, or with TILE_MR. */
#if TILE_NV > 1
#define WEIGHT_WIDER(tile, mr) if (nv == 3) { tile(t, mr, 3); break; } \
                               if (nv == 2) { tile(t, mr, 2); break; }
#else
#define WEIGHT_WIDER(tile, mr)
#endif
#define WEIGHT_ROWS(tile, mr) case mr: WEIGHT_WIDER(tile, mr) tile(t, mr, 1); break;
#define WEIGHT_PANELS(tile, nv) case nv: tile(t, 1, nv); break;
#if TILE_MR > 4
#define WEIGHT_UP_TO_ROW_NV(X, tile) X(tile, 2) X(tile, 3) X(tile, 4) X(tile, 5) X(tile, 6)
#else
#define WEIGHT_UP_TO_ROW_NV(X, tile) X(tile, 2) X(tile, 3) X(tile, 4)
#endif
#if TILE_MR > 6
#define WEIGHT_UP_TO_MR(X, tile) WEIGHT_UP_TO_ROW_NV(X, tile) X(tile, 7) X(tile, 8)
#else
#define WEIGHT_UP_TO_MR(X, tile) WEIGHT_UP_TO_ROW_NV(X, tile)
#endif

#define WEIGHT_TILE(encoding, panels_of_one_row)                                                   \
    VFN void ISA(any_##encoding)(const struct weight_tile *t, size_t mr, size_t nv)                \
    {                                                                                              \
        switch (mr) {                                                                              \
        case 1:                                                                                    \
            switch (nv) {                                                                          \
            WEIGHT_PANELS(ISA(tile_##encoding), 1)                                                 \
            panels_of_one_row(WEIGHT_PANELS, ISA(tile_##encoding))                                 \
            default: break;                                                                        \
            }                                                                                      \
            break;                                                                                 \
        WEIGHT_UP_TO_MR(WEIGHT_ROWS, ISA(tile_##encoding))                                         \
        default: break;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void ISA(gemm_tile_##encoding)(size_t mr, size_t nv, const float *a,                    \
                                          const struct weight_panel *panels, float *c, size_t ldc) \
    {                                                                                              \
        const struct weight_tile t = {a, panels, c, ldc};                                          \
        ISA(any_##encoding)(&t, mr, nv);                                                           \
    }
WEIGHT_TILE(int8, WEIGHT_UP_TO_ROW_NV)
WEIGHT_TILE(blockwise, WEIGHT_UP_TO_ROW_NV)

/* ---- widening -------------------------------------------------------------------------------- */
static void ISA(widen_int8)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const int8_t *w = (const int8_t *)p->w + k0 * ANF_PANEL;
    vf x[PANEL_VECS];
    for (size_t i = 0; i < kc; i++) {
        v_load_i8(w + i * ANF_PANEL, x);
        panel_store(b + i * ANF_PANEL, x);
    }
}

static void ISA(widen_blockwise)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const int8_t *w = (const int8_t *)p->w + k0 * ANF_PANEL;
    const f16 *scale = (const f16 *)p->side + k0 / p->block * ANF_PANEL;
    vf s[PANEL_VECS], x[PANEL_VECS];
    for (size_t from = k0 % p->block; kc; from = 0, scale += ANF_PANEL) {
        const size_t left = p->block - from, n = (left < kc ? left : kc) * ANF_PANEL;
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            s[e] = v_load_f16(scale + e * VL);
        for (size_t i = 0; i < n; i += ANF_PANEL) {
            v_load_i8(w + i, x);
            UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
                x[e] = v_mul(x[e], s[e]);
            panel_store(b + i, x);
        }
        w += n;
        b += n;
        kc -= n / ANF_PANEL;
    }
}

static void ISA(widen_int4)(const struct weight_panel *p, size_t k0, size_t kc, float *b);

/* ---- widening while multiplying -------------------------------------------------------------- */
/* A table with tall tiles widens in these only: others are for what rows are left, and rare. */
VFN void ISA(tile_widen)(const struct gemm_tile *t, size_t mr, size_t nv, enum tile_kind kind)
{
#if TALL_MR > TILE_MR
    if (mr > TILE_MR) {
        ISA(tile_tall)(t, mr, nv, kind);
        return;
    }
#else
    /* Words of indices come before the tile: what several rows of them share would take the
     * registers of its sums. */
    if (kind == WIDENING_INT8) {
        ISA(tile_any)(t, mr, nv, kind, PACKED);
        return;
    }
#endif
    for (size_t v = 0; v < nv; v++) {
        struct weight_panel panel = *t->weights;
        float *to = t->wide + v * t->kc * ANF_PANEL;
        if (kind == WIDENING_INT8) {
            panel.w = (const int8_t *)panel.w + v * t->b_panel;
            ISA(widen_int8)(&panel, t->k0, t->kc, to);
        } else {
            panel.w = (const uint32_t *)panel.w + v * t->b_panel;
            ISA(widen_int4)(&panel, t->k0, t->kc, to);
        }
    }
    struct gemm_tile wide = *t;
    wide.b = t->wide;
    wide.b_panel = t->kc * ANF_PANEL;
    ISA(tile_any)(&wide, mr, nv, FLOATS_AHEAD, PACKED);
}

static void ISA(gemm_tile_widen_int8)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    struct gemm_tile t = *tile;
    t.b = (const int8_t *)t.weights->w + t.k0 * ANF_PANEL;
    t.b_panel = t.weights->k * ANF_PANEL;
    ISA(tile_widen)(&t, mr, nv, WIDENING_INT8);
}

static void ISA(gemm_tile_widen_int4)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
    struct gemm_tile t = *tile;
    t.b = (const uint32_t *)t.weights->w + t.k0 / WEIGHT_PER_WORD * ANF_PANEL;
    t.b_panel = weight_words(t.weights->k) * ANF_PANEL;
    ISA(tile_widen)(&t, mr, nv, WIDENING_INT4);
}

static void ISA(scale_columns)(float *x, const f16 *scale, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(x + i, v_mul(v_load(x + i), v_load_f16(scale + i)));
    if (i < n)
        v_store_n(x + i, v_mul(v_load_n(x + i, n - i), v_load_f16_n(scale + i, n - i)), n - i);
}
