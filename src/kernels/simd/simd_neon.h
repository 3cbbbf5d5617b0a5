/* The vector vocabulary on arm64: four lanes of the base instruction set.
 *
 * Nothing beyond ARMv8.0 is used (fcvtl and fcvtn convert binary16), so this table is available on
 * every arm64 machine.  fmax/fmin of the architecture treat NaN and signed zeros in their own way,
 * hence compare-and-select for v_max and v_min.  <arm_neon.h> comes before it. */
#ifndef ANF_KERNELS_SIMD_NEON_H
#define ANF_KERNELS_SIMD_NEON_H

#include "kernels/kern.h"

#define VL 4
#define V_BLOCK 2 /* of wide.h */
#define VFN static inline __attribute__((always_inline))

typedef float32x4_t vf;
typedef uint32x4_t vm;
typedef int32x4_t vi;

VFN vi v_bits(vf a) { return vreinterpretq_s32_f32(a); }
VFN vf v_from_bits(vi a) { return vreinterpretq_f32_s32(a); }

/* A load whose value is used several times is otherwise made several times. */
#define V_ONCE(a) __asm__("" : "+w"(a))
VFN vf v_set(float a) { return vdupq_n_f32(a); }
VFN vf v_zero(void) { return vdupq_n_f32(0.0f); }

VFN vf v_load(const float *p) { return vld1q_f32(p); }
VFN void v_store(float *p, vf a) { vst1q_f32(p, a); }
VFN vf v_load_n(const float *p, size_t n)
{
    vf a = vdupq_n_f32(0.0f);
    if (n > 0)
        a = vld1q_lane_f32(p, a, 0);
    if (n > 1)
        a = vld1q_lane_f32(p + 1, a, 1);
    if (n > 2)
        a = vld1q_lane_f32(p + 2, a, 2);
    if (n > 3)
        a = vld1q_lane_f32(p + 3, a, 3);
    return a;
}
VFN void v_store_n(float *p, vf a, size_t n)
{
    if (n > 0)
        vst1q_lane_f32(p, a, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, a, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, a, 2);
    if (n > 3)
        vst1q_lane_f32(p + 3, a, 3);
}

/* Signs and payloads of NaN would survive the conversion. */
VFN float16x4_t f16_round(vf a)
{
    const vf nan = vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000u));
    return vcvt_f16_f32(vbslq_f32(vceqq_f32(a, a), a, nan));
}

VFN vf v_load_f16(const f16 *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
VFN vf v_splat_f16(const f16 *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_dup_u16(p)));
}
VFN vf v_load_f16_n(const f16 *p, size_t n)
{
    uint16x4_t h = vdup_n_u16(0);
    if (n > 0)
        h = vld1_lane_u16(p, h, 0);
    if (n > 1)
        h = vld1_lane_u16(p + 1, h, 1);
    if (n > 2)
        h = vld1_lane_u16(p + 2, h, 2);
    if (n > 3)
        h = vld1_lane_u16(p + 3, h, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}
VFN void v_store_f16(f16 *p, vf a) { vst1_u16(p, vreinterpret_u16_f16(f16_round(a))); }
VFN void v_put_f16(f16 *p, vf a) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
VFN void v_store_f16_n(f16 *p, vf a, size_t n)
{
    uint16x4_t h = vreinterpret_u16_f16(f16_round(a));
    if (n > 0)
        vst1_lane_u16(p, h, 0);
    if (n > 1)
        vst1_lane_u16(p + 1, h, 1);
    if (n > 2)
        vst1_lane_u16(p + 2, h, 2);
    if (n > 3)
        vst1_lane_u16(p + 3, h, 3);
}
VFN vf v_round_f16(vf a) { return vcvt_f32_f16(vcvt_f16_f32(a)); }

VFN void v_load_f16_pair(const f16 *p, vf *even, vf *odd)
{
    uint16x4x2_t x = vld2_u16(p);
    *even = vcvt_f32_f16(vreinterpret_f16_u16(x.val[0]));
    *odd = vcvt_f32_f16(vreinterpret_f16_u16(x.val[1]));
}

VFN vf v_next(vf a, vf b, const size_t n)
{
    return n == 0 ? a : n == 1 ? vextq_f32(a, b, 1) : n == 2 ? vextq_f32(a, b, 2)
                                                             : vextq_f32(a, b, 3);
}

VFN vf v_load_u8_n(const uint8_t *p, size_t n)
{
    uint32_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint32_t)p[i] << 8 * i;
    uint16x8_t wide = vmovl_u8(vcreate_u8(x));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
}
VFN vf v_load_u8(const uint8_t *p) { return v_load_u8_n(p, 4); }

