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
 *     NEON      6 x 1 panel    24 of 32 q
 *
 * Multiply-adds leave units of some CPUs idle: additions, maxima, conversions, shifts and
 * permutations cost nothing beside them on AMD Zen 4.  So where there are registers enough, the
 * largest tile can also work on the softmax of other rows, which takes half of the time there that
 * it takes alone. */
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

VFN void ISA(rows_any)(const struct gemm_tile *t, size_t mr, size_t nv)
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

#if VL == 16
/* The next group of score rows, of `left` that its row still has. */
struct group_at {
    const f16 *x;
    float *e, *lanes;
    const float *row; /* its shift, or what its exponentials are multiplied by */
    size_t left;
};

VFN struct group_at ISA(group_at)(const struct softmax_rows *rows)
{
    const size_t at = rows->row * rows->ld + rows->group * ANF_REDUCE_LANES;
    return (struct group_at){rows->s + at, rows->e + at, rows->lanes + rows->row * ANF_REDUCE_LANES,
                             rows->shift + rows->row, rows->groups - rows->group};
}

VFN void ISA(group_next)(const struct softmax_rows *rows, struct group_at *at)
{
    size_t on = ANF_REDUCE_LANES;
    if (--at->left == 0) {
        on += rows->ld - rows->groups * ANF_REDUCE_LANES;
        at->left = rows->groups;
        at->lanes += ANF_REDUCE_LANES;
        at->row++;
    }
    at->x += on;
    at->e += on;
}

/* Vector v of a group, to exponentials or to shares. */
VFN void ISA(group_step)(const struct softmax_rows *rows, const struct group_at *at, size_t v,
                         const bool summed)
{
    const vf row = v_set(*at->row), off = v_set(rows->off);
    float *e = at->e + v * VL, *lanes = at->lanes + v * VL;
    if (summed) {
        v_store(e, v_round_f16(v_mul(v_load(e), row)));
        return;
    }
    const vf x = v_sub(v_add(v_load_f16(at->x + v * VL), off), off);
    const vf y = v_exp2_16th(v_fma(x, v_set(rows->factor), row));
    v_store(e, y);
    v_store(lanes, v_add(v_load_n(lanes, at->left < rows->groups ? VL : 0), y));
}

/* The largest tile, with a vector of a group in every second step. */
VFN void ISA(rows_beside)(const struct gemm_tile *from, const bool summed)
{
    enum { STEPS = 2 * ANF_REDUCE_LANES / VL };
    const struct gemm_tile t = *from;
    const struct softmax_rows rows = *t.beside;
    const size_t left = (rows.rows - rows.row) * rows.groups - rows.group, most = t.kc / STEPS;
    const size_t groups = left < most ? left : most;
    struct group_at group = ISA(group_at)(&rows);
    struct tile_at at = {.a = t.a, .b = t.b};
    vf acc[TALL_ACC];
    ISA(tile_begin)(&t, ROWS_MR, ROWS_NV, acc);
    for (size_t n = groups; n; n--) {
        UNROLL for (size_t u = 0; u < STEPS; u++) {
            if (u % 2 == 0)
                ISA(group_step)(&rows, &group, u / 2, summed);
            ISA(tile_step)(&t, &at, NULL, ROWS_MR, ROWS_NV, FLOATS, ROWS, u, acc);
        }
        ISA(group_next)(&rows, &group);
    }
    t.beside->row = (size_t)(group.row - rows.shift);
    t.beside->group = rows.groups - group.left;
    ISA(tile_steps)(&t, &at, NULL, ROWS_MR, ROWS_NV, FLOATS, ROWS, t.kc - groups * STEPS, acc);
    ISA(tile_end)(&t, ROWS_MR, ROWS_NV, FLOATS, ROWS, acc);
}
#endif

static void ISA(gemm_tile_rows)(size_t mr, size_t nv, const struct gemm_tile *tile)
{
#if VL == 16
    const struct softmax_rows *beside = tile->beside;
    const bool largest = mr == ROWS_MR && nv == ROWS_NV;
    if (largest && beside && beside->groups && beside->row < beside->rows) {
        if (beside->summed)
            ISA(rows_beside)(tile, true);
        else
            ISA(rows_beside)(tile, false);
        return;
    }
#endif
    switch (nv) {
    case 1: ISA(rows_any)(tile, mr, 1); break;
#if ROWS_NV > 1
    case 2: ISA(rows_any)(tile, mr, 2); break;
    case 3: ISA(rows_any)(tile, mr, 3); break;
    case 4: ISA(rows_any)(tile, mr, 4); break;
#endif
    default: break;
    }
}
