/* Row kernels: reductions, softmax, norms, the score rows of attention.
 *
 * Every sum, maximum and minimum goes through row_block, the one place that knows the 64 virtual
 * lanes: element i of a block belongs to lane i % 64, and a short last group touches only the lanes
 * it has elements for, so lanes without elements keep the identity.  The accumulator is always the
 * left operand and the element the right one, as in the tree of lanes.inc.c; this fixes which zero
 * a maximum of zeros returns, on every ISA.
 *
 * max and min forget a NaN, so reduce_max and reduce_min watch for one beside the lanes.  softmax
 * need not: exp(NaN - m) is NaN whatever m is, so the sum is NaN and with it the row.
 *
 * Only sums depend on order.  The element-by-element steps around them (exponentials, scaling,
 * affine) run over plain vectors with a partial one at the end. */

/* Accumulators must live in registers, so loops over them are unrolled fully up to NEON's
 * sixteen. */
#define ROW_UNROLL _Pragma("GCC unroll 16")

enum row_kind { ROW_SUM, ROW_EXP, ROW_SQUARES, ROW_DEVIATIONS, ROW_MAX, ROW_MIN };

VFN vf ISA(row_step)(enum row_kind kind, vf acc, vf x, vf mean)
{
    switch (kind) {
    case ROW_SUM:
    case ROW_EXP:
        return v_add(acc, x);
    case ROW_SQUARES:
        return v_add(acc, v_mul(x, x));
    case ROW_DEVIATIONS:
        x = v_sub(x, mean);
        return v_add(acc, v_mul(x, x));
    case ROW_MAX:
        return v_max(acc, x);
    default:
        return v_min(acc, x);
    }
}

VFN float ISA(row_identity)(enum row_kind kind)
{
    return kind == ROW_MAX ? -__builtin_inff() : kind == ROW_MIN ? __builtin_inff() : 0.0f;
}

/* The next `left` elements, at most VL, of the row: x, or e where x is NULL.  ROW_EXP sums what it
 * leaves in e, the exponentials of the elements' distance from the maximum. */
VFN vf ISA(row_take)(enum row_kind kind, const f16 *x, float *e, size_t left, vf mean)
{
    vf t;
    if (left >= VL)
        t = x ? v_load_f16(x) : v_load(e);
    else
        t = x ? v_load_f16_n(x, left) : v_load_n(e, left);
    if (kind != ROW_EXP)
        return t;
    t = m_exp(v_sub(t, mean));
    if (left >= VL)
        v_store(e, t);
    else
        v_store_n(e, t, left);
    return t;
}

/* A block of at most ANF_REDUCE_BLOCK elements.  `nan` is NULL, or becomes true at a NaN. */
VFN float ISA(row_block)(enum row_kind kind, const f16 *x, float *e, size_t n, float mean,
                         bool *nan)
{
    const vf m = v_set(mean), start = v_set(ISA(row_identity)(kind));
    vf acc[LANE_VECS];
    vm unordered = v_nan(v_zero());
    ROW_UNROLL
    for (size_t v = 0; v < LANE_VECS; v++)
        acc[v] = start;
    size_t i = 0;
    for (; n - i >= ANF_REDUCE_LANES; i += ANF_REDUCE_LANES) {
        ROW_UNROLL
        for (size_t v = 0; v < LANE_VECS; v++) {
            size_t at = i + v * VL;
            vf t = ISA(row_take)(kind, x ? x + at : NULL, e ? e + at : NULL, VL, m);
            acc[v] = ISA(row_step)(kind, acc[v], t, m);
            if (nan)
                unordered = vm_or(unordered, v_nan(t));
        }
    }
    ROW_UNROLL
    for (size_t v = 0; v < LANE_VECS; v++) {
        size_t left = n - i;
        if (left == 0)
            break;
        left = left < VL ? left : VL;
        vf t = ISA(row_take)(kind, x ? x + i : NULL, e ? e + i : NULL, left, m);
        acc[v] = v_sel_n(left, ISA(row_step)(kind, acc[v], t, m), acc[v]);
        if (nan)
            unordered = vm_or(unordered, v_nan(t));
        i += left;
    }
    if (nan && vm_any(unordered))
        *nan = true;
    return kind == ROW_MAX ? lanes_max(acc) : kind == ROW_MIN ? lanes_min(acc) : lanes_sum(acc);
}

VFN float ISA(row_reduce)(enum row_kind kind, const f16 *x, float *e, size_t n, float mean,
                          bool *nan)
{
    float total = 0;
    size_t at = 0;
    do {
        size_t len = n - at < ANF_REDUCE_BLOCK ? n - at : ANF_REDUCE_BLOCK;
        float b = ISA(row_block)(kind, x ? x + at : NULL, e ? e + at : NULL, len, mean, nan);
        if (at == 0)
            total = b;
        else if (kind == ROW_MAX)
            total = total > b ? total : b;
        else if (kind == ROW_MIN)
            total = total < b ? total : b;
        else
            total += b;
        at += len;
    } while (at < n);
    return total;
}

