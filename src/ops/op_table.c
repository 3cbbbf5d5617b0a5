/* The operator table and what every block shares: finding an operator, its operand names, the
 * checks an infer is written with, and reference execution.
 *
 * op_infer is the only door to an operator's own infer.  Before it: dtypes by the common rule,
 * no NaN in a float attribute, integer lists with every unused byte zero (so that attributes
 * compare and hash bytewise).  After it: a result that dims_count accepts, so no later code
 * checks sizes again.  Operand shapes were checked when their nodes were made.
 *
 * op_eval gives the defining result of one operator.  It has four forms and no operator names:
 * the block's own ref, one micro-op of the "ref" kernel table on broadcast operands, the view of
 * a dense operand, or the expansion evaluated node by node. */
#include "base/cancel.h"
#include "ops/op.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

const struct op *const op_table[OP_COUNT] = {
#define OP(name) [OP_##name] = &op_def_##name,
#include "ops/ops.def"
#undef OP
};

/* A scan: names are short, differ early, and are looked up once per node that is built. */
const struct op *op_find(const char *name)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (op_table[i]->name[0] == name[0] && strcmp(op_table[i]->name, name) == 0)
            return op_table[i];
    return NULL;
}

enum op_id op_id_of(const struct op *op)
{
    int i = 0;
    while (op_table[i] != op)
        i++;
    return (enum op_id)i;
}

/* ---- operands and attributes ----------------------------------------------------------------- */

int op_n_operands(const struct op *op)
{
    int n = 0;
    while (n < OP_NAMES_MAX && op->operands[n])
        n++;
    return n;
}

bool op_operand_optional(const struct op *op, int i)
{
    return op->operands[i][0] == '?';
}

bool op_operand_variadic(const struct op *op, int i)
{
    return op->operands[i][0] == '*';
}

const char *op_operand_name(const struct op *op, int i)
{
    return op->operands[i] + (op_operand_optional(op, i) || op_operand_variadic(op, i));
}

void op_attrs_default(const struct op *op, void *attrs)
{
    for (int i = 0; i < op->n_attrs; i++) {
        const struct attr_desc *d = &op->attrs[i];
        char *field = (char *)attrs + d->offset;
        int64_t whole = (int64_t)d->number;
        if (d->type == ANF_ATTR_INT)
            memcpy(field, &whole, sizeof whole);
        else if (d->type == ANF_ATTR_FLOAT)
            memcpy(field, &d->number, sizeof d->number);
    }
}

/* Operand i in a message: the one variadic name stands for all of its operands. */
static const char *call_name(const struct op_call *c, int i)
{
    int n = op_n_operands(c->op);
    return op_operand_name(c->op, i < n ? i : n - 1);
}

/* ---- checks ---------------------------------------------------------------------------------- */

anf_status op_need_dtype(const struct op_call *c, int i, anf_dtype dtype)
{
    if (op_has(c, i) && c->in[i].dtype != dtype)
        FAIL(DTYPE, "%s: %s is %s, needs %s", c->op->name, call_name(c, i),
             dtype_info[c->in[i].dtype].name, dtype_info[dtype].name);
    return ANF_OK;
}

anf_status op_need_rank(const struct op_call *c, int i, int rank)
{
    if (c->in[i].shape.rank != rank)
        FAIL(SHAPE, "%s: %s %s has rank %d, needs %d", c->op->name, call_name(c, i),
             dims_text(&c->in[i].shape), (int)c->in[i].shape.rank, rank);
    return ANF_OK;
}

anf_status op_need_min_rank(const struct op_call *c, int i, int rank)
{
    if (c->in[i].shape.rank < rank)
        FAIL(SHAPE, "%s: %s %s has rank %d, needs %d or more", c->op->name, call_name(c, i),
             dims_text(&c->in[i].shape), (int)c->in[i].shape.rank, rank);
    return ANF_OK;
}

anf_status op_need_shape(const struct op_call *c, int i, const anf_dims *shape, int from)
{
    if (op_has(c, i) && !dims_equal(&c->in[i].shape, shape))
        FAIL(SHAPE, "%s: %s %s given, needs %s for %s %s", c->op->name, call_name(c, i),
             dims_text(&c->in[i].shape), dims_text(shape), call_name(c, from),
             dims_text(&c->in[from].shape));
    return ANF_OK;
}

anf_status op_need_vector(const struct op_call *c, int i, int64_t n, int from)
{
    return op_need_shape(c, i, &ANF_SHAPE(n), from);
}

