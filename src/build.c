/* The public builders: poisoned tensors in and out, the first error kept by the graph. */
#include "api.h"
#include "ir/graph.h"
#include "ops/op.h"
#include "ops/op_attrs.h"
#include "runtime/fpenv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static anf_tensor poison(anf_graph *g, anf_status st)
{
    if (g && g->g.error == ANF_OK) {
        g->g.error = st == ANF_OK ? ANF_E_INTERNAL : st;
        snprintf(g->g.message, sizeof g->g.message, "%s", status_message());
    }
    return (anf_tensor){g, 0};
}

/* A node made by graph_add...: 0 means the thread's message says why. */
static anf_tensor made(anf_graph *g, node_id id)
{
    return id ? (anf_tensor){g, id} : poison(g, status_last());
}

anf_status anf_graph_new(anf_ctx *ctx, anf_graph **out)
{
    if (!out)
        FAIL(ARG, "anf_graph_new: out is NULL");
    *out = NULL;
    if (!ctx)
        FAIL(ARG, "anf_graph_new: ctx is NULL");
    anf_graph *g = mem_alloc(ctx_allocator(ctx), sizeof *g, 16);
    if (!g)
        return ANF_E_NOMEM;
    graph_init(&g->g, ctx);
    *out = g;
    return ANF_OK;
}

void anf_graph_free(anf_graph *g)
{
    if (!g)
        return;
    const anf_allocator *a = g->g.allocator;
    graph_free(&g->g);
    mem_free(a, g, sizeof *g);
}

anf_status anf_graph_error(const anf_graph *g, const char **message)
{
    anf_status st = g ? g->g.error : status_fail(ANF_E_ARG, "anf_graph_error: graph is NULL");
    if (message)
        *message = g ? g->g.message : status_message();
    return st;
}

anf_tensor anf_input(anf_graph *g, const char *name, anf_dims shape)
{
    struct value_type t = {ANF_F16, shape};
    if (!g)
        return (anf_tensor){0};
    return made(g, graph_add_input(&g->g, name, &t));
}

/* The one NaN of the library is 0x7e00. */
static inline bool is_other_nan(f16 h)
{
    return (h & 0x7fff) > 0x7c00 && h != F16_NAN;
}

/* What is accepted as a weight. */
static anf_status check_array(const char *what, const anf_array *w, size_t *count)
{
    if ((unsigned)w->dtype >= DTYPE_COUNT || !dtype_info[w->dtype].is_float_data)
        FAIL(DTYPE, "%s: dtype %s of %s is not accepted; use float16, float32 or float64", what,
             anf_dtype_name(w->dtype), dims_text(&w->shape));
    if (!dims_count(&w->shape, count))
        FAIL(SHAPE, "%s: shape %s needs %s", what, dims_text(&w->shape), dims_need(&w->shape));
    if (!w->data)
        FAIL(ARG, "%s: data of %s is NULL", what, dims_text(&w->shape));
    return ANF_OK;
}

static void round_array(const anf_ctx *ctx, const anf_array *w, size_t count, f16 *y)
{
    struct fpenv saved;
    fpenv_enter(&saved);
    if (w->dtype == ANF_F16) {
        const f16 *x = w->data;
        for (size_t i = 0; i < count; i++)
            y[i] = is_other_nan(x[i]) ? F16_NAN : x[i];
    } else if (w->dtype == ANF_F32) {
        ctx->kern->f16_from_f32(w->data, y, count);
    } else {
        const double *x = w->data;
        for (size_t i = 0; i < count; i++)
            y[i] = f64_to_f16(x[i]);
    }
    fpenv_leave(&saved);
}

anf_status anf_f16_from_array(const anf_ctx *ctx, anf_array x, uint16_t *y)
{
    size_t count;
    if (!ctx || !y)
        FAIL(ARG, "f16_from_array: ctx or result is NULL");
    TRY(check_array("f16_from_array", &x, &count));
    round_array(ctx, &x, count, y);
    return ANF_OK;
}

anf_tensor anf_weight(anf_graph *g, anf_array w)
{
    size_t count;
    if (!g)
        return (anf_tensor){0};
    anf_status st = check_array("weight", &w, &count);
    if (st != ANF_OK)
        return poison(g, st);
    f16 *data = arena_alloc_array(&g->g.arena, count, sizeof *data);
    if (!data)
        return poison(g, ANF_E_NOMEM);
    round_array(g->g.ctx, &w, count, data);
    return made(g, graph_add_const(&g->g, &w.shape, data));
}

static anf_status check_borrowed(const anf_array *w)
{
    size_t count;
    TRY(check_array("weight_borrow", w, &count));
    if (w->dtype != ANF_F16)
        FAIL(DTYPE, "weight_borrow: %s of %s must be rounded first; use float16",
             anf_dtype_name(w->dtype), dims_text(&w->shape));
    const f16 *x = w->data;
    for (size_t i = 0; i < count; i++)
        if (is_other_nan(x[i]))
            FAIL(ARG, "weight_borrow: element %zu of %s is NaN 0x%04x, needs 0x%04x", i,
                 dims_text(&w->shape), x[i], F16_NAN);
    return ANF_OK;
}

