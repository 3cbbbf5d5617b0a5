/* The NEON table: every arm64 machine.
 *
 * Only the base instruction set is used, so no target pragma is needed.  The list of includes says
 * which kernels the table takes: shared ones or tuned ones. */
#if defined(__aarch64__)
#include "kernels/cpu.h"
#include "kernels/conv_patch.h"
#include "kernels/kern.h"
#include "kernels/weight_panels.h"
#include "kernels/winograd.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#define ISA(x) x##_neon
#include "kernels/simd/simd_neon.h"

#include "kernels/common/convert.inc.c"
#include "kernels/common/gemm.inc.c"
#include "kernels/common/turn.inc.c"
#include "kernels/common/pack.inc.c"
#include "kernels/common/weights.inc.c"
#include "kernels/common/int4.inc.c"
#include "kernels/common/sparse.inc.c"
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

extern const struct kern kern_neon;
const struct kern kern_neon = {
    .name = "neon",
    .needs = "arm64",
    .available = cpu_has_neon,
    KERN_TILES,
    .kc = 256,
    .tall_kc = 256,
    .mc = 240,
    .nc = 192,
    .l2_floats = 1 << 17,
    .weights_ahead = 320,
#define U(op, n_in, n_p, doc) .uops[UOP_##op] = ISA(uop_##op),
#include "kernels/uops.def"
#undef U
#define K(slot, type, doc) .slot = ISA(slot),
#include "kernels/kernels.def"
#undef K
};
#else
typedef int kern_neon_is_empty; /* a translation unit needs a declaration */
#endif
