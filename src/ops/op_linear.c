/* Matrix products and convolutions.
 *
 * Every result element is one chain of fused multiply-adds in float32 over k ascending from
 * zero, plus the bias where there is one, rounded once.  For convolutions k runs over input
 * channel, kernel row, kernel column; taps on padding take part as zeros.  Convolutions of certain
 * shapes are defined by Winograd's formula instead, see kernels/winograd.h.  A transposed
 * convolution is the convolution with the flipped kernel over the input with stride - 1 gaps
 * between its rows and columns, where no tap is, so both share one geometry and one reference. */
#include "base/cancel.h"
#include "kernels/winograd.h"
#include "lower/lower.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <math.h>

/* ---- matmul, linear -------------------------------------------------------------------------- */

/* x [...,K] and a rank-2 w of which dim `k_axis` is K; the other one becomes the last dim. */
static anf_status infer_product(const struct op_call *c, int k_axis, struct value_type *out)
{
    TRY(op_need_min_rank(c, 0, 1));
    TRY(op_need_rank(c, 1, 2));
    const anf_dims *x = &c->in[0].shape, *w = &c->in[1].shape;
    if (x->dim[x->rank - 1] != w->dim[k_axis])
        FAIL(SHAPE, "%s: %s %s needs K %" PRId64 ", x %s has %" PRId64, c->op->name,
             op_operand_name(c->op, 1), dims_text(w), w->dim[k_axis], dims_text(x),
             x->dim[x->rank - 1]);
    out->shape = *x;
    out->shape.dim[x->rank - 1] = w->dim[1 - k_axis];
    return ANF_OK;
}

static anf_status infer_matmul(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    return infer_product(c, 0, out);
}

static anf_status infer_linear(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    TRY(infer_product(c, 1, out));
    return op_need_vector(c, 2, c->in[1].shape.dim[0], 1);
}

/* y [m,n] = a [m,k] b, with b[k][n] at k*b_k + n*b_n. */
static anf_status product(const f16 *a, const f16 *b, size_t b_k, size_t b_n, const f16 *bias,
                          f16 *y, size_t m, size_t k, size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float s = ref_chain(a + i * k, 1, b + j * b_n, b_k, k);
            y[i * n + j] = f32_to_f16(bias ? s + f16_to_f32(bias[j]) : s);
            TRY(cancel_check(k));
        }
    return ANF_OK;
}

static anf_status ref_matmul(const struct op_eval *e)
{
    const anf_dims *x = &e->call.in[0].shape, *w = &e->call.in[1].shape;
    size_t k = (size_t)w->dim[0], n = (size_t)w->dim[1];
    return product(e->x[0], e->x[1], n, 1, NULL, e->y, dims_product(x, 0, x->rank - 1), k, n);
}

static anf_status ref_linear(const struct op_eval *e)
{
    const anf_dims *x = &e->call.in[0].shape, *w = &e->call.in[1].shape;
    size_t k = (size_t)w->dim[1], n = (size_t)w->dim[0];
    return product(e->x[0], e->x[1], 1, k, op_has(&e->call, 2) ? e->x[2] : NULL, e->y,
                   dims_product(x, 0, x->rank - 1), k, n);
}

static uint64_t flops_product(const struct op_call *c, const struct value_type *out)
{
    const anf_dims *x = &c->in[0].shape;
    return 2 * (uint64_t)dims_product(&out->shape, 0, out->shape.rank) *
           (uint64_t)x->dim[x->rank - 1];
}

static const struct op_case matmul_cases[] = {
    {"[4,8] w[8,6]", ""},     {"[1,1] w[1,1]", ""},        {"[37] w[37,19]", ""},
    {"[7,129] w[129,35]", ""}, {"[2,3,5] w[5,17]", ""},    {"[3,1] w[1,33]", ""},
    {"[17,300] w[300,16]", ""}, {"[2,9] [9,4]", ""},       {"[5,600] w[600,1]", ""},
};

