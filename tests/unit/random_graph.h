/* Seeded random graphs: well typed, of 5 to 60 operators, with shared values and several outputs.
 *
 * A step picks an operator of the table at random and makes operands for it: values already there
 * where they fit, so that they are shared, else constants or inputs.  What the operator's own check
 * refuses is tried again with something else, so nothing here repeats a shape rule.  The same seed
 * gives the same graph everywhere. */
#ifndef ANF_TESTS_RANDOM_GRAPH_H
#define ANF_TESTS_RANDOM_GRAPH_H

#include "ir/graph.h"
#include "ops/op.h"

#include <stdio.h>
#include <string.h>

enum { POOL_MAX_VALUES = 128 };

struct random_graph {
    struct graph *g;
    uint64_t state;
    size_t limit; /* elements of a value */
    node_id pool[POOL_MAX_VALUES];
    int n;
    int n_ops;
};

static inline uint64_t rg_next(struct random_graph *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (r->state * 0x2545f4914f6cdd1du) >> 16;
}

static inline int rg_int(struct random_graph *r, int lo, int hi)
{
    return lo + (int)(rg_next(r) % (uint64_t)(hi - lo + 1));
}

static inline bool rg_chance(struct random_graph *r, int percent)
{
    return rg_int(r, 0, 99) < percent;
}

static inline const struct node *rg_node(const struct random_graph *r, node_id id)
{
    return graph_node(r->g, id);
}

static inline int64_t rg_dim(struct random_graph *r)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 4, 4, 5, 7, 8, 8, 13, 16, 17, 32, 40, 65};
    return sizes[rg_int(r, 0, (int)(sizeof sizes / sizeof *sizes) - 1)];
}

static inline anf_dims rg_shape(struct random_graph *r, int rank)
{
    anf_dims d = {.rank = rank};
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        d.dim[i] = rg_dim(r);
        while (count * (size_t)d.dim[i] > r->limit)
            d.dim[i] = (d.dim[i] + 1) / 2 < d.dim[i] ? (d.dim[i] + 1) / 2 : 1;
        count *= (size_t)d.dim[i];
    }
    return d;
}

/* A constant, or sometimes an input or a constant of the same shape that is there already. */
static inline node_id rg_weight(struct random_graph *r, anf_dims shape)
{
    struct value_type t = {ANF_F16, shape};
    if (rg_chance(r, 12))
        return graph_add_input(r->g, NULL, &t);
    if (rg_chance(r, 30))
        for (node_id id = 1; id < r->g->n_nodes; id++)
            if (rg_node(r, id)->op == OP_const && rg_node(r, id)->type.dtype == ANF_F16 &&
                dims_equal(&rg_node(r, id)->type.shape, &shape))
                return id;
    if (rg_chance(r, 10)) {
        static const f16 fills[] = {0x3c00, 0x8000, 0x0000, 0x3800};
        return graph_add_fill(r->g, &shape, fills[rg_int(r, 0, 3)]);
    }
    return graph_add_random(r->g, &shape, rg_next(r), 0.5);
}

static inline node_id rg_value(struct random_graph *r)
{
    /* Recent values more often: chains grow long enough to be split. */
    int i = rg_chance(r, 60) && r->n > 4 ? rg_int(r, r->n - 4, r->n - 1) : rg_int(r, 0, r->n - 1);
    return r->pool[i];
}

static inline node_id rg_keep(struct random_graph *r, node_id id)
{
    if (id && r->n < POOL_MAX_VALUES && node_count(rg_node(r, id)) <= r->limit) {
        r->pool[r->n++] = id;
        return id;
    }
    return 0;
}

/* "axis=1, eps=0.5" for an operator; 0 where it refuses. */
static inline node_id rg_add(struct random_graph *r, enum op_id op, const node_id *in, int n_in,
                             const char *text)
{
    union {
        char bytes[4 * sizeof(anf_dims)];
        int64_t align;
    } attrs;
    memset(&attrs, 0, sizeof attrs);
    for (int i = 0; i < n_in; i++)
        if (!in[i] && !op_operand_optional(op_table[op], i))
            return 0;
    if (attrs_parse(op_table[op], text, strlen(text), attrs.bytes) != ANF_OK)
        return 0;
    node_id id = graph_add(r->g, op, in, n_in, op_table[op]->attrs_size ? attrs.bytes : NULL);
    r->n_ops += id != 0;
    return id;
}

static inline node_id rg_half(struct random_graph *r)
{
    node_id id = rg_value(r);
    return rg_node(r, id)->type.dtype == ANF_F16 ? id : rg_add(r, OP_cast, &id, 1, "");
}

