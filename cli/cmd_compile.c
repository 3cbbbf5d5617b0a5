/* aneforge compile: a graph text becomes a saved model. */
#include "open_model.h"

#include <sys/stat.h>

enum { OPT_OUTPUT = 1, OPT_LEVEL, OPT_COMPRESS, OPT_ATOL, OPT_BLOCK, OPT_TARGET, OPT_REPORT };

struct compile_opts {
    const char *output, *report;
    struct model_opts model;
};

static const struct option_desc options[] = {
    {"output", 'o', "MODEL", OPT_OUTPUT, "the file to write (required)"},
    {"opt", 0, "LEVEL", OPT_LEVEL, "default, or none: one instruction per operator"},
    {"compress", 0, "MODE", OPT_COMPRESS, "none, int8, int4, sparse, blockwise or auto"},
    {"compress-atol", 0, "E", OPT_ATOL, "largest error of int4 and blockwise (0.05)"},
    {"block-size", 0, "N", OPT_BLOCK, "elements per scale of blockwise (32)"},
    {"target", 0, "CHIP", OPT_TARGET, "auto takes what this chip streams, such as h13"},
    {"report", 0, "FILE", OPT_REPORT, "what became of each weight; .json, or -"},
    {0},
};

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    struct compile_opts *o = opts;
    uint64_t n;
    switch (id) {
    case OPT_LEVEL:
        return cli_opt_level(c, value, &o->model.opt);
    case OPT_COMPRESS:
        return cli_compress(c, value, &o->model.compress);
    case OPT_ATOL:
        return cli_number(c, "--compress-atol", value, &o->model.compress_atol);
    case OPT_BLOCK:
        TRY(cli_count(c, "--block-size", value, 1, INT32_MAX, &n));
        o->model.block_size = (int32_t)n;
        return ANF_OK;
    case OPT_TARGET:
        o->model.target = value;
        return ANF_OK;
    case OPT_REPORT:
        o->report = value;
        return ANF_OK;
    default:
        o->output = value;
        return ANF_OK;
    }
}

static void print_made(const struct cli *c, const struct compile_opts *o,
                       const struct open_model *f)
{
    anf_model_stats s;
    struct stat file;
    anf_model_get_stats(f->model, &s);
    if (c->quiet)
        return;
    printf("%s: %d instructions from %d operators, %s, weights %s, activations %s", o->output,
           s.n_instructions, anf_model_n_ops(f->model), count_text((double)s.flops, "FLOP").s,
           bytes_text((double)s.weight_bytes).s, bytes_text((double)s.activation_bytes).s);
    if (stat(o->output, &file) == 0)
        printf(", file %s", bytes_text((double)file.st_size).s);
    printf(", compiled in %s\n", time_text(f->seconds).s);
}

/* A report that cannot be written leaves the old model in place. */
static anf_status save(struct cli *c, const struct compile_opts *o, const struct open_model *f)
{
    struct output report = {0};
    if (o->report)
        TRY(model_report(c, f->model, o->report, &report));
    signals_hold();
    anf_status st = cli_check(c, anf_model_save(f->model, o->output));
    signals_release();
    if (st == ANF_OK) {
        print_made(c, o, f);
        return output_finish(c, &report);
    }
    output_discard(&report);
    return st;
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    const struct compile_opts *o = opts;
    struct model_opts m = o->model;
    struct open_model f;
    m.text_only = true;
    m.needs = "compile needs a graph text";
    if (m.compress && !m.target)
        m.target = cli_target();
    TRY(cli_need_args(c, n_args, 1, 1));
    if (!o->output)
        return cli_fail(c, ANF_E_ARG, "no file to write, --output MODEL is needed");
    TRY(cli_context(c));
    TRY(model_open(c, c->ctx, args[0], &m, &f));
    anf_status st = save(c, o, &f);
    anf_model_free(f.model);
    return st;
}

const struct verb verb_compile = {
    .name = "compile",
    .operands = "GRAPH -o MODEL",
    .summary = "Compile a graph text and save the model.",
    .text = "GRAPH is a graph text (see docs/graph-text.md), '-' for standard input. Array files\n"
            "that it names are looked for beside it. The saved model holds its weights and runs\n"
            "on every machine with the same results, bit for bit.\n\n"
            "--compress stores the weights of matrix products in fewer bytes; docs/compression.md\n"
            "tells what that costs. The report says for each weight what was chosen and why.\n\n"
            "Examples:\n"
            "  aneforge compile net.graph -o net.anf\n"
            "  aneforge compile --opt none net.graph -o plain.anf\n"
            "  aneforge compile --compress auto --report - net.graph -o small.anf\n",
    .options = options,
    .opts_size = sizeof(struct compile_opts),
    .option = take,
    .run = run,
};
