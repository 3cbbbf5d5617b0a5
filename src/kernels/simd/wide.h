/* The vocabulary over WIDE vectors at once.
 *
 * A transcendental function is one long chain of dependent operations.  Written for one vector, the
 * chains of several vectors overlap only as far as the processor looks ahead, which is not far
 * enough; written for WIDE vectors, each step is WIDE independent instructions side by side.  The
 * sources do not change: this header, included behind the vocabulary of an instruction set and the
 * kernels that want single vectors, gives the names of README.md anew with VL times WIDE lanes, but
 * for a few that are listed there.  Lane i is lane i % VL of vector i / VL, so the order of a
 * reduction is unchanged too. */
#ifndef ANF_KERNELS_SIMD_WIDE_H
#define ANF_KERNELS_SIMD_WIDE_H

enum { NARROW = VL, WIDE_VL = VL * WIDE };

typedef struct { vf v[WIDE]; } wide_vf;
typedef struct { vm v[WIDE]; } wide_vm;
typedef struct { vi v[WIDE]; } wide_vi;

#define EACH _Pragma("GCC unroll 4") for (size_t k = 0; k < WIDE; k++)

/* R name(A): one result a lane. */
#define WIDE_0(R, name, A) VFN R w_##name(A a)                                                     \
    { R r; EACH r.v[k] = name(a); return r; }
#define WIDE_1(R, name, A) VFN R w_##name(A a)                                                     \
    { R r; EACH r.v[k] = name(a.v[k]); return r; }
#define WIDE_2(R, name, A, B) VFN R w_##name(A a, B b)                                             \
    { R r; EACH r.v[k] = name(a.v[k], b.v[k]); return r; }
#define WIDE_2I(R, name, A) VFN R w_##name(A a, int b)                                             \
    { R r; EACH r.v[k] = name(a.v[k], b); return r; }
#define WIDE_3(R, name, A, B, C) VFN R w_##name(A a, B b, C c)                                     \
    { R r; EACH r.v[k] = name(a.v[k], b.v[k], c.v[k]); return r; }
#define WIDE_LOAD(name, T) VFN wide_vf w_##name(const T *p)                                        \
    { wide_vf r; EACH r.v[k] = name(p + k * NARROW); return r; }                                   \
    VFN wide_vf w_##name##_n(const T *p, size_t n)                                                 \
    {                                                                                              \
        wide_vf r;                                                                                 \
        EACH r.v[k] = n >= (k + 1) * NARROW ? name(p + k * NARROW)                                 \
                      : n > k * NARROW      ? name##_n(p + k * NARROW, n - k * NARROW)             \
                                            : v_zero();                                            \
        return r;                                                                                  \
    }
#define WIDE_STORE(name, T) VFN void w_##name(T *p, wide_vf a)                                     \
    { EACH name(p + k * NARROW, a.v[k]); }
#define WIDE_STORE_N(name, T) VFN void w_##name##_n(T *p, wide_vf a, size_t n)                     \
    {                                                                                              \
        EACH if (n >= (k + 1) * NARROW)                                                            \
            name(p + k * NARROW, a.v[k]);                                                          \
        else if (n > k * NARROW)                                                                   \
            name##_n(p + k * NARROW, a.v[k], n - k * NARROW);                                      \
    }
#define WIDE_H(name, step) VFN float w_##name(wide_vf a)                                           \
    {                                                                                              \
        _Pragma("GCC unroll 4") for (size_t half = WIDE / 2; half; half /= 2)                      \
            _Pragma("GCC unroll 4") for (size_t i = 0; i < half; i++)                              \
                a.v[i] = step(a.v[i], a.v[i + half]);                                              \
        return name(a.v[0]);                                                                       \
    }

