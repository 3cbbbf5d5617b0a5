/* Small networks that together compile to every instruction: for the tests of model files, and
 * for the seeds of the fuzzer.  Every one has at most a few kilobytes of weights.  Two operators
 * are never built inside one call: C leaves their order open, and with it the order of the
 * program. */
#ifndef ANF_TESTS_MODEL_GRAPHS_H
#define ANF_TESTS_MODEL_GRAPHS_H

#include "aneforge.h"

static inline anf_tensor w(anf_graph *g, uint64_t seed, anf_dims shape)
{
    return anf_random_weight(g, shape, seed, 0.5);
}
#define W(seed, ...) w(g, seed, ANF_SHAPE(__VA_ARGS__))

static inline void graph_mlp(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(3, 8));
    anf_tensor h = anf_relu(anf_linear(x, W(1, 20, 8), .bias = W(2, 20)));
    anf_output(anf_softmax(anf_matmul(h, W(3, 20, 5)), -1), "probabilities");
}

static inline void graph_cnn(anf_graph *g)
{
    anf_tensor x = anf_input(g, "image", ANF_SHAPE(2, 3, 9, 7));
    anf_tensor h = anf_conv(x, W(1, 8, 3, 3, 3), .bias = W(2, 8), .pad = 1, .stride = 2);
    h = anf_relu(anf_batch_norm(h, W(3, 8), W(4, 8), W(5, 8), anf_square(W(6, 8))));
    h = anf_add(anf_conv(h, W(7, 8, 1, 3, 3), .pad = 1, .groups = 8), h);
    h = anf_max_pool(h, 2, .stride = 1);
    h = anf_conv(h, W(8, 8, 4, 3, 2), .pad = 2, .groups = 2, .dilation = 2);
    h = anf_avg_pool(anf_silu(h), 3, .stride = 2, .pad = 1);
    h = anf_reshape(anf_mean(h, ANF_AXES(2, 3)), ANF_SHAPE(2, 8));
    anf_output(anf_matmul(h, W(9, 8, 4)), NULL);
}

static inline void graph_upscale(anf_graph *g)
{
    anf_tensor x = anf_image_input(g, "pixels", ANF_SHAPE(1, 2, 4, 5), (const double[]){0.02, 0.01},
                                   (const double[]){-1.0, 0.5}, 2);
    anf_tensor h = anf_conv_transpose(x, W(1, 2, 4, 3, 3), .stride = 2, .pad = 1, .bias = W(2, 4));
    h = anf_leaky_relu(h, 0.1);
    anf_output(anf_clip(anf_pixel_shuffle(h, 2), 0.0, 1.0), "sharp");
    anf_output(anf_upsample(anf_neg(x), 2), "soft");
}

static inline void graph_encoder(anf_graph *g)
{
    anf_tensor x = anf_input(g, "tokens", ANF_SHAPE(1, 5, 8));
    anf_tensor h = anf_layer_norm(x, W(1, 8), W(2, 8));
    x = anf_add(x, anf_mha(h, W(3, 8, 8), W(4, 8, 8), W(5, 8, 8), W(6, 8, 8), 2, .bq = W(7, 8)));
    h = anf_geglu(anf_rms_norm(x, W(8, 8)), W(9, 24, 8));
    anf_output(anf_add(x, anf_linear(h, W(10, 8, 12))), NULL);
}

static inline void graph_attention(anf_graph *g)
{
    anf_tensor q = anf_input(g, "q", ANF_SHAPE(2, 7, 4)), k = anf_input(g, "k", ANF_SHAPE(2, 5, 4));
    anf_tensor v = anf_input(g, "v", ANF_SHAPE(2, 5, 6)), m = anf_input(g, "mask", ANF_SHAPE(7, 5));
    anf_tensor s = anf_mul(anf_bmm(q, anf_transpose(k, ANF_AXES(0, 2, 1))), anf_scalar(g, 0.5));
    anf_output(anf_bmm(anf_softmax(anf_add(s, m), -1), v), NULL);
}

static inline void graph_products(anf_graph *g)
{
    anf_tensor a = anf_input(g, "a", ANF_SHAPE(2, 3, 4)), b = anf_input(g, "b", ANF_SHAPE(1, 4, 5));
    anf_tensor c = anf_input(g, "c", ANF_SHAPE(6, 5)), d = anf_input(g, "d", ANF_SHAPE(2, 1, 3, 3));
    anf_output(anf_linear(anf_bmm(a, b), c), "rows");
    anf_tensor i = anf_reshape(a, ANF_SHAPE(1, 2, 3, 4)), f = anf_expand(d, ANF_SHAPE(2, 2, 3, 3));
    anf_output(anf_conv(i, f, .pad = 1), "packed");
    anf_output(anf_conv_transpose(i, d, .stride = 2), NULL);
}

static inline void graph_reductions(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, 6, 5));
    anf_tensor n = anf_group_norm(x, W(1, 6), W(2, 6), 3);
    anf_output(anf_sum(n, ANF_AXES(2)), "sum");
    anf_output(anf_amax(n, ANF_AXES(1)), "max");
    anf_output(anf_amin(x, ANF_AXES(0)), "min");
    anf_output(anf_softmax(x, 1), "soft");
    anf_output(anf_l2_norm(anf_transpose(x, ANF_AXES(2, 0, 1)), -1), "unit");
}

