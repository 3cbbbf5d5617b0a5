/* The one file that calls malloc and free: all else goes through an anf_allocator, which has the
 * size of a block given back when it is freed.  Where something fails the message is set, and what
 * there was is as it was before. */
#define _DEFAULT_SOURCE /* madvise */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

/* Weights are read from end to end in every run: small pages cost a table walk every 4 KiB, and the
 * prefetcher stops at each of their ends. */
enum { HUGE_PAGE = 2 << 20 };

static void *default_alloc(void *user, size_t n, size_t align)
{
    (void)user;
    void *p = NULL;
    size_t huge = 0; /* bytes in huge pages: the last one if most of it is needed */
    if (n >= HUGE_PAGE && n <= SIZE_MAX / 2) {
        huge = (n + HUGE_PAGE / 2) / HUGE_PAGE * HUGE_PAGE;
        n = n < huge ? huge : n;
        align = align < HUGE_PAGE ? HUGE_PAGE : align;
    } else if (align <= sizeof(void *) * 2) {
        return malloc(n ? n : 1);
    }
    if (posix_memalign(&p, align, n ? n : 1) != 0)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (huge)
        (void)madvise(p, huge, MADV_HUGEPAGE); /* where it fails, small pages */
#endif
    return p;
}

static void default_free(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}

const anf_allocator alloc_default = {NULL, default_alloc, default_free};

void *mem_alloc(const anf_allocator *a, size_t n_bytes, size_t align)
{
    void *p = a->alloc(a->user, n_bytes, align);
    if (!p)
        status_fail(ANF_E_NOMEM, "out of memory: %zu bytes could not be allocated", n_bytes);
    return p;
}

void *mem_calloc(const anf_allocator *a, size_t count, size_t size)
{
    size_t n;
    if (!size_mul(count, size, &n)) {
        status_fail(ANF_E_NOMEM, "out of memory: %zu items of %zu bytes overflow", count, size);
        return NULL;
    }
    void *p = mem_alloc(a, n, 16);
    if (p)
        memset(p, 0, n);
    return p;
}

void mem_free(const anf_allocator *a, void *p, size_t n_bytes)
{
    if (p)
        a->free(a->user, p, n_bytes);
}

anf_status mem_grow(const anf_allocator *a, void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return ANF_OK;
    size_t n = *cap ? *cap : 8, bytes;
    while (n < need) {
        if (n > SIZE_MAX / 2)
            FAIL(NOMEM, "out of memory: %zu items overflow", need);
        n *= 2;
    }
    if (!size_mul(n, size, &bytes))
        FAIL(NOMEM, "out of memory: %zu items of %zu bytes overflow", n, size);
    void *q = mem_alloc(a, bytes, 16);
    if (!q)
        return ANF_E_NOMEM;
    if (*cap)
        memcpy(q, *p, *cap * size);
    mem_free(a, *p, *cap * size);
    *p = q;
    *cap = n;
    return ANF_OK;
}
