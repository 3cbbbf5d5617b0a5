/* Multi-head attention and the gated feed-forward, as compositions: what they round is what their
 * parts round.  The parts are in the form the fusion plan recognises (k transposed on its last two
 * dims, the scale a scalar constant on the right), so nothing is lost by writing them out here.
 *
 * The query and key projections share their width E, which n_heads divides; for the usual square
 * weights E is D. */
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <math.h>

#define ATTENTION "Attention and gating"

static const struct attr_desc heads_desc[] = {
    ATTR_INT_REQUIRED(heads_attrs, n_heads,
                      "heads; each takes an equal share of the projected width"),
};

/* Where an operator keeps each operand. */
struct attention {
    int x, context, wq, wk, wv, wo, bq, bk, bv, bo;
};
static const struct attention self_operands = {0, 0, 1, 3, 5, 7, 2, 4, 6, 8};
static const struct attention cross_operands = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

/* Weight w [out,width] with its bias b [out]; `out` follows from operand `rows`, `width` from
 * operand `from`. */
static anf_status need_projection(const struct op_call *c, int w, int b, int64_t out, int rows,
                                  int64_t width, int from)
{
    const anf_dims *given = &c->in[w].shape;
    bool of_rows = given->rank == 2 && given->dim[0] != out;
    TRY(op_need_shape(c, w, &ANF_SHAPE(out, width), of_rows ? rows : from));
    return op_need_vector(c, b, out, w);
}

static anf_status infer_attention(const struct op_call *c, const struct attention *o, int64_t heads,
                                  struct value_type *out)
{
    const anf_dims *x = &c->in[o->x].shape, *context = &c->in[o->context].shape;
    if (x->rank != 2 && x->rank != 3)
        FAIL(SHAPE, "%s: x %s has rank %d, needs 2 ([S,D]) or 3 ([N,S,D])", c->op->name,
             dims_text(x), (int)x->rank);
    if (context->rank != x->rank || (x->rank == 3 && context->dim[0] != x->dim[0]))
        FAIL(SHAPE, "%s: context %s does not go with x %s, needs the same rank and batch",
             c->op->name, dims_text(context), dims_text(x));
    TRY(op_need_int(c, "n_heads", heads, 1));
    TRY(op_need_rank(c, o->wq, 2));
    TRY(op_need_rank(c, o->wo, 2));
    int64_t e = c->in[o->wq].shape.dim[0], d = x->dim[x->rank - 1];
    int64_t dc = context->dim[x->rank - 1], result = c->in[o->wo].shape.dim[0];
    if (e % heads)
        FAIL(SHAPE, "%s: width %" PRId64 " of wq %s is not divisible by n_heads %" PRId64,
             c->op->name, e, dims_text(&c->in[o->wq].shape), heads);
    TRY(need_projection(c, o->wq, o->bq, e, o->wq, d, o->x));
    TRY(need_projection(c, o->wk, o->bk, e, o->wq, dc, o->context));
    TRY(need_projection(c, o->wv, o->bv, e, o->wq, dc, o->context));
    TRY(need_projection(c, o->wo, o->bo, result, o->wo, e, o->wq));
    out->shape = *x;
    out->shape.dim[x->rank - 1] = result;
    return ANF_OK;
}

static anf_status infer_mha(const struct op_call *c, void *attrs, struct value_type *out)
{
    return infer_attention(c, &self_operands, ((const struct heads_attrs *)attrs)->n_heads, out);
}

static anf_status infer_cross(const struct op_call *c, void *attrs, struct value_type *out)
{
    return infer_attention(c, &cross_operands, ((const struct heads_attrs *)attrs)->n_heads, out);
}

static node_id add_linear(struct graph *g, node_id x, node_id w, node_id b)
{
    return x ? graph_add(g, OP_linear, (const node_id[]){x, w, b}, 3, NULL) : 0;
}

static node_id add_two(struct graph *g, enum op_id op, node_id a, node_id b)
{
    return a && b ? graph_add(g, op, (const node_id[]){a, b}, 2, NULL) : 0;
}

/* [..,S,E] -> [..,H,S,E/H] of the projection of x. */
static node_id add_heads(struct graph *g, node_id x, const anf_dims *shape, node_id w, node_id b,
                         int64_t width, int64_t heads)
{
    node_id p = add_linear(g, x, w, b);
    if (shape->rank == 2) {
        p = op_add_dims(g, OP_reshape, p, ANF_SHAPE(shape->dim[0], heads, width / heads));
        return op_add_dims(g, OP_transpose, p, ANF_DIMS(1, 0, 2));
    }
    p = op_add_dims(g, OP_reshape, p,
                     ANF_SHAPE(shape->dim[0], shape->dim[1], heads, width / heads));
    return op_add_dims(g, OP_transpose, p, ANF_DIMS(0, 2, 1, 3));
}

