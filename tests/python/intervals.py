"""Chains of operators in float64: values whose bound says what the steps before may have added.

Every step rounds to binary16, so its result is widened by half an ulp; what its operand was off by
goes through it as through the linear map with magnitudes in the place of its weights.
"""
import numpy as np

from bounds import Bounded, rounded
from oracles import ORACLES


def exactly(x):
    return Bounded(x, np.zeros(x.shape))


def _linear(op, x, *weights, **attrs):
    """The operator's own error at the largest operand, and the operand's error through it."""
    sizes = [np.abs(w) for w in weights]
    own = ORACLES[op](np.abs(x.v) + x.e, *sizes, **attrs).e
    carried = ORACLES[op](x.e, *sizes, **attrs).v
    return Bounded(ORACLES[op](x.v, *weights, **attrs).v, own + carried)


def conv(x, w, **attrs):
    return rounded(_linear("conv", x, w, **attrs))


def relu(x):
    """Exact, and no two results lie further apart than their operands."""
    return Bounded(ORACLES["relu"](x.v).v, x.e)


def mean(x, axes):
    return rounded(_linear("mean", x, axes=axes))


def reshape(x, shape):
    return Bounded(x.v.reshape(shape), x.e.reshape(shape))


def matmul_result(x, w):
    """The last step of a chain: bounds.difference rounds it."""
    return _linear("matmul", x, w)


def int8_matmul_result(x, w):
    """The same with w as decoded: the chain over integers is multiplied by the scale of its column,
    one rounding more."""
    result, sizes = _linear("matmul", x, w), ORACLES["matmul"](np.abs(x.v) + x.e, np.abs(w))
    return Bounded(result.v, result.e + 2.0**-24 * (sizes.v + sizes.e))
