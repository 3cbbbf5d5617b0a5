/* Transposed convolution with a stride, up > 1 of a conv_job.  Run as block_gemm.h says, by the
 * functions of block_conv.h.
 *
 * Output pixel o of an axis meets the taps v for which o - pad + v*dil is a multiple of `up`: the
 * gaps of the input between its rows and columns have no tap.  Those are the same for all pixels
 * with one o % up, and next to each other in steps of conv_tap_step.  So it is up * up ordinary
 * convolutions with smaller kernels, and their outputs are woven together.  A pixel without any tap
 * is its bias. */
#ifndef ANF_KERNELS_BLOCK_TRANSPOSED_H
#define ANF_KERNELS_BLOCK_TRANSPOSED_H

#include "kernels/block_conv.h"

size_t transposed_tasks(const struct kern *kern, const struct conv_job *job, size_t phase);
size_t transposed_thread_bytes(const struct kern *kern, const struct conv_job *job);
size_t transposed_shared_bytes(const struct kern *kern, const struct conv_job *job);
void transposed_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
                     void *shared, void *own);

#endif
