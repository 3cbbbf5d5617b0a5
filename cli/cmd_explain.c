/* aneforge explain: the program as text, and with --stages the graph after every pass. */
#include "open_model.h"

#include <string.h>

enum { OPT_STAGES = 1, OPT_BUFFERS, OPT_LEVEL };

struct explain_opts {
    bool stages, buffers;
    anf_opt level;
};

static const struct option_desc options[] = {
    {"stages", 's', NULL, OPT_STAGES, "also the graph after every pass (needs a graph text)"},
    {"buffers", 'b', NULL, OPT_BUFFERS, "also the buffers with sizes, offsets and lifetimes"},
    {"opt", 0, "LEVEL", OPT_LEVEL, "default, or none: one instruction per operator"},
    {0},
};

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    struct explain_opts *o = opts;
    if (id == OPT_LEVEL)
        return cli_opt_level(c, value, &o->level);
    *(id == OPT_STAGES ? &o->stages : &o->buffers) = true;
    return ANF_OK;
}

/* The buffers are the last section of a program's text. */
static void print_program(const struct explain_opts *o, const char *text, size_t n)
{
    static const char heading[] = "\n\nbuffers\n";
    size_t len = sizeof heading - 1;
    for (size_t i = 0; !o->buffers && i + len <= n; i++)
        if (memcmp(text + i, heading, len) == 0)
            n = i + 1;
    fwrite(text, 1, n, stdout);
}

static anf_status print_stage(void *user, const char *stage, const char *text, size_t n)
{
    const struct explain_opts *o = user;
    if (strcmp(stage, "program") == 0)
        return ANF_OK; /* follows below, as without --stages */
    printf("---- %s ----\n", stage);
    print_program(o, text, n);
    printf("%s\n", n && text[n - 1] != '\n' ? "\n" : "");
    return ANF_OK;
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    struct explain_opts o = *(const struct explain_opts *)opts;
    struct model_opts m = {.opt = o.level,
                           .text_only = o.stages || o.level != ANF_OPT_DEFAULT,
                           .needs = o.stages ? "--stages needs a graph text"
                                             : "--opt needs a graph text"};
    struct open_model f;
    struct text text = {0};
    TRY(cli_need_args(c, n_args, 1, 1));
    TRY(cli_context(c));
    if (o.stages) {
        m.stage = print_stage;
        m.stage_user = &o;
    }
    TRY(model_open(c, c->ctx, args[0], &m, &f));
    anf_status st = cli_check(c, anf_model_explain(f.model, text_sink, &text));
    if (st == ANF_OK) {
        if (o.stages)
            puts("---- program ----");
        print_program(&o, text.s, text.n);
    }
    text_free(&text);
    anf_model_free(f.model);
    return st;
}

const struct verb verb_explain = {
    .name = "explain",
    .operands = "MODEL",
    .summary = "Show the program that a model or a graph text compiles to.",
    .text = "MODEL is a saved model or a graph text, '-' for a graph text on standard input. One\n"
            "line per instruction: destination = operands, geometry, the elementwise operators\n"
            "run on its result; behind ';' the operators it came from, its flops and the bytes it\n"
            "moves.\n\n"
            "Examples:\n"
            "  aneforge explain net.anf\n"
            "  aneforge explain --stages --buffers net.graph\n"
            "  aneforge explain --isa ref net.graph\n",
    .options = options,
    .opts_size = sizeof(struct explain_opts),
    .option = take,
    .run = run,
};
