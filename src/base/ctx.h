/* What the inner layers may know of a context. */
#ifndef ANF_BASE_CTX_H
#define ANF_BASE_CTX_H

#include "base/alloc.h"

const anf_allocator *ctx_allocator(const anf_ctx *ctx);
void ctx_log(const anf_ctx *ctx, anf_log_level level, const char *fmt, ...) ANF_PRINTF(3, 4);

#endif
