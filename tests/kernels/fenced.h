/* Memory with a fence behind it.
 *
 * A block ends where a page begins that nobody may touch, so a kernel that reads or writes past an
 * operand, if only by one element, stops there without a sanitizer.  Kernel tests take all their
 * operands from here.  A block is as aligned as its size is, which is what operands are.
 *
 * With the address sanitizer blocks are those of the heap, which have fences on both sides. */
#ifndef ANF_TESTS_FENCED_H
#define ANF_TESTS_FENCED_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FENCED_BY_SANITIZER 1
#elif defined(__has_feature)
#define FENCED_BY_SANITIZER __has_feature(address_sanitizer)
#else
#define FENCED_BY_SANITIZER 0
#endif

/* Where the fence of n bytes is: behind whole pages, which begin with this number. */
static inline size_t fence_at(size_t n, size_t page)
{
    return FENCED_BY_SANITIZER ? n : (sizeof(size_t) + n + page - 1) / page * page;
}

/* n bytes of zeros, which unfence gives back; ends the program where there is no memory. */
static inline void *fenced(size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), fence = fence_at(n, page);
    void *block = NULL;
    if (posix_memalign(&block, page, fence + (FENCED_BY_SANITIZER ? n == 0 : page)) != 0)
        abort();
    memset(block, 0, fence);
    if (FENCED_BY_SANITIZER)
        return block;
    memcpy(block, &fence, sizeof fence);
    if (mprotect((char *)block + fence, page, PROT_NONE) != 0)
        abort();
    return (char *)block + fence - n;
}

static inline void unfence(void *block)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), into = (uintptr_t)block % page;
    char *start = block;
    size_t fence;
    if (block && !FENCED_BY_SANITIZER) {
        /* The first page may hold no byte of the block. */
        start -= into < sizeof fence ? into + page : into;
        memcpy(&fence, start, sizeof fence);
        if (mprotect(start + fence, page, PROT_READ | PROT_WRITE) != 0)
            abort();
    }
    free(start);
}

#endif
