/* What is known of element types, and shapes.  A shape may be anything until dims_count has
 * accepted it; dims_text takes those that it refuses too, since messages are about them. */
#include "base/dtype.h"

#include <inttypes.h>
#include <stdio.h>

const struct dtype_info dtype_info[DTYPE_COUNT] = {
#define D(id, name, bytes, data) [ANF_##id] = {name, bytes, data},
#include "base/dtype.def"
#undef D
};

bool dims_count(const anf_dims *d, size_t *count)
{
    size_t n = 1;
    if (d->rank < 0 || d->rank > ANF_MAX_RANK)
        return false;
    for (int i = 0; i < d->rank; i++) {
        if (d->dim[i] < 1 || (uint64_t)d->dim[i] > ((uint64_t)1 << 40) / n)
            return false;
        n *= (size_t)d->dim[i];
    }
    *count = n;
    return true;
}

const char *dims_need(const anf_dims *d)
{
    _Static_assert(ANF_MAX_RANK == 8, "the text says so");
    bool positive = d->rank >= 0 && d->rank <= ANF_MAX_RANK;
    for (int i = 0; positive && i < d->rank; i++)
        positive = d->dim[i] >= 1;
    return positive ? "at most 2^40 elements" : "rank 0..8 and dims of at least 1";
}

const char *dims_text(const anf_dims *d)
{
    /* Four texts can stand in one message. */
    static _Thread_local char ring[4][ANF_MAX_RANK * 22 + 4];
    static _Thread_local unsigned turn;
    char *s = ring[turn++ % 4];
    size_t at = 0, cap = sizeof ring[0];
    at += (size_t)snprintf(s + at, cap - at, "[");
    for (int i = 0; i < d->rank && i < ANF_MAX_RANK; i++)
        at += (size_t)snprintf(s + at, cap - at, "%s%" PRId64, i ? "," : "", d->dim[i]);
    snprintf(s + at, cap - at, "]");
    return s;
}

bool dims_equal(const anf_dims *a, const anf_dims *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}
