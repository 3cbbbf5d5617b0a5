/* What docs/errors.md promises of every failure, whatever the function: the message lasts until the
 * next one, is one line, and nothing that a caller can pass takes the program down. */
#include "api_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static anf_status ignore(void *user, const char *text, size_t n)
{
    (void)user, (void)text, (void)n;
    return ANF_OK;
}

/* ---- the message lasts ----------------------------------------------------------------------- */

static anf_status load_zeros(void *user, const char *file, const char *name, anf_array *out)
{
    static const float zeros[64];
    (void)user, (void)file, (void)name;
    *out = ANF_ARRAY_F32(zeros, 8, 8);
    return ANF_OK;
}

static bool go_on(void *user, uint64_t done, uint64_t total)
{
    (void)user, (void)done, (void)total;
    return true;
}

static anf_status see_stage(void *user, const char *stage, const char *text, size_t n)
{
    (void)user, (void)stage, (void)text, (void)n;
    return ANF_OK;
}

static const char network[] =
    "aneforge-graph 1\n"
    "x = input f16[2,8]\n"
    "w = const f16[8,8] random(seed=1, std=0.5)\n"
    "z = const f16[8,8] file(\"z.npy\", \"\")\n"
    "a = mha(x, w, w, w, w, n_heads=2)\n"
    "p = matmul(a, z)\n"
    "b = add(p, a)\n"
    "c = softmax(b)\n"
    "return c as \"c\", a as \"a\"\n";

static void run_saved(anf_model *m, const char *path)
{
    float in[16] = {0}, out[32];
    anf_array x = ANF_ARRAY_F32(in, 2, 8), y[2] = {ANF_ARRAY_F32(out, 2, 8),
                                                   ANF_ARRAY_F32(out + 16, 2, 8)};
    anf_model *loaded;
    anf_run_state *rs;
    anf_model_stats stats;
    assert_int_equal(anf_model_save(m, path), ANF_OK);
    assert_int_equal(anf_model_load(ctx, path, &loaded), ANF_OK);
    assert_int_equal(anf_run(loaded, &x, y), ANF_OK);
    assert_int_equal(anf_run_state_new(loaded, &rs), ANF_OK);
    assert_int_equal(anf_profile(rs, true), ANF_OK);
    assert_int_equal(anf_execute(rs), ANF_OK);
    assert_int_equal(anf_profile_trace(rs, ignore, NULL), ANF_OK);
    assert_int_equal(anf_model_explain(loaded, ignore, NULL), ANF_OK);
    assert_int_equal(anf_model_weights_print(loaded, true, ignore, NULL), ANF_OK);
    anf_model_get_stats(loaded, &stats);
    anf_run_state_free(rs);
    anf_model_free(loaded);
    unlink(path);
}

/* A whole life of calls that succeed, behind one that failed. */
static void success_keeps_the_message(void **state)
{
    (void)state;
    char path[] = "/tmp/anf_errors_XXXXXX";
    anf_parse_opts parse = {.load = load_zeros};
    anf_graph *g;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(anf_set_error(ANF_E_STATE, "what went wrong before"), ANF_E_STATE);
    if (anf_graph_parse(ctx, network, sizeof network - 1, &parse, &g) != ANF_OK)
        fail_msg("%s", anf_last_error());
    assert_string_equal(anf_last_error(), "what went wrong before");
    assert_int_equal(anf_graph_print(g, false, ignore, NULL), ANF_OK);
    for (int opt = 0; opt < 2; opt++)
        for (int mode = ANF_COMPRESS_NONE; mode <= ANF_COMPRESS_AUTO; mode++) {
            anf_compile_opts o = {.opt = (anf_opt)opt, .compress = (anf_compress)mode,
                                  .progress = go_on, .stage = see_stage};
            anf_model *m;
            assert_int_equal(anf_compile_graph(g, &o, &m), ANF_OK);
            assert_string_equal(anf_last_error(), "what went wrong before");
            run_saved(m, path);
            anf_model_free(m);
        }
    float data[4] = {0};
    anf_arrays *a;
    anf_array found;
    assert_int_equal(anf_npy_write(ctx, path, ANF_ARRAY_F32(data, 4)), ANF_OK);
    assert_int_equal(anf_arrays_open(ctx, path, &a), ANF_OK);
    assert_int_equal(anf_arrays_find(a, "", &found), ANF_OK);
    anf_arrays_free(a);
    unlink(path);
    anf_graph_free(g);
    assert_string_equal(anf_last_error(), "what went wrong before");
}

/* What a loader does not say is not taken from an earlier failure. */
static anf_status load_silently(void *user, const char *file, const char *name, anf_array *out)
{
    (void)user, (void)file, (void)name, (void)out;
    return ANF_E_IO;
}

