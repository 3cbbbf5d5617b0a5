/* The public API as a user meets it: every refusal with its message, poisoned tensors, several
 * outputs, views, shared buffers, profiling, threads. */
#include "api_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Like expect, for messages that end in what the machine says. */
static void expect_start(anf_status got, anf_status want, const char *start)
{
    if (got != want || strncmp(anf_last_error(), start, strlen(start)) != 0)
        fail_msg("status %d, message:\n  %s\nwanted %d and:\n  %s...", (int)got, anf_last_error(),
                 (int)want, start);
}

static anf_status ignore(void *user, const char *text, size_t n)
{
    (void)text;
    *(size_t *)user += n;
    return ANF_OK;
}

/* ---- context --------------------------------------------------------------------------------- */
static void test_context(void **state)
{
    (void)state;
    anf_ctx *c = NULL;
    expect(anf_ctx_new(NULL, NULL), ANF_E_ARG, "anf_ctx_new: out is NULL");
    anf_ctx_desc d = {.size = 4096};
    expect_start(anf_ctx_new(&d, &c), ANF_E_ARG,
                 "anf_ctx_new: desc.size 4096 is larger than this library's ");
    /* "anf_ctx_new: desc.size 4096 is larger than this library's 48 (it is an older one)" */
    d = (anf_ctx_desc){.threads = -1};
    expect(anf_ctx_new(&d, &c), ANF_E_ARG, "anf_ctx_new: threads -1 must lie in 0..1024");
    d = (anf_ctx_desc){.isa = "sse9"};
    expect_start(anf_ctx_new(&d, &c), ANF_E_ARG, "unknown isa 'sse9'; available: ");
    anf_allocator half = {0};
    d = (anf_ctx_desc){.allocator = &half};
    expect(anf_ctx_new(&d, &c), ANF_E_ARG, "anf_ctx_new: the allocator needs both alloc and free");
    assert_null(c);
    for (int i = 0; i < anf_isa_count(); i++) {
        d = (anf_ctx_desc){.isa = anf_isa_name(i), .threads = 1};
        if (anf_isa_available(i)) {
            ok(anf_ctx_new(&d, &c));
            assert_string_equal(anf_ctx_isa(c), anf_isa_name(i));
            assert_int_equal(anf_ctx_threads(c), 1);
            anf_ctx_free(c);
        } else {
            /* "isa 'neon' needs aarch64, which this CPU does not have; available: ref" */
            char start[64];
            snprintf(start, sizeof start, "isa '%s' needs ", anf_isa_name(i));
            expect_start(anf_ctx_new(&d, &c), ANF_E_UNSUPPORTED, start);
        }
    }
    assert_null(anf_isa_name(-1));
    assert_null(anf_isa_needs(100));
    assert_false(anf_isa_available(100));
    assert_string_equal(anf_ctx_isa(NULL), "");
    anf_ctx_free(NULL);
    assert_string_equal(anf_version(), "0.1.0");
    assert_string_equal(anf_status_text(ANF_E_SHAPE), "shape mismatch");
    assert_string_equal(anf_status_text((anf_status)77), "unknown status");
    assert_string_equal(anf_dtype_name((anf_dtype)77), "?");
    assert_int_equal(anf_dtype_size(ANF_F64), 8);
    assert_int_equal(anf_f16_from_f32(1.0f), 0x3c00);
    assert_true(anf_f16_to_f32(0x7bff) == 65504.0f);
}

/* ---- building -------------------------------------------------------------------------------- */
/* The first error of a graph, reported by compile as well. */
static void expect_graph(anf_graph *g, anf_tensor t, anf_status want, const char *message)
{
    const char *kept;
    anf_model *m;
    assert_int_equal(t.id, 0);
    assert_ptr_equal(t.graph, g);
    anf_status st = anf_graph_error(g, &kept);
    if (st != want || strcmp(kept, message) != 0)
        fail_msg("graph error %d: %s\nwanted %d: %s", (int)st, kept, (int)want, message);
    expect(anf_compile(anf_relu(t), NULL, &m), want, message);
    assert_null(m);
    anf_graph_free(g);
}

