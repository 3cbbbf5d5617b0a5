/* An epilogue that counts how often it meets every output element; a driver owes each exactly one
 * visit. */
#ifndef ANF_TESTS_EPILOGUE_SEEN_H
#define ANF_TESTS_EPILOGUE_SEEN_H

#include "plain.h"

#include <stddef.h>

struct seen {
    unsigned char *count;
    size_t n;
};

static inline void see(void *arg, size_t offset, size_t n)
{
    struct seen *s = arg;
    assert_true(n > 0 && offset + n <= s->n);
    for (size_t i = 0; i < n; i++)
        s->count[offset + i]++;
}

#endif
