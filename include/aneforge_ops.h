/* Typed builders, one per operator.  Written by tools/gen_ops.c from the operator table: do not
 * edit.  Included by aneforge.h.
 *
 * Arguments are the required operands and the attributes in which zero is a value like any other.
 * What may be left out is given by name, and zero means absent or default:
 *
 *     anf_tensor h = anf_conv(x, w, .bias = b, .stride = 2, .pad = 1);
 *     anf_tensor s = anf_sum(h, ANF_AXES(2, 3));
 *     anf_tensor c = anf_concat(ANF_TENSORS(h, k), 1);
 *
 * Each such builder is a macro over a function anf_<op>_opt that takes the options as a struct.
 * C++ has no macros of these names: there the options are a last argument, an anf_<op>_opts.
 * An error makes the result poisoned and is kept by the graph: see anf_tensor. */
#ifndef ANEFORGE_OPS_H
#define ANEFORGE_OPS_H

/* ---- helpers of the builders, not part of the API ---- */

static inline anf_graph *anf_graph_of_(const anf_tensor *in, int n)
{
    for (int i = 0; in && i < n; i++)
        if (in[i].graph)
            return in[i].graph;
    return NULL;
}

static inline anf_attr anf_attr_int_(const char *name, int64_t value)
{
    anf_attr a = {name, ANF_ATTR_INT, value, 0, {0, {0}}};
    return a;
}

static inline anf_attr anf_attr_float_(const char *name, double value)
{
    anf_attr a = {name, ANF_ATTR_FLOAT, 0, value, {0, {0}}};
    return a;
}

static inline anf_attr anf_attr_ints_(const char *name, anf_dims value)
{
    anf_attr a = {name, ANF_ATTR_INTS, 0, 0, value};
    return a;
}

#ifndef __cplusplus
#define ANF_CALL1_(f, opts, a1, ...) \
    f((a1), (opts){__VA_ARGS__})
#define ANF_CALL2_(f, opts, a1, a2, ...) \
    f((a1), (a2), (opts){__VA_ARGS__})
#define ANF_CALL3_(f, opts, a1, a2, a3, ...) \
    f((a1), (a2), (a3), (opts){__VA_ARGS__})
#define ANF_CALL4_(f, opts, a1, a2, a3, a4, ...) \
    f((a1), (a2), (a3), (a4), (opts){__VA_ARGS__})
#define ANF_CALL5_(f, opts, a1, a2, a3, a4, a5, ...) \
    f((a1), (a2), (a3), (a4), (a5), (opts){__VA_ARGS__})
#define ANF_CALL6_(f, opts, a1, a2, a3, a4, a5, a6, ...) \
    f((a1), (a2), (a3), (a4), (a5), (a6), (opts){__VA_ARGS__})
#define ANF_CALL7_(f, opts, a1, a2, a3, a4, a5, a6, a7, ...) \
    f((a1), (a2), (a3), (a4), (a5), (a6), (a7), (opts){__VA_ARGS__})

/* The two arguments (array, count) that a builder over any number of tensors takes. */
#define ANF_TENSORS(...) \
    (const anf_tensor[]){__VA_ARGS__}, \
    (int)(sizeof((const anf_tensor[]){__VA_ARGS__}) / sizeof(anf_tensor))
#endif

/* ---- Linear algebra -------------------------------------------------------------------------- */

/* matmul: y[...,n] = sum over k of x[...,k] w[k,n]. */
static inline anf_tensor anf_matmul(anf_tensor x, anf_tensor w)
{
    const anf_tensor in_[] = {x, w};
    return anf_op(anf_graph_of_(in_, 2), "matmul", in_, 2, NULL, 0);
}

/* linear: y[...,n] = sum over k of x[...,k] weight[n,k], plus bias[n].
 *   bias         optional operand */