static void test_graph_mistakes(void **state)
{
    (void)state;
    anf_graph *g;
    float ones[4] = {1, 1, 1, 1};
    int32_t whole[4] = {1, 2, 3, 4};
    double nan = strtod("nan", NULL);
    expect(anf_graph_new(ctx, NULL), ANF_E_ARG, "anf_graph_new: out is NULL");
    expect(anf_graph_new(NULL, &g), ANF_E_ARG, "anf_graph_new: ctx is NULL");
    expect(anf_graph_error(NULL, NULL), ANF_E_ARG, "anf_graph_error: graph is NULL");

    g = new_graph();
    expect_graph(g, anf_weight(g, anf_array_of(whole, ANF_I32, ANF_SHAPE(4))), ANF_E_DTYPE,
                 "weight: dtype int32 of [4] is not accepted; use float16, float32 or float64");
    g = new_graph();
    expect_graph(g, anf_weight(g, ANF_ARRAY_F32(ones, 2, 0)), ANF_E_SHAPE,
                 "weight: shape [2,0] needs rank 0..8 and dims of at least 1");
    g = new_graph();
    expect_graph(g, anf_weight(g, ANF_ARRAY_F32(NULL, 2)), ANF_E_ARG,
                 "weight: data of [2] is NULL");
    g = new_graph();
    expect_graph(g, anf_image_input(g, NULL, ANF_SHAPE(1, 2, 4, 4), ((double[]){1, 2, 3}), NULL, 3),
                 ANF_E_SHAPE,
                 "image_input: 3 scales or biases need a shape [N,3,H,W], given [1,2,4,4]");
    g = new_graph();
    expect_graph(g, anf_image_input(g, NULL, ANF_SHAPE(1, 1, 4, 4), &nan, NULL, 1), ANF_E_ARG,
                 "image_input: scale and bias must be finite");
    g = new_graph();
    expect_graph(g, anf_input(g, "x", ANF_SHAPE(1, -2)), ANF_E_SHAPE,
                 "input: shape [1,-2] of 'x' needs rank 0..8 and dims of at least 1");
    g = new_graph();
    expect_graph(g, anf_random_weight(g, ANF_SHAPE(0), 1, 1), ANF_E_SHAPE,
                 "constant: shape [0] needs rank 0..8 and dims of at least 1");
    g = new_graph();
    expect_graph(g, anf_random_weight(g, ANF_SHAPE(1), 1, -1), ANF_E_ARG,
                 "random weight: std -1 must lie in 0..65504");
    g = new_graph();
    expect_graph(
        g, anf_input(g, "two words", ANF_SHAPE(1)), ANF_E_ARG,
        "input: name 'two words' must be a letter or _ followed by letters, digits, _ or . "
        "(at most 200 characters)");
    g = new_graph();
    (void)anf_input(g, "x", ANF_SHAPE(1));
    expect_graph(g, anf_input(g, "x", ANF_SHAPE(1)), ANF_E_ARG,
                 "input: the name 'x' is taken by another input");
}

static void test_operator_mistakes(void **state)
{
    (void)state;
    anf_graph *g = new_graph(), *other = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8)), many[65];
    anf_tensor stranger = anf_input(other, "x", ANF_SHAPE(1)), gone = {g, 999};
    anf_attr a = {.name = "stride", .type = ANF_ATTR_FLOAT, .f = 2};
    for (int i = 0; i < 65; i++)
        many[i] = x;
    expect_graph(g, anf_op(g, "sofmax", &x, 1, NULL, 0), ANF_E_ARG, "unknown operator 'sofmax'");

    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    expect_graph(g, anf_op(g, "concat", many, -1, NULL, 0), ANF_E_ARG,
                 "concat: -1 operands given, at most 1048576 are possible");
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    many[0] = many[1] = x;
    expect_graph(g, anf_op(g, "relu", many, 2, NULL, 0), ANF_E_ARG,
                 "relu: 2 operands given, it takes 1");
    g = new_graph();
    expect_graph(g, anf_op(g, "relu", &stranger, 1, NULL, 0), ANF_E_ARG,
                 "relu: operand 0 belongs to another graph");
    g = new_graph();
    gone.graph = g;
    expect_graph(g, anf_op(g, "relu", &gone, 1, NULL, 0), ANF_E_ARG,
                 "relu: operand 'x' is not a value of this graph");
    g = new_graph();
    expect_graph(g, anf_op(g, "relu", NULL, 0, NULL, 0), ANF_E_ARG, "relu: operand 'x' is missing");
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    expect_graph(g, anf_op(g, "max_pool", &x, 1, &a, 1), ANF_E_ATTR,
                 "max_pool: attribute 'stride' has the wrong type");
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    expect_graph(g, anf_op(g, "max_pool", &x, 1, NULL, 0), ANF_E_ATTR,
                 "max_pool: attribute 'k' is required");
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    a = (anf_attr){.name = "strude", .type = ANF_ATTR_INT, .i = 1};
    expect_graph(g, anf_op(g, "max_pool", &x, 1, &a, 1), ANF_E_ATTR,
                 "max_pool: no attribute 'strude'");
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    a = (anf_attr){.name = "shape", .type = ANF_ATTR_INTS, .ints = {9, {0}}};
    expect_graph(g, anf_op(g, "reshape", &x, 1, &a, 1), ANF_E_ATTR,
                 "reshape: attribute 'shape' has 9 numbers, at most 8 are possible");
    /* The example of the header: the message names the shapes and the need. */
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(1, 3, 8, 8));
    expect_graph(g, anf_conv(x, anf_random_weight(g, ANF_SHAPE(16, 4, 3, 3), 1, 1)), ANF_E_SHAPE,
                 "conv: weight [16,4,3,3] needs Cin 4, x [1,3,8,8] has 3");
    anf_graph_free(other);
    anf_graph_free(NULL);
}

