/* Images [N,C,H,W]: pooling over square windows, nearest-neighbour upsampling, and the exchange
 * of channels for pixels.
 *
 * Output sizes round down (windows that would stick out at the far edge are dropped).  pad < k,
 * so every window touches the input and a maximum always has an element. */
#include "lower/lower.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <math.h>

#define SPATIAL "Spatial and shape"

static const struct attr_desc pool_desc[] = {
    ATTR_INT_REQUIRED(pool_attrs, k, "side of the window"),
    ATTR_INT(pool_attrs, stride, 0, "step of the window; 0: k"),
    ATTR_INT(pool_attrs, pad, 0, "cells added on every side, less than k"),
};

static anf_status infer_pool(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct pool_attrs *a = attrs;
    TRY(op_need_rank(c, 0, 4));
    TRY(op_need_int(c, "k", a->k, 1));
    TRY(op_need_int(c, "stride", a->stride, 0));
    TRY(op_need_int(c, "pad", a->pad, 0));
    if (a->stride == 0)
        a->stride = a->k;
    if (a->pad >= a->k)
        FAIL(ATTR, "%s: pad %" PRId64 " given, needs less than k %" PRId64, c->op->name, a->pad,
             a->k);
    const anf_dims *x = &c->in[0].shape;
    out->shape = *x;
    for (int d = 2; d < 4; d++) {
        int64_t room = x->dim[d] + 2 * a->pad - a->k;
        if (room < 0)
            FAIL(SHAPE, "%s: window %" PRId64 " does not fit x %s, pad %" PRId64, c->op->name, a->k,
                 dims_text(x), a->pad);
        out->shape.dim[d] = room / a->stride + 1;
    }
    return ANF_OK;
}

struct window {
    int64_t y0, y1, x0, x1; /* the cells inside the image */
};

static struct window window_at(const struct op_eval *e, size_t p)
{
    const struct pool_attrs *a = e->call.attrs;
    const anf_dims *x = &e->call.in[0].shape, *y = &e->out.shape;
    int64_t top = (int64_t)p / y->dim[3] * a->stride - a->pad;
    int64_t left = (int64_t)p % y->dim[3] * a->stride - a->pad;
    struct window w = {top, top + a->k, left, left + a->k};
    w.y0 = w.y0 < 0 ? 0 : w.y0;
    w.x0 = w.x0 < 0 ? 0 : w.x0;
    w.y1 = w.y1 > x->dim[2] ? x->dim[2] : w.y1;
    w.x1 = w.x1 > x->dim[3] ? x->dim[3] : w.x1;
    return w;
}

/* `step` folds the cells of each window, row by row, from `start`; `divisor` 1 divides nothing. */
static anf_status pool(const struct op_eval *e, float (*step)(float, float), float start,
                       float divisor)
{
    const anf_dims *x = &e->call.in[0].shape, *y = &e->out.shape;
    size_t plane = dims_product(x, 2, 4), windows = dims_product(y, 2, 4);
    const f16 *from = e->x[0];
    f16 *to = e->y;
    for (size_t c = 0; c < dims_product(y, 0, 2); c++, from += plane, to += windows)
        for (size_t p = 0; p < windows; p++) {
            struct window w = window_at(e, p);
            float acc = start;
            for (int64_t i = w.y0; i < w.y1; i++)
                for (int64_t j = w.x0; j < w.x1; j++)
                    acc = step(acc, f16_to_f32(from[i * x->dim[3] + j]));
            to[p] = f32_to_f16(acc / divisor);
        }
    return ANF_OK;
}

/* +0 is above -0. */
static float step_max(float acc, float x)
{
    return isnan(x) || x > acc || (x == acc && !signbit(x)) ? x : acc;
}

static float step_add(float acc, float x)
{
    return acc + x;
}

static anf_status ref_max_pool(const struct op_eval *e)
{
    return pool(e, step_max, -INFINITY, 1);
}

/* Adding the padding's zeros changes no sum, so only the divisor sees the padding. */
static anf_status ref_avg_pool(const struct op_eval *e)
{
    const struct pool_attrs *a = e->call.attrs;
    return pool(e, step_add, 0, (float)(a->k * a->k));
}

