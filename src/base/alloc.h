/* The only way to memory.  Every block is allocated and freed through the allocator of a context,
 * with its size given back on free, so that a test can make the k-th allocation fail and count
 * leaks. */
#ifndef ANF_BASE_ALLOC_H
#define ANF_BASE_ALLOC_H

#include "base/status.h"

#include <stddef.h>

/* malloc/free of libc behind the anf_allocator interface. */
extern const anf_allocator alloc_default;

/* NULL on failure or when n overflows; the message is then set. `align` is a power of two. */
void *mem_alloc(const anf_allocator *a, size_t n_bytes, size_t align);
void *mem_calloc(const anf_allocator *a, size_t count, size_t size);
void mem_free(const anf_allocator *a, void *p, size_t n_bytes);

/* Grow *p (count *cap of `size`-byte items) so that it holds at least `need` items; doubles. */
anf_status mem_grow(const anf_allocator *a, void **p, size_t *cap, size_t need, size_t size);

#define ANF_CACHE_LINE 64

/* a*b; false on overflow. */
static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

/* To a multiple of `to`.  Nothing looks for overflow: n is the size of something that is in memory,
 * or one that a check has bounded before. */
static inline size_t size_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
