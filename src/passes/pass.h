/* Passes: each rebuilds a graph into a new one.  Rounding never changes, so the bits of the result
 * are those of the graph as written; what nobody uses is dropped by every rebuild. */
#ifndef ANF_PASSES_PASS_H
#define ANF_PASSES_PASS_H

#include "ops/op.h"

struct pass {
    const char *name;
    bool always; /* also at ANF_OPT_NONE */
    const char *doc;
    anf_status (*run)(struct graph *to, const struct graph *from);
};

enum {
#define P(name, always, doc) PASS_##name,
#include "passes/passes.def"
#undef P
    PASS_COUNT
};
extern const struct pass pass_table[PASS_COUNT];

#define P(name, always, doc) anf_status pass_##name(struct graph *to, const struct graph *from);
#include "passes/passes.def"
#undef P

/* Run every pass of the level over `g`, in place.  Constants keep the data of the graph they came
 * from, or data in `keep`, which must outlive `g`. After each pass `stage`, if any, is called. */
typedef anf_status (*pass_stage_fn)(void *user, const char *name, const struct graph *g);
anf_status pass_run(struct graph *g, bool optimise, struct arena *keep, pass_stage_fn stage,
                    void *user);

#endif