static void test_poison_keeps_the_first_error(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, 3));
    anf_tensor bad = anf_reshape(x, ANF_SHAPE(7));
    anf_tensor later = anf_softmax(anf_transpose(bad, ANF_AXES(5)), 9);
    const char *message;
    char first[ANF_ERROR_MAX];
    assert_int_equal(later.id, 0);
    assert_int_equal(anf_shape(later).rank, -1);
    assert_int_equal(anf_shape(x).rank, 2);
    assert_int_equal(anf_tensor_dtype(x), ANF_F16);
    assert_int_equal(anf_tensor_dtype(later), ANF_F16);
    assert_int_equal(anf_graph_error(g, &message), ANF_E_SHAPE);
    assert_true(strncmp(message, "reshape: ", 9) == 0);
    strcpy(first, message);
    expect(anf_output(x, "y"), ANF_E_SHAPE, first);
    size_t n = 0;
    expect(anf_graph_print(g, false, ignore, &n), ANF_E_SHAPE, first);
    anf_graph_free(g);
    /* Builders on no graph at all give no graph back. */
    assert_null(anf_input(NULL, "x", ANF_SHAPE(1)).graph);
    assert_null(anf_scalar(NULL, 1).graph);
    assert_null(anf_image_input(NULL, "x", ANF_SHAPE(1), NULL, NULL, 1).graph);
    assert_null(anf_random_weight(NULL, ANF_SHAPE(1), 1, 1).graph);
    assert_null(anf_op(NULL, "relu", NULL, 0, NULL, 0).graph);
}

static void test_output_mistakes(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2)), none = {0};
    anf_model *m;
    size_t n = 0;
    expect(anf_output(none, "y"), ANF_E_ARG, "anf_output: the tensor belongs to no graph");
    expect(anf_compile_graph(g, NULL, &m), ANF_E_STATE, "compile: the graph has no outputs");
    expect(anf_graph_print(NULL, false, ignore, &n), ANF_E_ARG,
           "anf_graph_print: graph or sink is NULL");
    anf_graph_free(g);

    /* A refused output is the graph's error: compile reports it. */
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"9",
         "output: name '9' must be a letter or _ followed by letters, digits, _ or . (at most 200 "
         "characters)"},
        {"y", "output: the name 'y' is taken by another output"},
    };
    for (int k = 0; k < 2; k++) {
        g = new_graph();
        x = anf_input(g, "x", ANF_SHAPE(2));
        ok(anf_output(x, "y"));
        expect(anf_output(x, cases[k].name), ANF_E_ARG, cases[k].message);
        expect(anf_compile_graph(g, NULL, &m), ANF_E_ARG, cases[k].message);
        anf_graph_free(g);
    }
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(2));
    expect(anf_output(anf_greater(x, x), "y"), ANF_E_DTYPE,
           "output: 'y' is bool, an output must be float16 (use cast)");
    anf_graph_free(g);
    g = new_graph();
    expect(anf_output((anf_tensor){g, 99}, "y"), ANF_E_ARG, "output: not a value of this graph");
    anf_graph_free(g);

    anf_graph *parsed;
    anf_parse_opts o = {.size = 999};
    expect(anf_graph_parse(ctx, NULL, 0, NULL, &g), ANF_E_ARG,
           "anf_graph_parse: text is NULL");
    expect_start(anf_graph_parse(ctx, "", 0, &o, &parsed), ANF_E_ARG,
                 "anf_graph_parse: opts.size 999 is larger than this library's ");
    /* "anf_graph_parse: opts.size 999 is larger than this library's 24 (it is an older one)" */
}