typedef struct anf_linear_opts {
    int unused_;
    anf_tensor bias;
} anf_linear_opts;
static inline anf_tensor anf_linear_opt(anf_tensor x, anf_tensor weight, anf_linear_opts o)
{
    const anf_tensor in_[] = {x, weight, o.bias};
    return anf_op(anf_graph_of_(in_, 3), "linear", in_, 3, NULL, 0);
}
#ifdef __cplusplus
static inline anf_tensor anf_linear(anf_tensor x, anf_tensor weight, anf_linear_opts o = {})
{
    return anf_linear_opt(x, weight, o);
}
#else
#define anf_linear(...) \
    ANF_CALL2_(anf_linear_opt, anf_linear_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* bmm: y[...,m,n] = sum over k of a[...,m,k] b[...,k,n]; the leading dims broadcast. */
static inline anf_tensor anf_bmm(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "bmm", in_, 2, NULL, 0);
}

/* conv: 2D cross-correlation of x [N,Cin,H,W] with weight [Cout,Cin/groups,kH,kW], plus bias[Cout].
 *   bias         optional operand
 *   stride       step of the window along both axes (default 1)
 *   pad          zeros added on every side (default 0)
 *   dilation     distance of neighbouring kernel taps (default 1)
 *   groups       channels are split into so many independent convolutions (default 1) */
typedef struct anf_conv_opts {
    int unused_;
    anf_tensor bias;
    int64_t stride;
    int64_t pad;
    int64_t dilation;
    int64_t groups;
} anf_conv_opts;
static inline anf_tensor anf_conv_opt(anf_tensor x, anf_tensor weight, anf_conv_opts o)
{
    const anf_tensor in_[] = {x, weight, o.bias};
    anf_attr at_[4];
    int n_ = 0;
    if (o.stride)
        at_[n_++] = anf_attr_int_("stride", o.stride);
    if (o.pad)
        at_[n_++] = anf_attr_int_("pad", o.pad);
    if (o.dilation)
        at_[n_++] = anf_attr_int_("dilation", o.dilation);
    if (o.groups)
        at_[n_++] = anf_attr_int_("groups", o.groups);
    return anf_op(anf_graph_of_(in_, 3), "conv", in_, 3, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_conv(anf_tensor x, anf_tensor weight, anf_conv_opts o = {})
{
    return anf_conv_opt(x, weight, o);
}
#else
#define anf_conv(...) \
    ANF_CALL2_(anf_conv_opt, anf_conv_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* conv_transpose: 2D transposed convolution of x [N,Cin,H,W] with weight [Cin,Cout/groups,kH,kW],
 * plus bias[Cout].
 *   bias         optional operand
 *   stride       step of the window along both axes (default 1)
 *   pad          zeros added on every side (default 0)
 *   dilation     distance of neighbouring kernel taps (default 1)
 *   groups       channels are split into so many independent convolutions (default 1) */
typedef struct anf_conv_transpose_opts {
    int unused_;
    anf_tensor bias;
    int64_t stride;
    int64_t pad;
    int64_t dilation;
    int64_t groups;
} anf_conv_transpose_opts;
static inline anf_tensor anf_conv_transpose_opt(anf_tensor x, anf_tensor weight,
                                                anf_conv_transpose_opts o)
{
    const anf_tensor in_[] = {x, weight, o.bias};
    anf_attr at_[4];
    int n_ = 0;
    if (o.stride)
        at_[n_++] = anf_attr_int_("stride", o.stride);
    if (o.pad)
        at_[n_++] = anf_attr_int_("pad", o.pad);
    if (o.dilation)
        at_[n_++] = anf_attr_int_("dilation", o.dilation);
    if (o.groups)
        at_[n_++] = anf_attr_int_("groups", o.groups);
    return anf_op(anf_graph_of_(in_, 3), "conv_transpose", in_, 3, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_conv_transpose(anf_tensor x, anf_tensor weight,
                                            anf_conv_transpose_opts o = {})
{
    return anf_conv_transpose_opt(x, weight, o);
}
#else
#define anf_conv_transpose(...) \
    ANF_CALL2_(anf_conv_transpose_opt, anf_conv_transpose_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* ---- Elementwise, unary ---------------------------------------------------------------------- */

/* relu: max(x, 0). */
static inline anf_tensor anf_relu(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "relu", in_, 1, NULL, 0);
}

/* silu: x / (1 + exp(-x)). */
static inline anf_tensor anf_silu(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "silu", in_, 1, NULL, 0);
}

/* gelu: x/2 (1 + erf(x / sqrt 2)), the exact form. */
static inline anf_tensor anf_gelu(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "gelu", in_, 1, NULL, 0);
}

/* sigmoid: 1 / (1 + exp(-x)). */
static inline anf_tensor anf_sigmoid(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "sigmoid", in_, 1, NULL, 0);
}

/* tanh: Hyperbolic tangent of x. */
static inline anf_tensor anf_tanh(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "tanh", in_, 1, NULL, 0);
}

/* exp: e to the power x. */
static inline anf_tensor anf_exp(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "exp", in_, 1, NULL, 0);
}

