/* Matrix products, convolutions, attention: operands as strides where the kernels take them,
 * constant weights as panels, bias in the instruction. */
#include "lower/lower.h"
#include "ops/op_attrs.h"

/* An operand seen as [batch][rows][cols] with unit column stride. */
struct matrix {
    struct operand at;
    int64_t batch, rows, cols, batch_stride, row_stride;
};

static bool as_matrix(const struct strided *s, int n_batch, struct matrix *m)
{
    int64_t col_stride;
    int r = s->dims.rank;
    bool ok = strided_merge(s, 0, n_batch, &m->batch, &m->batch_stride) &&
              strided_merge(s, n_batch, r - 1, &m->rows, &m->row_stride) &&
              strided_merge(s, r - 1, r, &m->cols, &col_stride);
    if (m->rows == 1)
        m->row_stride = m->cols;
    return ok && (m->cols == 1 || col_stride == 1);
}

/* Dims [0, n_batch) are the batch, the last one the columns, what is between the rows.  Made dense
 * when its strides do not allow that. */
static anf_status matrix_of(struct lowering *lw, node_id id, int n_batch, struct matrix *m)
{
    struct strided s;
    TRY(lower_strided(lw, id, &m->at, &s));
    if (!as_matrix(&s, n_batch, m)) {
        TRY(lower_dense(lw, id, &m->at));
        s = strided_dense(&s.dims);
        if (!as_matrix(&s, n_batch, m))
            FAIL(INTERNAL, "lower: %s is not a matrix", dims_text(&s.dims));
    }
    return ANF_OK;
}

/* The right operand, also when it is the transposed view of a row-major one. */
static anf_status right_operand(struct lowering *lw, node_id id, int n_batch, struct matrix *m,
                                enum gemm_b *kind)
{
    struct strided s, t;
    TRY(lower_strided(lw, id, &m->at, &s));
    t = strided_swapped(&s, s.dims.rank - 2, s.dims.rank - 1);
    *kind = GEMM_B_COLS;
    if (!as_matrix(&s, n_batch, m) && as_matrix(&t, n_batch, m))
        return ANF_OK;
    *kind = GEMM_B_ROWS;
    return matrix_of(lw, id, n_batch, m);
}

/* matmul and linear: rows times a rank-2 weight, given as [k][n] or [n][k]. */
static anf_status lower_rows_by_weight(struct lowering *lw, node_id id, bool transposed)
{
    const struct node *n = lower_node(lw, id), *w = lower_node(lw, n->in[1]);
    struct matrix a;
    TRY(matrix_of(lw, n->in[0], 0, &a));
    int64_t k = w->type.shape.dim[transposed ? 1 : 0], cols = w->type.shape.dim[transposed ? 0 : 1];
    struct gemm_param p = {.batch = 1, .m = a.rows, .n = cols, .k = k, .a_row = a.row_stride,
                           .y_row = cols, .has_bias = n->n_in > 2};
    struct operand operands[5] = {{0}, a.at};
    int count = 3;
    enum weight_axes axes = node_op(n)->weight;
    struct compressed *encoded =
        axes ? compression_find(lw->compression, n->in[1], axes) : NULL;
    if (encoded) {
        TRY(lower_encoded(lw, encoded, &p, &operands[2], &operands[3]));
        count = 4;
    } else if (w->op == OP_const) {
        struct pack_param pack = {.kind = transposed ? PACK_GEMM_T : PACK_GEMM, .k = k, .n = cols};
        p.b_kind = GEMM_B_PACKED;
        TRY(lower_packed(lw, n->in[1], &pack, &operands[2]));
    } else {
        struct matrix b;
        enum gemm_b kind = GEMM_B_COLS;
        if (transposed)
            TRY(matrix_of(lw, n->in[1], 0, &b));
        else
            TRY(right_operand(lw, n->in[1], 0, &b, &kind));
        p.b_kind = kind;
        p.b_row = b.row_stride;
        operands[2] = b.at;
    }
    if (p.has_bias)
        TRY(lower_dense(lw, n->in[2], &operands[count++]));
    return lower_emit(lw, id, INSTR_GEMM, operands, count, &p, sizeof p);
}

anf_status lower_linear(struct lowering *lw, node_id id)
{
    return lower_rows_by_weight(lw, id, true);
}