static uint64_t flops_pool(const struct op_call *c, const struct value_type *out)
{
    const struct pool_attrs *a = c->attrs;
    return (uint64_t)(a->k * a->k) * dims_product(&out->shape, 0, out->shape.rank);
}

static const struct op_case pool_cases[] = {
    {"[1,3,8,8]", "k=2"},           {"[1,1,1,1]", "k=1"},
    {"[2,3,9,11]", "k=3, stride=2, pad=1"}, {"[1,2,7,37]", "k=3, stride=1"},
    {"[1,2,5,129]", "k=2"},         {"[1,5,13,12]", "k=5, stride=3, pad=2"},
    {"[1,2,6,7]", "k=3, stride=5"}, {"[1,1,4,4]", "k=4, pad=3, stride=1"},
    {"[2,20,7,7]", "k=7"},          {"[1,33,5,6]", "k=2, stride=2, pad=1"},
    {"[1,9,40,41]", "k=36, stride=4"}, {"[1,3,61,9]", "k=3"},
    {"[1,2,35,70]", "k=4, stride=3, pad=1"},
};

OP_DEF(max_pool) = {
    .name = "max_pool",
    .category = SPATIAL,
    .doc = "Maximum of each k x k window of x [N,C,H,W]; padding never wins, NaN does.",
    .operands = {"x"},
    OP_ATTRS(pool_desc, pool_attrs),
    .infer = infer_pool,
    .ref = ref_max_pool,
    .lower = lower_max_pool,
    .flops = flops_pool,
    OP_CASES(pool_cases),
};

OP_DEF(avg_pool) = {
    .name = "avg_pool",
    .category = SPATIAL,
    .doc = "Sum of each k x k window of x [N,C,H,W], padding as zeros, divided by k^2.",
    .operands = {"x"},
    OP_ATTRS(pool_desc, pool_attrs),
    .infer = infer_pool,
    .ref = ref_avg_pool,
    .lower = lower_avg_pool,
    .flops = flops_pool,
    OP_CASES(pool_cases),
};

/* ---- upsample -------------------------------------------------------------------------------- */

static const struct attr_desc upsample_desc[] = {
    ATTR_INT_ARG(scale_attrs, scale, 2, "how often each row and column is repeated"),
};

static anf_status infer_upsample(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct scale_attrs *a = attrs;
    TRY(op_need_rank(c, 0, 4));
    TRY(op_need_int(c, "scale", a->scale, 1));
    out->shape = c->in[0].shape;
    out->shape.dim[2] *= a->scale;
    out->shape.dim[3] *= a->scale;
    return ANF_OK;
}

static node_id expand_upsample(struct graph *g, const struct op_call *c, const node_id *in)
{
    const struct scale_attrs *a = c->attrs;
    const anf_dims *x = &c->in[0].shape;
    int64_t n = x->dim[0], ch = x->dim[1], h = x->dim[2], w = x->dim[3], s = a->scale;
    node_id t = op_add_dims(g, OP_reshape, in[0], ANF_SHAPE(n, ch, h, 1, w, 1));
    t = op_add_dims(g, OP_expand, t, ANF_SHAPE(n, ch, h, s, w, s));
    return op_add_dims(g, OP_reshape, t, ANF_SHAPE(n, ch, h * s, w * s));
}

static const struct op_case upsample_cases[] = {
    {"[1,2,3,4]", ""}, {"[1,1,1,1]", "scale=1"}, {"[2,3,5,37]", "scale=3"},
    {"[1,2,1,5]", "scale=4"},
};

