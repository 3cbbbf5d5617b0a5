/* Operators that only move elements.  Most are views: `view` turns the operand's strides into
 * the result's, and both the lowering and the reference follow from it.  The rest is written in
 * terms of them, except concat, which has several operands.
 *
 * Two lists that differ in rank are aligned at the right (expand) or paired entry by entry
 * (transpose, slice). */
#include "lower/lower.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <string.h>

#define SHAPE_OPS "Spatial and shape"

/* shape_attrs and perm_attrs are both one list. */
_Static_assert(sizeof(struct shape_attrs) == sizeof(anf_dims) &&
               sizeof(struct perm_attrs) == sizeof(anf_dims),
               "op_add_dims takes any such operator");

node_id op_add_dims(struct graph *g, enum op_id op, node_id x, anf_dims list)
{
    return x ? graph_add(g, op, &x, 1, &list) : 0;
}

static int64_t elements(const anf_dims *d)
{
    return (int64_t)dims_product(d, 0, d->rank);
}

/* ---- the same elements in the same order: reshape, squeeze, expand_dims ---------------------- */

/* Cut both shapes into the shortest runs of dims with equal products; a run of old dims must be
 * evenly spaced, and the new dims of its run then count through it.  Old dims of 1 take no part,
 * so adding and removing such dims never fails. */
static bool view_reshape(const struct op_call *c, const struct value_type *out, struct strided *s)
{
    (void)c;
    struct strided old, r = {.dims = out->shape, .offset = s->offset};
    memset(&old, 0, sizeof old);
    for (int d = 0; d < s->dims.rank; d++)
        if (s->dims.dim[d] > 1) {
            old.dims.dim[old.dims.rank] = s->dims.dim[d];
            old.stride[old.dims.rank++] = s->stride[d];
        }
    for (int i = 0, k = 0; i < old.dims.rank;) {
        int i_end = i + 1, k_end = k + 1;
        int64_t have = old.dims.dim[i], want = r.dims.dim[k];
        while (have != want) {
            if (have < want)
                have *= old.dims.dim[i_end++];
            else
                want *= r.dims.dim[k_end++];
        }
        for (int d = i; d + 1 < i_end; d++)
            if (old.stride[d] != old.stride[d + 1] * old.dims.dim[d + 1])
                return false;
        int64_t step = old.stride[i_end - 1];
        for (int d = k_end - 1; d >= k; d--) {
            r.stride[d] = step;
            step *= r.dims.dim[d];
        }
        i = i_end;
        k = k_end;
    }
    *s = r;
    return true;
}

static const struct attr_desc reshape_desc[] = {
    ATTR_INTS(shape_attrs, shape, "the new shape; one -1 stands for what is left"),
};

static anf_status infer_reshape(const struct op_call *c, void *attrs, struct value_type *out)
{
    anf_dims *shape = &((struct shape_attrs *)attrs)->shape, known = *shape;
    const anf_dims *x = &c->in[0].shape;
    size_t count;
    int left = -1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] == -1) {
            if (left >= 0)
                FAIL(ATTR, "reshape: shape %s has more than one -1", dims_text(shape));
            left = i;
            known.dim[i] = 1;
        }
    if (!dims_count(&known, &count))
        FAIL(ATTR, "reshape: shape %s needs dims of 1 or more, one may be -1, and at most 2^40 "
                   "elements", dims_text(shape));
    int64_t have = elements(x), want = (int64_t)count;
    if (left >= 0 ? have % want != 0 : have != want)
        FAIL(SHAPE, "reshape: x %s has %" PRId64 " elements, shape %s does not fit", dims_text(x),
             have, dims_text(shape));
    if (left >= 0)
        shape->dim[left] = have / want;
    out->shape = *shape;
    return ANF_OK;
}

static const struct op_case reshape_cases[] = {
    {"[2,3,4]", "shape=[6,4]"},       {"[1]", "shape=[]"},          {"[5,37]", "shape=[37,5]"},
    {"[129,2]", "shape=[-1]"},        {"[4,9]", "shape=[2,2,-1,3]"}, {"[]", "shape=[1,1]"},
    {"[2,3,5,7]", "shape=[1,6,35]"},
};

OP_DEF(reshape) = {
    .name = "reshape",
    .category = SHAPE_OPS,
    .doc = "The elements of x in row-major order, in another shape.",
    .operands = {"x"},
    OP_ATTRS(reshape_desc, shape_attrs),
    .traits = OP_VIEW,
    .infer = infer_reshape,
    .view = view_reshape,
    .flops = op_flops_none,
    OP_CASES(reshape_cases),
};

static bool has_axis(const anf_dims *axes, int d)
{
    for (int i = 0; i < axes->rank; i++)
        if (axes->dim[i] == d)
            return true;
    return false;
}

