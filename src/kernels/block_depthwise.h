/* Depthwise convolutions whose rows are too short, or too far apart, for vectors of pixels: sixteen
 * planes at a time are the lanes.  Run as block_conv.h says, in phase 1 alone. */
#ifndef ANF_KERNELS_BLOCK_DEPTHWISE_H
#define ANF_KERNELS_BLOCK_DEPTHWISE_H

#include "kernels/block_conv.h"

/* Whether this is faster than what block_direct.h does. */
bool lanes_chosen(const struct conv_job *job);

size_t lanes_tasks(const struct conv_job *job);
size_t lanes_thread_bytes(const struct conv_job *job);
void lanes_task(const struct kern *kern, const struct conv_job *job, size_t task, void *own);

#endif
