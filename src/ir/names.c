/* Open addressing with linear probing: never more than two thirds full, so that a search ends. */
#include "ir/names.h"

#include <string.h>

void names_init(struct name_table *t, const anf_allocator *allocator)
{
    *t = (struct name_table){.allocator = allocator};
}

void names_free(struct name_table *t)
{
    mem_free(t->allocator, t->entries, t->cap * sizeof *t->entries);
    names_init(t, t->allocator);
}

/* The entry of the name, or the free one where it belongs. */
static struct name_entry *slot(struct name_entry *entries, size_t cap, struct span name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.at[i]) * 0x100000001b3u;
    for (size_t i = (size_t)(h ^ h >> 32);; i++) {
        struct name_entry *e = &entries[i & (cap - 1)];
        if (!e->name.at || (e->name.n == name.n && memcmp(e->name.at, name.at, name.n) == 0))
            return e;
    }
}

const struct name_entry *names_find(const struct name_table *t, struct span name)
{
    if (!t->cap)
        return NULL;
    const struct name_entry *e = slot(t->entries, t->cap, name);
    return e->name.at ? e : NULL;
}

anf_status names_add(struct name_table *t, struct span name, uint32_t id, size_t line)
{
    if (t->used + t->used / 2 >= t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct name_entry *grown = mem_calloc(t->allocator, cap, sizeof *grown);
        if (!grown)
            return ANF_E_NOMEM;
        for (size_t i = 0; i < t->cap; i++)
            if (t->entries[i].name.at)
                *slot(grown, cap, t->entries[i].name) = t->entries[i];
        mem_free(t->allocator, t->entries, t->cap * sizeof *t->entries);
        t->entries = grown;
        t->cap = cap;
    }
    *slot(t->entries, t->cap, name) = (struct name_entry){name, id, line};
    t->used++;
    return ANF_OK;
}
