/* Transcendental functions, one written polynomial each.
 *
 * Every function is a fixed sequence of IEEE operations, so all instruction sets give the same
 * bits. The results feed a rounding to binary16 (11 bits): each is within a few float32 ulps (about
 * 2^-21 relative, gelu 2^-18) over the arguments that matter there, which leaves the rounded result
 * correct except beside a tie.  tests/kernels/test_uops.c checks every binary16 argument.
 *
 * Polynomials are minimax fits (Remez); the maximal error of the fit, before rounding, is noted at
 * each. Arguments are clamped with the argument as the second operand of v_min/v_max: a NaN passes
 * through. Reduction to a multiple of a constant adds 1.5 * 2^23, whose ulp is 1: the sum's low
 * bits are then the nearest integer, and subtracting the constant again gives it as a float. */

#define MATH_LOG2E 0x1.715476p0f
#define MATH_LN2 0x1.62e43p-1f
#define MATH_LN2_HI 0x1.62e4p-1f /* 15 bits: n * MATH_LN2_HI is exact */
#define MATH_LN2_LO 0x1.7f7d1cp-20f
#define MATH_INF __builtin_inff()
#define MATH_NAN __builtin_nanf("")

/* a where x is zero, so that odd functions keep the sign of a zero. */
VFN vf m_keep_zero(vf x, vf y)
{
    return v_sel(v_eq(x, v_zero()), x, y);
}

/* x = n ln 2 + r, |r| <= ln(2)/2.  Returns (exp(r) - 1), stores 2^n; fit error 1.1e-8 relative.
 * Below -87.7 the scale is zero; above 87 exp stays finite and so does its reciprocal. */
VFN vf m_exp_parts(vf x, vf *scale)
{
    x = v_max(v_set(-88.0f), v_min(v_set(87.0f), x));
    const vf magic = v_set(0x1.8p23f + 127.0f); /* the bias of the exponent comes for free */
    vf t = v_fma(x, v_set(MATH_LOG2E), magic), n = v_sub(t, magic);
    vf r = v_fnma(n, v_set(MATH_LN2_LO), v_fnma(n, v_set(MATH_LN2_HI), x));
    *scale = v_from_bits(vi_shl(v_bits(t), 23));
    vf q = v_set(0x1.6da8f8p-10f);
    q = v_fma(q, r, v_set(0x1.123ebap-7f));
    q = v_fma(q, r, v_set(0x1.55546ep-5f));
    q = v_fma(q, r, v_set(0x1.55547ap-3f));
    q = v_fma(q, r, v_set(0.5f));
    q = v_fma(q, r, v_set(1.0f));
    return v_mul(q, r);
}

/* exp(x) for any x: 1.6e-28 below -64, 6.1e37 above 87 (both beyond binary16), NaN for NaN.
 * 2^n exp(r), where r = x - n ln 2 is rounded once and lacks 2e-9 n.  Fit error 9e-8 relative;
 * exp(0) is 1.  The lowest bits of t are n, which is added to the exponent; those of a NaN are
 * zeros, as NaNs of binary16 and of operations have them. */
VFN vf m_exp(vf x)
{
    x = v_max(v_set(-64.0f), v_min(v_set(87.0f), x));
    const vf magic = v_set(0x1.8p23f);
    vf t = v_fma(x, v_set(MATH_LOG2E), magic), n = v_sub(t, magic);
    vf r = v_fnma(n, v_set(MATH_LN2), x);
    vf q = v_set(0x1.0fa80cp-7f);
    q = v_fma(q, r, v_set(0x1.573a8ap-5f));
    q = v_fma(q, r, v_set(0x1.555a6cp-3f));
    q = v_fma(q, r, v_set(0x1.fffdc4p-2f));
    q = v_fma(q, r, v_set(0x1.fffff6p-1f));
    q = v_fma(q, r, v_set(1.0f));
    return v_from_bits(vi_add(v_bits(q), vi_shl(v_bits(t), 23)));
}

/* exp(x) - 1, accurate beside zero too. */
VFN vf m_expm1(vf x)
{
    vf scale, e = m_exp_parts(x, &scale);
    return v_fma(scale, e, v_sub(scale, v_set(1.0f)));
}

/* ln(x) for normal positive finite x.  x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2);
 * ln(1 + f) = f + f^2 (-1/2 + f P(f)), fit error 3.5e-8 f. */
