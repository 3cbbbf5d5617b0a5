/* A model: the compiled program behind its handle. Immutable but for the idle run states. */
#include "model.h"

#include "compile.h"
#include "runtime/fpenv.h"
#include "io/file.h"
#include "program/model_file.h"

#include <string.h>

anf_status model_new(anf_ctx *ctx, struct program *p, struct anf_model **out)
{
    anf_model *m = mem_calloc(&ctx->allocator, 1, sizeof *m);
    if (!m)
        return ANF_E_NOMEM;
    m->ctx = ctx;
    m->program = *p;
    m->program.allocator = &ctx->allocator;
    memset(p, 0, sizeof *p);
    *out = m;
    return ANF_OK;
}

static anf_status read_opts(const anf_compile_opts *opts, anf_compile_opts *o)
{
    TRY(desc_read(o, sizeof *o, opts, "compile: opts"));
    if (o->opt != ANF_OPT_DEFAULT && o->opt != ANF_OPT_NONE)
        FAIL(ARG, "compile: unknown opt level %d", (int)o->opt);
    return ANF_OK;
}

static anf_status compile_to_model(const struct graph *g, const anf_compile_opts *opts,
                                   anf_model **model)
{
    anf_compile_opts o;
    struct program p;
    anf_ctx *ctx = g->ctx;
    TRY(read_opts(opts, &o));
    struct fpenv saved;
    fpenv_enter(&saved); /* constants are folded by the same arithmetic that runs */
    anf_status st = compile_graph(g, ctx->kern, ctx->pool, &o, &p);
    fpenv_leave(&saved);
    TRY(st);
    st = model_new(ctx, &p, model);
    if (st != ANF_OK)
        program_free(&p);
    return st;
}

anf_status anf_compile_graph(anf_graph *g, const anf_compile_opts *opts, anf_model **model)
{
    if (!model)
        FAIL(ARG, "anf_compile_graph: model is NULL");
    *model = NULL;
    if (!g)
        FAIL(ARG, "anf_compile_graph: graph is NULL");
    return compile_to_model(&g->g, opts, model);
}

anf_status anf_compile(anf_tensor out, const anf_compile_opts *opts, anf_model **model)
{
    if (!model)
        FAIL(ARG, "anf_compile: model is NULL");
    *model = NULL;
    if (!out.graph)
        FAIL(ARG, "anf_compile: the tensor belongs to no graph");
    const struct graph *g = &out.graph->g;
    TRY(graph_error(g));
    /* The marked outputs are set aside: this program computes `out` alone. */
    struct graph_output output = {out.id, "y0"};
    struct graph one = *g;
    one.outputs = &output;
    one.n_outputs = 1;
    TRY(graph_check_output(g, output.node, output.name));
    return compile_to_model(&one, opts, model);
}

int anf_model_n_inputs(const anf_model *m)
{
    return m ? (int)m->program.n_inputs : 0;
}

int anf_model_n_outputs(const anf_model *m)
{
    return m ? (int)m->program.n_outputs : 0;
}

const anf_port *anf_model_input(const anf_model *m, int i)
{
    return m && i >= 0 && (size_t)i < m->program.n_inputs ? &m->program.inputs[i].info : NULL;
}

const anf_port *anf_model_output(const anf_model *m, int i)
{
    return m && i >= 0 && (size_t)i < m->program.n_outputs ? &m->program.outputs[i].info : NULL;
}

int anf_model_n_ops(const anf_model *m)
{
    return m ? (int)m->program.n_ops : 0;
}

anf_status anf_model_explain(const anf_model *m, anf_sink sink, void *user)
{
    if (!m || !sink)
        FAIL(ARG, "anf_model_explain: model or sink is NULL");
    struct buf text;
    buf_init(&text, &m->ctx->allocator);
    anf_status st = explain_program(&m->program, m->ctx->kern, &text);
    if (st != ANF_OK) {
        buf_free(&text);
        return st;
    }
    return buf_finish(&text, sink, user);
}

void anf_model_get_stats(const anf_model *m, anf_model_stats *out)
{
    if (!out)
        return;
    memset(out, 0, sizeof *out);
    if (m)
        program_stats(&m->program, out);
}

int anf_model_n_weights(const anf_model *m)
{
    return m ? (int)m->program.n_weights : 0;
}

bool anf_model_weight(const anf_model *m, int i, anf_weight_info *out)
{
    if (!m || !out || i < 0 || (size_t)i >= m->program.n_weights)
        return false;
    const struct program *p = &m->program;
    const struct weight_record *w = &p->weights[i];
    *out = (anf_weight_info){.name = p->names + w->name,
                             .shape = {2, {(int64_t)w->dims[0], (int64_t)w->dims[1]}},
                             .encoding = (anf_encoding)w->encoding,
                             .why = p->names + w->why,
                             .bytes_before = w->bytes_before,
                             .bytes_after = w->bytes_after,
                             .error = w->error,
                             .streams = w->streams};
    return true;
}

anf_status anf_model_weights_print(const anf_model *m, bool json, anf_sink sink, void *user)
{
    if (!m || !sink)
        FAIL(ARG, "anf_model_weights_print: model or sink is NULL");
    struct buf text;
    buf_init(&text, &m->ctx->allocator);
    (json ? report_json : report_text)(&m->program, &text);
    return buf_finish(&text, sink, user);
}

static anf_status put_to_file(void *user, const void *data, size_t n)
{
    return file_writer_put(user, data, n);
}

anf_status anf_model_save(const anf_model *m, const char *path)
{
    if (!m || !path)
        FAIL(ARG, "anf_model_save: model or path is NULL");
    struct file_writer w;
    TRY(file_writer_open(&w, &m->ctx->allocator, path));
    anf_status st = program_save(&m->program, put_to_file, &w);
    if (st == ANF_OK)
        return file_writer_commit(&w);
    file_writer_discard(&w);
    return st;
}

static anf_status load(anf_ctx *ctx, const void *data, size_t n, anf_model **out)
{
    struct program p;
    TRY(program_load(&ctx->allocator, ctx->pool, data, n, &p));
    anf_status st = model_new(ctx, &p, out);
    if (st != ANF_OK)
        program_free(&p);
    return st;
}

anf_status anf_model_load(anf_ctx *ctx, const char *path, anf_model **out)
{
    if (!out)
        FAIL(ARG, "anf_model_load: out is NULL");
    *out = NULL;
    if (!ctx || !path)
        FAIL(ARG, "anf_model_load: ctx or path is NULL");
    struct os_map file;
    TRY(os_map_file(path, &file));
    anf_status st = load(ctx, file.data, file.n_bytes, out);
    if (st != ANF_OK) {
        os_unmap(&file);
        return status_prefix(st, "%s", path);
    }
    (*out)->file = file;
    return ANF_OK;
}

anf_status anf_model_load_memory(anf_ctx *ctx, const void *data, size_t n, anf_model **out)
{
    if (!out)
        FAIL(ARG, "anf_model_load_memory: out is NULL");
    *out = NULL;
    if (!ctx || !data)
        FAIL(ARG, "anf_model_load_memory: ctx or data is NULL");
    if ((uintptr_t)data % ANF_CACHE_LINE)
        FAIL(ARG, "anf_model_load_memory: data must be aligned to %d bytes", ANF_CACHE_LINE);
    return load(ctx, data, n, out);
}
