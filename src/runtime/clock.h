/* Monotonic time, for spinning, profiling and benchmarks. */
#ifndef ANF_RUNTIME_CLOCK_H
#define ANF_RUNTIME_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary moment; never goes back. */
uint64_t clock_ns(void);

#endif