static const struct attr_desc squeeze_desc[] = {
    ATTR_INTS(axes_attrs, axes, "axes of size 1 to remove"),
};

static anf_status infer_squeeze(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct axes_attrs *a = attrs;
    const anf_dims *x = &c->in[0].shape;
    TRY(op_normal_axes(c, &a->axes, x->rank));
    for (int d = 0; d < x->rank; d++) {
        if (!has_axis(&a->axes, d))
            out->shape.dim[out->shape.rank++] = x->dim[d];
        else if (x->dim[d] != 1)
            FAIL(SHAPE, "squeeze: axis %d of x %s has size %" PRId64 ", needs 1", d, dims_text(x),
                 x->dim[d]);
    }
    return ANF_OK;
}

static const struct op_case squeeze_cases[] = {
    {"[2,1,3]", "axes=[1]"}, {"[1]", "axes=[0]"}, {"[1,37,1,5]", "axes=[-2,0]"},
};

OP_DEF(squeeze) = {
    .name = "squeeze",
    .category = SHAPE_OPS,
    .doc = "x without the given axes of size 1.",
    .operands = {"x"},
    OP_ATTRS(squeeze_desc, axes_attrs),
    .traits = OP_VIEW,
    .infer = infer_squeeze,
    .view = view_reshape,
    .flops = op_flops_none,
    OP_CASES(squeeze_cases),
};

static const struct attr_desc expand_dims_desc[] = {
    ATTR_INTS(axes_attrs, axes, "where axes of size 1 stand in the result"),
};

static anf_status infer_expand_dims(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct axes_attrs *a = attrs;
    const anf_dims *x = &c->in[0].shape;
    int rank = x->rank + a->axes.rank;
    if (rank > ANF_MAX_RANK)
        FAIL(SHAPE, "expand_dims: %d more axes on x %s make rank %d, at most %d is possible",
             (int)a->axes.rank, dims_text(x), rank, ANF_MAX_RANK);
    TRY(op_normal_axes(c, &a->axes, rank));
    out->shape.rank = rank;
    for (int d = 0, from = 0; d < rank; d++)
        out->shape.dim[d] = has_axis(&a->axes, d) ? 1 : x->dim[from++];
    return ANF_OK;
}

static const struct op_case expand_dims_cases[] = {
    {"[2,3]", "axes=[1]"}, {"[]", "axes=[0]"}, {"[37,5]", "axes=[0,-1]"},
    {"[129]", "axes=[-1,0,2]"},
};

OP_DEF(expand_dims) = {
    .name = "expand_dims",
    .category = SHAPE_OPS,
    .doc = "x with axes of size 1 put in, counted in the result.",
    .operands = {"x"},
    OP_ATTRS(expand_dims_desc, axes_attrs),
    .traits = OP_VIEW,
    .infer = infer_expand_dims,
    .view = view_reshape,
    .flops = op_flops_none,
    OP_CASES(expand_dims_cases),
};

/* ---- other views: transpose, slice, split, expand -------------------------------------------- */

static const struct attr_desc transpose_desc[] = {
    ATTR_INTS(perm_attrs, perm, "axis i of the result is axis perm[i] of x"),
};

static anf_status infer_transpose(const struct op_call *c, void *attrs, struct value_type *out)
{
    anf_dims *perm = &((struct perm_attrs *)attrs)->perm;
    const anf_dims *x = &c->in[0].shape;
    bool seen[ANF_MAX_RANK] = {false};
    if (perm->rank != x->rank)
        FAIL(ATTR, "transpose: perm %s has %d entries, x %s has rank %d", dims_text(perm),
             (int)perm->rank, dims_text(x), (int)x->rank);
    out->shape.rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        TRY(op_normal_axis(c, &perm->dim[i], x->rank));
        if (seen[perm->dim[i]])
            FAIL(ATTR, "transpose: perm has axis %" PRId64 " twice", perm->dim[i]);
        seen[perm->dim[i]] = true;
        out->shape.dim[i] = x->dim[perm->dim[i]];
    }
    return ANF_OK;
}

static bool view_transpose(const struct op_call *c, const struct value_type *out, struct strided *s)
{
    (void)out;
    *s = strided_permuted(s, &((const struct perm_attrs *)c->attrs)->perm);
    return true;
}

static const struct op_case transpose_cases[] = {
    {"[3,4]", "perm=[1,0]"},         {"[1]", "perm=[0]"},              {"[37,5]", "perm=[1,0]"},
    {"[2,3,4]", "perm=[2,0,1]"},     {"[2,5,3,7]", "perm=[0,2,-1,1]"}, {"[129,33]", "perm=[-1,-2]"},
    {"[2,3,4,5]", "perm=[0,1,3,2]"}, {"[2,1,3,2,5]", "perm=[4,3,2,1,0]"}, {"[]", "perm=[]"},
};

