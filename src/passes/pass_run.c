#include "passes/pass.h"

const struct pass pass_table[PASS_COUNT] = {
#define P(name, level, doc) {#name, PASS_##level, doc, pass_##name},
#include "passes/passes.def"
#undef P
};

anf_status pass_run(struct graph *g, enum pass_level level, struct arena *keep, pass_stage_fn stage,
                    void *user)
{
    for (int i = 0; i < PASS_COUNT; i++) {
        const struct pass *p = &pass_table[i];
        if (p->level > level)
            continue;
        struct graph next;
        graph_init(&next, g->ctx);
        next.keep = keep;
        anf_status st = p->run(&next, g);
        if (st != ANF_OK) {
            graph_free(&next);
            return st == ANF_E_NOMEM || st == ANF_E_CANCELLED
                       ? st
                       : status_prefix(st, "pass %s", p->name);
        }
        graph_free(g);
        *g = next;
#ifdef ANF_DEBUG
        TRY(graph_verify(g));
#endif
        if (stage)
            TRY(stage(user, p->name, g));
    }
    return ANF_OK;
}
