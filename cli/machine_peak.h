/* What the processor gives at best: multiply-adds on registers alone, and reads of memory.
 *
 * These are the two lines of a roofline.  Both are rates of one moment, and the machine may be
 * shared: callers measure beside what they compare, several times, and keep the best. */
#ifndef ANF_CLI_MACHINE_PEAK_H
#define ANF_CLI_MACHINE_PEAK_H

#include <stdbool.h>
#include <stddef.h>

/* Does something many times; returns how many operations that was. */
typedef double rate_loop(long steps);

/* Multiply-adds, of which each is two operations, in the vectors of one kernel set.  The loop for a
 * kernel set ("avx2", ...), or for the widest vectors of this CPU (NULL).  "ref" has what the
 * compiler makes of plain C. */
rate_loop *peak_loop(const char *isa);

/* Instructions that do nothing: as many as the processor can begin.  A program that runs on the
 * same physical core takes half of these, but may leave most multiply-adds. */
rate_loop peak_issue;

/* Operations a second of `threads` threads that start together, in a run of some milliseconds or
 * less, each on a processor of its own where the system lets a program say so and has as many; 0 if
 * the threads could not be had.  The calling thread may run where it could before. */
double peak_rate(rate_loop *loop, int threads);

/* A block of at least one byte, split between the threads, which read it in eight streams each. */
struct peak_memory {
    unsigned char *data;
    size_t bytes;
    int threads;
};
bool peak_memory_new(struct peak_memory *m, size_t bytes, int threads); /* false: out of memory */
void peak_memory_free(struct peak_memory *m);

/* Bytes a second, in one pass over a large block or as many over a small one as read 64 MiB. */
double peak_read(const struct peak_memory *m);

#endif
