/* The AVX2 table: x86-64 with FMA and F16C.
 *
 * The target pragma covers exactly the kernels, so the file needs no compiler flags of its own and
 * nothing else in the library may come to depend on these instructions.  System headers come before
 * it.  The list of includes says which kernels the table takes: shared ones or tuned ones. */
#if defined(__x86_64__)
#include "kernels/cpu.h"
#include "kernels/conv_patch.h"
#include "kernels/kern.h"
#include "kernels/weight_panels.h"
#include "kernels/winograd.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define ISA(x) x##_avx2
#include "kernels/simd/simd_avx2.h"

#include "kernels/common/convert.inc.c"
#include "kernels/common/gemm.inc.c"
#include "kernels/common/turn.inc.c"
#include "kernels/common/pack.inc.c"
#include "kernels/common/weights.inc.c"
#include "kernels/x86/int4_avx2.inc.c"
#include "kernels/common/sparse.inc.c"
#include "kernels/x86/lists_avx2.inc.c"
#include "kernels/common/attention.inc.c"
#include "kernels/common/conv.inc.c"
#include "kernels/common/direct.inc.c"
#include "kernels/common/depthwise.inc.c"
#include "kernels/common/winograd.inc.c"
#include "kernels/common/exp2.inc.c"
#include "kernels/common/columns.inc.c"
#include "kernels/common/pool.inc.c"
#include "kernels/common/pool_planes.inc.c"
#include "kernels/common/max_pool.inc.c"
#include "kernels/common/transpose.inc.c"
#include "kernels/common/sparse_t.inc.c"

#define WIDE 4
#include "kernels/simd/wide.h"
#include "kernels/common/lanes.inc.c"
#include "kernels/common/exp2.inc.c"
#include "kernels/common/math.inc.c"
#include "kernels/common/uop_loops.inc.c"
#include "kernels/common/uops_exact.inc.c"
#include "kernels/common/uops_float.inc.c"
#include "kernels/common/uop_chain.inc.c"
#include "kernels/common/rows.inc.c"
#include "kernels/common/scores.inc.c"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

extern const struct kern kern_avx2;
const struct kern kern_avx2 = {
    .name = "avx2",
    .needs = "AVX2, FMA, F16C",
    .available = cpu_has_avx2,
    KERN_TILES,
    .kc = 384,
    .tall_kc = 384,
    .mc = 240,
    .nc = 192,
    .l2_floats = 1 << 17,
    .weights_ahead = 320,
#define U(op, n_in, n_p, doc) .uops[UOP_##op] = ISA(uop_##op),
#include "kernels/uops.def"
#undef U
#define gemm_tile_lists_avx2 gemm_tile_lists_of_bytes_avx2
#define K(slot, type, doc) .slot = slot##_avx2,
#include "kernels/kernels.def"
#undef K
};
#else
typedef int kern_avx2_is_empty; /* a translation unit needs a declaration */
#endif
