/* IEEE binary16 as a bit pattern, and the scalar conversions that define it for the whole library:
 * round-to-nearest-even, subnormals kept, overflow to infinity, every NaN becomes the one quiet NaN
 * 0x7e00 (arithmetic NaNs differ between instruction sets; one answer needs one NaN). */
#ifndef ANF_BASE_FP16_H
#define ANF_BASE_FP16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t f16;

#define F16_NAN ((f16)0x7e00)
#define F16_INF ((f16)0x7c00)
#define F16_MAX 65504.0f

static inline float f16_to_f32(f16 h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fffu, bits;
    if (mag >= 0x7c00) {
        bits = sign | 0x7f800000u | ((mag & 0x3ffu) << 13);
    } else if (mag >= 0x0400) {
        bits = sign | ((mag + 0x1c000u) << 13); /* exponent bias 127 - 15 = 112 = 0x1c000 >> 10 */
    } else {
        float f = (float)mag * 0x1p-24f; /* subnormal: an exact product */
        memcpy(&bits, &f, 4);
        bits |= sign;
    }
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static inline f16 f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = (bits >> 16) & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return F16_NAN;
    if (mag >= 0x477ff000u) /* 65520 and above round to infinity */
        return (f16)(sign | 0x7c00u);
    if (mag < 0x38800000u) { /* below 2^-14: adding 0.5 leaves the 24-bit sum's last 10 bits */
        float a, half = 0.5f;
        uint32_t ab;
        memcpy(&a, &mag, 4);
        a += half;
        memcpy(&ab, &a, 4);
        return (f16)(sign | (ab - 0x3f000000u));
    }
    uint32_t odd = (mag >> 13) & 1u;
    return (f16)(sign | ((mag - 0x38000000u + 0xfffu + odd) >> 13));
}

/* Direct from double: going through float would round twice. */
static inline f16 f64_to_f16(double d)
{
    float f = (float)d;
    uint32_t bits;
    if (d != d)
        return F16_NAN;
    /* Round to odd: if the float is inexact, force its last bit to 1, which makes the second
     * rounding see that something was cut off (24 >= 11 + 2 bits, so the result is correct). */
    if ((double)f != d && f - f == 0.0f) {
        memcpy(&bits, &f, 4);
        double away = d > 0 ? (double)f - d : d - (double)f;
        if (!(bits & 1u))
            bits = away > 0 ? bits - 1u : bits | 1u;
        memcpy(&f, &bits, 4);
    }
    return f32_to_f16(f);
}

#endif