static void unsaid_is_not_an_old_message(void **state)
{
    (void)state;
    anf_parse_opts parse = {.load = load_silently};
    anf_graph *g;
    anf_set_error(ANF_E_STATE, "what went wrong before");
    expect(anf_graph_parse(ctx, network, sizeof network - 1, &parse, &g), ANF_E_IO,
           "line 4: file \"z.npy\": array '' could not be loaded");
    assert_null(g);
}

/* ---- one line -------------------------------------------------------------------------------- */

static void expect_kept(anf_graph *g, anf_status want, const char *message)
{
    const char *kept;
    anf_status st = anf_graph_error(g, &kept);
    if (st != want || strcmp(kept, message) != 0)
        fail_msg("graph error %d: %s\nwanted %d: %s", (int)st, kept, (int)want, message);
    anf_graph_free(g);
}

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_arrays *a;
    anf_model *m;
    anf_input(g, "a\nb\x1b[31m\x7f", ANF_SHAPE(1));
    expect_kept(g, ANF_E_ARG,
                "input: name 'a\\x0ab\\x1b[31m\\x7f' must be a letter or _ followed by letters, "
                "digits, _ or . (at most 200 characters)");
    g = new_graph();
    anf_op(g, "no\npe", NULL, 0, NULL, 0);
    expect_kept(g, ANF_E_ARG, "unknown operator 'no\\x0ape'");
    expect(anf_arrays_open(ctx, "/nowhere/a\nb.npy", &a), ANF_E_IO,
           "/nowhere/a\\x0ab.npy: cannot open: No such file or directory");
    expect(anf_model_load(ctx, "/nowhere/\t", &m), ANF_E_IO,
           "/nowhere/\\x09: cannot open: No such file or directory");
    static const char text[] = "aneforge-graph 1\nw = const f16[1] file(\"a\\nb\", \"\")\n";
    expect(anf_graph_parse(ctx, text, sizeof text - 1, NULL, &g), ANF_E_FORMAT,
           "line 2: file \"a\\x0ab\" is needed, but the caller gave no way to load files");
    expect(anf_set_error(ANF_E_IO, "two\nlines"), ANF_E_IO, "two\\x0alines");
    /* What no longer fits is cut. */
    char longest[2 * ANF_ERROR_MAX];
    memset(longest, '\n', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    anf_set_error(ANF_E_IO, longest);
    assert_int_equal(strlen(anf_last_error()), (ANF_ERROR_MAX - 1) / 4 * 4);
}

/* ---- NULL ------------------------------------------------------------------------------------ */

static void builders_take_null(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2));
    anf_attr attr = {.name = "axis", .type = ANF_ATTR_INT};
    anf_model *m;
    assert_null(anf_concat(NULL, 3, 0).graph);
    assert_null(anf_op(NULL, "relu", &x, 1, NULL, 0).graph);
    assert_null(anf_input(NULL, "x", ANF_SHAPE(2)).graph);
    assert_null(anf_image_input(NULL, "x", ANF_SHAPE(2), NULL, NULL, 1).graph);
    assert_null(anf_weight(NULL, ANF_ARRAY_F32(NULL, 2)).graph);
    assert_null(anf_weight_borrow(NULL, ANF_ARRAY_F16(NULL, 2)).graph);
    assert_null(anf_scalar(NULL, 1).graph);
    assert_null(anf_random_weight(NULL, ANF_SHAPE(2), 1, 1).graph);
    anf_op(g, "relu", NULL, 1, NULL, 0);
    expect(anf_compile(x, NULL, &m), ANF_E_ARG, "anf_op: in is NULL");
    anf_graph_free(g);
    g = new_graph();
    x = anf_input(g, "x", ANF_SHAPE(2));
    anf_op(g, "softmax", &x, 1, NULL, 1);
    expect(anf_compile(x, NULL, &m), ANF_E_ARG, "anf_op: attrs is NULL");
    anf_graph_free(g);
    g = new_graph();
    attr.name = NULL;
    x = anf_input(g, "x", ANF_SHAPE(2));
    anf_op(g, "softmax", &x, 1, &attr, 1);
    expect_kept(g, ANF_E_ATTR, "softmax: no attribute ''");
    g = new_graph();
    anf_op(g, NULL, NULL, 0, NULL, 0);
    expect_kept(g, ANF_E_ARG, "unknown operator ''");
}

static anf_model *small_model(void)
{
    anf_graph *g = new_graph();
    anf_model *m;
    assert_int_equal(anf_compile(anf_relu(anf_input(g, "x", ANF_SHAPE(2))), NULL, &m), ANF_OK);
    anf_graph_free(g);
    return m;
}

