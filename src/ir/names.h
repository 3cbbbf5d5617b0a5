/* A table of names: those of values in a text, and of the ports of a graph. */
#ifndef ANF_IR_NAMES_H
#define ANF_IR_NAMES_H

#include "base/alloc.h"

/* A piece of text that somebody else owns; not NUL-terminated. */
struct span {
    const char *at;
    size_t n;
};

struct name_entry {
    struct span name; /* at NULL: free */
    uint32_t id; /* this and the line mean what the owner of the table says */
    size_t line;
};

/* Open addressing; names are borrowed. */
struct name_table {
    const anf_allocator *allocator;
    struct name_entry *entries;
    size_t used, cap;
};

void names_init(struct name_table *t, const anf_allocator *allocator);
void names_free(struct name_table *t);
/* NULL if the name is not there. */
const struct name_entry *names_find(const struct name_table *t, struct span name);
/* The name must not be in the table. */
anf_status names_add(struct name_table *t, struct span name, uint32_t id, size_t line);

#endif
