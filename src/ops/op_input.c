/* The leaves of a graph.  They have no operands and no attributes: their type and values live in
 * the node, made by graph_add_input and graph_add_const. */
#include "ops/op.h"

OP_DEF(input) = {
    .name = "input",
    .category = "Graph",
    .doc = "A port that is fed at each run: fp16 of any shape, or uint8 for image bytes.",
    .traits = OP_LEAF,
    .flops = op_flops_none,
};

OP_DEF(const) = {
    .name = "const",
    .category = "Graph",
    .doc = "Values known when the graph is built: weights and scalars, each rounded once to fp16.",
    .traits = OP_LEAF,
    .flops = op_flops_none,
};