/* sqrt: Square root of x. */
static inline anf_tensor anf_sqrt(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "sqrt", in_, 1, NULL, 0);
}

/* rsqrt: 1 / sqrt(x + eps).
 *   eps          added to x first (default 0) */
typedef struct anf_rsqrt_opts {
    int unused_;
    double eps;
} anf_rsqrt_opts;
static inline anf_tensor anf_rsqrt_opt(anf_tensor x, anf_rsqrt_opts o)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 1), "rsqrt", in_, 1, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_rsqrt(anf_tensor x, anf_rsqrt_opts o = {})
{
    return anf_rsqrt_opt(x, o);
}
#else
#define anf_rsqrt(...) \
    ANF_CALL1_(anf_rsqrt_opt, anf_rsqrt_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* abs: |x|. */
static inline anf_tensor anf_abs(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "abs", in_, 1, NULL, 0);
}

/* square: x times x. */
static inline anf_tensor anf_square(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "square", in_, 1, NULL, 0);
}

/* sin: Sine of x, in radians. */
static inline anf_tensor anf_sin(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "sin", in_, 1, NULL, 0);
}

/* cos: Cosine of x, in radians. */
static inline anf_tensor anf_cos(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "cos", in_, 1, NULL, 0);
}

/* erf: Error function of x. */
static inline anf_tensor anf_erf(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "erf", in_, 1, NULL, 0);
}

/* softplus: ln(1 + exp(x)). */
static inline anf_tensor anf_softplus(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "softplus", in_, 1, NULL, 0);
}

/* relu6: min(max(x, 0), 6). */
static inline anf_tensor anf_relu6(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "relu6", in_, 1, NULL, 0);
}

/* log: Natural logarithm of x + eps.
 *   eps          added to x first (default 0) */
typedef struct anf_log_opts {
    int unused_;
    double eps;
} anf_log_opts;
static inline anf_tensor anf_log_opt(anf_tensor x, anf_log_opts o)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 1), "log", in_, 1, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_log(anf_tensor x, anf_log_opts o = {})
{
    return anf_log_opt(x, o);
}
#else
#define anf_log(...) \
    ANF_CALL1_(anf_log_opt, anf_log_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* elu: x where x > 0, else alpha (exp(x) - 1).
 *   alpha        minus the limit at minus infinity (default 1) */
static inline anf_tensor anf_elu(anf_tensor x, double alpha)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_float_("alpha", alpha);
    return anf_op(anf_graph_of_(in_, 1), "elu", in_, 1, at_, n_);
}

/* leaky_relu: x where x > 0, else alpha x.
 *   alpha        slope below zero (default 0.01) */
static inline anf_tensor anf_leaky_relu(anf_tensor x, double alpha)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_float_("alpha", alpha);
    return anf_op(anf_graph_of_(in_, 1), "leaky_relu", in_, 1, at_, n_);
}