OP_DEF(upsample) = {
    .name = "upsample",
    .category = SPATIAL,
    .doc = "Nearest neighbour: every cell of x [N,C,H,W] becomes a scale x scale square.",
    .operands = {"x"},
    OP_ATTRS(upsample_desc, scale_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_upsample,
    .expand = expand_upsample,
    .flops = op_flops_none,
    OP_CASES(upsample_cases),
};

/* ---- pixel_shuffle, pixel_unshuffle ---------------------------------------------------------- */

static const struct attr_desc pixel_desc[] = {
    ATTR_INT_REQUIRED(factor_attrs, r, "side of the square that r^2 channels become, or become of"),
};

static anf_status infer_pixel_shuffle(const struct op_call *c, void *attrs, struct value_type *out)
{
    int64_t r = ((const struct factor_attrs *)attrs)->r;
    const anf_dims *x = &c->in[0].shape;
    TRY(op_need_rank(c, 0, 4));
    TRY(op_need_int(c, "r", r, 1));
    if (x->dim[1] % (r * r))
        FAIL(SHAPE, "pixel_shuffle: C %" PRId64 " of x %s is not divisible by r^2 = %" PRId64,
             x->dim[1], dims_text(x), r * r);
    out->shape = ANF_SHAPE(x->dim[0], x->dim[1] / (r * r), x->dim[2] * r, x->dim[3] * r);
    return ANF_OK;
}

static node_id expand_pixel_shuffle(struct graph *g, const struct op_call *c, const node_id *in)
{
    int64_t r = ((const struct factor_attrs *)c->attrs)->r;
    const anf_dims *x = &c->in[0].shape;
    int64_t n = x->dim[0], ch = x->dim[1] / (r * r), h = x->dim[2], w = x->dim[3];
    node_id t = op_add_dims(g, OP_reshape, in[0], ANF_SHAPE(n, ch, r, r, h, w));
    t = op_add_dims(g, OP_transpose, t, ANF_DIMS(0, 1, 4, 2, 5, 3));
    return op_add_dims(g, OP_reshape, t, ANF_SHAPE(n, ch, h * r, w * r));
}

static const struct op_case pixel_shuffle_cases[] = {
    {"[1,8,3,4]", "r=2"}, {"[1,1,1,1]", "r=1"}, {"[2,18,5,7]", "r=3"}, {"[1,4,1,37]", "r=2"},
};

OP_DEF(pixel_shuffle) = {
    .name = "pixel_shuffle",
    .category = SPATIAL,
    .doc = "x [N,C r r,H,W] to [N,C,H r,W r]: channel c r^2 + i r + j goes to cell (i, j) of "
           "each square.",
    .operands = {"x"},
    OP_ATTRS(pixel_desc, factor_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_pixel_shuffle,
    .expand = expand_pixel_shuffle,
    .flops = op_flops_none,
    OP_CASES(pixel_shuffle_cases),
};

static anf_status infer_pixel_unshuffle(const struct op_call *c, void *attrs,
                                        struct value_type *out)
{
    int64_t r = ((const struct factor_attrs *)attrs)->r;
    const anf_dims *x = &c->in[0].shape;
    TRY(op_need_rank(c, 0, 4));
    TRY(op_need_int(c, "r", r, 1));
    if (x->dim[2] % r || x->dim[3] % r)
        FAIL(SHAPE, "pixel_unshuffle: H and W of x %s are not divisible by r %" PRId64,
             dims_text(x), r);
    out->shape = ANF_SHAPE(x->dim[0], x->dim[1] * r * r, x->dim[2] / r, x->dim[3] / r);
    return ANF_OK;
}

static node_id expand_pixel_unshuffle(struct graph *g, const struct op_call *c, const node_id *in)
{
    int64_t r = ((const struct factor_attrs *)c->attrs)->r;
    const anf_dims *x = &c->in[0].shape;
    int64_t n = x->dim[0], ch = x->dim[1], h = x->dim[2] / r, w = x->dim[3] / r;
    node_id t = op_add_dims(g, OP_reshape, in[0], ANF_SHAPE(n, ch, h, r, w, r));
    t = op_add_dims(g, OP_transpose, t, ANF_DIMS(0, 1, 3, 5, 2, 4));
    return op_add_dims(g, OP_reshape, t, ANF_SHAPE(n, ch * r * r, h, w));
}

static const struct op_case pixel_unshuffle_cases[] = {
    {"[1,2,6,8]", "r=2"}, {"[1,1,1,1]", "r=1"}, {"[2,3,15,9]", "r=3"}, {"[1,1,2,74]", "r=2"},
};

OP_DEF(pixel_unshuffle) = {
    .name = "pixel_unshuffle",
    .category = SPATIAL,
    .doc = "The inverse of pixel_shuffle: x [N,C,H r,W r] to [N,C r r,H,W].",
    .operands = {"x"},
    OP_ATTRS(pixel_desc, factor_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_pixel_unshuffle,
    .expand = expand_pixel_unshuffle,
    .flops = op_flops_none,
    OP_CASES(pixel_unshuffle_cases),
};