OP_DEF(transpose) = {
    .name = "transpose",
    .category = SHAPE_OPS,
    .doc = "x with its axes in another order.",
    .operands = {"x"},
    OP_ATTRS(transpose_desc, perm_attrs),
    .infer = infer_transpose,
    .view = view_transpose,
    .flops = op_flops_none,
    OP_CASES(transpose_cases),
};

static const struct attr_desc slice_desc[] = {
    ATTR_INTS(slice_attrs, begin, "first index along each axis"),
    ATTR_INTS(slice_attrs, size, "how many along each axis"),
};

static anf_status infer_slice(const struct op_call *c, void *attrs, struct value_type *out)
{
    const struct slice_attrs *a = attrs;
    const anf_dims *x = &c->in[0].shape;
    if (a->begin.rank != x->rank || a->size.rank != x->rank)
        FAIL(ATTR, "slice: begin %s and size %s need %d entries each for x %s",
             dims_text(&a->begin), dims_text(&a->size), (int)x->rank, dims_text(x));
    for (int i = 0; i < x->rank; i++)
        if (a->begin.dim[i] < 0 || a->begin.dim[i] >= x->dim[i] || a->size.dim[i] < 1 ||
            a->size.dim[i] > x->dim[i] - a->begin.dim[i])
            FAIL(ATTR, "slice: begin %s with size %s is not inside x %s", dims_text(&a->begin),
                 dims_text(&a->size), dims_text(x));
    out->shape = a->size;
    return ANF_OK;
}

static bool view_slice(const struct op_call *c, const struct value_type *out, struct strided *s)
{
    const struct slice_attrs *a = c->attrs;
    for (int i = 0; i < s->dims.rank; i++)
        s->offset += a->begin.dim[i] * s->stride[i];
    s->dims = out->shape;
    return true;
}

static const struct op_case slice_cases[] = {
    {"[4,6]", "begin=[1,2], size=[2,3]"},       {"[1]", "begin=[0], size=[1]"},
    {"[37]", "begin=[5], size=[31]"},           {"[2,3,129]", "begin=[1,0,7], size=[1,3,121]"},
    {"[5,4,3]", "begin=[0,3,2], size=[5,1,1]"}, {"[]", "begin=[], size=[]"},
};

OP_DEF(slice) = {
    .name = "slice",
    .category = SHAPE_OPS,
    .doc = "The box of x that starts at begin and has the given size.",
    .operands = {"x"},
    OP_ATTRS(slice_desc, slice_attrs),
    .infer = infer_slice,
    .view = view_slice,
    .flops = op_flops_none,
    OP_CASES(slice_cases),
};

static const struct attr_desc split_desc[] = {
    ATTR_INT_REQUIRED(split_attrs, parts, "into how many equal parts"),
    ATTR_INT_ARG(split_attrs, axis, 0, "axis that is split"),
    ATTR_INT_REQUIRED(split_attrs, index, "which part this is, from 0"),
};

static anf_status infer_split(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct split_attrs *a = attrs;
    const anf_dims *x = &c->in[0].shape;
    TRY(op_need_int(c, "parts", a->parts, 1));
    TRY(op_normal_axis(c, &a->axis, x->rank));
    if (a->index < 0 || a->index >= a->parts)
        FAIL(ATTR, "split: index is %" PRId64 ", needs 0 to %" PRId64, a->index, a->parts - 1);
    if (x->dim[a->axis] % a->parts)
        FAIL(SHAPE, "split: axis %" PRId64 " of x %s is not divisible into %" PRId64 " parts",
             a->axis, dims_text(x), a->parts);
    out->shape = *x;
    out->shape.dim[a->axis] /= a->parts;
    return ANF_OK;
}

static node_id expand_split(struct graph *g, const struct op_call *c, const node_id *in)
{
    const struct split_attrs *a = c->attrs;
    const anf_dims *x = &c->in[0].shape;
    struct slice_attrs s;
    memset(&s, 0, sizeof s);
    s.begin.rank = x->rank;
    s.size = *x;
    s.size.dim[a->axis] /= a->parts;
    s.begin.dim[a->axis] = a->index * s.size.dim[a->axis];
    return graph_add(g, OP_slice, in, 1, &s);
}

static const struct op_case split_cases[] = {
    {"[4,6]", "parts=2, index=1"},
    {"[1]", "parts=1, index=0"},
    {"[5,111]", "parts=3, axis=-1, index=2"},
    {"[2,6,5]", "parts=3, axis=1, index=0"},
};

OP_DEF(split) = {
    .name = "split",
    .category = SHAPE_OPS,
    .doc = "Part `index` of x cut into equal parts along the axis.",
    .operands = {"x"},
    OP_ATTRS(split_desc, split_attrs),
    .traits = OP_COMPOSITE,
    .infer = infer_split,
    .expand = expand_split,
    .flops = op_flops_none,
    OP_CASES(split_cases),
};

