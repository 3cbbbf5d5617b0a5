/* Softmax and the norms: each computed in float32 along its axis or group, sums in the lane
 * order of kern.h, and rounded once at the end.
 *
 * The references of the norms are written out here from that contract.  Softmax needs the
 * library's own exponential, which exists only inside the kernel tables: its reference is the
 * slot of the "ref" table, row by row, and float64 is its independent check.
 *
 * gamma, beta and the running statistics are vectors of exactly [D] or [C]. */
#include "lower/lower.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <math.h>

#define NORMS "Reductions and normalisation"

static anf_status infer_same(const struct op_call *c, struct value_type *out)
{
    out->shape = c->in[0].shape;
    return ANF_OK;
}

/* About so many operations an element, the exponential or the square and scaling included. */
static uint64_t flops_norm(const struct op_call *c, const struct value_type *out)
{
    (void)c;
    return 5 * (uint64_t)dims_product(&out->shape, 0, out->shape.rank);
}

/* ---- over any axis: softmax, l2_norm --------------------------------------------------------- */

/* Rows along the axis, transformed in place by `rows_of`, and back. */
static anf_status along_axis(const struct op_eval *e, int axis,
                             anf_status (*each)(const struct op_eval *e, f16 *x, size_t rows,
                                                size_t n))
{
    anf_dims swapped = e->out.shape;
    int last = swapped.rank - 1;
    size_t count = dims_product(&swapped, 0, swapped.rank), n = (size_t)swapped.dim[axis];
    f16 *rows = ref_room(e->scratch, count);
    if (!rows)
        return ANF_E_NOMEM;
    ref_swap_last(e->x[0], &e->out.shape, axis, rows);
    TRY(each(e, rows, count / n, n));
    swapped.dim[axis] = e->out.shape.dim[last];
    swapped.dim[last] = e->out.shape.dim[axis];
    ref_swap_last(rows, &swapped, axis, e->y);
    return ANF_OK;
}

static const struct attr_desc softmax_desc[] = {
    ATTR_INT_ARG(axis_attrs, axis, -1, "axis along which the results add up to 1"),
};

static anf_status infer_softmax(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct axis_attrs *a = attrs;
    TRY(op_normal_axis(c, &a->axis, c->in[0].shape.rank));
    return infer_same(c, out);
}

static anf_status softmax_rows(const struct op_eval *e, f16 *x, size_t rows, size_t n)
{
    float *scratch = arena_alloc_array(e->scratch, softmax_floats(n), sizeof *scratch);
    if (!scratch)
        return ANF_E_NOMEM;
    kern_select("ref")->softmax(x, x, rows, n, scratch);
    return ANF_OK;
}

static anf_status ref_softmax(const struct op_eval *e)
{
    const struct axis_attrs *a = e->call.attrs;
    return along_axis(e, (int)a->axis, softmax_rows);
}

static const struct op_case softmax_cases[] = {
    {"[2,3,8]", ""},         {"[1]", ""},           {"[5,37]", ""},         {"[37,5]", "axis=0"},
    {"[3,129,4]", "axis=1"}, {"[2,1]", ""},         {"[2,3,4,5]", "axis=-3"}, {"[2,4099]", ""},
    {"[2,7,67]", "axis=1"},  {"[70,130]", "axis=0"}, {"[1030,65]", "axis=0"},
};

OP_DEF(softmax) = {
    .name = "softmax",
    .category = NORMS,
    .doc = "exp(x - max) / sum of exp(x - max) along the axis.",
    .operands = {"x"},
    OP_ATTRS(softmax_desc, axis_attrs),
    .infer = infer_softmax,
    .ref = ref_softmax,
    .lower = lower_softmax,
    .flops = flops_norm,
    OP_CASES(softmax_cases),
};

static const struct attr_desc l2_norm_desc[] = {
    ATTR_INT_ARG(l2_norm_attrs, axis, -1, "axis along which the results have length 1"),
    ATTR_FLOAT(l2_norm_attrs, eps, 1e-12, "added to the sum of squares"),
};

