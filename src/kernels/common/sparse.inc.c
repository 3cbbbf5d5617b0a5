/* Panels of non-zeros (weight_panels.h), on the helpers of weights.inc.c.
 *
 * A table may include this once more, with a v_expand_2 of its own. */

/* The masks of rows r and r + 1. */
VFN uint32_t ISA(two_masks)(const f16 *masks, size_t r)
{
    uint32_t two;
    memcpy(&two, masks + r, sizeof two);
    return two;
}

/* How far ahead to ask while `left` rows of the panels are to come.  A panel is followed by the one
 * beside it, which is read already, so its last rows ask for what the next tile begins with. */
VFN size_t ISA(sparse_ahead)(const struct weight_tile *t, size_t nv, size_t left)
{
    const struct weight_panel *first = &t->panels[0], *last = &t->panels[nv - 1];
    const size_t others = (*(const uint64_t *)last->side - *(const uint64_t *)first->side) *
                          sizeof(f16); /* bytes of all panels but one */
    return first->ahead + (left * others <= first->ahead * (nv - 1) * first->k ? others : 0);
}

VFN void ISA(tile_sparse)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k;
    const float *a = t->a;
    const f16 *values[TILE_ACC];
    vf acc[TILE_ACC], b[PANEL_VECS], c[PANEL_VECS];
    weight_start(acc, mr, nv);
    UNROLL for (size_t v = 0; v < nv; v++)
        values[v] = (const f16 *)t->panels[v].w + *(const uint64_t *)t->panels[v].side;
    for (size_t k0 = 0; k0 < k; k0 += WEIGHT_GROUP) {
        const size_t rows = k - k0 < WEIGHT_GROUP ? k - k0 : WEIGHT_GROUP;
        const size_t ahead = ISA(sparse_ahead)(t, nv, k - k0);
        const f16 *masks[TILE_ACC];
        UNROLL for (size_t v = 0; v < nv; v++) {
            masks[v] = values[v];
            UNROLL for (size_t e = 0; e < WEIGHT_GROUP * sizeof(f16); e += CACHE_LINE)
                __builtin_prefetch((const char *)masks[v] + ahead + e);
            values[v] += rows;
        }
        size_t r = 0;
        for (; r + 2 <= rows; r += 2, a += 2 * mr)
            UNROLL for (size_t v = 0; v < nv; v++) {
                const uint32_t two = ISA(two_masks)(masks[v], r);
                v_expand_2(two, values[v], b, c);
                __builtin_prefetch((const char *)values[v] + ahead);
                values[v] += __builtin_popcount(two);
                weight_step(a, mr, v, nv, b, acc);
                weight_step(a + mr, mr, v, nv, c, acc);
            }
        for (; r < rows; r++, a += mr)
            UNROLL for (size_t v = 0; v < nv; v++) {
                v_expand(masks[v][r], values[v], b);
                values[v] += __builtin_popcount(masks[v][r]);
                weight_step(a, mr, v, nv, b, acc);
            }
    }
    weight_end(t, acc, mr, nv);
}

WEIGHT_TILE(sparse, WEIGHT_UP_TO_ROW_NV)

/* ---- lists ----------------------------------------------------------------------------------- */
VFN void ISA(list_block)(struct list_at *at, size_t ahead, vf *acc)
{
    const f16 *block = at->block, *values = block + LIST_VALUES;
    const uint8_t *rows = (const uint8_t *)(block + LIST_ROWS);
    const uint32_t *codes = (const uint32_t *)(const void *)block;
    vf b[PANEL_VECS], c[PANEL_VECS], x[PANEL_VECS];
    UNROLL for (size_t e = 0; e < 3 * CACHE_LINE; e += CACHE_LINE)
        __builtin_prefetch((const char *)block + ahead + e);
    UNROLL for (size_t t = 0; t < LIST_STEPS; t += 2) {
        const uint32_t two = ISA(two_masks)(block + LIST_MASKS, t);
        v_expand_2(two, values, b, c);
        values += __builtin_popcount(two);
        at->a += rows[t];
        v_pick(at->a, codes, t, x);
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            acc[e] = v_fma(x[e], b[e], acc[e]);
        at->a += rows[t + 1];
        v_pick(at->a, codes, t + 1, x);
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            acc[e] = v_fma(x[e], c[e], acc[e]);
    }
    __builtin_prefetch((const char *)values + ahead);
    at->block = block + ((size_t)(values - block) + 1) / 2 * 2;
}

/* The rest of a panel of which c holds the sums so far. */
static void ISA(list_rest)(struct list_at at, uint64_t blocks, size_t ahead, float *c)
{
    vf acc[PANEL_VECS];
    UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
        acc[e] = v_load(c + e * VL);
    while (blocks-- > 0)
        ISA(list_block)(&at, ahead, acc);
    panel_store(c, acc);
}

/* Sums of nv panels side by side, so that they hide each other's latency, as long as the shortest
 * one goes on, and then one by one. */
