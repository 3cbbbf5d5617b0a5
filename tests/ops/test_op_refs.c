/* The references of all operators against the float64 oracles, on every case of every block:
 * within the oracle's bound plus half a binary16 ulp, or exactly where the bound is 0.  Then the
 * completeness of the blocks, views of operands that are not dense, values a random draw does
 * not meet, and operation counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_oracles_composite.h"

/* ---- the walk -------------------------------------------------------------------------------- */

static const struct oracle {
    const char *op;
    void (*fill)(const struct oracle_args *o);
} oracles[] = {
    {"matmul", oracle_matmul}, {"linear", oracle_linear}, {"bmm", oracle_bmm},
    {"conv", oracle_conv}, {"conv_transpose", oracle_conv_transpose},
    {"scale", oracle_scale}, {"log", oracle_log}, {"rsqrt", oracle_rsqrt}, {"elu", oracle_elu},
    {"leaky_relu", oracle_leaky_relu}, {"clip", oracle_clip}, {"select", oracle_select},
    {"mean", oracle_reduce}, {"sum", oracle_reduce}, {"amax", oracle_reduce},
    {"amin", oracle_reduce}, {"softmax", oracle_softmax}, {"l2_norm", oracle_l2_norm},
    {"rms_norm", oracle_rms_norm}, {"layer_norm", oracle_layer_norm},
    {"group_norm", oracle_group_norm}, {"batch_norm", oracle_batch_norm},
    {"max_pool", oracle_pool}, {"avg_pool", oracle_pool}, {"upsample", oracle_upsample},
    {"concat", oracle_concat}, {"reshape", oracle_copy}, {"squeeze", oracle_copy},
    {"expand_dims", oracle_copy}, {"transpose", oracle_transpose}, {"slice", oracle_slice},
    {"split", oracle_split}, {"expand", oracle_expand}, {"pixel_shuffle", oracle_pixel_shuffle},
    {"pixel_unshuffle", oracle_pixel_unshuffle}, {"mha", oracle_mha},
    {"cross_attention", oracle_cross_attention}, {"geglu", oracle_geglu},
};

static void (*oracle_of(const char *op))(const struct oracle_args *o)
{
    for (size_t i = 0; i < sizeof oracles / sizeof *oracles; i++)
        if (strcmp(oracles[i].op, op) == 0)
            return oracles[i].fill;
    for (size_t i = 0; i < sizeof unary / sizeof *unary; i++)
        if (strcmp(unary[i].name, op) == 0)
            return oracle_unary;
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++)
        if (strcmp(binary[i].name, op) == 0)
            return oracle_binary;
    return NULL;
}

/* -0 and 0 are one value here: their bits are the business of the kernel tests. */
static bool close_enough(f16 got, double v, double e)
{
    double y = (double)f16_to_f32(got);
    if (e == 0)
        return y == (double)f16_to_f32(f64_to_f16(v));
    return fabs(y - v) <= e + half_ulp16(fabs(v) + e);
}

static void check_case(const struct op *op, const struct op_case *c)
{
    struct trial t;
    struct arena arena;
    if (trial_make(&t, op, c->in, c->attrs) != ANF_OK)
        fail_msg("%s %s (%s): %s", op->name, c->in, c->attrs, status_message());
    arena_init(&arena, &alloc_default);
    struct op_eval e = {trial_call(&t), t.out, {NULL}, NULL, &arena};
    struct oracle_args o = {.t = &t, .out = &t.out.shape, .attrs = t.attrs.bytes,
                            .n = trial_count(&t.out.shape), .arena = &arena};
    uint64_t state = 12345;
    for (int i = 0; i < t.n_in; i++) {
        o.in[i] = &t.type[i].shape;
        if (t.kind[i] != '-')
            e.x[i] = trial_values(&t, i, &state, &arena, &o.x[i]);
    }
    e.y = arena_alloc_array(&arena, o.n, sizeof *e.y);
    o.v = arena_alloc_array(&arena, o.n, sizeof *o.v);
    o.e = arena_alloc_array(&arena, o.n, sizeof *o.e);
    memset(e.y, 0x7f, o.n * sizeof *e.y);
    assert_int_equal(op_eval(&e), ANF_OK);
    oracle_of(op->name)(&o);
    for (size_t i = 0; i < o.n; i++)
        if (!close_enough(e.y[i], o.v[i], o.e[i]))
            fail_msg("%s %s (%s): element %zu is %.9g, float64 gives %.9g, allowed error %.3g",
                     op->name, c->in, c->attrs, i, (double)f16_to_f32(e.y[i]), o.v[i], o.e[i]);
    arena_free(&arena);
}

