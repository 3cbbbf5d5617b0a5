/* Bump allocator: a graph and a compile each own one; nothing in it is freed alone. */
#ifndef ANF_BASE_ARENA_H
#define ANF_BASE_ARENA_H

#include "base/alloc.h"

struct arena_block;

struct arena {
    const anf_allocator *allocator;
    struct arena_block *head;
    size_t used, size; /* of the head block */
    size_t total;      /* bytes of all blocks */
};

void arena_init(struct arena *a, const anf_allocator *allocator);
void arena_free(struct arena *a);
/* Everything in it is gone; some of the memory is kept for what comes next. */
void arena_reset(struct arena *a);

/* Zeroed memory aligned to 64 bytes, or NULL (message set). */
void *arena_alloc(struct arena *a, size_t n_bytes);
/* The same with any contents. */
void *arena_alloc_raw(struct arena *a, size_t n_bytes);
void *arena_alloc_array(struct arena *a, size_t count, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);

#endif
