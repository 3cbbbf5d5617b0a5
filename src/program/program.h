/* The program: what a compile produces and a run executes.
 *
 * A flat array of coarse instructions over numbered buffers.  Immutable and free of pointers into a
 * graph; parameters are structs of int64_t in one pool, so that saving is copying and loading is
 * checking (program_check looks at every index, size and geometry, since a file may be hostile).
 *
 * Buffers: constants (own data), inputs and outputs (one per port, memory of the run state), and
 * arena buffers (planned offsets in one slab).  An operand is a buffer and a byte offset in it. */
#ifndef ANF_PROGRAM_PROGRAM_H
#define ANF_PROGRAM_PROGRAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/dtype.h"
#include "kernels/block_gemm.h"
#include "kernels/kern.h"

#define BUFFER_KINDS(X)                                                                            \
    X(NONE, "none") X(CONST, "const") X(INPUT, "input") X(OUTPUT, "output") X(ARENA, "arena")
enum buffer_kind {
#define X(id, text) BUF_##id,
    BUFFER_KINDS(X)
#undef X
    BUF_KIND_COUNT
};

struct buffer {
    uint32_t kind;
    uint32_t port;     /* of INPUT and OUTPUT */
    uint64_t n_bytes;
    uint64_t offset;   /* of ARENA: in the slab */
    uint32_t first, last; /* instructions that use it; a port lives throughout */
    const void *data;  /* of CONST; in the program's arena or in a mapped file */
};

struct operand {
    uint32_t buf; /* 0: absent */
    uint32_t unused;
    uint64_t offset; /* bytes */
};

enum instr_op {
#define I(id, name, least, most, runs_tile, doc) INSTR_##id,
#include "program/instr.def"
#undef I
    INSTR_COUNT
};

struct instr {
    uint32_t op;
    uint32_t operand, n_operand; /* range in program.operands; the first is the destination */
    uint32_t param;              /* first int64_t in program.params */
    uint32_t tile; /* 1 + index of its tile program (TILE: what it computes; others: the epilogue),
                    * 0: none */
    uint32_t source;             /* offset of its source operators in program.names */
    uint64_t flops, bytes;
};

/* ---- parameters, one struct per instruction -------------------------------------------------- */
/* Strides are in elements. */
struct gemm_param { /* y, a, b, side of encoded weights?, bias? */
    int64_t batch, m, n, k;
    int64_t a_batch, a_row;
    int64_t b_kind, b_batch, b_row; /* enum gemm_b; of GEMM_B_BLOCKWISE b_row is the block */
    int64_t y_batch, y_row;
    int64_t has_bias;
};
struct conv_param { /* y, x, w, bias? */
    int64_t images, groups, cout; /* cout per group */
    int64_t cin, in_h, in_w, out_h, out_w, kh, kw;
    int64_t stride_h, stride_w, dil_h, dil_w, pad_h, pad_w;
    int64_t up; /* block_conv.h */
    int64_t has_bias;
};
struct attention_param { /* y, q, k, v, mask? */
    int64_t heads, sq, skv, d, dv;
    int64_t q_head, q_row, k_head, k_row, v_head, v_row, y_head, y_row;
    int64_t has_scale, scale_f16; /* the bits of a binary16 */
    int64_t has_mask, mask_head, mask_row;
};
#define REDUCE_KINDS(X)                                                                            \
    X(SUM, sum) X(MEAN, mean) X(MAX, max) X(MIN, min)
