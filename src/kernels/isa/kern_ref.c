/* The reference table: plain C, one lane.
 *
 * Every other table must equal it bit for bit, and it runs on machines without a table of their
 * own.  The list of includes says which kernels a table takes: the shared ones, compiled over the
 * vector vocabulary chosen above them, or tuned ones in their place. */
#include "kernels/cpu.h"
#include "kernels/conv_patch.h"
#include "kernels/kern.h"
#include "kernels/weight_panels.h"
#include "kernels/winograd.h"

#include <math.h>
#include <string.h>

#define ISA(x) x##_ref
#include "kernels/simd/simd_ref.h"

#include "kernels/common/lanes.inc.c"
#include "kernels/common/exp2.inc.c"
#include "kernels/common/math.inc.c"
#include "kernels/common/convert.inc.c"
#include "kernels/common/uop_loops.inc.c"
#include "kernels/common/uops_exact.inc.c"
#include "kernels/common/uops_float.inc.c"
#include "kernels/common/uop_chain.inc.c"
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
#include "kernels/common/rows.inc.c"
#include "kernels/common/scores.inc.c"
#include "kernels/common/columns.inc.c"
#include "kernels/common/pool.inc.c"
#include "kernels/common/pool_planes.inc.c"
#include "kernels/common/max_pool.inc.c"
#include "kernels/common/transpose.inc.c"
#include "kernels/common/sparse_t.inc.c"

extern const struct kern kern_ref;
const struct kern kern_ref = {
    .name = "ref",
    .needs = "plain C",
    .available = cpu_has_any,
    KERN_TILES,
    .kc = 256,
    .tall_kc = 256,
    .mc = 96,
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
