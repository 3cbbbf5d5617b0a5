/* Panels of 4-bit indices (weight_panels.h), on the helpers of weights.inc.c. */
VFN void ISA(tile_int4)(const struct weight_tile *t, size_t mr, size_t nv)
{
    const size_t k = t->panels[0].k;
    const size_t panel = weight_words(k) * ANF_PANEL, ahead = t->panels[0].ahead;
    const uint32_t *w = t->panels[0].w;
    const vbook book = v_book(t->panels[0].side);
    const float *a = t->a;
    vf acc[TILE_ACC], b, c;
    weight_start(acc, mr, nv);
    for (size_t left = k; left; w += ANF_PANEL) {
        weight_ahead(w, ahead, nv, panel * sizeof *w, left * (ANF_PANEL / 2));
        if (left < WEIGHT_PER_WORD) {
            UNROLL for (size_t r = 0; r < WEIGHT_PER_WORD - 1; r++)
                if (r < left)
                    UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++) {
                        const vcodes codes = v_codes(w + e / PANEL_VECS * panel);
                        const vf y = v_look(book, codes, e % PANEL_VECS, r);
                        vector_step(a + r * mr, mr, e, nv, y, acc);
                    }
            break;
        }
        UNROLL for (size_t r = 0; r < WEIGHT_PER_WORD; r += 2, a += 2 * mr)
            UNROLL for (size_t e = 0; e < nv * PANEL_VECS; e++) {
                const vcodes codes = v_codes(w + e / PANEL_VECS * panel);
                v_look_2(book, codes, e % PANEL_VECS, r, &b, &c);
                vector_step(a, mr, e, nv, b, acc);
                vector_step(a + mr, mr, e, nv, c, acc);
            }
        left -= WEIGHT_PER_WORD;
    }
    weight_end(t, acc, mr, nv);
}

WEIGHT_TILE(int4, WEIGHT_UP_TO_MR)

static void ISA(widen_int4)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const uint32_t *w = (const uint32_t *)p->w + k0 / WEIGHT_PER_WORD * ANF_PANEL;
    const vbook book = v_book(p->side);
    for (size_t from = k0 % WEIGHT_PER_WORD, n; kc; from = 0, kc -= n, w += ANF_PANEL) {
        const vcodes codes = v_codes(w);
        n = WEIGHT_PER_WORD - from < kc ? WEIGHT_PER_WORD - from : kc;
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            UNROLL for (size_t r = 0; r < WEIGHT_PER_WORD; r++)
                if (n == WEIGHT_PER_WORD || r - from < n) /* r < from is huge */
                    v_store(b + (r - from) * ANF_PANEL + e * VL, v_look(book, codes, e, r));
        b += n * ANF_PANEL;
    }
}