anf_tensor anf_weight_borrow(anf_graph *g, anf_array w)
{
    if (!g)
        return (anf_tensor){0};
    anf_status st = check_borrowed(&w);
    return st == ANF_OK ? made(g, graph_add_const(&g->g, &w.shape, w.data)) : poison(g, st);
}

anf_tensor anf_scalar(anf_graph *g, double value)
{
    return anf_weight(g, (anf_array){&value, ANF_F64, ANF_SCALAR});
}

anf_tensor anf_random_weight(anf_graph *g, anf_dims shape, uint64_t seed, double std)
{
    if (!g)
        return (anf_tensor){0};
    struct fpenv saved;
    fpenv_enter(&saved);
    node_id id = graph_add_random(&g->g, &shape, seed, std);
    fpenv_leave(&saved);
    return made(g, id);
}

/* x op c, with fp16 c, scalar or per channel; left out when every value is the neutral one. */
static node_id dequantise(struct graph *g, enum op_id op, node_id x, const double *v, int n,
                          double neutral)
{
    bool needed = false;
    for (int i = 0; i < n; i++)
        needed = needed || f64_to_f16(v[i]) != f64_to_f16(neutral);
    if (!needed)
        return x;
    f16 *data = arena_alloc_array(&g->arena, (size_t)n, sizeof *data);
    if (!data)
        return 0;
    for (int i = 0; i < n; i++)
        data[i] = f64_to_f16(v[i]);
    anf_dims shape = n == 1 ? ANF_SCALAR : ANF_SHAPE(1, n, 1, 1);
    node_id in[2] = {x, graph_add_const(g, &shape, data)};
    return in[1] ? graph_add(g, op, in, 2, NULL) : 0;
}

static anf_tensor image_input(anf_graph *g, const char *name, anf_dims shape, const double *scale,
                              const double *bias, int n)
{
    struct value_type t = {ANF_U8, shape};
    if (!g)
        return (anf_tensor){0};
    if (n < 1 || (n > 1 && (shape.rank != 4 || shape.dim[1] != n)))
        return poison(g, status_fail(ANF_E_SHAPE,
                                     "image_input: %d scales or biases need a shape [N,%d,H,W], "
                                     "given %s", n, n, dims_text(&shape)));
    for (int i = 0; i < n; i++)
        if ((scale && !isfinite(scale[i])) || (bias && !isfinite(bias[i])))
            return poison(g, status_fail(ANF_E_ARG, "image_input: scale and bias must be finite"));
    node_id x = graph_add_input(&g->g, name, &t);
    if (x)
        x = graph_add(&g->g, OP_cast, &x, 1, NULL);
    /* A scalar keeps its float32 precision, so that 1/255 gives what dividing by 255 gives. */
    if (x && scale && n == 1 && f64_to_f16(*scale) != 0x3c00) {
        struct scale_by_attrs a = {*scale};
        x = graph_add(&g->g, OP_scale, &x, 1, &a);
    } else if (x && scale && n > 1) {
        x = dequantise(&g->g, OP_mul, x, scale, n, 1);
    }
    if (x && bias)
        x = dequantise(&g->g, OP_add, x, bias, n, 0);
    return made(g, x);
}

anf_tensor anf_image_input(anf_graph *g, const char *name, anf_dims shape, const double *scale,
                           const double *bias, int n)
{
    struct fpenv saved;
    fpenv_enter(&saved); /* scale and bias are rounded here */
    anf_tensor t = image_input(g, name, shape, scale, bias, n);
    fpenv_leave(&saved);
    return t;
}

anf_dims anf_shape(anf_tensor t)
{
    if (!t.graph || !t.id || t.id >= t.graph->g.n_nodes)
        return (anf_dims){-1, {0}};
    return graph_node(&t.graph->g, t.id)->type.shape;
}

anf_dtype anf_tensor_dtype(anf_tensor t)
{
    if (!t.graph || !t.id || t.id >= t.graph->g.n_nodes)
        return ANF_F16;
    return graph_node(&t.graph->g, t.id)->type.dtype;
}

static anf_status set_attr(const struct op *op, const anf_attr *a, void *attrs, uint64_t *given)
{
    for (int k = 0; k < op->n_attrs; k++) {
        const struct attr_desc *d = &op->attrs[k];
        char *at = (char *)attrs + d->offset;
        if (!a->name || strcmp(d->name, a->name) != 0)
            continue;
        *given |= (uint64_t)1 << k;
        double number = a->type == ANF_ATTR_INT ? (double)a->i : a->f;
        if (d->type != a->type && !(d->type == ANF_ATTR_FLOAT && a->type == ANF_ATTR_INT))
            FAIL(ATTR, "%s: attribute '%s' has the wrong type", op->name, d->name);
        if (d->type == ANF_ATTR_INT)
            memcpy(at, &a->i, sizeof a->i);
        else if (d->type == ANF_ATTR_FLOAT)
            memcpy(at, &number, sizeof number);
        else if (a->ints.rank < 0 || a->ints.rank > ANF_MAX_RANK)
            FAIL(ATTR, "%s: attribute '%s' has %d numbers, at most %d are possible", op->name,
                 d->name, a->ints.rank, ANF_MAX_RANK);
        else
            memcpy(at, &a->ints, sizeof a->ints);
        return ANF_OK;
    }
    FAIL(ATTR, "%s: no attribute '%.60s'", op->name, a->name ? a->name : "");
}