/* ---- compiling ------------------------------------------------------------------------------- */
static bool stop(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    return done < 2 && total > 2;
}

static anf_status refuse(void *user, const char *stage, const char *text, size_t n)
{
    (void)user;
    (void)stage;
    (void)text;
    (void)n;
    return ANF_E_IO;
}

static void test_compile_mistakes(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2)), none = {0};
    anf_model *m = NULL;
    anf_compile_opts o = {.size = 4096};
    expect(anf_compile(x, NULL, NULL), ANF_E_ARG, "anf_compile: model is NULL");
    expect(anf_compile(none, NULL, &m), ANF_E_ARG, "anf_compile: the tensor belongs to no graph");
    expect(anf_compile_graph(g, NULL, NULL), ANF_E_ARG, "anf_compile_graph: model is NULL");
    expect(anf_compile_graph(NULL, NULL, &m), ANF_E_ARG, "anf_compile_graph: graph is NULL");
    expect_start(anf_compile(x, &o, &m), ANF_E_ARG,
                 "compile: opts.size 4096 is larger than this library's ");
    /* "compile: opts.size 4096 is larger than this library's 48 (it is an older one)" */
    o = (anf_compile_opts){.opt = (anf_opt)9};
    expect(anf_compile(x, &o, &m), ANF_E_ARG, "compile: unknown opt level 9");
    o = (anf_compile_opts){.progress = stop};
    expect(anf_compile(anf_relu(x), &o, &m), ANF_E_CANCELLED,
           "compile: cancelled by the progress callback after expand");
    o = (anf_compile_opts){.stage = refuse};
    assert_int_equal(anf_compile(anf_relu(x), &o, &m), ANF_E_IO);
    expect(anf_compile(anf_scalar(g, 1), NULL, &m), ANF_E_STATE,
           "compile: no output depends on an input");
    assert_null(m);
    size_t n = 0;
    expect(anf_model_explain(NULL, ignore, &n), ANF_E_ARG,
           "anf_model_explain: model or sink is NULL");
    anf_model_stats stats;
    anf_model_get_stats(NULL, &stats);
    assert_int_equal(stats.n_instructions, 0);
    expect(anf_model_save(NULL, "x"), ANF_E_ARG, "anf_model_save: model or path is NULL");
    expect(anf_model_load(ctx, "x", NULL), ANF_E_ARG, "anf_model_load: out is NULL");
    expect(anf_model_load(NULL, "x", &m), ANF_E_ARG, "anf_model_load: ctx or path is NULL");
    expect(anf_model_load(ctx, "/nonexistent/model", &m), ANF_E_IO,
           "/nonexistent/model: cannot open: No such file or directory");
    expect(anf_model_load(ctx, "/", &m), ANF_E_IO, "/: only a regular file can be mapped");
    expect(anf_model_load(ctx, ANF_TEST_DIR "/data/empty", &m), ANF_E_FORMAT,
           ANF_TEST_DIR "/data/empty: the file is empty");
    expect(anf_model_load_memory(ctx, &n, 1, NULL), ANF_E_ARG,
           "anf_model_load_memory: out is NULL");
    expect(anf_model_load_memory(ctx, NULL, 1, &m), ANF_E_ARG,
           "anf_model_load_memory: ctx or data is NULL");
    expect(anf_model_load_memory(ctx, (const char *)&n + 1, 1, &m), ANF_E_ARG,
           "anf_model_load_memory: data must be aligned to 64 bytes");
    anf_model_free(NULL);
    assert_int_equal(anf_model_n_inputs(NULL), 0);
    assert_int_equal(anf_model_n_outputs(NULL), 0);
    assert_int_equal(anf_model_n_ops(NULL), 0);
    assert_null(anf_model_input(NULL, 0));
    anf_graph_free(g);
}

/* An output that is an input, one value under two names, a constant output, an unused input. */
struct patience {
    int asked, stop_at;
    uint64_t done, total;
};

static bool be_patient(void *user, uint64_t done, uint64_t total)
{
    struct patience *p = user;
    assert_true(done >= p->done && done <= total);
    p->done = done;
    p->total = total;
    return ++p->asked != p->stop_at;
}

/* Constants to multiply and to convolve, and more instructions than are made in no time: each of
 * the long steps asks on the way, and stops wherever it is told to. */
