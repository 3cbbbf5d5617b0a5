/* Reductions, normalisations, pools, concat: rows of contiguous elements.
 *
 * An axis that is not the last is brought there by a view (transposed strides made dense), because
 * the row kernels define the order of a sum by the position in a contiguous row. */
#include "lower/lower.h"
#include "ops/op_attrs.h"

#include <string.h>

static int64_t eps_bits(double eps)
{
    float f = (float)eps;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (int64_t)bits;
}

/* The value of `id` with its dims in order `perm`, dense, in `out`. */
static anf_status permuted(struct lowering *lw, node_id id, const anf_dims *perm,
                           struct operand *out)
{
    struct strided s, t;
    TRY(lower_strided(lw, id, out, &s));
    t = strided_permuted(&s, perm);
    if (strided_is_dense(&t))
        return ANF_OK;
    return lower_copy(lw, &t, *out, out);
}

static anf_status lower_reduce(struct lowering *lw, node_id id, enum reduce_kind kind)
{
    const struct node *n = lower_node(lw, id);
    const struct axes_attrs *a = n->attrs;
    const anf_dims *x = &lower_node(lw, n->in[0])->type.shape;
    anf_dims perm = {0};
    bool reduced[ANF_MAX_RANK] = {false};
    struct reduce_param r = {.kind = kind, .rows = 1, .n = 1};
    for (int i = 0; i < a->axes.rank; i++)
        reduced[a->axes.dim[i]] = true;
    for (int pass = 0; pass < 2; pass++)
        for (int d = 0; d < x->rank; d++)
            if (reduced[d] == (pass == 1)) {
                perm.dim[perm.rank++] = d;
                *(pass ? &r.n : &r.rows) *= x->dim[d];
            }
    struct operand operands[2] = {{0}, {0}};
    TRY(permuted(lw, n->in[0], &perm, &operands[1]));
    return lower_emit(lw, id, INSTR_REDUCE, operands, 2, &r, sizeof r);
}

anf_status lower_reduce_sum(struct lowering *lw, node_id id)
{
    return lower_reduce(lw, id, REDUCE_SUM);
}

anf_status lower_reduce_mean(struct lowering *lw, node_id id)
{
    return lower_reduce(lw, id, REDUCE_MEAN);
}

anf_status lower_reduce_max(struct lowering *lw, node_id id)
{
    return lower_reduce(lw, id, REDUCE_MAX);
}

anf_status lower_reduce_min(struct lowering *lw, node_id id)
{
    return lower_reduce(lw, id, REDUCE_MIN);
}

/* A row instruction over `axis`: directly on the last one; otherwise on a transposed copy, whose
 * result is moved back. */
static anf_status lower_over_axis(struct lowering *lw, node_id id, int axis, enum instr_op op,
                                  const void *param, size_t param_bytes)
{
    const struct node *n = lower_node(lw, id);
    const anf_dims *x = &n->type.shape;
    struct operand operands[2] = {{0}, {0}};
    bool last = true;
    for (int d = axis + 1; d < x->rank; d++)
        last = last && x->dim[d] == 1;
    if (last) {
        TRY(lower_dense(lw, n->in[0], &operands[1]));
        return lower_emit(lw, id, op, operands, 2, param, param_bytes);
    }
    anf_dims perm = {0};
    for (int d = 0; d < x->rank; d++)
        if (d != axis)
            perm.dim[perm.rank++] = d;
    perm.dim[perm.rank++] = axis;
    TRY(permuted(lw, n->in[0], &perm, &operands[1]));
    operands[0].buf = program_buffer(lw->p, BUF_ARENA, node_count(n) * sizeof(f16));
    if (!operands[0].buf)
        return ANF_E_NOMEM;
    TRY(program_instr(lw->p, op, operands, 2, param, param_bytes, 0, lower_source(lw, id),
                      lower_flops(lw, id)));
    const struct strided y = strided_dense(x), to = strided_permuted(&y, &perm);
    const struct strided from = strided_dense(&to.dims);
    const struct move_param m = strided_move(&from, &to);
    const struct operand back[2] = {{.buf = lower_destination(lw, id)}, operands[0]};
    if (!back[0].buf)
        return ANF_E_NOMEM;
    lw->value[id] = back[0];
    return program_instr(lw->p, INSTR_MOVE, back, 2, &m, sizeof m, 0, lower_source(lw, id), 0);
}

anf_status lower_softmax(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    int axis = (int)((const struct axis_attrs *)n->attrs)->axis;
    int64_t len = n->type.shape.rank ? n->type.shape.dim[axis] : 1;
    struct softmax_param s = {(int64_t)node_count(n) / len, len};
    return lower_over_axis(lw, id, axis, INSTR_SOFTMAX, &s, sizeof s);
}