/* What a failing call was given to write to is NULL behind it. */
#define FAILS_WITH_NULL(type, call)                                                                \
    do {                                                                                           \
        type *out = (type *)(void *)&ctx; /* anything but NULL */                                  \
        assert_int_not_equal(call, ANF_OK);                                                        \
        assert_null(out);                                                                          \
    } while (0)

static void out_parameters_are_null_on_failure(void **state)
{
    (void)state;
    anf_graph *g = new_graph();
    const anf_ctx_desc desc = {.threads = -1};
    const anf_compile_opts opts = {.opt = (anf_opt)9};
    const anf_tensor none = {0};
    anf_array found = ANF_ARRAY_F16(&ctx, 1);
    const char *message = NULL;
    FAILS_WITH_NULL(anf_ctx, anf_ctx_new(&desc, &out));
    FAILS_WITH_NULL(anf_graph, anf_graph_new(NULL, &out));
    FAILS_WITH_NULL(anf_graph, anf_graph_parse(ctx, NULL, 0, NULL, &out));
    FAILS_WITH_NULL(anf_graph, anf_graph_parse(NULL, "", 0, NULL, &out));
    FAILS_WITH_NULL(anf_graph, anf_graph_parse(ctx, "", 0, NULL, &out));
    FAILS_WITH_NULL(anf_model, anf_compile(none, NULL, &out));
    FAILS_WITH_NULL(anf_model, anf_compile_graph(NULL, NULL, &out));
    FAILS_WITH_NULL(anf_model, anf_compile_graph(g, &opts, &out));
    FAILS_WITH_NULL(anf_model, anf_compile_graph(g, NULL, &out));
    FAILS_WITH_NULL(anf_model, anf_model_load(ctx, NULL, &out));
    FAILS_WITH_NULL(anf_model, anf_model_load(NULL, "x", &out));
    FAILS_WITH_NULL(anf_model, anf_model_load(ctx, "/nowhere/x", &out));
    FAILS_WITH_NULL(anf_model, anf_model_load_memory(ctx, NULL, 0, &out));
    FAILS_WITH_NULL(anf_model, anf_model_load_memory(ctx, "12345678", 8, &out));
    FAILS_WITH_NULL(anf_run_state, anf_run_state_new(NULL, &out));
    FAILS_WITH_NULL(anf_arrays, anf_arrays_open(ctx, NULL, &out));
    FAILS_WITH_NULL(anf_arrays, anf_arrays_open(ctx, "/nowhere/x", &out));
    FAILS_WITH_NULL(anf_arrays, anf_arrays_open_memory(ctx, NULL, 1, &out));
    FAILS_WITH_NULL(anf_arrays, anf_arrays_open_memory(ctx, "12345678", 8, &out));
    assert_int_equal(anf_arrays_find(NULL, "x", &found), ANF_E_ARG);
    assert_null(found.data);
    assert_int_equal(anf_graph_error(NULL, &message), ANF_E_ARG);
    assert_string_equal(message, "anf_graph_error: graph is NULL");
    anf_graph_free(g);
}

