/* Batched matrix multiplication over the kernel table.
 *
 *     c[z][i][j] = round(chain over k ascending of fma(a[z][i][k], b[z][k][j], s) + bias[j])
 *
 * where b is the float32 value of an encoded weight, except that int8 weights enter as integers and
 * the whole chain is multiplied by the scale of the column, before the bias.
 *
 * How a driver of this family (gemm, conv, attention) is run:
 *
 *     for phase in 0 .. xxx_PHASES-1:
 *         for every task < xxx_tasks(kern, job, phase), in any order and on any thread:
 *             xxx_task(kern, job, phase, task, shared, own)
 *         barrier
 *
 * `own` is xxx_thread_bytes of scratch that belongs to the calling thread, `shared` is
 * xxx_shared_bytes of scratch for all of them (NULL where that is 0), both aligned to 64 bytes,
 * both without contents that outlive a task (own) or the job (shared).  job.n_threads only
 * chooses how the work is cut; it must be the same in all calls for one job, and no result
 * depends on it. */
#ifndef ANF_KERNELS_BLOCK_GEMM_H
#define ANF_KERNELS_BLOCK_GEMM_H

#include "kernels/kern.h"
#include "kernels/weight_panels.h"

/* Called for finished runs of the output that are still in cache: elements offset .. offset + n
 * - 1 of the dense output tensor, contiguous in memory too.  May be called from several threads
 * at once, for disjoint runs that together are the whole output. */
typedef void block_epilogue_fn(void *arg, size_t offset, size_t n);

enum gemm_b {
    GEMM_B_PACKED, /* binary16 panels made by gemm_pack_weights; the same for the whole batch */
    GEMM_B_ROWS,   /* [k][n] */
    GEMM_B_COLS,   /* [n][k]: B transposed */
    GEMM_B_INT8,   /* encoded panels of weight_panels.h, the same for the whole batch */
    GEMM_B_INT4,
    GEMM_B_SPARSE,
    GEMM_B_BLOCKWISE,
    GEMM_B_LISTS, /* for m = 1 only */
    GEMM_B_SPARSE_T,
    GEMM_B_COUNT
};

/* WEIGHT_F16 for what is no encoded weight. */
static inline enum weight_encoding gemm_b_encoding(enum gemm_b kind)
{
    static const uint8_t encoding[GEMM_B_COUNT] = {
        [GEMM_B_INT8] = WEIGHT_INT8, [GEMM_B_INT4] = WEIGHT_INT4,
        [GEMM_B_SPARSE] = WEIGHT_SPARSE, [GEMM_B_BLOCKWISE] = WEIGHT_BLOCKWISE,
        [GEMM_B_LISTS] = WEIGHT_LISTS, [GEMM_B_SPARSE_T] = WEIGHT_SPARSE_T};
    return (enum weight_encoding)encoding[kind];
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
    size_t n_threads;      /* 0 means 1 */
};

enum { GEMM_PHASES = 1 };

size_t gemm_tasks(const struct kern *kern, const struct gemm_job *job, size_t phase);
size_t gemm_thread_bytes(const struct kern *kern, const struct gemm_job *job);
size_t gemm_shared_bytes(const struct kern *kern, const struct gemm_job *job);
/* `kept` says which packed rows `own` holds: 0 in the first task of the job on a thread, and what
 * the task before left there, with the contents of `own`, in the others.  So a job can be cut into
 * more tasks than threads without packing more. */
void gemm_task(const struct kern *kern, const struct gemm_job *job, size_t phase, size_t task,
               void *shared, void *own, size_t *kept);

/* Constant weights w [k][n] (or [n][k] if transposed) to panels [ceil(n/16)][k][16], the layout
 * that saved models hold. */
size_t gemm_packed_size(size_t k, size_t n);
void gemm_pack_weights(const f16 *w, size_t k, size_t n, bool transposed, f16 *panels);

/* ---- shared by the drivers ------------------------------------------------------------------- */
/* Cut of a rectangle of rows x cols units into n_rows x n_cols tasks. */
struct block_grid {
    size_t n_rows, n_cols;
};

/* The cut of at most n_threads parts with the smallest largest part.  A part of R x C units
 * costs 8*R*C, and besides row_cost for each of its rows and col_cost for each of its columns
 * (the packing that every part does for itself).  Where columns are cut, every part reads rows
 * that other cores have written, which costs as much again. */
struct block_grid block_grid(size_t rows, size_t cols, size_t n_threads, size_t row_cost,
                             size_t col_cost);

enum { BLOCK_FINE = 4 }; /* parts that are asked for, for each thread */
/* The same in twice, four times, ... as many parts but no more than most_parts, so that a thread
 * that falls behind is helped by the others, as long as the packing that is repeated for it stays
 * below 1/32 of the multiplications. */
struct block_grid block_grid_fine(size_t rows, size_t cols, size_t n_threads, size_t row_cost,
                                  size_t col_cost, size_t most_parts);

/* Threads for each of n equal independent jobs so that n * result parts keep all of them busy. */
size_t block_threads(size_t n, size_t n_threads);

/* Where part `i` of n parts of `total` units begins; part i ends where i + 1 begins. */
static inline size_t block_start(size_t total, size_t n, size_t i)
{
    return total / n * i + (i < total % n ? i : total % n);
}

/* The largest part when `total` units are cut evenly into parts of at most `most`. */
static inline size_t block_even(size_t total, size_t most)
{
    size_t parts = (total + most - 1) / most;
    return parts ? (total + parts - 1) / parts : 0;
}

static inline size_t block_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `count` floats of scratch from *at, which stays aligned to 64 bytes. */
static inline float *block_floats(float **at, size_t count)
{
    float *p = *at;
    *at += (count + 15) / 16 * 16;
    return p;
}

/* Asks for part `part` of `parts` of the next slice of packed weights: kc rows of n_panels
 * panels that lie `stride` elements apart.  Slices are short and far from each other, so that
 * the hardware would meet each of them with a miss; the parts are spread over the multiplication
 * before. */
static inline void block_prefetch(const f16 *from, size_t stride, size_t n_panels, size_t kc,
                                  size_t part, size_t parts)
{
    const size_t lines = (kc * ANF_PANEL + 31) / 32;
    size_t at = block_start(n_panels * lines, parts, part);
    const size_t end = block_start(n_panels * lines, parts, part + 1);
    for (size_t v = lines ? at / lines : 0; at < end; v++)
        for (size_t line = at - v * lines; line < lines && at < end; line++, at++)
            __builtin_prefetch(from + v * stride + line * 32);
}

/* Elements of every row of the next slice of weights that each of so many strips asks for. */
static inline size_t block_share(size_t width, size_t strips)
{
    return (width + strips - 1) / strips;
}

/* What a strip asks for in its tile: its share of the slice of weights that is multiplied next, kc
 * rows of `width` elements in panels that lie `stride` elements apart. */
static inline struct gemm_ahead block_ahead(const f16 *next, size_t stride, size_t width, size_t kc,
                                            size_t strip, size_t share)
{
    if (strip * share >= width)
        return (struct gemm_ahead){next, stride, 0}; /* all of it was asked for */
    return (struct gemm_ahead){next + strip * share * kc, stride, share};
}

/* n finished float32 sums to binary16, with a run of biases or without (NULL). */
static inline void block_store_run(const struct kern *kern, const float *s, const f16 *bias, f16 *y,
                                   size_t n)
{
    if (bias)
        kern->add_bias_run(s, bias, y, n);
    else
        kern->f16_from_f32(s, y, n);
}

#endif
