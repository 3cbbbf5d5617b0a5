/* CPU feature detection.
 *
 * On x86 a feature counts only if the operating system also saves the registers it needs: CPUID's
 * OSXSAVE bit says that XGETBV may be asked, and XCR0 names the saved state (bits 1-2: xmm and ymm,
 * bits 5-7: mask registers, zmm and its upper half).  A kernel or hypervisor may well hide the
 * state while CPUID still lists the instructions.  arm64 always has NEON. */
#include "kernels/cpu.h"

bool cpu_has_any(void)
{
    return true;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

enum {
    XCR0_YMM = 0x06,
    XCR0_ZMM = 0xe6,
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30,
};
#define LEAF7_EBX_AVX512VL (1u << 31)
enum { LEAF7_ECX_AVX512VBMI2 = 1 << 6, LEAF7_EDX_AVX512FP16 = 1 << 23 };

static bool has(uint32_t state, uint32_t leaf1_ecx, uint32_t leaf7_ebx)
{
    uint32_t a, b, c, d, xcr0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1_ecx) != leaf1_ecx)
        return false;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & state) != state)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7_ebx) == leaf7_ebx;
}

bool cpu_has_avx2(void)
{
    return has(XCR0_YMM, LEAF1_ECX_OSXSAVE | LEAF1_ECX_FMA | LEAF1_ECX_F16C, LEAF7_EBX_AVX2);
}

bool cpu_has_avx512(void)
{
    return has(XCR0_ZMM, LEAF1_ECX_OSXSAVE | LEAF1_ECX_FMA | LEAF1_ECX_F16C,
               LEAF7_EBX_AVX2 | LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW |
                   LEAF7_EBX_AVX512VL);
}

bool cpu_has_avx512fp16(void)
{
    uint32_t a, b, c, d;
    return cpu_has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (c & LEAF7_ECX_AVX512VBMI2) && (d & LEAF7_EDX_AVX512FP16);
}
#else
bool cpu_has_avx2(void)
{
    return false;
}

bool cpu_has_avx512(void)
{
    return false;
}

bool cpu_has_avx512fp16(void)
{
    return false;
}
#endif

bool cpu_has_neon(void)
{
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}
