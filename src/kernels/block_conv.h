/* Convolution (grouped, dilated, strided, transposed, depthwise) over the kernel table.
 *
 *     y[i][c][p] = round(chain over k ascending of fma(w[c][k], tap k of pixel p, s) + bias[c])
 *
 * k = (input channel of the group, kernel row, kernel column), see struct conv_geom.  Run as
 * block.h says, in two phases with a barrier between them:
 *
 *     for phase in 0 .. CONV_PHASES-1:
 *         for every task < conv_tasks(kern, job, phase):
 *             conv_task(kern, job, phase, task, shared, own, kept)
 *
 * `shared` is conv_shared_bytes of scratch for all threads, aligned to 64 bytes (NULL where that is
 * 0), without contents that outlive the job.
 *
 * A transposed convolution with stride s, padding p, dilation d and kernel n is the same sum over
 * an input with s - 1 gaps between its rows and columns, of which no tap is part:
 *     stride = 1, up = s, dil = d, pad = d*(n - 1) - p (may be negative), kernels turned by 180
 * degrees, and the output size of the transposed operator; conv_pack_weights turns the kernels. */
#ifndef ANF_KERNELS_BLOCK_CONV_H
#define ANF_KERNELS_BLOCK_CONV_H

#include "kernels/block.h"

struct conv_job {
    size_t images, groups, cout;  /* cout: output channels of one group */
    struct conv_geom geom;        /* of one image and group */
    const f16 *x;                 /* [images][groups*cin][in_h][in_w] */
    bool winograd;                /* see winograd.h; groups = 1, up = 1 */
    size_t up;                    /* 1; the stride of a transposed convolution, whose geom has
                                     stride 1 and counts gaps as rows and columns of the input */
    const f16 *weights;           /* made by conv_pack_weights */
    const f16 *bias;              /* [groups*cout], or NULL */
    f16 *y;                       /* [images][groups*cout][out_h][out_w] */
    block_epilogue_fn *epilogue;  /* or NULL */
    void *epilogue_arg;
    bool relu;                    /* the epilogue is the micro-op relu: it need not be called where
                                     results are made so while they are rounded */
    size_t n_threads;
};

enum { CONV_PHASES = 2 };

size_t conv_tasks(const struct kern *kern, const struct conv_job *job, size_t phase);
size_t conv_thread_bytes(const struct kern *kern, const struct conv_job *job);
size_t conv_shared_bytes(const struct kern *kern, const struct conv_job *job);
/* `kept` is as of gemm_task, for weights that are widened once. */
void conv_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
               void *shared, void *own, size_t *kept);

static inline bool conv_depthwise(const struct conv_geom *geom, size_t cout)
{
    return geom->cin == 1 && cout == 1;
}

enum conv_weights {
    CONV_WEIGHTS,            /* [groups*cout][cin][kh][kw] */
    CONV_WEIGHTS_TRANSPOSED, /* [groups*cin][cout][kh][kw], kernels to be turned */
};

/* Packed: per group panels [ceil(cout/16)][cin*kh*kw][16]; depthwise (cin = cout = 1): one filter
 * [kh*kw] after the other.  With up > 1 the taps (u, v) of equal (u % step, v % step) are a kernel
 * of their own, one such set of panels after the other, where step = conv_tap_step(up, dilation):
 * those are the taps that meet.  Sizes in elements. */
size_t conv_tap_step(size_t up, size_t dilation);
size_t conv_packed_size(const struct conv_geom *geom, size_t groups, size_t cout);
void conv_pack_weights(const struct conv_geom *geom, size_t groups, size_t cout,
                       enum conv_weights kind, size_t tap_step, const f16 *w, f16 *packed);

#endif
