/* Compression as a compile does it: which encoding a weight gets and what the report says, which
 * constants are weights, and that the result is the documented arithmetic on the decoded weights,
 * to the bit. */
#include "plain.h"

#include "aneforge.h"
#include "base/buf.h"
#include "weights_fixture.h"

#include <locale.h>
#include <stdio.h>

static anf_ctx *ctx;

static int setup(void **state)
{
    (void)state;
    return anf_ctx_new(&(anf_ctx_desc){.threads = 2}, &ctx) != ANF_OK;
}

static int teardown(void **state)
{
    (void)state;
    anf_ctx_free(ctx);
    return 0;
}

static void need(anf_status st)
{
    if (st != ANF_OK)
        fail_msg("%s", anf_last_error());
}

static anf_graph *new_graph(void)
{
    anf_graph *g;
    need(anf_graph_new(ctx, &g));
    return g;
}

static anf_weight_info info(const anf_model *m, int i)
{
    anf_weight_info w;
    assert_true(anf_model_weight(m, i, &w));
    return w;
}

static void expect_weight(const anf_model *m, int i, const char *name, anf_encoding encoding,
                          const char *why)
{
    anf_weight_info w = info(m, i);
    if (strcmp(w.name, name) != 0 || w.encoding != encoding || strcmp(w.why, why) != 0)
        fail_msg("%s is %s: %s\n  not %s is %s: %s", w.name, anf_encoding_name(w.encoding), w.why,
                 name, anf_encoding_name(encoding), why);
}

static anf_status collect(void *user, const char *text, size_t n)
{
    buf_put(user, text, n);
    return ANF_OK;
}

/* ---- what is chosen -------------------------------------------------------------------------- */
enum sample { SMOOTH, FEW, PRUNED, ZEROS, ODD, NOT_FINITE, STEPS };

static anf_model *compile_sample(enum sample sample, const anf_compile_opts *o)
{
    /* STEPS are 0, 7, 14, ... 1785. */
    size_t n = sample == STEPS ? 1 : 8, k = sample == STEPS ? 256 : sample == ODD ? 15 : 16;
    float w[256];
    uint64_t seed = 9;
    for (size_t i = 0; i < n * k; i++) {
        double x = wf_normal(&seed);
        w[i] = (float)(sample == STEPS    ? 7.0 * (double)i
                       : sample == FEW    ? floor(2 * x) / 2
                       : sample == ZEROS  ? 0
                       : sample == PRUNED ? (i % 3 ? 0 : x)
                                          : x);
    }
    if (sample == NOT_FINITE)
        w[5] = INFINITY;
    anf_graph *g = new_graph();
    anf_model *m;
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, (int64_t)k));
    const anf_tensor weight = anf_weight(g, ANF_ARRAY_F32(w, (int64_t)n, (int64_t)k));
    need(anf_compile(anf_linear(x, weight), o, &m));
    anf_graph_free(g);
    assert_int_equal(anf_model_n_weights(m), 1);
    return m;
}

#define SMOOTH_INT4 "int4 has error 0.06581, more than 0.05"
#define DENSE "0 of 128 elements are zero, sparse needs half of them"