anf_status lower_matmul(struct lowering *lw, node_id id)
{
    return lower_rows_by_weight(lw, id, false);
}

/* An operand whose batch dims are repeated to those of `y`: by a stride of 0 where it has no other,
 * else by a copy. */
static anf_status broadcast_batch(struct lowering *lw, node_id id, const anf_dims *y,
                                  bool transposed, struct matrix *m, enum gemm_b *kind)
{
    const anf_dims *x = &lower_node(lw, id)->type.shape;
    int n_batch = y->rank - 2, shift = y->rank - x->rank, own = x->rank > 2 ? x->rank - 2 : 0;
    bool same = true, single = true;
    for (int d = 0; d < n_batch; d++) {
        int64_t have = d < shift ? 1 : x->dim[d - shift];
        same = same && have == y->dim[d];
        single = single && have == 1;
    }
    if (same || single) {
        TRY(transposed ? right_operand(lw, id, own, m, kind) : matrix_of(lw, id, own, m));
        if (single)
            m->batch_stride = 0;
        return ANF_OK;
    }
    struct strided s;
    struct operand at;
    TRY(lower_strided(lw, id, &at, &s));
    struct strided t = {.dims = {.rank = y->rank}};
    for (int d = 0; d < y->rank; d++) {
        bool is_batch = d < n_batch;
        t.dims.dim[d] = is_batch ? y->dim[d] : x->dim[d - shift];
        t.stride[d] = d < shift || (is_batch && x->dim[d - shift] == 1) ? 0 : s.stride[d - shift];
    }
    TRY(lower_copy(lw, &t, at, &m->at));
    *kind = GEMM_B_ROWS;
    if (!as_matrix(&t, n_batch, m))
        FAIL(INTERNAL, "lower: %s is no matrix", dims_text(&t.dims));
    return ANF_OK;
}

anf_status lower_bmm(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const anf_dims *y = &n->type.shape, *b_shape = &lower_node(lw, n->in[1])->type.shape;
    struct matrix a, b;
    enum gemm_b kind, unused;
    int64_t batch = 1;
    if (b_shape->rank == 2 && lower_node(lw, n->in[1])->op == OP_const)
        return lower_rows_by_weight(lw, id, false);
    TRY(broadcast_batch(lw, n->in[0], y, false, &a, &unused));
    TRY(broadcast_batch(lw, n->in[1], y, true, &b, &kind));
    for (int d = 0; d + 2 < y->rank; d++)
        batch *= y->dim[d];
    struct gemm_param p = {.batch = batch, .m = y->dim[y->rank - 2], .n = y->dim[y->rank - 1],
                           .k = b_shape->dim[b_shape->rank - 2], .a_batch = a.batch_stride,
                           .a_row = a.row_stride, .b_kind = kind, .b_batch = b.batch_stride,
                           .b_row = b.row_stride};
    p.y_row = p.n;
    p.y_batch = p.m * p.n;
    struct operand operands[3] = {{0}, a.at, b.at};
    return lower_emit(lw, id, INSTR_GEMM, operands, 3, &p, sizeof p);
}

/* The keys, given transposed as [batch][d][skv], with contiguous d. */
static anf_status keys_of(struct lowering *lw, node_id id, int n_batch, struct matrix *m)
{
    struct strided s, t;
    TRY(lower_strided(lw, id, &m->at, &s));
    t = strided_swapped(&s, s.dims.rank - 2, s.dims.rank - 1);
    if (as_matrix(&t, n_batch, m))
        return ANF_OK;
    TRY(lower_copy(lw, &t, m->at, &m->at));
    if (!as_matrix(&t, n_batch, m))
        FAIL(INTERNAL, "lower: keys %s are no matrix", dims_text(&t.dims));
    return ANF_OK;
}

