/* Sorting, where qsort of libc may allocate. */
#ifndef ANF_BASE_SORT_H
#define ANF_BASE_SORT_H

#include <stddef.h>

/* In place, without memory of its own; n log n on every input. Not stable. */
void sort_items(void *items, size_t n, size_t size, int (*compare)(const void *, const void *));

#endif
