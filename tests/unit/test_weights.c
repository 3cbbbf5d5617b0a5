/* Weights: rounded once, copied or borrowed, with the same bits; what is refused; and the message
 * that a callback of the caller's own may set. */
#include "plain.h"

#include <aneforge.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1003 };

static anf_ctx *ctx;

static void ok(anf_status st)
{
    if (st != ANF_OK)
        fail_msg("%s", anf_last_error());
}

static void expect(anf_status got, anf_status want, const char *message)
{
    if (got != want || strcmp(anf_last_error(), message) != 0)
        fail_msg("status %d, message:\n  %s\nwanted %d:\n  %s", (int)got, anf_last_error(),
                 (int)want, message);
}

/* Every kind of value: special ones, ties, what overflows and what vanishes. */
static double value_at(int i)
{
    static const double special[] = {0.0, -0.0, 65504, 65520, 65519.999, 1e300, 2049, 2051,
                                     0x1p-24, 0x1.8p-25, 0x1p-25, 1e-300, 0.1, -1.0 / 3};
    enum { SPECIAL = sizeof special / sizeof *special };
    if (i < SPECIAL)
        return special[i];
    if (i == SPECIAL)
        return INFINITY;
    return i == SPECIAL + 1 ? NAN : ldexp(1 + i * 0.37, i % 40 - 25);
}

/* The bits of `from` as a constant that is copied to the output. */
static void through_model(anf_array from, bool borrow, uint16_t *bits)
{
    anf_graph *g;
    anf_model *m;
    uint16_t zeros[N] = {0};
    anf_array in = ANF_ARRAY_F16(zeros, N), out = ANF_ARRAY_F16(bits, 2 * N);
    ok(anf_graph_new(ctx, &g));
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(N));
    anf_tensor w = borrow ? anf_weight_borrow(g, from) : anf_weight(g, from);
    ok(anf_compile(anf_concat(ANF_TENSORS(x, w), 0), NULL, &m));
    anf_graph_free(g);
    if (borrow)
        memset(from.data, 0x55, N * sizeof *bits); /* the model has its own */
    ok(anf_run(m, &in, &out));
    anf_model_free(m);
    memmove(bits, bits + N, N * sizeof *bits);
}

static void test_copied_and_borrowed_are_the_same(void **state)
{
    (void)state;
    static double f64[N];
    static float f32[N];
    static uint16_t f16[N], rounded[N], copied[2 * N], borrowed[2 * N];
    for (int i = 0; i < N; i++) {
        f64[i] = value_at(i);
        f32[i] = (float)f64[i];
        f16[i] = i % 3 ? anf_f16_from_f32(f32[i]) : (uint16_t)(0x7c01 + i); /* other NaN too */
    }
    const anf_array forms[] = {ANF_ARRAY_F64(f64, N), ANF_ARRAY_F32(f32, N), ANF_ARRAY_F16(f16, N)};
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        through_model(forms[k], false, copied);
        ok(anf_f16_from_array(ctx, forms[k], rounded));
        assert_memory_equal(rounded, copied, sizeof rounded);
        if (k == 1)
            for (int i = 0; i < N; i++)
                assert_int_equal(rounded[i], anf_f16_from_f32(f32[i]));
        through_model(ANF_ARRAY_F16(rounded, N), true, borrowed);
        assert_memory_equal(borrowed, copied, N * sizeof *borrowed);
    }
    ok(anf_f16_from_array(ctx, ANF_ARRAY_F16(f16, N), f16)); /* in place */
    assert_memory_equal(f16, copied, sizeof f16);
}

static void expect_graph(anf_graph *g, anf_tensor t, anf_status want, const char *message)
{
    const char *got;
    assert_int_equal(t.id, 0);
    assert_int_equal(anf_graph_error(g, &got), want);
    assert_string_equal(got, message);
    anf_graph_free(g);
}

static anf_graph *new_graph(void)
{
    anf_graph *g;
    ok(anf_graph_new(ctx, &g));
    return g;
}

static void test_mistakes(void **state)
{
    (void)state;
    uint16_t halves[4] = {0x3c00, 0x7c00, 0x7e01, 0xfe00}, y[4];
    float floats[4] = {1, 2, 3, 4};
    anf_graph *g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_F32(floats, 4)), ANF_E_DTYPE,
                 "weight_borrow: float32 of [4] must be rounded first; use float16");
    g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_F16(halves, 4)), ANF_E_ARG,
                 "weight_borrow: element 2 of [4] is NaN 0x7e01, needs 0x7e00");
    halves[2] = 0x7e00;
    g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_F16(halves, 4)), ANF_E_ARG,
                 "weight_borrow: element 3 of [4] is NaN 0xfe00, needs 0x7e00");
    g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_U8(halves, 4)), ANF_E_DTYPE,
                 "weight_borrow: dtype uint8 of [4] is not accepted; use float16, float32 or "
                 "float64");
    g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_F16(halves, 0)), ANF_E_SHAPE,
                 "weight_borrow: shape [0] needs rank 0..8 and dims of at least 1");
    g = new_graph();
    expect_graph(g, anf_weight_borrow(g, ANF_ARRAY_F16(NULL, 4)), ANF_E_ARG,
                 "weight_borrow: data of [4] is NULL");
    assert_int_equal(anf_weight_borrow(NULL, ANF_ARRAY_F16(halves, 4)).id, 0);
    expect(anf_f16_from_array(NULL, ANF_ARRAY_F32(floats, 4), y), ANF_E_ARG,
           "f16_from_array: ctx or result is NULL");
    expect(anf_f16_from_array(ctx, ANF_ARRAY_F32(floats, 4), NULL), ANF_E_ARG,
           "f16_from_array: ctx or result is NULL");
    expect(anf_f16_from_array(ctx, ANF_ARRAY_F32(NULL, 4), y), ANF_E_ARG,
           "f16_from_array: data of [4] is NULL");
}

static void test_a_message_of_the_caller(void **state)
{
    (void)state;
    char text[2 * ANF_ERROR_MAX];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    expect(anf_set_error(ANF_E_IO, "the disk is gone"), ANF_E_IO, "the disk is gone");
    expect(anf_set_error(ANF_E_ARG, anf_last_error()), ANF_E_ARG, "the disk is gone");
    expect(anf_set_error(ANF_E_ARG, anf_last_error() + 4), ANF_E_ARG, "disk is gone");
    expect(anf_set_error(ANF_E_STATE, NULL), ANF_E_STATE, "");
    assert_int_equal(anf_set_error(ANF_E_IO, text), ANF_E_IO);
    assert_int_equal(strlen(anf_last_error()), ANF_ERROR_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copied_and_borrowed_are_the_same),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_a_message_of_the_caller),
    };
    ok(anf_ctx_new(NULL, &ctx));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    anf_ctx_free(ctx);
    return failed;
}