/* clip: min(max(x, lo), hi).
 *   lo           lower bound; may be -inf
 *   hi           upper bound; may be inf */
static inline anf_tensor anf_clip(anf_tensor x, double lo, double hi)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[2];
    int n_ = 0;
    at_[n_++] = anf_attr_float_("lo", lo);
    at_[n_++] = anf_attr_float_("hi", hi);
    return anf_op(anf_graph_of_(in_, 1), "clip", in_, 1, at_, n_);
}

/* neg: -x. */
static inline anf_tensor anf_neg(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "neg", in_, 1, NULL, 0);
}

/* scale: factor x, where the factor keeps the precision of float32.
 *   factor       rounded to float32, not to fp16 */
static inline anf_tensor anf_scale(anf_tensor x, double factor)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_float_("factor", factor);
    return anf_op(anf_graph_of_(in_, 1), "scale", in_, 1, at_, n_);
}

/* ---- Elementwise, binary --------------------------------------------------------------------- */

/* add: a + b. */
static inline anf_tensor anf_add(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "add", in_, 2, NULL, 0);
}

/* sub: a - b. */
static inline anf_tensor anf_sub(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "sub", in_, 2, NULL, 0);
}

/* mul: a times b. */
static inline anf_tensor anf_mul(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "mul", in_, 2, NULL, 0);
}

/* div: a / b. */
static inline anf_tensor anf_div(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "div", in_, 2, NULL, 0);
}

/* maximum: The larger of a and b; NaN where either is. */
static inline anf_tensor anf_maximum(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "maximum", in_, 2, NULL, 0);
}

/* minimum: The smaller of a and b; NaN where either is. */
static inline anf_tensor anf_minimum(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "minimum", in_, 2, NULL, 0);
}

/* pow: a to the power b. */
static inline anf_tensor anf_pow(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "pow", in_, 2, NULL, 0);
}

/* equal: Where a == b, a boolean. */
static inline anf_tensor anf_equal(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "equal", in_, 2, NULL, 0);
}

/* not_equal: Where a != b, a boolean; true where either is NaN. */
static inline anf_tensor anf_not_equal(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "not_equal", in_, 2, NULL, 0);
}

/* less: Where a < b, a boolean. */
static inline anf_tensor anf_less(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "less", in_, 2, NULL, 0);
}

/* less_equal: Where a <= b, a boolean. */
static inline anf_tensor anf_less_equal(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "less_equal", in_, 2, NULL, 0);
}

/* greater: Where a > b, a boolean. */
static inline anf_tensor anf_greater(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "greater", in_, 2, NULL, 0);
}

/* greater_equal: Where a >= b, a boolean. */
static inline anf_tensor anf_greater_equal(anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {a, b};
    return anf_op(anf_graph_of_(in_, 2), "greater_equal", in_, 2, NULL, 0);
}

/* logical_not: The other boolean. */
static inline anf_tensor anf_logical_not(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "logical_not", in_, 1, NULL, 0);
}

/* select: a where cond is true, else b; all three broadcast. */
static inline anf_tensor anf_select(anf_tensor cond, anf_tensor a, anf_tensor b)
{
    const anf_tensor in_[] = {cond, a, b};
    return anf_op(anf_graph_of_(in_, 3), "select", in_, 3, NULL, 0);
}

/* cast: A uint8 image or a boolean as fp16, exactly. */
static inline anf_tensor anf_cast(anf_tensor x)
{
    const anf_tensor in_[] = {x};
    return anf_op(anf_graph_of_(in_, 1), "cast", in_, 1, NULL, 0);
}

/* ---- Reductions and normalisation ------------------------------------------------------------ */

/* mean: Mean over the axes, which stay as dims of 1.
 *   axes         axes to reduce; negative ones count from the end */
static inline anf_tensor anf_mean(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "mean", in_, 1, at_, n_);
}

/* sum: Sum over the axes, which stay as dims of 1.
 *   axes         axes to reduce; negative ones count from the end */
