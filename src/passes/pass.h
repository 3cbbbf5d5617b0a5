/* Passes: each rebuilds a graph into a new one.  Rounding never changes, so the bits of the result
 * are those of the graph as written; what nobody uses is dropped by every rebuild. */
#ifndef ANF_PASSES_PASS_H
#define ANF_PASSES_PASS_H

#include "ops/op.h"

/* Which compiles run a pass: those of a level at or above its own. */
enum pass_level { PASS_ALWAYS, PASS_COMPRESS, PASS_OPTIMISE };

enum {
#define P(name, level, doc) PASS_##name,
#include "passes/passes.def"
#undef P
    PASS_COUNT
};

#define P(name, level, doc) anf_status pass_##name(struct graph *to, const struct graph *from);
#include "passes/passes.def"
#undef P

/* Run every pass of the level over `g`, in place.  Constants keep the data of the graph they came
 * from, or data in `keep`, which must outlive `g`. After each pass `stage`, if any, is called. */
typedef anf_status (*pass_stage_fn)(void *user, const char *name, const struct graph *g);
anf_status pass_run(struct graph *g, enum pass_level level, struct arena *keep, pass_stage_fn stage,
                    void *user);

#endif
