/* The context, shared by the files that stand between the public API and the insides. */
#ifndef ANF_API_H
#define ANF_API_H

#include "base/ctx.h"
#include "kernels/kern.h"
#include "runtime/threads.h"

struct anf_ctx {
    anf_allocator allocator;
    anf_log_fn log;
    void *log_user;
    const struct kern *kern;
    struct pool *pool;
};

/* A public struct whose caller may know fewer fields of it: the bytes that its first field, the
 * uint32_t `size`, says it has (0: all n), then zeros.  `from` NULL: zeros alone.  `what` names it
 * in the message, "compile: opts". */
anf_status desc_read(void *to, size_t n, const void *from, const char *what);

#endif
