/* Elementwise operators of one tensor: one micro-op each, computed in float32 and rounded once.
 * The micro-op is the reference too; its values are checked on all 65,536 inputs against
 * float64.
 *
 * The common rule of op_table.c infers shape and dtype; only clip has more to check. */
#include "ops/op.h"
#include "ops/op_attrs.h"

#define UNARY "Elementwise, unary"

/* Any real argument is fine. */
static const struct op_case any_cases[] = {
    {"[2,3,4]", ""}, {"[]", ""}, {"[1]", ""}, {"[37]", ""}, {"[5,129]", ""}, {"[1,3,7,43]", ""},
};
static const struct op_case positive_cases[] = {
    {"p[2,3,4]", ""}, {"p[]", ""}, {"p[1]", ""}, {"p[37]", ""}, {"p[5,129]", ""},
};

#define PLAIN(id, text, cases_of)                                                                  \
    OP_DEF(id) = {.name = #id, .category = UNARY, .doc = (text), .operands = {"x"},                \
                  .traits = OP_ELEMENTWISE, .uop = UOP_##id, OP_CASES(cases_of)}

PLAIN(relu, "max(x, 0).", any_cases);
PLAIN(silu, "x / (1 + exp(-x)).", any_cases);
PLAIN(gelu, "x/2 (1 + erf(x / sqrt 2)), the exact form.", any_cases);
PLAIN(sigmoid, "1 / (1 + exp(-x)).", any_cases);
PLAIN(tanh, "Hyperbolic tangent of x.", any_cases);
PLAIN(exp, "e to the power x.", any_cases);
PLAIN(sqrt, "Square root of x.", positive_cases);
PLAIN(abs, "|x|.", any_cases);
PLAIN(square, "x times x.", any_cases);
PLAIN(sin, "Sine of x, in radians.", any_cases);
PLAIN(cos, "Cosine of x, in radians.", any_cases);
PLAIN(erf, "Error function of x.", any_cases);
PLAIN(softplus, "ln(1 + exp(x)).", any_cases);
PLAIN(relu6, "min(max(x, 0), 6).", any_cases);
PLAIN(neg, "-x.", any_cases);

/* ---- with a parameter ------------------------------------------------------------------------ */

static void eps_params(const void *attrs, float p[2])
{
    p[0] = (float)((const struct eps_attrs *)attrs)->eps;
}

static const struct attr_desc eps_desc[] = {
    ATTR_FLOAT(eps_attrs, eps, 0, "added to x first"),
};

static const struct op_case eps_cases[] = {
    {"p[2,3,4]", ""}, {"p[1]", "eps=0.5"}, {"p[37]", "eps=0.001"}, {"p[5,129]", ""},
};

OP_DEF(rsqrt) = {
    .name = "rsqrt",
    .category = UNARY,
    .doc = "1 / sqrt(x + eps).",
    .operands = {"x"},
    OP_ATTRS(eps_desc, eps_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_rsqrt,
    .uop_params = eps_params,
    OP_CASES(eps_cases),
};

OP_DEF(log) = {
    .name = "log",
    .category = UNARY,
    .doc = "Natural logarithm of x + eps.",
    .operands = {"x"},
    OP_ATTRS(eps_desc, eps_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_log,
    .uop_params = eps_params,
    OP_CASES(eps_cases),
};

static void alpha_params(const void *attrs, float p[2])
{
    p[0] = (float)((const struct alpha_attrs *)attrs)->alpha;
}

static const struct op_case alpha_cases[] = {
    {"[2,3,4]", ""}, {"[1]", "alpha=0.5"}, {"[37]", "alpha=0"}, {"[5,129]", "alpha=0.25"},
};

static const struct attr_desc elu_desc[] = {
    ATTR_FLOAT_ARG(alpha_attrs, alpha, 1, "minus the limit at minus infinity"),
};

OP_DEF(elu) = {
    .name = "elu",
    .category = UNARY,
    .doc = "x where x > 0, else alpha (exp(x) - 1).",
    .operands = {"x"},
    OP_ATTRS(elu_desc, alpha_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_elu,
    .uop_params = alpha_params,
    OP_CASES(alpha_cases),
};

static void scale_params(const void *attrs, float p[2])
{
    p[0] = (float)((const struct scale_by_attrs *)attrs)->factor;
}

static const struct attr_desc scale_desc[] = {
    ATTR_FLOAT_REQUIRED(scale_by_attrs, factor, "rounded to float32, not to fp16"),
};
static const struct op_case scale_cases[] = {
    {"[2,3,4]", "factor=0.00392156862745098"}, {"[1]", "factor=-1"}, {"[5,129]", "factor=0"},
};
OP_DEF(scale) = {
    .name = "scale",
    .category = UNARY,
    .doc = "factor x, where the factor keeps the precision of float32.",
    .operands = {"x"},
    OP_ATTRS(scale_desc, scale_by_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_scale,
    .uop_params = scale_params,
    OP_CASES(scale_cases),
};

static const struct attr_desc leaky_relu_desc[] = {
    ATTR_FLOAT_ARG(alpha_attrs, alpha, 0.01, "slope below zero"),
};

OP_DEF(leaky_relu) = {
    .name = "leaky_relu",
    .category = UNARY,
    .doc = "x where x > 0, else alpha x.",
    .operands = {"x"},
    OP_ATTRS(leaky_relu_desc, alpha_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_leaky_relu,
    .uop_params = alpha_params,
    OP_CASES(alpha_cases),
};

static const struct attr_desc clip_desc[] = {
    ATTR_FLOAT_REQUIRED(clip_attrs, lo, "lower bound; may be -inf"),
    ATTR_FLOAT_REQUIRED(clip_attrs, hi, "upper bound; may be inf"),
};

static anf_status infer_clip(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct clip_attrs *a = attrs;
    if (a->lo > a->hi)
        FAIL(ATTR, "clip: lo %g is above hi %g", a->lo, a->hi);
    out->shape = c->in[0].shape;
    return ANF_OK;
}

static void clip_params(const void *attrs, float p[2])
{
    const struct clip_attrs *a = attrs;
    p[0] = (float)a->lo;
    p[1] = (float)a->hi;
}

static const struct op_case clip_cases[] = {
    {"[2,3,4]", "lo=-0.5, hi=0.5"},
    {"[1]", "lo=0, hi=0"},
    {"[37]", "lo=-1, hi=0.1"},
    {"[5,129]", "lo=0.3, hi=1000000"},
};

OP_DEF(clip) = {
    .name = "clip",
    .category = UNARY,
    .doc = "min(max(x, lo), hi).",
    .operands = {"x"},
    OP_ATTRS(clip_desc, clip_attrs),
    .traits = OP_ELEMENTWISE,
    .uop = UOP_clip,
    .uop_params = clip_params,
    .infer = infer_clip,
    OP_CASES(clip_cases),
};
