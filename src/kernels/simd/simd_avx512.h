/* The vector vocabulary on AVX-512 F + BW + VL + DQ: sixteen lanes.
 *
 * A mask is a mask register, and every partial access is one masked instruction.  Included behind a
 * target pragma; <immintrin.h> comes before it. */
#ifndef ANF_KERNELS_SIMD_AVX512_H
#define ANF_KERNELS_SIMD_AVX512_H

#include "kernels/kern.h"

#define VL 16
#define V_BLOCK 2 /* of wide.h */
#define VFN static inline __attribute__((always_inline))

typedef __m512 vf;
typedef __mmask16 vm;
typedef __m512i vi;

VFN vi v_bits(vf a) { return _mm512_castps_si512(a); }
VFN vf v_from_bits(vi a) { return _mm512_castsi512_ps(a); }

/* A load whose value is used several times is otherwise made several times. */
#define V_ONCE(a) __asm__("" : "+v"(a))
VFN vf v_set(float a) { return _mm512_set1_ps(a); }
VFN vf v_zero(void) { return _mm512_setzero_ps(); }

/* The first n lanes; n <= 16. */
VFN vm vm_first_n(size_t n) { return (vm)((1u << n) - 1u); }

VFN vf v_load(const float *p) { return _mm512_loadu_ps(p); }
VFN void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
VFN vf v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vm_first_n(n), p); }
VFN void v_store_n(float *p, vf a, size_t n) { _mm512_mask_storeu_ps(p, vm_first_n(n), a); }

/* Signs and payloads of NaN would survive the conversion.  The table has four bits for each class
 * of number, from the lowest: quiet NaN, signalling NaN, zero, one, -inf, +inf, negative, positive;
 * 0 takes the first operand, 1 the second. */
VFN __m256i f16_round(vf a)
{
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    const __m512i table = _mm512_set1_epi32(0x11111100);
    return _mm512_cvtps_ph(_mm512_fixupimm_ps(nan, a, table, 0), _MM_FROUND_TO_NEAREST_INT);
}

/* LLVM narrows a comparison of widened halves to one of halves, which it then does lane by lane;
 * the empty statement hides where the floats come from. */
VFN vf f16_widen(__m256i h)
{
    __m512 a = _mm512_cvtph_ps(h);
#if defined(__clang__)
    __asm__("" : "+v"(a));
#endif
    return a;
}

VFN vf v_load_f16(const f16 *p)
{
    return f16_widen(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VFN vf v_load_f16_n(const f16 *p, size_t n)
{
    return f16_widen(_mm256_maskz_loadu_epi16(vm_first_n(n), p));
}
VFN vf v_splat_f16(const f16 *p) { return f16_widen(_mm256_set1_epi16((short)*p)); }
VFN void v_store_f16(f16 *p, vf a) { _mm256_storeu_si256((__m256i *)(void *)p, f16_round(a)); }
VFN void v_put_f16(f16 *p, vf a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
VFN void v_store_f16_n(f16 *p, vf a, size_t n)
{
    _mm256_mask_storeu_epi16(p, vm_first_n(n), f16_round(a));
}
VFN vf v_round_f16(vf a) { return f16_widen(_mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)); }

/* Eight elements from each, side by side: loads that take no shuffle, unlike what compilers make of
 * vectors put together. */
VFN vi vi_load_parts(const f16 *a, const f16 *b, const f16 *c, const f16 *d)
{
    vi x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)a));
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)b), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)c), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)d), 3);
}

VFN void v_load_f16_pair(const f16 *p, vf *even, vf *odd)
{
    const __m512i index =
        _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, /* odd */
                         30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i h = _mm512_permutexvar_epi16(index, _mm512_loadu_si512(p));
    *even = f16_widen(_mm512_castsi512_si256(h));
    *odd = f16_widen(_mm512_extracti64x4_epi64(h, 1));
}

VFN vf v_next(vf a, vf b, const size_t n)
{
    const __m512i x = _mm512_castps_si512(a), y = _mm512_castps_si512(b);
    return _mm512_castsi512_ps(n == 0   ? x
                               : n == 1 ? _mm512_alignr_epi32(y, x, 1)
                               : n == 2 ? _mm512_alignr_epi32(y, x, 2)
                                        : _mm512_alignr_epi32(y, x, 3));
}

VFN vf v_load_u8(const uint8_t *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x));
}
VFN vf v_load_u8_n(const uint8_t *p, size_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vm_first_n(n), p)));
}

