/* Compression of a graph: every constant that is the weight of a product is encoded; the graph is
 * not changed.
 *
 * A weight is a constant seen one way round.  A constant that one product reads as [k][n] and
 * another as [n][k] has other channels each time, and is two weights.  Uses of the constant that
 * are no products do not matter: lowering takes the encoded form for products and the constant's
 * own values for everything else. */
#ifndef ANF_COMPRESS_COMPRESS_H
#define ANF_COMPRESS_COMPRESS_H

#include "compress/choose.h"
#include "ops/op.h"

struct pool;

struct compressed {
    node_id node;
    enum weight_axes axes;
    const char *name;
    char why[WHY_MAX];
    struct encoded encoded;
    struct arena keep; /* holds what `encoded` points at; empty once panels are made of it */
    bool streams;
};

struct compression {
    const anf_allocator *allocator;
    struct arena arena;
    struct compressed *weights;
    size_t n, cap;
    uint32_t *at[OP_WEIGHT_AXES]; /* by node id: 1 + index in weights, 0: none */
};

/* Called on the calling thread after every few weights; any status but ANF_OK ends it. */
typedef anf_status compress_step_fn(void *user, size_t done, size_t n);

/* Names for constants and functions of constants that have none: "mha_0.wq", the first product (or,
 * without one, the first operator) that uses them, its number among operators of its kind, and the
 * operand.  Memory is `keep`'s. */
anf_status compress_names(struct graph *g, struct arena *keep);

/* Several weights at a time on the threads of `pool`; what is chosen does not depend on them.  To
 * be freed also after a failure. */
anf_status compress_graph(const struct graph *g, const struct compress_opts *o, struct pool *pool,
                          compress_step_fn *step_done, void *user, struct compression *out);
void compression_free(struct compression *c);

/* The weight that operand 1 of this product is; NULL: none, or it stays binary16. */
struct compressed *compression_find(const struct compression *c, node_id node,
                                    enum weight_axes axes);

#endif