static void each_mode_falls_back(void **state)
{
    (void)state;
    static const struct {
        enum sample sample;
        anf_compress mode;
        double atol;
        const char *target;
        anf_encoding want;
        const char *why;
    } cases[] = {
        {SMOOTH, ANF_COMPRESS_INT8, 0, NULL, ANF_ENCODING_INT8, "int8 was asked for"},
        {SMOOTH, ANF_COMPRESS_INT8, 1e-9, NULL, ANF_ENCODING_INT8, "int8 was asked for"},
        {SMOOTH, ANF_COMPRESS_INT8, 0, "h13", ANF_ENCODING_INT8, "int8 was asked for"},
        {NOT_FINITE, ANF_COMPRESS_INT8, 0, NULL, ANF_ENCODING_F16, "int8 needs finite elements"},
        {SMOOTH, ANF_COMPRESS_INT4, 0, NULL, ANF_ENCODING_INT8, SMOOTH_INT4},
        {SMOOTH, ANF_COMPRESS_INT4, 0.1, NULL, ANF_ENCODING_INT4,
         "int4 has error 0.06581, within 0.1"},
        {FEW, ANF_COMPRESS_INT4, 1e-300, NULL, ANF_ENCODING_INT4,
         "int4 has error 0, within 1e-300"},
        {FEW, ANF_COMPRESS_INT4, ANF_ATOL_EXACT, NULL, ANF_ENCODING_INT4,
         "int4 has error 0, within 0"},
        {SMOOTH, ANF_COMPRESS_BLOCKWISE, ANF_ATOL_EXACT, NULL, ANF_ENCODING_INT8,
         "blockwise with 16 per scale has error 0.005025, more than 0"},
        {ODD, ANF_COMPRESS_INT4, 1, NULL, ANF_ENCODING_INT8,
         "int4 needs an even depth, this is 15"},
        {NOT_FINITE, ANF_COMPRESS_INT4, 1, NULL, ANF_ENCODING_F16,
         "int4 needs finite elements; int8 needs finite elements"},
        {STEPS, ANF_COMPRESS_INT4, 1e-4, NULL, ANF_ENCODING_INT8,
         "int4 has error 0.03128, more than 0.0001"},
        {STEPS, ANF_COMPRESS_AUTO, 1e-4, NULL, ANF_ENCODING_INT8,
         "1 of 256 elements are zero, sparse needs half of them; "
         "int4 has error 0.03128, more than 0.0001"},
        {STEPS, ANF_COMPRESS_AUTO, 1e-4, " H13\t", ANF_ENCODING_F16,
         "1 of 256 elements are zero, sparse needs half of them; "
         "int4 has error 0.03128, more than 0.0001; int8 does not stream on h13"},
        {STEPS, ANF_COMPRESS_AUTO, 1e-4, "h14", ANF_ENCODING_INT8,
         "1 of 256 elements are zero, sparse needs half of them; "
         "int4 has error 0.03128, more than 0.0001"},
        {PRUNED, ANF_COMPRESS_SPARSE, 0, NULL, ANF_ENCODING_SPARSE,
         "85 of 128 elements are zero"},
        {SMOOTH, ANF_COMPRESS_SPARSE, 0, NULL, ANF_ENCODING_F16, DENSE},
        {ZEROS, ANF_COMPRESS_SPARSE, 0, NULL, ANF_ENCODING_F16,
         "all elements are zero, sparse needs some that are not"},
        {SMOOTH, ANF_COMPRESS_BLOCKWISE, 0, NULL, ANF_ENCODING_BLOCKWISE,
         "blockwise with 16 per scale has error 0.005025, within 0.05"},
        {SMOOTH, ANF_COMPRESS_BLOCKWISE, 1e-3, NULL, ANF_ENCODING_INT8,
         "blockwise with 16 per scale has error 0.005025, more than 0.001"},
        {NOT_FINITE, ANF_COMPRESS_BLOCKWISE, 0, NULL, ANF_ENCODING_F16,
         "blockwise needs finite elements; int8 needs finite elements"},
        {PRUNED, ANF_COMPRESS_AUTO, 0, "h13", ANF_ENCODING_SPARSE, "85 of 128 elements are zero"},
        {PRUNED, ANF_COMPRESS_AUTO, 0, "h16s", ANF_ENCODING_SPARSE, "85 of 128 elements are zero"},
        {ZEROS, ANF_COMPRESS_AUTO, 0, NULL, ANF_ENCODING_INT4,
         "all elements are zero, sparse needs some that are not; int4 has error 0, within 0.05"},
        {SMOOTH, ANF_COMPRESS_AUTO, 0, NULL, ANF_ENCODING_INT8, DENSE "; " SMOOTH_INT4},
        {SMOOTH, ANF_COMPRESS_AUTO, 0, "h13", ANF_ENCODING_F16,
         DENSE "; " SMOOTH_INT4 "; int8 does not stream on h13"},
        {SMOOTH, ANF_COMPRESS_AUTO, 0.1, "h13", ANF_ENCODING_INT4,
         DENSE "; int4 has error 0.06581, within 0.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const anf_compile_opts o = {.compress = cases[i].mode,
                                    .compress_atol = cases[i].atol,
                                    .target = cases[i].target};
        anf_model *m = compile_sample(cases[i].sample, &o);
        expect_weight(m, 0, "linear_0.weight", cases[i].want, cases[i].why);
        anf_model_free(m);
    }
}