VFN void ISA(store_one)(f16 *y, float value)
{
    v_store_f16_n(y, v_set(value), 1);
}

static void ISA(reduce_sum)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++)
        ISA(store_one)(y + r, ISA(row_reduce)(ROW_SUM, x + r * n, NULL, n, 0, NULL));
}

static void ISA(reduce_mean)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++)
        ISA(store_one)(y + r, ISA(row_reduce)(ROW_SUM, x + r * n, NULL, n, 0, NULL) / (float)n);
}

static void ISA(reduce_max)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++) {
        bool nan = false;
        float m = ISA(row_reduce)(ROW_MAX, x + r * n, NULL, n, 0, &nan);
        ISA(store_one)(y + r, nan ? __builtin_nanf("") : m);
    }
}

static void ISA(reduce_min)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++) {
        bool nan = false;
        float m = ISA(row_reduce)(ROW_MIN, x + r * n, NULL, n, 0, &nan);
        ISA(store_one)(y + r, nan ? __builtin_nanf("") : m);
    }
}

/* ---- softmax
 * ------------------------------------------------------------------------------------ */

static void ISA(softmax)(const f16 *x, f16 *y, size_t rows, size_t n, float *scratch)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = ISA(row_reduce)(ROW_MAX, x, NULL, n, 0, NULL);
        const vf inv = v_set(1.0f / ISA(row_reduce)(ROW_EXP, x, scratch, n, m, NULL));
        size_t i = 0;
        for (; n - i >= VL; i += VL)
            v_store_f16(y + i, v_mul(v_load(scratch + i), inv));
        if (i < n)
            v_store_f16_n(y + i, v_mul(v_load_n(scratch + i, n - i), inv), n - i);
    }
}

VFN vf ISA(score)(vf s, bool scaled, vf scale)
{
    s = v_round_f16(s);
    return scaled ? v_round_f16(v_mul(s, scale)) : s;
}

/* Rounds the row in place and returns its maximum.  Here its zero and a NaN do not matter, so any
 * order will do: x - (-0) and x - 0 have the same exponential, and a NaN makes the sum NaN. */
VFN float ISA(score_row)(float *s, size_t n, bool scaled, float scale_by, const f16 *mask)
{
    const vf scale = v_set(scale_by);
    vf top = v_set(-__builtin_inff());
    size_t i = 0;
    for (; n - i >= VL; i += VL) {
        vf t = ISA(score)(v_load(s + i), scaled, scale);
        t = mask ? v_round_f16(v_add(t, v_load_f16(mask + i))) : t;
        v_store(s + i, t);
        top = v_max(t, top);
    }
    if (i < n) {
        vf t = ISA(score)(v_load_n(s + i, n - i), scaled, scale);
        t = mask ? v_round_f16(v_add(t, v_load_f16_n(mask + i, n - i))) : t;
        v_store_n(s + i, t, n - i);
        top = v_sel_n(n - i, v_max(t, top), top);
    }
    return v_hmax(top);
}

static void ISA(attention_scores)(float *s, size_t ld, size_t rows, size_t n, bool scaled,
                                  float scale, const f16 *mask, size_t mask_ld)
{
    for (size_t r = 0; r < rows; r++, s += ld) {
        float m = ISA(score_row)(s, n, scaled, scale, mask ? mask + r * mask_ld : NULL);
        const vf inv = v_set(1.0f / ISA(row_reduce)(ROW_EXP, NULL, s, n, m, NULL));
        size_t i = 0;
        for (; n - i >= VL; i += VL)
            v_store(s + i, v_round_f16(v_mul(v_load(s + i), inv)));
        if (i < n)
            v_store_n(s + i, v_round_f16(v_mul(v_load_n(s + i, n - i), inv)), n - i);
    }
}

/* ---- norms
 * -------------------------------------------------------------------------------------- */

VFN vf ISA(affine)(vf t, bool has_gamma, vf gamma, bool has_beta, vf beta)
{
    if (has_gamma && has_beta)
        return v_fma(t, gamma, beta);
    return has_gamma ? v_mul(t, gamma) : has_beta ? v_add(t, beta) : t;
}

