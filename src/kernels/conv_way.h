/* The ways to compute a convolution, one file each, and what they share.  All of them give the same
 * bits where more than one could be taken, as fma(a, b, s) is fma(b, a, s), but Winograd's, which
 * the shape alone chooses. */
#ifndef ANF_KERNELS_CONV_WAY_H
#define ANF_KERNELS_CONV_WAY_H

#include "kernels/block_conv.h"

/* One call of a task.  `shared` and `kept` are those of conv_task. */
struct conv_run {
    size_t task;
    void *shared, *own;
    size_t *kept;
};

/* Jobs have images, groups, channels and pixels of the output. */
struct conv_way {
    /* Whether the job goes this way, of those behind it in the table of block_conv.c. */
    bool (*chosen)(const struct kern *kern, const struct conv_job *job);
    size_t (*tasks)(const struct kern *kern, const struct conv_job *job);
    void (*run)(const struct kern *kern, const struct conv_job *job, const struct conv_run *run);
    size_t (*thread_bytes)(const struct kern *kern, const struct conv_job *job);
    /* Of phase 0, and what it leaves in shared memory for phase 1; all NULL without one. */
    size_t (*prepare_tasks)(const struct kern *kern, const struct conv_job *job);
    void (*prepare)(const struct kern *kern, const struct conv_job *job,
                    const struct conv_run *run);
    size_t (*shared_bytes)(const struct kern *kern, const struct conv_job *job);
};

extern const struct conv_way conv_winograd, conv_transposed, conv_lanes, conv_direct, conv_strips,
    conv_gathered;

enum { CONV_SMALL = 1 << 17 }; /* multiply-adds not worth a second thread */

/* Where output channel `channel` of a group begins, at pixel p. */
static inline f16 *conv_output(const struct conv_job *job, size_t image, size_t group,
                               size_t channel, size_t p)
{
    const size_t pixels = job->geom.out_h * job->geom.out_w;
    return job->y + ((image * job->groups + group) * job->cout + channel) * pixels + p;
}

/* Pixels p0 .. p0+n-1 of planes plane .. plane+n_planes-1 of the output, [images][groups*cout], are
 * complete: hands them on to the epilogue, unless it is done. */
void conv_hand_on(const struct conv_job *job, size_t plane, size_t n_planes, size_t p0, size_t n);

/* Lanes that the pixels of an image fill where they lie along the vectors and one tap meets all of
 * them.  Up to twelve that are left over are better off as rows of a tile. */
static inline size_t conv_gathered_lanes(size_t pixels)
{
    const size_t over = pixels % ANF_PANEL;
    return over > 12 ? pixels - over + ANF_PANEL : pixels;
}

#endif
