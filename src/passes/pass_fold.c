/* An operator of constants becomes a constant, evaluated by the operator's reference, which has
 * the bits of every kernel.  Not where that would store more than it saves (a broadcast kept as a
 * view costs nothing). */
#include "passes/pass.h"

enum { MAX_GROWTH = 4 };

static bool foldable(const struct graph *g, const struct node *n)
{
    size_t most = 64;
    if (n->n_in == 0 || (node_op(n)->traits & OP_LEAF))
        return false;
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        const struct node *x = graph_node(g, n->in[i]);
        if (x->op != OP_const)
            return false;
        most += node_count(x) * MAX_GROWTH;
    }
    return node_count(n) <= most;
}

static node_id visit(void *user, struct graph *to, const struct graph *from, node_id id,
                     const node_id *in)
{
    (void)user;
    node_id made = graph_copy_node(to, from, id, in);
    if (!made || !foldable(to, graph_node(to, made)))
        return made;
    const struct node *n = graph_node(to, made);
    struct value_type types[MAX_OPERANDS];
    struct arena scratch;
    arena_init(&scratch, to->allocator);
    struct op_eval e = {.call = {node_op(n), n->n_in, types, n->attrs},
                        .out = n->type,
                        .scratch = &scratch};
    for (int i = 0; i < n->n_in; i++) {
        const struct node *x = n->in[i] ? graph_node(to, n->in[i]) : NULL;
        types[i] = x ? x->type : (struct value_type){ANF_F16, {-1, {0}}};
        e.x[i] = x ? x->data : NULL;
    }
    e.y = graph_const_data(to, node_count(n));
    if (!e.y || op_eval(&e) != ANF_OK) {
        arena_free(&scratch);
        return 0;
    }
    arena_free(&scratch);
    struct value_type type = n->type;
    /* A constant made from a named one keeps its name, which says in reports where it came from. */
    const char *name = n->name;
    for (int i = 0; i < n->n_in && !name; i++)
        name = n->in[i] ? graph_node(to, n->in[i])->name : NULL;
    node_id folded = graph_add_const(to, &type.shape, e.y);
    if (folded) {
        to->nodes[folded].type = type;
        to->nodes[folded].name = name;
    }
    return folded;
}

anf_status pass_fold(struct graph *to, const struct graph *from)
{
    return graph_rewrite(to, from, visit, NULL);
}
