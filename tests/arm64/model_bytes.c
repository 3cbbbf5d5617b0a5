/* The same model file on two architectures:
 *
 *     model_bytes save FOLDER      on one: compiles the small networks of the tests, saves them,
 *     prints
 *                                  a line of output bits for each
 *     model_bytes load FOLDER      on the other: loads them; the lines must be the same
 *
 * The inputs are a fixed pattern, so that the lines depend on nothing but the library. */
#include "../unit/model_graphs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "model_bytes: %s\n", anf_last_error());
        exit(1);
    }
}

static anf_model *compile(anf_ctx *ctx, const struct model_graph *graph, anf_opt opt)
{
    anf_compile_opts opts = {.opt = opt,
                             .compress = graph->compress,
                             .compress_atol = graph->atol};
    anf_graph *g;
    anf_model *m;
    check(anf_graph_new(ctx, &g));
    graph->build(g);
    check(anf_compile_graph(g, &opts, &m));
    anf_graph_free(g);
    return m;
}

static void print_outputs(const char *name, anf_model *m)
{
    anf_run_state *rs;
    check(anf_run_state_new(m, &rs));
    for (int i = 0; i < anf_model_n_inputs(m); i++) {
        const anf_port *port = anf_model_input(m, i);
        uint16_t *x = anf_input_view(rs, i);
        for (size_t k = 0; k < port->n_elements; k++)
            if (port->dtype == ANF_U8)
                ((uint8_t *)x)[k] = (uint8_t)(k * 37);
            else
                x[k] = anf_f16_from_f32((float)(int)(k * 29 % 97) / 40 - 1.2f);
    }
    check(anf_execute(rs));
    printf("%s", name);
    for (int o = 0; o < anf_model_n_outputs(m); o++) {
        const uint16_t *y = anf_output_view(rs, o);
        uint64_t hash = 14695981039346656037u; /* FNV-1a */
        for (size_t k = 0; k < anf_model_output(m, o)->n_elements; k++)
            hash = (hash ^ y[k]) * 1099511628211u;
        printf(" %04x..%016" PRIx64, y[0], hash);
    }
    printf("\n");
    anf_run_state_free(rs);
}

int main(int argc, char **argv)
{
    anf_ctx *ctx;
    if (argc != 3 || (strcmp(argv[1], "save") != 0 && strcmp(argv[1], "load") != 0)) {
        fprintf(stderr, "usage: model_bytes save|load FOLDER\n");
        return 2;
    }
    bool save = strcmp(argv[1], "save") == 0;
    check(anf_ctx_new(NULL, &ctx));
    for (int i = 0; i < N_MODEL_GRAPHS; i++)
        for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++) {
            char path[4096];
            anf_model *m;
            snprintf(path, sizeof path, "%s/%s-%d.anf", argv[2], model_graphs[i].name, (int)opt);
            if (save) {
                m = compile(ctx, &model_graphs[i], opt);
                check(anf_model_save(m, path));
            } else {
                check(anf_model_load(ctx, path, &m));
            }
            print_outputs(model_graphs[i].name, m);
            anf_model_free(m);
        }
    anf_ctx_free(ctx);
    return 0;
}
