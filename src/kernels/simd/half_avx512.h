/* The vocabulary over binary16 vectors: thirty-two lanes of AVX-512 FP16.
 *
 * For kernels that round after every operation, such as uops_exact.inc.c: what float32 arithmetic
 * rounded to binary16 gives, the instructions give at once (and flush-to-zero does not concern
 * them).  Only the names that those kernels use exist here; loads and stores move the bits as they
 * are, but for NaN.  The instructions are written out, because clang 14 has no type for their
 * intrinsics inside a function of another target than the file's.  Included behind simd_avx512.h,
 * whose names it takes over. */
#ifndef ANF_KERNELS_SIMD_HALF_AVX512_H
#define ANF_KERNELS_SIMD_HALF_AVX512_H

typedef __m512i half_vf;
typedef __mmask32 half_vm;

#define HALF_2(name, text)                                                                         \
    VFN half_vf name(half_vf a, half_vf b)                                                         \
    {                                                                                              \
        half_vf r;                                                                                 \
        __asm__(text " %2, %1, %0" : "=v"(r) : "v"(a), "v"(b));                                    \
        return r;                                                                                  \
    }
#define HALF_COMPARE(name, text)                                                                   \
    VFN half_vm name(half_vf a, half_vf b)                                                         \
    {                                                                                              \
        half_vm r;                                                                                 \
        __asm__(text " %2, %1, %0" : "=k"(r) : "v"(a), "v"(b));                                    \
        return r;                                                                                  \
    }
HALF_2(half_add, "vaddph")
HALF_2(half_sub, "vsubph")
HALF_2(half_mul, "vmulph")
HALF_2(half_max, "vmaxph")
HALF_2(half_min, "vminph")
HALF_COMPARE(half_eq, "vcmpph $0,")
HALF_COMPARE(half_lt, "vcmpph $17,")
HALF_COMPARE(half_le, "vcmpph $18,")
HALF_COMPARE(half_unordered, "vcmpph $3,")

VFN half_vm half_first_n(size_t n) { return (half_vm)((1ull << n) - 1u); }
VFN half_vf half_set(float a) { return _mm512_set1_epi16((short)_cvtss_sh(a, 0)); }
VFN half_vf half_zero(void) { return _mm512_setzero_si512(); }
VFN half_vm half_nan(half_vf a) { return half_unordered(a, a); }
VFN half_vm half_not(half_vm a) { return ~a; }
VFN half_vf half_sel(half_vm m, half_vf a, half_vf b) { return _mm512_mask_blend_epi16(m, b, a); }
VFN half_vf half_sel_n(size_t n, half_vf a, half_vf b) { return half_sel(half_first_n(n), a, b); }
VFN half_vf half_abs(half_vf a) { return _mm512_and_si512(a, _mm512_set1_epi16(0x7fff)); }
VFN half_vf half_neg(half_vf a) { return _mm512_xor_si512(a, _mm512_set1_epi16(INT16_MIN)); }

VFN half_vf half_canonical(half_vf a)
{
    return _mm512_mask_mov_epi16(a, half_nan(a), _mm512_set1_epi16(0x7e00));
}
VFN half_vf half_load(const f16 *p) { return _mm512_loadu_si512(p); }
/* Half a vector is common, and what a masked access has stored or loads is not forwarded. */
VFN half_vf half_load_n(const f16 *p, size_t n)
{
    if (n == 16)
        return _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_maskz_loadu_epi16(half_first_n(n), p);
}
VFN half_vf half_splat(const f16 *p) { return _mm512_set1_epi16((short)*p); }
VFN void half_store(f16 *p, half_vf a) { _mm512_storeu_si512(p, half_canonical(a)); }
VFN void half_put(f16 *p, half_vf a) { _mm512_storeu_si512(p, a); }
VFN void half_store_n(f16 *p, half_vf a, size_t n)
{
    if (n == 16)
        _mm256_storeu_si256((__m256i *)(void *)p, _mm512_castsi512_si256(half_canonical(a)));
    else
        _mm512_mask_storeu_epi16(p, half_first_n(n), half_canonical(a));
}

VFN float half_hmax(half_vf a)
{
    const __m512 lo = _mm512_cvtph_ps(_mm512_castsi512_si256(a));
    const __m512 hi = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(a, 1));
    return _mm512_reduce_max_ps(_mm512_max_ps(lo, hi));
}

#undef V_BLOCK
#undef VL
#undef vf
#undef vm
#undef v_set
#undef v_zero
#undef v_load_f16
#undef v_load_f16_n
#undef v_splat_f16
#undef v_store_f16
#undef v_store_f16_n
#undef v_put_f16
#undef v_add
#undef v_sub
#undef v_mul
#undef v_abs
#undef v_neg
#undef v_max
#undef v_min
#undef v_lt
#undef v_le
#undef v_eq
#undef v_nan
#undef vm_not
#undef v_sel
#undef v_sel_n
#undef v_round_f16
#undef v_hmax
#define V_BLOCK 8
#define VL 32
#define vf half_vf
#define vm half_vm
#define v_set half_set
#define v_zero half_zero
#define v_load_f16 half_load
#define v_load_f16_n half_load_n
#define v_splat_f16 half_splat
#define v_store_f16 half_store
#define v_store_f16_n half_store_n
#define v_put_f16 half_put
#define v_add half_add
#define v_sub half_sub
#define v_mul half_mul
#define v_abs half_abs
#define v_neg half_neg
#define v_max half_max
#define v_min half_min
#define v_lt half_lt
#define v_le half_le
#define v_eq half_eq
#define v_nan half_nan
#define vm_not half_not
#define v_sel half_sel
#define v_sel_n half_sel_n
#define v_hmax half_hmax
#define v_round_f16(a) (a)

#endif
