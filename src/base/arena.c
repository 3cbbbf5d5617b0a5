/* Blocks are linked, the newest first, and every block is as large as all before it together, up to
 * a limit: what a large arena holds lies in few pieces, which the allocator can put on huge pages,
 * and a small arena stays small.  A request larger than that gets a block of its own.  A debug
 * build begins with tiny blocks so that the growth path runs in every test. */
#include "base/arena.h"

#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t n_bytes;
};

enum {
#ifdef ANF_DEBUG
    FIRST_BLOCK_BYTES = 512,
#else
    FIRST_BLOCK_BYTES = 32 * 1024,
#endif
    LARGEST_BLOCK_BYTES = 16 << 20,
};

void arena_init(struct arena *a, const anf_allocator *allocator)
{
    *a = (struct arena){.allocator = allocator};
}

void arena_free(struct arena *a)
{
    struct arena_block *b = a->head;
    while (b) {
        struct arena_block *next = b->next;
        mem_free(a->allocator, b, b->n_bytes);
        b = next;
    }
    arena_init(a, a->allocator);
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
    size_t header = size_round_up(sizeof(struct arena_block), ANF_CACHE_LINE);
    if (n_bytes > SIZE_MAX / 2) {
        status_fail(ANF_E_NOMEM, "out of memory: %zu bytes requested", n_bytes);
        return NULL;
    }
    size_t need = size_round_up(n_bytes ? n_bytes : 1, ANF_CACHE_LINE);
    if (!a->head || a->size - a->used < need) {
        size_t size = a->total < FIRST_BLOCK_BYTES     ? FIRST_BLOCK_BYTES
                      : a->total < LARGEST_BLOCK_BYTES ? a->total
                                                       : LARGEST_BLOCK_BYTES;
        if (size < header + need)
            size = header + need;
        struct arena_block *b = mem_alloc(a->allocator, size, ANF_CACHE_LINE);
        if (!b)
            return NULL;
        b->next = a->head;
        b->n_bytes = size;
        a->head = b;
        a->used = header;
        a->size = size;
        a->total += size;
    }
    void *p = (char *)a->head + a->used;
    a->used += need;
    memset(p, 0, n_bytes);
    return p;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (!size_mul(count, size, &n)) {
        status_fail(ANF_E_NOMEM, "out of memory: %zu items of %zu bytes overflow", count, size);
        return NULL;
    }
    return arena_alloc(a, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (p)
        memcpy(p, s, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}
