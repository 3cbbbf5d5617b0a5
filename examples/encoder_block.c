/* One block of a transformer encoder, and a look at what the compiler made of it.
 *
 *     x = x + attention(layer_norm(x))
 *     x = x + down(gelu(up(layer_norm(x))))
 *
 * Nearly forty operators become nine instructions: bias, gelu and both additions run on the
 * results of the matrix products while they are in cache, and the attention scores never reach
 * memory. */
#include <aneforge.h>

#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 64, WIDTH = 128, HEADS = 4, HIDDEN = 4 * WIDTH };

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "encoder_block: %s\n", anf_last_error());
        exit(1);
    }
}

/* Weights a real program would read with anf_arrays_open. */
static anf_tensor weight(anf_graph *g, int64_t rows, int64_t columns)
{
    static uint64_t seed;
    return anf_random_weight(g, ANF_SHAPE(rows, columns), ++seed, 0.06);
}

static anf_tensor vector(anf_graph *g, int64_t n, float value)
{
    float data[HIDDEN];
    for (int64_t i = 0; i < n; i++)
        data[i] = value;
    return anf_weight(g, ANF_ARRAY_F32(data, n)); /* copied */
}

static anf_tensor encoder_block(anf_graph *g, anf_tensor x)
{
    anf_tensor one = vector(g, WIDTH, 1), zero = vector(g, WIDTH, 0);
    anf_tensor h = anf_layer_norm(x, one, zero);
    x = anf_add(x, anf_mha(h, weight(g, WIDTH, WIDTH), weight(g, WIDTH, WIDTH),
                           weight(g, WIDTH, WIDTH), weight(g, WIDTH, WIDTH), HEADS, .bq = zero));
    h = anf_layer_norm(x, one, zero);
    h = anf_gelu(anf_linear(h, weight(g, HIDDEN, WIDTH), .bias = vector(g, HIDDEN, 0.01f)));
    return anf_add(x, anf_linear(h, weight(g, WIDTH, HIDDEN)));
}

static anf_status to_stdout(void *user, const char *text, size_t n)
{
    (void)user;
    fwrite(text, 1, n, stdout);
    return ANF_OK;
}

int main(void)
{
    static float tokens[TOKENS * WIDTH], result[TOKENS * WIDTH];
    anf_array in = ANF_ARRAY_F32(tokens, 1, TOKENS, WIDTH),
              out = ANF_ARRAY_F32(result, 1, TOKENS, WIDTH);
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *net;
    for (int i = 0; i < TOKENS * WIDTH; i++)
        tokens[i] = (float)(i * 37 % 101) / 50 - 1;

    check(anf_ctx_new(NULL, &ctx));
    check(anf_graph_new(ctx, &g));
    anf_tensor x = anf_input(g, "tokens", ANF_SHAPE(1, TOKENS, WIDTH));
    check(anf_compile(encoder_block(g, x), NULL, &net));
    anf_graph_free(g);
    check(anf_run(net, &in, &out));

    printf("first token: %.4f %.4f %.4f %.4f ...\n\n", (double)result[0], (double)result[1],
           (double)result[2], (double)result[3]);
    check(anf_model_explain(net, to_stdout, NULL));

    anf_model_free(net);
    anf_ctx_free(ctx);
    return 0;
}
