/* Row kernels: reductions, softmax, norms.
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
 * Only sums depend on order.  A reduction ends in a long chain of dependent steps, so softmax and
 * norms take a group of rows through each of their phases before the next: the end of one row then
 * overlaps with the next row's beginning. */

/* Accumulators must live in registers, so loops over them are unrolled fully up to NEON's
 * sixteen. */
#define ROW_UNROLL _Pragma("GCC unroll 16")

enum {
    ROW_GROUP = 64,        /* most rows of a group */
    NORM_ELEMENTS = 12288, /* of a group: 24 KiB, which stay in L1 */
};

enum row_kind { ROW_SUM, ROW_SQUARES, ROW_DEVIATIONS, ROW_MAX, ROW_MIN };

/* Elements at .. at + left - 1, at most VL, of a row. */
VFN vf ISA(row_load)(const f16 *row, size_t at, size_t left)
{
    return left >= VL ? v_load_f16(row + at) : v_load_f16_n(row + at, left);
}

VFN vf ISA(row_step)(enum row_kind kind, vf acc, vf x, vf mean)
{
    switch (kind) {
    case ROW_SUM:
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

/* A block of at most ANF_REDUCE_BLOCK elements.  `nan` is NULL, or becomes true at a NaN. */
VFN float ISA(row_block)(enum row_kind kind, const f16 *row, size_t n, float mean, bool *nan)
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
            vf t = ISA(row_load)(row, i + v * VL, VL);
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
        vf t = ISA(row_load)(row, i, left);
        acc[v] = v_sel_n(left, ISA(row_step)(kind, acc[v], t, m), acc[v]);
        if (nan)
            unordered = vm_or(unordered, v_nan(t));
        i += left;
    }
    if (nan && vm_any(unordered))
        *nan = true;
    return kind == ROW_MAX ? lanes_max(acc) : kind == ROW_MIN ? lanes_min(acc) : lanes_sum(acc);
}

VFN float ISA(row_reduce)(enum row_kind kind, const f16 *x, size_t n, float mean, bool *nan)
{
    float total = 0;
    size_t at = 0;
    do {
        size_t len = n - at < ANF_REDUCE_BLOCK ? n - at : ANF_REDUCE_BLOCK;
        float b = ISA(row_block)(kind, x + at, len, mean, nan);
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

/* Rows of n that are taken together, of `left`: about `most` elements. */
VFN size_t ISA(row_group)(size_t left, size_t n, size_t most)
{
    most = n < most / ROW_GROUP ? ROW_GROUP : most / n;
    most = most ? most : 1;
    return left < most ? left : most;
}

VFN void ISA(store_one)(f16 *y, float value)
{
    v_store_f16_n(y, v_set(value), 1);
}

static void ISA(reduce_sum)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++)
        ISA(store_one)(y + r, ISA(row_reduce)(ROW_SUM, x + r * n, n, 0, NULL));
}

static void ISA(reduce_mean)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++)
        ISA(store_one)(y + r, ISA(row_reduce)(ROW_SUM, x + r * n, n, 0, NULL) / (float)n);
}

static void ISA(reduce_max)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++) {
        bool nan = false;
        float m = ISA(row_reduce)(ROW_MAX, x + r * n, n, 0, &nan);
        ISA(store_one)(y + r, nan ? __builtin_nanf("") : m);
    }
}