OP_DEF(matmul) = {
    .name = "matmul",
    .category = "Linear algebra",
    .doc = "y[...,n] = sum over k of x[...,k] w[k,n].",
    .operands = {"x", "w"},
    .traits = OP_EPILOGUE,
    .weight = OP_WEIGHT_KN,
    .infer = infer_matmul,
    .ref = ref_matmul,
    .lower = lower_matmul,
    .flops = flops_product,
    OP_CASES(matmul_cases),
};

static const struct op_case linear_cases[] = {
    {"[4,8] w[6,8] w[6]", ""},        {"[4,8] w[6,8]", ""},     {"[1,1] w[1,1] w[1]", ""},
    {"[37] w[19,37] w[19]", ""},      {"[7,129] w[35,129]", ""}, {"[2,3,5] w[17,5] w[17]", ""},
    {"[13,257] w[33,257] w[33]", ""}, {"[3,1] w[5,1]", ""},     {"[2,9] [4,9] [4]", ""},
};

OP_DEF(linear) = {
    .name = "linear",
    .category = "Linear algebra",
    .doc = "y[...,n] = sum over k of x[...,k] weight[n,k], plus bias[n].",
    .operands = {"x", "weight", "?bias"},
    .traits = OP_EPILOGUE,
    .weight = OP_WEIGHT_NK,
    .infer = infer_linear,
    .ref = ref_linear,
    .lower = lower_linear,
    .flops = flops_product,
    OP_CASES(linear_cases),
};

/* ---- bmm ------------------------------------------------------------------------------------- */

static anf_status infer_bmm(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    TRY(op_need_min_rank(c, 0, 2));
    TRY(op_need_min_rank(c, 1, 2));
    const anf_dims *a = &c->in[0].shape, *b = &c->in[1].shape;
    if (a->dim[a->rank - 1] != b->dim[b->rank - 2])
        FAIL(SHAPE, "bmm: b %s needs K %" PRId64 ", a %s has %" PRId64, dims_text(b),
             b->dim[b->rank - 2], dims_text(a), a->dim[a->rank - 1]);
    anf_dims batch_a = *a, batch_b = *b;
    batch_a.rank -= 2;
    batch_b.rank -= 2;
    if (op_broadcast(c, &batch_a, &batch_b, &out->shape) != ANF_OK)
        FAIL(SHAPE, "bmm: batch dims of a %s and b %s do not broadcast", dims_text(a),
             dims_text(b));
    int rank = out->shape.rank;
    out->shape.dim[rank] = a->dim[a->rank - 2];
    out->shape.dim[rank + 1] = b->dim[b->rank - 1];
    out->shape.rank = rank + 2;
    return ANF_OK;
}

/* Operand i with its batch dims broadcast to those of the result. */
static const f16 *batched(const struct op_eval *e, int i)
{
    const anf_dims *own = &e->call.in[i].shape;
    anf_dims full = e->out.shape;
    full.dim[full.rank - 2] = own->dim[own->rank - 2];
    full.dim[full.rank - 1] = own->dim[own->rank - 1];
    f16 *room = ref_room(e->scratch, dims_product(&full, 0, full.rank));
    if (room)
        ref_broadcast(e->x[i], own, &full, room);
    return room;
}

static anf_status ref_bmm(const struct op_eval *e)
{
    const anf_dims *out = &e->out.shape, *a_dims = &e->call.in[0].shape;
    const f16 *a = batched(e, 0), *b = batched(e, 1);
    if (!a || !b)
        return ANF_E_NOMEM;
    size_t m = (size_t)out->dim[out->rank - 2], n = (size_t)out->dim[out->rank - 1];
    size_t k = (size_t)a_dims->dim[a_dims->rank - 1];
    for (size_t i = 0; i < dims_product(out, 0, out->rank - 2); i++)
        TRY(product(a + i * m * k, b + i * k * n, n, 1, NULL, e->y + i * m * n, m, k, n));
    return ANF_OK;
}

