"""Matrix products, convolutions and what is composed of them.

A chain of k fused multiply-adds and the addition of a bias are k + 1 roundings, each of at most u
of the sum of all magnitudes; one more u covers the products of operands that are themselves off.
Operands of a composite carry their own bound: `product` multiplies intervals.
"""
import math

import numpy as np

import oracle_winograd
from bounds import Bounded, U, half_ulp, rounded, to_half
from oracle_elementwise import exact_gelu
from oracle_norms import softmax_of


def exactly(v):
    return Bounded(v, np.zeros(v.shape))


def product(a, b, bias=None):
    """a [...,m,k] b [...,k,n] + bias of operands with bounds, before the rounding."""
    v, magnitude = a.v @ b.v, (np.abs(a.v) + a.e) @ (np.abs(b.v) + b.e)
    carried = np.zeros(v.shape)
    if a.e.any() or b.e.any():
        carried = np.abs(a.v) @ b.e + a.e @ np.abs(b.v) + a.e @ b.e
    if bias is not None:
        v, magnitude = v + bias, magnitude + np.abs(bias)
    return Bounded(v, carried + (a.v.shape[-1] + 2) * U * magnitude)


def matmul(x, w):
    return linear(x, w.T)


def linear(x, weight, bias=None):
    y = product(exactly(np.atleast_2d(x)), exactly(weight.T), bias)
    shape = x.shape[:-1] + weight.shape[:1]
    return Bounded(y.v.reshape(shape), y.e.reshape(shape))


def bmm(a, b):
    return product(exactly(a), exactly(b))


# ---- convolutions --------------------------------------------------------------------------------

def _pad_or_cut(x, pad):
    """Zeros around the image; a negative pad cuts."""
    for axis, p in ((2, pad[0]), (3, pad[1])):
        if p < 0:
            x = np.take(x, range(-p, x.shape[axis] + p), axis)
        else:
            x = np.pad(x, [(p, p) if a == axis else (0, 0) for a in range(4)])
    return x


def _windows(x, kernel, pad, dilation):
    """[n,c,h,w] to [n,c,rows,cols,kh,kw], for stride 1"""
    x = _pad_or_cut(x, pad)
    span = tuple(dilation * (k - 1) + 1 for k in kernel)
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return windows[..., ::dilation, ::dilation]


def _correlate(windows, w, bias, groups):
    """Windows as a matrix of k columns, times the weight, group by group; [2,n,cout,rows,cols]"""
    c, (n, _, rows, cols) = w.shape[1], windows.shape[:4]
    cout = w.shape[0] // groups
    y = np.empty((2, n, w.shape[0], rows, cols))
    for g in range(groups):
        taps = windows[:, g * c : (g + 1) * c].transpose(0, 2, 3, 1, 4, 5)
        taps = taps.reshape(n * rows * cols, -1)
        own = slice(g * cout, (g + 1) * cout)
        part = product(exactly(taps), exactly(w[own].reshape(cout, -1).T),
                       None if bias is None else bias[own])
        for to, values in zip(y, part[:2], strict=True):
            to[:, own] = values.reshape(n, rows, cols, cout).transpose(0, 3, 1, 2)
    return y


def conv(x, weight, bias=None, *, stride=1, pad=0, dilation=1, groups=1):
    windows = _windows(x, weight.shape[2:], (pad, pad), dilation)[:, :, ::stride, ::stride]
    y = Bounded(*_correlate(windows, weight, bias, groups))
    if not oracle_winograd.is_chosen(x, weight, stride, pad, dilation, groups):
        return y
    return Bounded(oracle_winograd.where_not_finite(x, weight, bias, stride, pad, y.v),
                   oracle_winograd.error(x, weight, bias, stride, pad))


