/* The AVX-512 tables: x86-64 with F, BW, VL and DQ, and the same with VBMI2 and FP16, which differs
 * in the micro-ops that binary16 arithmetic computes and in how sparse weights are expanded.
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

/* clang takes the outermost of nested targets, so a part that needs more leaves this one first. */
#if defined(__clang__)
#define ENTER_AVX512                                                                               \
    _Pragma("clang attribute push(__attribute__((target(                                          \
            \"avx512f,avx512bw,avx512vl,avx512dq,fma,f16c\"))), apply_to = function)")
#define LEAVE_AVX512 _Pragma("clang attribute pop")
ENTER_AVX512
#else
#define ENTER_AVX512
#define LEAVE_AVX512
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")
#endif

#define ISA(x) x##_avx512
#include "kernels/simd/simd_avx512.h"

#include "kernels/common/convert.inc.c"
#include "kernels/common/gemm.inc.c"
#include "kernels/common/turn.inc.c"
#include "kernels/common/pack.inc.c"
#include "kernels/common/weights.inc.c"
#include "kernels/common/int4.inc.c"
#include "kernels/common/sparse.inc.c"
#ifdef CPU_KNOWS_AVX512FP16
LEAVE_AVX512
#include "kernels/x86/sparse_avx512fp16.inc.c"
ENTER_AVX512
#endif
#include "kernels/common/exp2.inc.c"
#include "kernels/common/attention.inc.c"
#include "kernels/common/conv.inc.c"
#include "kernels/common/direct.inc.c"
#include "kernels/common/depthwise.inc.c"
#include "kernels/common/winograd.inc.c"
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

LEAVE_AVX512

extern const struct kern kern_avx512;
const struct kern kern_avx512 = {
    .name = "avx512",
    .needs = "AVX-512 F, BW, VL, DQ",
    .available = cpu_has_avx512,
    KERN_TILES,
    .rows_beside = true,
    .kc = 172,
    .tall_kc = 258, /* 256 of a depth that is a power of two, of which two panels take 32 KiB */
    .mc = 112,
    .nc = 384,
    .l2_floats = 1 << 17,
    /* Panels lie apart by powers of two and share cache sets, with the row as well: of the eight
     * ways of AMD Zen 4, lines that are asked for long before are gone when they are needed. */
    .weights_ahead = 320,
#define U(op, n_in, n_p, doc) .uops[UOP_##op] = ISA(uop_##op),
#include "kernels/uops.def"
#undef U
#define K(slot, type, doc) .slot = ISA(slot),
#include "kernels/kernels.def"
#undef K
};

#ifdef CPU_KNOWS_AVX512FP16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,f16c,avx512fp16"))),         \
                             apply_to = function)
#endif
#undef ISA
#define ISA(x) x##_avx512fp16
#include "kernels/simd/half_avx512.h"
#include "kernels/common/uop_loops.inc.c"
#include "kernels/common/uops_exact.inc.c"
#include "kernels/common/uop_chain.inc.c"
#include "kernels/common/scores.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif

#undef UOP1
#undef UOP1P
#undef UOP1PQ
#undef UOP2
#undef UOP3
#undef UOP1_ROUNDS
#undef UOP2_ROUNDS
#define UOP1(op, expr) .uops[UOP_##op] = UOP_SET(uop_##op),
#define UOP1P UOP1
#define UOP1PQ UOP1
#define UOP2 UOP1
#define UOP3 UOP1
#define UOP1_ROUNDS UOP1
#define UOP2_ROUNDS UOP1

extern const struct kern kern_avx512fp16;
const struct kern kern_avx512fp16 = {
    .name = "avx512fp16",
    .needs = "AVX-512 F, BW, VL, DQ, VBMI2, FP16",
    .available = cpu_has_avx512fp16,
    KERN_TILES,
    .score_halves = true,
    /* The first CPUs that have FP16, Intel's from Sapphire Rapids on, have twice the L2 or more,
     * which a tall tile may read panels from, and two ports for all that vectors of 512 bits
     * compute: nothing is free beside a tile. */
    .kc = 172,
    .tall_kc = 516,
    .mc = 168,
    .nc = 384,
    .l2_floats = 1 << 18,
    .weights_ahead = 640, /* with 320 two cores reach 4/5 of it, with 1280 as much */
#define UOP_SET(x) x##_avx512fp16
#include "kernels/common/uops_exact.inc.c"
#undef UOP_SET
#define UOP_SET(x) x##_avx512
#include "kernels/common/uops_float.inc.c"
#define gemm_tile_sparse_avx512 gemm_tile_sparse_avx512fp16
#define gemm_tile_lists_avx512 gemm_tile_lists_avx512fp16
#define widen_sparse_avx512 widen_sparse_avx512fp16
#define score_rows_avx512 score_rows_avx512fp16
#define uop_chain_avx512 uop_chain_avx512fp16
#define K(slot, type, doc) .slot = slot##_avx512,
#include "kernels/kernels.def"
#undef K
};
#endif

#if !defined(__clang__)
#pragma GCC pop_options
#endif
#else
typedef int kern_avx512_is_empty; /* a translation unit needs a declaration */
#endif