anf_status op_need_int(const struct op_call *c, const char *name, int64_t value, int64_t lo)
{
    if (value < lo || value > OP_INT_MAX)
        FAIL(ATTR, "%s: %s is %" PRId64 ", needs %" PRId64 " to %d", c->op->name, name, value, lo,
             OP_INT_MAX);
    return ANF_OK;
}

anf_status op_need_eps(const struct op_call *c, double eps)
{
    if (!(eps >= 0 && eps <= (double)FLT_MAX))
        FAIL(ATTR, "%s: eps is %g, needs a finite number, 0 or more", c->op->name, eps);
    return ANF_OK;
}

anf_status op_normal_axis(const struct op_call *c, int64_t *axis, int rank)
{
    if (*axis < -rank || *axis >= rank)
        FAIL(ATTR, "%s: axis %" PRId64 " is out of range for rank %d", c->op->name, *axis, rank);
    if (*axis < 0)
        *axis += rank;
    return ANF_OK;
}

anf_status op_normal_axes(const struct op_call *c, anf_dims *axes, int rank)
{
    bool given[ANF_MAX_RANK] = {false};
    if (axes->rank == 0)
        FAIL(ATTR, "%s: axes is empty, needs at least one", c->op->name);
    for (int i = 0; i < axes->rank; i++) {
        TRY(op_normal_axis(c, &axes->dim[i], rank));
        if (given[axes->dim[i]])
            FAIL(ATTR, "%s: axis %" PRId64 " is given twice", c->op->name, axes->dim[i]);
        given[axes->dim[i]] = true;
    }
    for (int i = 0, n = 0; i < rank; i++)
        if (given[i])
            axes->dim[n++] = i;
    return ANF_OK;
}

anf_status op_broadcast(const struct op_call *c, const anf_dims *a, const anf_dims *b,
                        anf_dims *out)
{
    anf_dims r = {a->rank > b->rank ? a->rank : b->rank, {0}};
    for (int i = 1; i <= r.rank; i++) {
        int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1)
            FAIL(SHAPE, "%s: shapes %s and %s do not broadcast", c->op->name, dims_text(a),
                 dims_text(b));
        r.dim[r.rank - i] = da > db ? da : db;
    }
    *out = r;
    return ANF_OK;
}

static anf_status infer_elementwise(const struct op_call *c, struct value_type *out)
{
    out->shape = c->in[0].shape;
    for (int i = 1; i < c->n_in; i++)
        TRY(op_broadcast(c, &out->shape, &c->in[i].shape, &out->shape));
    return ANF_OK;
}

static anf_status normal_attrs(const struct op_call *c, void *attrs)
{
    for (int i = 0; i < c->op->n_attrs; i++) {
        const struct attr_desc *d = &c->op->attrs[i];
        char *field = (char *)attrs + d->offset;
        if (d->type == ANF_ATTR_FLOAT) {
            double value;
            memcpy(&value, field, sizeof value);
            if (isnan(value))
                FAIL(ATTR, "%s: %s is not a number", c->op->name, d->name);
        } else if (d->type == ANF_ATTR_INTS) {
            anf_dims given;
            memcpy(&given, field, sizeof given);
            if (given.rank < 0 || given.rank > ANF_MAX_RANK)
                FAIL(ATTR, "%s: %s has %d entries, needs 0 to %d", c->op->name, d->name,
                     (int)given.rank, ANF_MAX_RANK);
            memset(field, 0, sizeof given);
            memcpy(field + offsetof(anf_dims, rank), &given.rank, sizeof given.rank);
            memcpy(field + offsetof(anf_dims, dim), given.dim,
                   (size_t)given.rank * sizeof given.dim[0]);
        }
    }
    return ANF_OK;
}

anf_status op_infer(const struct op_call *c, void *attrs, struct value_type *out)
{
    size_t count;
    if (c->op->traits & OP_LEAF)
        FAIL(ARG, "%s: has a builder of its own, it cannot be made by name", c->op->name);
    if (!(c->op->traits & OP_DTYPES))
        for (int i = 0; i < c->n_in; i++)
            TRY(op_need_dtype(c, i, ANF_F16));
    TRY(normal_attrs(c, attrs));
    memset(out, 0, sizeof *out);
    out->dtype = ANF_F16;
    if (c->op->infer)
        TRY(c->op->infer(c, attrs, out));
    else
        TRY(infer_elementwise(c, out));
    if (!dims_count(&out->shape, &count))
        FAIL(SHAPE, "%s: the result %s has more than 2^40 elements", c->op->name,
             dims_text(&out->shape));
    return ANF_OK;
}

