/* The compiler on one screen: graph -> passes -> encoded weights -> fusion and lowering -> memory
 * plan -> program. */
#include "compile.h"

#include "base/cancel.h"
#include "compress/compress.h"
#include "lower/lower.h"
#include "passes/pass.h"

/* Steps that compressing the weights counts as: what takes the time of a compile that does it. */
enum { COMPRESS_STEPS = 100 };

struct stages {
    const anf_compile_opts *opts;
    const struct kern *kern;
    struct pool *pool;
    struct compress_opts compress;
    bool compresses;
    struct cancel cancel;
};

static anf_status give_stage(struct stages *s, const char *name, struct buf *text, anf_status st)
{
    if (st == ANF_OK && text->failed)
        st = ANF_E_NOMEM;
    if (st == ANF_OK)
        st = s->opts->stage(s->opts->stage_user, name, text->data ? text->data : "", text->len);
    buf_free(text);
    return st;
}

/* Progress, and the text of the stage for those who asked. */
static anf_status step(struct stages *s, const char *name, const struct graph *g,
                       const struct program *p)
{
    TRY(cancel_step(&s->cancel, name));
    if (!s->opts->stage)
        return ANF_OK;
    struct buf text;
    buf_init(&text, g->allocator);
    return give_stage(s, name, &text,
                      p ? explain_program(p, s->kern, &text) : graph_print(g, true, &text));
}

static anf_status pass_stage(void *user, const char *name, const struct graph *g)
{
    return step(user, name, g, NULL);
}

static anf_status compress_step(void *user, size_t done, size_t n)
{
    struct stages *s = user;
    const uint64_t before = s->cancel.total - 1 - COMPRESS_STEPS; /* the program is the last step */
    s->cancel.done = before + COMPRESS_STEPS * done / n - 1;
    return cancel_step(&s->cancel, "compressing weights");
}

/* Encodings for the weights, and the record of each in the program. */
static anf_status compress_weights(const struct graph *g, struct stages *s, struct compression *c,
                                   struct program *out)
{
    TRY(compress_graph(g, &s->compress, s->pool, compress_step, s, c));
    s->cancel.done = s->cancel.total - 1;
    TRY(lower_weight_records(out, g, c));
    if (!s->opts->stage)
        return ANF_OK;
    struct buf text;
    buf_init(&text, g->allocator);
    report_text(out, &text);
    return give_stage(s, "compress", &text, ANF_OK);
}

static anf_status compile_stages(struct graph *work, struct stages *s, struct arena *keep,
                                 struct compression *c, struct program *out)
{
    bool optimise = s->opts->opt == ANF_OPT_DEFAULT;
    TRY(step(s, "graph", work, NULL));
    TRY(pass_run(work, optimise ? PASS_OPTIMISE : s->compresses ? PASS_COMPRESS : PASS_ALWAYS,
                 keep, pass_stage, s));
    if (s->compresses)
        TRY(compress_weights(work, s, c, out));
    TRY(lower_graph(out, work, c, optimise));
    TRY(plan_memory(out));
    anf_status st = program_check(out);
    if (st != ANF_OK)
        return st == ANF_E_FORMAT ? status_prefix(ANF_E_INTERNAL, "compile") : st;
    return step(s, "program", work, out);
}

/* Names are only kept for the report of weights. */
static node_id copy_node(void *user, struct graph *to, const struct graph *from, node_id id,
                         const node_id *in)
{
    const struct stages *s = user;
    node_id copy = graph_copy_node(to, from, id, in);
    if (copy && !s->compresses && graph_node(to, copy)->op != OP_input)
        to->nodes[copy].name = NULL;
    return copy;
}

anf_status compile_graph(const struct graph *g, const struct kern *kern, struct pool *pool,
                         const anf_compile_opts *opts, struct program *out)
{
    struct stages s = {.opts = opts, .kern = kern, .pool = pool,
                       .cancel = {.ask = opts->progress, .user = opts->progress_user,
                                  .total = PASS_COUNT + 2, .after = "the start"}};
    struct compression c = {0};
    struct graph work;
    struct arena keep;
    TRY(compress_opts_read(opts, &s.compress));
    s.compresses = s.compress.mode != ANF_COMPRESS_NONE;
    s.cancel.total += s.compresses ? COMPRESS_STEPS : 0;
    TRY(graph_error(g));
    if (g->n_outputs == 0)
        FAIL(STATE, "compile: the graph has no outputs");
    TRY(graph_verify(g));
    TRY(program_init(out, g->allocator));
    graph_init(&work, g->ctx);
    arena_init(&keep, g->allocator);
    work.keep = &keep;
    struct cancel *outer = cancel_set(&s.cancel);
    anf_status st = graph_rewrite(&work, g, copy_node, &s);
    if (st == ANF_OK && work.n_inputs == 0)
        st = status_fail(ANF_E_STATE, "compile: no output depends on an input");
    if (st == ANF_OK && s.compresses)
        st = compress_names(&work, &keep);
    if (st == ANF_OK)
        st = compile_stages(&work, &s, &keep, &c, out);
    cancel_set(outer);
    compression_free(&c);
    graph_free(&work);
    arena_free(&keep);
    if (st != ANF_OK)
        program_free(out);
    return st;
}
