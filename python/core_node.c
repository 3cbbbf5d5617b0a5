/* Nodes: the graph behind Tensors.
 *
 *   - A node never changes after it is made, apart from its reference count and the two fields a
 *     walk uses; both walks (dropping, planning) are loops, so a graph may be deeper than the
 *     stack.
 *   - A scratch graph holds one operator over input ports of the right shapes: it says what the
 *     result's shape is, or what is wrong, in the library's words, and no weight is copied for it.
 *   - A constant is rounded when it is made and kept once: graphs of the library borrow it. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static struct node *node_new(enum node_kind kind)
{
    static uint64_t last;
    struct node *n = PyMem_Calloc(1, sizeof *n);
    if (!n) {
        PyErr_NoMemory();
        return NULL;
    }
    n->kind = kind;
    n->refs = 1;
    n->id = ++last;
    return n;
}

/* Releases what the node holds but its sources, which join the list. */
static struct node *node_dismantle(struct node *n, struct node *list)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && --n->in[i]->refs == 0) {
            n->in[i]->next = list;
            list = n->in[i];
        }
    PyMem_Free(n->in);
    PyMem_Free(n->attrs);
    PyMem_Free(n->data);
    PyMem_Free(n->scale);
    PyMem_Free(n->bias);
    PyMem_Free(n);
    return list;
}

void node_drop(struct node *n)
{
    struct node *list = NULL;
    if (n && --n->refs == 0)
        list = node_dismantle(n, NULL);
    while (list) {
        struct node *next = list->next;
        list = node_dismantle(list, next);
    }
}

static size_t count(anf_dims d)
{
    size_t n = 1;
    for (int i = 0; i < d.rank; i++)
        n *= (size_t)d.dim[i];
    return n;
}

/* ---- one node in a graph of the library ------------------------------------------------------ */

static anf_tensor put_image(anf_graph *g, const struct node *n)
{
    return anf_image_input(g, NULL, n->shape, n->scale, n->bias, n->n_scale);
}

static anf_tensor put_op(anf_graph *g, const struct node *n, const anf_tensor *in)
{
    return anf_op(g, n->op, in, n->n_in, n->attrs, n->n_attrs);
}

static anf_tensor put_const(anf_graph *g, const struct node *n)
{
    return anf_weight_borrow(g, anf_array_of(n->data, ANF_F16, n->shape));
}

/* A stand-in with the shape and dtype of `n`. */
static anf_tensor put_stand_in(anf_graph *g, const struct node *n)
{
    if (n->kind == NODE_SCALAR)
        return anf_scalar(g, n->value);
    anf_tensor x = anf_input(g, NULL, n->shape);
    return n->kind == NODE_OP && n->dtype == ANF_BOOL
               ? anf_op(g, "equal", (const anf_tensor[]){x, x}, 2, NULL, 0)
               : x;
}

/* Gives `n` the shape and dtype of its tensor, or raises what the library says about it. */
static int settle(struct node *n, anf_graph *g, anf_tensor t)
{
    const char *message;
    anf_status st = anf_graph_error(g, &message);
    if (st != ANF_OK) {
        core_raise(st, message);
        return -1;
    }
    n->shape = anf_shape(t);
    n->dtype = anf_tensor_dtype(t);
    return 0;
}

static anf_graph *new_graph(void)
{
    anf_graph *g = NULL;
    anf_ctx *ctx = core_ctx();
    anf_status st = ctx ? anf_graph_new(ctx, &g) : ANF_OK;
    if (st != ANF_OK)
        core_raise(st, anf_last_error());
    return g;
}

/* `n` if it can be built, else NULL with `n` dropped. */
static struct node *checked(struct node *n)
{
    anf_graph *g = n ? new_graph() : NULL;
    int result = -1;
    if (g && n->kind == NODE_OP) {
        anf_tensor *in = PyMem_Calloc((size_t)n->n_in + 1, sizeof *in);
        for (int i = 0; in && i < n->n_in; i++)
            if (n->in[i])
                in[i] = put_stand_in(g, n->in[i]);
        if (in)
            result = settle(n, g, put_op(g, n, in));
        else
            PyErr_NoMemory();
        PyMem_Free(in);
    } else if (g) {
        result = settle(n, g, n->kind == NODE_IMAGE ? put_image(g, n) : put_stand_in(g, n));
    }
    anf_graph_free(g);
    if (result == 0)
        return n;
    node_drop(n);
    return NULL;
}

/* ---- making ---------------------------------------------------------------------------------- */

struct node *node_input(anf_dims shape)
{
    struct node *n = node_new(NODE_INPUT);
    if (n)
        n->shape = shape;
    return checked(n);
}

struct node *node_image(anf_dims shape, double *scale, double *bias, int n_scale)
{
    struct node *n = node_new(NODE_IMAGE);
    if (!n) {
        PyMem_Free(scale);
        PyMem_Free(bias);
        return NULL;
    }
    n->shape = shape;
    n->scale = scale;
    n->bias = bias;
    n->n_scale = n_scale;
    return checked(n);
}

/* Other threads may run while many elements are rounded; for few that costs more than it gives. */
static anf_status round_elements(const anf_ctx *ctx, const anf_array *a, size_t n, uint16_t *y)
{
    enum { MANY = 1 << 15 };
    anf_status st;
    if (n < MANY)
        return anf_f16_from_array(ctx, *a, y);
    Py_BEGIN_ALLOW_THREADS
    st = anf_f16_from_array(ctx, *a, y);
    Py_END_ALLOW_THREADS
    return st;
}