enum reduce_kind {
#define X(id, what) REDUCE_##id,
    REDUCE_KINDS(X)
#undef X
    REDUCE_KIND_COUNT
};
struct reduce_param { /* y[rows / inner][inner], x[rows / inner][n][inner] */
    int64_t kind, rows, n, inner;
};
struct softmax_param { /* y, x: [rows / inner][n][inner] */
    int64_t rows, n, inner;
};
#define NORM_KINDS(X) X(L2, l2_norm) X(RMS, rms_norm) X(LAYER, layer_norm)
enum norm_kind {
#define X(id, slot) NORM_##id,
    NORM_KINDS(X)
#undef X
    NORM_KIND_COUNT
};
struct norm_param { /* y, x, gamma?, beta? */
    int64_t kind, rows, n;
    int64_t has_gamma, has_beta;
    int64_t run, per_row, row_period; /* kern.h norm_args */
    int64_t eps_f32;                  /* the bits of a float */
};
struct affine_param { /* y, x, gamma, beta, mean, var; x [images][channels][run] */
    int64_t images, channels, run, eps_f32;
};
enum pool_kind { POOL_MAX = 0, POOL_AVG = 1 };
struct pool_param { /* y, x: planes */
    int64_t kind, planes, in_h, in_w, out_h, out_w, k, stride, pad;
};
struct move_param { /* y, x */
    int64_t rank, dims[ANF_MAX_RANK], src[ANF_MAX_RANK], dst[ANF_MAX_RANK];
};
enum pack_kind { PACK_GEMM = 0, PACK_GEMM_T = 1, PACK_CONV = 2, PACK_CONV_T = 3 };
struct pack_param { /* y, x: GEMM k, n; CONV groups, cout and cin of a group, kh, kw, up, dil */
    int64_t kind, k, n, groups, cout, cin, kh, kw, up, dil;
};

/* ---- tile programs --------------------------------------------------------------------------- */
enum { TILE_MAX_OPERANDS = 10, TILE_MAX_OPS = 24, TILE_MAX_REGS = 16 };

/* A micro-op reads values and writes a register; value v < n_operands is operand v, above that
 * register v - n_operands.  The last micro-op writes the destination. */
struct tile_op {
    uint8_t uop, n_src, dst, src[3];
    uint8_t unused[2];
    float p[2];
};
/* m values that are in registers at once took m micro-ops, and at least (m - 1) / 2 more use them
 * up: one reads three values and leaves one, the last leaves none.  So no order of TILE_MAX_OPS
 * micro-ops needs more registers than there are. */
_Static_assert(sizeof((struct tile_op){0}.src) == 3 &&
                   TILE_MAX_REGS + 1 + (TILE_MAX_REGS + 1) / 2 > TILE_MAX_OPS,
               "enough registers for any tile program");
struct tile_operand {
    uint32_t slot;  /* which operand of the instruction */
    uint32_t is_u8; /* bytes, widened to binary16 */
    int64_t stride[ANF_MAX_RANK]; /* over tile_prog.dims; all dense: the destination's strides */
};
struct tile_prog {
    uint32_t n_operands, n_ops, n_regs, rank;
    int64_t dims[ANF_MAX_RANK]; /* of the destination, merged where every operand allows */
    struct tile_operand operands[TILE_MAX_OPERANDS];
    struct tile_op ops[TILE_MAX_OPS];
};

struct port {
    anf_port info;
    uint32_t buf;
};

/* What became of a weight of a compile with compression; for reports, nothing runs by it. */
struct weight_record {
    uint32_t name, why; /* offsets in program.names */
    uint32_t encoding;  /* anf_encoding */
    uint32_t streams;   /* the target reads it as it is */
    uint64_t dims[2];
    uint64_t bytes_before, bytes_after;
    double error;
};

struct program {
    const anf_allocator *allocator;
    struct arena arena; /* names, constants made while compiling */
    struct instr *instrs;
    struct operand *operands;
    struct buffer *buffers; /* [0] is "none" */
    int64_t *params;
    struct tile_prog *tiles;
    char *names; /* NUL-terminated strings */
    struct port *inputs, *outputs;
    struct weight_record *weights;
    size_t n_instrs, n_operands, n_buffers, n_params, n_tiles, n_names, n_inputs, n_outputs,
        n_weights;
    size_t cap_instrs, cap_operands, cap_buffers, cap_params, cap_tiles, cap_names, cap_inputs,
        cap_outputs, cap_weights;
    uint64_t arena_bytes;
    uint64_t n_ops; /* operators compiled */
};

anf_status program_init(struct program *p, const anf_allocator *a);
void program_free(struct program *p);