static void the_target_says_what_streams(void **state)
{
    (void)state;
    static const struct {
        const char *chip;
        int family;
        bool int8, int4, sparse, blockwise;
    } chips[] = {
        {"h13", 2, false, true, true, false}, {"H13G", 2, false, true, true, false},
        {"h14c", 3, true, true, true, false}, {" m11 ", 4, true, true, true, true},
        {"h16s", 5, true, true, true, true},  {"h18", 5, true, true, true, true},
        {"t0", 1, true, true, true, true},    {"u1", 0, false, false, false, false},
        {"", 0, false, false, false, false},  {"h1", 0, false, false, false, false},
        {"h133", 0, false, false, false, false}};
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        int f = anf_target_family(chips[i].chip);
        assert_int_equal(f, chips[i].family);
        assert_int_equal(anf_family_streams(f, ANF_ENCODING_F16), f != 0);
        assert_int_equal(anf_family_streams(f, ANF_ENCODING_INT8), chips[i].int8);
        assert_int_equal(anf_family_streams(f, ANF_ENCODING_INT4), chips[i].int4);
        assert_int_equal(anf_family_streams(f, ANF_ENCODING_SPARSE), chips[i].sparse);
        assert_int_equal(anf_family_streams(f, ANF_ENCODING_BLOCKWISE), chips[i].blockwise);
    }
    assert_int_equal(anf_target_family(NULL), 0);
    assert_false(anf_family_streams(6, ANF_ENCODING_INT4));
    assert_false(anf_family_streams(2, (anf_encoding)5));
    assert_string_equal(anf_encoding_name((anf_encoding)5), "?");
    for (int folded = 0; folded < 2; folded++) {
        const anf_compile_opts o = {.compress = folded ? ANF_COMPRESS_INT8 : ANF_COMPRESS_SPARSE,
                                    .target = "h13"};
        anf_model *m = compile_sample(PRUNED, &o);
        assert_int_equal(info(m, 0).streams, !folded);
        anf_model_free(m);
    }
}

