/* What is known about an operator: one roster line in ops.def, one OP_DEF block in a family file.
 * Nothing else may switch on operator ids; readers ask the table. */
#ifndef ANF_OPS_OP_H
#define ANF_OPS_OP_H

#include "base/buf.h"
#include "ir/graph.h"
#include "kernels/kern.h"

/* ---- attributes ------------------------------------------------------------------------------ */
/* An attribute lives in the operator's own struct as int64_t, double or anf_dims. */
struct attr_desc {
    const char *name;
    anf_attr_type type;
    uint32_t offset;
    bool required;   /* must be given; INTS attributes are always required */
    bool positional; /* an argument of the typed C builder (needed where 0 means something but is no
                      * default: the named options read 0 as "default") */
    double number;   /* default of INT and FLOAT */
    const char *doc;
};
#define ATTR_INT(S, field, def, text)                                                              \
    {#field, ANF_ATTR_INT, offsetof(struct S, field), false, false, (def), (text)}
#define ATTR_INT_ARG(S, field, def, text)                                                          \
    {#field, ANF_ATTR_INT, offsetof(struct S, field), false, true, (def), (text)}
#define ATTR_INT_REQUIRED(S, field, text)                                                          \
    {#field, ANF_ATTR_INT, offsetof(struct S, field), true, true, 0, (text)}
#define ATTR_FLOAT(S, field, def, text)                                                            \
    {#field, ANF_ATTR_FLOAT, offsetof(struct S, field), false, false, (def), (text)}
#define ATTR_FLOAT_ARG(S, field, def, text)                                                        \
    {#field, ANF_ATTR_FLOAT, offsetof(struct S, field), false, true, (def), (text)}
#define ATTR_FLOAT_REQUIRED(S, field, text)                                                        \
    {#field, ANF_ATTR_FLOAT, offsetof(struct S, field), true, true, 0, (text)}
#define ATTR_INTS(S, field, text)                                                                  \
    {#field, ANF_ATTR_INTS, offsetof(struct S, field), true, true, 0, (text)}

/* ---- calls ----------------------------------------------------------------------------------- */
/* An operator applied to operand types.  in[i].shape.rank is -1 for an absent optional operand. */
struct op_call {
    const struct op *op;
    int n_in; /* operands given; absent optional ones in between count */
    const struct value_type *in;
    const void *attrs;
};

static inline bool op_has(const struct op_call *c, int i)
{
    return i < c->n_in && c->in[i].shape.rank >= 0;
}

/* Reference execution: dense row-major operands, x[i] NULL when absent (u8 for ANF_U8 types). */
struct op_eval {
    struct op_call call;
    struct value_type out;
    const void *x[MAX_OPERANDS];
    f16 *y;
    struct arena *scratch;
};

/* Where the elements of a value lie: element [i0, i1, ...] is at offset + sum of i_d stride[d], in
 * elements.  A stride of 0 repeats; that of a dim of 1 means nothing. */
struct strided {
    anf_dims dims;
    int64_t stride[ANF_MAX_RANK];
    int64_t offset;
};

/* A dense row-major tensor of this shape. */
static inline struct strided strided_dense(const anf_dims *shape)
{
    struct strided s = {.dims = *shape};
    int64_t step = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        s.stride[d] = step;
        step *= shape->dim[d];
    }
    return s;
}

/* The same elements, dim d of the result being dim perm[d]. */
static inline struct strided strided_permuted(const struct strided *s, const anf_dims *perm)
{
    struct strided t = *s;
    for (int d = 0; d < s->dims.rank; d++) {
        t.dims.dim[d] = s->dims.dim[perm->dim[d]];
        t.stride[d] = s->stride[perm->dim[d]];
    }
    return t;
}

/* The same elements with dims i and j exchanged. */
static inline struct strided strided_swapped(const struct strided *s, int i, int j)
{
    struct strided t = *s;
    t.dims.dim[i] = s->dims.dim[j];
    t.dims.dim[j] = s->dims.dim[i];
    t.stride[i] = s->stride[j];
    t.stride[j] = s->stride[i];
    return t;
}

enum op_traits {
    OP_ELEMENTWISE = 1 << 0, /* one micro-op per element, operands broadcast */
    OP_COMMUTES = 1 << 1,    /* op(a, b) is op(b, a), bit for bit */
    OP_VIEW = 1 << 2,        /* the same elements in the same order: costs nothing */
    OP_EPILOGUE = 1 << 3,    /* its instruction can run an elementwise chain on its result */
    OP_LEAF = 1 << 4,        /* no operands: input and const */
    OP_COMPOSITE = 1 << 5,   /* always expanded before fusion */
    OP_DTYPES = 1 << 6,      /* infer checks the operands' dtypes; without it all are fp16 */
};

/* Operand 1 is a matrix of weights, which compression may encode where it is a constant. */
enum weight_axes {
    OP_WEIGHT_NONE = 0,
    OP_WEIGHT_KN, /* [depth][outputs] */
    OP_WEIGHT_NK, /* [outputs][depth] */
    OP_WEIGHT_AXES
};

struct op_case {
    /* Operand shapes in order: "[2,3,5,7] w[4,3,3,3] w[4]"; a leading w makes the operand a
     * constant, "-" an absent optional operand, b a bool tensor (0/1), u an uint8 one, p positive
     * values. */
    const char *in;
    const char *attrs; /* text form, "stride=2, pad=1"; "" for defaults */
};

struct lowering;

enum { OP_NAMES_MAX = 10 }; /* operand names of one operator; cross_attention uses them all */

struct op {
    const char *name;
    const char *category; /* a heading of docs/ops.md */
    const char *doc;      /* one line: the mathematics, with shapes */
    /* Operand names in order: "x", "weight", "?bias" (optional), "*tensors" (variadic, alone:
     * what it makes of a list it also makes of what it made of the parts of the list). */
    const char *operands[OP_NAMES_MAX];
    const struct attr_desc *attrs;
    int n_attrs;
    size_t attrs_size;
    unsigned traits;
    enum weight_axes weight;
    enum uop uop; /* of OP_ELEMENTWISE operators */
    /* micro-op parameters from the attributes; NULL: none */
    void (*uop_params)(const void *attrs, float p[2]);

    /* Check the call and give the result's type.  May rewrite `attrs` into normal form
     * (non-negative axes, stride 0 -> k, ...).  NULL: elementwise rule (broadcast, fp16 in and
     * out). */
    anf_status (*infer)(const struct op_call *c, void *attrs, struct value_type *out);
    /* Plain C that defines the result, bit for bit.  NULL: elementwise, or `view` or `expand` gives
     * it. */
    anf_status (*ref)(const struct op_eval *e);
    /* The operator in simpler ones; `in[i]` is 0 for an absent operand.  0 on failure. */
    node_id (*expand)(struct graph *g, const struct op_call *c, const node_id *in);
    /* Turn the operand's strides into the result's; false: not expressible, the operand has to be
     * dense (only reshape says so, and a dense operand never fails).  NULL: not a view-like
     * operator. */
    bool (*view)(const struct op_call *c, const struct value_type *out, struct strided *s);
    /* Emit instructions (lower/lower.h).  NULL: elementwise, view, leaf, or expanded. */
    anf_status (*lower)(struct lowering *lw, node_id id);
    /* Floating point operations; NULL: one per output element. */
    uint64_t (*flops)(const struct op_call *c, const struct value_type *out);
    const struct op_case *cases;
    int n_cases;
};

#define OP(name) extern const struct op op_def_##name;
#include "ops/ops.def"
#undef OP

/* The table, in roster order. */
extern const struct op *const op_table[OP_COUNT];

#define OP_DEF(id) const struct op op_def_##id
#define OP_ATTRS(table, S)                                                                         \
    .attrs = (table), .n_attrs = (int)(sizeof(table) / sizeof *(table)),                           \
    .attrs_size = sizeof(struct S)
#define OP_CASES(table) .cases = (table), .n_cases = (int)(sizeof(table) / sizeof *(table))

static inline const struct op *node_op(const struct node *n)
{
    return op_table[n->op];
}

/* By name; NULL if unknown. */
const struct op *op_find(const char *name);
enum op_id op_id_of(const struct op *op);

/* Operand descriptors decoded from `operands`. */
int op_n_operands(const struct op *op);
bool op_operand_optional(const struct op *op, int i);
bool op_operand_variadic(const struct op *op, int i);
const char *op_operand_name(const struct op *op, int i); /* without the marker */

/* ---- op_table.c: what every infer uses ---- */

/* Fill defaults into a zeroed attribute struct. */
void op_attrs_default(const struct op *op, void *attrs);

/* Operand dtypes by the common rule, attributes free of NaN and in one bytewise form, then the
 * operator's own infer, then the size of the result.  graph_add has checked the operand count. */
anf_status op_infer(const struct op_call *c, void *attrs, struct value_type *out);

anf_status op_need_dtype(const struct op_call *c, int i, anf_dtype dtype);
anf_status op_need_rank(const struct op_call *c, int i, int rank);
anf_status op_need_min_rank(const struct op_call *c, int i, int rank);
/* Operand i of exactly this shape, which follows from that of operand `from`; nothing to check
 * where it is absent. */
anf_status op_need_shape(const struct op_call *c, int i, const anf_dims *shape, int from);
/* The same for a vector of n elements. */
anf_status op_need_vector(const struct op_call *c, int i, int64_t n, int from);
/* Attribute `name` in lo..OP_INT_MAX, which keeps the arithmetic of output sizes free of
 * overflow. */
enum { OP_INT_MAX = 1 << 20 };
anf_status op_need_int(const struct op_call *c, const char *name, int64_t value, int64_t lo);
/* An epsilon under a root: finite in float32 and not negative. */
anf_status op_need_eps(const struct op_call *c, double eps);
/* Axis in [-rank, rank) made non-negative. */
anf_status op_normal_axis(const struct op_call *c, int64_t *axis, int rank);
/* Sorted, unique, non-negative axes. */
anf_status op_normal_axes(const struct op_call *c, anf_dims *axes, int rank);
/* NumPy broadcasting of two shapes into *out (which may be one of them); the message names both. */
anf_status op_broadcast(const struct op_call *c, const anf_dims *a, const anf_dims *b,
                        anf_dims *out);

/* Run `ref`, or the elementwise micro-op on the "ref" kernel table, or the view, or the
 * expansion. */
anf_status op_eval(const struct op_eval *e);

/* For expansions: an operator with one operand and one attribute, a list (reshape, expand,
 * transpose). 0 where x is 0. */
node_id op_add_dims(struct graph *g, enum op_id op, node_id x, anf_dims list);

/* `flops` of operators that only move elements. */
uint64_t op_flops_none(const struct op_call *c, const struct value_type *out);

/* ---- reference arithmetic shared by ref functions (ref_math.c) ------------------------------- */
/* The reductions of kern.h: blocks, 64 lanes, pairwise tree.  n >= 1. */
float ref_sum(const float *x, size_t n);
float ref_max(const float *x, size_t n);
float ref_min(const float *x, size_t n);

/* fma chain over k ascending, from 0; steps in elements. */
float ref_chain(const f16 *a, size_t a_step, const f16 *b, size_t b_step, size_t k);

/* Dense y from x seen through strides: transpositions, slices, broadcasts. */
void ref_gather(const f16 *x, const struct strided *s, f16 *y);

/* Dense y of shape `to` from dense x of shape `from`, which broadcasts to it. */
void ref_broadcast(const f16 *x, const anf_dims *from, const anf_dims *to, f16 *y);

/* Swap axis `axis` with the last one: two such calls give x back.  `shape` is that of x. */
void ref_swap_last(const f16 *x, const anf_dims *shape, int axis, f16 *y);

/* Uninitialised room for n elements in the arena, or NULL (message set). */
f16 *ref_room(struct arena *scratch, size_t n);

/* Product of dims [from, to) of a checked shape. */
static inline size_t dims_product(const anf_dims *d, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++)
        n *= (size_t)d->dim[i];
    return n;
}

#endif
