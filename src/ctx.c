/* Context: allocator, thread pool, kernel table. Immutable once created, so it needs no lock. */
#include "api.h"

#include "runtime/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const anf_allocator *ctx_allocator(const anf_ctx *ctx)
{
    return &ctx->allocator;
}

void ctx_log(const anf_ctx *ctx, anf_log_level level, const char *fmt, ...)
{
    if (!ctx->log)
        return;
    char line[ANF_ERROR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    ctx->log(ctx->log_user, level, line);
}

/* "ref, avx2": what may be asked for here. */
static const char *available_names(char *text, size_t cap)
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; kern_tables[i]; i++)
        if (kern_tables[i]->available() && at < cap)
            at += (size_t)snprintf(text + at, cap - at, "%s%s", at ? ", " : "",
                                   kern_tables[i]->name);
    return text;
}

/* What may be asked for of some build.  ORDER anf_ctx_desc */
static const char *const isa_names[] = {"ref", "avx2", "avx512", "avx512fp16", "neon"};

static anf_status choose_kern(const char *isa, const struct kern **out)
{
    char names[128];
    *out = kern_select(isa);
    if (*out)
        return ANF_OK;
    for (int i = 0; isa && kern_tables[i]; i++)
        if (strcmp(kern_tables[i]->name, isa) == 0)
            FAIL(UNSUPPORTED, "isa '%s' needs %s, which this CPU does not have; available: %s", isa,
                 kern_tables[i]->needs, available_names(names, sizeof names));
    for (size_t i = 0; isa && i < sizeof isa_names / sizeof *isa_names; i++)
        if (strcmp(isa_names[i], isa) == 0)
            FAIL(UNSUPPORTED, "isa '%s' is not in this build; available: %s", isa,
                 available_names(names, sizeof names));
    FAIL(ARG, "unknown isa '%.40s'; available: %s", isa ? isa : "",
         available_names(names, sizeof names));
}

anf_status desc_read(void *to, size_t n, const void *from, const char *what)
{
    uint32_t size;
    memset(to, 0, n);
    if (!from)
        return ANF_OK;
    memcpy(&size, from, sizeof size);
    if (size > n)
        FAIL(ARG, "%s.size %u is larger than this library's %zu (it is an older one)", what, size,
             n);
    memcpy(to, from, size ? size : n);
    return ANF_OK;
}

anf_status anf_ctx_new(const anf_ctx_desc *desc, anf_ctx **out)
{
    if (!out)
        FAIL(ARG, "anf_ctx_new: out is NULL");
    *out = NULL;
    anf_ctx_desc d;
    TRY(desc_read(&d, sizeof d, desc, "anf_ctx_new: desc"));
    if (d.threads < 0 || d.threads > 1024)
        FAIL(ARG, "anf_ctx_new: threads %d must lie in 0..1024", d.threads);
    const anf_allocator *a = d.allocator ? d.allocator : &alloc_default;
    if (!a->alloc || !a->free)
        FAIL(ARG, "anf_ctx_new: the allocator needs both alloc and free");
    const struct kern *kern;
    TRY(choose_kern(d.isa, &kern));
    anf_ctx *ctx = mem_calloc(a, 1, sizeof *ctx);
    if (!ctx)
        return ANF_E_NOMEM;
    ctx->allocator = *a;
    ctx->log = d.log;
    ctx->log_user = d.log_user;
    ctx->kern = kern;
    anf_status st = pool_new(&ctx->allocator, d.threads ? d.threads : os_cpu_count(), &ctx->pool);
    if (st != ANF_OK) {
        mem_free(a, ctx, sizeof *ctx);
        return st;
    }
    *out = ctx;
    return ANF_OK;
}

void anf_ctx_free(anf_ctx *ctx)
{
    if (!ctx)
        return;
    pool_free(ctx->pool);
    anf_allocator a = ctx->allocator;
    mem_free(&a, ctx, sizeof *ctx);
}

const char *anf_ctx_isa(const anf_ctx *ctx)
{
    return ctx ? ctx->kern->name : "";
}

int anf_ctx_threads(const anf_ctx *ctx)
{
    return ctx ? pool_threads(ctx->pool) : 0;
}

int anf_isa_count(void)
{
    int n = 0;
    while (kern_tables[n])
        n++;
    return n;
}

const char *anf_isa_name(int i)
{
    return i >= 0 && i < anf_isa_count() ? kern_tables[i]->name : NULL;
}

const char *anf_isa_needs(int i)
{
    return i >= 0 && i < anf_isa_count() ? kern_tables[i]->needs : NULL;
}

bool anf_isa_available(int i)
{
    return i >= 0 && i < anf_isa_count() && kern_tables[i]->available();
}
