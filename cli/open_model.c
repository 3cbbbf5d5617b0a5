/* A saved model or a graph text, told apart by content: a saved model has control bytes near its
 * beginning, a text has none.  So a text without its header reaches the parser, whose message says
 * what is missing.
 *
 * Arrays that a graph text names are opened once each and stay open until parsing returns.  The
 * text may come from anywhere, so their paths must stay inside the folder of the text: neither
 * absolute nor with "..".  A text from a pipe has the current folder, as that of standard input:
 * where the system keeps pipes there are no arrays. */
#include "open_model.h"

#include <stdlib.h>
#include <string.h>

enum { SNIFFED = 256 };

struct opened_file {
    struct opened_file *next;
    anf_arrays *arrays;
    char path[]; /* as the text gives it */
};

struct loader {
    struct cli *cli;
    anf_ctx *ctx;
    const char *graph; /* path of the text */
    size_t n_folder;   /* the part of it up to the last slash */
    struct opened_file *files;
    bool failed; /* cli->message holds the reason */
};

static bool leaves_folder(const char *path)
{
    if (path[0] == '/')
        return true;
    for (const char *s = path; s; s = strchr(s, '/')) {
        s += *s == '/';
        if (s[0] == '.' && s[1] == '.' && (s[2] == '/' || s[2] == 0))
            return true;
    }
    return false;
}

static anf_status open_arrays(struct loader *l, const char *file, anf_arrays **out)
{
    size_t n_folder = l->n_folder, n = strlen(file);
    for (struct opened_file *f = l->files; f; f = f->next)
        if (strcmp(f->path, file) == 0) {
            *out = f->arrays;
            return ANF_OK;
        }
    struct opened_file *f = cli_alloc(l->cli, 1, sizeof *f + n + 1);
    char *path = cli_alloc(l->cli, n_folder + n + 1, 1);
    anf_status st = f && path ? ANF_OK : ANF_E_NOMEM;
    l->failed = st != ANF_OK;
    if (st == ANF_OK) {
        memcpy(f->path, file, n + 1);
        memcpy(path, l->graph, n_folder);
        memcpy(path + n_folder, file, n + 1);
        st = anf_arrays_open(l->ctx, path, &f->arrays);
    }
    free(path);
    if (st != ANF_OK) {
        free(f);
        return st;
    }
    f->next = l->files;
    l->files = f;
    *out = f->arrays;
    return ANF_OK;
}

static anf_status load_array(void *user, const char *file, const char *name, anf_array *out)
{
    struct loader *l = user;
    anf_arrays *arrays;
    if (leaves_folder(file)) {
        l->failed = true;
        return cli_fail(l->cli, ANF_E_ARG, "file \"%s\" must lie in the folder of the graph text",
                        file);
    }
    TRY(open_arrays(l, file, &arrays));
    return anf_arrays_find(arrays, name, out);
}

/* A reason of our own takes the line number from the message that the parser made around it. */
static anf_status parse_failed(const struct loader *l, anf_status st, const char *path)
{
    const char *message = anf_last_error();
    size_t n = strncmp(message, "line ", 5) == 0 ? strcspn(message, ":") : 0;
    if (!l->failed || st == ANF_E_NOMEM)
        return l->failed ? st : cli_check_at(l->cli, st, path);
    char why[sizeof l->cli->message];
    memcpy(why, l->cli->message, sizeof why);
    return cli_fail(l->cli, st, "%s: %.*s%s%s", path, (int)n, message, n ? ": " : "", why);
}

static anf_status parse_text(struct cli *c, anf_ctx *ctx, const char *path,
                             const struct input *text, anf_graph **out)
{
    struct loader l = {.cli = c, .ctx = ctx, .graph = path};
    const char *slash = input_comes_once(path) ? NULL : strrchr(path, '/');
    l.n_folder = slash ? (size_t)(slash - path) + 1 : 0;
    anf_parse_opts opts = {.load = load_array, .load_user = &l};
    anf_status st = anf_graph_parse(ctx, text->bytes.s, text->bytes.n, &opts, out);
    if (st != ANF_OK)
        st = parse_failed(&l, st, path);
    while (l.files) {
        struct opened_file *f = l.files;
        l.files = f->next;
        anf_arrays_free(f->arrays);
        free(f);
    }
    return st;
}

static anf_status compile_text(struct cli *c, anf_ctx *ctx, const char *path,
                               const struct model_opts *opts, struct input *text,
                               struct open_model *out)
{
    anf_graph *g;
    struct progress progress;
    anf_status st = parse_text(c, ctx, path, text, &g);
    input_free(text); /* before the compile, which needs the memory */
    TRY(st);
    progress_start(&progress, c, "compiling");
    anf_compile_opts o = {.opt = opts->opt,
                          .stage = opts->stage,
                          .stage_user = opts->stage_user,
                          .compress = opts->compress,
                          .compress_atol = opts->compress_atol,
                          .block_size = opts->block_size,
                          .target = opts->target,
                          .progress = progress_step,
                          .progress_user = &progress};
    st = cli_check_at(c, anf_compile_graph(g, &o, &out->model), path);
    out->seconds = seconds_now() - progress.start;
    progress_end(&progress);
    anf_graph_free(g);
    return st;
}

static bool is_text(const struct text *bytes)
{
    for (size_t i = 0; i < bytes->n && i < SNIFFED; i++) {
        unsigned char ch = (unsigned char)bytes->s[i];
        if (ch < 0x20 && !(ch >= '\t' && ch <= '\r'))
            return false;
    }
    return true;
}

anf_status model_open(struct cli *c, anf_ctx *ctx, const char *path, const struct model_opts *opts,
                      struct open_model *out)
{
    struct input in;
    *out = (struct open_model){0};
    TRY(input_read(c, path, SNIFFED, &in));
    bool whole = in.whole;
    out->from_text = strcmp(path, "-") == 0 || is_text(&in.bytes);
    if (!out->from_text || !whole)
        input_free(&in);
    if (out->from_text && !whole)
        TRY(input_read(c, path, 0, &in));
    if (out->from_text)
        return compile_text(c, ctx, path, opts, &in, out);
    if (whole)
        return cli_fail(c, ANF_E_IO,
                        "%s: is no graph text, and a saved model must be a regular file", path);
    if (opts->text_only) {
        TRY(cli_check(c, anf_model_load(ctx, path, &out->model))); /* or it is no model at all */
        anf_model_free(out->model);
        out->model = NULL;
        return cli_fail(c, ANF_E_ARG, "%s: is a compiled model, %s", path, opts->needs);
    }
    return cli_check(c, anf_model_load(ctx, path, &out->model));
}

anf_status model_report(struct cli *c, const anf_model *m, const char *path, struct output *out)
{
    struct text text = {0};
    anf_status st =
        cli_check(c, anf_model_weights_print(m, path_ends_with(path, ".json"), text_sink, &text));
    if (st == ANF_OK)
        return output_start(c, path, &text, out);
    text_free(&text);
    return st;
}

struct port_text port_text(const anf_port *p)
{
    struct port_text t;
    snprintf(t.s, sizeof t.s, "%.60s %s %s", p->name, anf_dtype_name(p->dtype),
             shape_text(&p->shape).s);
    return t;
}