static void options_are_checked(void **state)
{
    (void)state;
    static const struct {
        anf_compile_opts o;
        const char *message;
    } cases[] = {
        {{.compress = (anf_compress)6}, "compile: unknown compress mode 6"},
        {{.compress_atol = -1},
         "compile: compress_atol is -1, needs a finite number of at least 0"},
        {{.compress_atol = NAN},
         "compile: compress_atol is nan, needs a finite number of at least 0"},
        {{.compress_atol = INFINITY},
         "compile: compress_atol is inf, needs a finite number of at least 0"},
        {{.block_size = -4}, "compile: block_size is -4, needs at least 1 (or 0 for the default)"},
        {{.compress = ANF_COMPRESS_AUTO, .target = "m1"},
         "compile: unknown target 'm1'; known: h11, h12, m9, t0, h13, h13g, t1, h14, h14g, h14c, "
         "h15, h15g, h15c, m11, h16, h16g, h16c, h16s, h17, h17a, h17g, h17s, h17c, h17d, h18"},
        {{.target = "h13"},
         "compile: target 'h13' is given without compress, which alone depends on it"},
        {{.opt = (anf_opt)2, .compress = ANF_COMPRESS_INT8}, "compile: unknown opt level 2"},
    };
    anf_graph *g = new_graph();
    anf_tensor y = anf_relu(anf_input(g, "x", ANF_SHAPE(2, 3)));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        anf_model *m;
        assert_int_equal(anf_compile(y, &cases[i].o, &m), ANF_E_ARG);
        assert_string_equal(anf_last_error(), cases[i].message);
        assert_null(m);
    }
    const char *const before_h13[] = {"h11", "h12", "M9", " t0 "};
    for (size_t i = 0; i < sizeof before_h13 / sizeof *before_h13; i++) {
        char message[96];
        anf_model *m;
        snprintf(message, sizeof message, "compile: target '%s' runs no compiled program, needs "
                 "H13+ (h13 or later)", before_h13[i]);
        assert_int_equal(anf_compile(y, &(anf_compile_opts){.compress = ANF_COMPRESS_INT8,
                                                            .target = before_h13[i]}, &m),
                         ANF_E_UNSUPPORTED);
        assert_string_equal(anf_last_error(), message);
        assert_null(m);
    }
    /* A program of the first version knows nothing of what came behind. */
    anf_compile_opts first = {.size = offsetof(anf_compile_opts, compress),
                              .compress = (anf_compress)77, .block_size = -1};
    anf_model *m;
    need(anf_compile(y, &first, &m));
    assert_int_equal(anf_model_n_weights(m), 0);
    anf_weight_info w;
    assert_false(anf_model_weight(m, 0, &w));
    assert_false(anf_model_weight(NULL, 0, &w));
    assert_int_equal(anf_model_n_weights(NULL), 0);
    assert_int_equal(anf_model_weights_print(m, false, NULL, NULL), ANF_E_ARG);
    assert_string_equal(anf_last_error(), "anf_model_weights_print: model or sink is NULL");
    anf_model_free(m);
    anf_graph_free(g);
}

/* ---- which constants, by which names --------------------------------------------------------- */
static void composites_have_weights(void **state)
{
    (void)state;
    for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++) {
        anf_graph *g = new_graph();
        anf_tensor x = anf_input(g, "x", ANF_SHAPE(4, 8)), w[9];
        for (uint64_t i = 0; i < 7; i++)
            w[i] = anf_random_weight(g, ANF_SHAPE(8, 8), i, 0.3);
        w[7] = anf_random_weight(g, ANF_SHAPE(8, 6), 7, 0.3);
        w[8] = anf_random_weight(g, ANF_SHAPE(16, 8), 8, 0.3);
        anf_tensor h = anf_mha(x, w[0], w[1], w[2], w[3], 2);
        h = anf_layer_norm(h, anf_random_weight(g, ANF_SHAPE(8), 20, 1),
                           anf_random_weight(g, ANF_SHAPE(8), 21, 1));
        anf_tensor same = anf_transpose(w[7], ANF_AXES(0, 1)), context = anf_matmul(x, w[7]);
        h = anf_cross_attention(h, context, w[4], same, w[7], w[5], 2);
        h = anf_geglu(h, w[8]);
        anf_tensor image = anf_reshape(h, ANF_SHAPE(1, 4, 2, 4));
        h = anf_conv(image, anf_random_weight(g, ANF_SHAPE(2, 4, 1, 1), 9, 0.5));
        anf_model *m;
        const anf_compile_opts o = {.opt = opt, .compress = ANF_COMPRESS_INT8};
        need(anf_compile(h, &o, &m));
        /* w[7] is read both ways round, so it is two weights; equal constants are merged. */
        const char *want =
            opt == ANF_OPT_DEFAULT
                ? "mha_0.wq mha_0.wk mha_0.wv mha_0.wo matmul_0.w cross_attention_0.wq "
                  "matmul_0.w.2 cross_attention_0.wo geglu_0.w geglu_0.w.2 "
                : "mha_0.wq mha_0.wk mha_0.wv mha_0.wo matmul_0.w cross_attention_0.wq "
                  "cross_attention_0.wk matmul_0.w.2 cross_attention_0.wo geglu_0.w geglu_0.w.2 ";
        char all[1024] = "";
        for (int i = 0; i < anf_model_n_weights(m); i++) {
            strcat(strcat(all, info(m, i).name), " ");
            assert_int_equal(info(m, i).encoding, ANF_ENCODING_INT8);
        }
        assert_string_equal(all, want);
        assert_int_equal(info(m, anf_model_n_weights(m) - 1).shape.dim[0], 8); /* half of it */
        anf_model_free(m);
        anf_graph_free(g);
    }
}

