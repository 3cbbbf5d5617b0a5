/* Reductions over any axes.  The reduced elements of one result are taken in row-major order of the
 * reduced axes, in the lane order of kern.h, in float32, and rounded once; the reduced axes stay as
 * dims of 1.  A NaN among the elements makes every reduction NaN. */
#include "lower/lower.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

static const struct attr_desc axes_desc[] = {
    ATTR_INTS(axes_attrs, axes, "axes to reduce; negative ones count from the end"),
};

static anf_status infer_reduce(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct axes_attrs *a = attrs;
    TRY(op_normal_axes(c, &a->axes, c->in[0].shape.rank));
    out->shape = c->in[0].shape;
    for (int i = 0; i < a->axes.rank; i++)
        out->shape.dim[a->axes.dim[i]] = 1;
    return ANF_OK;
}

/* x with the kept axes first and the reduced ones last: one row per result. */
static f16 *rows_of(const struct op_eval *e, size_t *n)
{
    const struct axes_attrs *a = e->call.attrs;
    const anf_dims *x = &e->call.in[0].shape;
    struct strided own = strided_dense(x), moved = {.dims.rank = x->rank};
    int kept = 0, last = x->rank - a->axes.rank, next = 0;
    for (int d = 0; d < x->rank; d++) {
        bool reduced = next < a->axes.rank && a->axes.dim[next] == d;
        int to = reduced ? last + next++ : kept++;
        moved.dims.dim[to] = x->dim[d];
        moved.stride[to] = own.stride[d];
    }
    *n = dims_product(&moved.dims, last, x->rank);
    f16 *rows = ref_room(e->scratch, dims_product(x, 0, x->rank));
    if (rows)
        ref_gather(e->x[0], &moved, rows);
    return rows;
}

static anf_status reduce(const struct op_eval *e, float (*fold)(const float *, size_t), bool mean)
{
    size_t n;
    const f16 *rows = rows_of(e, &n);
    float *row = rows ? arena_alloc_array(e->scratch, n, sizeof *row) : NULL;
    if (!row)
        return ANF_E_NOMEM;
    for (size_t r = 0; r < dims_product(&e->out.shape, 0, e->out.shape.rank); r++) {
        for (size_t i = 0; i < n; i++)
            row[i] = f16_to_f32(rows[r * n + i]);
        float result = fold(row, n);
        e->y[r] = f32_to_f16(mean ? result / (float)n : result);
    }
    return ANF_OK;
}

static anf_status ref_mean(const struct op_eval *e)
{
    return reduce(e, ref_sum, true);
}

static anf_status ref_total(const struct op_eval *e)
{
    return reduce(e, ref_sum, false);
}

static anf_status ref_amax(const struct op_eval *e)
{
    return reduce(e, ref_max, false);
}

static anf_status ref_amin(const struct op_eval *e)
{
    return reduce(e, ref_min, false);
}

static uint64_t flops_reduce(const struct op_call *c, const struct value_type *out)
{
    (void)out;
    return dims_product(&c->in[0].shape, 0, c->in[0].shape.rank);
}

/* Last, first, inner, several, split and all axes; rows past a vector, past the lanes, past a
 * block. */
static const struct op_case reduce_cases[] = {
    {"[2,3,4,5]", "axes=[2,3]"}, {"[1]", "axes=[0]"},           {"[5,37]", "axes=[-1]"},
    {"[37,5]", "axes=[0]"},      {"[3,129,4]", "axes=[1]"},     {"[4,3,5,6]", "axes=[0,2]"},
    {"[2,3,4]", "axes=[2,0,1]"}, {"[3,1,7]", "axes=[1]"},       {"[2,4099]", "axes=[1]"},
    {"[2,67,65]", "axes=[1,2]"}, {"[17,3]", "axes=[1]"},        {"[2,5,6,70]", "axes=[1,2]"},
    {"[3,5,1,7]", "axes=[1]"},   {"[330,2]", "axes=[0]"},       {"[4100,9]", "axes=[0]"},
};

#define REDUCTION(id, text, slot, reference)                                                       \
    OP_DEF(id) = {.name = #id, .category = "Reductions and normalisation", .doc = (text),          \
                  .operands = {"x"}, OP_ATTRS(axes_desc, axes_attrs), .infer = infer_reduce,       \
                  .ref = (reference), .lower = lower_reduce_##slot, .flops = flops_reduce,         \
                  OP_CASES(reduce_cases)}

REDUCTION(mean, "Mean over the axes, which stay as dims of 1.", mean, ref_mean);
REDUCTION(sum, "Sum over the axes, which stay as dims of 1.", sum, ref_total);
REDUCTION(amax, "Maximum over the axes, which stay as dims of 1.", max, ref_amax);
REDUCTION(amin, "Minimum over the axes, which stay as dims of 1.", min, ref_amin);
