/* Arithmetic and element moves shared by the references.
 *
 * The references define results bit for bit and check the kernels, so nothing here is shared
 * with them: the reductions are written out from the contract of kern.h, one lane at a time, and
 * moves are one odometer over any strides.  Clarity first; speed only matters to constant
 * folding. */
#include "ops/op.h"

#include <math.h>

static float fold_sum(float a, float b)
{
    return a + b;
}

static float fold_max(float a, float b)
{
    return a > b ? a : b;
}

static float fold_min(float a, float b)
{
    return a < b ? a : b;
}

static float reduce(const float *x, size_t n, float identity, float (*fold)(float, float))
{
    float total = identity;
    for (size_t at = 0; at < n; at += ANF_REDUCE_BLOCK) {
        size_t len = n - at < ANF_REDUCE_BLOCK ? n - at : ANF_REDUCE_BLOCK;
        float lane[ANF_REDUCE_LANES];
        for (size_t i = 0; i < ANF_REDUCE_LANES; i++)
            lane[i] = identity;
        for (size_t i = 0; i < len; i++)
            lane[i % ANF_REDUCE_LANES] = fold(lane[i % ANF_REDUCE_LANES], x[at + i]);
        for (size_t half = ANF_REDUCE_LANES / 2; half; half /= 2)
            for (size_t i = 0; i < half; i++)
                lane[i] = fold(lane[i], lane[i + half]);
        total = at == 0 ? lane[0] : fold(total, lane[0]);
    }
    return total;
}

static bool any_nan(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return true;
    return false;
}

float ref_sum(const float *x, size_t n)
{
    return reduce(x, n, 0.0f, fold_sum);
}

float ref_max(const float *x, size_t n)
{
    return any_nan(x, n) ? NAN : reduce(x, n, -INFINITY, fold_max);
}

float ref_min(const float *x, size_t n)
{
    return any_nan(x, n) ? NAN : reduce(x, n, INFINITY, fold_min);
}

float ref_chain(const f16 *a, size_t a_step, const f16 *b, size_t b_step, size_t k)
{
    float s = 0;
    for (size_t i = 0; i < k; i++)
        s = fmaf(f16_to_f32(a[i * a_step]), f16_to_f32(b[i * b_step]), s);
    return s;
}

void ref_gather(const f16 *x, const struct strided *s, f16 *y)
{
    size_t n = dims_product(&s->dims, 0, s->dims.rank);
    int64_t from = s->offset, at[ANF_MAX_RANK] = {0};
    for (size_t i = 0; i < n; i++) {
        y[i] = x[from];
        for (int d = s->dims.rank - 1; d >= 0; d--) {
            from += s->stride[d];
            if (++at[d] < s->dims.dim[d])
                break;
            from -= s->stride[d] * s->dims.dim[d];
            at[d] = 0;
        }
    }
}

void ref_broadcast(const f16 *x, const anf_dims *from, const anf_dims *to, f16 *y)
{
    struct strided own = strided_dense(from), s = {.dims = *to};
    for (int d = 0; d < from->rank; d++)
        if (from->dim[d] > 1)
            s.stride[to->rank - from->rank + d] = own.stride[d];
    ref_gather(x, &s, y);
}

void ref_swap_last(const f16 *x, const anf_dims *shape, int axis, f16 *y)
{
    struct strided own = strided_dense(shape);
    struct strided s = strided_swapped(&own, axis, shape->rank - 1);
    ref_gather(x, &s, y);
}

f16 *ref_room(struct arena *scratch, size_t n)
{
    return arena_alloc_array(scratch, n, sizeof(f16));
}