static void test_references(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++)
        for (int k = 0; k < op_table[i]->n_cases; k++)
            check_case(op_table[i], &op_table[i]->cases[k]);
}

/* Every block is complete, and every operator has cases and an oracle. */
static void test_blocks(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op *op = op_table[i];
        assert_ptr_equal(op_find(op->name), op);
        assert_int_equal(op_id_of(op), i);
        assert_true(op->category && op->doc && op->doc[strlen(op->doc) - 1] == '.');
        assert_true(op->attrs_size <= sizeof ((struct trial *)0)->attrs);
        for (int k = 0; k < op->n_attrs; k++)
            assert_true(op->attrs[k].name && op->attrs[k].doc && op->attrs[k].doc[0]);
        if (op->traits & OP_LEAF)
            continue;
        assert_true(op_n_operands(op) >= 1 && op->n_cases >= 3);
        assert_non_null(oracle_of(op->name));
        assert_true(op->ref || op->expand || op->view || (op->traits & OP_ELEMENTWISE));
        assert_true(!op->view || !op->lower);
    }
    assert_null(op_find("convolution"));
    assert_null(op_find(""));
    assert_string_equal(op_operand_name(op_find("conv"), 2), "bias");
    assert_true(op_operand_optional(op_find("conv"), 2));
    assert_true(op_operand_variadic(op_find("concat"), 0));
    assert_string_equal(op_operand_name(op_find("concat"), 0), "tensors");
    assert_int_equal(op_n_operands(op_find("cross_attention")), OP_NAMES_MAX);
}

/* A view of an operand that is not dense: strides stand for the same elements, or are refused. */
static void test_views(void **state)
{
    (void)state;
    int shown = 0, refused = 0;
    for (int i = 0; i < OP_COUNT; i++)
        for (int k = 0; op_table[i]->view && k < op_table[i]->n_cases; k++) {
            struct trial t;
            const struct op_case *c = &op_table[i]->cases[k];
            assert_int_equal(trial_make(&t, op_table[i], c->in, c->attrs), ANF_OK);
            const anf_dims *x = &t.type[0].shape;
            /* Axes stored in reverse, then axis 0 repeated, then every second element. */
            for (int how = 0; how < 3; how++) {
                struct strided s = {.dims = *x, .offset = 3}, dense = strided_dense(x), by_view;
                int64_t step = how == 2 ? 2 : 1;
                for (int d = 0; d < x->rank; d++) {
                    int axis = how == 0 ? d : x->rank - 1 - d;
                    s.stride[axis] = how == 1 && axis == 0 ? 0 : step;
                    step *= x->dim[axis];
                }
                f16 *store = test_malloc((size_t)(step + 4) * sizeof *store);
                for (int64_t j = 0; j < step + 4; j++)
                    store[j] = (f16)j;
                size_t n = trial_count(&t.out.shape), n_x = trial_count(x);
                f16 *packed = test_malloc(n_x * sizeof *packed);
                f16 *want = test_malloc(n * sizeof *want), *got = test_malloc(n * sizeof *got);
                struct op_call call = trial_call(&t);
                ref_gather(store, &s, packed);
                assert_true(op_table[i]->view(&call, &t.out, &dense));
                ref_gather(packed, &dense, want);
                by_view = s;
                if (op_table[i]->view(&call, &t.out, &by_view)) {
                    assert_true(dims_equal(&by_view.dims, &t.out.shape));
                    ref_gather(store, &by_view, got);
                    assert_memory_equal(got, want, n * sizeof *got);
                    shown++;
                } else {
                    refused++;
                }
                test_free(store);
                test_free(packed);
                test_free(want);
                test_free(got);
            }
        }
    assert_true(shown > 60 && refused > 0 && refused < 20);
}

/* ---- values a random draw does not meet ------------------------------------------------------ */

static f16 eval_one(const char *name, const char *in, const char *attrs, const f16 *x0,
                    const f16 *x1)
{
    struct trial t;
    struct arena arena;
    f16 y[64];
    assert_int_equal(trial_make(&t, op_find(name), in, attrs), ANF_OK);
    arena_init(&arena, &alloc_default);
    struct op_eval e = {trial_call(&t), t.out, {x0, x1}, y, &arena};
    assert_true(trial_count(&t.out.shape) <= 64);
    assert_int_equal(op_eval(&e), ANF_OK);
    arena_free(&arena);
    return y[0];
}

