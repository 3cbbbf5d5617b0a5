/* Identities, each a row of a table: pattern function returning the node that stands for the
 * result, or 0 when it does not apply.  Requirements on a row:
 *   - it changes no bit of any result, for any input, NaN and signed zeros included (x + 0 is no
 *     identity, -0 + 0 is +0; x + -0 is);
 *   - its result has fewer nodes, so that rewriting ends. */
#include "passes/pass.h"
#include "ops/op_attrs.h"

#include <string.h>

/* Every element of a constant is `value`. */
static bool is_splat(const struct graph *g, node_id id, f16 value)
{
    const struct node *n = graph_node(g, id);
    size_t count = node_count(n);
    if (n->op != OP_const || count > 65536)
        return false;
    for (size_t i = 0; i < count; i++)
        if (n->data[i] != value)
            return false;
    return true;
}

static bool same_shape(const struct graph *g, node_id a, const struct node *n)
{
    return dims_equal(&graph_node(g, a)->type.shape, &n->type.shape);
}

/* Arithmetic turns every NaN into the one NaN; a float16 port may bring others, and moves keep
 * them. */
static bool has_one_nan(const struct graph *g, node_id id)
{
    while (node_op(graph_node(g, id))->view)
        id = graph_node(g, id)->in[0];
    return graph_node(g, id)->op != OP_input && graph_node(g, id)->op != OP_concat;
}

/* x * 1, x / 1 = x. */
static node_id times_one(struct graph *g, const struct node *n)
{
    for (int i = 0; i < 2; i++)
        if ((n->op == OP_mul || (n->op == OP_div && i == 1)) && is_splat(g, n->in[i], 0x3c00) &&
            same_shape(g, n->in[1 - i], n) && has_one_nan(g, n->in[1 - i]))
            return n->in[1 - i];
    return 0;
}

/* x + -0 = x - 0 = x. */
static node_id plus_zero(struct graph *g, const struct node *n)
{
    for (int i = 0; i < 2; i++)
        if (n->op == OP_add && is_splat(g, n->in[i], 0x8000) && same_shape(g, n->in[1 - i], n) &&
            has_one_nan(g, n->in[1 - i]))
            return n->in[1 - i];
    if (n->op == OP_sub && is_splat(g, n->in[1], 0) && same_shape(g, n->in[0], n) &&
        has_one_nan(g, n->in[0]))
        return n->in[0];
    return 0;
}

static node_id not_not(struct graph *g, const struct node *n)
{
    if (n->op == OP_logical_not && graph_node(g, n->in[0])->op == OP_logical_not)
        return graph_node(g, n->in[0])->in[0];
    return 0;
}

/* A view that changes nothing. */
static node_id same_view(struct graph *g, const struct node *n)
{
    const struct op *op = node_op(n);
    if (!op->view || !same_shape(g, n->in[0], n))
        return 0;
    if (n->op != OP_transpose)
        return n->in[0];
    const struct perm_attrs *a = n->attrs;
    for (int i = 0; i < a->perm.rank; i++)
        if (a->perm.dim[i] != i)
            return 0;
    return n->in[0];
}

/* View of view: one reshape, one transpose. */
static node_id view_chain(struct graph *g, const struct node *n)
{
    bool keeps_order = node_op(n)->traits & OP_VIEW;
    const struct node *x = n->n_in ? graph_node(g, n->in[0]) : NULL;
    if (keeps_order && (node_op(x)->traits & OP_VIEW)) {
        struct shape_attrs a = {n->type.shape};
        node_id in = x->in[0];
        return graph_add(g, OP_reshape, &in, 1, &a);
    }
    if (n->op == OP_transpose && x->op == OP_transpose) {
        const struct perm_attrs *outer = n->attrs, *inner = x->attrs;
        struct perm_attrs a = *outer;
        node_id in = x->in[0];
        for (int i = 0; i < a.perm.rank; i++)
            a.perm.dim[i] = inner->perm.dim[outer->perm.dim[i]];
        return graph_add(g, OP_transpose, &in, 1, &a);
    }
    return 0;
}

static node_id (*const rules[])(struct graph *, const struct node *) = {
    times_one, plus_zero, not_not, same_view, view_chain};

static node_id visit(void *user, struct graph *to, const struct graph *from, node_id id,
                     const node_id *in)
{
    (void)user;
    node_id at = graph_copy_node(to, from, id, in);
    for (size_t r = 0; at && r < sizeof rules / sizeof *rules; r++) {
        struct node n = *graph_node(to, at); /* a rule may grow the array */
        if (node_op(&n)->traits & OP_LEAF)
            break;
        node_id next = rules[r](to, &n);
        if (next) {
            at = next;
            r = (size_t)-1; /* from the first rule again */
        }
    }
    return at;
}

anf_status pass_canonical(struct graph *to, const struct graph *from)
{
    return graph_rewrite(to, from, visit, NULL);
}
