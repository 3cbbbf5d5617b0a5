"""Elementwise operators: the formula in float64, and what its float32 arithmetic may lose.

Arithmetic, selections and comparisons are exact: float32 has the 2 * 11 + 2 bits that make a
second rounding harmless.  Functions are good to half a binary16 ulp before the last rounding.
`larger` and `smaller` are docs/numerics.md's max and min, whose second operand stands for a NaN and
for equal zeros, so special values follow from the formulas.
"""
import math

import numpy as np

from bounds import Bounded, U, half_ulp


def larger(a, b):
    return np.where(a > b, a, b)


def smaller(a, b):
    return np.where(a < b, a, b)


def single(p):
    """An attribute as the kernels get it."""
    return float(np.float32(p))


erf = np.vectorize(math.erf, otypes=[np.float64])
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _silu(x):
    return np.where(x == -np.inf, -0.0, x / (1 + np.exp(-x)))


def exact_gelu(x):
    """By erfc, which keeps its digits in the tail; the limit at minus infinity is -0."""
    return np.where(x == -np.inf, -0.0, x / 2 * erfc(-x / math.sqrt(2)))


def _softplus(x):
    return larger(np.zeros_like(x), x) + np.log1p(np.exp(-np.abs(x)))


EXACT_UNARY = {
    "relu": lambda x: larger(np.zeros_like(x), x),
    "relu6": lambda x: smaller(np.full_like(x, 6), larger(np.zeros_like(x), x)),
    "sqrt": np.sqrt,
    "abs": np.abs,
    "square": np.square,
    "neg": np.negative,
    "logical_not": np.logical_not,
    "cast": lambda x: x.astype(np.float64),
}

FUNCTIONS = {
    "silu": _silu,
    "gelu": exact_gelu,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "erf": erf,
    "softplus": _softplus,
}

EXACT_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": lambda a, b: np.where(np.isnan(a), a, larger(a, b)),
    "minimum": lambda a, b: np.where(np.isnan(a), a, smaller(a, b)),
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}


def function(v, more=0.0):
    """1 ulp in all, and `more` before the function's own rounding."""
    return Bounded(v, half_ulp(v) + more, signed=True)


def log(x, *, eps=0):
    """x + eps is rounded, and d log a = da / a."""
    return function(np.log(x + single(eps)), 2 * U)


def rsqrt(x, *, eps=0):
    """The sum (whose relative error the root halves), the root and the quotient are rounded."""
    v = 1 / np.sqrt(x + single(eps))
    return Bounded(v, np.where(np.isinf(v), 0, 4 * U * np.abs(v)), signed=True)


def elu(x, *, alpha=1):
    """expm1 of either zero is 0."""
    v = np.where(x > 0, x, single(alpha) * (np.expm1(x) + 0.0))
    return Bounded(v, np.where(x > 0, 0, half_ulp(v)), signed=True)


def leaky_relu(x, *, alpha=0.01):
    v = np.where(x > 0, x, single(alpha) * x)
    return Bounded(v, np.where(x > 0, 0, U * np.abs(v)), signed=True)


def scale(x, *, factor):
    v = single(factor) * x
    return Bounded(v, U * np.abs(v), signed=True)


def clip(x, *, lo, hi):
    return Bounded(smaller(single(hi), larger(single(lo), x)))


def power(a, b):
    return function(np.power(a, b))


def select(cond, a, b):
    return Bounded(np.where(cond, a, b))


def _unary(formula, bounded):
    def oracle(x):
        return bounded(formula(x))

    return oracle


def _pair(formula):
    def oracle(a, b):
        return Bounded(formula(a, b))

    return oracle


ORACLES = {
    "log": log, "rsqrt": rsqrt, "elu": elu, "leaky_relu": leaky_relu, "scale": scale, "clip": clip,
    "pow": power, "select": select,
    **{name: _unary(formula, Bounded) for name, formula in EXACT_UNARY.items()},
    **{name: _unary(formula, function) for name, formula in FUNCTIONS.items()},
    **{name: _pair(formula) for name, formula in EXACT_BINARY.items()},
}
