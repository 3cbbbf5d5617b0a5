/* Writes the seeds of fuzz_model: every small network of the tests, fused and unfused.
 *
 *     make_model_corpus fuzz/corpus/model */
#include "../tests/unit/model_graphs.h"

#include <stdio.h>

static int fail(const char *what)
{
    fprintf(stderr, "make_model_corpus: %s: %s\n", what, anf_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    anf_ctx *ctx;
    if (argc != 2) {
        fprintf(stderr, "usage: make_model_corpus FOLDER\n");
        return 2;
    }
    if (anf_ctx_new(NULL, &ctx) != ANF_OK)
        return fail("context");
    for (int i = 0; i < N_MODEL_GRAPHS; i++)
        for (int none = 0; none < 2; none++) {
            anf_compile_opts opts = {.opt = none ? ANF_OPT_NONE : ANF_OPT_DEFAULT,
                                     .compress = model_graphs[i].compress,
                                     .compress_atol = model_graphs[i].atol};
            const char *name = model_graphs[i].name;
            char path[512];
            anf_graph *g;
            anf_model *m;
            if (anf_graph_new(ctx, &g) != ANF_OK)
                return fail(name);
            model_graphs[i].build(g);
            if (anf_compile_graph(g, &opts, &m) != ANF_OK)
                return fail(name);
            snprintf(path, sizeof path, "%s/%s%s.anf", argv[1], name, none ? "_plain" : "");
            if (anf_model_save(m, path) != ANF_OK)
                return fail(path);
            anf_model_free(m);
            anf_graph_free(g);
        }
    anf_ctx_free(ctx);
    return 0;
}
