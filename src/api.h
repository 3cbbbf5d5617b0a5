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

#endif