uint64_t op_flops_none(const struct op_call *c, const struct value_type *out)
{
    (void)c, (void)out;
    return 0;
}

/* ---- reference execution --------------------------------------------------------------------- */

static anf_status eval_elementwise(const struct op_eval *e)
{
    const struct op *op = e->call.op;
    const struct kern *k = kern_select("ref");
    size_t n = dims_product(&e->out.shape, 0, e->out.shape.rank);
    const f16 *x[3] = {NULL, NULL, NULL};
    for (int i = 0; i < e->call.n_in; i++) {
        const struct value_type *t = &e->call.in[i];
        size_t count = dims_product(&t->shape, 0, t->shape.rank);
        x[i] = e->x[i];
        if (t->dtype == ANF_U8) {
            f16 *wide = ref_room(e->scratch, count);
            if (!wide)
                return ANF_E_NOMEM;
            k->f16_from_u8(e->x[i], wide, count);
            x[i] = wide;
        }
        if (count != n) {
            f16 *full = ref_room(e->scratch, n);
            if (!full)
                return ANF_E_NOMEM;
            ref_broadcast(x[i], &t->shape, &e->out.shape, full);
            x[i] = full;
        }
    }
    float p[2] = {0, 0};
    if (op->uop_params)
        op->uop_params(e->call.attrs, p);
    k->uops[op->uop](e->y, x[0], x[1], x[2], n, p);
    return ANF_OK;
}

/* Values of nodes 1 .. last of a graph whose inputs already have theirs; the last one goes to y. */
static anf_status eval_nodes(const struct op_eval *e, const struct graph *g, node_id last,
                             const void **value)
{
    for (node_id id = 1; id <= last; id++) {
        const struct node *n = graph_node(g, id);
        if (node_op(n)->traits & OP_LEAF) {
            if (n->data)
                value[id] = n->data;
            continue;
        }
        struct value_type types[MAX_OPERANDS];
        struct op_eval step = {{node_op(n), n->n_in, types, n->attrs}, n->type, {NULL}, NULL,
                               e->scratch};
        for (int i = 0; i < n->n_in; i++) {
            types[i] = n->in[i] ? graph_node(g, n->in[i])->type
                                : (struct value_type){ANF_F16, {-1, {0}}};
            step.x[i] = n->in[i] ? value[n->in[i]] : NULL;
        }
        step.y = id == last ? e->y : ref_room(e->scratch, node_count(n));
        if (!step.y)
            return ANF_E_NOMEM;
        TRY(op_eval(&step));
        value[id] = step.y;
    }
    return ANF_OK;
}

/* The graph borrows the scratch arena's allocator: an evaluation has no context. */
static anf_status eval_expansion(const struct op_eval *e)
{
    struct graph g;
    node_id in[MAX_OPERANDS] = {0}, last = 0;
    anf_status st = ANF_E_NOMEM;
    graph_init_bare(&g, e->scratch->allocator);
    for (int i = 0; i < e->call.n_in; i++)
        if (op_has(&e->call, i) && !(in[i] = graph_add_input(&g, NULL, &e->call.in[i])))
            goto done;
    last = e->call.op->expand(&g, &e->call, in);
    const void **value = last ? arena_alloc_array(e->scratch, last + 1u, sizeof *value) : NULL;
    if (!value)
        goto done;
    for (int i = 0; i < e->call.n_in; i++)
        value[in[i]] = e->x[i];
    st = eval_nodes(e, &g, last, value);
done:
    graph_free(&g);
    return st;
}

anf_status op_eval(const struct op_eval *e)
{
    const struct op *op = e->call.op;
    TRY(cancel_check(4 * dims_product(&e->out.shape, 0, e->out.shape.rank)));
    if (op->ref)
        return op->ref(e);
    if (op->traits & OP_ELEMENTWISE)
        return eval_elementwise(e);
    if (op->expand)
        return eval_expansion(e);
    if (!op->view)
        FAIL(ARG, "%s: has no value of its own to compute", op->name);
    struct strided s = strided_dense(&e->call.in[0].shape);
    op->view(&e->call, &e->out, &s);
    ref_gather(e->x[0], &s, e->y);
    return ANF_OK;
}