/* Every row has all of gamma and beta. */
static struct norm_param whole_rows(const struct node *n, enum norm_kind kind, int64_t len,
                                    double eps)
{
    return (struct norm_param){.kind = kind, .rows = (int64_t)node_count(n) / len, .n = len,
                               .run = 1, .per_row = len, .row_period = 1,
                               .eps_f32 = eps_bits(eps)};
}

anf_status lower_l2_norm(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const struct l2_norm_attrs *a = n->attrs;
    const struct norm_param p = whole_rows(n, NORM_L2, n->type.shape.dim[a->axis], a->eps);
    return lower_over_axis(lw, id, (int)a->axis, INSTR_NORM, &p, sizeof p);
}

static anf_status lower_norm(struct lowering *lw, node_id id, struct norm_param *p)
{
    const struct node *n = lower_node(lw, id);
    struct operand operands[4] = {{0}};
    int count = 1;
    for (int i = 0; i < n->n_in; i++)
        TRY(lower_dense(lw, n->in[i], &operands[count++]));
    p->has_gamma = n->n_in > 1;
    p->has_beta = n->n_in > 2;
    return lower_emit(lw, id, INSTR_NORM, operands, count, p, sizeof *p);
}

static anf_status lower_last_dim_norm(struct lowering *lw, node_id id, enum norm_kind kind)
{
    const struct node *n = lower_node(lw, id);
    const struct eps_attrs *a = n->attrs;
    struct norm_param p =
        whole_rows(n, kind, n->type.shape.dim[n->type.shape.rank - 1], a->eps);
    return lower_norm(lw, id, &p);
}

anf_status lower_rms_norm(struct lowering *lw, node_id id)
{
    return lower_last_dim_norm(lw, id, NORM_RMS);
}

anf_status lower_layer_norm(struct lowering *lw, node_id id)
{
    return lower_last_dim_norm(lw, id, NORM_LAYER);
}

anf_status lower_group_norm(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const struct group_norm_attrs *a = n->attrs;
    const anf_dims *x = &n->type.shape;
    int64_t pixels = 1, per_group = x->dim[1] / a->num_groups;
    for (int d = 2; d < x->rank; d++)
        pixels *= x->dim[d];
    struct norm_param p = {.kind = NORM_LAYER, .rows = x->dim[0] * a->num_groups,
                           .n = per_group * pixels, .run = pixels, .per_row = per_group,
                           .row_period = a->num_groups, .eps_f32 = eps_bits(a->eps)};
    return lower_norm(lw, id, &p);
}

anf_status lower_batch_norm(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const anf_dims *x = &n->type.shape;
    struct affine_param p = {.images = x->dim[0], .channels = x->dim[1], .run = 1,
                             .eps_f32 = eps_bits(((const struct eps_attrs *)n->attrs)->eps)};
    for (int d = 2; d < x->rank; d++)
        p.run *= x->dim[d];
    struct operand operands[6] = {{0}};
    for (int i = 0; i < 5; i++)
        TRY(lower_dense(lw, n->in[i], &operands[i + 1]));
    return lower_emit(lw, id, INSTR_AFFINE, operands, 6, &p, sizeof p);
}

static anf_status lower_pool(struct lowering *lw, node_id id, enum pool_kind kind)
{
    const struct node *n = lower_node(lw, id);
    const struct pool_attrs *a = n->attrs;
    const anf_dims *x = &lower_node(lw, n->in[0])->type.shape, *y = &n->type.shape;
    struct pool_param p = {kind, x->dim[0] * x->dim[1], x->dim[2], x->dim[3], y->dim[2], y->dim[3],
                           a->k, a->stride, a->pad};
    struct operand operands[2] = {{0}, {0}};
    TRY(lower_dense(lw, n->in[0], &operands[1]));
    return lower_emit(lw, id, INSTR_POOL, operands, 2, &p, sizeof p);
}

anf_status lower_max_pool(struct lowering *lw, node_id id)
{
    return lower_pool(lw, id, POOL_MAX);
}

anf_status lower_avg_pool(struct lowering *lw, node_id id)
{
    return lower_pool(lw, id, POOL_AVG);
}

anf_status lower_concat(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    int axis = (int)((const struct axis_attrs *)n->attrs)->axis;
    const struct strided dense = strided_dense(&n->type.shape);
    int64_t begin = 0;
    const struct operand dst = {.buf = lower_destination(lw, id)};
    if (!dst.buf)
        return ANF_E_NOMEM;
    for (int i = 0; i < n->n_in; i++) {
        struct operand operands[2] = {dst, {0}};
        struct strided s;
        TRY(lower_strided(lw, n->in[i], &operands[1], &s));
        operands[0].offset = (uint64_t)(begin * dense.stride[axis]) * sizeof(f16);
        const struct move_param m = strided_move(&s, &dense);
        TRY(program_instr(lw->p, INSTR_MOVE, operands, 2, &m, sizeof m, 0, "concat", 0));
        begin += s.dims.dim[axis];
    }
    lw->value[id] = dst;
    return ANF_OK;
}
