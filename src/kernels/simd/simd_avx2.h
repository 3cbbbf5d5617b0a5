/* The vector vocabulary on AVX2 + FMA + F16C: eight lanes.
 *
 * A mask is a vector of all-ones or all-zeros lanes.  There is no 16-bit masked load or store, so
 * the partial binary16 accesses move 8, 4 and 2 bytes at a time and never touch a byte past n
 * elements. Included behind a target pragma; <immintrin.h> comes before it. */
#ifndef ANF_KERNELS_SIMD_AVX2_H
#define ANF_KERNELS_SIMD_AVX2_H

#include "kernels/kern.h"

#include <string.h>

#define VL 8
/* Of wide.h: more than the registers hold, but a chain waits less than it spills. */
#define V_BLOCK 2
#define VFN static inline __attribute__((always_inline))

typedef __m256 vf;
typedef __m256 vm;
typedef __m256i vi;

VFN vi v_bits(vf a) { return _mm256_castps_si256(a); }
VFN vf v_from_bits(vi a) { return _mm256_castsi256_ps(a); }

/* A load whose value is used several times is otherwise made several times. */
#define V_ONCE(a) __asm__("" : "+x"(a))
VFN vf v_set(float a) { return _mm256_set1_ps(a); }
VFN vf v_zero(void) { return _mm256_setzero_ps(); }

/* All ones in the first n lanes. */
VFN vi vi_first_n(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

VFN vf v_load(const float *p) { return _mm256_loadu_ps(p); }
VFN void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
VFN vf v_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, vi_first_n(n)); }
VFN void v_store_n(float *p, vf a, size_t n) { _mm256_maskstore_ps(p, vi_first_n(n), a); }

VFN __m128i f16_load_n(const f16 *p, size_t n)
{
    uint64_t half[2] = {0, 0}, rest = 0;
    uint32_t pair = 0;
    uint16_t last = 0;
    size_t i = n & 4u;
    if (i)
        memcpy(&half[0], p, 8);
    if (n & 2u) {
        memcpy(&pair, p + i, 4);
        rest = pair;
        i += 2;
    }
    if (n & 1u) {
        memcpy(&last, p + i, 2);
        rest |= (uint64_t)last << (n & 2u) * 16;
    }
    half[n >> 2 & 1u] = rest;
    return _mm_set_epi64x((long long)half[1], (long long)half[0]);
}

VFN void f16_store_n(f16 *p, __m128i h, size_t n)
{
    if (n & 4u) {
        _mm_storel_epi64((__m128i *)(void *)p, h);
        h = _mm_unpackhi_epi64(h, h);
        p += 4;
    }
    if (n & 2u) {
        int32_t pair = _mm_cvtsi128_si32(h);
        memcpy(p, &pair, 4);
        h = _mm_srli_epi64(h, 32);
        p += 2;
    }
    if (n & 1u)
        *p = (f16)_mm_cvtsi128_si32(h);
}

/* Signs and payloads of NaN would survive the conversion. */
VFN __m128i f16_round(vf a)
{
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
    __m256 is_nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
    return _mm256_cvtps_ph(_mm256_blendv_ps(a, nan, is_nan), _MM_FROUND_TO_NEAREST_INT);
}

/* LLVM narrows a comparison of widened halves to one of halves, which it then does lane by lane;
 * the empty statement hides where the floats come from. */
VFN vf f16_widen(__m128i h)
{
    __m256 a = _mm256_cvtph_ps(h);
#if defined(__clang__)
    __asm__("" : "+x"(a));
#endif
    return a;
}

VFN vf v_load_f16(const f16 *p)
{
    return f16_widen(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VFN vf v_load_f16_n(const f16 *p, size_t n) { return f16_widen(f16_load_n(p, n)); }
VFN vf v_splat_f16(const f16 *p) { return f16_widen(_mm_set1_epi16((short)*p)); }
VFN void v_store_f16(f16 *p, vf a) { _mm_storeu_si128((__m128i *)(void *)p, f16_round(a)); }
VFN void v_put_f16(f16 *p, vf a)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
VFN void v_store_f16_n(f16 *p, vf a, size_t n) { f16_store_n(p, f16_round(a), n); }
VFN vf v_round_f16(vf a) { return f16_widen(_mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)); }

VFN void v_load_f16_pair(const f16 *p, vf *even, vf *odd)
{
    const vf a = v_load_f16(p), b = v_load_f16(p + VL);
    const __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    const __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8));
}

VFN vf v_next(vf a, vf b, const size_t n)
{
    const __m256i x = _mm256_castps_si256(a);
    const __m256i y = _mm256_castps_si256(_mm256_permute2f128_ps(a, b, 0x21));
    return _mm256_castsi256_ps(n == 0   ? x
                               : n == 1 ? _mm256_alignr_epi8(y, x, 4)
                               : n == 2 ? _mm256_alignr_epi8(y, x, 8)
                                        : _mm256_alignr_epi8(y, x, 12));
}

VFN vf v_load_u8(const uint8_t *p)
{
    __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x));
}
VFN vf v_load_u8_n(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)x)));
}