/* ---- building (program.c) ---- */
/* 0 on failure. */
uint32_t program_buffer(struct program *p, enum buffer_kind kind, uint64_t n_bytes);
uint32_t program_const(struct program *p, const void *data, uint64_t n_bytes); /* data is lent */
/* `param`: a struct of int64_t.  `source` NULL (its text could not be made): ANF_E_NOMEM.  Buffer
 * lifetimes are extended to this instruction. */
anf_status program_instr(struct program *p, enum instr_op op, const struct operand *operands,
                         int n_operands, const void *param, size_t param_bytes, uint32_t tile,
                         const char *source, uint64_t flops);
/* 1 + index, 0 on failure. */
uint32_t program_tile(struct program *p, const struct tile_prog *t);
anf_status program_port(struct program *p, bool is_input, const char *name, anf_dtype dtype,
                        const anf_dims *shape, uint32_t *buf);

/* A record with these texts; its offsets are filled in. */
anf_status program_weight(struct program *p, const struct weight_record *w, const char *name,
                          const char *why);

/* Every index, size and geometry: what a run may rely on. ANF_E_FORMAT with a message. */
anf_status program_check(const struct program *p);

/* Sizes of the whole program. */
void program_stats(const struct program *p, anf_model_stats *out);

/* The parameters of an instruction as their struct. */
#define PARAM(p, i, S) ((const struct S *)(const void *)((p)->params + (i)->param))

/* ---- instruction table ---- */
/* Operands of an instruction, but for those of its tile program. */
enum { INSTR_MAX_OPERANDS = 6 };

struct exec;
/* Geometry against buffers; indices are already known to be in range. */
typedef anf_status check_fn(const struct program *p, const struct instr *i);
/* Scratch that a run needs: of all threads together, of each. */
struct scratch_bytes {
    size_t shared, own;
};
typedef struct scratch_bytes scratch_fn(const struct program *p, const struct instr *i,
                                        const struct kern *k, size_t n_threads);
typedef void exec_fn(struct exec *x, const struct instr *i);
/* Its geometry for explain, "[1,3,32,32] -> ...". */
typedef void text_fn(const struct program *p, const struct instr *i, struct buf *out);

struct instr_info {
    const char *name;
    size_t param_count; /* int64_t's */
    int min_operands, max_operands; /* epilogue operands not counted */
    bool runs_tile; /* TILE itself, and those that run one as an epilogue */
    check_fn *check;
    scratch_fn *scratch; /* NULL: none */
    exec_fn *run;
    text_fn *text; /* NULL: nothing to say */
};
extern const struct instr_info instr_info[INSTR_COUNT];

/* explain.c */
anf_status explain_program(const struct program *p, const struct kern *k, struct buf *out);
void explain_instr(const struct program *p, const struct instr *i, struct buf *out);

/* report.c: the weight records, a line each and one of totals, or as JSON. */
void report_text(const struct program *p, struct buf *out);
void report_json(const struct program *p, struct buf *out);

/* plan_memory.c: offsets for ARENA buffers by lifetime; sets arena_bytes. */
anf_status plan_memory(struct program *p);

/* tile.c: elements [offset, offset + n) of the destination. `base[v]` is operand v's memory, which
 * is only read. */
struct tile_run {
    const struct kern *kern;
    const struct tile_prog *t;
    void *base[TILE_MAX_OPERANDS];
    f16 *dst;
    /* From here on what tile_prepare finds out. */
    bool dense[TILE_MAX_OPERANDS], splat[TILE_MAX_OPERANDS];
    uint8_t chain[TILE_MAX_OPS]; /* micro-ops of the call that begins here */
    struct uop_step steps[TILE_MAX_OPS];
};
/* Whether an operand's elements lie like the dense destination's, binary16 in the same order. */
bool tile_operand_dense(const struct tile_prog *t, const struct tile_operand *o);
void tile_prepare(struct tile_run *r);
void tile_run(const struct tile_run *r, size_t offset, size_t n);

#endif