static void test_special_values(void **state)
{
    (void)state;
    const f16 one = 0x3c00, inf = F16_INF, ninf = 0xfc00, nan = F16_NAN;
    const f16 with_nan[4] = {one, nan, one, one}, ninfs[4] = {ninf, ninf, ninf, ninf};
    const f16 infs[4] = {inf, one, one, one}, ones[4] = {one, one, one, one};
    const f16 large = 0x7bff, larges[4] = {large, large, large, large};
    const f16 cancelling[4] = {large, large, 0xfbff, 0xfbff};
    static const char *const folds[] = {"amax", "amin", "sum", "mean"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(eval_one(folds[i], "[4]", "axes=[0]", with_nan, NULL), nan);
    assert_int_equal(eval_one("amax", "[4]", "axes=[0]", ninfs, NULL), ninf);
    assert_int_equal(eval_one("amin", "[4]", "axes=[0]", infs, NULL), one);
    assert_int_equal(eval_one("max_pool", "[1,1,2,2]", "k=2", with_nan, NULL), nan);
    assert_int_equal(eval_one("max_pool", "[1,1,2,2]", "k=2", ninfs, NULL), ninf);
    assert_int_equal(eval_one("softmax", "[4]", "", with_nan, NULL), nan);
    assert_int_equal(eval_one("softmax", "[4]", "", infs, NULL), nan);
    assert_int_equal(eval_one("sum", "[4]", "axes=[0]", larges, NULL), inf);
    /* Sums beyond binary16 stay in float32 until the end. */
    assert_int_equal(eval_one("mean", "[4]", "axes=[0]", larges, NULL), large);
    assert_int_equal(eval_one("matmul", "[1,4] w[4,1]", "", cancelling, ones), 0);
    /* A padding zero takes part in the chain: zero times infinity. */
    assert_int_equal(eval_one("conv", "[1,1,1,1] w[1,1,2,2]", "pad=1", ones, infs), nan);
    assert_int_equal(eval_one("conv", "[1,1,1,1] w[1,1,1,1]", "", ones, infs), inf);
    assert_int_equal(eval_one("maximum", "[1] [1]", "", &nan, &one), nan);
    assert_int_equal(eval_one("minimum", "[1] [1]", "", &one, &nan), nan);
    assert_int_equal(eval_one("transpose", "[1,4]", "perm=[1,0]", infs, NULL), inf);
}

/* Two operations for each multiply-add; the composites count their products. */
static void test_flops(void **state)
{
    (void)state;
    static const struct {
        const char *op, *in, *attrs;
        uint64_t flops;
    } known[] = {
        {"matmul", "[4,8] w[8,6]", "", 2 * 4 * 8 * 6},
        {"linear", "[2,3,5] w[17,5]", "", 2 * 6 * 5 * 17},
        {"bmm", "[2,4,8] [2,8,6]", "", 2 * 2 * 4 * 8 * 6},
        {"conv", "[2,3,8,9] w[4,3,3,3]", "pad=1", 2 * (2 * 4 * 72) * 27},
        {"conv", "[2,6,9,7] w[4,3,3,3]", "groups=2, pad=1", 2 * (2 * 4 * 63) * 27},
        {"conv_transpose", "[1,3,5,6] w[3,4,3,3]", "stride=2", 2 * (3 * 30) * (4 * 9)},
        {"sum", "[2,3,4,5]", "axes=[1]", 120},
        {"max_pool", "[1,3,8,8]", "k=2", 48 * 4},
        {"softmax", "[2,3,8]", "", 5 * 48},
        {"batch_norm", "[1,4,3,5] w[4] w[4] w[4] p[4]", "", 3 * 60},
        {"reshape", "[6]", "shape=[2,3]", 0},
        {"mha", "[5,8] w[8,8] - w[8,8] - w[8,8] - w[8,8]", "n_heads=2",
         2 * (4 * 5 * 64) + 2 * (2 * 5 * 5 * 8)},
        {"cross_attention", "[5,8] [7,6] w[8,8] w[8,6] w[8,6] w[8,8]", "n_heads=2",
         2 * (2 * 5 * 64) + 2 * (2 * 7 * 48) + 2 * (2 * 5 * 7 * 8)},
        {"geglu", "[4,6] w[10,6]", "", 2 * (4 * 6 * 10) + 2 * 20},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct trial t;
        assert_int_equal(trial_make(&t, op_find(known[i].op), known[i].in, known[i].attrs), ANF_OK);
        struct op_call call = trial_call(&t);
        assert_int_equal(t.op->flops(&call, &t.out), known[i].flops);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_flops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
