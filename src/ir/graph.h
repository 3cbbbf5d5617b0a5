/* The graph: a growing array of nodes, each one value.
 *
 * Invariants (checked by graph_verify):
 *   - node ids are positive and topological: a node's operands have smaller ids; id 0 is no node;
 *   - a node's type is what its operator infers from its operands and attributes;
 *   - attributes are normalised (axes non-negative, defaults filled in);
 *   - constants own their values (or share those of a graph that outlives this one).
 * Nodes are never changed once built: passes rebuild into a new graph (graph_rewrite). */
#ifndef ANF_IR_GRAPH_H
#define ANF_IR_GRAPH_H

#include "base/arena.h"
#include "base/ctx.h"
#include "base/dtype.h"
#include "base/fp16.h"
#include "ir/names.h"

struct buf;
typedef uint32_t node_id;

enum op_id {
#define OP(name) OP_##name,
#include "ops/ops.def"
#undef OP
    OP_COUNT
};

enum {
    MAX_OPERANDS = 64, /* of one node */
    MAX_LIST = 1 << 20 /* of a variadic operator, which becomes several nodes */
};

struct value_type {
    anf_dtype dtype; /* ANF_F16, ANF_U8 (an image port) or ANF_BOOL (stored as fp16 0 and 1) */
    anf_dims shape;
};

/* How a constant was made, kept so that the text form stays short. */
enum const_kind { CONST_DATA = 0, CONST_FILL = 1, CONST_RANDOM = 2 };

struct node {
    uint16_t op; /* enum op_id */
    uint16_t n_in;
    const node_id *in;
    struct value_type type;
    const void *attrs; /* the operator's attribute struct; NULL if it has none */
    const char *name;  /* of a port, or of the line in a parsed text; NULL otherwise */
    /* constants only */
    const f16 *data;
    enum const_kind const_kind;
    uint64_t seed;
    double std;
};

struct graph_output {
    node_id node;
    const char *name;
};

struct graph {
    anf_ctx *ctx;
    const anf_allocator *allocator;
    struct arena arena;
    struct arena *keep; /* where passes put data of constants; NULL while building */
    struct node *nodes; /* [0] is unused */
    size_t n_nodes, cap_nodes;
    struct graph_output *outputs;
    size_t n_outputs, cap_outputs;
    size_t n_inputs;
    struct name_table input_names, output_names; /* of those that were named by a caller */
    anf_status error; /* the first one, with its message */
    char message[ANF_ERROR_MAX];
};

/* The public handle is this struct. */
struct anf_graph {
    struct graph g;
};

void graph_init(struct graph *g, anf_ctx *ctx);
/* Without a context, for what is evaluated on the way. */
void graph_init_bare(struct graph *g, const anf_allocator *allocator);
void graph_free(struct graph *g);
/* As graph_init left it, but for the memory it has, which the next nodes are put into. */
void graph_clear(struct graph *g);
/* Room for this many nodes, nodes[0] counted. */
anf_status graph_reserve(struct graph *g, size_t n_nodes);

static inline const struct node *graph_node(const struct graph *g, node_id id)
{
    return &g->nodes[id];
}

/* The error that was kept while building, with its message. */
anf_status graph_error(const struct graph *g);

/* Number of elements of a node's value. */
size_t node_count(const struct node *n);

/* Append a node as it stands (ids, attrs and strings copied into the arena), inferring its type.
 * `attrs` NULL: defaults. 0 on failure (the thread's message is set).  A list of more than
 * MAX_OPERANDS becomes nodes of its parts and a node of these, so a variadic operator is one whose
 * list may be joined piece by piece. */
node_id graph_add(struct graph *g, enum op_id op, const node_id *in, int n_in, const void *attrs);

/* `name` NULL: "x0", "x1", ... */
node_id graph_add_input(struct graph *g, const char *name, const struct value_type *type);

/* A constant whose `data` lives at least as long as the graph (usually in its arena). */
node_id graph_add_const(struct graph *g, const anf_dims *shape, const f16 *data);
/* Memory for such data: in the graph, or where the passes keep it. NULL on failure. */
f16 *graph_const_data(struct graph *g, size_t count);
node_id graph_add_fill(struct graph *g, const anf_dims *shape, f16 value);
node_id graph_add_random(struct graph *g, const anf_dims *shape, uint64_t seed, double std);

/* `name` NULL: "y0", "y1", ... */
anf_status graph_add_output(struct graph *g, node_id node, const char *name);
/* Whether a node may be an output called `name`, which others may be called too. */
anf_status graph_check_output(const struct graph *g, node_id node, const char *name);

/* Check every invariant above; the message names the node. */
anf_status graph_verify(const struct graph *g);

/* Rebuild `from` into `to` (initialised, empty).  `visit` is called for each node reachable from
 * the outputs, inputs included, in order, with its operands already mapped, and returns the node
 * of `to` that stands for it (0: failure); graph_copy_node is the identity.  Ports keep their
 * order; inputs that no output reaches are dropped.  Copies lend the names of nodes and outputs and
 * the data of constants, so what holds them has to outlive both graphs. */
typedef node_id (*graph_visit_fn)(void *user, struct graph *to, const struct graph *from,
                                  node_id id, const node_id *mapped_in);
anf_status graph_rewrite(struct graph *to, const struct graph *from, graph_visit_fn visit,
                         void *user);
node_id graph_copy_node(struct graph *to, const struct graph *from, node_id id,
                        const node_id *mapped_in);

/* Which nodes the outputs reach: a byte per node, in `arena`. NULL on failure. */
unsigned char *graph_reachable(const struct graph *g, struct arena *arena);
/* How many times each reachable node is used (an output counts as one use). */
uint32_t *graph_use_counts(const struct graph *g, struct arena *arena);

/* ---- print.c, parse.c ---- */
anf_status graph_print(const struct graph *g, bool brief, struct buf *out);
anf_status graph_parse(struct graph *g, const char *text, size_t n, const anf_parse_opts *opts);

/* "axes=[2,3], eps=1e-05": attributes that differ from their defaults. */
struct op;
void attrs_print(const struct op *op, const void *attrs, struct buf *out);
/* Parse such a list into a zeroed attribute struct (defaults and required ones checked). */
anf_status attrs_parse(const struct op *op, const char *text, size_t n, void *attrs);

#endif
