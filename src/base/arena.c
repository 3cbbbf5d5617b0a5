/* Blocks are linked, the newest first, each as large as all before it together up to a limit: what
 * is small touches little memory, what is large lies in few pieces, which the allocator can put on
 * huge pages.  A request larger than the next block gets a block of its own, behind the one that is
 * being filled.  A debug build uses tiny blocks so that the growth path runs in every test. */
#include "base/arena.h"

#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t n_bytes;
};

#ifdef ANF_DEBUG
enum { FIRST_BLOCK_BYTES = 512, MOST_BLOCK_BYTES = 1024 };
#else
enum { FIRST_BLOCK_BYTES = 4096, MOST_BLOCK_BYTES = 16 << 20 };
#endif

static const size_t header_bytes =
    (sizeof(struct arena_block) + ANF_CACHE_LINE - 1) / ANF_CACHE_LINE * ANF_CACHE_LINE;

void arena_init(struct arena *a, const anf_allocator *allocator)
{
    *a = (struct arena){.allocator = allocator};
}

static void free_blocks(struct arena *a, struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        mem_free(a->allocator, b, b->n_bytes);
        b = next;
    }
}

void arena_free(struct arena *a)
{
    free_blocks(a, a->head);
    arena_init(a, a->allocator);
}

void arena_reset(struct arena *a)
{
    if (!a->head)
        return;
    free_blocks(a, a->head->next);
    a->head->next = NULL;
    a->used = header_bytes;
    a->total = a->head->n_bytes;
}

static struct arena_block *new_block(struct arena *a, size_t n_bytes)
{
    struct arena_block *b = mem_alloc(a->allocator, n_bytes, ANF_CACHE_LINE);
    if (b) {
        *b = (struct arena_block){.n_bytes = n_bytes};
        a->total += n_bytes;
    }
    return b;
}

/* For a request that is larger than a block: the head, if there is one, stays the head. */
static void *alloc_alone(struct arena *a, size_t need)
{
    struct arena_block *b = new_block(a, header_bytes + need);
    if (!b)
        return NULL;
    if (a->head) {
        b->next = a->head->next;
        a->head->next = b;
    } else {
        a->head = b;
        a->used = a->size = b->n_bytes;
    }
    return (char *)b + header_bytes;
}

static size_t next_block_bytes(const struct arena *a)
{
    if (a->total < FIRST_BLOCK_BYTES)
        return FIRST_BLOCK_BYTES;
    return a->total < MOST_BLOCK_BYTES ? a->total : MOST_BLOCK_BYTES;
}

static bool add_block(struct arena *a)
{
    struct arena_block *b = new_block(a, next_block_bytes(a));
    if (!b)
        return false;
    b->next = a->head;
    a->head = b;
    a->used = header_bytes;
    a->size = b->n_bytes;
    return true;
}

void *arena_alloc_raw(struct arena *a, size_t n_bytes)
{
    if (n_bytes > SIZE_MAX / 2) {
        status_fail(ANF_E_NOMEM, "out of memory: %zu bytes requested", n_bytes);
        return NULL;
    }
    const size_t need = size_round_up(n_bytes ? n_bytes : 1, ANF_CACHE_LINE);
    if (!a->head || a->size - a->used < need) {
        if (need > next_block_bytes(a) - header_bytes)
            return alloc_alone(a, need);
        if (!add_block(a))
            return NULL;
    }
    void *p = (char *)a->head + a->used;
    a->used += need;
    return p;
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
    void *p = arena_alloc_raw(a, n_bytes);
    if (p)
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