static node_id expand_attention(struct graph *g, const struct op_call *c, const node_id *given,
                                const struct attention *o, int64_t heads)
{
    const anf_dims *x = &c->in[o->x].shape, *context = &c->in[o->context].shape;
    node_id in[OP_NAMES_MAX] = {0};
    for (int i = 0; i < c->n_in; i++)
        in[i] = given[i];
    bool batched = x->rank == 3;
    int64_t e = c->in[o->wq].shape.dim[0];
    node_id q = add_heads(g, in[o->x], x, in[o->wq], in[o->bq], e, heads);
    node_id k = add_heads(g, in[o->context], context, in[o->wk], in[o->bk], e, heads);
    node_id v = add_heads(g, in[o->context], context, in[o->wv], in[o->bv], e, heads);
    k = op_add_dims(g, OP_transpose, k, batched ? ANF_DIMS(0, 1, 3, 2) : ANF_DIMS(0, 2, 1));
    node_id s = add_two(g, OP_bmm, q, k);
    s = add_two(g, OP_mul, s,
                graph_add_fill(g, &ANF_SCALAR, f64_to_f16(1 / sqrt((double)(e / heads)))));
    s = s ? graph_add(g, OP_softmax, &s, 1, NULL) : 0;
    s = add_two(g, OP_bmm, s, v);
    s = op_add_dims(g, OP_transpose, s, batched ? ANF_DIMS(0, 2, 1, 3) : ANF_DIMS(1, 0, 2));
    anf_dims joined = *x;
    joined.dim[x->rank - 1] = e;
    s = op_add_dims(g, OP_reshape, s, joined);
    return add_linear(g, s, in[o->wo], in[o->bo]);
}

static node_id expand_mha(struct graph *g, const struct op_call *c, const node_id *in)
{
    const struct heads_attrs *a = c->attrs;
    return expand_attention(g, c, in, &self_operands, a->n_heads);
}

static node_id expand_cross(struct graph *g, const struct op_call *c, const node_id *in)
{
    const struct heads_attrs *a = c->attrs;
    return expand_attention(g, c, in, &cross_operands, a->n_heads);
}

/* Four projections and two products over every pair of a query and a key. */
static uint64_t flops_attention(const struct op_call *c, const struct attention *o)
{
    const anf_dims *x = &c->in[o->x].shape, *context = &c->in[o->context].shape;
    uint64_t queries = dims_product(x, 0, x->rank - 1);
    uint64_t keys = dims_product(context, 0, context->rank - 1);
    uint64_t e = (uint64_t)c->in[o->wq].shape.dim[0], skv = (uint64_t)context->dim[x->rank - 2];
    uint64_t weights_x = dims_product(&c->in[o->wq].shape, 0, 2) +
                         dims_product(&c->in[o->wo].shape, 0, 2);
    uint64_t weights_context = 2 * (uint64_t)dims_product(&c->in[o->wk].shape, 0, 2);
    return 2 * (queries * weights_x + keys * weights_context + 2 * queries * skv * e);
}

static uint64_t flops_mha(const struct op_call *c, const struct value_type *out)
{
    (void)out;
    return flops_attention(c, &self_operands);
}

static uint64_t flops_cross(const struct op_call *c, const struct value_type *out)
{
    (void)out;
    return flops_attention(c, &cross_operands);
}

static const struct op_case mha_cases[] = {
    {"[5,8] w[8,8] w[8] w[8,8] w[8] w[8,8] w[8] w[8,8] w[8]", "n_heads=2"},
    {"[1,1] w[1,1] - w[1,1] - w[1,1] - w[1,1]", "n_heads=1"},
    {"[37,12] w[12,12] - w[12,12] w[12] w[12,12] - w[12,12]", "n_heads=3"},
    {"[2,7,6] w[6,6] w[6] w[6,6] w[6] w[6,6] w[6] w[6,6] w[6]", "n_heads=1"},
    {"[3,5,9] w[6,9] - w[6,9] - w[6,9] - w[4,6] w[4]", "n_heads=2"},
};