static const struct op_case bmm_cases[] = {
    {"[2,4,8] [2,8,6]", ""},     {"[1,1] [1,1]", ""},           {"[3,7,37] [3,37,19]", ""},
    {"[2,3,5,9] [9,4]", ""},     {"[5,9] [2,3,9,4]", ""},       {"[2,1,4,5] [3,5,6]", ""},
    {"[4,129] [129,33]", ""},    {"[2,2,1,64] [2,2,64,17]", ""}, {"[3,4,5] w[1,5,7]", ""},
};

OP_DEF(bmm) = {
    .name = "bmm",
    .category = "Linear algebra",
    .doc = "y[...,m,n] = sum over k of a[...,m,k] b[...,k,n]; the leading dims broadcast.",
    .operands = {"a", "b"},
    .traits = OP_EPILOGUE,
    .infer = infer_bmm,
    .ref = ref_bmm,
    .lower = lower_bmm,
    .flops = flops_product,
    OP_CASES(bmm_cases),
};

/* ---- convolutions ---------------------------------------------------------------------------- */

static const struct attr_desc conv_desc[] = {
    ATTR_INT(conv_attrs, stride, 1, "step of the window along both axes"),
    ATTR_INT(conv_attrs, pad, 0, "zeros added on every side"),
    ATTR_INT(conv_attrs, dilation, 1, "distance of neighbouring kernel taps"),
    ATTR_INT(conv_attrs, groups, 1, "channels are split into so many independent convolutions"),
};

static anf_status conv_common(const struct op_call *c, const struct conv_attrs *a)
{
    TRY(op_need_rank(c, 0, 4));
    TRY(op_need_rank(c, 1, 4));
    TRY(op_need_int(c, "stride", a->stride, 1));
    TRY(op_need_int(c, "pad", a->pad, 0));
    TRY(op_need_int(c, "dilation", a->dilation, 1));
    return op_need_int(c, "groups", a->groups, 1);
}

/* `cin` is what the weight asks of x. */
static anf_status conv_channels(const struct op_call *c, int64_t groups, int64_t cin)
{
    const anf_dims *x = &c->in[0].shape, *w = &c->in[1].shape;
    if (x->dim[1] == cin)
        return ANF_OK;
    if (groups == 1)
        FAIL(SHAPE, "%s: weight %s needs Cin %" PRId64 ", x %s has %" PRId64, c->op->name,
             dims_text(w), cin, dims_text(x), x->dim[1]);
    FAIL(SHAPE, "%s: weight %s with groups %" PRId64 " needs Cin %" PRId64 ", x %s has %" PRId64,
         c->op->name, dims_text(w), groups, cin, dims_text(x), x->dim[1]);
}

/* Channels on axis 0 of the weight come in equal groups. */
static anf_status conv_groups(const struct op_call *c, int64_t groups)
{
    const anf_dims *w = &c->in[1].shape;
    if (w->dim[0] % groups)
        FAIL(SHAPE, "%s: dim 0 of weight %s is not divisible by groups %" PRId64, c->op->name,
             dims_text(w), groups);
    return ANF_OK;
}

static anf_status infer_conv(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct conv_attrs *a = attrs;
    TRY(conv_common(c, a));
    const anf_dims *x = &c->in[0].shape, *w = &c->in[1].shape;
    TRY(conv_channels(c, a->groups, w->dim[1] * a->groups));
    TRY(conv_groups(c, a->groups));
    TRY(op_need_vector(c, 2, w->dim[0], 1));
    out->shape = *x;
    out->shape.dim[1] = w->dim[0];
    for (int d = 2; d < 4; d++) {
        int64_t room = x->dim[d] + 2 * a->pad - a->dilation * (w->dim[d] - 1) - 1;
        if (room < 0)
            FAIL(SHAPE, "conv: kernel of weight %s, dilation %" PRId64 ", does not fit x %s, pad %"
                        PRId64, dims_text(w), a->dilation, dims_text(x), a->pad);
        out->shape.dim[d] = room / a->stride + 1;
    }
    return ANF_OK;
}

