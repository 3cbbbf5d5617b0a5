/* Convolution by Winograd's F(4x4, 3x3), see winograd.h for the arithmetic.  Run as block_gemm.h
 * says, by the functions of block_conv.h for a job of which `winograd` is set. */
#ifndef ANF_KERNELS_BLOCK_WINOGRAD_H
#define ANF_KERNELS_BLOCK_WINOGRAD_H

#include "kernels/block_conv.h"

size_t winograd_tasks(const struct kern *kern, const struct conv_job *job, size_t phase);
size_t winograd_thread_bytes(const struct kern *kern, const struct conv_job *job);
size_t winograd_shared_bytes(const struct kern *kern, const struct conv_job *job);
void winograd_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
                   void *shared, void *own);

#endif
