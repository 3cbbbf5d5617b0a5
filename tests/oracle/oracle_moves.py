"""Operators that only move elements: the result is exact, to the bit."""
from functools import wraps

import numpy as np

from bounds import Bounded


def _move(formula):
    @wraps(formula)
    def oracle(*operands, **attrs):
        return Bounded(formula(*operands, **attrs))

    return oracle


@_move
def upsample(x, *, scale=2):
    return x.repeat(scale, axis=2).repeat(scale, axis=3)


@_move
def concat(tensors, *, axis=1):
    return np.concatenate(tensors, axis)


@_move
def reshape(x, *, shape):
    return x.reshape(shape)


@_move
def transpose(x, *, perm):
    return x.transpose(perm)


@_move
def pixel_shuffle(x, *, r):
    n, c, h, w = x.shape
    y = np.empty((n, c // (r * r), h * r, w * r))
    for i in range(r):
        for j in range(r):
            y[:, :, i::r, j::r] = x[:, i * r + j :: r * r]
    return y


@_move
def pixel_unshuffle(x, *, r):
    n, c, h, w = x.shape
    y = np.empty((n, c * r * r, h // r, w // r))
    for i in range(r):
        for j in range(r):
            y[:, i * r + j :: r * r] = x[:, :, i::r, j::r]
    return y


@_move
def box(x, *, begin, size):
    return x[tuple(slice(b, b + n) for b, n in zip(begin, size, strict=True))]


@_move
def split(x, *, parts, axis=0, index):
    return np.split(x, parts, axis)[index]


@_move
def expand(x, *, shape):
    return np.broadcast_to(x, shape)


@_move
def squeeze(x, *, axes):
    return x.squeeze(tuple(axes))


@_move
def expand_dims(x, *, axes):
    return np.expand_dims(x, tuple(axes))


ORACLES = {
    "upsample": upsample, "concat": concat, "reshape": reshape, "transpose": transpose,
    "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle, "slice": box,
    "split": split, "expand": expand, "squeeze": squeeze, "expand_dims": expand_dims,
}
