/* Offsets for arena buffers: the largest first, each at the lowest offset where nothing that lives
 * at the same time stands in the way (greedy by size; within a few per cent of optimal on
 * networks).
 *
 * What stands in the way is asked of a segment tree over the instructions.  A node is a range of
 * them, and has two sets of bytes of the slab: those taken by buffers that live throughout its
 * range (of which each is entered in the few nodes that make up its lifetime), and those taken at
 * any time within it.  The sets are disjoint spans in order.  Small buffers fill up what large ones
 * leave, so that spans grow together and sets stay short: a buffer costs the depth of the tree,
 * however many live beside it. */
#include "base/cancel.h"
#include "base/sort.h"
#include "program/program.h"

#include <string.h>

struct span {
    uint64_t begin, end;
};
struct spans {
    struct span *v;
    size_t n, cap;
};
struct tree_node {
    struct spans throughout, sometime;
};
struct planner {
    struct arena *arena;
    struct tree_node *tree; /* tree[1] is the root, tree[n_leaves + i] instruction i */
    size_t n_leaves;
};

enum { PLACE_WORK = 500 }; /* for cancel_check */
/* A lifetime is made up of at most two nodes a level, and its ends have one ancestor each there. */
enum { MAX_LEVELS = 33, MAX_PARTS = 2 * MAX_LEVELS };

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

/* The first span that ends at or behind `at`. */
static size_t spans_find(const struct span *v, size_t n, uint64_t at)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (v[middle].end < at)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* `known` tells whether the set had all of it already. */
static anf_status spans_add(struct arena *arena, struct spans *s, struct span add, bool *known)
{
    const size_t at = spans_find(s->v, s->n, add.begin);
    size_t behind = at;
    *known = at < s->n && s->v[at].begin <= add.begin && s->v[at].end >= add.end;
    if (*known)
        return ANF_OK;
    for (; behind < s->n && s->v[behind].begin <= add.end; behind++) {
        add.begin = s->v[behind].begin < add.begin ? s->v[behind].begin : add.begin;
        add.end = s->v[behind].end > add.end ? s->v[behind].end : add.end;
    }
    if (s->n == s->cap && behind == at) {
        const size_t cap = s->cap ? 2 * s->cap : 4; /* one cache line */
        struct span *v = arena_alloc_array(arena, cap, sizeof *v);
        if (!v)
            return ANF_E_NOMEM;
        if (s->n)
            memcpy(v, s->v, s->n * sizeof *v);
        s->v = v;
        s->cap = cap;
    }
    memmove(s->v + at + 1, s->v + behind, (s->n - behind) * sizeof *s->v);
    s->v[at] = add;
    s->n = s->n - (behind - at) + 1;
    return ANF_OK;
}

/* The nodes that make up instructions first .. last. */
static int lifetime_parts(const struct planner *pl, const struct buffer *b, size_t *part)
{
    int n = 0;
    size_t from = pl->n_leaves + b->first, to = pl->n_leaves + b->last + 1;
    for (; from < to; from /= 2, to /= 2) {
        if (from & 1)
            part[n++] = from++;
        if (to & 1)
            part[n++] = --to;
    }
    return n;
}

static anf_status occupy(struct planner *pl, const struct buffer *b, struct span bytes)
{
    size_t part[MAX_PARTS];
    bool known;
    for (int n = lifetime_parts(pl, b, part); n-- > 0;) {
        TRY(spans_add(pl->arena, &pl->tree[part[n]].throughout, bytes, &known));
        /* What a node has at some time, all above it have: no need to go on where it is known. */
        known = false;
        for (size_t k = part[n]; k && !known; k /= 2)
            TRY(spans_add(pl->arena, &pl->tree[k].sometime, bytes, &known));
    }
    return ANF_OK;
}

/* The spans of some sets that are still ahead of an offset. */
struct ahead {
    const struct span *next[MAX_PARTS + 2 * MAX_LEVELS], *end[MAX_PARTS + 2 * MAX_LEVELS];
    int n;
};

static void ahead_add(struct ahead *a, const struct spans *s)
{
    if (s->n) {
        a->next[a->n] = s->v;
        a->end[a->n++] = s->v + s->n;
    }
}

/* The first offset from `at` on where set k leaves room for `size`. */
static uint64_t ahead_pass(struct ahead *a, int k, uint64_t at, uint64_t size)
{
    const struct span *s = a->next[k];
    if (s < a->end[k] && s->end <= at)
        s += spans_find(s, (size_t)(a->end[k] - s), at + 1);
    for (; s < a->end[k] && s->begin < at + size; s++)
        at = s->end;
    a->next[k] = s;
    return at;
}

static uint64_t lowest_free(const struct planner *pl, const struct buffer *b, uint64_t size)
{
    struct ahead taken;
    taken.n = 0; /* the rest is large, and filled in as far as it is used */
    size_t part[MAX_PARTS], first = pl->n_leaves + b->first, last = pl->n_leaves + b->last;
    for (int n = lifetime_parts(pl, b, part); n-- > 0;)
        ahead_add(&taken, &pl->tree[part[n]].sometime);
    /* Every other buffer of that time lives throughout a node above one of the two ends. */
    for (; first; first /= 2, last /= 2) {
        ahead_add(&taken, &pl->tree[first].throughout);
        if (last != first)
            ahead_add(&taken, &pl->tree[last].throughout);
    }
    uint64_t at = 0;
    for (int k = 0, agreed = 0; agreed < taken.n; k = k + 1 < taken.n ? k + 1 : 0) {
        const uint64_t next = ahead_pass(&taken, k, at, size);
        agreed = next == at ? agreed + 1 : 1;
        at = next;
    }
    return at;
}

static anf_status place(struct planner *pl, struct program *p, struct item *items, size_t n)
{
    pl->n_leaves = 1;
    while (pl->n_leaves < p->n_instrs)
        pl->n_leaves *= 2;
    pl->tree = arena_alloc_array(pl->arena, 2 * pl->n_leaves, sizeof *pl->tree);
    if (!pl->tree)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct buffer *b = &p->buffers[items[i].buf];
        b->offset = lowest_free(pl, b, items[i].size);
        const struct span bytes = {b->offset, b->offset + items[i].size};
        TRY(occupy(pl, b, bytes));
        if (bytes.end > p->arena_bytes)
            p->arena_bytes = bytes.end;
        TRY(cancel_check(PLACE_WORK));
    }
    return ANF_OK;
}

anf_status plan_memory(struct program *p)
{
    struct arena scratch;
    arena_init(&scratch, p->allocator);
    struct planner pl = {.arena = &scratch};
    struct item *items = arena_alloc_array(&scratch, p->n_buffers, sizeof *items);
    size_t n = 0;
    for (uint32_t i = 1; items && i < p->n_buffers; i++)
        if (p->buffers[i].kind == BUF_ARENA && p->buffers[i].first != UINT32_MAX)
            items[n++] = (struct item){i, size_round_up(p->buffers[i].n_bytes, ANF_CACHE_LINE)};
    sort_items(items, n, sizeof *items, by_size);
    p->arena_bytes = 0;
    anf_status st = items ? place(&pl, p, items, n) : ANF_E_NOMEM;
    arena_free(&scratch);
    return st;
}