static anf_status infer_conv_transpose(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct conv_attrs *a = attrs;
    TRY(conv_common(c, a));
    const anf_dims *x = &c->in[0].shape, *w = &c->in[1].shape;
    TRY(conv_channels(c, 1, w->dim[0]));
    TRY(conv_groups(c, a->groups));
    TRY(op_need_vector(c, 2, w->dim[1] * a->groups, 1));
    out->shape = *x;
    out->shape.dim[1] = w->dim[1] * a->groups;
    for (int d = 2; d < 4; d++) {
        out->shape.dim[d] = (x->dim[d] - 1) * a->stride + a->dilation * (w->dim[d] - 1) + 1 -
                            2 * a->pad;
        if (out->shape.dim[d] < 1)
            FAIL(SHAPE, "conv_transpose: pad %" PRId64 " leaves nothing of x %s, weight %s", a->pad,
                 dims_text(x), dims_text(w));
    }
    return ANF_OK;
}

/* Where the weight of (output channel, input channel, u, v) of a group lies. */
struct filter {
    const f16 *w;
    size_t out_step, in_step, kh, kw;
    bool flipped;
    ptrdiff_t up; /* rows and columns of the input lie this far apart */
};

static float filter_at(const struct filter *f, size_t co, size_t ci, size_t u, size_t v)
{
    const f16 *plane = f->w + co * f->out_step + ci * f->in_step;
    if (f->flipped)
        return f16_to_f32(plane[(f->kh - 1 - u) * f->kw + (f->kw - 1 - v)]);
    return f16_to_f32(plane[u * f->kw + v]);
}

static float tap_at(const struct conv_geom *g, const f16 *plane, ptrdiff_t y, ptrdiff_t x)
{
    if (y < 0 || x < 0 || (size_t)y >= g->in_h || (size_t)x >= g->in_w)
        return 0;
    return f16_to_f32(plane[(size_t)y * g->in_w + (size_t)x]);
}

/* One image and one group: x [cin][in_h][in_w], y [cout][out_h][out_w]. */
static anf_status conv_group(const struct conv_geom *g, const struct filter *f, const f16 *x,
                             size_t cout, const f16 *bias, f16 *y)
{
    for (size_t co = 0; co < cout; co++)
        for (size_t p = 0; p < g->out_h * g->out_w; p++) {
            ptrdiff_t top = (ptrdiff_t)(p / g->out_w * g->stride_h) - g->pad_h;
            ptrdiff_t left = (ptrdiff_t)(p % g->out_w * g->stride_w) - g->pad_w;
            float s = 0;
            for (size_t ci = 0; ci < g->cin; ci++)
                for (size_t u = 0; u < g->kh; u++)
                    for (size_t v = 0; v < g->kw; v++) {
                        const ptrdiff_t row = top + (ptrdiff_t)(u * g->dil_h);
                        const ptrdiff_t col = left + (ptrdiff_t)(v * g->dil_w);
                        if (row % f->up == 0 && col % f->up == 0)
                            s = fmaf(filter_at(f, co, ci, u, v),
                                     tap_at(g, x + ci * g->in_h * g->in_w, row / f->up,
                                            col / f->up),
                                     s);
                    }
            if (bias)
                s += f16_to_f32(bias[co]);
            y[co * g->out_h * g->out_w + p] = f32_to_f16(s);
            TRY(cancel_check(4 * g->cin * g->kh * g->kw));
        }
    return ANF_OK;
}

/* A convolution that Winograd's formula computes. */
struct winograd {
    const struct conv_geom *g;
    struct winograd_form form;
    float (*u)[WINOGRAD_IN][WINOGRAD_IN]; /* [cout][channels] */
    float (*v)[WINOGRAD_IN][WINOGRAD_IN]; /* [channels], of the tile in row, col of tiles */
    size_t row, col;
    size_t row_span, col_span; /* see winograd_span */
};