static inline void rg_list(char *text, size_t n, const char *name, const anf_dims *d)
{
    size_t len = (size_t)snprintf(text, n, "%s=[", name);
    for (int i = 0; i < d->rank && len < n; i++)
        len += (size_t)snprintf(text + len, n - len, "%s%d", i ? "," : "", (int)d->dim[i]);
    if (len < n)
        snprintf(text + len, n - len, "]");
}

static inline node_id rg_reshape(struct random_graph *r, node_id x, anf_dims shape)
{
    char text[160];
    rg_list(text, sizeof text, "shape", &shape);
    return rg_add(r, OP_reshape, &x, 1, text);
}

/* A value of exactly this rank, made by merging or adding leading dims. */
static inline node_id rg_rank(struct random_graph *r, int rank)
{
    node_id x = rg_half(r);
    anf_dims have = rg_node(r, x)->type.shape, want = {.rank = rank};
    if (have.rank == rank)
        return x;
    for (int i = 0; i < rank; i++)
        want.dim[i] = 1;
    for (int i = 0; i < have.rank; i++) {
        int to = rank - have.rank + i;
        want.dim[to < 0 ? 0 : to] *= have.dim[i];
    }
    return rg_reshape(r, x, want);
}

/* ---- one step for each kind of operator ------------------------------------------------------ */
static inline node_id rg_elementwise(struct random_graph *r, enum op_id op)
{
    const struct op *o = op_table[op];
    node_id in[3] = {0};
    char text[96] = "";
    int n = op_n_operands(o);
    in[0] = rg_half(r);
    if (op == OP_cast)
        in[0] = rg_value(r);
    for (int i = 1; i < n; i++)
        in[i] = rg_chance(r, 15)   ? rg_weight(r, (anf_dims){0, {0}})
                : rg_chance(r, 30) ? rg_weight(r, rg_node(r, in[0])->type.shape)
                                   : rg_half(r);
    if (op == OP_select || op == OP_logical_not) {
        node_id two[2] = {rg_half(r), in[n - 1]};
        in[0] = rg_add(r, rg_chance(r, 50) ? OP_less : OP_not_equal, two, 2, "");
    }
    if (op == OP_elu || op == OP_leaky_relu)
        snprintf(text, sizeof text, "alpha=0.%d", rg_int(r, 1, 9));
    else if (op == OP_clip)
        snprintf(text, sizeof text, "lo=-%d, hi=%d", rg_int(r, 0, 3), rg_int(r, 1, 6));
    else if (op == OP_scale)
        snprintf(text, sizeof text, "factor=%d.5", rg_int(r, -2, 2));
    return rg_add(r, op, in, n, text);
}

static inline node_id rg_linear(struct random_graph *r, enum op_id op)
{
    node_id in[3] = {rg_half(r)};
    int n_in = 2, rank = rg_node(r, in[0])->type.shape.rank;
    if (rank < 1)
        return 0;
    int64_t k = rg_node(r, in[0])->type.shape.dim[rank - 1], n = rg_dim(r);
    if (op == OP_bmm) {
        anf_dims s = {.rank = 2, .dim = {k, n}};
        if (rank < 2)
            return 0;
        if (rank > 2 && rg_chance(r, 60)) {
            s = rg_node(r, in[0])->type.shape;
            s.dim[rank - 2] = k;
            s.dim[rank - 1] = n;
        }
        in[1] = rg_chance(r, 40) ? rg_half(r) : rg_weight(r, s);
    } else if (op == OP_matmul) {
        in[1] = rg_weight(r, (anf_dims){2, {k, n}});
    } else {
        in[1] = rg_weight(r, (anf_dims){2, {op == OP_geglu ? 2 * n : n, k}});
        if (rg_chance(r, 50))
            in[n_in++] = rg_weight(r, (anf_dims){1, {op == OP_geglu ? 2 * n : n}});
    }
    return rg_add(r, op, in, n_in, "");
}