static void names_come_from_the_text(void **state)
{
    (void)state;
    static const char text[] = "aneforge-graph 1\n"
                               "x = input f16[6,6]\n"
                               "first = const f16[6,6] random(seed=1, std=0.5)\n"
                               "%3 = const f16[6,6] random(seed=2, std=0.5)\n"
                               "a = matmul(x, first)\n"
                               "b = linear(a, first)\n"
                               "c = linear(b, %3)\n"
                               "d = matmul(c, %3)\n"
                               "turned = transpose(%3, perm=[1,0])\n"
                               "e = mul(d, first)\n"
                               "f = linear(e, turned)\n"
                               "return f\n";
    anf_graph *g;
    anf_model *m;
    struct buf b;
    need(anf_graph_parse(ctx, text, strlen(text), NULL, &g));
    const anf_compile_opts o = {.compress = ANF_COMPRESS_INT8};
    need(anf_compile_graph(g, &o, &m));
    static const char *const names[] = {"first", "first.2", "linear_1.weight", "linear_1.weight.2",
                                        "turned"};
    assert_int_equal(anf_model_n_weights(m), 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(info(m, i).name, names[i]);
    /* `first` is a factor too, in float16: three forms of it. */
    buf_init(&b, &alloc_default);
    need(anf_model_explain(m, collect, &b));
    assert_non_null(strstr(b.data, "72 B"));
    buf_free(&b);
    anf_model_free(m);
    anf_graph_free(g);
}

/* ---- the arithmetic -------------------------------------------------------------------------- */
static double of(f16 h)
{
    return (double)f16_to_f32(h);
}

/* The contract of docs/compression.md on the encoded form. */
static void expected(const struct encoded *e, const f16 *x, size_t rows, const f16 *bias, f16 *y)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < e->n; j++) {
            float s = 0;
            for (size_t i = 0; i < e->k; i++) {
                size_t at = j * e->k + i;
                float w = e->encoding == ANF_ENCODING_INT8    ? (float)e->q[at]
                          : e->encoding == ANF_ENCODING_INT4
                              ? f16_to_f32(e->codebook[e->index[at]])
                          : e->encoding == ANF_ENCODING_BLOCKWISE
                              ? (float)e->q[at] * f16_to_f32(e->scale[at / e->block])
                              : f16_to_f32(e->w[at]);
                s = fmaf(f16_to_f32(x[r * e->k + i]), w, s);
            }
            if (e->encoding == ANF_ENCODING_INT8)
                s = s * f16_to_f32(e->scale[j]);
            y[r * e->n + j] = f32_to_f16(bias ? s + f16_to_f32(bias[j]) : s);
        }
}

