/* Products of many rows with sparse_t panels (weight_panels.h), on the helpers of gemm.inc.c
 * and sparse.inc.c.
 *
 * Zeros are not multiplied with.  A vector runs along the rows of A, so that a non-zero of a column
 * is one broadcast and up to SPARSE_VECS multiply-adds, whose other operands are in L1: all columns
 * take one group of rows of the weight before the next. */
enum {
    SPARSE_VECS = 8,
    SPARSE_ROWS = SPARSE_VECS * VL,
    SPARSE_AHEAD = 768, /* bytes of a group of 30 % non-zeros */
};

/* What the columns of one call have in common. */
struct sparse_call {
    const struct sparse_slice *slice;
    bool whole;      /* multiply with zeros, too: some element of A is infinite or NaN */
    bool last;       /* sums become results */
    const f16 *bias; /* of results, or NULL */
};

/* A column of sums: its non-zeros w are in the rows that the bits of `mask` name. */
VFN void ISA(sparse_column)(const struct sparse_slice *s, uint64_t mask, const float *w, size_t nv,
                            vf *acc)
{
    for (; mask; mask &= mask - 1, w++) {
        const float *a = s->a + (size_t)__builtin_ctzll(mask) * s->a_k;
        const vf x = v_set(*w);
        UNROLL for (size_t i = 0; i < nv; i++)
            acc[i] = v_fma(v_load(a + i * VL), x, acc[i]);
    }
}

/* From the non-zeros of a column to all its elements.  The mask of these. */
static uint64_t ISA(sparse_whole)(uint64_t mask, size_t rows, float *w)
{
    size_t at = (size_t)__builtin_popcountll(mask);
    for (size_t i = rows; i-- > 0;)
        w[i] = mask >> i & 1 ? w[--at] : 0.0f;
    return UINT64_MAX >> (WEIGHT_GROUP - rows);
}

/* The columns j < cols of a group, to c, or to y where they are finished. */
VFN void ISA(sparse_group)(const struct sparse_call *call, const f16 *group, size_t cols, float *c,
                           f16 *y, size_t nv)
{
    const struct sparse_slice *s = call->slice;
    const f16 *values = group + MASKS_T;
    for (size_t j = 0; j < cols; j++, c += s->ldc) {
        uint64_t mask = weight_mask_t(group, j);
        const size_t n = (size_t)__builtin_popcountll(mask);
        float w[WEIGHT_GROUP + VL], bias = 0.0f;
        vf acc[SPARSE_VECS];
        for (size_t i = 0; i < n; i += VL)
            v_store(w + i, v_load_f16(values + i));
        values += n;
        if (call->whole)
            mask = ISA(sparse_whole)(mask, s->kc, w);
        UNROLL for (size_t i = 0; i < nv; i++)
            acc[i] = s->k0 ? v_load(c + i * VL) : v_zero();
        ISA(sparse_column)(s, mask, w, nv, acc);
        if (!call->last) {
            UNROLL for (size_t i = 0; i < nv; i++)
                v_store(c + i * VL, acc[i]);
            continue;
        }
        if (call->bias)
            v_store_n(&bias, v_load_f16_n(call->bias + j, 1), 1);
        UNROLL for (size_t i = 0; i < nv; i++)
            v_store_f16(y + j * SPARSE_ROWS + i * VL,
                        call->bias ? v_add(acc[i], v_set(bias)) : acc[i]);
    }
}

VFN bool ISA(slice_finite)(const struct sparse_slice *s)
{
    const bool dense = s->m == s->a_k;
    const size_t runs = dense ? 1 : s->kc, run = dense ? s->kc * s->m : s->m;
    bool finite = true;
    for (size_t k = 0; k < runs && finite; k++)
        finite = ISA(all_finite)(s->a + k * s->a_k, run);
    return finite;
}

static void ISA(gemm_sparse_t)(const struct sparse_slice *s, const struct weight_panel *panels,
                               size_t n_panels, float *c, const struct gemm_out *out)
{
    const size_t groups = weight_groups(panels->k);
    const uint64_t *start = (const uint64_t *)panels->side + s->k0 / WEIGHT_GROUP;
    struct sparse_call call = {s, !ISA(slice_finite)(s), out != NULL, NULL};
    f16 y[ANF_PANEL * SPARSE_ROWS];
    for (size_t v = 0; v < n_panels; v++, start += groups, c += ANF_PANEL * s->ldc) {
        const f16 *group = (const f16 *)panels->w + *start;
        const size_t j0 = v * ANF_PANEL;
        const size_t cols = out && out->cols - j0 < ANF_PANEL ? out->cols - j0 : ANF_PANEL;
        if (v + 1 < n_panels)
            for (size_t e = 0; e < SPARSE_AHEAD; e += CACHE_LINE)
                __builtin_prefetch((const char *)((const f16 *)panels->w + start[groups]) + e);
        if (out)
            call.bias = out->bias ? out->bias + j0 : NULL;
        switch ((s->m + VL - 1) / VL) {
#define SPARSE_WIDTH(nv) case nv: ISA(sparse_group)(&call, group, cols, c, y, nv); break;
        SPARSE_WIDTH(1) SPARSE_WIDTH(2) SPARSE_WIDTH(3) SPARSE_WIDTH(4)
        SPARSE_WIDTH(5) SPARSE_WIDTH(6) SPARSE_WIDTH(7) SPARSE_WIDTH(8)
#undef SPARSE_WIDTH
        default: break;
        }
        if (out)
            ISA(transpose)(y, SPARSE_ROWS, out->y + j0, out->ldy, cols, s->m);
    }
}
