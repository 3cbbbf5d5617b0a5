/* Pooling of planes over the kernel table, maxima or means of windows (kern.h).  Run as block.h
 * says. */
#ifndef ANF_KERNELS_BLOCK_POOL_H
#define ANF_KERNELS_BLOCK_POOL_H

#include "kernels/block.h"

struct pool_job {
    struct conv_geom geom; /* of a plane; one stride and one pad for both axes */
    size_t planes;
    bool mean; /* or maxima */
    const f16 *x;
    f16 *y;
    size_t n_threads;
};

/* In row operations on as many elements: what the job takes, about. */
size_t pool_work(const struct pool_job *job);

size_t pool_tasks(const struct kern *kern, const struct pool_job *job);
size_t pool_thread_bytes(const struct kern *kern, const struct pool_job *job);
void pool_task(const struct kern *kern, const struct pool_job *job, size_t task, void *own);

#endif
