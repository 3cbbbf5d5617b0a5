/* Reductions, normalisations, pools, concat.
 *
 * The elements that are reduced are those of a contiguous row, or of a column: of axes with others
 * behind them, in dense memory.  What is neither is brought there by a copy with its axes last. */
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

/* Fewer columns than these leave most of a vector empty and are better copied to be rows; a softmax
 * of many elements, which computes more with them, fills a panel. */
enum { FEW_COLUMNS = 3 };

/* How many elements lie behind the reduced axes of dense x, if these are side by side; else 1. */
static int64_t inner_of(const anf_dims *x, const bool *reduced)
{
    int64_t inner = 1;
    int d = x->rank - 1;
    for (; d >= 0 && !reduced[d]; d--)
        inner *= x->dim[d];
    while (d >= 0 && (reduced[d] || x->dim[d] == 1))
        d--;
    for (; d >= 0; d--)
        if (reduced[d] && x->dim[d] != 1)
            return 1;
    return inner;
}

/* The operand of an instruction over rows of the axes that are `reduced`, which `perm` brings to
 * the end, and how the rows lie there: contiguous if they do already, else as columns beside at
 * least `least` - 1 others, else copied. */
static anf_status rows_of(struct lowering *lw, node_id id, const bool *reduced,
                          const anf_dims *perm, int64_t least, struct operand *x, int64_t *inner)
{
    struct strided s, t;
    TRY(lower_strided(lw, id, x, &s));
    t = strided_permuted(&s, perm);
    *inner = 1;
    if (strided_is_dense(&t))
        return ANF_OK;
    if (strided_is_dense(&s))
        *inner = inner_of(&s.dims, reduced);
    if (*inner >= least)
        return ANF_OK;
    *inner = 1;
    return lower_copy(lw, &t, *x, x);
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
    TRY(rows_of(lw, n->in[0], reduced, &perm, FEW_COLUMNS, &operands[1], &r.inner));
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

/* A row instruction over `axis`.  `inner`, of its parameters, is NULL if it has no form for
 * columns; then the result of rows that were brought together is moved back. */
static anf_status lower_over_axis(struct lowering *lw, node_id id, int axis, enum instr_op op,
                                  const void *param, size_t param_bytes, int64_t *inner)
{
    const struct node *n = lower_node(lw, id);
    const anf_dims *x = &n->type.shape;
    struct operand operands[2] = {{0}, {0}};
    anf_dims perm = {0};
    bool reduced[ANF_MAX_RANK] = {false}, last = true;
    int64_t columns, least = INT64_MAX;
    for (int d = 0; d < x->rank; d++)
        if (d != axis)
            perm.dim[perm.rank++] = d;
    if (x->rank)
        reduced[perm.dim[perm.rank++] = axis] = true;
    for (int d = axis + 1; d < x->rank; d++)
        last = last && x->dim[d] == 1;
    if (inner && x->dim[axis] <= ANF_COLUMN_MAX)
        least = x->dim[axis] <= ANF_REDUCE_LANES ? FEW_COLUMNS : ANF_COLUMN_PANEL;
    TRY(rows_of(lw, n->in[0], reduced, &perm, least, &operands[1], &columns));
    if (inner)
        *inner = columns;
    if (last || columns > 1)
        return lower_emit(lw, id, op, operands, 2, param, param_bytes);
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
    struct softmax_param s = {(int64_t)node_count(n) / len, len, 1};
    return lower_over_axis(lw, id, axis, INSTR_SOFTMAX, &s, sizeof s, &s.inner);
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
    return lower_over_axis(lw, id, (int)a->axis, INSTR_NORM, &p, sizeof p, NULL);
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
