"""What a result may be: a float64 value and a derived bound of what float32 may add to it.

An operator computes a float32 number r with |r - v| <= e and rounds it to binary16 once.  Rounding
keeps order, so the result lies between the roundings of v - e and v + e, both included: nothing is
added for the last rounding, and where e is 0 the result is v rounded, exactly.  Where v is infinite
or NaN, so is the result.

Bounds use u = 2^-24, the float32 rounding unit, and never a measured number:

    products        (k + 2) u sum |a b|       k fused multiply-adds and a bias
    sums            depth(n) u sum |x|        depth: additions an element passes through
    functions       half a binary16 ulp       1 ulp with the last rounding, the micro-ops' contract
    softmax, norms  the same rules carried through the formula, written at each oracle
    composites      the bound of each step is carried into the next, as interval arithmetic would

The first two hold without terms in u^2 (Jeannerod and Rump 2013); what second-order terms the
others have is less than the whole u by which each rounds its count up.
"""
from typing import NamedTuple

import numpy as np

U = 2.0**-24
LANES, BLOCK = 64, 4096  # docs/numerics.md, "Reductions: lanes and blocks"
CANONICAL_NAN = 0x7E00


class Bounded(NamedTuple):
    """Element by element: the exact value, and how far float32 arithmetic may be from it.

    Without e the result is v rounded, to the bit: zeros have their sign and NaN is 0x7e00.  With
    `signed`, a zero that is v rounded has the sign of v although e is not 0.
    """

    v: np.ndarray
    e: np.ndarray | None = None
    signed: bool = False


def to_half(x):
    """Rounded once, to nearest even."""
    with np.errstate(all="ignore"):
        return np.asarray(x, np.float64).astype(np.float16)


def half_ulp(x):
    """Half the distance of binary16 values at |x|; beyond the largest one as if there were more."""
    a = np.abs(np.asarray(x, np.float64))
    exponent = np.frexp(np.where(np.isfinite(a) & (a >= 2.0**-14), a, 2.0**-14))[1] - 1
    return np.ldexp(1.0, exponent - 11)


def depth(n):
    """Additions on the way of one of n elements: in its lane, through the tree, over the blocks."""
    blocks = -(-n // BLOCK)
    return min(-(-n // LANES), BLOCK // LANES) + 6 + blocks


def rounded(b):
    """After an operator inside a composite: half an ulp more, at the largest the value may be."""
    return Bounded(b.v, b.e + half_ulp(np.abs(b.v) + b.e))


def halves_of(got):
    """The binary16 values that float32 outputs hold, NaN with its payload."""
    with np.errstate(all="ignore"):
        halves = got.astype(np.float16)
    assert np.array_equal(halves.astype(np.float32), got, equal_nan=True), "not binary16 values"
    return halves


def _same_bits(halves, want):
    bits = np.where(np.isnan(want), np.uint16(CANONICAL_NAN), want.view(np.uint16))
    return halves.view(np.uint16) == bits


def _within(halves, want):
    v, e = want.v, np.broadcast_to(want.e, want.v.shape)
    finite = np.isfinite(v)
    assert np.all(np.isfinite(e[finite]) & (e[finite] >= 0)), "the oracle has no bound here"
    with np.errstate(all="ignore"):
        low, high = to_half(v - e), to_half(v + e)
        near = (low <= halves) & (halves <= high)
        good = np.where(finite, near, (halves == v) | (np.isnan(halves) & np.isnan(v)))
    if want.signed:
        zero = (halves == 0) & (to_half(v) == 0)
        good &= ~zero | (np.signbit(halves) == np.signbit(v))
    return good


def difference(got, want):
    """None where every element of `got` is allowed, else one line about the first that is not."""
    want = want._replace(v=np.asarray(want.v, np.float64))
    if got.shape != want.v.shape:
        return f"shape {got.shape}, needs {want.v.shape}"
    halves = halves_of(got)
    good = _same_bits(halves, to_half(want.v)) if want.e is None else _within(halves, want)
    if np.all(good):
        return None
    at = tuple(int(i) for i in np.argwhere(~good)[0])
    e = 0.0 if want.e is None else np.broadcast_to(want.e, want.v.shape)[at]
    return (f"{np.count_nonzero(~good)} of {good.size} wrong; element {list(at)} is "
            f"{halves[at]!r}, float64 gives {want.v[at]!r}, allowed before rounding {e:.3g}")
