/* Sparse weights with AVX-512 VBMI2, which expands 32 binary16 at once.
 *
 * Shuffles have one port.  Expanding floats takes three of them for sixteen weights (the mask
 * counts as one), expanding 32 halves the same three for twice as many.  The upper sixteen go
 * through a slot of the stack: to take them out of the register would be one shuffle more. */
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2,fma,f16c"))),            \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512vbmi2")
#endif
#undef ISA
#define ISA(x) x##_avx512fp16
#define v_expand_2 vbmi2_expand_2

VFN void vbmi2_expand_2(uint32_t masks, const f16 *p, vf y[1], vf z[1])
{
    const __m512i x = _mm512_maskz_expand_epi16(masks, _mm512_loadu_si512(p));
    __m512i slot = x;
    __asm__("" : "+m"(slot)); /* or the compiler takes the vector apart with shuffles */
    y[0] = f16_widen(_mm512_castsi512_si256(x));
    z[0] = v_load_f16((const f16 *)(const void *)&slot + 16);
}

#include "kernels/common/sparse.inc.c"

#undef v_expand_2
#undef ISA
#define ISA(x) x##_avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