static void test_cancelling_within_a_step(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_model *m;
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 128));
    anf_tensor w = anf_matmul(anf_random_weight(g, ANF_SHAPE(128, 1600), 1, 1),
                              anf_random_weight(g, ANF_SHAPE(1600, 128), 2, 1));
    anf_tensor plane = anf_random_weight(g, ANF_SHAPE(1, 32, 14, 14), 3, 1);
    anf_tensor filter = anf_random_weight(g, ANF_SHAPE(40, 32, 3, 3), 4, 1);
    anf_tensor sums = anf_mean(anf_conv(plane, filter), ANF_AXES(1, 2, 3));
    anf_tensor strided = anf_mean(anf_conv(plane, filter, .stride = 2), ANF_AXES(1, 2, 3));
    anf_tensor y = anf_add(anf_add(anf_matmul(x, w), anf_reshape(sums, ANF_SHAPE(1))),
                           anf_reshape(strided, ANF_SHAPE(1)));
    for (int i = 0; i < 1500; i++)
        y = anf_matmul(anf_softmax(y, -1), w);
    struct patience p = {0};
    anf_compile_opts o = {.progress = be_patient, .progress_user = &p};
    assert_int_equal(anf_compile(y, &o, &m), ANF_OK);
    anf_model_free(m);
    assert_int_equal(p.done, p.total);
    const int asked = p.asked;
    assert_true(asked > (int)p.total + 4);
    for (int i = 1; i <= asked; i++) {
        p = (struct patience){.stop_at = i};
        assert_int_equal(anf_compile(y, &o, &m), ANF_E_CANCELLED);
        assert_null(m);
        assert_int_equal(p.asked, i);
    }
    anf_graph_free(g);
}

static void test_odd_outputs(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(3));
    (void)anf_input(g, "unused", ANF_SHAPE(5));
    anf_tensor r = anf_relu(x);
    ok(anf_output(x, "same"));
    ok(anf_output(r, "once"));
    ok(anf_output(r, "twice"));
    ok(anf_output(anf_scalar(g, 2.5), "constant"));
    ok(anf_output(anf_reshape(r, ANF_SHAPE(3, 1)), "column"));
    anf_model *m;
    ok(anf_compile_graph(g, NULL, &m));
    anf_graph_free(g);
    assert_int_equal(anf_model_n_inputs(m), 1);
    assert_int_equal(anf_model_n_outputs(m), 5);
    assert_null(anf_model_input(m, 1));
    assert_null(anf_model_output(m, 5));
    assert_string_equal(anf_model_output(m, 4)->name, "column");
    float v[3] = {-1, 2, 0.5f}, o[5][3] = {{0}};
    anf_array in = ANF_ARRAY_F32(v, 3);
    anf_array out[5] = {ANF_ARRAY_F32(o[0], 3), ANF_ARRAY_F32(o[1], 3), ANF_ARRAY_F32(o[2], 3),
                        anf_array_of(o[3], ANF_F32, ANF_SCALAR), ANF_ARRAY_F32(o[4], 3, 1)};
    ok(anf_run(m, &in, out));
    float relu[3] = {0, 2, 0.5f};
    assert_memory_equal(o[0], v, sizeof v);
    for (int k = 1; k < 5; k++)
        if (k != 3)
            for (int i = 0; i < 3; i++)
                assert_true(o[k][i] == relu[i]);
    assert_true(o[3][0] == 2.5f);
    anf_model_free(m);
}

/* ---- running --------------------------------------------------------------------------------- */
static anf_model *accumulator(void)
{
    anf_graph *g = new_graph();
    anf_tensor total = anf_input(g, "total", ANF_SHAPE(4));
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(4));
    anf_model *m;
    ok(anf_output(anf_add(total, x), "next"));
    ok(anf_output(anf_mul(x, x), "square"));
    ok(anf_output(anf_mean(x, ANF_AXES(0)), "mean"));
    ok(anf_compile_graph(g, NULL, &m));
    anf_graph_free(g);
    return m;
}