/* V of the tile: the phases of image x are its channels. */
static void winograd_tile(const struct winograd *t, const f16 *x)
{
    const struct conv_geom *g = t->g;
    const size_t s = t->form.stride, top = t->row * t->form.out, left = t->col * t->form.out;
    const size_t in = t->form.in;
    float d[WINOGRAD_IN], z[WINOGRAD_IN], columns[WINOGRAD_IN][WINOGRAD_IN];
    for (size_t c = 0; c < t->form.channels; c++) {
        const f16 *plane = x + c / t->form.phases * g->in_h * g->in_w;
        const size_t y0 = top * s + c / s % s, x0 = left * s + c % s;
        for (size_t j = 0; j < t->col_span; j++) {
            for (size_t i = 0; i < t->row_span; i++)
                d[i] = tap_at(g, plane, (ptrdiff_t)(y0 + i * s) - g->pad_h,
                              (ptrdiff_t)(x0 + j * s) - g->pad_w);
            winograd_input_1d(t->row_span, d, z);
            for (size_t i = 0; i < t->row_span; i++)
                columns[i][j] = z[i];
        }
        for (size_t i = 0; i < t->row_span; i++) {
            winograd_input_1d(t->col_span, columns[i], z);
            for (size_t j = 0; j < t->col_span; j++)
                t->v[c][winograd_position(in, t->row_span, i)]
                       [winograd_position(in, t->col_span, j)] = z[j];
        }
    }
}

/* U of one channel. */
static void winograd_kernel(const struct winograd *t, const struct filter *f, size_t co, size_t c,
                            float u[WINOGRAD_IN][WINOGRAD_IN])
{
    const size_t s = t->form.stride, in = t->form.in, taps = t->form.taps;
    float g[WINOGRAD_TAPS], z[WINOGRAD_IN], columns[WINOGRAD_IN][WINOGRAD_TAPS];
    for (size_t j = 0; j < taps; j++) {
        for (size_t i = 0; i < taps; i++) {
            const size_t row = c / s % s + i * s, col = c % s + j * s;
            const bool inside = row < f->kh && col < f->kw;
            g[i] = inside ? filter_at(f, co, c / t->form.phases, row, col) : 0;
        }
        winograd_weights_1d(in, taps, g, z);
        for (size_t i = 0; i < in; i++)
            columns[i][j] = z[i];
    }
    for (size_t i = 0; i < in; i++)
        winograd_weights_1d(in, taps, columns[i], u[i]);
}

/* y, a plane, in the tile. */
static void winograd_pixels(const struct winograd *t, size_t co, const f16 *bias, f16 *y)
{
    const struct conv_geom *g = t->g;
    const size_t out = t->form.out, top = t->row * out, left = t->col * out;
    float(*u)[WINOGRAD_IN][WINOGRAD_IN] = t->u + co * t->form.channels;
    float m[WINOGRAD_IN], s[WINOGRAD_OUT], z[WINOGRAD_OUT][WINOGRAD_IN];
    for (size_t j = 0; j < t->col_span; j++) {
        for (size_t i = 0; i < t->row_span; i++) {
            const size_t row = winograd_position(t->form.in, t->row_span, i);
            const size_t col = winograd_position(t->form.in, t->col_span, j);
            m[i] = 0;
            for (size_t c = 0; c < t->form.channels; c++)
                m[i] = fmaf(u[c][row][col], t->v[c][row][col], m[i]);
        }
        winograd_output_1d(t->row_span, out, m, s);
        for (size_t i = 0; i < out && top + i < g->out_h; i++)
            z[i][j] = s[i];
    }
    for (size_t i = 0; i < out && top + i < g->out_h; i++) {
        winograd_output_1d(t->col_span, out, z[i], s);
        for (size_t j = 0; j < out && left + j < g->out_w; j++)
            y[(top + i) * g->out_w + left + j] =
                f32_to_f16(bias ? s[j] + f16_to_f32(*bias) : s[j]);
    }
}