static void ISA(reduce_min)(const f16 *x, size_t rows, size_t n, f16 *y)
{
    for (size_t r = 0; r < rows; r++) {
        bool nan = false;
        float m = ISA(row_reduce)(ROW_MIN, x + r * n, n, 0, &nan);
        ISA(store_one)(y + r, nan ? __builtin_nanf("") : m);
    }
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* How the elements of a row become exponentials: 2^((x factor + shift) / 16).  The shift is that of
 * the row's maximum, rounded, for all elements alike; their shares do not have its error. */
struct row_exp {
    float factor, off, shift;
};

/* Of rows whose elements are multiplied by `scale` first, a power of two from 2^-14 to 1, and
 * rounded to binary16.  That changes products below 2^-14, to a multiple of 2^-24, which a sum with
 * 0.75 and a difference do as well; all of these are 1 / scale times as large here, and the factor
 * makes up for it. */
VFN struct row_exp ISA(row_exp_of)(const bool scaled, float scale)
{
    return scaled ? (struct row_exp){MATH_16_LOG2E * scale, 0.75f / scale, 0.0f}
                  : (struct row_exp){MATH_16_LOG2E, 0.0f, 0.0f};
}

VFN float ISA(row_shift)(const struct row_exp *r, float max)
{
    return -((max + r->off - r->off) * r->factor);
}

VFN vf ISA(row_exp_vector)(vf x, const struct row_exp *r, const bool scaled)
{
    if (scaled)
        x = v_sub(v_add(x, v_set(r->off)), v_set(r->off));
    return v_exp2_16th(v_fma(x, v_set(r->factor), v_set(r->shift)));
}

/* e = the exponentials of a block of at most ANF_REDUCE_BLOCK elements, from `done` on, a multiple
 * of ANF_REDUCE_LANES whose sums are in `lanes`; returns the sum of all. */
VFN float ISA(row_exp_block)(const f16 *x, float *e, size_t n, const struct row_exp *row,
                             const bool scaled, size_t done, const float *lanes)
{
    vf acc[LANE_VECS];
    ROW_UNROLL
    for (size_t v = 0; v < LANE_VECS; v++)
        acc[v] = done ? v_load(lanes + v * VL) : v_zero();
    size_t i = done;
    for (; n - i >= ANF_REDUCE_LANES; i += ANF_REDUCE_LANES) {
        ROW_UNROLL
        for (size_t v = 0; v < LANE_VECS; v++) {
            const size_t at = i + v * VL;
            const vf t = ISA(row_exp_vector)(ISA(row_load)(x, at, VL), row, scaled);
            v_store(e + at, t);
            acc[v] = v_add(acc[v], t);
        }
    }
    ROW_UNROLL
    for (size_t v = 0; v < LANE_VECS; v++) {
        size_t left = n - i;
        if (left == 0)
            break;
        left = left < VL ? left : VL;
        const vf t = ISA(row_exp_vector)(ISA(row_load)(x, i, left), row, scaled);
        if (left < VL)
            v_store_n(e + i, t, left);
        else
            v_store(e + i, t);
        acc[v] = v_sel_n(left, v_add(acc[v], t), acc[v]);
        i += left;
    }
    return lanes_sum(acc);
}

/* The exponentials of a row, of which `done` exist; returns 1 / sum. */
VFN float ISA(row_exp)(const f16 *x, float *e, size_t n, const struct row_exp *row,
                       const bool scaled, size_t done, const float *lanes)
{
    float sum = 0;
    for (size_t at = 0, len; at < n; at += len) {
        len = n - at < ANF_REDUCE_BLOCK ? n - at : ANF_REDUCE_BLOCK;
        float b = ISA(row_exp_block)(x + at, e + at, len, row, scaled, done, lanes);
        sum = at ? sum + b : b;
    }
    return 1.0f / sum;
}

/* y = round(e * by), where e has a NaN only if `by` is one, as 1 / sum is. */
VFN void ISA(row_scale)(const float *e, f16 *y, size_t n, float by)
{
    const vf f = v_set(by);
    size_t i = 0;
    for (; n - i >= VL; i += VL)
        v_put_f16(y + i, v_mul(v_load(e + i), f));
    if (i < n)
        v_store_f16_n(y + i, v_mul(v_load_n(e + i, n - i), f), n - i);
    for (i = 0; by != by && i < n; i += VL)
        v_store_f16_n(y + i, f, n - i < VL ? n - i : VL);
}

/* clang does not vectorise a loop that it is told to unroll, and unrolls the others itself. */
#ifdef __clang__
#define ROW_VECTORISED
#else
#define ROW_VECTORISED _Pragma("GCC unroll 4")
#endif

/* The maximum of a row without a NaN; which zero, of several, does not matter here.  As integers,
 * binary16 numbers are in order where they are positive, and in the opposite order below zero. */
VFN float ISA(row_max)(const f16 *x, size_t n)
{
    int16_t top = INT16_MIN;
    ROW_VECTORISED
    for (size_t i = 0; i < n; i++)
        top = (int16_t)x[i] > top ? (int16_t)x[i] : top;
    if (top < 0) {
        top = INT16_MAX;
        ROW_VECTORISED
        for (size_t i = 0; i < n; i++)
            top = (int16_t)x[i] < top ? (int16_t)x[i] : top;
    }
    const f16 bits = (f16)top;
    /* A load of more than was stored would wait for the store. */
    return v_first(v_splat_f16(&bits));
}

static void ISA(softmax)(const f16 *x, f16 *y, size_t rows, size_t n, float *scratch)
{
    float part[ROW_GROUP]; /* of a row: its maximum, then 1 / sum */
    struct row_exp row = ISA(row_exp_of)(false, 1.0f);
    for (size_t group; rows; rows -= group, x += group * n, y += group * n) {
        group = ISA(row_group)(rows, n, ANF_REDUCE_BLOCK);
        for (size_t r = 0; r < group; r++)
            part[r] = ISA(row_max)(x + r * n, n);
        for (size_t r = 0; r < group; r++) {
            row.shift = ISA(row_shift)(&row, part[r]);
            part[r] = ISA(row_exp)(x + r * n, scratch + r * n, n, &row, false, 0, NULL);
        }
        for (size_t r = 0; r < group; r++)
            ISA(row_scale)(scratch + r * n, y + r * n, n, part[r]);
    }
}

/* y = round(e * by), in place. */
VFN void ISA(row_share)(float *e, size_t n, float by)
{
    const vf f = v_set(by);
    size_t i = 0;
    for (; n - i >= VL; i += VL)
        v_store(e + i, v_round_f16(v_mul(v_load(e + i), f)));
    if (i < n)
        v_store_n(e + i, v_round_f16(v_mul(v_load_n(e + i, n - i), f)), n - i);
}

static void ISA(score_start)(struct softmax_rows *s, bool scaled, float scale)
{
    const struct row_exp row = ISA(row_exp_of)(scaled, scale);
    for (size_t r = 0; scaled && r < s->rows; r++)
        s->shift[r] = ISA(row_max)(s->s + r * s->ld, s->n);
    for (size_t r = 0; r < s->rows; r++)
        s->shift[r] = ISA(row_shift)(&row, s->shift[r]);
    s->factor = row.factor;
    s->off = row.off;
    s->groups = s->n <= ANF_REDUCE_BLOCK ? s->n / ANF_REDUCE_LANES : 0;
    s->row = s->group = 0;
    s->summed = false;
}

/* Elements of row r that are done. */
VFN size_t ISA(score_done)(const struct softmax_rows *s, size_t r)
{
    return (r < s->row ? s->groups : r == s->row ? s->group : 0) * ANF_REDUCE_LANES;
}

VFN void ISA(score_exps)(const struct softmax_rows *s, size_t r)
{
    const struct row_exp row = {s->factor, s->off, s->shift[r]};
    const size_t done = ISA(score_done)(s, r);
    const float *lanes = s->lanes + r * ANF_REDUCE_LANES;
    const f16 *x = s->s + r * s->ld;
    float *e = s->e + r * s->ld;
    s->shift[r] = s->off != 0.0f ? ISA(row_exp)(x, e, s->n, &row, true, done, lanes)
                                 : ISA(row_exp)(x, e, s->n, &row, false, done, lanes);
}

static void ISA(score_sums)(struct softmax_rows *s)
{
    for (size_t r = 0; r < s->rows; r++)
        ISA(score_exps)(s, r);
    s->row = s->group = 0;
    s->summed = true;
}

static void ISA(score_softmax)(struct softmax_rows *s)
{
    for (size_t at = 0, group; at < s->rows; at += group) {
        group = ISA(row_group)(s->rows - at, s->n, ANF_REDUCE_BLOCK);
        for (size_t r = at; r < at + group && !s->summed; r++)
            ISA(score_exps)(s, r);
        for (size_t r = at; r < at + group; r++) {
            const size_t done = s->summed ? ISA(score_done)(s, r) : 0;
            ISA(row_share)(s->e + r * s->ld + done, s->n - done, s->shift[r]);
        }
    }
}

/* ---- norms ----------------------------------------------------------------------------------- */

VFN vf ISA(affine)(vf t, bool has_gamma, vf gamma, bool has_beta, vf beta)
{
    if (has_gamma && has_beta)
        return v_fma(t, gamma, beta);
    return has_gamma ? v_mul(t, gamma) : has_beta ? v_add(t, beta) : t;
}

VFN vf ISA(norm_vector)(const f16 *x, size_t left, float mean, float inv, bool has_gamma, vf gamma,
                        bool has_beta, vf beta)
{
    vf t = v_mul(v_sub(ISA(row_load)(x, 0, left), v_set(mean)), v_set(inv));
    return ISA(affine)(t, has_gamma, gamma, has_beta, beta);
}

/* y = (x - mean) * inv of each row, then the affine with one gamma and beta per element, which is
 * widened once for all rows. */
VFN void ISA(norm_vectors)(const f16 *x, f16 *y, size_t rows, size_t n, const float *mean,
                           const float *inv, bool has_gamma, const f16 *gamma, bool has_beta,
                           const f16 *beta)
{
    size_t i = 0;
    for (; n - i >= VL; i += VL) {
        const vf g = has_gamma ? v_load_f16(gamma + i) : v_zero();
        const vf b = has_beta ? v_load_f16(beta + i) : v_zero();
        for (size_t r = 0, at = i; r < rows; r++, at += n)
            v_store_f16(y + at, ISA(norm_vector)(x + at, VL, mean[r], inv[r], has_gamma, g,
                                                 has_beta, b));
    }
    if (i < n) {
        const size_t left = n - i;
        const vf g = has_gamma ? v_load_f16_n(gamma + i, left) : v_zero();
        const vf b = has_beta ? v_load_f16_n(beta + i, left) : v_zero();
        for (size_t r = 0, at = i; r < rows; r++, at += n)
            v_store_f16_n(y + at, ISA(norm_vector)(x + at, left, mean[r], inv[r], has_gamma, g,
                                                   has_beta, b), left);
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

/* Rows from `first` on, of which the affine is counted. */
static void ISA(norm_rows)(const f16 *x, f16 *y, size_t rows, size_t n, const float *mean,
                           const float *inv, size_t first, const struct norm_args *a)
{
    const bool same = (!a->gamma && !a->beta) || (a->run == 1 && a->row_period == 1);
    const size_t together = same ? rows : 1;
    for (size_t r = 0; r < rows; r += together, x += together * n, y += together * n) {
        const size_t at = (first + r) % a->row_period * a->per_row;
        const f16 *gamma = a->gamma ? a->gamma + at : NULL, *beta = a->beta ? a->beta + at : NULL;
        if (gamma && beta && a->run == 1)
            ISA(norm_vectors)(x, y, together, n, mean + r, inv + r, true, gamma, true, beta);
        else if (gamma && a->run == 1)
            ISA(norm_vectors)(x, y, together, n, mean + r, inv + r, true, gamma, false, NULL);
        else if (beta && a->run == 1)
            ISA(norm_vectors)(x, y, together, n, mean + r, inv + r, false, NULL, true, beta);
        else if (!gamma && !beta)
            ISA(norm_vectors)(x, y, together, n, mean + r, inv + r, false, NULL, false, NULL);
        else
            ISA(norm_runs)(x, y, n, v_set(mean[r]), v_set(inv[r]), gamma, beta, a->run);
    }
}

enum norm { NORM_L2, NORM_RMS, NORM_LAYER };

VFN void ISA(norm)(const enum norm kind, const f16 *x, f16 *y, size_t rows, size_t n,
                   const struct norm_args *args)
{
    /* x - 0 is x for every x, the zeros included, so the kinds without a mean pass 0. */
    float mean[ROW_GROUP] = {0}, inv[ROW_GROUP];
    const enum row_kind sum = kind == NORM_LAYER ? ROW_DEVIATIONS : ROW_SQUARES;
    const float count = kind == NORM_L2 ? 1.0f : (float)n;
    for (size_t at = 0, group; at < rows; at += group, x += group * n, y += group * n) {
        group = ISA(row_group)(rows - at, n, NORM_ELEMENTS);
        for (size_t r = 0; kind == NORM_LAYER && r < group; r++)
            mean[r] = ISA(row_reduce)(ROW_SUM, x + r * n, n, 0, NULL) / count;
        for (size_t r = 0; r < group; r++)
            inv[r] = ISA(row_reduce)(sum, x + r * n, n, mean[r], NULL);
        for (size_t r = 0; r < group; r++)
            inv[r] = 1.0f / __builtin_sqrtf(inv[r] / count + args->eps);
        ISA(norm_rows)(x, y, group, n, mean, inv, args->first_row + at, args);
    }
}

static void ISA(l2_norm)(const f16 *x, f16 *y, size_t rows, size_t n, const struct norm_args *args)
{
    ISA(norm)(NORM_L2, x, y, rows, n, args);
}

static void ISA(rms_norm)(const f16 *x, f16 *y, size_t rows, size_t n, const struct norm_args *args)
{
    ISA(norm)(NORM_RMS, x, y, rows, n, args);
}

static void ISA(layer_norm)(const f16 *x, f16 *y, size_t rows, size_t n,
                            const struct norm_args *args)
{
    ISA(norm)(NORM_LAYER, x, y, rows, n, args);
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
