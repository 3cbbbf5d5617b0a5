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

_Static_assert(ROWS_MR * ROWS_NV <= TILE_MR * TILE_NV, "tile_body has room for the sums");

VFN void ISA(rows_any)(const struct tile *t, size_t mr, size_t nv)
{
    switch (mr) {
    case 1: ISA(tile_body)(t, 1, nv, FLOATS, ROWS); break;
    case 2: ISA(tile_body)(t, 2, nv, FLOATS, ROWS); break;
    case 3: ISA(tile_body)(t, 3, nv, FLOATS, ROWS); break;
    case 4: ISA(tile_body)(t, 4, nv, FLOATS, ROWS); break;
#if ROWS_MR > 4
    case 5: ISA(tile_body)(t, 5, nv, FLOATS, ROWS); break;
    case 6: ISA(tile_body)(t, 6, nv, FLOATS, ROWS); break;
#endif
    default: break;
    }
}

static void ISA(gemm_tile_rows)(size_t mr, size_t nv, size_t kc, const float *a, size_t lda,
                                const float *b, size_t b_panel, float *c, size_t ldc,
                                bool accumulate, const struct gemm_out *out)
{
    const struct tile t = {kc, a, lda, b, b_panel, c, ldc, accumulate, .out = out};
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
