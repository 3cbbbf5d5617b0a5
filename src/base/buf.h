/* Growing text buffer with a sticky failure: callers append freely and check once. */
#ifndef ANF_BASE_BUF_H
#define ANF_BASE_BUF_H

#include "base/alloc.h"

struct buf {
    const anf_allocator *allocator;
    char *data; /* NUL-terminated once anything was appended */
    size_t len, cap;
    bool failed;
};

void buf_init(struct buf *b, const anf_allocator *allocator);
void buf_free(struct buf *b);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) ANF_PRINTF(2, 3);

/* x with so many significant digits, as "%.*g" has it where the decimal point is a point. */
struct decimal_text {
    char s[40];
};
struct decimal_text decimal_text(double x, int digits);

/* Append spaces until the current line is `column` characters wide (at least one space). */
void buf_pad(struct buf *b, size_t column);

/* Hand the text to an anf_sink, or report the sticky failure. Frees the buffer. */
anf_status buf_finish(struct buf *b, anf_sink sink, void *user);

#endif
