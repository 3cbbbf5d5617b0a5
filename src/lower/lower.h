/* From a graph to a program: each operator's `lower` emits instructions through these helpers.
 *
 * A node's value is an operand: a buffer and a byte offset in it; views share their source's
 * operand. Values are dense row-major binary16 unless said otherwise. */
#ifndef ANF_LOWER_LOWER_H
#define ANF_LOWER_LOWER_H

#include "compress/compress.h"
#include "ops/op.h"
#include "program/program.h"

/* What the fusion plan (fuse.c) says of a node. */
enum fusion_role {
    FUSE_NONE = 0, /* lowered by itself */
    FUSE_INSIDE,   /* computed inside the instruction of `root` */
    FUSE_TILE,     /* root of an elementwise group; `producer` is the operator whose instruction
                    * runs it as an epilogue, 0: an instruction of its own */
    FUSE_ATTENTION, /* the last node of an attention pattern; `producer` is the second bmm */
};
struct fusion {
    enum fusion_role role;
    node_id root, producer;
    node_id first;  /* of a root: the smallest node of its instruction, which may be the root */
    node_id next;   /* of a node inside: the next larger one of the instruction; the root is last */
    node_id scores, scale, mask; /* of FUSE_ATTENTION: the first bmm, the factor, what is added */
};

/* By node id, in `arena`; NULL on failure.  `fuse` false: every node by itself. */
struct fusion *plan_fusion(const struct graph *g, const uint32_t *uses, bool fuse,
                           struct arena *arena);

/* Weight panels, and how they were packed. */
struct packed {
    struct pack_param as;
    uint32_t buf;
};

/* Panels of an encoded weight and their side array; buf 0: not packed yet. */
struct encoded_at {
    struct operand panels, side;
};
/* A sparse weight has up to three, for products of few rows, of one and of many. */
enum { FORM_ENCODED, FORM_LISTS, FORM_TURNED, FORMS };

struct lowering {
    const struct graph *g;
    struct program *p;
    struct arena *scratch;
    struct compression *compression;
    const uint32_t *uses;        /* by node id */
    const struct fusion *fusion; /* by node id */
    bool lazy;                   /* views stay strides until somebody needs them dense */
    struct operand *value;       /* by node id: dense value; buf 0: not lowered yet */
    struct packed **packed;      /* by node id: its weight panels; NULL: none */
    struct encoded_at *encoded;  /* by weight of the compression, FORMS each */
    uint32_t *port;              /* by node id: 1 + the output port it is written to directly */
    node_id group; /* root of the elementwise group that the instruction being emitted shall run */
};

/* The whole graph into `p` (initialised, no instructions yet), lifetimes set, memory not planned.
 * `c` may be empty; a weight of it is emptied once it is part of the program. */
anf_status lower_graph(struct program *p, const struct graph *g, struct compression *c, bool fuse);

/* What was chosen for each weight, into the program. */
anf_status lower_weight_records(struct program *p, const struct graph *g,
                                const struct compression *c);

/* A node's value as dense memory (emits a move when it is a view that is not). */
anf_status lower_dense(struct lowering *lw, node_id id, struct operand *out);
/* A node's value as strides over memory: `at` is its first element, `s` has no offset. */
anf_status lower_strided(struct lowering *lw, node_id id, struct operand *at, struct strided *s);
/* A dense copy of `from` seen through the strides `s` in a new buffer; `s` becomes the strides of
 * the copy. */
anf_status lower_copy(struct lowering *lw, struct strided *s, struct operand from,
                      struct operand *out);
/* The buffer for the value of node `id`: its output port, or a new one.  0 on failure. */
uint32_t lower_destination(struct lowering *lw, node_id id);

/* Merge dims [from, to) of `s` into one of `count` elements with `stride`; false: not possible. */
bool strided_merge(const struct strided *s, int from, int to, int64_t *count, int64_t *stride);
bool strided_is_dense(const struct strided *s);
/* Elements that lie as in `from` to where they lie by the strides of `to`. */
struct move_param strided_move(const struct strided *from, const struct strided *to);

/* Emit the instruction that computes node `id` and then the group, if there is one, and set the
 * value of its last node: operands[0] and what the group reads are filled in here.  `id` 0: TILE,
 * the group alone. */
anf_status lower_emit(struct lowering *lw, node_id id, enum instr_op op,
                      const struct operand *operands, int n_operands, const void *param,
                      size_t param_bytes);

/* Weight panels of node `id` (a constant: packed now; otherwise a PACK instruction). */
anf_status lower_packed(struct lowering *lw, node_id id, const struct pack_param *pack,
                        struct operand *out);

/* Operands `b` and `side` of a product with the encoded weight `w`, and what gemm_param needs to
 * know of it. */
anf_status lower_encoded(struct lowering *lw, struct compressed *w, struct gemm_param *g,
                         struct operand *b, struct operand *side);

static inline const struct node *lower_node(const struct lowering *lw, node_id id)
{
    return graph_node(lw->g, id);
}

/* tile_build.c: the tile program of the group rooted at `root`; `self` is the node whose value the
 * instruction has just written (0: none).  Appends operands after the n_operands given. */
anf_status lower_tile(struct lowering *lw, node_id root, node_id self, struct operand *operands,
                      int *n_operands, uint32_t *tile);

/* "conv+add+relu": operators of the instruction that ends with `root`, for explain. NULL on
 * failure. */
const char *lower_source(struct lowering *lw, node_id root);
uint64_t lower_flops(struct lowering *lw, node_id root);

/* Lowering functions named by operators. */
anf_status lower_matmul(struct lowering *lw, node_id id);
anf_status lower_linear(struct lowering *lw, node_id id);
anf_status lower_bmm(struct lowering *lw, node_id id);
anf_status lower_attention(struct lowering *lw, node_id id); /* of a FUSE_ATTENTION node */
anf_status lower_conv(struct lowering *lw, node_id id);           /* conv */
anf_status lower_conv_transpose(struct lowering *lw, node_id id);
anf_status lower_reduce_sum(struct lowering *lw, node_id id);
anf_status lower_reduce_mean(struct lowering *lw, node_id id);
anf_status lower_reduce_max(struct lowering *lw, node_id id);
anf_status lower_reduce_min(struct lowering *lw, node_id id);
anf_status lower_softmax(struct lowering *lw, node_id id);
anf_status lower_l2_norm(struct lowering *lw, node_id id);
anf_status lower_rms_norm(struct lowering *lw, node_id id);
anf_status lower_layer_norm(struct lowering *lw, node_id id);
anf_status lower_group_norm(struct lowering *lw, node_id id);
anf_status lower_batch_norm(struct lowering *lw, node_id id);
anf_status lower_max_pool(struct lowering *lw, node_id id);
anf_status lower_avg_pool(struct lowering *lw, node_id id);
anf_status lower_concat(struct lowering *lw, node_id id);

#endif
