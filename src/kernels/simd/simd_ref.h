/* The vector vocabulary in plain C: one lane.
 *
 * This is the definition the other three headers are compared with, bit for bit.  Where the C
 * language leaves a result open (a float outside the range of an integer, a shift of a negative
 * number) the vocabulary leaves it open too: kernels keep such lanes out of the final result with
 * v_sel.
 *
 * A NaN may carry any sign and payload inside a kernel; v_store_f16 makes it the one quiet NaN, so
 * what reaches memory as binary16 is the same everywhere. */
#ifndef ANF_KERNELS_SIMD_REF_H
#define ANF_KERNELS_SIMD_REF_H

#include "kernels/kern.h"

#include <math.h>
#include <string.h>

#define VL 1
#define V_BLOCK 8
#define VFN static inline __attribute__((always_inline))

typedef float vf;
typedef bool vm;
typedef int32_t vi;

VFN vi v_bits(vf a) { vi i; memcpy(&i, &a, 4); return i; }
VFN vf v_from_bits(vi i) { vf a; memcpy(&a, &i, 4); return a; }

#define V_ONCE(a) (void)(a)
VFN vf v_set(float a) { return a; }
VFN vf v_zero(void) { return 0.0f; }
VFN vf v_load(const float *p) { return *p; }
VFN void v_store(float *p, vf a) { *p = a; }
VFN vf v_load_n(const float *p, size_t n) { return n ? *p : 0.0f; }
VFN void v_store_n(float *p, vf a, size_t n) { if (n) *p = a; }

VFN vf v_load_f16(const f16 *p)
{
    uint32_t sign = (*p & 0x8000u) << 16, mag = *p & 0x7fffu, bits;
    if (mag > 0x7c00u)
        bits = sign | 0x7fc00000u | (mag & 0x3ffu) << 13;
    else if (mag == 0x7c00u)
        bits = sign | 0x7f800000u;
    else if (mag >= 0x0400u)
        bits = sign | (mag + 0x1c000u) << 13; /* exponent bias 127 - 15 = 112 = 0x1c000 >> 10 */
    else
        bits = sign | (uint32_t)v_bits((float)mag * 0x1p-24f); /* subnormal: an exact product */
    return v_from_bits((vi)bits);
}

VFN vf v_splat_f16(const f16 *p) { return v_load_f16(p); }

VFN void v_store_f16(f16 *p, vf a)
{
    uint32_t bits = (uint32_t)v_bits(a), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u)
        *p = 0x7e00u;
    else if (mag >= 0x477ff000u) /* 65520 and above round to infinity */
        *p = (f16)(sign | 0x7c00u);
    else if (mag < 0x38800000u) /* below 2^-14: the sum with 0.5 rounds to multiples of 2^-24 */
        *p = (f16)(sign | (uint32_t)(v_bits(v_from_bits((vi)mag) + 0.5f) - 0x3f000000));
    else
        *p = (f16)(sign | (mag - 0x38000000u + 0xfffu + (mag >> 13 & 1u)) >> 13);
}

VFN vf v_load_f16_n(const f16 *p, size_t n) { return n ? v_load_f16(p) : 0.0f; }
VFN void v_put_f16(f16 *p, vf a) { v_store_f16(p, a); }
VFN void v_store_f16_n(f16 *p, vf a, size_t n) { if (n) v_store_f16(p, a); }
VFN vf v_round_f16(vf a) { f16 h; v_store_f16(&h, a); return v_load_f16(&h); }
VFN void v_load_f16_pair(const f16 *p, vf *even, vf *odd)
{
    *even = v_load_f16(p);
    *odd = v_load_f16(p + 1);
}
VFN vf v_load_u8(const uint8_t *p) { return (float)*p; }
VFN vf v_load_u8_n(const uint8_t *p, size_t n) { return n ? (float)*p : 0.0f; }