VFN vf m_log_normal(vf x)
{
    vi i = vi_sub(v_bits(x), vi_set(0x3f3504f3)); /* sqrt(1/2); + 127 binades keeps it positive */
    vi e = vi_shr(vi_add(i, vi_set(0x3f800000)), 23);
    vf n = v_sub(v_float(e), v_set(127.0f));
    vf f = v_sub(v_from_bits(vi_sub(v_bits(x), vi_shl(vi_sub(e, vi_set(127)), 23))), v_set(1.0f));
    vf p = v_set(0x1.6db794p-4f);
    p = v_fma(p, f, v_set(-0x1.25d0e6p-3f));
    p = v_fma(p, f, v_set(0x1.3090e2p-3f));
    p = v_fma(p, f, v_set(-0x1.5345bcp-3f));
    p = v_fma(p, f, v_set(0x1.98e78p-3f));
    p = v_fma(p, f, v_set(-0x1.00048ep-2f));
    p = v_fma(p, f, v_set(0x1.5556a8p-2f));
    p = v_fma(p, f, v_set(-0.5f));
    p = v_fma(v_mul(p, f), f, f);
    return v_fma(n, v_set(MATH_LN2), p);
}

/* ln(x) for any x. */
VFN vf m_log(vf x)
{
    vm tiny = v_lt(x, v_set(0x1p-126f));
    vf y = m_log_normal(v_sel(tiny, v_mul(x, v_set(0x1p32f)), x));
    y = v_sub(y, v_sel(tiny, v_set(32.0f * MATH_LN2), v_zero()));
    y = v_sel(v_lt(x, v_set(MATH_INF)), y, x);
    vf not_positive = v_sel(v_eq(x, v_zero()), v_set(-MATH_INF), v_set(MATH_NAN));
    return v_sel(v_le(x, v_zero()), not_positive, y);
}

/* ln(1 + u) for 0 <= u <= 1; fit error 1.6e-7 relative. */
VFN vf m_log1p_unit(vf u)
{
    vf p = v_set(-0x1.1fcfb8p-7f);
    p = v_fma(p, u, v_set(0x1.702f68p-5f));
    p = v_fma(p, u, v_set(-0x1.bde1d6p-4f));
    p = v_fma(p, u, v_set(0x1.6d11p-3f));
    p = v_fma(p, u, v_set(-0x1.f63e38p-3f));
    p = v_fma(p, u, v_set(0x1.54c9fap-2f));
    p = v_fma(p, u, v_set(-0x1.fff9f8p-2f));
    p = v_fma(p, u, v_set(0x1.fffffap-1f));
    return v_mul(p, u);
}

VFN vf m_tanh(vf x)
{
    vf e = m_expm1(v_add(x, x));
    return m_keep_zero(x, v_div(e, v_add(e, v_set(2.0f))));
}

/* ln(erfc(x)) for 0 <= x <= 4.3, smooth where erfc itself loses all relative accuracy; fit error
 * 4.4e-7 absolute, near zero relative to x. */
VFN vf m_log_erfc(vf x)
{
    vf p = v_set(-0x1.4e20eap-22f);
    p = v_fma(p, x, v_set(0x1.ee87e8p-18f));
    p = v_fma(p, x, v_set(-0x1.376e6p-14f));
    p = v_fma(p, x, v_set(0x1.a3a06p-12f));
    p = v_fma(p, x, v_set(-0x1.155caap-10f));
    p = v_fma(p, x, v_set(-0x1.7b6952p-11f));
    p = v_fma(p, x, v_set(0x1.4589b4p-6f));
    p = v_fma(p, x, v_set(-0x1.a63354p-4f));
    p = v_fma(p, x, v_set(-0x1.45ec58p-1f));
    p = v_fma(p, x, v_set(-0x1.20dd8ep0f));
    return v_mul(p, x);
}

VFN vf m_erf(vf x)
{
    vf minus = m_expm1(m_log_erfc(v_min(v_set(4.3f), v_abs(x)))); /* erfc(|x|) - 1 = -erf(|x|) */
    return v_sel(v_lt(x, v_zero()), minus, m_keep_zero(x, v_neg(minus)));
}

/* x Phi(x) = max(x, 0) - t Phi(-t), t = |x|: no cancellation in the negative tail.  Past t = 5.75
 * the second term is below half the least binary16.  Phi(-t) is the eighth power of a polynomial,
 * whose values span one decade where those of Phi span eight.  Fit error of the power 9e-7
 * relative; with the roundings 2.5e-6, or 1.6e-10 absolute where t Phi(-t) is subnormal in
 * binary16. */
