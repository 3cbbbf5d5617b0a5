/* Element types and shapes: dtype.def as a table that anf_dtype indexes, and the check that a shape
 * of a graph or a program passes before anything is computed from it. */
#ifndef ANF_BASE_DTYPE_H
#define ANF_BASE_DTYPE_H

#include "base/status.h"

enum { DTYPE_COUNT = ANF_BF16 + 1 };

struct dtype_info {
    const char *name;
    size_t n_bytes;
    bool is_float_data; /* may be cast to fp16 as a weight or an input */
};
extern const struct dtype_info dtype_info[DTYPE_COUNT];

/* Element count of a shape; false when a dim is < 1, the rank is outside 0..ANF_MAX_RANK, or the
 * count exceeds 2^40 (far above what memory holds, far below overflow of byte counts). */
bool dims_count(const anf_dims *d, size_t *count);
/* What the dims that it refuses have to be, for messages: "at most 2^40 elements". */
const char *dims_need(const anf_dims *d);

/* "[1,3,32,32]" in one of several rotating thread-local buffers, for messages. */
const char *dims_text(const anf_dims *d);

bool dims_equal(const anf_dims *a, const anf_dims *b);

#endif
