/* Micro-ops of one rounding at most, of binary16 operands: sums, products, selections, comparisons.
 *
 * Binary16 arithmetic, where a processor has it, gives the same bits as float32 arithmetic rounded
 * (docs/numerics.md), so these lines are compiled over a vocabulary of binary16 vectors too.  They
 * use no parameter and no constant that binary16 has not.  Quotients and roots would qualify, but
 * are not faster that way.
 *
 * ROUNDS: the result need not be a binary16 value before it is rounded. */

UOP1(copy, a)
UOP1(relu, v_max(v_zero(), a))
UOP1(abs, v_abs(a))
UOP1_ROUNDS(square, v_mul(a, a))
UOP1(relu6, v_min(v_set(6.0f), v_max(v_zero(), a)))
UOP1(neg, v_neg(a))
UOP2_ROUNDS(add, v_add(a, b))
UOP2_ROUNDS(sub, v_sub(a, b))
UOP2_ROUNDS(mul, v_mul(a, b))
UOP2(maximum, v_sel(v_nan(a), a, v_max(a, b)))
UOP2(minimum, v_sel(v_nan(a), a, v_min(a, b)))
UOP2(equal, ISA(uop_truth)(v_eq(a, b)))
UOP2(not_equal, ISA(uop_truth)(vm_not(v_eq(a, b))))
UOP2(less, ISA(uop_truth)(v_lt(a, b)))
UOP2(less_equal, ISA(uop_truth)(v_le(a, b)))
UOP2(greater, ISA(uop_truth)(v_lt(b, a)))
UOP2(greater_equal, ISA(uop_truth)(v_le(b, a)))
UOP1(logical_not, ISA(uop_truth)(v_eq(a, v_zero())))
UOP3(select, v_sel(v_eq(a, v_zero()), c, b))