struct node *node_const(const anf_array *a)
{
    anf_ctx *ctx = core_ctx();
    struct node *n = ctx ? node_new(NODE_CONST) : NULL;
    if (!n)
        return NULL;
    size_t elements = count(a->shape);
    n->shape = a->shape;
    n->dtype = ANF_F16;
    n->data = PyMem_Malloc(elements * sizeof *n->data + 1);
    if (!n->data) {
        PyErr_NoMemory();
    } else {
        anf_status st = round_elements(ctx, a, elements, n->data);
        if (st == ANF_OK)
            return n;
        core_raise(st, anf_last_error());
    }
    node_drop(n);
    return NULL;
}

struct node *node_scalar(double value)
{
    struct node *n = node_new(NODE_SCALAR);
    if (n)
        n->value = value;
    return n;
}

struct node *node_op(int op, struct node **in, int n_in, anf_attr *attrs, int n_attrs)
{
    anf_op_info info;
    struct node *n = node_new(NODE_OP);
    if (!n) {
        for (int i = 0; i < n_in; i++)
            node_drop(in[i]);
        PyMem_Free(in);
        PyMem_Free(attrs);
        return NULL;
    }
    anf_op_get(op, &info);
    n->op = info.name;
    n->in = in;
    n->n_in = n_in;
    n->attrs = attrs;
    n->n_attrs = n_attrs;
    return checked(n);
}

/* ---- planning -------------------------------------------------------------------------------- */

static int by_age(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct queue {
    struct node *first, **end;
    size_t n_nodes, n_in, most_in;
};

static void visit(struct queue *q, struct node *n)
{
    if (n->mark)
        return;
    n->mark = 1;
    n->next = NULL;
    *q->end = n;
    q->end = &n->next;
    q->n_nodes++;
    q->n_in += (size_t)n->n_in;
    q->most_in = (size_t)n->n_in > q->most_in ? (size_t)n->n_in : q->most_in;
}

/* Every node the outputs need, each once and marked. */
static struct queue reach(struct node *const *outs, int n)
{
    struct queue q = {.end = &q.first};
    for (int i = 0; i < n; i++)
        visit(&q, outs[i]);
    for (struct node *at = q.first; at; at = at->next)
        for (int i = 0; i < at->n_in; i++)
            if (at->in[i])
                visit(&q, at->in[i]);
    return q;
}

int plan_write(struct plan *p, struct node *const *outs, int n)
{
    struct queue q = reach(outs, n);
    *p = (struct plan){.n_nodes = q.n_nodes, .n_outs = n};
    p->nodes = PyMem_Calloc(q.n_nodes + 1, sizeof *p->nodes);
    p->in = PyMem_Calloc(q.n_in + 1, sizeof *p->in);
    p->outs = PyMem_Calloc((size_t)n + 1, sizeof *p->outs);
    p->made = PyMem_Calloc(q.n_nodes + q.most_in + 1, sizeof *p->made);
    bool room = p->nodes && p->in && p->outs && p->made;
    size_t k = 0;
    for (struct node *at = q.first; at; at = at->next)
        if (room)
            p->nodes[k++] = at;
        else
            at->mark = 0;
    if (!room) {
        plan_free(p);
        PyErr_NoMemory();
        return -1;
    }
    qsort(p->nodes, q.n_nodes, sizeof *p->nodes, by_age);
    for (size_t i = 0; i < q.n_nodes; i++)
        p->nodes[i]->mark = i + 1;
    k = 0;
    for (size_t i = 0; i < q.n_nodes; i++)
        for (int j = 0; j < p->nodes[i]->n_in; j++) {
            const struct node *in = p->nodes[i]->in[j];
            p->in[k++] = in ? in->mark - 1 : SIZE_MAX;
        }
    for (int i = 0; i < n; i++)
        p->outs[i] = outs[i]->mark - 1;
    for (size_t i = 0; i < q.n_nodes; i++)
        p->nodes[i]->mark = 0;
    return 0;
}

void plan_free(struct plan *p)
{
    PyMem_Free(p->nodes);
    PyMem_Free(p->in);
    PyMem_Free(p->outs);
    PyMem_Free(p->made);
}

/* ---- building, without the GIL --------------------------------------------------------------- */

static anf_tensor put_planned(const struct plan *p, anf_graph *g, const struct node *n,
                              const size_t *places)
{
    anf_tensor *in = p->made + p->n_nodes;
    for (int i = 0; i < n->n_in; i++)
        in[i] = places[i] == SIZE_MAX ? (anf_tensor){NULL, 0} : p->made[places[i]];
    return n->kind == NODE_OP      ? put_op(g, n, in)
           : n->kind == NODE_IMAGE ? put_image(g, n)
           : n->kind == NODE_CONST ? put_const(g, n)
                                   : put_stand_in(g, n);
}

static anf_status put_all(struct plan *p, anf_graph *g, anf_tensor *out)
{
    const char *message;
    const size_t *places = p->in;
    for (size_t i = 0; i < p->n_nodes; i++) {
        p->made[i] = put_planned(p, g, p->nodes[i], places);
        places += p->nodes[i]->n_in;
    }
    for (int i = 0; i < p->n_outs; i++) {
        *out = p->made[p->outs[i]];
        if (p->n_outs > 1)
            anf_output(*out, NULL);
    }
    anf_status st = anf_graph_error(g, &message);
    return st == ANF_OK ? st : anf_set_error(st, message);
}

anf_status plan_build(struct plan *p, anf_ctx *ctx, anf_graph **graph, anf_tensor *out)
{
    anf_status st = anf_graph_new(ctx, graph);
    if (st == ANF_OK)
        st = put_all(p, *graph, out);
    if (st != ANF_OK) {
        anf_graph_free(*graph);
        *graph = NULL;
    }
    return st;
}