static void test_run_mistakes(void **state)
{
    (void)state;
    anf_model *m = accumulator();
    anf_run_state *rs;
    float v[4] = {1, 2, 3, 4}, o[4];
    uint8_t bytes[4] = {0};
    int32_t whole[4] = {0};
    anf_array in[2] = {ANF_ARRAY_F32(v, 4), ANF_ARRAY_F32(v, 4)};
    anf_array out[3] = {ANF_ARRAY_F32(o, 4), ANF_ARRAY_F32(o, 4), ANF_ARRAY_F32(o, 1)};
    expect(anf_run(NULL, in, out), ANF_E_ARG, "anf_run: model is NULL");
    expect(anf_run(m, NULL, out), ANF_E_ARG, "run: run state, inputs or outputs is NULL");
    in[0].shape = ANF_SHAPE(2, 2);
    expect(anf_run(m, in, out), ANF_E_SHAPE, "run: input 'total' has shape [4], given [2,2]");
    in[0] = ANF_ARRAY_F32(NULL, 4);
    expect(anf_run(m, in, out), ANF_E_ARG, "run: input 'total' has no data");
    in[0] = anf_array_of(whole, ANF_I32, ANF_SHAPE(4));
    expect(anf_run(m, in, out), ANF_E_DTYPE,
           "run: input 'total' takes float16, float32 or float64, given int32");
    in[0] = ANF_ARRAY_F32(v, 4);
    out[1] = anf_array_of(bytes, ANF_U8, ANF_SHAPE(4));
    expect(anf_run(m, in, out), ANF_E_DTYPE,
           "run: output 'square' is given as float32 or float16, not uint8");
    expect(anf_run_state_new(m, NULL), ANF_E_ARG, "anf_run_state_new: out is NULL");
    expect(anf_run_state_new(NULL, &rs), ANF_E_ARG, "anf_run_state_new: model is NULL");
    expect(anf_execute(NULL), ANF_E_ARG, "anf_execute: run state is NULL");
    expect(anf_share_buffer(NULL, 0, 0), ANF_E_ARG, "anf_share_buffer: run state is NULL");
    expect(anf_profile(NULL, true), ANF_E_ARG, "anf_profile: run state is NULL");
    ok(anf_run_state_new(m, &rs));
    uint16_t *total = anf_input_view(rs, 0);
    out[1] = ANF_ARRAY_F32(o, 4);
    in[1].shape = ANF_SHAPE(3);
    total[0] = 0x7777;
    expect(anf_run_state_run(rs, in, out), ANF_E_SHAPE, "run: input 'x' has shape [4], given [3]");
    assert_int_equal(total[0], 0x7777); /* nothing is written where something is refused */
    expect(anf_share_buffer(rs, 3, 0), ANF_E_ARG, "anf_share_buffer: output 3 of 3, input 0 of 2");
    expect(anf_share_buffer(rs, 2, 0), ANF_E_SHAPE,
           "anf_share_buffer: output 'mean' is float16 [1], input 'total' is float16 [4]");
    ok(anf_share_buffer(rs, 0, 0));
    expect(anf_share_buffer(rs, 1, 0), ANF_E_STATE,
           "anf_share_buffer: input 'total' is shared with output 'next' already");
    expect(anf_share_buffer(rs, 0, 1), ANF_E_STATE,
           "anf_share_buffer: output 'next' is shared with input 'total' already");
    anf_timing t;
    size_t n = 0;
    expect(anf_profile_get(NULL, 0, &t), ANF_E_ARG,
           "anf_profile_get: run state or out is NULL");
    expect(anf_profile_get(rs, 0, &t), ANF_E_ARG, "anf_profile_get: instruction 0 of 0");
    expect(anf_profile_trace(NULL, ignore, &n), ANF_E_ARG,
           "anf_profile_trace: run state or sink is NULL");
    expect(anf_profile_trace(rs, ignore, &n), ANF_E_STATE,
           "anf_profile_trace: profiling is off (anf_profile)");
    assert_null(anf_input_view(rs, 2));
    assert_null(anf_output_view(rs, -1));
    anf_run_state_free(rs);
    anf_run_state_free(NULL);
    assert_int_equal(anf_run_state_bytes(NULL), 0);
    anf_model_free(m);

    anf_graph *g = new_graph();
    ok(anf_compile(anf_image_input(g, "img", ANF_SHAPE(4), NULL, NULL, 1), NULL, &m));
    anf_graph_free(g);
    expect(anf_run(m, in, out), ANF_E_DTYPE, "run: input 'img' takes uint8, given float32");
    anf_model_free(m);
}