static anf_status infer_l2_norm(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct l2_norm_attrs *a = attrs;
    TRY(op_normal_axis(c, &a->axis, c->in[0].shape.rank));
    TRY(op_need_eps(c, a->eps));
    return infer_same(c, out);
}

/* The sum over i of (x[i] - mean)^2, in the contract's order; `t` is room for n floats. */
static float squares(const f16 *x, float *t, size_t n, float mean)
{
    for (size_t i = 0; i < n; i++) {
        float d = f16_to_f32(x[i]) - mean;
        t[i] = d * d;
    }
    return ref_sum(t, n);
}

static anf_status l2_rows(const struct op_eval *e, f16 *x, size_t rows, size_t n)
{
    const struct l2_norm_attrs *a = e->call.attrs;
    float *t = arena_alloc_array(e->scratch, n, sizeof *t);
    if (!t)
        return ANF_E_NOMEM;
    for (size_t r = 0; r < rows; r++, x += n) {
        float inv = 1.0f / sqrtf(squares(x, t, n, 0) + (float)a->eps);
        for (size_t i = 0; i < n; i++)
            x[i] = f32_to_f16(f16_to_f32(x[i]) * inv);
    }
    return ANF_OK;
}

static anf_status ref_l2_norm(const struct op_eval *e)
{
    const struct l2_norm_attrs *a = e->call.attrs;
    return along_axis(e, (int)a->axis, l2_rows);
}

static const struct op_case l2_norm_cases[] = {
    {"[2,3,8]", ""},         {"[1]", ""},    {"[5,37]", "eps=0.25"}, {"[37,5]", "axis=0"},
    {"[3,129,4]", "axis=1"}, {"[2,1]", ""},  {"[2,4099]", ""},
};

OP_DEF(l2_norm) = {
    .name = "l2_norm",
    .category = NORMS,
    .doc = "x / sqrt(sum of x^2 along the axis + eps).",
    .operands = {"x"},
    OP_ATTRS(l2_norm_desc, l2_norm_attrs),
    .infer = infer_l2_norm,
    .ref = ref_l2_norm,
    .lower = lower_l2_norm,
    .flops = flops_norm,
    OP_CASES(l2_norm_cases),
};

/* ---- over the last axis: rms_norm, layer_norm ------------------------------------------------ */

static const struct attr_desc eps_desc[] = {
    ATTR_FLOAT(eps_attrs, eps, 1e-5, "added under the square root"),
};

static anf_status infer_last_axis(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct eps_attrs *a = attrs;
    TRY(op_need_min_rank(c, 0, 1));
    const anf_dims *x = &c->in[0].shape;
    for (int i = 1; i < c->n_in; i++)
        TRY(op_need_vector(c, i, x->dim[x->rank - 1], 0));
    TRY(op_need_eps(c, a->eps));
    return infer_same(c, out);
}

static anf_status ref_rms_norm(const struct op_eval *e)
{
    const struct eps_attrs *a = e->call.attrs;
    const anf_dims *s = &e->out.shape;
    size_t n = (size_t)s->dim[s->rank - 1], rows = dims_product(s, 0, s->rank - 1);
    const f16 *x = e->x[0], *gamma = e->x[1];
    f16 *y = e->y;
    float *t = arena_alloc_array(e->scratch, n, sizeof *t);
    if (!t)
        return ANF_E_NOMEM;
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float inv = 1.0f / sqrtf(squares(x, t, n, 0) / (float)n + (float)a->eps);
        for (size_t i = 0; i < n; i++)
            y[i] = f32_to_f16(f16_to_f32(x[i]) * inv * f16_to_f32(gamma[i]));
    }
    return ANF_OK;
}

static const struct op_case rms_norm_cases[] = {
    {"[4,8] w[8]", ""}, {"[1] w[1]", ""},           {"[5,37] w[37]", "eps=0.1"},
    {"[37] w[37]", ""}, {"[2,3,129] w[129]", ""},   {"[2,4099] w[4099]", ""},
    {"[3,5] [5]", ""},
};