anf_status lower_attention(struct lowering *lw, node_id id)
{
    const struct fusion *f = &lw->fusion[id];
    const struct node *n = lower_node(lw, f->producer);
    const anf_dims *y = &n->type.shape;
    int n_batch = y->rank - 2, count = 4;
    struct matrix q, k, v;
    TRY(matrix_of(lw, lower_node(lw, f->scores)->in[0], n_batch, &q));
    TRY(keys_of(lw, lower_node(lw, f->scores)->in[1], n_batch, &k));
    TRY(matrix_of(lw, n->in[1], n_batch, &v));
    struct attention_param p = {.heads = q.batch, .sq = q.rows, .skv = k.rows, .d = q.cols,
                                .dv = v.cols, .q_head = q.batch_stride, .q_row = q.row_stride,
                                .k_head = k.batch_stride, .k_row = k.row_stride,
                                .v_head = v.batch_stride, .v_row = v.row_stride};
    bool merged = id != f->producer; /* rows outside, heads inside */
    p.y_row = merged ? p.heads * p.dv : p.dv;
    p.y_head = merged ? p.dv : p.sq * p.dv;
    if (f->scale) {
        p.has_scale = 1;
        p.scale_f16 = lower_node(lw, f->scale)->data[0];
    }
    struct operand operands[5] = {{0}, q.at, k.at, v.at};
    if (f->mask) {
        struct matrix m;
        enum gemm_b unused;
        TRY(broadcast_batch(lw, f->mask, y, false, &m, &unused));
        operands[count++] = m.at;
        p.has_mask = 1;
        p.mask_head = m.batch_stride;
        p.mask_row = m.rows > 1 ? m.row_stride : 0;
    }
    return lower_emit(lw, id, INSTR_ATTENTION, operands, count, &p, sizeof p);
}

static void swap(int64_t *a, int64_t *b)
{
    const int64_t was = *a;
    *a = *b;
    *b = was;
}

/* Images of one column, under a kernel of one, lie in memory as images of one row do, and kernels
 * vectorise along rows.  Such kernels are never Winograd's, so the sums are the same. */
static void lay_column_down(struct conv_param *p)
{
    if (p->in_w != 1 || p->out_w != 1 || p->kw != 1 || p->pad_w != 0)
        return;
    swap(&p->in_h, &p->in_w);
    swap(&p->out_h, &p->out_w);
    swap(&p->kh, &p->kw);
    swap(&p->pad_h, &p->pad_w);
}

static anf_status lower_conv_like(struct lowering *lw, node_id id, bool transposed)
{
    const struct node *n = lower_node(lw, id);
    const struct conv_attrs *a = n->attrs;
    const anf_dims *x = &lower_node(lw, n->in[0])->type.shape, *y = &n->type.shape;
    const anf_dims *w = &lower_node(lw, n->in[1])->type.shape;
    struct conv_param p = {.images = x->dim[0], .groups = a->groups, .cout = y->dim[1] / a->groups,
                           .cin = x->dim[1] / a->groups, .in_h = x->dim[2], .in_w = x->dim[3],
                           .out_h = y->dim[2], .out_w = y->dim[3], .kh = w->dim[2], .kw = w->dim[3],
                           .stride_h = a->stride, .stride_w = a->stride, .dil_h = a->dilation,
                           .dil_w = a->dilation, .pad_h = a->pad, .pad_w = a->pad,
                           .up = 1};
    if (transposed) {
        /* The convolution with the turned kernel over the input with gaps between its pixels. */
        p.up = a->stride;
        p.stride_h = p.stride_w = 1;
        p.pad_h = a->dilation * (p.kh - 1) - a->pad;
        p.pad_w = a->dilation * (p.kw - 1) - a->pad;
    }
    lay_column_down(&p);
    struct pack_param pack = {.kind = transposed ? PACK_CONV_T : PACK_CONV, .groups = p.groups,
                              .cout = p.cout, .cin = p.cin, .kh = p.kh, .kw = p.kw,
                              .up = p.up, .dil = a->dilation};
    struct operand operands[4] = {{0}};
    int count = 3;
    TRY(lower_dense(lw, n->in[0], &operands[1]));
    TRY(lower_packed(lw, n->in[1], &pack, &operands[2]));
    if (n->n_in > 2) {
        p.has_bias = 1;
        TRY(lower_dense(lw, n->in[2], &operands[count++]));
    }
    return lower_emit(lw, id, INSTR_CONV, operands, count, &p, sizeof p);
}

anf_status lower_conv(struct lowering *lw, node_id id)
{
    return lower_conv_like(lw, id, false);
}

anf_status lower_conv_transpose(struct lowering *lw, node_id id)
{
    return lower_conv_like(lw, id, true);
}