VFN void v_load_i8(const int8_t *p, vf y[2])
{
    for (int i = 0; i < 2; i++) {
        __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)(p + 8 * i));
        y[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
    }
}
/* Three bits of the index choose a float of either half, the fourth chooses the half.
 * int4_avx2.inc.c is for many. */
VFN vf look_8(vf low, vf high, const uint32_t *words, size_t r)
{
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)words);
    const __m256i index = _mm256_srli_epi32(x, (int)(4 * r));
    const __m256i half = _mm256_slli_epi32(x, (int)(28 - 4 * r));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                            _mm256_permutevar8x32_ps(high, index), _mm256_castsi256_ps(half));
}
typedef struct { vf low, high; } vbook;
VFN vbook v_book(const f16 *p) { return (vbook){v_load_f16(p), v_load_f16(p + VL)}; }
typedef const uint32_t *vcodes;
VFN vcodes v_codes(const uint32_t *p) { return p; }
VFN vf v_look(vbook b, vcodes x, size_t e, size_t r)
{
    return look_8(b.low, b.high, x + e * VL, r);
}
VFN void v_look_2(vbook b, vcodes x, size_t e, size_t r, vf *y, vf *z)
{
    *y = v_look(b, x, e, r);
    *z = v_look(b, x, e, r + 1);
}
VFN void v_pick(const float *p, const uint32_t *words, size_t r, vf y[2])
{
    for (size_t e = 0; e < 2; e++)
        y[e] = look_8(v_load(p), v_load(p + VL), words + e * VL, r);
}
VFN vf v_table(const float *t, vi i)
{
    const vf low = _mm256_permutevar8x32_ps(v_load(t), i);
    const vf high = _mm256_permutevar8x32_ps(v_load(t + VL), i);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}
VFN void v_expand(uint32_t mask, const f16 *p, vf y[2])
{
    const f16 *q = p + __builtin_popcount(mask & 255);
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)q);
    const uint8_t *to_a = weight_spread[mask & 255], *to_b = weight_spread[mask >> 8];
    y[0] = f16_widen(_mm_shuffle_epi8(a, _mm_loadu_si128((const __m128i *)(const void *)to_a)));
    y[1] = f16_widen(_mm_shuffle_epi8(b, _mm_loadu_si128((const __m128i *)(const void *)to_b)));
}
VFN void v_expand_2(uint32_t masks, const f16 *p, vf y[2], vf z[2])
{
    v_expand(masks & 0xffff, p, y);
    v_expand(masks >> 16, p + __builtin_popcount(masks & 0xffff), z);
}

#define HALF_VECTOR 32 /* bytes of a vector of binary16 as it lies */
typedef uint16_t vh __attribute__((vector_size(HALF_VECTOR)));
VFN vh h_max(vh a, vh b) { return (vh)_mm256_max_epu16((__m256i)a, (__m256i)b); }

VFN vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VFN vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
VFN vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VFN vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
VFN vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
VFN vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
VFN vf v_neg(vf a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
VFN vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
/* Compilers put sums of a tile into another register on the way, and some of them into memory. */
VFN vf v_fma_to(vf a, vf b, vf c)
{
    __asm__("vfmadd231ps %1, %2, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
VFN vf v_fma_at(const float *a, vf b, vf c) { return v_fma_to(v_set(*a), b, c); }
VFN vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
VFN vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VFN vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
VFN vf v_min_abs(vf a, vf b) { return v_min(a, v_abs(b)); }
VFN vf v_rint(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

VFN vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
VFN vm v_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
VFN vm v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
/* A blend is three micro-operations: wide.h asks first whether there is a NaN at all. */
#define V_NAN_2(a, b) _mm256_cmp_ps(a, b, _CMP_UNORD_Q) /* v_nan(a) or v_nan(b) */
VFN vm v_nan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
VFN vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
VFN vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
VFN vm vm_not(vm a) { return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
VFN bool vm_any(vm a) { return _mm256_movemask_ps(a) != 0; }
VFN vf v_sel(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
VFN vf v_clear(vm m, vf a) { return _mm256_andnot_ps(m, a); }
VFN vf v_sel_n(size_t n, vf a, vf b) { return v_sel(v_from_bits(vi_first_n(n)), a, b); }

VFN vf v_float(vi a) { return _mm256_cvtepi32_ps(a); }
VFN vi vi_set(int32_t a) { return _mm256_set1_epi32(a); }
VFN vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
VFN vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
VFN vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
VFN vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
VFN vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
VFN vi vi_shl(vi a, int n) { return _mm256_slli_epi32(a, n); }
VFN vi vi_shr(vi a, int n) { return _mm256_srli_epi32(a, n); }
VFN vm vi_test(vi a, vi b)
{
    return vm_not(v_from_bits(_mm256_cmpeq_epi32(vi_and(a, b), _mm256_setzero_si256())));
}

VFN float v_first(vf a) { return _mm256_cvtss_f32(a); }
VFN float v_hadd(vf a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
VFN float v_hmax(vf a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
VFN float v_hmin(vf a)
{
    __m128 x = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_min_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}

#endif
