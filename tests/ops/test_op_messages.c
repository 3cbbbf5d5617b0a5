/* Every refusal of the operator blocks, with its status and exact message: what was given, what
 * was needed, where.  The number and presence of operands is graph_add's check, attribute syntax
 * that of attrs_parse; both are tested with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_trial.h"

#include <math.h>

struct bad {
    const char *op, *in, *attrs;
    anf_status status;
    const char *message;
};

static const struct bad bad[] = {
    /* shared checks */
    {"relu", "b[3]", "", ANF_E_DTYPE, "relu: x is bool, needs float16"},
    {"concat", "[3] u[3]", "axis=0", ANF_E_DTYPE, "concat: tensors is uint8, needs float16"},
    {"logical_not", "[3]", "", ANF_E_DTYPE, "logical_not: x is float16, needs bool"},
    {"select", "[3] [3] [3]", "", ANF_E_DTYPE, "select: cond is float16, needs bool"},
    {"select", "b[3] b[3] [3]", "", ANF_E_DTYPE, "select: a is bool, needs float16"},
    {"select", "b[3] [3] u[3]", "", ANF_E_DTYPE, "select: b is uint8, needs float16"},
    {"cast", "[3]", "", ANF_E_DTYPE, "cast: x is float16, needs uint8 or bool"},
    {"add", "[2,3] [4]", "", ANF_E_SHAPE, "add: shapes [2,3] and [4] do not broadcast"},
    {"less", "[2] [3]", "", ANF_E_SHAPE, "less: shapes [2] and [3] do not broadcast"},
    {"select", "b[4] [2] [3]", "", ANF_E_SHAPE, "select: shapes [2] and [3] do not broadcast"},
    {"select", "b[4] [2] [2]", "", ANF_E_SHAPE, "select: shapes [4] and [2] do not broadcast"},
    {"add", "[1048576,1] [1,1048577]", "", ANF_E_SHAPE,
     "add: the result [1048576,1048577] has more than 2^40 elements"},
    {"upsample", "[1,1,1048576,1048576]", "scale=1048576", ANF_E_SHAPE,
     "upsample: the result [1,1,1099511627776,1099511627776] has more than 2^40 elements"},

    /* linear algebra */
    {"matmul", "[] w[3,4]", "", ANF_E_SHAPE, "matmul: x [] has rank 0, needs 1 or more"},
    {"matmul", "[3] w[3]", "", ANF_E_SHAPE, "matmul: w [3] has rank 1, needs 2"},
    {"matmul", "[2,3] w[4,5]", "", ANF_E_SHAPE, "matmul: w [4,5] needs K 4, x [2,3] has 3"},
    {"linear", "[2,3] w[5,4]", "", ANF_E_SHAPE, "linear: weight [5,4] needs K 4, x [2,3] has 3"},
    {"linear", "[2,3] w[5,3] w[1,5]", "", ANF_E_SHAPE,
     "linear: bias [1,5] given, needs [5] for weight [5,3]"},
    {"bmm", "[3] [3,4]", "", ANF_E_SHAPE, "bmm: a [3] has rank 1, needs 2 or more"},
    {"bmm", "[2,3] [3]", "", ANF_E_SHAPE, "bmm: b [3] has rank 1, needs 2 or more"},
    {"bmm", "[2,3] [4,5]", "", ANF_E_SHAPE, "bmm: b [4,5] needs K 4, a [2,3] has 3"},
    {"bmm", "[2,4,3] [5,3,4]", "", ANF_E_SHAPE,
     "bmm: batch dims of a [2,4,3] and b [5,3,4] do not broadcast"},
    {"conv", "[3,32,32] w[16,3,3,3]", "", ANF_E_SHAPE, "conv: x [3,32,32] has rank 3, needs 4"},
    {"conv", "[1,3,8,8] w[16,3]", "", ANF_E_SHAPE, "conv: weight [16,3] has rank 2, needs 4"},
    {"conv", "[1,3,32,32] w[16,4,3,3]", "", ANF_E_SHAPE,
     "conv: weight [16,4,3,3] needs Cin 4, x [1,3,32,32] has 3"},
    {"conv", "[1,3,32,32] w[16,4,3,3]", "groups=2", ANF_E_SHAPE,
     "conv: weight [16,4,3,3] with groups 2 needs Cin 8, x [1,3,32,32] has 3"},
    {"conv", "[1,4,8,8] w[5,2,3,3]", "groups=2", ANF_E_SHAPE,
     "conv: dim 0 of weight [5,2,3,3] is not divisible by groups 2"},
    {"conv", "[1,3,8,8] w[4,3,3,3] w[3]", "", ANF_E_SHAPE,
     "conv: bias [3] given, needs [4] for weight [4,3,3,3]"},
    {"conv", "[1,1,3,9] w[1,1,5,5]", "", ANF_E_SHAPE,
     "conv: kernel of weight [1,1,5,5], dilation 1, does not fit x [1,1,3,9], pad 0"},
    {"conv", "[1,1,9,5] w[1,1,3,3]", "dilation=4, pad=1", ANF_E_SHAPE,
     "conv: kernel of weight [1,1,3,3], dilation 4, does not fit x [1,1,9,5], pad 1"},
    {"conv", "[1,1,3,3] w[1,1,1,1]", "stride=0", ANF_E_ATTR,
     "conv: stride is 0, needs 1 to 1048576"},
    {"conv", "[1,1,3,3] w[1,1,1,1]", "pad=-1", ANF_E_ATTR, "conv: pad is -1, needs 0 to 1048576"},
    {"conv", "[1,1,3,3] w[1,1,1,1]", "dilation=0", ANF_E_ATTR,
     "conv: dilation is 0, needs 1 to 1048576"},
    {"conv", "[1,1,3,3] w[1,1,1,1]", "groups=-2", ANF_E_ATTR,
     "conv: groups is -2, needs 1 to 1048576"},
    {"conv", "[1,1,3,3] w[1,1,1,1]", "stride=9223372036854775807", ANF_E_ATTR,
     "conv: stride is 9223372036854775807, needs 1 to 1048576"},
    {"conv_transpose", "[1,3,8,8] w[4,2,3,3]", "", ANF_E_SHAPE,
     "conv_transpose: weight [4,2,3,3] needs Cin 4, x [1,3,8,8] has 3"},
    {"conv_transpose", "[1,3,8,8] w[3,2,3,3]", "groups=2", ANF_E_SHAPE,
     "conv_transpose: dim 0 of weight [3,2,3,3] is not divisible by groups 2"},
    {"conv_transpose", "[1,4,8,8] w[4,3,3,3] w[3]", "groups=2", ANF_E_SHAPE,
     "conv_transpose: bias [3] given, needs [6] for weight [4,3,3,3]"},
    {"conv_transpose", "[1,1,2,2] w[1,1,3,3]", "pad=2", ANF_E_SHAPE,
     "conv_transpose: pad 2 leaves nothing of x [1,1,2,2], weight [1,1,3,3]"},
    {"conv_transpose", "[1,8,8] w[4,2,3,3]", "", ANF_E_SHAPE,
     "conv_transpose: x [1,8,8] has rank 3, needs 4"},

    /* elementwise */
    {"clip", "[3]", "lo=1, hi=0", ANF_E_ATTR, "clip: lo 1 is above hi 0"},

    /* reductions and normalisation */
    {"mean", "[2,3]", "axes=[2]", ANF_E_ATTR, "mean: axis 2 is out of range for rank 2"},
    {"sum", "[2,3]", "axes=[-3]", ANF_E_ATTR, "sum: axis -3 is out of range for rank 2"},
    {"amax", "[2,3]", "axes=[1,-1]", ANF_E_ATTR, "amax: axis 1 is given twice"},
    {"amin", "[2,3]", "axes=[]", ANF_E_ATTR, "amin: axes is empty, needs at least one"},
    {"softmax", "[]", "", ANF_E_ATTR, "softmax: axis -1 is out of range for rank 0"},
    {"softmax", "[2]", "axis=1", ANF_E_ATTR, "softmax: axis 1 is out of range for rank 1"},
    {"l2_norm", "[2]", "axis=-2", ANF_E_ATTR, "l2_norm: axis -2 is out of range for rank 1"},
    {"l2_norm", "[2]", "eps=-1", ANF_E_ATTR,
     "l2_norm: eps is -1, needs a finite number, 0 or more"},
    {"rms_norm", "[] w[1]", "", ANF_E_SHAPE, "rms_norm: x [] has rank 0, needs 1 or more"},
    {"rms_norm", "[4,8] w[1,8]", "", ANF_E_SHAPE,
     "rms_norm: gamma [1,8] given, needs [8] for x [4,8]"},
    {"rms_norm", "[4,8] w[8]", "eps=1e300", ANF_E_ATTR,
     "rms_norm: eps is 1e+300, needs a finite number, 0 or more"},
    {"layer_norm", "[4,8] w[8] w[4]", "", ANF_E_SHAPE,
     "layer_norm: beta [4] given, needs [8] for x [4,8]"},
    {"group_norm", "[4] w[4] w[4]", "num_groups=2", ANF_E_SHAPE,
     "group_norm: x [4] has rank 1, needs 2 or more"},
    {"group_norm", "[1,6,2] w[6] w[6]", "num_groups=4", ANF_E_SHAPE,
     "group_norm: C 6 of x [1,6,2] is not divisible by num_groups 4"},
    {"group_norm", "[1,6,2] w[6] w[6]", "num_groups=0", ANF_E_ATTR,
     "group_norm: num_groups is 0, needs 1 to 1048576"},
    {"group_norm", "[1,6,2] w[6] w[1,6,1]", "num_groups=3", ANF_E_SHAPE,
     "group_norm: beta [1,6,1] given, needs [6] for x [1,6,2]"},
    {"group_norm", "[1,6,2] w[6] w[6]", "num_groups=3, eps=-0.5", ANF_E_ATTR,
     "group_norm: eps is -0.5, needs a finite number, 0 or more"},
    {"batch_norm", "[6] w[6] w[6] w[6] w[6]", "", ANF_E_SHAPE,
     "batch_norm: x [6] has rank 1, needs 2 or more"},
    {"batch_norm", "[1,6] w[6] w[6] w[6] w[5]", "", ANF_E_SHAPE,
     "batch_norm: var [5] given, needs [6] for x [1,6]"},
    {"batch_norm", "[1,6] w[6] w[6] w[6] w[6]", "eps=-1", ANF_E_ATTR,
     "batch_norm: eps is -1, needs a finite number, 0 or more"},

    /* spatial and shape */
    {"max_pool", "[3,8,8]", "k=2", ANF_E_SHAPE, "max_pool: x [3,8,8] has rank 3, needs 4"},
    {"max_pool", "[1,1,8,8]", "k=0", ANF_E_ATTR, "max_pool: k is 0, needs 1 to 1048576"},
    {"avg_pool", "[1,1,8,8]", "k=2, stride=-1", ANF_E_ATTR,
     "avg_pool: stride is -1, needs 0 to 1048576"},
    {"avg_pool", "[1,1,8,8]", "k=2, pad=-1", ANF_E_ATTR, "avg_pool: pad is -1, needs 0 to 1048576"},
    {"avg_pool", "[1,1,8,8]", "k=2, pad=2", ANF_E_ATTR,
     "avg_pool: pad 2 given, needs less than k 2"},
    {"max_pool", "[1,1,3,9]", "k=6, pad=1", ANF_E_SHAPE,
     "max_pool: window 6 does not fit x [1,1,3,9], pad 1"},
    {"upsample", "[8,8]", "", ANF_E_SHAPE, "upsample: x [8,8] has rank 2, needs 4"},
    {"upsample", "[1,1,8,8]", "scale=0", ANF_E_ATTR, "upsample: scale is 0, needs 1 to 1048576"},
    {"pixel_shuffle", "[8,8]", "r=2", ANF_E_SHAPE, "pixel_shuffle: x [8,8] has rank 2, needs 4"},
    {"pixel_shuffle", "[1,6,8,8]", "r=2", ANF_E_SHAPE,
     "pixel_shuffle: C 6 of x [1,6,8,8] is not divisible by r^2 = 4"},
    {"pixel_shuffle", "[1,6,8,8]", "r=0", ANF_E_ATTR, "pixel_shuffle: r is 0, needs 1 to 1048576"},
    {"pixel_unshuffle", "[1,6,8,9]", "r=2", ANF_E_SHAPE,
     "pixel_unshuffle: H and W of x [1,6,8,9] are not divisible by r 2"},
    {"pixel_unshuffle", "[1,6,8,9]", "r=-1", ANF_E_ATTR,
     "pixel_unshuffle: r is -1, needs 1 to 1048576"},
    {"concat", "[2,3,4] [2,3,5]", "", ANF_E_SHAPE,
     "concat: tensor 1 [2,3,5] and tensor 0 [2,3,4] differ outside axis 1"},
    {"concat", "[2,3] [2,3] [2,3,1]", "", ANF_E_SHAPE,
     "concat: tensor 2 [2,3,1] and tensor 0 [2,3] differ outside axis 1"},
    {"concat", "[3] [3]", "", ANF_E_ATTR, "concat: axis 1 is out of range for rank 1"},
    {"reshape", "[6]", "shape=[-1,-1]", ANF_E_ATTR, "reshape: shape [-1,-1] has more than one -1"},
    {"reshape", "[6]", "shape=[0,6]", ANF_E_ATTR,
     "reshape: shape [0,6] needs dims of 1 or more, one may be -1, and at most 2^40 elements"},
    {"reshape", "[6]", "shape=[1099511627776,2]", ANF_E_ATTR,
     "reshape: shape [1099511627776,2] needs dims of 1 or more, one may be -1, and at most 2^40 "
     "elements"},
    {"reshape", "[2,3]", "shape=[4]", ANF_E_SHAPE,
     "reshape: x [2,3] has 6 elements, shape [4] does not fit"},
    {"reshape", "[2,3]", "shape=[4,-1]", ANF_E_SHAPE,
     "reshape: x [2,3] has 6 elements, shape [4,-1] does not fit"},
    {"squeeze", "[2,1]", "axes=[0]", ANF_E_SHAPE, "squeeze: axis 0 of x [2,1] has size 2, needs 1"},
    {"squeeze", "[2,1]", "axes=[2]", ANF_E_ATTR, "squeeze: axis 2 is out of range for rank 2"},
    {"expand_dims", "[2,3]", "axes=[3]", ANF_E_ATTR,
     "expand_dims: axis 3 is out of range for rank 3"},
    {"expand_dims", "[1,1,1,1,1,1,1]", "axes=[0,1]", ANF_E_SHAPE,
     "expand_dims: 2 more axes on x [1,1,1,1,1,1,1] make rank 9, at most 8 is possible"},
    {"transpose", "[2,3,4]", "perm=[1,0]", ANF_E_ATTR,
     "transpose: perm [1,0] has 2 entries, x [2,3,4] has rank 3"},
    {"transpose", "[2,3]", "perm=[0,2]", ANF_E_ATTR,
     "transpose: axis 2 is out of range for rank 2"},
    {"transpose", "[2,3]", "perm=[1,-1]", ANF_E_ATTR, "transpose: perm has axis 1 twice"},
    {"slice", "[2,3]", "begin=[0], size=[1,2]", ANF_E_ATTR,
     "slice: begin [0] and size [1,2] need 2 entries each for x [2,3]"},
    {"slice", "[2,4]", "begin=[0,2], size=[2,3]", ANF_E_ATTR,
     "slice: begin [0,2] with size [2,3] is not inside x [2,4]"},
    {"slice", "[4]", "begin=[-1], size=[1]", ANF_E_ATTR,
     "slice: begin [-1] with size [1] is not inside x [4]"},
    {"slice", "[4]", "begin=[1], size=[9223372036854775807]", ANF_E_ATTR,
     "slice: begin [1] with size [9223372036854775807] is not inside x [4]"},
    {"split", "[4]", "parts=0, index=0", ANF_E_ATTR, "split: parts is 0, needs 1 to 1048576"},
    {"split", "[4]", "parts=2, index=2", ANF_E_ATTR, "split: index is 2, needs 0 to 1"},
    {"split", "[4]", "parts=2, index=0, axis=1", ANF_E_ATTR,
     "split: axis 1 is out of range for rank 1"},
    {"split", "[2,5]", "parts=2, index=0, axis=-1", ANF_E_SHAPE,
     "split: axis 1 of x [2,5] is not divisible into 2 parts"},
    {"expand", "[2,3]", "shape=[2,4]", ANF_E_SHAPE, "expand: x [2,3] does not broadcast to [2,4]"},
    {"expand", "[2,3]", "shape=[3]", ANF_E_SHAPE, "expand: x [2,3] does not broadcast to [3]"},
    {"expand", "[1]", "shape=[0]", ANF_E_SHAPE, "expand: x [1] does not broadcast to [0]"},
    {"expand", "[1]", "shape=[1048577,1048576]", ANF_E_SHAPE,
     "expand: the result [1048577,1048576] has more than 2^40 elements"},

    /* attention and gating */
    {"mha", "[8] w[8,8] - w[8,8] - w[8,8] - w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "mha: x [8] has rank 1, needs 2 ([S,D]) or 3 ([N,S,D])"},
    {"mha", "[5,8] w[8,8] - w[8,8] - w[8,8] - w[8,8]", "n_heads=0", ANF_E_ATTR,
     "mha: n_heads is 0, needs 1 to 1048576"},
    {"mha", "[5,8] w[8,8] - w[8,8] - w[8,8] - w[8,8]", "n_heads=3", ANF_E_SHAPE,
     "mha: width 8 of wq [8,8] is not divisible by n_heads 3"},
    {"mha", "[5,8] w[8] - w[8,8] - w[8,8] - w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "mha: wq [8] has rank 1, needs 2"},
    {"mha", "[5,8] w[8,8] - w[8,8] - w[8,8] - w[8]", "n_heads=2", ANF_E_SHAPE,
     "mha: wo [8] has rank 1, needs 2"},
    {"mha", "[5,8] w[8,8] - w[6,8] - w[8,8] - w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "mha: wk [6,8] given, needs [8,8] for wq [8,8]"},
    {"mha", "[5,8] w[8,8] w[4] w[8,8] - w[8,8] - w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "mha: bq [4] given, needs [8] for wq [8,8]"},
    {"cross_attention", "[2,5,8] [3,5,8] w[8,8] w[8,8] w[8,8] w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "cross_attention: context [3,5,8] does not go with x [2,5,8], needs the same rank and batch"},
    {"cross_attention", "[5,8] [7,6] w[8,8] w[8,8] w[8,6] w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "cross_attention: wk [8,8] given, needs [8,6] for context [7,6]"},
    {"cross_attention", "[5,8] [7,6] w[8,8] w[8,6] w[4,6] w[8,8]", "n_heads=2", ANF_E_SHAPE,
     "cross_attention: wv [4,6] given, needs [8,6] for wq [8,8]"},
    {"cross_attention", "[5,8] [7,6] w[8,8] w[8,6] w[8,6] w[8,4]", "n_heads=2", ANF_E_SHAPE,
     "cross_attention: wo [8,4] given, needs [8,8] for wq [8,8]"},
    {"cross_attention", "[5,8] [7,6] w[8,8] w[8,6] w[8,6] w[8,8] - - - w[4]", "n_heads=2",
     ANF_E_SHAPE, "cross_attention: bo [4] given, needs [8] for wo [8,8]"},
    {"geglu", "[4,6] w[9,6]", "", ANF_E_SHAPE, "geglu: w [9,6] given, needs [2 F,6] for x [4,6]"},
    {"geglu", "[4,6] w[10,5]", "", ANF_E_SHAPE, "geglu: w [10,5] given, needs [2 F,6] for x [4,6]"},
    {"geglu", "[4,6] w[10,6] w[5]", "", ANF_E_SHAPE,
     "geglu: b [5] given, needs [10] for w [10,6]"},
    {"geglu", "[] w[10,6]", "", ANF_E_SHAPE, "geglu: x [] has rank 0, needs 1 or more"},
    {"geglu", "[6] w[10]", "", ANF_E_SHAPE, "geglu: w [10] has rank 1, needs 2"},
};

static void test_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct bad *b = &bad[i];
        struct trial t;
        anf_status st = trial_make(&t, op_find(b->op), b->in, b->attrs);
        if (st != b->status || strcmp(status_message(), b->message) != 0)
            fail_msg("%s %s (%s): status %d\n  '%s', expected %d\n  '%s'", b->op, b->in, b->attrs,
                     (int)st, st ? status_message() : "", (int)b->status, b->message);
    }
}

/* What no text can say. */
static void test_raw_attributes(void **state)
{
    (void)state;
    struct value_type x = {ANF_F16, ANF_SHAPE(2, 3)}, out;
    struct clip_attrs clip = {NAN, 1};
    struct op_call c = {op_find("clip"), 1, &x, &clip};
    assert_int_equal(op_infer(&c, &clip, &out), ANF_E_ATTR);
    assert_string_equal(status_message(), "clip: lo is not a number");

    struct axes_attrs axes = {{9, {0}}};
    c = (struct op_call){op_find("sum"), 1, &x, &axes};
    assert_int_equal(op_infer(&c, &axes, &out), ANF_E_ATTR);
    assert_string_equal(status_message(), "sum: axes has 9 entries, needs 0 to 8");
    axes.axes.rank = -1;
    assert_int_equal(op_infer(&c, &axes, &out), ANF_E_ATTR);
    assert_string_equal(status_message(), "sum: axes has -1 entries, needs 0 to 8");

    c = (struct op_call){op_find("const"), 0, NULL, NULL};
    assert_int_equal(op_infer(&c, NULL, &out), ANF_E_ARG);
    assert_string_equal(status_message(),
                        "const: has a builder of its own, it cannot be made by name");
    struct op_eval e = {.call = c};
    assert_int_equal(op_eval(&e), ANF_E_ARG);
    assert_string_equal(status_message(), "const: has no value of its own to compute");
}

/* Attributes that mean the same have the same bytes after inference, and infer leaves them so. */
static void test_normal_form(void **state)
{
    (void)state;
    struct value_type x = {ANF_F16, ANF_SHAPE(2, 3, 4)}, out;
    struct axes_attrs a, b;
    memset(&a, 0xff, sizeof a);
    memset(&b, 0, sizeof b);
    a.axes.rank = b.axes.rank = 2;
    a.axes.dim[0] = -1;
    a.axes.dim[1] = 0;
    b.axes.dim[1] = 2;
    struct op_call c = {op_find("sum"), 1, &x, &a};
    assert_int_equal(op_infer(&c, &a, &out), ANF_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(dims_equal(&out.shape, &ANF_SHAPE(1, 3, 1)));

    for (int i = 0; i < OP_COUNT; i++)
        for (int k = 0; k < op_table[i]->n_cases; k++) {
            struct trial t;
            assert_int_equal(trial_make(&t, op_table[i], op_table[i]->cases[k].in,
                                        op_table[i]->cases[k].attrs), ANF_OK);
            char once[sizeof t.attrs];
            memcpy(once, t.attrs.bytes, sizeof once);
            struct op_call again = trial_call(&t);
            assert_int_equal(op_infer(&again, t.attrs.bytes, &out), ANF_OK);
            assert_memory_equal(once, t.attrs.bytes, sizeof once);
            assert_true(dims_equal(&out.shape, &t.out.shape) && out.dtype == t.out.dtype);
        }
    struct trial t;
    assert_int_equal(trial_make(&t, op_find("avg_pool"), "[1,1,8,8]", "k=3"), ANF_OK);
    assert_int_equal(((struct pool_attrs *)t.attrs.bytes)->stride, 3);
    assert_int_equal(trial_make(&t, op_find("reshape"), "[4,6]", "shape=[3,-1]"), ANF_OK);
    assert_int_equal(((struct shape_attrs *)t.attrs.bytes)->shape.dim[1], 8);
    assert_int_equal(trial_make(&t, op_find("less"), "[4,1] [6]", ""), ANF_OK);
    assert_int_equal(t.out.dtype, ANF_BOOL);
}

/* The expansions and the references allocate; each failure must come back as a status. */
struct failing {
    size_t left, live;
};

static void *failing_alloc(void *user, size_t n_bytes, size_t align)
{
    struct failing *f = user;
    if (f->left == 0)
        return NULL;
    f->left--;
    f->live++;
    return alloc_default.alloc(alloc_default.user, n_bytes, align);
}

static void failing_free(void *user, void *p, size_t n_bytes)
{
    struct failing *f = user;
    f->live -= p != NULL;
    alloc_default.free(alloc_default.user, p, n_bytes);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        if (op_table[i]->n_cases == 0)
            continue;
        struct trial t;
        assert_int_equal(trial_make(&t, op_table[i], op_table[i]->cases[0].in,
                                    op_table[i]->cases[0].attrs), ANF_OK);
        static f16 zeros[4096], y[4096];
        struct op_eval e = {trial_call(&t), t.out, {NULL}, y, NULL};
        for (int k = 0; k < t.n_in; k++)
            e.x[k] = t.kind[k] == '-' ? NULL : zeros;
        anf_status st = ANF_E_NOMEM;
        for (size_t allowed = 0; st != ANF_OK; allowed++) {
            struct failing f = {allowed, 0};
            anf_allocator allocator = {&f, failing_alloc, failing_free};
            struct arena arena;
            arena_init(&arena, &allocator);
            e.scratch = &arena;
            st = op_eval(&e);
            arena_free(&arena);
            assert_true(st == ANF_OK || st == ANF_E_NOMEM);
            assert_true(f.live == 0 && allowed < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_raw_attributes),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