static void expect_product(const char *kind, anf_compress mode, size_t rows, size_t n, size_t k,
                           bool matmul, const char *isa, int threads)
{
    struct encode_memory memory;
    struct compress_opts opts;
    struct encoded e;
    char why[WHY_MAX];
    const anf_compile_opts o = {.compress = mode, .compress_atol = 1, .block_size = 8};
    f16 *w = wf_weight(kind, n * k, k), *x = wf_weight("normal", rows * k, n + 1);
    f16 *given = malloc(n * k * sizeof *given), *bias = wf_weight("normal", n, 5);
    f16 *y = malloc(rows * n * sizeof *y), *want = malloc(rows * n * sizeof *want);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++)
            given[matmul ? i * n + j : j * k + i] = w[j * k + i];
    wf_memory_init(&memory);
    need(compress_opts_read(&o, &opts));
    need(choose_encoding(&(struct weight){w, n, k}, &opts, &memory, &e, why));

    anf_ctx *other;
    anf_graph *g;
    anf_model *m;
    need(anf_ctx_new(&(anf_ctx_desc){.isa = isa, .threads = threads}, &other));
    need(anf_graph_new(other, &g));
    int64_t r = (int64_t)rows, nn = (int64_t)n, kk = (int64_t)k;
    anf_tensor in = anf_input(g, "x", ANF_SHAPE(r, kk));
    if (matmul)
        need(anf_compile(anf_matmul(in, anf_weight(g, ANF_ARRAY_F16(given, kk, nn))), &o, &m));
    else
        need(anf_compile(anf_linear(in, anf_weight(g, ANF_ARRAY_F16(given, nn, kk)),
                                    .bias = anf_weight(g, ANF_ARRAY_F16(bias, nn))), &o, &m));
    assert_int_equal(info(m, 0).encoding, e.encoding);
    assert_true(info(m, 0).error == e.error);
    assert_int_equal(info(m, 0).bytes_before, 2 * n * k);
    assert_int_equal(info(m, 0).bytes_after, e.n_bytes);
    anf_array a = ANF_ARRAY_F16(x, r, kk), b = ANF_ARRAY_F16(y, r, nn);
    need(anf_run(m, &a, &b));
    expected(&e, x, rows, matmul ? NULL : bias, want);
    for (size_t i = 0; i < rows * n; i++)
        if (y[i] != want[i])
            fail_msg("%s %s [%zu,%zu] rows %zu on %s: element %zu is %g, not %g", kind,
                     anf_encoding_name(e.encoding), n, k, rows, isa, i, of(y[i]), of(want[i]));
    anf_model_free(m);
    anf_graph_free(g);
    anf_ctx_free(other);
    wf_memory_free(&memory);
    free(w), free(x), free(given), free(bias), free(y), free(want);
}

static void results_are_those_of_the_decoded_weights(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 16, 32}, {3, 33, 40}, {37, 50, 130}, {1, 1, 2}};
    static const char *const kinds[] = {"normal", "sparse", "outliers"};
    for (int i = 0; i < anf_isa_count(); i++)
        for (size_t s = 0; s < 4 && anf_isa_available(i); s++)
            for (size_t kind = 0; kind < 3; kind++)
                for (anf_compress mode = ANF_COMPRESS_INT8; mode <= ANF_COMPRESS_AUTO; mode++)
                    expect_product(kinds[kind], mode, shapes[s][0], shapes[s][1], shapes[s][2],
                                   s % 2 == 0, anf_isa_name(i), 1 + (int)s % 3);
}

/* int4 and sparse weights are binary16 values: the model with those as weights is the same. */
static void decoded_float16_weights_give_the_same_bits(void **state)
{
    (void)state;
    enum { N = 48, K = 64, ROWS = 5 };
    for (int sparse = 0; sparse < 2; sparse++) {
        const anf_compile_opts o = {.compress = sparse ? ANF_COMPRESS_SPARSE : ANF_COMPRESS_INT4,
                                    .compress_atol = 1};
        struct encode_memory memory;
        struct compress_opts opts;
        struct encoded e;
        char why[WHY_MAX];
        f16 *w = wf_weight(sparse ? "sparse" : "laplace", N * K, 3);
        static float decoded[N * K], x[ROWS * K], a[ROWS * N], b[ROWS * N];
        wf_memory_init(&memory);
        need(compress_opts_read(&o, &opts));
        need(choose_encoding(&(struct weight){w, N, K}, &opts, &memory, &e, why));
        assert_int_equal(e.encoding, sparse ? ANF_ENCODING_SPARSE : ANF_ENCODING_INT4);
        encoded_decode(&e, decoded);
        anf_graph *g = new_graph();
        anf_model *m, *plain;
        anf_tensor in = anf_input(g, "x", ANF_SHAPE(ROWS, K));
        need(anf_compile(anf_linear(in, anf_weight(g, ANF_ARRAY_F16(w, N, K))), &o, &m));
        const anf_tensor weight = anf_weight(g, ANF_ARRAY_F32(decoded, N, K));
        need(anf_compile(anf_linear(in, weight), NULL, &plain));
        for (int i = 0; i < ROWS * K; i++)
            x[i] = (float)(i % 17) / 8 - 1;
        anf_array ax = ANF_ARRAY_F32(x, ROWS, K), aa = ANF_ARRAY_F32(a, ROWS, N);
        anf_array bb = ANF_ARRAY_F32(b, ROWS, N);
        need(anf_run(m, &ax, &aa));
        need(anf_run(plain, &ax, &bb));
        assert_memory_equal(a, b, sizeof a);
        anf_model_stats s, s2;
        anf_model_get_stats(m, &s);
        anf_model_get_stats(plain, &s2);
        assert_true((double)s.weight_bytes < (sparse ? 0.75 : 0.27) * (double)s2.weight_bytes);
        anf_model_free(m);
        anf_model_free(plain);
        anf_graph_free(g);
        wf_memory_free(&memory);
        free(w);
    }
}