OP_DEF(rms_norm) = {
    .name = "rms_norm",
    .category = NORMS,
    .doc = "x / sqrt(mean of x^2 over the last dim + eps) times gamma[D].",
    .operands = {"x", "gamma"},
    OP_ATTRS(eps_desc, eps_attrs),
    .infer = infer_last_axis,
    .ref = ref_rms_norm,
    .lower = lower_rms_norm,
    .flops = flops_norm,
    OP_CASES(rms_norm_cases),
};

/* n elements; gamma and beta change every `run` of them. `t` is room for n floats. */
static void layer_row(const f16 *x, f16 *y, float *t, size_t n, const f16 *gamma, const f16 *beta,
                      size_t run, float eps)
{
    for (size_t i = 0; i < n; i++)
        t[i] = f16_to_f32(x[i]);
    float mean = ref_sum(t, n) / (float)n;
    float inv = 1.0f / sqrtf(squares(x, t, n, mean) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = f32_to_f16(fmaf((f16_to_f32(x[i]) - mean) * inv, f16_to_f32(gamma[i / run]),
                               f16_to_f32(beta[i / run])));
}

static anf_status ref_layer_norm(const struct op_eval *e)
{
    const struct eps_attrs *a = e->call.attrs;
    const anf_dims *s = &e->out.shape;
    size_t n = (size_t)s->dim[s->rank - 1], rows = dims_product(s, 0, s->rank - 1);
    const f16 *x = e->x[0];
    float *t = arena_alloc_array(e->scratch, n, sizeof *t);
    if (!t)
        return ANF_E_NOMEM;
    for (size_t r = 0; r < rows; r++)
        layer_row(x + r * n, e->y + r * n, t, n, e->x[1], e->x[2], 1, (float)a->eps);
    return ANF_OK;
}

static const struct op_case layer_norm_cases[] = {
    {"[4,8] w[8] w[8]", ""},  {"[1] w[1] w[1]", ""},           {"[5,37] w[37] w[37]", "eps=0.1"},
    {"[37] w[37] w[37]", ""}, {"[2,3,129] w[129] w[129]", ""}, {"[2,4099] w[4099] w[4099]", ""},
    {"[3,5] [5] [5]", ""},
};

OP_DEF(layer_norm) = {
    .name = "layer_norm",
    .category = NORMS,
    .doc = "(x - mean) / sqrt(variance + eps) over the last dim, times gamma[D], plus beta[D].",
    .operands = {"x", "gamma", "beta"},
    OP_ATTRS(eps_desc, eps_attrs),
    .infer = infer_last_axis,
    .ref = ref_layer_norm,
    .lower = lower_layer_norm,
    .flops = flops_norm,
    OP_CASES(layer_norm_cases),
};

/* ---- over channels: group_norm, batch_norm --------------------------------------------------- */

static const struct attr_desc group_norm_desc[] = {
    ATTR_INT_REQUIRED(group_norm_attrs, num_groups, "C is split into so many groups"),
    ATTR_FLOAT(group_norm_attrs, eps, 1e-5, "added under the square root"),
};

static anf_status infer_group_norm(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct group_norm_attrs *a = attrs;
    TRY(op_need_min_rank(c, 0, 2));
    TRY(op_need_int(c, "num_groups", a->num_groups, 1));
    const anf_dims *x = &c->in[0].shape;
    if (x->dim[1] % a->num_groups)
        FAIL(SHAPE, "group_norm: C %" PRId64 " of x %s is not divisible by num_groups %" PRId64,
             x->dim[1], dims_text(x), a->num_groups);
    TRY(op_need_vector(c, 1, x->dim[1], 0));
    TRY(op_need_vector(c, 2, x->dim[1], 0));
    TRY(op_need_eps(c, a->eps));
    return infer_same(c, out);
}

static anf_status ref_group_norm(const struct op_eval *e)
{
    const struct group_norm_attrs *a = e->call.attrs;
    const anf_dims *s = &e->out.shape;
    size_t groups = (size_t)a->num_groups, per_group = (size_t)s->dim[1] / groups;
    size_t run = dims_product(s, 2, s->rank), n = per_group * run;
    const f16 *x = e->x[0], *gamma = e->x[1], *beta = e->x[2];
    float *t = arena_alloc_array(e->scratch, n, sizeof *t);
    if (!t)
        return ANF_E_NOMEM;
    for (size_t r = 0; r < (size_t)s->dim[0] * groups; r++) {
        size_t first = r % groups * per_group;
        layer_row(x + r * n, e->y + r * n, t, n, gamma + first, beta + first, run, (float)a->eps);
    }
    return ANF_OK;
}

static const struct op_case group_norm_cases[] = {
    {"[1,4,3,5] w[4] w[4]", "num_groups=2"},
    {"[1,1] w[1] w[1]", "num_groups=1"},
    {"[2,6,37] w[6] w[6]", "num_groups=3"},
    {"[1,8,7,9] w[8] w[8]", "num_groups=8, eps=0.01"},
    {"[3,10] w[10] w[10]", "num_groups=5"},
    {"[1,6,37,41] w[6] w[6]", "num_groups=2"},
    {"[1,2,3,4,5] w[2] w[2]", "num_groups=1"},
};

OP_DEF(group_norm) = {
    .name = "group_norm",
    .category = NORMS,
    .doc = "x [N,C,...] normalised over each group of C/num_groups channels, times gamma[C], "
           "plus beta[C].",
    .operands = {"x", "gamma", "beta"},
    OP_ATTRS(group_norm_desc, group_norm_attrs),
    .infer = infer_group_norm,
    .ref = ref_group_norm,
    .lower = lower_group_norm,
    .flops = flops_norm,
    OP_CASES(group_norm_cases),
};

static anf_status infer_batch_norm(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct eps_attrs *a = attrs;
    TRY(op_need_min_rank(c, 0, 2));
    for (int i = 1; i < c->n_in; i++)
        TRY(op_need_vector(c, i, c->in[0].shape.dim[1], 0));
    TRY(op_need_eps(c, a->eps));
    return infer_same(c, out);
}

static anf_status ref_batch_norm(const struct op_eval *e)
{
    const struct eps_attrs *a = e->call.attrs;
    const anf_dims *s = &e->out.shape;
    const f16 *x = e->x[0], *gamma = e->x[1], *beta = e->x[2], *mean = e->x[3], *var = e->x[4];
    size_t channels = (size_t)s->dim[1], run = dims_product(s, 2, s->rank);
    for (size_t p = 0; p < (size_t)s->dim[0] * channels; p++) {
        size_t ch = p % channels;
        float root = sqrtf(f16_to_f32(var[ch]) + (float)a->eps);
        float scale = f16_to_f32(gamma[ch]) * (1.0f / root);
        for (size_t i = p * run; i < (p + 1) * run; i++)
            e->y[i] = f32_to_f16(fmaf(f16_to_f32(x[i]) - f16_to_f32(mean[ch]), scale,
                                      f16_to_f32(beta[ch])));
    }
    return ANF_OK;
}

static uint64_t flops_batch_norm(const struct op_call *c, const struct value_type *out)
{
    (void)c;
    return 3 * (uint64_t)dims_product(&out->shape, 0, out->shape.rank);
}

static const struct op_case batch_norm_cases[] = {
    {"[1,4,3,5] w[4] w[4] w[4] p[4]", ""},
    {"[1,1] w[1] w[1] w[1] p[1]", ""},
    {"[2,3,37] w[3] w[3] w[3] p[3]", "eps=0.01"},
    {"[5,129] w[129] w[129] w[129] p[129]", ""},
    {"[1,2,3,4,5] w[2] w[2] w[2] p[2]", ""},
};

OP_DEF(batch_norm) = {
    .name = "batch_norm",
    .category = NORMS,
    .doc = "(x - mean[C]) gamma[C] / sqrt(var[C] + eps) + beta[C] for x [N,C,...].",
    .operands = {"x", "gamma", "beta", "mean", "var"},
    OP_ATTRS(eps_desc, eps_attrs),
    .infer = infer_batch_norm,
    .ref = ref_batch_norm,
    .lower = lower_batch_norm,
    .flops = flops_batch_norm,
    OP_CASES(batch_norm_cases),
};