static inline node_id rg_conv(struct random_graph *r, enum op_id op)
{
    node_id in[3] = {rg_rank(r, 4)};
    if (!in[0])
        return 0;
    anf_dims x = rg_node(r, in[0])->type.shape;
    int64_t groups = 1, cout;
    if (rg_chance(r, 40))
        groups = rg_chance(r, 50) || x.dim[1] % 2 ? x.dim[1] : 2;
    cout = groups * rg_int(r, 1, groups > 2 ? 2 : 12);
    anf_dims w = {4, {cout, x.dim[1] / groups, rg_int(r, 1, 4), rg_int(r, 1, 4)}};
    if (op == OP_conv_transpose) {
        w.dim[0] = x.dim[1];
        w.dim[1] = cout / groups;
    }
    if (rg_chance(r, 40))
        w.dim[2] = w.dim[3] = 3;
    in[1] = rg_weight(r, w);
    int n_in = 2;
    if (rg_chance(r, 50))
        in[n_in++] = rg_weight(r, (anf_dims){1, {cout}});
    char text[96];
    snprintf(text, sizeof text, "stride=%d, pad=%d, dilation=%d, groups=%d",
             rg_chance(r, 60) ? 1 : rg_int(r, 1, 3), rg_int(r, 0, 2), rg_chance(r, 80) ? 1 : 2,
             (int)groups);
    return rg_add(r, op, in, n_in, text);
}

static inline node_id rg_norm(struct random_graph *r, enum op_id op)
{
    node_id in[5] = {op == OP_group_norm || op == OP_batch_norm ? rg_rank(r, rg_int(r, 2, 4))
                                                                 : rg_half(r)};
    char text[64] = "";
    int n_in = 1;
    if (!in[0] || rg_node(r, in[0])->type.shape.rank < 1)
        return 0;
    anf_dims x = rg_node(r, in[0])->type.shape;
    if (op == OP_softmax || op == OP_l2_norm) {
        snprintf(text, sizeof text, "axis=%d", rg_int(r, -1, x.rank - 1));
        return rg_add(r, op, in, 1, text);
    }
    bool channels = op == OP_group_norm || op == OP_batch_norm;
    anf_dims gamma = {1, {channels && x.rank > 1 ? x.dim[1] : x.dim[x.rank - 1]}};
    for (int most = op_n_operands(op_table[op]); n_in < most; n_in++)
        in[n_in] = n_in < 4 ? rg_weight(r, gamma) : graph_add_fill(r->g, &gamma, 0x3a00);
    if (op == OP_group_norm)
        snprintf(text, sizeof text, "num_groups=%d", gamma.dim[0] % 2 ? 1 : 2);
    return rg_add(r, op, in, n_in, text);
}

static inline node_id rg_reduce(struct random_graph *r, enum op_id op)
{
    node_id x = rg_half(r);
    anf_dims axes = {0, {0}};
    char text[64];
    for (int d = 0; d < rg_node(r, x)->type.shape.rank; d++)
        if (rg_chance(r, 45))
            axes.dim[axes.rank++] = d;
    rg_list(text, sizeof text, "axes", &axes);
    return rg_add(r, op, &x, 1, text);
}

static inline node_id rg_spatial(struct random_graph *r, enum op_id op)
{
    node_id x = rg_rank(r, 4);
    char text[64];
    if (!x)
        return 0;
    if (op == OP_upsample)
        snprintf(text, sizeof text, "scale=%d", rg_int(r, 1, 3));
    else if (op == OP_pixel_shuffle || op == OP_pixel_unshuffle)
        snprintf(text, sizeof text, "r=%d", rg_int(r, 1, 3));
    else
        snprintf(text, sizeof text, "k=%d, stride=%d, pad=%d", rg_int(r, 1, 3), rg_int(r, 1, 2),
                 rg_int(r, 0, 1));
    return rg_add(r, op, &x, 1, text);
}