VFN void v_load_i8(const int8_t *p, vf y[16])
{
    for (int i = 0; i < 16; i++)
        y[i] = (float)p[i];
}
typedef struct { float v[16]; } vbook;
VFN vbook v_book(const f16 *p)
{
    vbook b;
    for (int i = 0; i < 16; i++)
        b.v[i] = v_load_f16(p + i);
    return b;
}
typedef const uint32_t *vcodes;
VFN vcodes v_codes(const uint32_t *p) { return p; }
VFN vf v_look(vbook b, vcodes x, size_t e, size_t r) { return b.v[x[e] >> 4 * r & 15]; }
VFN void v_look_2(vbook b, vcodes x, size_t e, size_t r, vf *y, vf *z)
{
    *y = v_look(b, x, e, r);
    *z = v_look(b, x, e, r + 1);
}
VFN void v_pick(const float *p, const uint32_t *x, size_t r, vf y[16])
{
    for (int i = 0; i < 16; i++)
        y[i] = p[x[i] >> 4 * r & 15];
}
VFN vf v_table(const float *t, vi i) { return t[i & 15]; }
VFN void v_expand(uint32_t mask, const f16 *p, vf y[16])
{
    for (int i = 0; i < 16; i++)
        y[i] = mask >> i & 1 ? v_load_f16(p++) : 0.0f;
}
VFN void v_expand_2(uint32_t masks, const f16 *p, vf y[16], vf z[16])
{
    v_expand(masks & 0xffff, p, y);
    v_expand(masks >> 16, p + __builtin_popcount(masks & 0xffff), z);
}

#define HALF_VECTOR 16 /* bytes of a vector of binary16 as it lies */
typedef uint16_t vh __attribute__((vector_size(HALF_VECTOR)));
VFN vh h_max(vh a, vh b)
{
    const vh above = (vh)(a > b);
    return (a & above) | (b & ~above);
}

VFN vf v_add(vf a, vf b) { return a + b; }
VFN vf v_sub(vf a, vf b) { return a - b; }
VFN vf v_mul(vf a, vf b) { return a * b; }
VFN vf v_div(vf a, vf b) { return a / b; }
VFN vf v_sqrt(vf a) { return __builtin_sqrtf(a); }
VFN vf v_abs(vf a) { return v_from_bits(v_bits(a) & 0x7fffffff); }
VFN vf v_neg(vf a) { return v_from_bits(v_bits(a) ^ INT32_MIN); }
VFN vf v_fma(vf a, vf b, vf c) { return __builtin_fmaf(a, b, c); }
VFN vf v_fma_to(vf a, vf b, vf c) { return v_fma(a, b, c); }
VFN vf v_fma_at(const float *a, vf b, vf c) { return v_fma(v_set(*a), b, c); }
VFN vf v_fnma(vf a, vf b, vf c) { return __builtin_fmaf(-a, b, c); }
VFN vf v_max(vf a, vf b) { return a > b ? a : b; }
VFN vf v_min(vf a, vf b) { return a < b ? a : b; }
VFN vf v_min_abs(vf a, vf b) { return v_min(a, v_abs(b)); }
VFN vf v_rint(vf a) { return __builtin_rintf(a); }

VFN vm v_lt(vf a, vf b) { return a < b; }
VFN vm v_le(vf a, vf b) { return a <= b; }
VFN vm v_eq(vf a, vf b) { return a == b; }
VFN vm v_nan(vf a) { return a != a; }
VFN vm vm_or(vm a, vm b) { return a || b; }
VFN vm vm_and(vm a, vm b) { return a && b; }
VFN vm vm_not(vm a) { return !a; }
VFN bool vm_any(vm a) { return a; }
VFN vf v_sel(vm m, vf a, vf b) { return m ? a : b; }
VFN vf v_clear(vm m, vf a) { return m ? 0.0f : a; }
VFN vf v_sel_n(size_t n, vf a, vf b) { return n ? a : b; }

VFN vf v_float(vi a) { return (float)a; }
VFN vi vi_set(int32_t a) { return a; }
VFN vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
VFN vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
VFN vi vi_and(vi a, vi b) { return a & b; }
VFN vi vi_or(vi a, vi b) { return a | b; }
VFN vi vi_xor(vi a, vi b) { return a ^ b; }
VFN vi vi_shl(vi a, int n) { return (vi)((uint32_t)a << n); }
VFN vi vi_shr(vi a, int n) { return (vi)((uint32_t)a >> n); }
VFN vm vi_test(vi a, vi b) { return (a & b) != 0; }

VFN float v_first(vf a) { return a; }
VFN float v_hadd(vf a) { return a; }
VFN float v_hmax(vf a) { return a; }
VFN float v_hmin(vf a) { return a; }

#endif
