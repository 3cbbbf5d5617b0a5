/* Reductions and softmax of columns: of a matrix x[n][cols], what rows.inc.c does with a row is
 * done with every column, to the bit.
 *
 * A vector holds neighbouring columns, so nothing is combined inside a vector: the 64 virtual lanes
 * of a reduction are 64 vectors, and element k of a column goes into vector k % 64.  They are more
 * than there are registers, and lie in L1.  A panel is so wide that a cache line of x is used up
 * when it comes. */

enum {
    COLUMN_PANEL = ANF_COLUMN_PANEL,
    COLUMN_PANEL_VECS = COLUMN_PANEL / VL,
    COLUMN_GROUPS = 4, /* of 64 elements that a lane takes before it is stored */
};

enum column_kind { COLUMN_SUM, COLUMN_MAX, COLUMN_MIN };

VFN vf ISA(column_start)(const enum column_kind kind)
{
    return kind == COLUMN_SUM ? v_zero()
                              : v_set(kind == COLUMN_MAX ? -__builtin_inff() : __builtin_inff());
}

VFN vf ISA(column_step)(const enum column_kind kind, vf acc, vf x)
{
    return kind == COLUMN_SUM ? v_add(acc, x) : kind == COLUMN_MAX ? v_max(acc, x) : v_min(acc, x);
}

/* Columns that are taken at once: `vecs` vectors, of which the last has `left` columns; constants
 * for a panel, so that loops over vectors unroll. */
struct columns {
    const f16 *x;
    size_t ld, vecs, left;
};

VFN vf ISA(column_load)(const struct columns *c, const f16 *row, size_t v)
{
    return v + 1 < c->vecs || c->left == VL ? v_load_f16(row + v * VL)
                                            : v_load_f16_n(row + v * VL, c->left);
}

VFN void ISA(column_store)(const struct columns *c, f16 *row, size_t v, vf t)
{
    if (v + 1 < c->vecs || c->left == VL)
        v_store_f16(row + v * VL, t);
    else
        v_store_f16_n(row + v * VL, t, c->left);
}

/* The tree over the first m of the 64 lanes, vecs vectors each; the others are as they started, and
 * change nothing.  The result is lane 0. */
VFN void ISA(column_tree)(const enum column_kind kind, const size_t vecs, vf *lanes, size_t m)
{
    for (size_t half = ANF_REDUCE_LANES / 2; half; half /= 2) {
        for (size_t i = 0; half + i < m; i++)
            for (size_t v = 0; v < vecs; v++) {
                vf *a = &lanes[i * vecs + v];
                *a = ISA(column_step)(kind, *a, lanes[(half + i) * vecs + v]);
            }
        m = m < half ? m : half;
    }
}

/* Elements k .. k + n - 1 of a block go into lanes 0 .. n - 1, and if groups > 1 those 64 behind
 * them too, and so on. */
VFN void ISA(column_lanes)(const enum column_kind kind, const struct columns *c, size_t k, size_t n,
                           const size_t groups, vf *lanes, vm *nan)
{
    const vf start = ISA(column_start)(kind);
    const f16 *x = c->x + k * c->ld;
    for (size_t i = 0; i < n; i++, x += c->ld, lanes += c->vecs)
        for (size_t v = 0; v < c->vecs; v++) {
            vf acc = k ? lanes[v] : start;
            for (size_t g = 0; g < groups; g++) {
                const vf t = ISA(column_load)(c, x + g * ANF_REDUCE_LANES * c->ld, v);
                acc = ISA(column_step)(kind, acc, t);
                if (kind != COLUMN_SUM)
                    nan[v] = vm_or(nan[v], v_nan(t));
            }
            lanes[v] = acc;
        }
}

/* lanes[0] = the reduction of a block of n <= ANF_REDUCE_BLOCK elements.  nan gets the columns with
 * a NaN, of which max and min lose track. */
VFN void ISA(column_block)(const enum column_kind kind, const struct columns *c, size_t n,
                           vf *lanes, vm *nan)
{
    enum { MANY = COLUMN_GROUPS * ANF_REDUCE_LANES };
    const size_t m = n < ANF_REDUCE_LANES ? n : ANF_REDUCE_LANES;
    size_t k = 0;
    for (; n - k >= MANY; k += MANY)
        ISA(column_lanes)(kind, c, k, ANF_REDUCE_LANES, COLUMN_GROUPS, lanes, nan);
    for (size_t len; k < n; k += len) {
        len = n - k < ANF_REDUCE_LANES ? n - k : ANF_REDUCE_LANES;
        ISA(column_lanes)(kind, c, k, len, 1, lanes, nan);
    }
    ISA(column_tree)(kind, c->vecs, lanes, m);
}

