/* What tests of the public API begin with: one context, and what they say of a status. */
#ifndef ANF_TESTS_API_FIXTURE_H
#define ANF_TESTS_API_FIXTURE_H

#include "plain.h"

#include <aneforge.h>

#include <string.h>

static anf_ctx *ctx;

static inline int open_ctx(void **state)
{
    (void)state;
    anf_ctx_desc d = {.threads = 2};
    return anf_ctx_new(&d, &ctx) == ANF_OK ? 0 : -1;
}

static inline int close_ctx(void **state)
{
    (void)state;
    anf_ctx_free(ctx);
    return 0;
}

static inline void ok(anf_status st)
{
    if (st != ANF_OK)
        fail_msg("%s", anf_last_error());
}

static inline void expect(anf_status got, anf_status want, const char *message)
{
    if (got != want || strcmp(anf_last_error(), message) != 0)
        fail_msg("status %d (%s), message:\n  %s\nwanted %d:\n  %s", (int)got, anf_status_text(got),
                 anf_last_error(), (int)want, message);
}

static inline anf_graph *new_graph(void)
{
    anf_graph *g;
    ok(anf_graph_new(ctx, &g));
    return g;
}

#endif