def conv_transpose(x, weight, bias=None, *, stride=1, pad=0, dilation=1, groups=1):
    """The turned kernel over the input with gaps of stride - 1 between its rows and columns; a pixel
    has those taps that do not fall into gaps."""
    n, c, h, w = x.shape
    spread = np.zeros((n, c, (h - 1) * stride + 1, (w - 1) * stride + 1))
    spread[:, :, ::stride, ::stride] = x
    by_group = weight.reshape(groups, c // groups, *weight.shape[1:])
    turned = by_group.swapaxes(1, 2)[..., ::-1, ::-1].reshape(-1, c // groups, *weight.shape[2:])
    pads = tuple(dilation * (k - 1) - pad for k in weight.shape[2:])
    if stride == 1 and pads[0] == pads[1] >= 0:  # a convolution like any other
        return conv(x, turned, bias, pad=pads[0], dilation=dilation, groups=groups)
    windows = _windows(spread, weight.shape[2:], pads, dilation)
    y = np.empty((2, n, turned.shape[0], *windows.shape[2:4]))
    for row, col in np.ndindex(*(min(stride, size) for size in windows.shape[2:4])):
        u, v = ([t for t in range(k) if (at - p + t * dilation) % stride == 0]
                for at, p, k in zip((row, col), pads, weight.shape[2:], strict=True))
        own = windows[:, :, row::stride, col::stride][..., u, :][..., v]
        y[..., row::stride, col::stride] = _correlate(own, turned[:, :, u][..., v], bias, groups)
    return Bounded(*y)


# ---- composites ----------------------------------------------------------------------------------

def _projected(x, weight, bias):
    return rounded(product(exactly(x), exactly(weight.T), bias))


def _heads(b, n_heads):
    """[..,S,E] -> [..,H,S,E/H]"""
    def cut(a):
        return a.reshape(*a.shape[:-1], n_heads, -1).swapaxes(-2, -3)

    return Bounded(cut(b.v), cut(b.e))


def _joined(b):
    def join(a):
        a = a.swapaxes(-2, -3)
        return a.reshape(*a.shape[:-2], -1)

    return Bounded(join(b.v), join(b.e))


def head_scale(width, n_heads):
    """1 / sqrt(width of a head) is a binary16 constant."""
    return float(to_half(1 / math.sqrt(width // n_heads)))


def cross_attention(x, context, wq, wk, wv, wo, bq=None, bk=None, bv=None, bo=None, *, n_heads):
    q = _heads(_projected(x, wq, bq), n_heads)
    k = _heads(_projected(context, wk, bk), n_heads)
    v = _heads(_projected(context, wv, bv), n_heads)
    scores = rounded(product(q, Bounded(k.v.swapaxes(-1, -2), k.e.swapaxes(-1, -2))))
    scale = head_scale(wq.shape[0], n_heads)
    scores = rounded(Bounded(scores.v * scale, scores.e * scale + U * np.abs(scores.v * scale)))
    y = _joined(rounded(product(rounded(softmax_of(scores, -1)), v)))
    return product(y, exactly(wo.T), bo)


def mha(x, wq, wk, wv, wo, bq=None, bk=None, bv=None, bo=None, *, n_heads):
    return cross_attention(x, x, wq, wk, wv, wo, bq, bk, bv, bo, n_heads=n_heads)


def geglu(x, w, b=None):
    """gelu may grow an error by |gelu'| <= 1.13, and adds an ulp."""
    y = rounded(linear(x, w, b))
    f = w.shape[0] // 2
    value, gate = Bounded(y.v[..., :f], y.e[..., :f]), exact_gelu(y.v[..., f:])
    e = 1.13 * y.e[..., f:]
    e = e + 2 * half_ulp(np.abs(gate) + e)
    v = value.v * gate
    return Bounded(v, np.abs(value.v) * e + np.abs(gate) * value.e + value.e * e + U * np.abs(v))


ORACLES = {
    "matmul": matmul, "linear": linear, "bmm": bmm, "conv": conv, "conv_transpose": conv_transpose,
    "cross_attention": cross_attention, "mha": mha, "geglu": geglu,
}