/* y = the reductions of columns over n elements; of a sum, divided by `count`. */
VFN void ISA(column_reduce)(const enum column_kind kind, struct columns c, size_t n, float count,
                            f16 *y)
{
    vf lanes[ANF_REDUCE_LANES * COLUMN_PANEL_VECS], total[COLUMN_PANEL_VECS];
    vm nan[COLUMN_PANEL_VECS];
    for (size_t v = 0; v < c.vecs; v++) {
        nan[v] = v_nan(v_zero());
        total[v] = ISA(column_start)(kind);
    }
    for (size_t at = 0, len; at < n; at += len, c.x += len * c.ld) {
        len = n - at < ANF_REDUCE_BLOCK ? n - at : ANF_REDUCE_BLOCK;
        ISA(column_block)(kind, &c, len, lanes, nan);
        for (size_t v = 0; v < c.vecs; v++)
            total[v] = at ? ISA(column_step)(kind, total[v], lanes[v]) : lanes[v];
    }
    for (size_t v = 0; v < c.vecs; v++) {
        const vf t = total[v];
        ISA(column_store)(&c, y, v, kind == COLUMN_SUM
                                        ? v_div(t, v_set(count))
                                        : v_sel(nan[v], v_set(__builtin_nanf("")), t));
    }
}

/* Whole panels, then what is left. */
#define COLUMNS_WALK(call)                                                                         \
    for (; cols >= COLUMN_PANEL; cols -= COLUMN_PANEL, x += COLUMN_PANEL, y += COLUMN_PANEL)       \
        call(((struct columns){x, ld, COLUMN_PANEL_VECS, VL}));                                    \
    if (cols > VL)                                                                                 \
        call(((struct columns){x, ld, (cols + VL - 1) / VL, (cols - 1) % VL + 1}));                \
    else if (cols)                                                                                 \
        call(((struct columns){x, ld, 1, cols}))

VFN void ISA(columns)(const enum column_kind kind, const f16 *x, size_t ld, size_t n, size_t cols,
                      float count, f16 *y)
{
#define REDUCE(c) ISA(column_reduce)(kind, c, n, count, y)
    COLUMNS_WALK(REDUCE);
#undef REDUCE
}

/* A division by 1 changes nothing. */
static void ISA(columns_sum)(const f16 *x, size_t ld, size_t n, size_t cols, f16 *y)
{
    ISA(columns)(COLUMN_SUM, x, ld, n, cols, 1.0f, y);
}

static void ISA(columns_mean)(const f16 *x, size_t ld, size_t n, size_t cols, f16 *y)
{
    ISA(columns)(COLUMN_SUM, x, ld, n, cols, (float)n, y);
}

static void ISA(columns_max)(const f16 *x, size_t ld, size_t n, size_t cols, f16 *y)
{
    ISA(columns)(COLUMN_MAX, x, ld, n, cols, 1.0f, y);
}

static void ISA(columns_min)(const f16 *x, size_t ld, size_t n, size_t cols, f16 *y)
{
    ISA(columns)(COLUMN_MIN, x, ld, n, cols, 1.0f, y);
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* The formula is that of rows.inc.c.  A float of e for each element of vecs vectors. */
VFN void ISA(column_softmax)(const struct columns c, size_t n, f16 *y, float *e)
{
    const size_t m = n < ANF_REDUCE_LANES ? n : ANF_REDUCE_LANES, wide = c.vecs * VL;
    const vf factor = v_set(MATH_16_LOG2E);
    vf lanes[ANF_REDUCE_LANES * COLUMN_PANEL_VECS], top[COLUMN_PANEL_VECS], by[COLUMN_PANEL_VECS];
    for (size_t v = 0; v < c.vecs; v++)
        top[v] = ISA(column_start)(COLUMN_MAX);
    for (size_t k = 0; k < n; k++)
        for (size_t v = 0; v < c.vecs; v++) {
            const vf t = ISA(column_load)(&c, c.x + k * c.ld, v);
            v_store(e + k * wide + v * VL, t);
            top[v] = v_max(top[v], t);
        }
    for (size_t v = 0; v < c.vecs; v++)
        top[v] = v_neg(v_mul(top[v], factor));
    for (size_t k = 0; k < n; k++) {
        vf *lane = lanes + k % ANF_REDUCE_LANES * c.vecs;
        for (size_t v = 0; v < c.vecs; v++) {
            float *at = e + k * wide + v * VL;
            const vf t = v_exp2_16th(v_fma(v_load(at), factor, top[v]));
            v_store(at, t);
            lane[v] = k < ANF_REDUCE_LANES ? t : v_add(lane[v], t);
        }
    }
    ISA(column_tree)(COLUMN_SUM, c.vecs, lanes, m);
    for (size_t v = 0; v < c.vecs; v++)
        by[v] = v_div(v_set(1.0f), lanes[v]);
    for (size_t k = 0; k < n; k++)
        for (size_t v = 0; v < c.vecs; v++)
            ISA(column_store)(&c, y + k * c.ld, v, v_mul(v_load(e + k * wide + v * VL), by[v]));
}

static void ISA(softmax_columns)(const f16 *x, f16 *y, size_t ld, size_t n, size_t cols,
                                 float *scratch)
{
    if (n == 0)
        return;
#define SOFTMAX(c) ISA(column_softmax)(c, n, y, scratch)
    COLUMNS_WALK(SOFTMAX);
#undef SOFTMAX
}
#undef COLUMNS_WALK