static anf_status read_attrs(const struct op *op, const anf_attr *attrs, int n_attrs, void *out)
{
    uint64_t given = 0;
    op_attrs_default(op, out);
    for (int i = 0; i < n_attrs; i++)
        TRY(set_attr(op, &attrs[i], out, &given));
    for (int k = 0; k < op->n_attrs; k++)
        if (op->attrs[k].required && !(given >> k & 1))
            FAIL(ATTR, "%s: attribute '%s' is required", op->name, op->attrs[k].name);
    return ANF_OK;
}

static anf_status build(anf_graph *g, const char *name, const anf_tensor *in, int n_in,
                        const anf_attr *attrs, int n_attrs, node_id *out)
{
    const struct op *op = name ? op_find(name) : NULL;
    node_id few[MAX_OPERANDS], *ids = few;
    _Alignas(16) char storage[sizeof(anf_dims) * 4] = {0};
    if (!op || (op->traits & OP_LEAF))
        FAIL(ARG, "unknown operator '%.60s'", name ? name : "");
    if (n_in < 0 || n_in > MAX_LIST)
        FAIL(ARG, "%s: %d operands given, at most %d are possible", op->name, n_in, MAX_LIST);
    for (int i = 0; i < n_in; i++)
        if (in[i].graph && in[i].graph != g)
            FAIL(ARG, "%s: operand %d belongs to another graph", op->name, i);
    TRY(read_attrs(op, attrs, n_attrs, storage));
    const size_t bytes = (size_t)n_in * sizeof *ids;
    if (n_in > MAX_OPERANDS && !(ids = mem_alloc(g->g.allocator, bytes, 16)))
        return ANF_E_NOMEM;
    for (int i = 0; i < n_in; i++)
        ids[i] = in[i].id;
    *out = graph_add(&g->g, op_id_of(op), ids, n_in, storage);
    if (ids != few)
        mem_free(g->g.allocator, ids, bytes);
    return *out ? ANF_OK : status_last();
}

anf_tensor anf_op(anf_graph *g, const char *op, const anf_tensor *in, int n_in,
                  const anf_attr *attrs, int n_attrs)
{
    node_id id = 0;
    if (!g)
        return (anf_tensor){0};
    if ((n_in > 0 && !in) || (n_attrs > 0 && !attrs))
        return poison(g, status_fail(ANF_E_ARG, "anf_op: %s is NULL", in ? "attrs" : "in"));
    for (int i = 0; i < n_in; i++)
        if (in[i].graph == g && in[i].id == 0)
            return (anf_tensor){g, 0}; /* poison passes on; its error is recorded */
    anf_status st = build(g, op, in, n_in, attrs, n_attrs, &id);
    return st == ANF_OK ? (anf_tensor){g, id} : poison(g, st);
}

anf_status anf_output(anf_tensor t, const char *name)
{
    if (!t.graph)
        FAIL(ARG, "anf_output: the tensor belongs to no graph");
    struct graph *g = &t.graph->g;
    TRY(graph_error(g));
    anf_status st = graph_add_output(g, t.id, name);
    if (st != ANF_OK)
        poison(t.graph, st);
    return st;
}

anf_status anf_graph_print(const anf_graph *g, bool brief, anf_sink sink, void *user)
{
    if (!g || !sink)
        FAIL(ARG, "anf_graph_print: graph or sink is NULL");
    TRY(graph_error(&g->g));
    struct buf text;
    struct fpenv saved;
    buf_init(&text, g->g.allocator);
    fpenv_enter(&saved); /* numbers become text, and below text becomes numbers, by rounding */
    anf_status st = graph_print(&g->g, brief, &text);
    fpenv_leave(&saved);
    if (st != ANF_OK) {
        buf_free(&text);
        return st;
    }
    return buf_finish(&text, sink, user);
}

anf_status anf_graph_parse(anf_ctx *ctx, const char *text, size_t n, const anf_parse_opts *opts,
                           anf_graph **out)
{
    anf_parse_opts o;
    if (!out)
        FAIL(ARG, "anf_graph_parse: out is NULL");
    *out = NULL;
    if (!text)
        FAIL(ARG, "anf_graph_parse: text is NULL");
    TRY(desc_read(&o, sizeof o, opts, "anf_graph_parse: opts"));
    anf_graph *g;
    TRY(anf_graph_new(ctx, &g));
    struct fpenv saved;
    fpenv_enter(&saved);
    anf_status st = graph_parse(&g->g, text, n, &o);
    fpenv_leave(&saved);
    if (st != ANF_OK) {
        anf_graph_free(g);
        return st;
    }
    *out = g;
    return ANF_OK;
}