static inline node_id rg_shape_op(struct random_graph *r, enum op_id op)
{
    node_id x = rg_half(r);
    anf_dims s = rg_node(r, x)->type.shape, a = s, b = s;
    char text[320] = "", more[160];
    if (s.rank == 0 && op != OP_expand && op != OP_expand_dims && op != OP_reshape)
        return 0;
    if (op == OP_reshape) {
        a.rank = 0;
        for (int d = 0; d < s.rank; d++) { /* merge a dim into the last one, or split it */
            if (a.rank && rg_chance(r, 35)) {
                a.dim[a.rank - 1] *= s.dim[d];
            } else if (s.dim[d] % 4 == 0 && a.rank < 5 && rg_chance(r, 35)) {
                a.dim[a.rank++] = s.dim[d] / 4;
                a.dim[a.rank++] = 4;
            } else {
                a.dim[a.rank++] = s.dim[d];
            }
        }
        return rg_reshape(r, x, a);
    }
    if (op == OP_transpose) {
        for (int d = 0; d < s.rank; d++)
            a.dim[d] = d;
        for (int d = s.rank - 1; d > 0; d--) {
            int with = rg_int(r, 0, d);
            int64_t t = a.dim[d];
            a.dim[d] = a.dim[with];
            a.dim[with] = t;
        }
        rg_list(text, sizeof text, "perm", &a);
    } else if (op == OP_slice) {
        for (int d = 0; d < s.rank; d++) {
            a.dim[d] = rg_int(r, 0, (int)(s.dim[d] - 1) / 2);
            b.dim[d] = rg_int(r, 1, (int)(s.dim[d] - a.dim[d]));
        }
        rg_list(text, sizeof text, "begin", &a);
        rg_list(more, sizeof more, ", size", &b);
        strcat(text, more);
    } else if (op == OP_split) {
        int axis = rg_int(r, 0, s.rank - 1), parts = s.dim[axis] % 2 ? (int)s.dim[axis] : 2;
        snprintf(text, sizeof text, "parts=%d, axis=%d, index=%d", parts, axis,
                 rg_int(r, 0, parts - 1));
    } else if (op == OP_expand) {
        if (s.rank < 4 && rg_chance(r, 50)) {
            memmove(a.dim + 1, a.dim, (size_t)s.rank * sizeof *a.dim);
            a.dim[0] = rg_int(r, 1, 3);
            a.rank++;
        }
        for (int d = 0; d < a.rank; d++)
            if (a.dim[d] == 1)
                a.dim[d] = rg_int(r, 1, 4);
        rg_list(text, sizeof text, "shape", &a);
    } else {
        a.rank = 0;
        for (int d = 0; d < s.rank; d++)
            if (op == OP_squeeze && s.dim[d] == 1)
                a.dim[a.rank++] = d;
        if (op == OP_expand_dims && s.rank < 5)
            a.dim[a.rank++] = rg_int(r, 0, s.rank);
        rg_list(text, sizeof text, "axes", &a);
    }
    return rg_add(r, op, &x, 1, text);
}

static inline node_id rg_concat(struct random_graph *r)
{
    node_id in[4] = {rg_half(r)};
    anf_dims s = rg_node(r, in[0])->type.shape;
    int n = rg_int(r, 1, 4);
    char text[32];
    if (s.rank < 1)
        return 0;
    int axis = rg_int(r, 0, s.rank - 1);
    for (int i = 1; i < n; i++) {
        in[i] = rg_half(r);
        anf_dims o = rg_node(r, in[i])->type.shape;
        if (o.rank == s.rank)
            o.dim[axis] = s.dim[axis];
        if (!dims_equal(&o, &s)) {
            o = s;
            o.dim[axis] = rg_int(r, 1, 5);
            in[i] = rg_weight(r, o);
        }
    }
    snprintf(text, sizeof text, "axis=%d", axis);
    return rg_add(r, OP_concat, in, n, text);
}

static inline node_id rg_mha(struct random_graph *r, enum op_id op)
{
    node_id in[10] = {rg_rank(r, rg_int(r, 2, 3))};
    int64_t heads = rg_int(r, 1, 3), e = heads * rg_int(r, 1, 6);
    char text[32];
    if (!in[0])
        return 0;
    anf_dims x = rg_node(r, in[0])->type.shape;
    int64_t d = x.dim[x.rank - 1], c = d;
    bool cross = op == OP_cross_attention;
    if (x.dim[x.rank - 2] > 100) /* the reference keeps all scores */
        return 0;
    if (cross) {
        anf_dims context = x;
        context.dim[x.rank - 2] = rg_int(r, 1, 9);
        c = context.dim[x.rank - 1] = rg_int(r, 1, 9);
        in[1] = rg_weight(r, context);
    }
    node_id wq = rg_weight(r, (anf_dims){2, {e, d}}), wk = rg_weight(r, (anf_dims){2, {e, c}});
    node_id wv = rg_weight(r, (anf_dims){2, {e, c}}), wo = rg_weight(r, (anf_dims){2, {d, e}});
    node_id bias = rg_chance(r, 50) ? rg_weight(r, (anf_dims){1, {e}}) : 0;
    node_id all[10] = {in[0], wq, bias, wk, 0, wv, bias, wo};
    node_id crossed[10] = {in[0], in[1], wq, wk, wv, wo, bias, 0, bias};
    snprintf(text, sizeof text, "n_heads=%d", (int)heads);
    return rg_add(r, op, cross ? crossed : all, cross ? 9 : 8, text);
}

