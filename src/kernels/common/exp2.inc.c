/* Powers of two, as a name of the vocabulary: where wide.h is used, this file is included before
 * and behind it, for one vector in kernels that count registers and for several side by side. */
#ifndef MATH_16_LOG2E
#define MATH_16_LOG2E 0x1.715476p4f

/* 2^(j/16) with j taken from bit 19 on: where the bits of 16 n + j are added there, it is
 * 2^(n+j/16). */
static const float exp2_sixteenths[16] = {
    0x1p0f, 0x1.fb5586p-1f, 0x1.f72b84p-1f, 0x1.f387a6p-1f,
    0x1.f06fep-1f, 0x1.edea64p-1f, 0x1.ebfdaep-1f, 0x1.eab07ep-1f,
    0x1.ea09e6p-1f, 0x1.ea1148p-1f, 0x1.eace54p-1f, 0x1.ec4918p-1f,
    0x1.ee89fap-1f, 0x1.f199bep-1f, 0x1.f5818ep-1f, 0x1.fa4afap-1f,
};
#endif

/* 2^(x/16) for x below 2032, or NaN; 2^-92 below -1472, which is nothing beside 1 and in binary16.
 * Its share of a sum is no subnormal number, which CPUs are slow with, yet: masked scores are many.
 * x = n + r, |r| <= 1/2, is exact; the fit of 2^(r/16) has a relative error of 4.3e-7; 2^0 is 1.
 * The lowest bits of t are n; those of a NaN are zeros, as NaNs of binary16 and of operations have
 * them. */
VFN vf v_exp2_16th(vf x)
{
    x = v_max(v_set(-1472.0f), x);
    const vf magic = v_set(0x1.8p23f);
    const vf t = v_add(x, magic), r = v_sub(x, v_sub(t, magic));
    const vf q = v_fma(v_set(0x1.ebfbd6p-11f), r, v_set(0x1.62e98p-5f));
    const vf p = v_fma(q, r, v_set(1.0f));
    const vi s = vi_add(v_bits(v_table(exp2_sixteenths, v_bits(t))), vi_shl(v_bits(t), 19));
    return v_mul(p, v_from_bits(s));
}
