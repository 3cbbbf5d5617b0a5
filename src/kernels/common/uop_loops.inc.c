/* The elementwise micro-ops, one line per entry of uops.def: what the lines of uops_exact.inc.c and
 * uops_float.inc.c become.
 *
 * A line gives the value of one vector from the operands a, b, c and the parameters p, q (broadcast
 * p[0], p[1] of the call); the loops around it are shared.  Each vector is read before it is
 * written at the same place, so the output may be any of the operands.  Forms: UOP1 to UOP3 by the
 * number of operands, P and PQ by the parameters.
 *
 * Where a formula leaves the case of NaN or of a signed zero open, the order of the operands of
 * v_max and v_min decides it: the second one is returned for a NaN and for equal operands. */

typedef vf ISA(uop_expr)(vf a, vf b, vf c, vf p, vf q);

VFN void ISA(uop_map1)(f16 *y, const f16 *a, size_t n, vf p, vf q, ISA(uop_expr) *op)
{
    const vf z = v_zero();
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, op(v_load_f16(a + i), z, z, p, q));
    if (i < n)
        v_store_f16_n(y + i, op(v_load_f16_n(a + i, n - i), z, z, p, q), n - i);
}

VFN void ISA(uop_map2)(f16 *y, const f16 *a, const f16 *b, size_t n, ISA(uop_expr) *op)
{
    const vf z = v_zero();
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, op(v_load_f16(a + i), v_load_f16(b + i), z, z, z));
    if (i < n) {
        vf va = v_load_f16_n(a + i, n - i), vb = v_load_f16_n(b + i, n - i);
        v_store_f16_n(y + i, op(va, vb, z, z, z), n - i);
    }
}

VFN void ISA(uop_map3)(f16 *y, const f16 *a, const f16 *b, const f16 *c, size_t n,
                       ISA(uop_expr) *op)
{
    const vf z = v_zero();
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, op(v_load_f16(a + i), v_load_f16(b + i), v_load_f16(c + i), z, z));
    if (i < n) {
        vf va = v_load_f16_n(a + i, n - i), vb = v_load_f16_n(b + i, n - i);
        v_store_f16_n(y + i, op(va, vb, v_load_f16_n(c + i, n - i), z, z), n - i);
    }
}

/* 1 where m, else 0. */
VFN vf ISA(uop_truth)(vm m)
{
    return v_sel(m, v_set(1.0f), v_zero());
}

#undef UOP_EXPR
#undef UOP_FN
#undef UOP1
#undef UOP1P
#undef UOP1PQ
#undef UOP2
#undef UOP3
#undef UOP1_ROUNDS
#undef UOP2_ROUNDS
#define UOP_EXPR(name, expr)                                                                       \
    VFN vf ISA(expr_##name)(vf a, vf b, vf c, vf p, vf q)                                          \
    {                                                                                              \
        (void)a, (void)b, (void)c, (void)p, (void)q;                                               \
        return expr;                                                                               \
    }
#define UOP_FN(name, expr, call)                                                                   \
    UOP_EXPR(name, expr)                                                                           \
    static void ISA(uop_##name)(f16 * y, const f16 *a, const f16 *b, const f16 *c, size_t n,       \
                                const float *p)                                                    \
    {                                                                                              \
        (void)b, (void)c, (void)p;                                                                 \
        call;                                                                                      \
    }
#define UOP1(name, expr)                                                                           \
    UOP_FN(name, expr, ISA(uop_map1)(y, a, n, v_zero(), v_zero(), ISA(expr_##name)))
#define UOP1P(name, expr)                                                                          \
    UOP_FN(name, expr, ISA(uop_map1)(y, a, n, v_set(p[0]), v_zero(), ISA(expr_##name)))
#define UOP1PQ(name, expr)                                                                         \
    UOP_FN(name, expr, ISA(uop_map1)(y, a, n, v_set(p[0]), v_set(p[1]), ISA(expr_##name)))
#define UOP2(name, expr) UOP_FN(name, expr, ISA(uop_map2)(y, a, b, n, ISA(expr_##name)))
#define UOP3(name, expr) UOP_FN(name, expr, ISA(uop_map3)(y, a, b, c, n, ISA(expr_##name)))
#define UOP1_ROUNDS UOP1
#define UOP2_ROUNDS UOP2
