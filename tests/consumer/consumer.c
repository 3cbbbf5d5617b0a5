/* A program outside the tree, built against an installed aneforge by nothing but its public
 * header. */
#include <aneforge.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    float x[4] = {-1, 0, 1, 2}, y[4] = {9, 9, 9, 9};
    anf_array in = ANF_ARRAY_F32(x, 2, 2), out = ANF_ARRAY_F32(y, 2, 2);
    anf_ctx *ctx = NULL;
    anf_graph *g = NULL;
    anf_model *net = NULL;
    char header[32];
    snprintf(header, sizeof header, "%d.%d.%d", ANF_VERSION_MAJOR, ANF_VERSION_MINOR,
             ANF_VERSION_PATCH);
    if (strcmp(header, anf_version()) != 0) {
        fprintf(stderr, "header %s, library %s\n", header, anf_version());
        return 1;
    }
    if (anf_ctx_new(NULL, &ctx) != ANF_OK || anf_graph_new(ctx, &g) != ANF_OK ||
        anf_compile(anf_relu(anf_input(g, "x", ANF_SHAPE(2, 2))), NULL, &net) != ANF_OK ||
        anf_run(net, &in, &out) != ANF_OK || y[0] != 0 || y[1] != 0 || y[2] != 1 || y[3] != 2) {
        fprintf(stderr, "%s\n", anf_last_error());
        return 1;
    }
    anf_model_free(net);
    anf_graph_free(g);
    anf_ctx_free(ctx);
    printf("aneforge %s works\n", header);
    return 0;
}
