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
    return WEIGHTS_AHEAD + (left * others <= WEIGHTS_AHEAD * (nv - 1) * first->k ? others : 0);
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
        for (; r + 2 <= rows; r += 2, a += 2 * t->a_k)
            UNROLL for (size_t v = 0; v < nv; v++) {
                const uint32_t two = ISA(two_masks)(masks[v], r);
                v_expand_2(two, values[v], b, c);
                __builtin_prefetch((const char *)values[v] + ahead);
                values[v] += __builtin_popcount(two);
                weight_step(a, mr, v, nv, b, acc);
                weight_step(a + t->a_k, mr, v, nv, c, acc);
            }
        for (; r < rows; r++, a += t->a_k)
            UNROLL for (size_t v = 0; v < nv; v++) {
                v_expand(masks[v][r], values[v], b);
                values[v] += __builtin_popcount(masks[v][r]);
                weight_step(a, mr, v, nv, b, acc);
            }
    }
    weight_end(t, acc, mr, nv);
}

WEIGHT_TILE(sparse)

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