static anf_status winograd_all(const struct op_eval *e, const struct conv_geom *g,
                               const struct filter *f)
{
    const size_t cout = (size_t)e->out.shape.dim[1], images = (size_t)e->out.shape.dim[0];
    const size_t pixels = g->out_h * g->out_w;
    const f16 *x = e->x[0], *bias = op_has(&e->call, 2) ? e->x[2] : NULL;
    f16 *y = e->y;
    struct winograd t = {.g = g, .form = winograd_form(g, cout)};
    const size_t channels = t.form.channels;
    t.u = arena_alloc(e->scratch, cout * channels * sizeof *t.u);
    t.v = arena_alloc(e->scratch, channels * sizeof *t.v);
    if (!t.u || !t.v)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < cout * channels; i++) {
        winograd_kernel(&t, f, i / channels, i % channels, t.u[i]);
        TRY(cancel_check(WINOGRAD_POSITIONS));
    }
    for (size_t n = 0; n < images; n++)
        for (t.row = 0; t.row < t.form.tile_rows; t.row++)
            for (t.col = 0; t.col < t.form.tile_cols; t.col++) {
                t.row_span = winograd_span(t.form.in, t.form.out, g->out_h - t.row * t.form.out);
                t.col_span = winograd_span(t.form.in, t.form.out, g->out_w - t.col * t.form.out);
                winograd_tile(&t, x + n * g->cin * g->in_h * g->in_w);
                for (size_t co = 0; co < cout; co++) {
                    winograd_pixels(&t, co, bias ? bias + co : NULL,
                                    y + (n * cout + co) * pixels);
                    TRY(cancel_check(channels * WINOGRAD_POSITIONS));
                }
            }
    return ANF_OK;
}

static anf_status conv_all(const struct op_eval *e, const struct conv_geom *g, struct filter f,
                           size_t group_weights)
{
    const struct conv_attrs *a = e->call.attrs;
    size_t groups = (size_t)a->groups, cout = (size_t)e->out.shape.dim[1] / groups;
    if (f.up == 1 && winograd_chosen(g, groups, cout))
        return winograd_all(e, g, &f);
    const f16 *x = e->x[0], *w = f.w, *bias = op_has(&e->call, 2) ? e->x[2] : NULL;
    f16 *y = e->y;
    for (int64_t n = 0; n < e->out.shape.dim[0]; n++)
        for (size_t k = 0; k < groups; k++) {
            f.w = w + k * group_weights;
            TRY(conv_group(g, &f, x, cout, bias ? bias + k * cout : NULL, y));
            x += g->cin * g->in_h * g->in_w;
            y += cout * g->out_h * g->out_w;
        }
    return ANF_OK;
}

static anf_status ref_conv(const struct op_eval *e)
{
    const struct conv_attrs *a = e->call.attrs;
    const anf_dims *x = &e->call.in[0].shape, *w = &e->call.in[1].shape, *y = &e->out.shape;
    size_t kh = (size_t)w->dim[2], kw = (size_t)w->dim[3], cin = (size_t)w->dim[1];
    size_t stride = (size_t)a->stride, dilation = (size_t)a->dilation;
    struct conv_geom g = {
        .cin = cin, .in_h = (size_t)x->dim[2], .in_w = (size_t)x->dim[3],
        .out_h = (size_t)y->dim[2], .out_w = (size_t)y->dim[3], .kh = kh, .kw = kw,
        .stride_h = stride, .stride_w = stride, .dil_h = dilation, .dil_w = dilation,
        .pad_h = (ptrdiff_t)a->pad, .pad_w = (ptrdiff_t)a->pad,
    };
    struct filter f = {e->x[1], cin * kh * kw, kh * kw, kh, kw, false, 1};
    return conv_all(e, &g, f, dims_product(w, 0, 4) / (size_t)a->groups);
}

