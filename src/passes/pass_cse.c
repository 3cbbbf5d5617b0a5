/* Nodes with the same operator, operands, attributes (and, for constants, contents) are one node.
 * Operands of commuting operators are compared in either order.  Inputs are never merged. */
#include "base/hash.h"
#include "passes/pass.h"

#include <string.h>

struct table {
    node_id *slots;
    size_t mask;
};

static uint64_t hash_node(const struct node *n)
{
    uint64_t h = hash_word(HASH_SEED, n->op);
    h = hash_bytes(h, n->type.shape.dim, (size_t)n->type.shape.rank * sizeof(int64_t));
    if (n->op == OP_const) {
        struct checksum c;
        checksum_init(&c);
        checksum_put(&c, n->data, node_count(n) * sizeof(f16));
        return hash_word(h, checksum_end(&c));
    }
    uint64_t operands = 0; /* order-free, so that a + b meets b + a; equality decides */
    for (int i = 0; i < n->n_in; i++)
        operands += hash_word(HASH_SEED, n->in[i]);
    h = hash_word(h, operands);
    return node_op(n)->attrs_size ? hash_bytes(h, n->attrs, node_op(n)->attrs_size) : h;
}

static bool equal(const struct node *a, const struct node *b)
{
    const struct op *op = node_op(a);
    if (a->op != b->op || a->n_in != b->n_in || a->type.dtype != b->type.dtype ||
        !dims_equal(&a->type.shape, &b->type.shape))
        return false;
    if (a->op == OP_const)
        return a->data == b->data || memcmp(a->data, b->data, node_count(a) * sizeof(f16)) == 0;
    if (op->attrs_size && memcmp(a->attrs, b->attrs, op->attrs_size) != 0)
        return false;
    if (memcmp(a->in, b->in, a->n_in * sizeof *a->in) == 0)
        return true;
    return (op->traits & OP_COMMUTES) && a->in[0] == b->in[1] && a->in[1] == b->in[0];
}

static node_id visit(void *user, struct graph *to, const struct graph *from, node_id id,
                     const node_id *in)
{
    struct table *t = user;
    node_id made = graph_copy_node(to, from, id, in);
    if (!made || graph_node(to, made)->op == OP_input)
        return made;
    const struct node *n = graph_node(to, made);
    for (size_t s = hash_node(n) & t->mask;; s = (s + 1) & t->mask) {
        if (!t->slots[s]) {
            t->slots[s] = made;
            return made;
        }
        if (equal(graph_node(to, t->slots[s]), n))
            return t->slots[s];
    }
}

anf_status pass_cse(struct graph *to, const struct graph *from)
{
    struct table t;
    size_t size = 16;
    while (size < from->n_nodes * 2)
        size *= 2;
    t.mask = size - 1;
    t.slots = mem_calloc(from->allocator, size, sizeof *t.slots);
    if (!t.slots)
        return ANF_E_NOMEM;
    anf_status st = graph_rewrite(to, from, visit, &t);
    mem_free(from->allocator, t.slots, size * sizeof *t.slots);
    return st;
}
