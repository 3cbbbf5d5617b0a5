/* Operators that have an expansion and no instruction of their own are replaced by it, repeatedly:
 * an expansion may use other composites.  It ends because an operator's expansion only uses
 * operators that stand for simpler mathematics (checked in a test: no operator reaches itself). */
#include "passes/pass.h"

static node_id visit(void *user, struct graph *to, const struct graph *from, node_id id,
                     const node_id *in)
{
    bool *again = user;
    const struct node *n = graph_node(from, id);
    const struct op *op = node_op(n);
    if (!op->expand || op->lower || op->view)
        return graph_copy_node(to, from, id, in);
    *again = true;
    struct value_type types[MAX_OPERANDS];
    for (int i = 0; i < n->n_in; i++)
        types[i] = in[i] ? graph_node(to, in[i])->type : (struct value_type){ANF_F16, {-1, {0}}};
    struct op_call call = {op, n->n_in, types, n->attrs};
    return op->expand(to, &call, in);
}

anf_status pass_expand(struct graph *to, const struct graph *from)
{
    bool again = false;
    TRY(graph_rewrite(to, from, visit, &again));
    while (again) {
        struct graph prev = *to;
        graph_init(to, prev.ctx);
        to->keep = prev.keep;
        again = false;
        anf_status st = graph_rewrite(to, &prev, visit, &again);
        graph_free(&prev);
        TRY(st);
    }
    return ANF_OK;
}