/* y = (x - mean) * inv, then the affine with one gamma and beta per element. */
VFN void ISA(norm_vectors)(const f16 *x, f16 *y, size_t n, vf mean, vf inv, bool has_gamma,
                           const f16 *gamma, bool has_beta, const f16 *beta)
{
    const vf none = v_zero();
    size_t i = 0;
    for (; n - i >= VL; i += VL) {
        vf t = v_mul(v_sub(v_load_f16(x + i), mean), inv);
        v_store_f16(y + i, ISA(affine)(t, has_gamma, has_gamma ? v_load_f16(gamma + i) : none,
                                       has_beta, has_beta ? v_load_f16(beta + i) : none));
    }
    if (i < n) {
        size_t left = n - i;
        vf t = v_mul(v_sub(v_load_f16_n(x + i, left), mean), inv);
        t = ISA(affine)(t, has_gamma, has_gamma ? v_load_f16_n(gamma + i, left) : none, has_beta,
                        has_beta ? v_load_f16_n(beta + i, left) : none);
        v_store_f16_n(y + i, t, left);
    }
}

/* The same with one gamma and beta per run of elements. */
static void ISA(norm_runs)(const f16 *x, f16 *y, size_t n, vf mean, vf inv, const f16 *gamma,
                           const f16 *beta, size_t run)
{
    for (size_t k = 0, end = 0; end < n; k++) {
        size_t i = end;
        end = n - i < run ? n : i + run;
        const vf g = v_set(gamma ? v_first(v_load_f16_n(gamma + k, 1)) : 0.0f);
        const vf b = v_set(beta ? v_first(v_load_f16_n(beta + k, 1)) : 0.0f);
        for (; end - i >= VL; i += VL) {
            vf t = v_mul(v_sub(v_load_f16(x + i), mean), inv);
            v_store_f16(y + i, ISA(affine)(t, gamma != NULL, g, beta != NULL, b));
        }
        if (i < end) {
            vf t = v_mul(v_sub(v_load_f16_n(x + i, end - i), mean), inv);
            v_store_f16_n(y + i, ISA(affine)(t, gamma != NULL, g, beta != NULL, b), end - i);
        }
    }
}

static void ISA(norm_row)(const f16 *x, f16 *y, size_t n, float mean, float inv, size_t r,
                          const struct norm_args *a)
{
    const vf m = v_set(mean), s = v_set(inv);
    if (!a->gamma && !a->beta) {
        ISA(norm_vectors)(x, y, n, m, s, false, NULL, false, NULL);
        return;
    }
    size_t first = r % a->row_period * a->per_row;
    const f16 *gamma = a->gamma ? a->gamma + first : NULL;
    const f16 *beta = a->beta ? a->beta + first : NULL;
    if (a->run > 1)
        ISA(norm_runs)(x, y, n, m, s, gamma, beta, a->run);
    else if (gamma && beta)
        ISA(norm_vectors)(x, y, n, m, s, true, gamma, true, beta);
    else if (gamma)
        ISA(norm_vectors)(x, y, n, m, s, true, gamma, false, NULL);
    else
        ISA(norm_vectors)(x, y, n, m, s, false, NULL, true, beta);
}

VFN float ISA(inverse_root)(float a)
{
    return v_first(v_div(v_set(1.0f), v_sqrt(v_set(a))));
}

/* x - 0 is x for every x, the zeros included, so the kinds without a mean pass 0. */
static void ISA(l2_norm)(const f16 *x, f16 *y, size_t rows, size_t n, const struct norm_args *args)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float ss = ISA(row_reduce)(ROW_SQUARES, x, NULL, n, 0, NULL);
        ISA(norm_row)(x, y, n, 0, ISA(inverse_root)(ss + args->eps), r, args);
    }
}

static void ISA(rms_norm)(const f16 *x, f16 *y, size_t rows, size_t n, const struct norm_args *args)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float ss = ISA(row_reduce)(ROW_SQUARES, x, NULL, n, 0, NULL);
        ISA(norm_row)(x, y, n, 0, ISA(inverse_root)(ss / (float)n + args->eps), r, args);
    }
}

static void ISA(layer_norm)(const f16 *x, f16 *y, size_t rows, size_t n,
                            const struct norm_args *args)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float m = ISA(row_reduce)(ROW_SUM, x, NULL, n, 0, NULL) / (float)n;
        float q = ISA(row_reduce)(ROW_DEVIATIONS, x, NULL, n, m, NULL);
        ISA(norm_row)(x, y, n, m, ISA(inverse_root)(q / (float)n + args->eps), r, args);
    }
}

static void ISA(channel_affine)(const f16 *x, f16 *y, size_t n, float mean, float scale,
                                float shift)
{
    const vf m = v_set(mean), a = v_set(scale), b = v_set(shift);
    size_t i = 0;
    for (; n - i >= VL; i += VL)
        v_store_f16(y + i, v_fma(v_sub(v_load_f16(x + i), m), a, b));
    if (i < n)
        v_store_f16_n(y + i, v_fma(v_sub(v_load_f16_n(x + i, n - i), m), a, b), n - i);
}
