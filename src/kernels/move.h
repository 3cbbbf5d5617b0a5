/* Strided copies of binary16 tensors: what transpose, slice, concat, expand, upsample and pixel
 * shuffle come down to.  Names no instruction set; the one inner loop that profits from one goes
 * through the transpose slot of the kernel table. */
#ifndef ANF_KERNELS_MOVE_H
#define ANF_KERNELS_MOVE_H

#include "kernels/kern.h"

enum { MOVE_MAX_RANK = 8 };

/* dst[sum i_d dst_stride[d]] = src[sum i_d src_stride[d]] for all 0 <= i_d < dims[d].  Strides are
 * in elements and may be negative; a source stride of 0 repeats.  Destinations of different indices
 * differ, and the two buffers do not overlap. */
struct move_geom {
    int rank; /* 0: one element */
    size_t dims[MOVE_MAX_RANK];
    ptrdiff_t src_stride[MOVE_MAX_RANK], dst_stride[MOVE_MAX_RANK];
};

/* Rewrite to the equivalent geometry move_task expects: no dimension of size 1, dimensions ordered
 * by falling destination stride, neighbours that are contiguous in both buffers merged, and an
 * inner pair that is a matrix transpose put last.  Done once, at compile time; doing it twice
 * changes nothing. */
void move_prepare(struct move_geom *g);

/* How many tasks, at most n_threads and at least 1, are worth starting for a prepared geometry. */
size_t move_tasks(const struct move_geom *g, size_t n_threads);

/* Share `task` of `n_tasks` of a prepared geometry.  Any n_tasks >= 1 gives the same result. */
void move_task(const struct kern *k, const struct move_geom *g, const f16 *src, f16 *dst,
               size_t task, size_t n_tasks);

#endif
