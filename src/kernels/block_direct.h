/* Convolutions of few taps, whose input is read where it lies in patches instead of being gathered:
 * depthwise ones, narrow groups, and the first layer of a network with its few input channels.  Run
 * as block_conv.h says, in phase 1 alone. */
#ifndef ANF_KERNELS_BLOCK_DIRECT_H
#define ANF_KERNELS_BLOCK_DIRECT_H

#include "kernels/block_conv.h"

/* Whether this is faster than gathering. */
bool direct_chosen(const struct conv_job *job);

size_t direct_tasks(const struct conv_job *job);
size_t direct_thread_bytes(const struct conv_job *job);
void direct_task(const struct kern *kern, const struct conv_job *job, size_t task, void *own);

#endif
