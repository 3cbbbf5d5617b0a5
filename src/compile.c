/* The compiler on one screen: graph -> passes -> fusion and lowering -> memory plan -> program. */
#include "compile.h"

#include "base/cancel.h"
#include "lower/lower.h"
#include "passes/pass.h"

struct stages {
    const anf_compile_opts *opts;
    const struct kern *kern;
    struct cancel cancel;
};

/* Progress, and the text of the stage for those who asked. */
static anf_status step(struct stages *s, const char *name, const struct graph *g,
                       const struct program *p)
{
    TRY(cancel_step(&s->cancel, name));
    if (!s->opts->stage)
        return ANF_OK;
    struct buf text;
    buf_init(&text, g->allocator);
    anf_status st = p ? explain_program(p, s->kern, &text) : graph_print(g, true, &text);
    if (st == ANF_OK)
        st = s->opts->stage(s->opts->stage_user, name, text.data ? text.data : "", text.len);
    buf_free(&text);
    return st;
}

static anf_status pass_stage(void *user, const char *name, const struct graph *g)
{
    return step(user, name, g, NULL);
}

static node_id copy_node(void *user, struct graph *to, const struct graph *from, node_id id,
                         const node_id *in)
{
    (void)user;
    return graph_copy_node(to, from, id, in);
}

static anf_status compile_stages(struct graph *work, struct stages *s, struct arena *keep,
                                 struct program *out)
{
    bool optimise = s->opts->opt == ANF_OPT_DEFAULT;
    TRY(step(s, "graph", work, NULL));
    TRY(pass_run(work, optimise, keep, pass_stage, s));
    TRY(lower_graph(out, work, optimise));
    TRY(plan_memory(out));
    anf_status st = program_check(out);
    if (st != ANF_OK)
        return st == ANF_E_FORMAT ? status_prefix(ANF_E_INTERNAL, "compile") : st;
    return step(s, "program", work, out);
}

anf_status compile_graph(const struct graph *g, const struct kern *kern,
                         const anf_compile_opts *opts, struct program *out)
{
    struct stages s = {opts, kern, {.ask = opts->progress, .user = opts->progress_user,
                                    .total = PASS_COUNT + 2, .after = "the start"}};
    struct graph work;
    struct arena keep;
    if (g->error != ANF_OK)
        return status_fail(g->error, "%s", g->message);
    if (g->n_outputs == 0)
        FAIL(STATE, "compile: the graph has no outputs");
    TRY(graph_verify(g));
    TRY(program_init(out, g->allocator));
    graph_init(&work, g->ctx);
    arena_init(&keep, g->allocator);
    work.keep = &keep;
    struct cancel *outer = cancel_set(&s.cancel);
    anf_status st = graph_rewrite(&work, g, copy_node, NULL);
    if (st == ANF_OK && work.n_inputs == 0)
        st = status_fail(ANF_E_STATE, "compile: no output depends on an input");
    if (st == ANF_OK)
        st = compile_stages(&work, &s, &keep, out);
    cancel_set(outer);
    graph_free(&work);
    arena_free(&keep);
    if (st != ANF_OK)
        program_free(out);
    return st;
}