WIDE_0(wide_vf, v_set, float)
VFN wide_vf w_v_zero(void) { return w_v_set(0.0f); }
WIDE_LOAD(v_load, float)
WIDE_LOAD(v_load_f16, f16)
WIDE_0(wide_vf, v_splat_f16, const f16 *)
WIDE_STORE(v_store, float)
WIDE_STORE(v_put_f16, f16)
#ifdef V_NAN_2
VFN void w_v_store_f16(f16 *p, wide_vf a)
{
    if (__builtin_expect(vm_any(vm_or(V_NAN_2(a.v[0], a.v[1]), V_NAN_2(a.v[2], a.v[3]))), 0))
        EACH v_store_f16(p + k * NARROW, a.v[k]);
    else
        w_v_put_f16(p, a);
}
#else
WIDE_STORE(v_store_f16, f16)
#endif
WIDE_STORE_N(v_store, float)
WIDE_STORE_N(v_store_f16, f16)
WIDE_1(wide_vf, v_round_f16, wide_vf)
WIDE_2(wide_vf, v_add, wide_vf, wide_vf)
WIDE_2(wide_vf, v_sub, wide_vf, wide_vf)
WIDE_2(wide_vf, v_mul, wide_vf, wide_vf)
WIDE_2(wide_vf, v_div, wide_vf, wide_vf)
WIDE_1(wide_vf, v_sqrt, wide_vf)
WIDE_1(wide_vf, v_abs, wide_vf)
WIDE_1(wide_vf, v_neg, wide_vf)
WIDE_3(wide_vf, v_fma, wide_vf, wide_vf, wide_vf)
WIDE_3(wide_vf, v_fnma, wide_vf, wide_vf, wide_vf)
WIDE_2(wide_vf, v_max, wide_vf, wide_vf)
WIDE_2(wide_vf, v_min, wide_vf, wide_vf)
WIDE_2(wide_vf, v_min_abs, wide_vf, wide_vf)
WIDE_1(wide_vf, v_rint, wide_vf)
WIDE_2(wide_vm, v_lt, wide_vf, wide_vf)
WIDE_2(wide_vm, v_le, wide_vf, wide_vf)
WIDE_2(wide_vm, v_eq, wide_vf, wide_vf)
WIDE_1(wide_vm, v_nan, wide_vf)
WIDE_2(wide_vm, vm_or, wide_vm, wide_vm)
WIDE_2(wide_vm, vm_and, wide_vm, wide_vm)
WIDE_1(wide_vm, vm_not, wide_vm)
WIDE_3(wide_vf, v_sel, wide_vm, wide_vf, wide_vf)
WIDE_1(wide_vf, v_float, wide_vi)
WIDE_1(wide_vi, v_bits, wide_vf)
WIDE_1(wide_vf, v_from_bits, wide_vi)
WIDE_0(wide_vi, vi_set, int32_t)
WIDE_2(wide_vi, vi_add, wide_vi, wide_vi)
WIDE_2(wide_vi, vi_sub, wide_vi, wide_vi)
WIDE_2(wide_vi, vi_and, wide_vi, wide_vi)
WIDE_2(wide_vi, vi_or, wide_vi, wide_vi)
WIDE_2(wide_vi, vi_xor, wide_vi, wide_vi)
WIDE_2I(wide_vi, vi_shl, wide_vi)
WIDE_2I(wide_vi, vi_shr, wide_vi)
WIDE_2(wide_vm, vi_test, wide_vi, wide_vi)
VFN wide_vf w_v_table(const float *t, wide_vi i)
{
    wide_vf r;
    EACH r.v[k] = v_table(t, i.v[k]);
    return r;
}
WIDE_H(v_hadd, v_add)
WIDE_H(v_hmax, v_max)
WIDE_H(v_hmin, v_min)

VFN bool w_vm_any(wide_vm a)
{
    vm any = a.v[0];
    EACH any = vm_or(any, a.v[k]);
    return vm_any(any);
}
VFN wide_vf w_v_sel_n(size_t n, wide_vf a, wide_vf b)
{
    wide_vf r;
    EACH r.v[k] = n >= (k + 1) * NARROW ? a.v[k]
                  : n > k * NARROW      ? v_sel_n(n - k * NARROW, a.v[k], b.v[k])
                                        : b.v[k];
    return r;
}
VFN float w_v_first(wide_vf a) { return v_first(a.v[0]); }

#undef VL
#define VL WIDE_VL
#define vf wide_vf
#define vm wide_vm
#define vi wide_vi
#define v_set w_v_set
#define v_zero w_v_zero
#define v_load w_v_load
#define v_load_n w_v_load_n
#define v_load_f16 w_v_load_f16
#define v_load_f16_n w_v_load_f16_n
#define v_store w_v_store
#define v_store_n w_v_store_n
#define v_splat_f16 w_v_splat_f16
#define v_store_f16 w_v_store_f16
#define v_store_f16_n w_v_store_f16_n
#define v_put_f16 w_v_put_f16
#define v_round_f16 w_v_round_f16
#define v_add w_v_add
#define v_sub w_v_sub
#define v_mul w_v_mul
#define v_div w_v_div
#define v_sqrt w_v_sqrt
#define v_abs w_v_abs
#define v_neg w_v_neg
#define v_fma w_v_fma
#define v_fnma w_v_fnma
#define v_max w_v_max
#define v_min w_v_min
#define v_min_abs w_v_min_abs
#define v_rint w_v_rint
#define v_lt w_v_lt
#define v_le w_v_le
#define v_eq w_v_eq
#define v_nan w_v_nan
#define vm_or w_vm_or
#define vm_and w_vm_and
#define vm_not w_vm_not
#define vm_any w_vm_any
#define v_sel w_v_sel
#define v_sel_n w_v_sel_n
#define v_float w_v_float
#define v_bits w_v_bits
#define v_from_bits w_v_from_bits
#define vi_set w_vi_set
#define vi_add w_vi_add
#define vi_sub w_vi_sub
#define vi_and w_vi_and
#define vi_or w_vi_or
#define vi_xor w_vi_xor
#define vi_shl w_vi_shl
#define vi_shr w_vi_shr
#define vi_test w_vi_test
#define v_table w_v_table
#define v_first w_v_first
#define v_hadd w_v_hadd
#define v_hmax w_v_hmax
#define v_hmin w_v_hmin
#define v_exp2_16th w_v_exp2_16th

#endif