VFN vf m_gelu(vf x)
{
    vf t = v_min_abs(v_set(5.75f), x);
    vf q = v_set(-0x1.4ad558p-22f);
    q = v_fma(q, t, v_set(0x1.005744p-17f));
    q = v_fma(q, t, v_set(-0x1.ffb718p-15f));
    q = v_fma(q, t, v_set(0x1.2a05ep-15f));
    q = v_fma(q, t, v_set(0x1.8a9404p-10f));
    q = v_fma(q, t, v_set(-0x1.63054ap-11f));
    q = v_fma(q, t, v_set(-0x1.0581f8p-5f));
    q = v_fma(q, t, v_set(-0x1.769e3cp-4f));
    q = v_fma(q, t, v_set(0x1.d5818ep-1f));
    q = v_mul(q, q);
    q = v_mul(q, q);
    return v_fnma(t, v_mul(q, q), v_max(v_zero(), x));
}

/* x / (1 + exp(-x)); the numerator stops at -100 because -inf / 6e37 would not vanish. */
VFN vf m_silu(vf x)
{
    vf e = m_exp(v_neg(x));
    return v_div(v_max(v_set(-100.0f), x), v_add(v_set(1.0f), e));
}

VFN vf m_softplus(vf x)
{
    return v_add(v_max(v_zero(), x), m_log1p_unit(m_exp(v_neg(v_abs(x)))));
}

/* sin(x) for turn = 0, cos(x) for turn = 1; |x| <= 65504.  x = n pi/2 + r, |r| <= pi/4.  For
 * binary16 x the first subtraction is exact (a multiple of 2^-23 below 1), and what pi/2 lacks
 * after two parts is 3e-15 n.  Both parts are positive, which keeps the sign of a zero.  Fit errors
 * 4.1e-9 r^3, 3.7e-8 r^2. */
VFN vf m_sincos(vf x, int32_t turn)
{
    const vf magic = v_set(0x1.8p23f);
    vf t = v_fma(x, v_set(0x1.45f306p-1f), magic), n = v_sub(t, magic);
    vf r = v_fnma(n, v_set(0x1.4442d2p-24f), v_fnma(n, v_set(0x1.921fb4p0f), x));
    vi quadrant = vi_add(v_bits(t), vi_set(turn));
    vf r2 = v_mul(r, r);
    vf s = v_fma(v_set(-0x1.993bccp-13f), r2, v_set(0x1.110738p-7f));
    s = v_fma(s, r2, v_set(-0x1.555546p-3f));
    s = v_mul(v_fma(s, r2, v_set(1.0f)), r);
    vf c = v_fma(v_set(-0x1.646044p-10f), r2, v_set(0x1.553f3ap-5f));
    c = v_fma(c, r2, v_set(-0x1.ffffb8p-2f));
    c = v_fma(c, r2, v_set(1.0f));
    vf y = v_sel(vi_test(quadrant, vi_set(1)), c, s);
    return v_from_bits(vi_xor(v_bits(y), vi_shl(vi_and(quadrant, vi_set(2)), 30)));
}

/* a ** b for binary16 operands, with the special cases of C's pow.  ln(a) is good to 2^-22 and the
 * exponent stays below 17 where the result is finite: 2^-18 relative. */
VFN vf m_pow(vf a, vf b)
{
    const vf one = v_set(1.0f), inf = v_set(MATH_INF);
    vf mag = v_abs(a), half = v_mul(b, v_set(0.5f));
    vf l = v_sel(v_lt(mag, inf), m_log_normal(mag), mag);
    l = v_sel(v_eq(mag, v_zero()), v_set(-MATH_INF), l);
    vf y = m_exp(v_mul(b, l));

    vm integer = v_eq(v_rint(b), b); /* infinities and |b| >= 2048 count as even */
    vm odd = vm_and(integer, vm_not(v_eq(v_rint(half), half)));
    vi sign = vi_and(v_bits(a), vi_set(INT32_MIN));
    y = v_sel(odd, v_from_bits(vi_or(v_bits(y), sign)), y);
    vm finite_negative = vm_and(v_lt(a, v_zero()), v_lt(mag, inf));
    y = v_sel(vm_and(finite_negative, vm_not(integer)), v_set(MATH_NAN), y);

    vm unit = vm_and(v_eq(mag, one), v_eq(v_abs(b), inf));
    return v_sel(vm_or(vm_or(unit, v_eq(b, v_zero())), v_eq(a, one)), one, y);
}
