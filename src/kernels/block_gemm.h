/* Batched matrix multiplication over the kernel table.
 *
 *     c[z][i][j] = round(chain over k ascending of fma(a[z][i][k], b[z][k][j], s) + bias[j])
 *
 * where b is the float32 value of an encoded weight, except that int8 weights enter as integers and
 * the whole chain is multiplied by the scale of the column, before the bias.
 * Run as block.h says. */
#ifndef ANF_KERNELS_BLOCK_GEMM_H
#define ANF_KERNELS_BLOCK_GEMM_H

#include "kernels/block.h"
#include "kernels/weight_panels.h"

/* What B is: kind, the encoding of a constant weight or F16, its name in a program's text.
 *     PACKED                 binary16 panels made by gemm_pack_weights
 *     ROWS, COLS             [k][n]; [n][k], B transposed
 *     INT8 and the others    encoded panels of weight_panels.h; LISTS for m = 1 only
 * Constant weights are the same for the whole batch. */
#define GEMM_KINDS(X)                                                                              \
    X(PACKED, F16, "panels") X(ROWS, F16, "rows") X(COLS, F16, "columns") X(INT8, INT8, "int8")    \
    X(INT4, INT4, "int4") X(SPARSE, SPARSE, "sparse") X(BLOCKWISE, BLOCKWISE, "blockwise")         \
    X(LISTS, LISTS, "lists") X(SPARSE_T, SPARSE_T, "sparse_t")
enum gemm_b {
#define X(kind, encoding, text) GEMM_B_##kind,
    GEMM_KINDS(X)
#undef X
    GEMM_B_COUNT
};

static inline enum weight_encoding gemm_b_encoding(enum gemm_b kind)
{
    static const uint8_t encodings[GEMM_B_COUNT] = {
#define X(kind, encoding, text) WEIGHT_##encoding,
        GEMM_KINDS(X)
#undef X
    };
    return (enum weight_encoding)encodings[kind];
}

struct gemm_job {
    size_t batch, m, n, k;
    const f16 *a;
    size_t a_batch, a_row; /* strides */
    const f16 *b;
    size_t b_batch, b_row; /* strides of GEMM_B_ROWS and GEMM_B_COLS */
    enum gemm_b b_kind;
    const void *b_side;    /* side array of encoded weights */
    size_t b_block;        /* of GEMM_B_BLOCKWISE */
    const f16 *bias;       /* [n], or NULL */
    f16 *c;
    size_t c_batch, c_row;
    block_epilogue_fn *epilogue; /* or NULL */
    void *epilogue_arg;
    size_t n_threads;
};

size_t gemm_tasks(const struct kern *kern, const struct gemm_job *job);
size_t gemm_thread_bytes(const struct kern *kern, const struct gemm_job *job);
/* `kept` says which packed rows `own` holds: 0 in the first task of the job on a thread, and what
 * the task before left there, with the contents of `own`, in the others.  So a job can be cut into
 * more tasks than threads without packing more. */
void gemm_task(const struct kern *kern, const struct gemm_job *job, size_t task, void *own,
               size_t *kept);

/* Constant weights w [k][n] (or [n][k] if transposed) to panels [ceil(n/16)][k][16], the layout
 * that saved models hold. */
size_t gemm_packed_size(size_t k, size_t n);
void gemm_pack_weights(const f16 *w, size_t k, size_t n, bool transposed, f16 *panels);

#endif
