/* The few questions asked of the operating system. */
#ifndef ANF_RUNTIME_OS_H
#define ANF_RUNTIME_OS_H

#include "base/status.h"

/* CPUs this process may run on, at least 1. */
int os_cpu_count(void);

/* A file mapped read-only. Closed by os_unmap. */
struct os_map {
    const void *data;
    size_t n_bytes;
};
anf_status os_map_file(const char *path, struct os_map *out);
void os_unmap(struct os_map *m);

#endif
