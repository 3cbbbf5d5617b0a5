/* What the drivers of gemm, convolution, attention and pools have in common.
 *
 * A driver cuts a job into tasks, which run in any order and on any threads:
 *
 *     for every task < xxx_tasks(kern, job):
 *         xxx_task(kern, job, task, own)
 *
 * `own` is xxx_thread_bytes of scratch of the calling thread, aligned to 64 bytes, without contents
 * that outlive a task, but for what a driver says of `kept`.  job.n_threads, at least 1, only
 * chooses how the work is cut; it must be the same in all calls for one job, and no result depends
 * on it.  What block_conv.h has besides, it tells. */
#ifndef ANF_KERNELS_BLOCK_H
#define ANF_KERNELS_BLOCK_H

#include "kernels/kern.h"

/* Called for finished runs of the output that are still in cache: elements offset .. offset + n
 * - 1 of the dense output tensor, contiguous in memory too.  May be called from several threads
 * at once, for disjoint runs that together are the whole output. */
typedef void block_epilogue_fn(void *arg, size_t offset, size_t n);

/* Cut of a rectangle of rows x cols units into n_rows x n_cols tasks. */
struct block_grid {
    size_t n_rows, n_cols;
};

/* The cut of at most n_threads parts with the smallest largest part.  A part of R x C units
 * costs 8*R*C, and besides row_cost for each of its rows and col_cost for each of its columns
 * (the packing that every part does for itself).  Where columns are cut, every part reads rows
 * that other cores have written: 8 more for each. */
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

/* Scratch of `count` arrays of n[i] floats, one after the other, each aligned to 64 bytes: the
 * bytes of all, and where they begin in `own`. */
static inline size_t block_bytes(size_t count, const size_t *n)
{
    size_t floats = 0;
    for (size_t i = 0; i < count; i++)
        floats += (n[i] + 15) / 16 * 16;
    return floats * sizeof(float);
}

static inline void block_lay(size_t count, const size_t *n, void *own, float **at)
{
    for (size_t i = 0; i < count; i++)
        at[i] = (float *)own + block_bytes(i, n) / sizeof(float);
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

#endif