VFN void v_load_i8(const int8_t *p, vf y[4])
{
    int8x16_t x = vld1q_s8(p);
    int16x8_t a = vmovl_s8(vget_low_s8(x)), b = vmovl_s8(vget_high_s8(x));
    y[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(a)));
    y[1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(a)));
    y[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(b)));
    y[3] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(b)));
}
VFN void widen_bytes(uint8x16_t x, vf y[2])
{
    float16x8_t h = vreinterpretq_f16_u8(x);
    y[0] = vcvt_f32_f16(vget_low_f16(h));
    y[1] = vcvt_f32_f16(vget_high_f16(h));
}
/* The low and the high bytes of the entries. */
typedef uint8x16x2_t vbook;
VFN vbook v_book(const f16 *p) { return vld2q_u8((const uint8_t *)p); }
typedef uint8x16x4_t vcodes; /* byte i of every word */
VFN vcodes v_codes(const uint32_t *p) { return vld4q_u8((const uint8_t *)p); }
VFN uint8x16_t code_bytes(vcodes x, size_t r)
{
    const uint8x16_t two = x.val[r / 2];
    return r % 2 ? vshrq_n_u8(two, 4) : vandq_u8(two, vdupq_n_u8(15));
}
VFN vf v_look(vbook b, vcodes x, size_t e, size_t r)
{
    const uint8x16_t index = code_bytes(x, r);
    const uint8x16_t low = vqtbl1q_u8(b.val[0], index), high = vqtbl1q_u8(b.val[1], index);
    vf y[2];
    widen_bytes(e < 2 ? vzip1q_u8(low, high) : vzip2q_u8(low, high), y);
    return y[e % 2];
}
VFN void v_look_2(vbook b, vcodes x, size_t e, size_t r, vf *y, vf *z)
{
    *y = v_look(b, x, e, r);
    *z = v_look(b, x, e, r + 1);
}
VFN void v_pick(const float *p, const uint32_t *words, size_t r, vf y[4])
{
    uint8_t index[16];
    float z[16];
    vst1q_u8(index, code_bytes(v_codes(words), r));
    for (size_t i = 0; i < 16; i++)
        z[i] = p[index[i]];
    for (size_t i = 0; i < 4; i++)
        y[i] = vld1q_f32(z + 4 * i);
}
VFN vf v_table(const float *t, vi i)
{
    const uint8x16x4_t bytes = vld1q_u8_x4((const uint8_t *)t);
    const uint32x4_t first = vshlq_n_u32(vandq_u32(vreinterpretq_u32_s32(i), vdupq_n_u32(15)), 2);
    const uint32x4_t all = vmlaq_n_u32(vdupq_n_u32(0x03020100), first, 0x01010101);
    return vreinterpretq_f32_u8(vqtbl4q_u8(bytes, vreinterpretq_u8_u32(all)));
}
VFN void v_expand(uint32_t mask, const f16 *p, vf y[4])
{
    const f16 *q = p + __builtin_popcount(mask & 255);
    uint8x16_t a = vreinterpretq_u8_u16(vld1q_u16(p)), b = vreinterpretq_u8_u16(vld1q_u16(q));
    widen_bytes(vqtbl1q_u8(a, vld1q_u8(weight_spread[mask & 255])), y);
    widen_bytes(vqtbl1q_u8(b, vld1q_u8(weight_spread[mask >> 8])), y + 2);
}
VFN void v_expand_2(uint32_t masks, const f16 *p, vf y[4], vf z[4])
{
    v_expand(masks & 0xffff, p, y);
    v_expand(masks >> 16, p + __builtin_popcount(masks & 0xffff), z);
}

#define HALF_VECTOR 16 /* bytes of a vector of binary16 as it lies */
typedef uint16_t vh __attribute__((vector_size(HALF_VECTOR)));
VFN vh h_max(vh a, vh b) { return (vh)vmaxq_u16((uint16x8_t)a, (uint16x8_t)b); }

VFN vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
VFN vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
VFN vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
VFN vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
VFN vf v_sqrt(vf a) { return vsqrtq_f32(a); }
VFN vf v_abs(vf a) { return vabsq_f32(a); }
VFN vf v_neg(vf a) { return vnegq_f32(a); }
VFN vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VFN vf v_fma_to(vf a, vf b, vf c) { return v_fma(a, b, c); }
VFN vf v_fma_at(const float *a, vf b, vf c) { return v_fma(v_set(*a), b, c); }
VFN vf v_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
VFN vf v_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VFN vf v_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VFN vf v_min_abs(vf a, vf b) { return v_min(a, v_abs(b)); }
VFN vf v_rint(vf a) { return vrndnq_f32(a); }

VFN vm v_lt(vf a, vf b) { return vcltq_f32(a, b); }
VFN vm v_le(vf a, vf b) { return vcleq_f32(a, b); }
VFN vm v_eq(vf a, vf b) { return vceqq_f32(a, b); }
VFN vm v_nan(vf a) { return vmvnq_u32(vceqq_f32(a, a)); }
VFN vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
VFN vm vm_and(vm a, vm b) { return vandq_u32(a, b); }
VFN vm vm_not(vm a) { return vmvnq_u32(a); }
VFN bool vm_any(vm a) { return vmaxvq_u32(a) != 0; }
VFN vf v_sel(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
VFN vf v_clear(vm m, vf a) { return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), m)); }
VFN vf v_sel_n(size_t n, vf a, vf b)
{
    static const uint32_t lane[4] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n)), a, b);
}

VFN vf v_float(vi a) { return vcvtq_f32_s32(a); }
VFN vi vi_set(int32_t a) { return vdupq_n_s32(a); }
VFN vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
VFN vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
VFN vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
VFN vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
VFN vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
VFN vi vi_shl(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
VFN vi vi_shr(vi a, int n)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
VFN vm vi_test(vi a, vi b) { return vtstq_s32(a, b); }

VFN float v_first(vf a) { return vgetq_lane_f32(a, 0); }
VFN float v_hadd(vf a)
{
    float32x2_t x = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(x, 0) + vget_lane_f32(x, 1);
}
VFN float v_hmax(vf a)
{
    float32x2_t lo = vget_low_f32(a), hi = vget_high_f32(a), x = vbsl_f32(vcgt_f32(lo, hi), lo, hi);
    float p = vget_lane_f32(x, 0), q = vget_lane_f32(x, 1);
    return p > q ? p : q;
}
VFN float v_hmin(vf a)
{
    float32x2_t lo = vget_low_f32(a), hi = vget_high_f32(a), x = vbsl_f32(vclt_f32(lo, hi), lo, hi);
    float p = vget_lane_f32(x, 0), q = vget_lane_f32(x, 1);
    return p < q ? p : q;
}

#endif