static anf_status ref_conv_transpose(const struct op_eval *e)
{
    const struct conv_attrs *a = e->call.attrs;
    const anf_dims *x = &e->call.in[0].shape, *w = &e->call.in[1].shape, *y = &e->out.shape;
    size_t kh = (size_t)w->dim[2], kw = (size_t)w->dim[3], cout = (size_t)w->dim[1];
    size_t dilation = (size_t)a->dilation;
    struct conv_geom g = {
        .cin = (size_t)(w->dim[0] / a->groups),
        .in_h = (size_t)x->dim[2], .in_w = (size_t)x->dim[3],
        .out_h = (size_t)y->dim[2], .out_w = (size_t)y->dim[3], .kh = kh, .kw = kw,
        .stride_h = 1, .stride_w = 1, .dil_h = dilation, .dil_w = dilation,
        .pad_h = (ptrdiff_t)(a->dilation * (w->dim[2] - 1) - a->pad),
        .pad_w = (ptrdiff_t)(a->dilation * (w->dim[3] - 1) - a->pad),
    };
    struct filter f = {e->x[1], kh * kw, cout * kh * kw, kh, kw, true, (ptrdiff_t)a->stride};
    return conv_all(e, &g, f, dims_product(w, 0, 4) / (size_t)a->groups);
}

/* Multiply-adds of one output element are what one row of the weight holds. */
static uint64_t flops_conv(const struct op_call *c, const struct value_type *out)
{
    return 2 * (uint64_t)dims_product(&out->shape, 0, 4) * dims_product(&c->in[1].shape, 1, 4);
}

/* Each input element meets every weight of its channel once. */
static uint64_t flops_conv_transpose(const struct op_call *c, const struct value_type *out)
{
    (void)out;
    return 2 * (uint64_t)dims_product(&c->in[0].shape, 0, 4) * dims_product(&c->in[1].shape, 1, 4);
}

static const struct op_case conv_cases[] = {
    {"[2,3,8,9] w[4,3,3,3] w[4]", "pad=1"},
    {"[1,1,1,1] w[1,1,1,1]", ""},
    {"[1,5,7,5] w[6,5,1,1] w[6]", ""},                    /* 1x1: a matrix product */
    {"[1,5,7,9] w[6,5,1,1]", "stride=2"},
    {"[1,3,17,19] w[5,3,3,3] w[5]", "stride=2, pad=1"},
    {"[1,2,13,11] w[3,2,3,3]", "dilation=2, pad=2"},
    {"[2,6,9,7] w[4,3,3,3] w[4]", "groups=2, pad=1"},
    {"[1,5,9,37] w[5,1,3,3] w[5]", "groups=5, pad=1"},    /* depthwise */
    {"[1,4,9,9] w[8,1,3,3]", "groups=4, stride=2, pad=1"}, /* two filters a channel */
    {"[1,3,6,5] w[2,3,2,5]", "pad=2"},
    {"[1,4,10,10] w[17,4,3,3]", "pad=1"},                 /* 3x3, stride 1, odd Cout */
    {"[1,1,4,4] w[2,1,5,5]", "pad=3, stride=3"},
    {"[1,40,6,6] w[33,40,3,3] w[33]", "pad=1"},
    {"[1,3,16,16] w[4,3,7,7]", "stride=4, pad=3"},
    {"[1,2,6,6] [3,2,3,3] [3]", ""},
    {"[2,6,50,1] w[4,3,3,1] w[4]", "groups=2, stride=2"}, /* one column */
    {"[1,32,13,15] w[35,32,3,3] w[35]", "pad=1"},         /* Winograd: odd sizes */
    {"[1,32,17,18] w[33,32,3,3] w[33]", "pad=1"},         /* tiles of 6x6 */
    {"[3,33,11,10] w[32,33,3,3]", ""},                    /* strips over several images */
    {"[1,32,9,300] w[40,32,3,3] w[40]", "pad=2"},         /* a row of tiles in parts */
    {"[1,32,12,12] [32,32,3,3]", "pad=1"},
    {"[1,3,36,33] w[34,3,7,7] w[34]", "stride=2, pad=3"}, /* Winograd: the phases of a stride */
    {"[2,3,55,59] w[32,3,11,11]", "stride=4, pad=2"},
    {"[1,17,13,12] w[32,17,5,5] w[32]", "pad=2"},
    {"[1,20,10,11] w[18,20,4,4]", "pad=1"},
    {"[1,16,20,21] w[30,16,5,6] w[30]", "stride=2, pad=2"},
};

