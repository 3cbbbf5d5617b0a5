/* Chains of the micro-ops of uops_exact.inc.c, whose value stays in registers.
 *
 * A block of V_BLOCK vectors goes through all steps before the next block is begun: a step costs
 * its instructions and one jump, and reads memory only for its other operand.  Values are rounded
 * after each step where the operation can leave binary16, and NaN gets its one form at the end,
 * which is where the separate micro-ops end up too, because none of them can tell one NaN from
 * another. */

#define CHAIN_EACH _Pragma("GCC unroll 8") for (size_t k = 0; k < vecs; k++)

VFN size_t ISA(chain_left)(size_t left, size_t k)
{
    return left < k * VL ? 0 : left - k * VL < VL ? left - k * VL : VL;
}

VFN vf ISA(chain_load)(const f16 *x, size_t k, bool whole, size_t left)
{
    return whole ? v_load_f16(x + k * VL) : v_load_f16_n(x + k * VL, ISA(chain_left)(left, k));
}

/* The operand that was loaded last, widened. */
struct ISA(chain_recent) {
    const f16 *value;
    vf x[V_BLOCK];
};

/* An element that is the same everywhere is widened once for all vectors of a block, and an operand
 * that is used again before another one is loaded is not widened again. */
VFN void ISA(chain_operand)(vf *x, const f16 *value, bool splat, struct ISA(chain_recent) *recent,
                            size_t at, const size_t vecs, const bool whole, size_t left)
{
    if (splat) {
        const vf same = v_splat_f16(value);
        CHAIN_EACH x[k] = same;
    } else if (value == recent->value) {
        CHAIN_EACH x[k] = recent->x[k];
    } else {
        CHAIN_EACH recent->x[k] = x[k] = ISA(chain_load)(value + at, k, whole, left);
        recent->value = value;
    }
}

VFN void ISA(chain_store)(f16 *y, size_t k, vf x, bool whole, size_t left)
{
    if (whole)
        v_store_f16(y + k * VL, x);
    else
        v_store_f16_n(y + k * VL, x, ISA(chain_left)(left, k));
}

#undef UOP1
#undef UOP2
#undef UOP3
#undef UOP1_ROUNDS
#undef UOP2_ROUNDS
#define UOP1(name, expr)                                                                           \
    case UOP_##name:                                                                               \
        CHAIN_EACH x[k] = ISA(expr_##name)(x[k], z, z, z, z);                                      \
        break;
#define UOP2(name, expr)                                                                           \
    case UOP_##name:                                                                               \
        CHAIN_EACH x[k] = ISA(expr_##name)(x[k], b[k], z, z, z);                                   \
        break;
#define UOP3(name, expr)                                                                           \
    case UOP_##name:                                                                               \
        CHAIN_EACH                                                                                 \
        {                                                                                          \
            const vf c = ISA(chain_load)(value[s->c] + at, k, whole, left);                        \
            x[k] = ISA(expr_##name)(x[k], b[k], c, z, z);                                          \
        }                                                                                          \
        break;
#define UOP1_ROUNDS(name, expr)                                                                    \
    case UOP_##name:                                                                               \
        CHAIN_EACH x[k] = v_round_f16(ISA(expr_##name)(x[k], z, z, z, z));                         \
        break;
#define UOP2_ROUNDS(name, expr)                                                                    \
    case UOP_##name:                                                                               \
        CHAIN_EACH x[k] = v_round_f16(ISA(expr_##name)(x[k], b[k], z, z, z));                      \
        break;

/* `left` elements from `at` on: all vectors, if whole. */
VFN void ISA(chain_block)(const struct uop_step *s, size_t n_steps, f16 *const *value, f16 *y,
                          size_t at, const size_t vecs, const bool whole, size_t left)
{
    const vf z = v_zero();
    vf x[V_BLOCK], b[V_BLOCK];
    struct ISA(chain_recent) recent = {.value = NULL};
    CHAIN_EACH x[k] = b[k] = z;
    for (const struct uop_step *end = s + n_steps; s < end; s++) {
        if (s->reads)
            ISA(chain_operand)(x, value[s->a], s->a_splat, &recent, at, vecs, whole, left);
        if (s->form == UOP_SELF) {
            CHAIN_EACH b[k] = x[k];
        } else if (s->form != UOP_ALONE) {
            ISA(chain_operand)(b, value[s->b], s->b_splat, &recent, at, vecs, whole, left);
        }
        if (s->form == UOP_SWAPPED)
            CHAIN_EACH
            {
                const vf t = x[k];
                x[k] = b[k];
                b[k] = t;
            }
        switch (s->uop) {
#include "kernels/common/uops_exact.inc.c"
        default:
            break;
        }
        if (s->keeps) {
            CHAIN_EACH ISA(chain_store)(value[s->y] + at, k, x[k], whole, left);
            recent.value = value[s->y] == recent.value ? NULL : recent.value;
        }
    }
    CHAIN_EACH ISA(chain_store)(y + at, k, x[k], whole, left);
}

static void ISA(uop_chain)(const struct uop_step *steps, size_t n_steps, f16 *const *value, f16 *y,
                           size_t n)
{
    size_t i = 0;
    for (; n - i >= V_BLOCK * VL; i += V_BLOCK * VL)
        ISA(chain_block)(steps, n_steps, value, y, i, V_BLOCK, true, 0);
    for (; n - i >= VL; i += VL)
        ISA(chain_block)(steps, n_steps, value, y, i, 1, true, 0);
    if (i < n)
        ISA(chain_block)(steps, n_steps, value, y, i, 1, false, n - i);
}