VFN void v_load_i8(const int8_t *p, vf y[1])
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    y[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
typedef vf vbook;
VFN vbook v_book(const f16 *p) { return v_load_f16(p); }
/* The permutation reads four bits of each index.  Loads that begin a byte later bring the next
 * eight bits there without a shift, for which there is one port. */
typedef const uint32_t *vcodes;
VFN vcodes v_codes(const uint32_t *p) { return p; }
VFN vf v_look(vbook b, vcodes p, size_t e, size_t r)
{
    __m512i x = _mm512_loadu_si512((const char *)p + r / 2);
    (void)e;
    return _mm512_permutexvar_ps(r % 2 ? _mm512_srli_epi32(x, 4) : x, b);
}
VFN void v_look_2(vbook b, vcodes p, size_t e, size_t r, vf *y, vf *z)
{
    __m512i x = _mm512_loadu_si512((const char *)p + r / 2);
    (void)e;
    __asm__("" : "+v"(x)); /* or it is loaded twice, across the end of a cache line */
    *y = _mm512_permutexvar_ps(x, b);
    *z = _mm512_permutexvar_ps(_mm512_srli_epi32(x, 4), b);
}
VFN void v_pick(const float *a, const uint32_t *words, size_t r, vf y[1])
{
    y[0] = v_look(v_load(a), words, 0, r);
}
VFN vf v_table(const float *t, vi i) { return _mm512_permutexvar_ps(i, v_load(t)); }
VFN void v_expand(uint32_t mask, const f16 *p, vf y[1])
{
    y[0] = _mm512_maskz_expand_ps((__mmask16)mask, v_load_f16(p));
}
VFN void v_expand_2(uint32_t masks, const f16 *p, vf y[1], vf z[1])
{
    v_expand(masks & 0xffff, p, y);
    v_expand(masks >> 16, p + __builtin_popcount(masks & 0xffff), z);
}

#define HALF_VECTOR 32 /* bytes of a vector of binary16 as it lies */
typedef uint16_t vh __attribute__((vector_size(HALF_VECTOR)));
VFN vh h_max(vh a, vh b) { return (vh)_mm256_max_epu16((__m256i)a, (__m256i)b); }

VFN vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VFN vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VFN vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VFN vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VFN vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
VFN vf v_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
VFN vf v_neg(vf a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
VFN vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
/* Compilers put many of a tile's sums into another register on the way, and broadcast once what is
 * wanted several times. */
VFN vf v_fma_to(vf a, vf b, vf c)
{
    __asm__("vfmadd231ps %1, %2, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
VFN vf v_fma_at(const float *a, vf b, vf c)
{
    __asm__("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(c) : "m"(*a), "v"(b));
    return c;
}
VFN vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
VFN vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VFN vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VFN vf v_min_abs(vf a, vf b)
{
    return _mm512_range_ps(a, b, 2 | 2 << 2); /* of least magnitude, sign 0 */
}
VFN vf v_rint(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

VFN vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VFN vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
VFN vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
/* f16_round takes two cycles on AMD Zen 4: wide.h asks first whether there is a NaN at all. */
#define V_NAN_2(a, b) _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) /* v_nan(a) or v_nan(b) */
VFN vm v_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
VFN vm vm_or(vm a, vm b) { return (vm)(a | b); }
VFN vm vm_and(vm a, vm b) { return (vm)(a & b); }
VFN vm vm_not(vm a) { return (vm)~a; }
VFN bool vm_any(vm a) { return a != 0; }
VFN vf v_sel(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
VFN vf v_clear(vm m, vf a) { return v_sel(m, v_zero(), a); }
VFN vf v_sel_n(size_t n, vf a, vf b) { return v_sel(vm_first_n(n), a, b); }

VFN vf v_float(vi a) { return _mm512_cvtepi32_ps(a); }
VFN vi vi_set(int32_t a) { return _mm512_set1_epi32(a); }
VFN vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
VFN vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
VFN vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
VFN vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
VFN vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
VFN vi vi_shl(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
VFN vi vi_shr(vi a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
VFN vm vi_test(vi a, vi b) { return _mm512_test_epi32_mask(a, b); }

VFN float v_first(vf a) { return _mm512_cvtss_f32(a); }
VFN float v_hadd(vf a)
{
    __m256 y = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
VFN float v_hmax(vf a)
{
    __m256 y = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
VFN float v_hmin(vf a)
{
    __m256 y = _mm256_min_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_min_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_min_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}

#endif