static const struct attr_desc expand_desc[] = {
    ATTR_INTS(shape_attrs, shape, "the shape x is broadcast to"),
};

static anf_status infer_expand(const struct op_call *c, void *attrs, struct value_type *out)
{
    const anf_dims *shape = &((struct shape_attrs *)attrs)->shape, *x = &c->in[0].shape;
    int shift = shape->rank - x->rank;
    bool fits = shift >= 0;
    for (int i = 0; fits && i < shape->rank; i++)
        fits = shape->dim[i] >= 1 &&
               (i < shift || x->dim[i - shift] == 1 || x->dim[i - shift] == shape->dim[i]);
    if (!fits)
        FAIL(SHAPE, "expand: x %s does not broadcast to %s", dims_text(x), dims_text(shape));
    out->shape = *shape;
    return ANF_OK;
}

static bool view_expand(const struct op_call *c, const struct value_type *out, struct strided *s)
{
    (void)c;
    struct strided r = {.dims = out->shape, .offset = s->offset};
    int shift = r.dims.rank - s->dims.rank;
    for (int i = shift; i < r.dims.rank; i++)
        r.stride[i] = s->dims.dim[i - shift] == 1 ? 0 : s->stride[i - shift];
    *s = r;
    return true;
}

static const struct op_case expand_cases[] = {
    {"[3,1]", "shape=[3,4]"},      {"[1]", "shape=[1]"},          {"[]", "shape=[37]"},
    {"[5]", "shape=[2,3,5]"},      {"[2,1,129]", "shape=[2,3,129]"}, {"[1,7,1]", "shape=[4,1,7,5]"},
};

OP_DEF(expand) = {
    .name = "expand",
    .category = SHAPE_OPS,
    .doc = "x broadcast to a shape.",
    .operands = {"x"},
    OP_ATTRS(expand_desc, shape_attrs),
    .infer = infer_expand,
    .view = view_expand,
    .flops = op_flops_none,
    OP_CASES(expand_cases),
};

/* ---- concat ---------------------------------------------------------------------------------- */

static const struct attr_desc concat_desc[] = {
    ATTR_INT_ARG(axis_attrs, axis, 1, "axis along which the tensors follow each other"),
};

static anf_status infer_concat(const struct op_call *c, void *attrs, struct value_type *out)
{
    struct axis_attrs *a = attrs;
    TRY(op_normal_axis(c, &a->axis, c->in[0].shape.rank));
    out->shape = c->in[0].shape;
    for (int i = 1; i < c->n_in; i++) {
        anf_dims t = c->in[i].shape;
        int64_t along = t.rank == out->shape.rank ? t.dim[a->axis] : 0;
        t.dim[a->axis] = c->in[0].shape.dim[a->axis];
        if (!dims_equal(&t, &c->in[0].shape))
            FAIL(SHAPE, "concat: tensor %d %s and tensor 0 %s differ outside axis %" PRId64, i,
                 dims_text(&c->in[i].shape), dims_text(&c->in[0].shape), a->axis);
        out->shape.dim[a->axis] += along;
    }
    return ANF_OK;
}

static anf_status ref_concat(const struct op_eval *e)
{
    const struct axis_attrs *a = e->call.attrs;
    const anf_dims *y = &e->out.shape;
    int axis = (int)a->axis;
    size_t outer = dims_product(y, 0, axis), row = dims_product(y, axis, y->rank), at = 0;
    for (int i = 0; i < e->call.n_in; i++) {
        const f16 *x = e->x[i];
        size_t part = dims_product(&e->call.in[i].shape, axis, y->rank);
        for (size_t o = 0; o < outer; o++)
            memcpy(e->y + o * row + at, x + o * part, part * sizeof *x);
        at += part;
    }
    return ANF_OK;
}

static const struct op_case concat_cases[] = {
    {"[2,3,4] [2,5,4]", ""},      {"[1] [1]", "axis=0"},          {"[2,7]", ""},
    {"[5,37] [5,1] [5,129]", ""}, {"[3,4] [1,4] w[2,4]", "axis=0"}, {"[2,3,5] [2,3,7]", "axis=-1"},
    {"[1,2,3,3] [1,1,3,3] [1,4,3,3]", ""},
};

OP_DEF(concat) = {
    .name = "concat",
    .category = SHAPE_OPS,
    .doc = "The tensors one after another along the axis; their other dims are equal.",
    .operands = {"*tensors"},
    OP_ATTRS(concat_desc, axis_attrs),
    .infer = infer_concat,
    .ref = ref_concat,
    .lower = lower_concat,
    .flops = op_flops_none,
    OP_CASES(concat_cases),
};