static inline anf_tensor anf_sum(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "sum", in_, 1, at_, n_);
}

/* amax: Maximum over the axes, which stay as dims of 1.
 *   axes         axes to reduce; negative ones count from the end */
static inline anf_tensor anf_amax(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "amax", in_, 1, at_, n_);
}

/* amin: Minimum over the axes, which stay as dims of 1.
 *   axes         axes to reduce; negative ones count from the end */
static inline anf_tensor anf_amin(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "amin", in_, 1, at_, n_);
}

/* softmax: exp(x - max) / sum of exp(x - max) along the axis.
 *   axis         axis along which the results add up to 1 (default -1) */
static inline anf_tensor anf_softmax(anf_tensor x, int64_t axis)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("axis", axis);
    return anf_op(anf_graph_of_(in_, 1), "softmax", in_, 1, at_, n_);
}

/* l2_norm: x / sqrt(sum of x^2 along the axis + eps).
 *   axis         axis along which the results have length 1 (default -1)
 *   eps          added to the sum of squares (default 1e-12) */
typedef struct anf_l2_norm_opts {
    int unused_;
    double eps;
} anf_l2_norm_opts;
static inline anf_tensor anf_l2_norm_opt(anf_tensor x, int64_t axis, anf_l2_norm_opts o)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[2];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("axis", axis);
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 1), "l2_norm", in_, 1, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_l2_norm(anf_tensor x, int64_t axis, anf_l2_norm_opts o = {})
{
    return anf_l2_norm_opt(x, axis, o);
}
#else
#define anf_l2_norm(...) \
    ANF_CALL2_(anf_l2_norm_opt, anf_l2_norm_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* rms_norm: x / sqrt(mean of x^2 over the last dim + eps) times gamma[D].
 *   eps          added under the square root (default 1e-05) */
typedef struct anf_rms_norm_opts {
    int unused_;
    double eps;
} anf_rms_norm_opts;
static inline anf_tensor anf_rms_norm_opt(anf_tensor x, anf_tensor gamma, anf_rms_norm_opts o)
{
    const anf_tensor in_[] = {x, gamma};
    anf_attr at_[1];
    int n_ = 0;
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 2), "rms_norm", in_, 2, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_rms_norm(anf_tensor x, anf_tensor gamma, anf_rms_norm_opts o = {})
{
    return anf_rms_norm_opt(x, gamma, o);
}
#else
#define anf_rms_norm(...) \
    ANF_CALL2_(anf_rms_norm_opt, anf_rms_norm_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* layer_norm: (x - mean) / sqrt(variance + eps) over the last dim, times gamma[D], plus beta[D].
 *   eps          added under the square root (default 1e-05) */
typedef struct anf_layer_norm_opts {
    int unused_;
    double eps;
} anf_layer_norm_opts;
static inline anf_tensor anf_layer_norm_opt(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                            anf_layer_norm_opts o)
{
    const anf_tensor in_[] = {x, gamma, beta};
    anf_attr at_[1];
    int n_ = 0;
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 3), "layer_norm", in_, 3, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_layer_norm(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                        anf_layer_norm_opts o = {})
{
    return anf_layer_norm_opt(x, gamma, beta, o);
}
#else
#define anf_layer_norm(...) \
    ANF_CALL3_(anf_layer_norm_opt, anf_layer_norm_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* group_norm: x [N,C,...] normalised over each group of C/num_groups channels, times gamma[C], plus
 * beta[C].
 *   num_groups   C is split into so many groups
 *   eps          added under the square root (default 1e-05) */
typedef struct anf_group_norm_opts {
    int unused_;
    double eps;
} anf_group_norm_opts;
static inline anf_tensor anf_group_norm_opt(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                            int64_t num_groups, anf_group_norm_opts o)
{
    const anf_tensor in_[] = {x, gamma, beta};
    anf_attr at_[2];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("num_groups", num_groups);
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 3), "group_norm", in_, 3, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_group_norm(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                        int64_t num_groups, anf_group_norm_opts o = {})
{
    return anf_group_norm_opt(x, gamma, beta, num_groups, o);
}
#else
#define anf_group_norm(...) \
    ANF_CALL4_(anf_group_norm_opt, anf_group_norm_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* batch_norm: (x - mean[C]) gamma[C] / sqrt(var[C] + eps) + beta[C] for x [N,C,...].
 *   eps          added under the square root (default 1e-05) */
typedef struct anf_batch_norm_opts {
    int unused_;
    double eps;
} anf_batch_norm_opts;
static inline anf_tensor anf_batch_norm_opt(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                            anf_tensor mean, anf_tensor var, anf_batch_norm_opts o)
{
    const anf_tensor in_[] = {x, gamma, beta, mean, var};
    anf_attr at_[1];
    int n_ = 0;
    if (!(o.eps == 0))
        at_[n_++] = anf_attr_float_("eps", o.eps);
    return anf_op(anf_graph_of_(in_, 5), "batch_norm", in_, 5, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_batch_norm(anf_tensor x, anf_tensor gamma, anf_tensor beta,
                                        anf_tensor mean, anf_tensor var, anf_batch_norm_opts o = {})
{
    return anf_batch_norm_opt(x, gamma, beta, mean, var, o);
}
#else
#define anf_batch_norm(...) \
    ANF_CALL5_(anf_batch_norm_opt, anf_batch_norm_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* ---- Spatial and shape ----------------------------------------------------------------------- */

/* max_pool: Maximum of each k x k window of x [N,C,H,W]; padding never wins, NaN does.
 *   k            side of the window
 *   stride       step of the window; 0: k (default 0)
 *   pad          cells added on every side, less than k (default 0) */
typedef struct anf_max_pool_opts {
    int unused_;
    int64_t stride;
    int64_t pad;
} anf_max_pool_opts;
static inline anf_tensor anf_max_pool_opt(anf_tensor x, int64_t k, anf_max_pool_opts o)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[3];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("k", k);
    if (o.stride)
        at_[n_++] = anf_attr_int_("stride", o.stride);
    if (o.pad)
        at_[n_++] = anf_attr_int_("pad", o.pad);
    return anf_op(anf_graph_of_(in_, 1), "max_pool", in_, 1, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_max_pool(anf_tensor x, int64_t k, anf_max_pool_opts o = {})
{
    return anf_max_pool_opt(x, k, o);
}
#else
#define anf_max_pool(...) \
    ANF_CALL2_(anf_max_pool_opt, anf_max_pool_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* avg_pool: Sum of each k x k window of x [N,C,H,W], padding as zeros, divided by k^2.
 *   k            side of the window
 *   stride       step of the window; 0: k (default 0)
 *   pad          cells added on every side, less than k (default 0) */
typedef struct anf_avg_pool_opts {
    int unused_;
    int64_t stride;
    int64_t pad;
} anf_avg_pool_opts;
static inline anf_tensor anf_avg_pool_opt(anf_tensor x, int64_t k, anf_avg_pool_opts o)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[3];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("k", k);
    if (o.stride)
        at_[n_++] = anf_attr_int_("stride", o.stride);
    if (o.pad)
        at_[n_++] = anf_attr_int_("pad", o.pad);
    return anf_op(anf_graph_of_(in_, 1), "avg_pool", in_, 1, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_avg_pool(anf_tensor x, int64_t k, anf_avg_pool_opts o = {})
{
    return anf_avg_pool_opt(x, k, o);
}
#else
#define anf_avg_pool(...) \
    ANF_CALL2_(anf_avg_pool_opt, anf_avg_pool_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* upsample: Nearest neighbour: every cell of x [N,C,H,W] becomes a scale x scale square.
 *   scale        how often each row and column is repeated (default 2) */
static inline anf_tensor anf_upsample(anf_tensor x, int64_t scale)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("scale", scale);
    return anf_op(anf_graph_of_(in_, 1), "upsample", in_, 1, at_, n_);
}

/* concat: The tensors one after another along the axis; their other dims are equal.
 *   axis         axis along which the tensors follow each other (default 1) */
static inline anf_tensor anf_concat(const anf_tensor *tensors, int n, int64_t axis)
{
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("axis", axis);
    return anf_op(anf_graph_of_(tensors, n), "concat", tensors, n, at_, n_);
}

/* reshape: The elements of x in row-major order, in another shape.
 *   shape        the new shape; one -1 stands for what is left */
static inline anf_tensor anf_reshape(anf_tensor x, anf_dims shape)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("shape", shape);
    return anf_op(anf_graph_of_(in_, 1), "reshape", in_, 1, at_, n_);
}

/* transpose: x with its axes in another order.
 *   perm         axis i of the result is axis perm[i] of x */
static inline anf_tensor anf_transpose(anf_tensor x, anf_dims perm)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("perm", perm);
    return anf_op(anf_graph_of_(in_, 1), "transpose", in_, 1, at_, n_);
}

/* pixel_shuffle: x [N,C r r,H,W] to [N,C,H r,W r]: channel c r^2 + i r + j goes to cell (i, j) of
 * each square.
 *   r            side of the square that r^2 channels become, or become of */
static inline anf_tensor anf_pixel_shuffle(anf_tensor x, int64_t r)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("r", r);
    return anf_op(anf_graph_of_(in_, 1), "pixel_shuffle", in_, 1, at_, n_);
}

/* pixel_unshuffle: The inverse of pixel_shuffle: x [N,C,H r,W r] to [N,C r r,H,W].
 *   r            side of the square that r^2 channels become, or become of */
static inline anf_tensor anf_pixel_unshuffle(anf_tensor x, int64_t r)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("r", r);
    return anf_op(anf_graph_of_(in_, 1), "pixel_unshuffle", in_, 1, at_, n_);
}

/* slice: The box of x that starts at begin and has the given size.
 *   begin        first index along each axis
 *   size         how many along each axis */
static inline anf_tensor anf_slice(anf_tensor x, anf_dims begin, anf_dims size)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[2];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("begin", begin);
    at_[n_++] = anf_attr_ints_("size", size);
    return anf_op(anf_graph_of_(in_, 1), "slice", in_, 1, at_, n_);
}

/* split: Part `index` of x cut into equal parts along the axis.
 *   parts        into how many equal parts
 *   axis         axis that is split (default 0)
 *   index        which part this is, from 0 */
static inline anf_tensor anf_split(anf_tensor x, int64_t parts, int64_t axis, int64_t index)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[3];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("parts", parts);
    at_[n_++] = anf_attr_int_("axis", axis);
    at_[n_++] = anf_attr_int_("index", index);
    return anf_op(anf_graph_of_(in_, 1), "split", in_, 1, at_, n_);
}

/* expand: x broadcast to a shape.
 *   shape        the shape x is broadcast to */
static inline anf_tensor anf_expand(anf_tensor x, anf_dims shape)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("shape", shape);
    return anf_op(anf_graph_of_(in_, 1), "expand", in_, 1, at_, n_);
}

/* squeeze: x without the given axes of size 1.
 *   axes         axes of size 1 to remove */
static inline anf_tensor anf_squeeze(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "squeeze", in_, 1, at_, n_);
}

/* expand_dims: x with axes of size 1 put in, counted in the result.
 *   axes         where axes of size 1 stand in the result */
static inline anf_tensor anf_expand_dims(anf_tensor x, anf_dims axes)
{
    const anf_tensor in_[] = {x};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_ints_("axes", axes);
    return anf_op(anf_graph_of_(in_, 1), "expand_dims", in_, 1, at_, n_);
}

/* ---- Attention and gating -------------------------------------------------------------------- */

/* mha: softmax(q k' / sqrt(E/n_heads)) v per head of the projections of x [..,S,D], projected by wo
 * [O,E].
 *   bq           optional operand
 *   bk           optional operand
 *   bv           optional operand
 *   bo           optional operand
 *   n_heads      heads; each takes an equal share of the projected width */
typedef struct anf_mha_opts {
    int unused_;
    anf_tensor bq;
    anf_tensor bk;
    anf_tensor bv;
    anf_tensor bo;
} anf_mha_opts;
static inline anf_tensor anf_mha_opt(anf_tensor x, anf_tensor wq, anf_tensor wk, anf_tensor wv,
                                     anf_tensor wo, int64_t n_heads, anf_mha_opts o)
{
    const anf_tensor in_[] = {x, wq, o.bq, wk, o.bk, wv, o.bv, wo, o.bo};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("n_heads", n_heads);
    return anf_op(anf_graph_of_(in_, 9), "mha", in_, 9, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_mha(anf_tensor x, anf_tensor wq, anf_tensor wk, anf_tensor wv,
                                 anf_tensor wo, int64_t n_heads, anf_mha_opts o = {})
{
    return anf_mha_opt(x, wq, wk, wv, wo, n_heads, o);
}
#else
#define anf_mha(...) \
    ANF_CALL6_(anf_mha_opt, anf_mha_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* cross_attention: As mha, with the keys and values projected from context [..,T,Dc].
 *   bq           optional operand
 *   bk           optional operand
 *   bv           optional operand
 *   bo           optional operand
 *   n_heads      heads; each takes an equal share of the projected width */
typedef struct anf_cross_attention_opts {
    int unused_;
    anf_tensor bq;
    anf_tensor bk;
    anf_tensor bv;
    anf_tensor bo;
} anf_cross_attention_opts;
static inline anf_tensor anf_cross_attention_opt(anf_tensor x, anf_tensor context, anf_tensor wq,
                                                 anf_tensor wk, anf_tensor wv, anf_tensor wo,
                                                 int64_t n_heads, anf_cross_attention_opts o)
{
    const anf_tensor in_[] = {x, context, wq, wk, wv, wo, o.bq, o.bk, o.bv, o.bo};
    anf_attr at_[1];
    int n_ = 0;
    at_[n_++] = anf_attr_int_("n_heads", n_heads);
    return anf_op(anf_graph_of_(in_, 10), "cross_attention", in_, 10, at_, n_);
}
#ifdef __cplusplus
static inline anf_tensor anf_cross_attention(anf_tensor x, anf_tensor context, anf_tensor wq,
                                             anf_tensor wk, anf_tensor wv, anf_tensor wo,
                                             int64_t n_heads, anf_cross_attention_opts o = {})
{
    return anf_cross_attention_opt(x, context, wq, wk, wv, wo, n_heads, o);
}
#else
#define anf_cross_attention(...) \
    ANF_CALL7_(anf_cross_attention_opt, anf_cross_attention_opts, __VA_ARGS__, .unused_ = 0)
#endif

/* geglu: value gelu(gate), where w [2F,D] and b[2F] hold the value rows first, then the gate rows.
 *   b            optional operand */
typedef struct anf_geglu_opts {
    int unused_;
    anf_tensor b;
} anf_geglu_opts;
static inline anf_tensor anf_geglu_opt(anf_tensor x, anf_tensor w, anf_geglu_opts o)
{
    const anf_tensor in_[] = {x, w, o.b};
    return anf_op(anf_graph_of_(in_, 3), "geglu", in_, 3, NULL, 0);
}
#ifdef __cplusplus
static inline anf_tensor anf_geglu(anf_tensor x, anf_tensor w, anf_geglu_opts o = {})
{
    return anf_geglu_opt(x, w, o);
}
#else
#define anf_geglu(...) \
    ANF_CALL2_(anf_geglu_opt, anf_geglu_opts, __VA_ARGS__, .unused_ = 0)
#endif

#endif