OP_DEF(mha) = {
    .name = "mha",
    .category = ATTENTION,
    .doc = "softmax(q k' / sqrt(E/n_heads)) v per head of the projections of x [..,S,D], "
           "projected by wo [O,E].",
    .operands = {"x", "wq", "?bq", "wk", "?bk", "wv", "?bv", "wo", "?bo"},
    OP_ATTRS(heads_desc, heads_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_mha,
    .expand = expand_mha,
    .flops = flops_mha,
    OP_CASES(mha_cases),
};

static const struct op_case cross_cases[] = {
    {"[5,8] [7,6] w[8,8] w[8,6] w[8,6] w[8,8] w[8] w[8] w[8] w[8]", "n_heads=2"},
    {"[1,1] [1,1] w[1,1] w[1,1] w[1,1] w[1,1]", "n_heads=1"},
    {"[9,12] [37,5] w[12,12] w[12,5] w[12,5] w[12,12] - w[12]", "n_heads=4"},
    {"[2,3,4] [2,6,5] w[4,4] w[4,5] w[4,5] w[4,4] - - - w[4]", "n_heads=2"},
};

OP_DEF(cross_attention) = {
    .name = "cross_attention",
    .category = ATTENTION,
    .doc = "As mha, with the keys and values projected from context [..,T,Dc].",
    .operands = {"x", "context", "wq", "wk", "wv", "wo", "?bq", "?bk", "?bv", "?bo"},
    OP_ATTRS(heads_desc, heads_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_cross,
    .expand = expand_cross,
    .flops = flops_cross,
    OP_CASES(cross_cases),
};

/* ---- geglu ----------------------------------------------------------------------------------- */

static anf_status infer_geglu(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    TRY(op_need_min_rank(c, 0, 1));
    TRY(op_need_rank(c, 1, 2));
    const anf_dims *x = &c->in[0].shape, *w = &c->in[1].shape;
    if (w->dim[0] % 2 || w->dim[1] != x->dim[x->rank - 1])
        FAIL(SHAPE, "geglu: w %s given, needs [2 F,%" PRId64 "] for x %s", dims_text(w),
             x->dim[x->rank - 1], dims_text(x));
    TRY(op_need_vector(c, 2, w->dim[0], 1));
    out->shape = *x;
    out->shape.dim[x->rank - 1] = w->dim[0] / 2;
    return ANF_OK;
}

/* Half `which` of the rows of a weight or a bias. */
static node_id add_half(struct graph *g, node_id t, const anf_dims *shape, int which)
{
    if (!t)
        return 0;
    struct slice_attrs a = {.begin = {shape->rank, {0}}, .size = *shape};
    a.size.dim[0] = shape->dim[0] / 2;
    a.begin.dim[0] = which ? a.size.dim[0] : 0;
    return graph_add(g, OP_slice, &t, 1, &a);
}

static node_id expand_geglu(struct graph *g, const struct op_call *c, const node_id *in)
{
    node_id part[2];
    for (int i = 0; i < 2; i++) {
        node_id w = add_half(g, in[1], &c->in[1].shape, i), b = 0;
        if (!w || (op_has(c, 2) && !(b = add_half(g, in[2], &c->in[2].shape, i))))
            return 0;
        part[i] = add_linear(g, in[0], w, b);
    }
    node_id gate = part[1] ? graph_add(g, OP_gelu, &part[1], 1, NULL) : 0;
    return add_two(g, OP_mul, part[0], gate);
}

static uint64_t flops_geglu(const struct op_call *c, const struct value_type *out)
{
    const anf_dims *x = &c->in[0].shape;
    uint64_t n = dims_product(&out->shape, 0, out->shape.rank);
    return 4 * n * (uint64_t)x->dim[x->rank - 1] + 2 * n;
}

static const struct op_case geglu_cases[] = {
    {"[4,6] w[10,6] w[10]", ""}, {"[1] w[2,1]", ""}, {"[5,37] w[34,37] w[34]", ""},
    {"[2,3,9] w[6,9]", ""},
};

OP_DEF(geglu) = {
    .name = "geglu",
    .category = ATTENTION,
    .doc = "value gelu(gate), where w [2F,D] and b[2F] hold the value rows first, then the gate "
           "rows.",
    .operands = {"x", "w", "?b"},
    .traits = OP_COMPOSITE,
    .infer = infer_geglu,
    .expand = expand_geglu,
    .flops = flops_geglu,
    OP_CASES(geglu_cases),
};
