/* What the processor, and the operating system's saved state, allow.  Each answer is a query of the
 * machine; nothing is cached, because a table is selected once per context. */
#ifndef ANF_KERNELS_CPU_H
#define ANF_KERNELS_CPU_H

#include <stdbool.h>

/* Compilers whose assemblers know AVX-512 FP16. */
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 14 : __GNUC__ >= 12)
#define CPU_KNOWS_AVX512FP16
#endif

bool cpu_has_any(void);    /* true */
bool cpu_has_avx2(void);   /* AVX2, FMA, F16C */
bool cpu_has_avx512(void); /* AVX-512 F, BW, VL, DQ */
bool cpu_has_avx512fp16(void); /* and VBMI2, FP16 */
bool cpu_has_neon(void);   /* arm64 */

#endif
