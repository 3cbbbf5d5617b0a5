/* What the processor, and the operating system's saved state, allow.  Each answer is a query of the
 * machine; nothing is cached, because a table is selected once per context. */
#ifndef ANF_KERNELS_CPU_H
#define ANF_KERNELS_CPU_H

#include <stdbool.h>

bool cpu_has_any(void);    /* true */
bool cpu_has_avx2(void);   /* AVX2, FMA, F16C */
bool cpu_has_avx512(void); /* AVX-512 F, BW, VL, DQ */
bool cpu_has_neon(void);   /* arm64 */

#endif
