/* The register tile of attention: C (+)= A B with the rows of A as they lie.
 *
 * The tile of gemm.inc.c reads A packed column by column.  Query rows and probabilities are used
 * for few columns of B only, so turning them would cost more than it saves: here each step of k
 * broadcasts one element of each of the mr rows.  Sums are the same chains over k ascending.
 *
 * A head is usually 64 wide, four panels, so the largest tile is four panels wide where registers
 * allow:
 *     AVX-512   6 x 4 panels   24 of 32 zmm
 *     AVX2      6 x 1 panel    12 of 16 ymm
 *     NEON      6 x 1 panel    24 of 32 q */
#if VL == 16
#define ROWS_MR 6
#define ROWS_NV 4
#elif VL == 1
#define ROWS_MR 4
#define ROWS_NV 1
#else
#define ROWS_MR 6
#define ROWS_NV 1
#endif

enum { ROWS_ACC = ROWS_MR * ROWS_NV * PANEL_VECS };

struct rows_tile {
    size_t kc;
    const float *a;
    size_t lda;
    const float *b;
    size_t b_panel;
    float *c;
    size_t ldc;
    bool accumulate;
};

VFN void ISA(rows_body)(const struct rows_tile *t, size_t mr, size_t nv)
{
    const size_t nvec = nv * PANEL_VECS, b_panel = t->b_panel, lda = t->lda, ldc = t->ldc;
    const float *a = t->a, *b = t->b;
    float *c = t->c;
    vf acc[ROWS_ACC];

    if (t->accumulate) {
        UNROLL for (size_t i = 0; i < mr; i++)
            UNROLL for (size_t v = 0; v < nvec; v++)
                acc[i * nvec + v] = v_load(c + i * ldc + v * VL);
    } else {
        UNROLL for (size_t i = 0; i < mr * nvec; i++)
            acc[i] = v_zero();
    }
    for (size_t k = 0; k < t->kc; k++) {
        vf bk[ROWS_NV * PANEL_VECS];
        UNROLL for (size_t v = 0; v < nvec; v++)
            bk[v] = v_load(b + v / PANEL_VECS * b_panel + v % PANEL_VECS * VL);
        UNROLL for (size_t i = 0; i < mr; i++) {
            vf ai = v_set(a[i * lda + k]);
            UNROLL for (size_t v = 0; v < nvec; v++)
                acc[i * nvec + v] = v_fma(ai, bk[v], acc[i * nvec + v]);
        }
        b += ANF_PANEL;
    }
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t v = 0; v < nvec; v++)
            v_store(c + i * ldc + v * VL, acc[i * nvec + v]);
}

VFN void ISA(rows_any)(const struct rows_tile *t, size_t mr, size_t nv)
{
    switch (mr) {
    case 1: ISA(rows_body)(t, 1, nv); break;
    case 2: ISA(rows_body)(t, 2, nv); break;
    case 3: ISA(rows_body)(t, 3, nv); break;
    case 4: ISA(rows_body)(t, 4, nv); break;
#if ROWS_MR > 4
    case 5: ISA(rows_body)(t, 5, nv); break;
    case 6: ISA(rows_body)(t, 6, nv); break;
#endif
    default: break;
    }
}

static void ISA(gemm_tile_rows)(size_t mr, size_t nv, size_t kc, const float *a, size_t lda,
                                const float *b, size_t b_panel, float *c, size_t ldc,
                                bool accumulate)
{
    const struct rows_tile t = {kc, a, lda, b, b_panel, c, ldc, accumulate};
    switch (nv) {
    case 1: ISA(rows_any)(&t, mr, 1); break;
#if ROWS_NV > 1
    case 2: ISA(rows_any)(&t, mr, 2); break;
    case 3: ISA(rows_any)(&t, mr, 3); break;
    case 4: ISA(rows_any)(&t, mr, 4); break;
#endif
    default: break;
    }
}