static inline void graph_moves(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, 3, 4)), y = anf_input(g, "y", ANF_SHAPE(2, 2, 4));
    anf_tensor c = anf_concat(ANF_TENSORS(x, y, W(1, 2, 1, 4)), 1);
    anf_output(anf_transpose(c, ANF_AXES(2, 1, 0)), "turned");
    anf_output(anf_slice(c, ANF_SHAPE(0, 1, 1), ANF_SHAPE(2, 4, 2)), "cut");
    anf_output(anf_pixel_unshuffle(anf_reshape(c, ANF_SHAPE(1, 1, 8, 6)), 2), "blocks");
    anf_output(x, "same");
}

static inline void graph_elementwise(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(3, 4, 5)), y = anf_input(g, "y", ANF_SHAPE(4, 1));
    anf_tensor z = anf_input(g, "z", ANF_SCALAR);
    anf_tensor xy = anf_mul(x, y), h = anf_add(xy, anf_sigmoid(z));
    anf_tensor low = anf_less(x, h), a = anf_elu(h, 0.7), b = anf_pow(anf_abs(x), y);
    anf_tensor t = anf_select(low, a, b), d = anf_log(anf_exp(y), .eps = 0.5);
    anf_output(anf_maximum(t, anf_div(anf_gelu(t), d)), "chain");
    anf_output(anf_mul(z, anf_scalar(g, 3.0)), "scalar");
}

/* Two layers with the same weights, of which one copy is stored. */
static inline void graph_tied(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, 16));
    anf_tensor h = anf_tanh(anf_matmul(x, W(1, 16, 16)));
    anf_tensor s = anf_sum(anf_mul(W(1, 16, 16), anf_mean(h, ANF_AXES(0))), ANF_AXES(0));
    anf_output(anf_add(anf_linear(h, W(1, 16, 16)), s), NULL);
    anf_output(anf_mul(anf_matmul(h, W(2, 16, 8)), W(4, 8)), NULL);
    anf_output(anf_matmul(h, anf_reshape(W(2, 2, 8, 8), ANF_SHAPE(16, 8))), NULL);
}

/* Weights of which most are zero, also under the transposed product, and one of odd depth. */
static inline void graph_pruned(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(3, 24));
    anf_tensor few = anf_relu(anf_add(W(1, 18, 24), anf_scalar(g, -0.4)));
    anf_tensor h = anf_tanh(anf_linear(x, few, .bias = W(2, 18)));
    anf_output(anf_matmul(h, few), NULL);
    anf_output(anf_relu(anf_linear(anf_slice(x, ANF_SHAPE(0, 1), ANF_SHAPE(3, 7)), W(3, 5, 7))),
               NULL);
}

/* One such weight under single rows, under more and under many of them. */
static inline void graph_single(anf_graph *g)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 66));
    anf_tensor rows = anf_input(g, "rows", ANF_SHAPE(3, 66));
    anf_tensor many = anf_matmul(anf_transpose(anf_slice(x, ANF_SHAPE(0, 0), ANF_SHAPE(1, 64)),
                                               ANF_AXES(1, 0)), x);
    anf_tensor few = anf_relu(anf_add(W(1, 20, 66), anf_scalar(g, -0.4)));
    anf_output(anf_linear(x, few, .bias = W(2, 20)), NULL);
    anf_output(anf_linear(many, few, .bias = W(2, 20)), NULL);
    anf_output(anf_linear(rows, few), NULL);
    anf_output(anf_softmax(anf_linear(anf_scale(x, 2.0), few), -1), NULL);
}

static const struct model_graph {
    const char *name;
    void (*build)(anf_graph *g);
    anf_compress compress;
    double atol;
} model_graphs[] = {
    {"mlp", graph_mlp, ANF_COMPRESS_NONE, 0},
    {"cnn", graph_cnn, ANF_COMPRESS_NONE, 0},
    {"upscale", graph_upscale, ANF_COMPRESS_NONE, 0},
    {"encoder", graph_encoder, ANF_COMPRESS_NONE, 0},
    {"attention", graph_attention, ANF_COMPRESS_NONE, 0},
    {"products", graph_products, ANF_COMPRESS_NONE, 0},
    {"reductions", graph_reductions, ANF_COMPRESS_NONE, 0},
    {"moves", graph_moves, ANF_COMPRESS_NONE, 0},
    {"elementwise", graph_elementwise, ANF_COMPRESS_NONE, 0},
    {"pruned_int8", graph_pruned, ANF_COMPRESS_INT8, 0},
    {"pruned_int4", graph_pruned, ANF_COMPRESS_INT4, 0.5},
    {"pruned_sparse", graph_pruned, ANF_COMPRESS_SPARSE, 0},
    {"single_sparse", graph_single, ANF_COMPRESS_SPARSE, 0},
    {"pruned_blockwise", graph_pruned, ANF_COMPRESS_BLOCKWISE, 0},
    {"encoder_auto", graph_encoder, ANF_COMPRESS_AUTO, 0},
    {"tied_int8", graph_tied, ANF_COMPRESS_INT8, 0},
    {"tied", graph_tied, ANF_COMPRESS_NONE, 0},
};
enum { N_MODEL_GRAPHS = sizeof model_graphs / sizeof model_graphs[0] };

#endif
