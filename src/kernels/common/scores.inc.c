/* The score rows of attention before their softmax: scale, mask, maximum.
 *
 * Every operation rounds, so this file also serves over vectors of binary16.  Of a maximum neither
 * the sign of a zero nor a NaN matters here, so any order will do: x - (-0) and x - 0 have the same
 * exponential, and a NaN makes the sum of the exponentials NaN. */
#define SCORE_VECS 4 /* independent maxima */

/* n scores at s, at most VL of them.  Returns them before their last rounding, which keeps
 * order. */
VFN vf ISA(score)(f16 *s, size_t n, bool scaled, vf scale, const f16 *mask)
{
    vf t = n < VL ? v_load_f16_n(s, n) : v_load_f16(s);
    t = scaled ? v_mul(t, scale) : t;
    if (mask)
        t = v_add(v_round_f16(t), n < VL ? v_load_f16_n(mask, n) : v_load_f16(mask));
    if (n < VL)
        v_store_f16_n(s, t, n);
    else if (scaled || mask)
        v_put_f16(s, t);
    return t;
}

VFN float ISA(score_row)(f16 *s, size_t n, bool scaled, vf scale, const f16 *mask)
{
    vf top[SCORE_VECS];
    ROW_UNROLL
    for (size_t v = 0; v < SCORE_VECS; v++)
        top[v] = v_set(-__builtin_inff());
    size_t i = 0;
    for (; n - i >= SCORE_VECS * VL; i += SCORE_VECS * VL) {
        ROW_UNROLL
        for (size_t v = 0; v < SCORE_VECS; v++) {
            const size_t at = i + v * VL;
            top[v] = v_max(ISA(score)(s + at, VL, scaled, scale, mask ? mask + at : NULL), top[v]);
        }
    }
    for (; n - i >= VL; i += VL)
        top[0] = v_max(ISA(score)(s + i, VL, scaled, scale, mask ? mask + i : NULL), top[0]);
    if (i < n) {
        vf t = ISA(score)(s + i, n - i, scaled, scale, mask ? mask + i : NULL);
        top[0] = v_sel_n(n - i, v_max(t, top[0]), top[0]);
    }
    return v_hmax(v_round_f16(v_max(v_max(top[0], top[1]), v_max(top[2], top[3]))));
}

static void ISA(score_rows)(f16 *s, size_t ld, size_t rows, size_t n, bool scaled, float scale,
                            const f16 *mask, size_t mask_ld, float *top)
{
    const vf by = v_set(scale);
    for (size_t r = 0; r < rows; r++)
        top[r] = ISA(score_row)(s + r * ld, n, scaled, by, mask ? mask + r * mask_ld : NULL);
}
#undef SCORE_VECS