/* softmax(q k' scale + mask) v out of single operators: what the fusion looks for. */
static inline node_id rg_attention(struct random_graph *r)
{
    node_id q = rg_rank(r, rg_int(r, 2, 4));
    if (!q)
        return 0;
    anf_dims s = rg_node(r, q)->type.shape, k = s;
    char text[32];
    int rank = s.rank;
    if (s.dim[rank - 2] > 100)
        return 0;
    k.dim[rank - 2] = rg_chance(r, 50) ? s.dim[rank - 2] : rg_int(r, 1, 40);
    node_id keys = rg_chance(r, 30) && dims_equal(&k, &s) ? q : rg_weight(r, k);
    anf_dims perm = {.rank = rank};
    for (int d = 0; d < rank; d++)
        perm.dim[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
    rg_list(text, sizeof text, "perm", &perm);
    node_id two[2] = {q, rg_add(r, OP_transpose, &keys, 1, text)};
    node_id at = rg_add(r, OP_bmm, two, 2, "");
    if (at && rg_chance(r, 60)) {
        node_id mul[2] = {at, graph_add_fill(r->g, &(anf_dims){0, {0}}, 0x3555)};
        at = rg_add(r, OP_mul, mul, 2, "");
    }
    if (at && rg_chance(r, 50)) {
        anf_dims m = s; /* of all dims, or 1 where it is the same along one, the first left out */
        m.dim[rank - 1] = k.dim[rank - 2];
        for (int d = 0; d < rank - 1; d++)
            if (rg_chance(r, 50))
                m.dim[d] = 1;
        for (; m.rank > 1 && m.dim[0] == 1 && rg_chance(r, 60); m.rank--)
            memmove(m.dim, m.dim + 1, (size_t)(m.rank - 1) * sizeof m.dim[0]);
        node_id add[2] = {at, rg_weight(r, m)};
        at = rg_add(r, OP_add, add, 2, "");
    }
    at = at ? rg_add(r, OP_softmax, &at, 1, "axis=-1") : 0;
    node_id out[2] = {at, rg_chance(r, 50) ? keys : rg_weight(r, k)};
    at = at ? rg_add(r, OP_bmm, out, 2, "") : 0;
    if (at && rank >= 3 && rg_chance(r, 50)) {
        for (int d = 0; d < rank; d++)
            perm.dim[d] = d;
        perm.dim[rank - 3] = rank - 2;
        perm.dim[rank - 2] = rank - 3;
        rg_list(text, sizeof text, "perm", &perm);
        at = rg_add(r, OP_transpose, &at, 1, text);
    }
    return at;
}

static inline node_id rg_step(struct random_graph *r)
{
    enum op_id op = (enum op_id)rg_int(r, 0, OP_COUNT);
    if (op == OP_COUNT)
        return rg_attention(r);
    const struct op *o = op_table[op];
    if (o->traits & OP_LEAF)
        return 0;
    if (o->traits & OP_ELEMENTWISE)
        return rg_elementwise(r, op);
    switch (op) {
    case OP_matmul: case OP_linear: case OP_bmm: case OP_geglu:
        return rg_linear(r, op);
    case OP_conv: case OP_conv_transpose:
        return rg_conv(r, op);
    case OP_mean: case OP_sum: case OP_amax: case OP_amin:
        return rg_reduce(r, op);
    case OP_softmax: case OP_l2_norm: case OP_rms_norm: case OP_layer_norm: case OP_group_norm:
    case OP_batch_norm:
        return rg_norm(r, op);
    case OP_max_pool: case OP_avg_pool: case OP_upsample: case OP_pixel_shuffle:
    case OP_pixel_unshuffle:
        return rg_spatial(r, op);
    case OP_concat:
        return rg_concat(r);
    case OP_mha: case OP_cross_attention:
        return rg_mha(r, op);
    default:
        return rg_shape_op(r, op);
    }
}

/* Into an empty graph. */
static inline void random_graph(struct graph *g, uint64_t seed)
{
    struct random_graph r = {.g = g, .state = seed * 0x9e3779b97f4a7c15u + 1};
    for (int i = 0; i < 4; i++)
        rg_next(&r);
    r.limit = rg_chance(&r, 10) ? 30000 : 1200;
    for (int i = rg_int(&r, 1, 3); i > 0; i--) {
        struct value_type t = {ANF_F16, rg_shape(&r, rg_int(&r, 0, 4))};
        if (rg_chance(&r, 15))
            t.dtype = ANF_U8;
        rg_keep(&r, graph_add_input(g, NULL, &t));
    }
    int want = rg_int(&r, 5, 60);
    for (int tries = 0; tries < 400 && r.n_ops < want; tries++)
        rg_keep(&r, rg_step(&r));
    int n_out = rg_int(&r, 1, 4);
    for (int i = 0; i < n_out; i++) {
        node_id y = i == 0 ? r.pool[r.n - 1] : rg_value(&r);
        if (rg_node(&r, y)->type.dtype != ANF_F16)
            y = graph_add(g, OP_cast, &y, 1, NULL);
        graph_add_output(g, y, NULL);
    }
}

#endif