/* Inputs of every accepted dtype give the same result; outputs come as float32 or float16. */
static void test_dtypes_of_ports(void **state)
{
    (void)state;
    anf_model *m = accumulator();
    float a[4] = {1, -2, 0.1f, 70000}, o32[4], s[4], mean[1];
    double b[4] = {1, -2, (double)0.1f, 70000};
    uint16_t c[4], o16[4];
    for (int i = 0; i < 4; i++)
        c[i] = anf_f16_from_f32(a[i]);
    anf_array out[3] = {ANF_ARRAY_F32(o32, 4), ANF_ARRAY_F32(s, 4), ANF_ARRAY_F32(mean, 1)};
    anf_array first[2] = {ANF_ARRAY_F32(a, 4), ANF_ARRAY_F64(b, 4)};
    ok(anf_run(m, first, out));
    anf_array second[2] = {ANF_ARRAY_F16(c, 4), ANF_ARRAY_F16(c, 4)};
    out[0] = ANF_ARRAY_F16(o16, 4);
    ok(anf_run(m, second, out));
    for (int i = 0; i < 4; i++)
        assert_true(anf_f16_to_f32(o16[i]) == o32[i]);
    assert_true(o32[3] == strtof("inf", NULL)); /* 70000 is infinite in binary16 */
    anf_model_free(m);
}

static void test_views_and_shared_buffers(void **state)
{
    (void)state;
    anf_model *m = accumulator();
    anf_run_state *rs;
    ok(anf_run_state_new(m, &rs));
    ok(anf_share_buffer(rs, 0, 0));
    assert_true(anf_run_state_bytes(rs) > 0);
    for (int step = 1; step <= 5; step++) {
        uint16_t *x = anf_input_view(rs, 1);
        assert_int_equal((uintptr_t)x % 64, 0);
        for (int i = 0; i < 4; i++)
            x[i] = anf_f16_from_f32((float)(i + 1));
        ok(anf_execute(rs));
        const uint16_t *total = anf_input_view(rs, 0), *sq = anf_output_view(rs, 1);
        for (int i = 0; i < 4; i++) {
            assert_true(anf_f16_to_f32(total[i]) == (float)((i + 1) * step));
            assert_true(anf_f16_to_f32(sq[i]) == (float)((i + 1) * (i + 1)));
        }
    }
    /* The same through arrays: the result is the fresh state. */
    float zero[4] = {0}, x[4] = {1, 1, 1, 1}, next[4], sq[4], mean[1];
    anf_array in[2] = {ANF_ARRAY_F32(zero, 4), ANF_ARRAY_F32(x, 4)};
    anf_array out[3] = {ANF_ARRAY_F32(next, 4), ANF_ARRAY_F32(sq, 4), ANF_ARRAY_F32(mean, 1)};
    ok(anf_run_state_run(rs, in, out));
    assert_true(next[0] == 1 && next[3] == 1 && mean[0] == 1);
    anf_run_state_free(rs);
    anf_model_free(m);
}

static anf_status collect(void *user, const char *text, size_t n)
{
    char *all = user;
    strncat(all, text, n);
    return ANF_OK;
}

static void test_profile(void **state)
{
    (void)state;
    anf_model *m = accumulator();
    anf_run_state *rs;
    char trace[8192] = "";
    anf_model_stats stats;
    anf_model_get_stats(m, &stats);
    ok(anf_run_state_new(m, &rs));
    ok(anf_profile(rs, true));
    for (int i = 0; i < 3; i++)
        ok(anf_execute(rs));
    assert_int_equal(anf_profile_count(rs), stats.n_instructions);
    for (int i = 0; i < stats.n_instructions; i++) {
        anf_timing t;
        ok(anf_profile_get(rs, i, &t));
        assert_int_equal(t.calls, 3);
        assert_true(t.total_ns >= t.min_ns * 3 && t.bytes > 0 && strlen(t.text) > 4);
    }
    ok(anf_profile_trace(rs, collect, trace));
    assert_non_null(strstr(trace, "\"traceEvents\":["));
    assert_non_null(strstr(trace, "\"name\":\"add\",\"cat\":\"tile\",\"ph\":\"X\""));
    ok(anf_profile(rs, false));
    assert_int_equal(anf_profile_count(rs), 0);
    anf_run_state_free(rs);
    anf_model_free(m);
}

/* ---- threads --------------------------------------------------------------------------------- */
struct runner {
    anf_model *m;
    float seed;
    int wrong;
};