OP_DEF(conv) = {
    .name = "conv",
    .category = "Linear algebra",
    .doc = "2D cross-correlation of x [N,Cin,H,W] with weight [Cout,Cin/groups,kH,kW], plus "
           "bias[Cout].",
    .operands = {"x", "weight", "?bias"},
    OP_ATTRS(conv_desc, conv_attrs),
    .traits = OP_EPILOGUE,
    .infer = infer_conv,
    .ref = ref_conv,
    .lower = lower_conv,
    .flops = flops_conv,
    OP_CASES(conv_cases),
};

static const struct op_case conv_transpose_cases[] = {
    {"[1,3,5,6] w[3,4,3,3] w[4]", "stride=2, pad=1"},
    {"[1,1,1,1] w[1,1,1,1]", ""},
    {"[1,4,8,9] w[4,3,2,5]", ""},
    {"[2,4,5,5] w[4,3,3,3] w[6]", "groups=2, pad=1"},
    {"[1,3,7,5] w[3,3,2,2]", "stride=2"},
    {"[1,2,6,5] w[2,3,3,3] w[3]", "stride=3, dilation=2, pad=1"},
    {"[1,2,6,6] w[2,3,3,3]", "pad=3"},                    /* pads more than the kernel reaches */
    {"[1,5,4,37] w[5,1,4,4]", "stride=2, pad=1, groups=5"},
    {"[1,17,5,7] w[17,19,3,3] w[19]", "stride=2, pad=1"},
    {"[1,32,9,10] w[32,33,3,3] w[33]", "pad=1"},          /* Winograd */
    {"[1,32,9,10] w[32,33,3,3]", "stride=2, pad=1"},      /* would be, without the stride */
    {"[1,3,5,6] w[3,4,2,2] w[4]", "stride=4"},            /* pixels that no tap reaches */
    {"[2,4,6,5] w[4,1,3,4] w[4]", "stride=2, dilation=3, groups=4"}, /* depthwise */
    {"[1,2,4,3] w[2,3,4,5]", "stride=6, dilation=4, pad=2"}, /* a common divisor */
    {"[1,2,1,2] w[2,3,1,1] w[3]", "stride=5"},            /* fewer pixels than the stride */
    {"[1,4,9,1] w[4,3,4,1] w[6]", "stride=2, groups=2"},  /* one column */
    {"[1,4,6,6] w[4,2,3,3] w[4]", "stride=2, dilation=2, groups=2"}, /* residues without taps */
};

OP_DEF(conv_transpose) = {
    .name = "conv_transpose",
    .category = "Linear algebra",
    .doc = "2D transposed convolution of x [N,Cin,H,W] with weight [Cin,Cout/groups,kH,kW], "
           "plus bias[Cout].",
    .operands = {"x", "weight", "?bias"},
    OP_ATTRS(conv_desc, conv_attrs),
    .traits = OP_EPILOGUE,
    .infer = infer_conv_transpose,
    .ref = ref_conv_transpose,
    .lower = lower_conv_transpose,
    .flops = flops_conv_transpose,
    OP_CASES(conv_transpose_cases),
};
