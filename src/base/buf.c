/* A text buffer.  Where there is data, data[len] is the 0 that ends the text.  What there is no
 * memory for is left out as a whole and sets `failed`; then nothing more is appended, so that no
 * text has a gap. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, const anf_allocator *allocator)
{
    *b = (struct buf){.allocator = allocator};
}

void buf_free(struct buf *b)
{
    mem_free(b->allocator, b->data, b->cap);
    buf_init(b, b->allocator);
}

static bool reserve(struct buf *b, size_t extra)
{
    if (b->failed)
        return false;
    void *p = b->data;
    if (extra > SIZE_MAX / 4 ||
        mem_grow(b->allocator, &p, &b->cap, b->len + extra + 1, 1) != ANF_OK) {
        b->failed = true;
        return false;
    }
    b->data = p;
    return true;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    if (!reserve(b, n))
        return;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        buf_put(b, small, (size_t)n);
    } else if (n >= 0 && reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

struct decimal_text decimal_text(double x, int digits)
{
    char text[64];
    struct decimal_text t;
    size_t n = 0;
    bool point = false;
    snprintf(text, sizeof text, "%.*g", digits < 17 ? digits : 17, x);
    for (const char *s = text; *s && n + 1 < sizeof t.s; s++) {
        bool own = strchr("0123456789+-einfa", *s) != NULL;
        if (own || !point) /* the locale's point may have several bytes */
            t.s[n++] = own ? *s : '.';
        point = point || !own;
    }
    t.s[n] = 0;
    return t;
}

void buf_pad(struct buf *b, size_t column)
{
    size_t start = b->len;
    while (start > 0 && b->data[start - 1] != '\n')
        start--;
    do
        buf_put(b, " ", 1);
    while (!b->failed && b->len - start < column);
}

anf_status buf_finish(struct buf *b, anf_sink sink, void *user)
{
    anf_status st = ANF_OK;
    if (b->failed)
        st = ANF_E_NOMEM;
    else
        st = sink(user, b->data ? b->data : "", b->len);
    buf_free(b);
    return st;
}