VFN void ISA(list_panels)(const float *a, const struct weight_panel *panels, size_t nv, float *c)
{
    struct list_at at[LIST_PANELS];
    vf acc[LIST_PANELS * PANEL_VECS];
    uint64_t together = UINT64_MAX;
    weight_start(acc, 1, nv);
    UNROLL for (size_t v = 0; v < nv; v++) {
        const uint64_t *side = panels[v].side;
        at[v] = (struct list_at){(const f16 *)panels[v].w + side[0], a};
        together = side[1] < together ? side[1] : together;
    }
    for (uint64_t i = 0; i < together; i++)
        UNROLL for (size_t v = 0; v < nv; v++)
            ISA(list_block)(&at[v], panels->ahead, &acc[v * PANEL_VECS]);
    UNROLL for (size_t v = 0; v < nv; v++) {
        panel_store(c + v * ANF_PANEL, &acc[v * PANEL_VECS]);
        ISA(list_rest)(at[v], ((const uint64_t *)panels[v].side)[1] - together, panels->ahead,
                       c + v * ANF_PANEL);
    }
}

/* Products with 0 are 0, or NaN. */
VFN bool ISA(all_finite)(const float *a, size_t k)
{
    enum { CHAINS = 4 };
    vf s[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;
    for (; i + CHAINS * VL <= k; i += CHAINS * VL)
        UNROLL for (size_t e = 0; e < CHAINS; e++)
            s[e] = v_fma(v_load(a + i + e * VL), v_zero(), s[e]);
    for (; i < k; i += VL)
        s[0] = v_fma(v_load_n(a + i, k - i < VL ? k - i : VL), v_zero(), s[0]);
    return !vm_any(v_nan(v_add(v_add(s[0], s[1]), v_add(s[2], s[3]))));
}

/* Sums of a panel where rows are infinite or NaN, which a zero of the weight makes NaN too: a
 * column that has not met all of them in its list has met a zero. */
static void ISA(list_special)(const float *a, const struct weight_panel *p, float *c)
{
    const uint64_t *side = p->side;
    const f16 *block = (const f16 *)p->w + side[0];
    size_t special = 0, met[ANF_PANEL] = {0};
    float b[ANF_PANEL];
    vf x[PANEL_VECS];
    for (size_t i = 0; i < p->k; i++)
        special += isfinite(a[i]) ? 0 : 1;
    memset(c, 0, ANF_PANEL * sizeof *c);
    for (uint64_t i = 0; i < side[1]; i++) {
        const uint32_t *index = (const uint32_t *)(const void *)block;
        const uint8_t *rows = (const uint8_t *)(block + LIST_ROWS);
        const f16 *values = block + LIST_VALUES;
        for (size_t t = 0; t < LIST_STEPS; t++) {
            const uint32_t mask = block[LIST_MASKS + t];
            v_expand(mask, values, x);
            panel_store(b, x);
            values += __builtin_popcount(mask);
            a += rows[t];
            for (size_t j = 0; j < ANF_PANEL; j++)
                if (mask >> j & 1) {
                    const float at = a[index[j] >> 4 * t & 15];
                    c[j] = fmaf(at, b[j], c[j]);
                    met[j] += isfinite(at) ? 0 : 1;
                }
        }
        block += ((size_t)(values - block) + 1) / 2 * 2;
    }
    for (size_t j = 0; j < ANF_PANEL; j++)
        if (met[j] < special)
            c[j] = NAN;
}

static void ISA(gemm_tile_lists)(size_t mr, size_t nv, const float *a,
                                 const struct weight_panel *panels, float *c, size_t ldc)
{
    const bool finite = ISA(all_finite)(a, panels[0].k);
    size_t v = 0;
    (void)mr, (void)ldc;
    for (; !finite && v < nv; v++)
        ISA(list_special)(a, &panels[v], c + v * ANF_PANEL);
#define LIST_WIDTH(n)                                                                              \
    for (; v + (n) <= nv; v += (n))                                                                \
        ISA(list_panels)(a, panels + v, n, c + v * ANF_PANEL);
#if TILE_MR >= LIST_PANELS
    LIST_WIDTH(LIST_PANELS)
#endif
    LIST_WIDTH(4) LIST_WIDTH(2) LIST_WIDTH(1)
#undef LIST_WIDTH
}

/* ---- widening -------------------------------------------------------------------------------- */
static void ISA(widen_sparse)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const uint64_t *starts = (const uint64_t *)p->side + k0 / WEIGHT_GROUP;
    vf x[PANEL_VECS], y[PANEL_VECS];
    for (size_t from = k0 % WEIGHT_GROUP; kc; from = 0) {
        const size_t left = p->k - (k0 - from);
        const size_t rows = left < WEIGHT_GROUP ? left : WEIGHT_GROUP;
        const size_t end = rows - from < kc ? rows : from + kc;
        const f16 *masks = (const f16 *)p->w + *starts++, *values = masks + rows;
        for (size_t i = 0; i < from; i++)
            values += __builtin_popcount(masks[i]);
        k0 += end - from;
        kc -= end - from;
        for (; from + 2 <= end; from += 2, b += 2 * ANF_PANEL) {
            const uint32_t two = ISA(two_masks)(masks, from);
            v_expand_2(two, values, x, y);
            values += __builtin_popcount(two);
            panel_store(b, x);
            panel_store(b + ANF_PANEL, y);
        }
        for (; from < end; from++, b += ANF_PANEL) {
            v_expand(masks[from], values, x);
            values += __builtin_popcount(masks[from]);
            panel_store(b, x);
        }
    }
}
