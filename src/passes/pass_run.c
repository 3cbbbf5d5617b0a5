/* Running the passes.  Between two of them `g` is a whole graph, the result of the last one that
 * succeeded, and the spare graph is empty; a pass that fails leaves only the spare one half built,
 * so both can be freed whatever happens. */
#include "passes/pass.h"

static const struct pass {
    const char *name;
    enum pass_level level;
    anf_status (*run)(struct graph *to, const struct graph *from);
} passes[PASS_COUNT] = {
#define P(name, level, doc) {#name, PASS_##level, pass_##name},
#include "passes/passes.def"
#undef P
};

/* `spare` is what the next pass builds into: two graphs' memory is enough for all passes. */
static anf_status run_pass(const struct pass *p, struct graph *g, struct graph *spare)
{
    anf_status st = p->run(spare, g);
    if (st != ANF_OK)
        return st == ANF_E_NOMEM || st == ANF_E_CANCELLED ? st
                                                          : status_prefix(st, "pass %s", p->name);
    const struct graph before = *g;
    *g = *spare;
    *spare = before;
    graph_clear(spare);
#ifdef ANF_DEBUG
    TRY(graph_verify(g));
#endif
    return ANF_OK;
}

anf_status pass_run(struct graph *g, enum pass_level level, struct arena *keep, pass_stage_fn stage,
                    void *user)
{
    struct graph spare;
    anf_status st = ANF_OK;
    graph_init(&spare, g->ctx);
    spare.keep = keep;
    for (int i = 0; i < PASS_COUNT && st == ANF_OK; i++) {
        const struct pass *p = &passes[i];
        if (p->level > level)
            continue;
        st = run_pass(p, g, &spare);
        if (st == ANF_OK && stage)
            st = stage(user, p->name, g);
    }
    graph_free(&spare);
    return st;
}
