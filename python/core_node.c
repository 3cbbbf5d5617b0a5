/* Nodes: the graph behind Tensors.
 *
 *   - A node never changes after it is made, apart from its reference count and the two fields a
 *     walk uses; both walks (dropping, replaying) are loops, so a graph may be deeper than the
 *     stack.
 *   - A scratch graph holds one operator over input ports of the right shapes: it says what the
 *     result's shape is, or what is wrong, in the library's words, and no weight is copied for it.
 *   - A constant keeps its elements as given: the library rounds each once, when it compiles. */
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
    return anf_weight(g, anf_array_of(n->data, n->dtype, n->shape));
}

/* A stand-in with the shape and dtype of `n`. */
static anf_tensor put_stand_in(anf_graph *g, const struct node *n)
{
    if (n->kind == NODE_SCALAR)
        return anf_scalar(g, n->value);
    if (n->kind == NODE_CONST && count(n->shape) == 0)
        return put_const(g, n);
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
    if (n->kind != NODE_CONST)
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

struct node *node_const(const anf_array *a)
{
    struct node *n = node_new(NODE_CONST);
    if (!n)
        return NULL;
    size_t bytes = count(a->shape) * anf_dtype_size(a->dtype);
    n->shape = a->shape;
    n->dtype = a->dtype;
    n->data = PyMem_Malloc(bytes + 1);
    if (!n->data) {
        node_drop(n);
        PyErr_NoMemory();
        return NULL;
    }
    if (bytes)
        memcpy(n->data, a->data, bytes);
    return n;
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

/* ---- replaying ------------------------------------------------------------------------------- */

static int by_age(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Every node the outputs need, each once, oldest first.  `built.graph` marks the ones seen. */
static struct node **reach(struct node *const *outs, int n_outs, anf_graph *g, size_t *n)
{
    struct node *first = NULL, **end = &first;
    *n = 0;
    for (int i = 0; i < n_outs; i++)
        if (!outs[i]->built.graph) {
            outs[i]->built.graph = g;
            *end = outs[i];
            end = &outs[i]->next;
            ++*n;
        }
    *end = NULL;
    for (struct node *at = first; at; at = at->next)
        for (int i = 0; i < at->n_in; i++)
            if (at->in[i] && !at->in[i]->built.graph) {
                at->in[i]->built.graph = g;
                at->in[i]->next = NULL;
                *end = at->in[i];
                end = &at->in[i]->next;
                ++*n;
            }
    struct node **all = PyMem_Malloc((*n + 1) * sizeof *all);
    size_t k = 0;
    for (struct node *at = first; at; at = at->next) {
        if (all)
            all[k++] = at;
        else
            at->built.graph = NULL;
    }
    if (!all)
        PyErr_NoMemory();
    else
        qsort(all, *n, sizeof *all, by_age);
    return all;
}

static int put_nodes(anf_graph *g, struct node **all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct node *at = all[i];
        anf_tensor *in = NULL;
        if (at->kind == NODE_OP) {
            in = PyMem_Calloc((size_t)at->n_in + 1, sizeof *in);
            if (!in) {
                PyErr_NoMemory();
                return -1;
            }
            for (int k = 0; k < at->n_in; k++)
                if (at->in[k])
                    in[k] = at->in[k]->built;
        }
        at->built = at->kind == NODE_OP      ? put_op(g, at, in)
                    : at->kind == NODE_IMAGE ? put_image(g, at)
                    : at->kind == NODE_CONST ? put_const(g, at)
                                             : put_stand_in(g, at);
        PyMem_Free(in);
    }
    return 0;
}

int node_replay(struct node *const *outs, int n_outs, anf_graph **graph, anf_tensor *out)
{
    size_t n;
    const char *message;
    anf_graph *g = new_graph();
    struct node **all = g ? reach(outs, n_outs, g, &n) : NULL;
    int result = all ? put_nodes(g, all, n) : -1;
    for (int i = 0; i < n_outs && result == 0; i++) {
        *out = outs[i]->built;
        if (n_outs > 1)
            anf_output(*out, NULL);
    }
    anf_status st = result == 0 ? anf_graph_error(g, &message) : ANF_OK;
    if (st != ANF_OK) {
        core_raise(st, message);
        result = -1;
    }
    for (size_t i = 0; all && i < n; i++)
        all[i]->built = (anf_tensor){NULL, 0};
    PyMem_Free(all);
    if (result < 0)
        anf_graph_free(g);
    else
        *graph = g;
    return result;
}
