"""Reductions, softmax, the norms and the pools: formulas in float64 with their bounds.

Rounding errors are counted in units of u relative to what they multiply.  Squares of halves are
exact in float32, so a sum of squares is only as far off as its additions.
"""
import math

import numpy as np

from bounds import Bounded, U, depth
from oracle_elementwise import single


def _axes(axes, rank):
    return tuple(a % rank for a in axes)


def _terms(x, axes):
    return math.prod(x.shape[a] for a in _axes(axes, x.ndim))


def _sum(x, axes):
    axes = _axes(axes, x.ndim)
    return np.sum(x, axis=axes, keepdims=True), np.sum(np.abs(x), axis=axes, keepdims=True)


def total(x, *, axes):
    v, magnitude = _sum(x, axes)
    return Bounded(v, depth(_terms(x, axes)) * U * magnitude)


def mean(x, *, axes):
    """One rounding more: the division."""
    n = _terms(x, axes)
    v, magnitude = _sum(x, axes)
    return Bounded(v / n, (depth(n) + 1) * U * magnitude / n)


def amax(x, *, axes):
    """Compared as numbers: which of two zeros of different sign stays is the order's business."""
    v = np.max(x, axis=_axes(axes, x.ndim), keepdims=True)
    return Bounded(v, np.zeros(v.shape))


def amin(x, *, axes):
    return Bounded(-amax(-x, axes=axes).v, 0.0)


def softmax(x, *, axis=-1):
    return softmax_of(Bounded(x, np.zeros(x.shape)), axis)


def softmax_of(x, axis):
    """Softmax of operands that are themselves up to x.e off.

    A change of the operands by at most d changes each result by a factor of at most exp(2 d).  An
    exponential has an error of its own of 10.5 u (its polynomial 7.2 u, its table u, its last two
    roundings 2 u), that of its argument, u |x - max|, which is rounded, and what log2(e) lacks,
    0.23 u |x - max|.  What the product of the maximum and log2(e) is rounded by is a factor of the
    whole row.  The sum's error is the mean of its terms', and its additions; then the reciprocal and
    the product are rounded.
    """
    n, d = x.v.shape[axis], np.max(x.e, axis=axis, keepdims=True)
    far = np.max(x.v, axis=axis, keepdims=True) - x.v
    powers = np.exp(-far)
    sums = np.sum(powers, axis=axis, keepdims=True)
    v = powers * (1 / sums)
    units = np.where(powers > 0, 1.23 * (far + 2 * d) + 10.5, 0)
    mean_units = np.sum(units * powers, axis=axis, keepdims=True) / sums
    e = v * (np.expm1(2 * d) + np.exp(4 * d) * (units + mean_units + depth(n) + 3) * U)
    return Bounded(v, np.where(v == 0, 0, e))


def l2_norm(x, *, axis=-1, eps=1e-12):
    """Half of the sum's additions, of eps's rounding and of the addition of eps; then the root, the
    reciprocal and the product: below depth / 2 + 5."""
    squares = np.sum(x * x, axis=axis, keepdims=True)
    v = x * (1 / np.sqrt(squares + single(eps)))
    return Bounded(v, (depth(x.shape[axis]) / 2 + 5) * U * np.abs(v))


def rms_norm(x, gamma, *, eps=1e-5):
    """As l2_norm, with half of the division's rounding and the product with gamma."""
    squares = np.mean(x * x, axis=-1, keepdims=True)
    v = x * (1 / np.sqrt(squares + single(eps))) * gamma
    return Bounded(v, (depth(x.shape[-1]) / 2 + 7) * U * np.abs(v))


def normalised(x, axes, eps, gamma, beta):
    """Layer and group normalisation over `axes`.

    The mean is off by dm = (depth + 1) u mean|x|, so x - mean by dm + u |d|.  A wrong mean adds its
    square to the variance, and the additions, the squares and the division add (depth + 3) u of it:
    1 / sqrt(var + eps) is off by (depth / 2 + 5) u with its own roundings, and by dm / sqrt(var +
    eps) at most (half the square of that, or all of it, whichever is less).  Two roundings follow.
    """
    n = _terms(x, axes)
    sums, magnitude = _sum(x, axes)
    m, dm = sums / n, (depth(n) + 1) * U * magnitude / n
    d = x - m
    inv = 1 / np.sqrt(np.mean(d * d, axis=axes, keepdims=True) + single(eps))
    t = d * inv
    of_d = (dm + 2 * U * np.abs(d)) * inv
    of_inv = np.abs(t) * ((depth(n) / 2 + 5) * U + dm * inv)
    e = np.abs(gamma) * (of_d + of_inv) + 2 * U * (np.abs(t * gamma) + np.abs(beta))
    return Bounded(t * gamma + beta, e)


def layer_norm(x, gamma, beta, *, eps=1e-5):
    return normalised(x, (-1,), eps, gamma, beta)


def _per_channel(vector, rank):
    return vector.reshape((1, -1) + (1,) * (rank - 2))


def group_norm(x, gamma, beta, *, num_groups, eps=1e-5):
    n, c = x.shape[:2]
    grouped = x.reshape(n, num_groups, c // num_groups, -1)
    by_group = [v.reshape(1, num_groups, -1, 1) for v in (gamma, beta)]
    y = normalised(grouped, (2, 3), eps, *by_group)
    return Bounded(y.v.reshape(x.shape), y.e.reshape(x.shape))


def batch_norm(x, gamma, beta, mean, var, *, eps=1e-5):
    """The difference, the sum, the root, the reciprocal and two products are rounded."""
    gamma, beta, mean, var = (_per_channel(v, x.ndim) for v in (gamma, beta, mean, var))
    t = (x - mean) * (gamma * (1 / np.sqrt(var + single(eps))))
    return Bounded(t + beta, 7 * U * (np.abs(t) + np.abs(beta)))


# ---- pools ---------------------------------------------------------------------------------------

def _taps(x, k, stride, pad, fill):
    """The cells of every window, one by one in row order: each [N,C,Ho,Wo]."""
    stride = stride or k
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    rows, cols = ((size - k) // stride + 1 for size in x.shape[2:])
    for u in range(k):
        for v in range(k):
            yield x[:, :, u : u + rows * stride : stride, v : v + cols * stride : stride]


def max_pool(x, *, k, stride=0, pad=0):
    """To the bit: a NaN is the result, of equal cells the earlier one."""
    best = -np.inf
    for tap in _taps(x, k, stride, pad, -np.inf):
        best = np.where(np.isnan(tap) | (tap > best), tap, best)
    return Bounded(best)


def avg_pool(x, *, k, stride=0, pad=0):
    """k k additions and the division."""
    taps = np.stack(list(_taps(x, k, stride, pad, 0.0)))
    cells = k * k
    return Bounded(np.sum(taps, 0) / cells, (cells + 1) * U * np.sum(np.abs(taps), 0) / cells)


ORACLES = {
    "sum": total, "mean": mean, "amax": amax, "amin": amin, "softmax": softmax, "l2_norm": l2_norm,
    "rms_norm": rms_norm, "layer_norm": layer_norm, "group_norm": group_norm,
    "batch_norm": batch_norm, "max_pool": max_pool, "avg_pool": avg_pool,
}