/* ---- progress, report ------------------------------------------------------------------------ */
struct watch {
    uint64_t last, total, stop_at;
    int calls;
};

static bool watch(void *user, uint64_t done, uint64_t total)
{
    struct watch *w = user;
    assert_true(done >= w->last && done <= total);
    assert_true(!w->total || w->total == total);
    w->last = done;
    w->total = total;
    w->calls++;
    return !w->stop_at || done < w->stop_at;
}

static void progress_can_cancel(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor h = anf_input(g, "x", ANF_SHAPE(1, 16));
    for (uint64_t i = 0; i < 20; i++)
        h = anf_linear(h, anf_random_weight(g, ANF_SHAPE(16, 16), i, 0.3));
    struct watch w = {0};
    anf_compile_opts o = {.compress = ANF_COMPRESS_INT8, .progress = watch, .progress_user = &w};
    anf_model *m;
    need(anf_compile(h, &o, &m));
    anf_model_free(m);
    assert_int_equal(w.last, w.total);
    assert_true(w.calls >= 10);
    uint64_t total = w.total;
    for (uint64_t at = 1; at <= total; at += 9) {
        w = (struct watch){.stop_at = at};
        assert_int_equal(anf_compile(h, &o, &m), ANF_E_CANCELLED);
        assert_null(m);
        static const char message[] = "compile: cancelled by the progress callback ";
        assert_int_equal(strncmp(anf_last_error(), message, sizeof message - 1), 0);
    }
    w = (struct watch){.stop_at = total / 2};
    assert_int_equal(anf_compile(h, &o, &m), ANF_E_CANCELLED);
    assert_string_equal(anf_last_error(),
                        "compile: cancelled by the progress callback after compressing weights");
    anf_graph_free(g);
}

struct stage_text {
    struct buf text;
    int n;
};

static anf_status stage(void *user, const char *name, const char *text, size_t n)
{
    struct stage_text *s = user;
    s->n++;
    if (strcmp(name, "compress") == 0)
        buf_put(&s->text, text, n);
    return ANF_OK;
}

