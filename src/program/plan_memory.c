/* Offsets for arena buffers: the largest first, each at the lowest offset where nothing that lives
 * at the same time stands in the way (greedy by size; within a few per cent of optimal on
 * networks).
 *
 * O(n^2) in the number of arena buffers alive together would be slow for ten thousand
 * instructions, so the placed buffers are kept sorted by offset and the scan stops at the first
 * fitting gap; lifetimes are short in practice. */
#include "base/cancel.h"
#include "base/sort.h"
#include "program/program.h"

#include <string.h>

struct item {
    uint32_t buf;
    uint64_t size;
};

static int by_size(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static bool overlap_in_time(const struct buffer *a, const struct buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

anf_status plan_memory(struct program *p)
{
    struct arena scratch;
    arena_init(&scratch, p->allocator);
    struct item *items = arena_alloc_array(&scratch, p->n_buffers, sizeof *items);
    uint32_t *placed = arena_alloc_array(&scratch, p->n_buffers, sizeof *placed);
    if (!items || !placed) {
        arena_free(&scratch);
        return ANF_E_NOMEM;
    }
    size_t n = 0, n_placed = 0;
    for (uint32_t i = 1; i < p->n_buffers; i++)
        if (p->buffers[i].kind == BUF_ARENA && p->buffers[i].first != UINT32_MAX)
            items[n++] = (struct item){i, size_round_up(p->buffers[i].n_bytes, ANF_CACHE_LINE)};
    sort_items(items, n, sizeof *items, by_size);
    p->arena_bytes = 0;
    anf_status st = ANF_OK;
    for (size_t i = 0; i < n && st == ANF_OK; i++) {
        struct buffer *b = &p->buffers[items[i].buf];
        uint64_t at = 0;
        size_t where = 0;
        for (size_t j = 0; j < n_placed; j++) {
            const struct buffer *q = &p->buffers[placed[j]];
            if (!overlap_in_time(b, q))
                continue;
            if (q->offset >= at + items[i].size)
                break;
            uint64_t end = q->offset + size_round_up(q->n_bytes, ANF_CACHE_LINE);
            if (end > at)
                at = end;
        }
        b->offset = at;
        while (where < n_placed && p->buffers[placed[where]].offset <= at)
            where++;
        memmove(placed + where + 1, placed + where, (n_placed - where) * sizeof *placed);
        placed[where] = items[i].buf;
        n_placed++;
        if (at + items[i].size > p->arena_bytes)
            p->arena_bytes = at + items[i].size;
        st = cancel_check(n_placed);
    }
    arena_free(&scratch);
    return st;
}
