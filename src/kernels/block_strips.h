/* Convolutions whose input is read where it lies: strips of a few neighbouring pixels of an output
 * row are the rows of the register tile, channels lie along its vectors.  Run as block_conv.h says,
 * in phase 1 alone. */
#ifndef ANF_KERNELS_BLOCK_STRIPS_H
#define ANF_KERNELS_BLOCK_STRIPS_H

#include "kernels/block_conv.h"

/* Whether this is faster than gathering. */
bool strips_chosen(const struct kern *kern, const struct conv_job *job);

size_t strips_tasks(const struct kern *kern, const struct conv_job *job);
size_t strips_thread_bytes(const struct kern *kern, const struct conv_job *job);
void strips_task(const struct kern *kern, const struct conv_job *job, size_t task, void *own);

#endif
