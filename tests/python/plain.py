"""NumPy in float64: what each operator of the API page means, written without the library."""
import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x / 2 * (1 + erf(x / np.sqrt(2)))


def windows(x, k, stride, pad, dilation=1, fill=0.0):
    """[N,C,Ho,Wo,kH,kW]"""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    span = [dilation * (n - 1) + 1 for n in k]
    w = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return w[:, :, ::stride, ::stride, ::dilation, ::dilation]


def conv(x, w, stride=1, pad=0, dilation=1, groups=1, bias=None):
    win = windows(x, w.shape[2:], stride, pad, dilation)
    parts = zip(np.split(win, groups, 1), np.split(w, groups, 0), strict=True)
    y = np.concatenate([np.einsum("ncyxij,ocij->noyx", a, b) for a, b in parts], 1)
    return y if bias is None else y + bias[:, None, None]


def conv_transpose(x, w, stride=1, pad=0, dilation=1, bias=None):
    n, _, h, wide = x.shape
    kh, kw = w.shape[2:]
    full = np.zeros((n, w.shape[1], (h - 1) * stride + dilation * (kh - 1) + 1,
                     (wide - 1) * stride + dilation * (kw - 1) + 1))
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation, j * dilation
            full[:, :, top:top + (h - 1) * stride + 1:stride,
                 left:left + (wide - 1) * stride + 1:stride] += np.einsum(
                     "nchw,co->nohw", x, w[:, :, i, j])
    y = full[:, :, pad:full.shape[2] - pad, pad:full.shape[3] - pad]
    return y if bias is None else y + bias[:, None, None]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalise(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def pixel_shuffle(x, r):
    n, c, h, w = x.shape
    y = x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // r**2, h * r, w * r)


def pixel_unshuffle(x, r):
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4)
    return y.reshape(n, c * r**2, h // r, w // r)


def attention(x, context, q, k, v, o, heads):
    """Each of q, k, v, o is (weight [out,in], bias)."""
    def split(t):
        return t.reshape(len(t), heads, -1).transpose(1, 0, 2)
    a, b, c = (split(t @ w.T + bias) for t, (w, bias) in ((x, q), (context, k), (context, v)))
    y = softmax(a @ b.transpose(0, 2, 1) / np.sqrt(a.shape[-1])) @ c
    return y.transpose(1, 0, 2).reshape(len(x), -1) @ o[0].T + o[1]


def geglu(x, w, b):
    value, gate = np.split(x @ w.T + b, 2, axis=-1)
    return value * gelu(gate)
