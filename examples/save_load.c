/* Compile once, ship one file: a model saved here runs on any machine, with the same bits.
 *
 *     save_load [FILE]      FILE is where the model goes; it is removed at the end without one */
#include <aneforge.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 10 };

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "save_load: %s\n", anf_last_error());
        exit(1);
    }
}

static anf_model *build(anf_ctx *ctx)
{
    anf_graph *g;
    anf_model *net;
    check(anf_graph_new(ctx, &g));
    anf_tensor x = anf_input(g, "image", ANF_SHAPE(1, 3, 16, 16));
    anf_tensor h =
        anf_relu(anf_conv(x, anf_random_weight(g, ANF_SHAPE(8, 3, 3, 3), 1, 0.2), .pad = 1));
    h = anf_max_pool(h, 2);
    h = anf_reshape(anf_mean(h, ANF_AXES(2, 3)), ANF_SHAPE(1, 8));
    h = anf_matmul(h, anf_random_weight(g, ANF_SHAPE(8, N), 2, 0.5));
    check(anf_compile(h, NULL, &net));
    anf_graph_free(g); /* the model keeps its own copy of the weights */
    return net;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "save_load.anf";
    static float image[3 * 16 * 16];
    float before[N], after[N];
    anf_array in = ANF_ARRAY_F32(image, 1, 3, 16, 16);
    anf_array first = ANF_ARRAY_F32(before, 1, N), second = ANF_ARRAY_F32(after, 1, N);
    anf_ctx *ctx, *other;
    anf_model *net, *loaded;
    for (int i = 0; i < 3 * 16 * 16; i++)
        image[i] = (float)(i % 17) / 17;

    check(anf_ctx_new(NULL, &ctx));
    net = build(ctx);
    check(anf_run(net, &in, &first));
    check(anf_model_save(net, path)); /* written beside and renamed: never half a file */

    /* Plain C kernels and one thread instead of the fastest ones: the answer is the same. */
    check(anf_ctx_new(&(anf_ctx_desc){.isa = "ref", .threads = 1}, &other));
    check(anf_model_load(other, path, &loaded));
    check(anf_run(loaded, &in, &second));

    const anf_port *port = anf_model_input(loaded, 0);
    printf("input '%s': %s, %zu elements\n", port->name, anf_dtype_name(port->dtype),
           port->n_elements);
    for (int i = 0; i < N; i++)
        printf("%8.4f", (double)after[i]);
    bool same = memcmp(before, after, sizeof before) == 0;
    printf("\nthe loaded model gives %s bits\n", same ? "the same" : "OTHER");

    anf_model_free(loaded);
    anf_model_free(net);
    anf_ctx_free(other);
    anf_ctx_free(ctx);
    if (argc < 2)
        remove(path);
    return same ? 0 : 1;
}
