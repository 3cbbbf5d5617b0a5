/* A graph computed node by node: every operator by its own reference, op_eval, on dense values.
 *
 * This is what a compiled program is compared with.  It shares nothing with the compiler but the
 * operator table, and it keeps every value, so a test can look at any node.  Needs the assertions
 * of cmocka or plain.h, which the test includes first. */
#ifndef ANF_TESTS_GRAPH_REFERENCE_H
#define ANF_TESTS_GRAPH_REFERENCE_H

#include "ir/graph.h"
#include "ops/op.h"

static inline void need(anf_status st)
{
    if (st != ANF_OK)
        fail_msg("%s", anf_last_error());
}

/* Values by node, NULL where no output reaches it; `ports` are those of the inputs in their
 * order. */
static inline const void **graph_reference(const struct graph *g, const anf_array *ports,
                                           struct arena *a)
{
    const void **value = arena_alloc_array(a, g->n_nodes, sizeof *value);
    unsigned char *reached = graph_reachable(g, a);
    size_t port = 0;
    assert_true(value && reached);
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        struct value_type types[MAX_OPERANDS];
        if (n->op == OP_const || n->op == OP_input) {
            value[id] = n->op == OP_const ? (const void *)n->data : ports[port++].data;
            continue;
        }
        if (!reached[id])
            continue;
        struct op_eval e = {.call = {node_op(n), n->n_in, types, n->attrs}, .out = n->type,
                            .scratch = a};
        for (int i = 0; i < n->n_in; i++) {
            types[i] = n->in[i] ? graph_node(g, n->in[i])->type
                                : (struct value_type){ANF_F16, {-1, {0}}};
            e.x[i] = n->in[i] ? value[n->in[i]] : NULL;
        }
        e.y = arena_alloc_array(a, node_count(n), sizeof(f16));
        assert_non_null(e.y);
        need(op_eval(&e));
        value[id] = e.y;
    }
    return value;
}

#endif