static void everything_takes_null(void **state)
{
    (void)state;
    anf_model *m = small_model();
    anf_model_stats stats;
    uint16_t half;
    float data[2] = {0};
    anf_array x = ANF_ARRAY_F32(data, 2);
    anf_model_get_stats(m, NULL);
    anf_model_get_stats(NULL, NULL);
    anf_model_get_stats(NULL, &stats);
    assert_int_equal(stats.n_instructions, 0);
    assert_int_equal(anf_ctx_new(NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_graph_new(ctx, NULL), ANF_E_ARG);
    assert_int_equal(anf_graph_error(NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_f16_from_array(NULL, x, &half), ANF_E_ARG);
    assert_int_equal(anf_f16_from_array(ctx, x, NULL), ANF_E_ARG);
    assert_int_equal(anf_graph_print(NULL, false, ignore, NULL), ANF_E_ARG);
    expect(anf_graph_parse(ctx, "", 0, NULL, NULL), ANF_E_ARG, "anf_graph_parse: out is NULL");
    assert_int_equal(anf_output((anf_tensor){0}, NULL), ANF_E_ARG);
    assert_int_equal(anf_compile_graph(NULL, NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_model_explain(m, NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_model_weights_print(m, false, NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_model_save(m, NULL), ANF_E_ARG);
    assert_int_equal(anf_model_save(NULL, "x"), ANF_E_ARG);
    assert_int_equal(anf_model_load(ctx, "x", NULL), ANF_E_ARG);
    assert_int_equal(anf_model_load_memory(ctx, data, 8, NULL), ANF_E_ARG);
    assert_int_equal(anf_run(m, NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_run(NULL, &x, &x), ANF_E_ARG);
    assert_int_equal(anf_run_state_new(m, NULL), ANF_E_ARG);
    assert_int_equal(anf_run_state_run(NULL, &x, &x), ANF_E_ARG);
    assert_int_equal(anf_execute(NULL), ANF_E_ARG);
    assert_int_equal(anf_share_buffer(NULL, 0, 0), ANF_E_ARG);
    assert_int_equal(anf_profile(NULL, true), ANF_E_ARG);
    assert_int_equal(anf_profile_get(NULL, 0, NULL), ANF_E_ARG);
    assert_int_equal(anf_profile_trace(NULL, ignore, NULL), ANF_E_ARG);
    assert_int_equal(anf_npy_write(ctx, NULL, x), ANF_E_ARG);
    assert_int_equal(anf_npz_write(ctx, "/nowhere/x", NULL, NULL, 1), ANF_E_ARG);
    assert_int_equal(anf_arrays_find(NULL, NULL, NULL), ANF_E_ARG);
    assert_int_equal(anf_target_family(NULL), 0);
    assert_null(anf_input_view(NULL, 0));
    assert_null(anf_output_view(NULL, 0));
    assert_null(anf_model_input(NULL, 0));
    assert_null(anf_arrays_name(NULL, 0));
    assert_null(anf_arrays_get(NULL, 0).data);
    assert_false(anf_model_weight(m, 0, NULL));
    assert_false(anf_op_get(0, NULL) || anf_op_operand(0, 0, NULL) || anf_op_attr(0, 0, NULL));
    assert_int_equal(anf_model_n_ops(NULL) + anf_model_n_inputs(NULL) + anf_model_n_outputs(NULL) +
                         anf_model_n_weights(NULL) + anf_arrays_count(NULL) +
                         anf_profile_count(NULL) + anf_ctx_threads(NULL), 0);
    assert_int_equal(anf_run_state_bytes(NULL), 0);
    anf_arrays_free(NULL);
    anf_run_state_free(NULL);
    anf_model_free(NULL);
    anf_graph_free(NULL);
    anf_model_free(m);
}

/* ---- what is told ---------------------------------------------------------------------------- */

/* Sets of kernels of other builds are known by name. */
static void kernels_that_are_not_built_in(void **state)
{
    (void)state;
    static const char *const names[] = {"ref", "avx2", "avx512", "avx512fp16", "neon"};
    int n_elsewhere = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char start[64];
        anf_ctx_desc d = {.isa = names[i], .threads = 1};
        anf_ctx *c;
        bool built_in = false;
        for (int k = 0; k < anf_isa_count(); k++)
            built_in = built_in || strcmp(anf_isa_name(k), names[i]) == 0;
        if (built_in)
            continue;
        n_elsewhere++;
        assert_int_equal(anf_ctx_new(&d, &c), ANF_E_UNSUPPORTED);
        /* "isa 'neon' is not in this build; available: ref" */
        snprintf(start, sizeof start, "isa '%s' is not in this build; available: ", names[i]);
        assert_int_equal(strncmp(anf_last_error(), start, strlen(start)), 0);
    }
    assert_true(n_elsewhere > 0);
}

static void the_limit_that_is_broken(void **state)
{
    (void)state;
    const anf_dims large = ANF_SHAPE((int64_t)1 << 40, (int64_t)1 << 40);
    anf_graph *g = new_graph();
    anf_input(g, "x", large);
    expect_kept(g, ANF_E_SHAPE, "input: shape [1099511627776,1099511627776] of 'x' needs at most "
                                "2^40 elements");
    g = new_graph();
    anf_weight(g, anf_array_of(&large, ANF_F32, large));
    expect_kept(g, ANF_E_SHAPE,
                "weight: shape [1099511627776,1099511627776] needs at most 2^40 elements");
    g = new_graph();
    anf_random_weight(g, large, 1, 1);
    expect_kept(g, ANF_E_SHAPE,
                "constant: shape [1099511627776,1099511627776] needs at most 2^40 elements");
    g = new_graph();
    anf_input(g, "x", (anf_dims){9, {0}});
    expect_kept(g, ANF_E_SHAPE, "input: shape [0,0,0,0,0,0,0,0] of 'x' needs rank 0..8 and dims of "
                                "at least 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_keeps_the_message),
        cmocka_unit_test(unsaid_is_not_an_old_message),
        cmocka_unit_test(control_bytes_are_escaped),
        cmocka_unit_test(builders_take_null),
        cmocka_unit_test(out_parameters_are_null_on_failure),
        cmocka_unit_test(everything_takes_null),
        cmocka_unit_test(kernels_that_are_not_built_in),
        cmocka_unit_test(the_limit_that_is_broken),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
