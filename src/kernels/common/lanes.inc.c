/* The end of a reduction: 64 virtual lanes to one number.
 *
 * Lane i is element i % VL of acc[i / VL].  The tree combines lane i with lane i + 32, then with
 * i + 16, 8, 4, 2, 1: the first steps pair whole vectors, the last ones the halves of one vector
 * (v_hadd and its like).  The lower lane is always the left operand, which fixes the zero that
 * max and min return for a pair of zeros, and the operand they return beside a NaN. */

#define LANE_UNROLL _Pragma("GCC unroll 16")

enum { LANE_VECS = ANF_REDUCE_LANES / VL };

#define LANES(name, step, last)                                                                    \
    VFN float name(const vf *acc)                                                                  \
    {                                                                                              \
        vf t[LANE_VECS];                                                                           \
        LANE_UNROLL                                                                                \
        for (size_t i = 0; i < LANE_VECS; i++)                                                     \
            t[i] = acc[i];                                                                         \
        LANE_UNROLL                                                                                \
        for (size_t half = LANE_VECS / 2; half; half /= 2)                                         \
            LANE_UNROLL                                                                            \
            for (size_t i = 0; i < half; i++)                                                      \
                t[i] = step(t[i], t[i + half]);                                                    \
        return last(t[0]);                                                                         \
    }

LANES(lanes_sum, v_add, v_hadd)
LANES(lanes_max, v_max, v_hmax)
LANES(lanes_min, v_min, v_hmin)
#undef LANES