static void reports(void **state)
{
    (void)state;
    static const char text[] =
        "name             shape    encoding   bytes before        after  ratio     error  why\n"
        "matmul_0.w       [32,16]  int8               1024          544  0.531   0.00369  int8 was "
        "asked for (expanded on the target)\n"
        "linear_0.weight  [2,16]   int8                 64           36  0.562   0.00414  int8 was "
        "asked for (expanded on the target)\n"
        "2 weights, 1088 bytes as float16, 580 as encoded: 0.533\n";
    static const char json[] =
        "{\n  \"bytes_before\": 1088,\n  \"bytes_after\": 580,\n  \"weights\": [\n"
        "    {\"name\": \"matmul_0.w\", \"shape\": [32, 16], \"encoding\": \"int8\", "
        "\"bytes_before\": 1024, \"bytes_after\": 544, \"error\": 0.00368, \"streams\": false, "
        "\"why\": \"int8 was asked for\"},\n"
        "    {\"name\": \"linear_0.weight\", \"shape\": [2, 16], \"encoding\": \"int8\", "
        "\"bytes_before\": 64, \"bytes_after\": 36, \"error\": 0.00414, \"streams\": false, "
        "\"why\": \"int8 was asked for\"}\n  ]\n}\n";
    static const char *const comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "C"};
    for (size_t i = 0; i < sizeof comma / sizeof *comma; i++) {
        setlocale(LC_ALL, comma[i]);
        anf_graph *g = new_graph();
        anf_model *m;
        struct stage_text s = {.n = 0};
        struct buf b;
        buf_init(&s.text, &alloc_default);
        buf_init(&b, &alloc_default);
        anf_tensor h = anf_input(g, "x", ANF_SHAPE(1, 32));
        h = anf_matmul(h, anf_random_weight(g, ANF_SHAPE(32, 16), 1, 0.5));
        h = anf_linear(h, anf_random_weight(g, ANF_SHAPE(2, 16), 2, 0.5));
        const anf_compile_opts o = {.compress = ANF_COMPRESS_INT8, .target = "h13",
                                    .stage = stage, .stage_user = &s};
        need(anf_compile(h, &o, &m));
        assert_string_equal(s.text.data, text);
        need(anf_model_weights_print(m, false, collect, &b));
        assert_string_equal(b.data, text);
        buf_free(&b);
        need(anf_model_weights_print(m, true, collect, &b));
        /* errors with all their digits are held against those of the getter elsewhere */
        char *at = b.data;
        while ((at = strstr(at, "\"error\": "))) {
            at += strlen("\"error\": 0.00369");
            size_t n = strspn(at, "0123456789");
            memmove(at, at + n, strlen(at + n) + 1);
        }
        assert_string_equal(b.data, json);
        buf_free(&b);
        buf_free(&s.text);
        anf_model_free(m);
        anf_graph_free(g);
    }
    setlocale(LC_ALL, "C");
}

/* The layers of a sentence encoder of MiniLM's shape. */
static void an_encoder_shrinks(void **state)
{
    (void)state;
    static const struct {
        anf_compress mode;
        double atol, most;
    } cases[] = {{ANF_COMPRESS_INT8, 0, 0.52}, {ANF_COMPRESS_INT4, 0.2, 0.27},
                 {ANF_COMPRESS_BLOCKWISE, 0, 0.54}};
    anf_graph *g = new_graph();
    anf_tensor h = anf_input(g, "x", ANF_SHAPE(1, 8, 384));
    uint64_t seed = 1;
    for (int layer = 0; layer < 2; layer++) {
        anf_tensor w[6];
        for (int i = 0; i < 6; i++)
            w[i] = anf_random_weight(g, i < 4    ? ANF_SHAPE(384, 384)
                                        : i == 4 ? ANF_SHAPE(1536, 384)
                                                 : ANF_SHAPE(384, 1536), seed++, 0.04);
        h = anf_add(h, anf_mha(h, w[0], w[1], w[2], w[3], 12));
        h = anf_add(h, anf_linear(anf_gelu(anf_linear(h, w[4])), w[5]));
    }
    anf_model *plain, *m;
    anf_model_stats full, s;
    need(anf_compile(h, NULL, &plain));
    anf_model_get_stats(plain, &full);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const anf_compile_opts o = {.compress = cases[i].mode, .compress_atol = cases[i].atol};
        need(anf_compile(h, &o, &m));
        anf_model_get_stats(m, &s);
        assert_int_equal(anf_model_n_weights(m), 12);
        if ((double)s.weight_bytes > cases[i].most * (double)full.weight_bytes)
            fail_msg("mode %d: %zu bytes of %zu", (int)cases[i].mode, s.weight_bytes,
                     full.weight_bytes);
        anf_model_free(m);
    }
    anf_model_free(plain);
    anf_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mode_falls_back),
        cmocka_unit_test(the_target_says_what_streams),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(composites_have_weights),
        cmocka_unit_test(names_come_from_the_text),
        cmocka_unit_test(results_are_those_of_the_decoded_weights),
        cmocka_unit_test(decoded_float16_weights_give_the_same_bits),
        cmocka_unit_test(progress_can_cancel),
        cmocka_unit_test(reports),
        cmocka_unit_test(an_encoder_shrinks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
