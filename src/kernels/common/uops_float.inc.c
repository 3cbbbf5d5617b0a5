/* Micro-ops that compute in float32 everywhere: several operations, or a float32 parameter.
 *
 * As in uops_exact.inc.c, which has the others, a line is the value of one vector. */

UOP1(silu, m_silu(a))
UOP1(gelu, m_gelu(a))
UOP1(sigmoid, v_div(v_set(1.0f), v_add(v_set(1.0f), m_exp(v_neg(a)))))
UOP1(tanh, m_tanh(a))
UOP1(exp, m_exp(a))
UOP1(sqrt, v_sqrt(a))
UOP1(sin, m_sincos(a, 0))
UOP1(cos, m_sincos(a, 1))
UOP1(erf, m_erf(a))
UOP1(softplus, m_softplus(a))
UOP1P(log, m_log(v_add(a, p)))
UOP1P(rsqrt, v_div(v_set(1.0f), v_sqrt(v_add(a, p))))
UOP1P(elu, v_sel(v_lt(v_zero(), a), a, v_mul(p, m_expm1(a))))
UOP1P(leaky_relu, v_sel(v_lt(v_zero(), a), a, v_mul(p, a)))
UOP1PQ(clip, v_min(q, v_max(p, a)))
UOP2(div, v_div(a, b))
UOP2(pow, m_pow(a, b))
UOP1P(scale, v_mul(p, a))