static void *run_many(void *arg)
{
    struct runner *r = arg;
    for (int k = 0; k < 200; k++) {
        float v[4], total[4] = {0, 0, 0, 0}, next[4], sq[4], mean[1];
        for (int i = 0; i < 4; i++)
            v[i] = r->seed + (float)i;
        anf_array in[2] = {ANF_ARRAY_F32(total, 4), ANF_ARRAY_F32(v, 4)};
        anf_array out[3] = {ANF_ARRAY_F32(next, 4), ANF_ARRAY_F32(sq, 4), ANF_ARRAY_F32(mean, 1)};
        if (anf_run(r->m, in, out) != ANF_OK || next[3] != v[3] || sq[2] != v[2] * v[2])
            r->wrong++;
        /* Errors of one thread are not seen by another. */
        in[0].shape = ANF_SHAPE(9);
        if (anf_run(r->m, in, out) != ANF_E_SHAPE ||
            strcmp(anf_last_error(), "run: input 'total' has shape [4], given [9]") != 0)
            r->wrong++;
    }
    return NULL;
}

static void test_one_model_many_threads(void **state)
{
    (void)state;
    anf_model *m = accumulator();
    struct runner r[6];
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        r[i] = (struct runner){m, (float)i, 0};
        assert_int_equal(pthread_create(&t[i], NULL, run_many, &r[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(r[i].wrong, 0);
    }
    anf_model_free(m);
}

/* ---- the caller's floating-point environment ------------------------------------------------- */
#if defined(__x86_64__)
#include <xmmintrin.h>
/* Flush-to-zero and rounding down in the caller change no bit, and are still there afterwards; the
 * same for workers of a pool made by such a caller. */
static void test_host_environment_does_not_matter(void **state)
{
    (void)state;
    enum { N = 40000 };
    static float x[N], want[N], got[N];
    static double w[N];
    unsigned before = _mm_getcsr(), strange = 0x1f80 | 0x8040 | 0x2000;
    for (int i = 0; i < N; i++) {
        x[i] = 1e-5f * (float)(i % 1000) + 1e-9f * (float)i;
        w[i] = 1e-7 * (i + 1) / 3;
    }
    for (int round = 0; round < 2; round++) {
        anf_ctx_desc d = {.threads = 2};
        anf_ctx *c;
        anf_graph *g;
        anf_model *m;
        anf_array in = ANF_ARRAY_F32(x, N), out = ANF_ARRAY_F32(round ? got : want, N);
        if (round)
            _mm_setcsr(strange);
        ok(anf_ctx_new(&d, &c));
        ok(anf_graph_new(c, &g));
        anf_tensor t = anf_input(g, NULL, ANF_SHAPE(N)), k = anf_weight(g, ANF_ARRAY_F64(w, N));
        anf_tensor folded = anf_exp(anf_mul(k, anf_scalar(g, 0.3)));
        ok(anf_compile(anf_mul(anf_mul(t, anf_add(k, folded)), anf_scalar(g, 0.1)), NULL, &m));
        ok(anf_run(m, &in, &out));
        if (round)
            assert_int_equal(_mm_getcsr() & ~0x3fu, strange);
        _mm_setcsr(before);
        anf_graph_free(g);
        anf_model_free(m);
        anf_ctx_free(c);
    }
    assert_memory_equal(want, got, sizeof want);
}
#endif

/* ---- image_input: the same bytes as converting first ----------------------------------------- */
static void test_image_input_is_exact(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    const double scale = 1.0 / 255;
    anf_model *m;
    ok(anf_compile(anf_image_input(g, NULL, ANF_SHAPE(256), &scale, NULL, 1), NULL, &m));
    anf_graph_free(g);
    uint8_t bytes[256];
    uint16_t y[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    anf_array in = ANF_ARRAY_U8(bytes, 256), out = ANF_ARRAY_F16(y, 256);
    ok(anf_run(m, &in, &out));
    for (int i = 0; i < 256; i++)
        assert_int_equal(y[i], anf_f16_from_f32((float)i / 255.0f));
    anf_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_graph_mistakes),
        cmocka_unit_test(test_operator_mistakes),
        cmocka_unit_test(test_poison_keeps_the_first_error),
        cmocka_unit_test(test_output_mistakes),
        cmocka_unit_test(test_compile_mistakes),
        cmocka_unit_test(test_cancelling_within_a_step),
        cmocka_unit_test(test_odd_outputs),
        cmocka_unit_test(test_run_mistakes),
        cmocka_unit_test(test_dtypes_of_ports),
        cmocka_unit_test(test_views_and_shared_buffers),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_one_model_many_threads),
        cmocka_unit_test(test_image_input_is_exact),
#if defined(__x86_64__)
        cmocka_unit_test(test_host_environment_does_not_matter),
#endif
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
