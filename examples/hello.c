/* The smallest whole program: write mathematics, compile it once, run it. */
#include <aneforge.h>

#include <stdio.h>

int main(void)
{
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *net = NULL;
    const float w[3 * 2] = {1, 2, 3, 4, 5, 6};
    float x[3] = {1, -1, 0.5f}, y[2];
    if (anf_ctx_new(NULL, &ctx) != ANF_OK || anf_graph_new(ctx, &g) != ANF_OK) {
        fprintf(stderr, "%s\n", anf_last_error());
        return 1;
    }

    /* y = softmax(relu(x w) / 2): tensors are values, and nothing is computed yet. */
    anf_tensor in = anf_input(g, "x", ANF_SHAPE(1, 3));
    anf_tensor h = anf_relu(anf_matmul(in, anf_weight(g, ANF_ARRAY_F32(w, 3, 2))));
    anf_tensor out = anf_softmax(anf_mul(h, anf_scalar(g, 0.5)), -1);

    /* Any mistake above, such as shapes that do not fit, is reported here. */
    anf_array input = ANF_ARRAY_F32(x, 1, 3), output = ANF_ARRAY_F32(y, 1, 2);
    if (anf_compile(out, NULL, &net) != ANF_OK || anf_run(net, &input, &output) != ANF_OK) {
        fprintf(stderr, "%s\n", anf_last_error());
        return 1;
    }
    printf("softmax(relu(x w) / 2) = %.4f %.4f\n", (double)y[0], (double)y[1]);

    anf_model_free(net);
    anf_graph_free(g);
    anf_ctx_free(ctx);
    return 0;
}
