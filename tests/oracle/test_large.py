"""Sizes that networks have: every element against float64, and for products too large for that a
random combination of the columns.

Inputs and weights are uniform with a variance of 1 and of 1/k, so that results are of size 1 and
the comparison is not lost in bounds of sums far larger than what they add up to.
"""
import math

import numpy as np
import pytest

import oracle_winograd
from bounds import U, difference, half_ulp
from graph_run import Graph
from oracles import ORACLES


def uniform(rng, shape, deviation=1.0):
    return (rng.uniform(-1, 1, shape) * math.sqrt(3) * deviation).astype(np.float16)


def weight(rng, *shape, k=None):
    return uniform(rng, shape, 1 / math.sqrt(k or math.prod(shape[1:])))


def x(*shape):
    return lambda rng: uniform(rng, shape)


def w(*shape, k=None):
    return lambda rng: weight(rng, *shape, k=k)


# Operands (None where absent) and attributes.  All results are compared in full.
LARGE = {
    "gemm 1024": ("matmul", [x(1024, 1024), w(1024, 1024)], {}),
    "gemm of odd sizes": ("linear", [x(517, 1031), w(769, 1031), w(769, k=1)], {}),
    "one row": ("linear", [x(1, 4096), w(1000, 4096), w(1000, k=1)], {}),
    "long chain": ("matmul", [x(3, 60000), w(60000, 5, k=60000)], {}),
    "batched": ("bmm", [x(12, 197, 64), x(12, 64, 197)], {}),
    "conv 64 channels, 56x56": (
        "conv", [x(1, 64, 56, 56), w(64, 64, 3, 3), w(64, k=1)], {"pad": 1}),
    "conv of the first layer": ("conv", [x(1, 3, 224, 224), w(32, 3, 7, 7)],
                                {"stride": 2, "pad": 3}),
    "conv 1x1": ("conv", [x(2, 256, 28, 28), w(512, 256, 1, 1)], {"stride": 2}),
    "conv depthwise": ("conv", [x(1, 128, 57, 55), w(128, 1, 5, 5), w(128, k=1)],
                       {"pad": 2, "groups": 128}),
    "conv in groups": ("conv", [x(1, 96, 27, 27), w(64, 48, 5, 5)], {"pad": 2, "groups": 2}),
    "conv dilated": ("conv", [x(1, 32, 65, 65), w(48, 32, 3, 3)], {"pad": 6, "dilation": 6}),
    "conv_transpose": ("conv_transpose", [x(1, 64, 28, 28), w(64, 32, 4, 4), w(32, k=1)],
                       {"stride": 2, "pad": 1}),
    "softmax of a vocabulary": ("softmax", [x(8, 50257)], {}),
    "layer_norm": ("layer_norm", [x(64, 12289), x(12289), x(12289)], {}),
    "group_norm": ("group_norm", [x(1, 64, 64, 64), x(64), x(64)], {"num_groups": 4}),
    "sum of a million": ("sum", [x(2, 1048583)], {"axes": [1]}),
    "mean over images": ("mean", [x(4, 33, 129, 65)], {"axes": [0, 2, 3]}),
    "amax of a million": ("amax", [x(1048583)], {"axes": [0]}),
    "max_pool": ("max_pool", [x(1, 64, 113, 111)], {"k": 3, "stride": 2, "pad": 1}),
    "transpose": ("transpose", [x(65, 7, 129, 33)], {"perm": [2, 0, 3, 1]}),
    "gelu": ("gelu", [x(197, 3072)], {}),
    "mha": ("mha", [x(1, 197, 192), *[w(192, 192)] * 4, *[w(192, k=1)] * 4], {"n_heads": 3}),
}


def text_of(attrs):
    return ", ".join(f"{k}={v}".replace(" ", "") for k, v in attrs.items())


def run_one(aneforge, folder, op, arrays, attrs):
    """The first operand is an input, the others are constants; of bmm both are inputs."""
    graph = Graph()
    names = [(graph.input if i == 0 or op == "bmm" else graph.constant)(a)
             for i, a in enumerate(arrays)]
    if op in ("linear", "conv", "conv_transpose"):
        operands, named = names[:2], [("bias", b) for b in names[2:]]
    elif op == "mha":
        operands, named = names[:5], list(zip(("bq", "bk", "bv", "bo"), names[5:], strict=True))
    else:
        operands, named = names, []
    port = graph.output(graph.apply(op, operands, named, text_of(attrs)))
    return graph.run(aneforge, folder)[port]


@pytest.mark.parametrize("name", LARGE)
def test_every_element(aneforge, tmp_path, name):
    op, makers, attrs = LARGE[name]
    rng = np.random.default_rng(len(name))
    arrays = [make(rng) for make in makers]
    got = run_one(aneforge, tmp_path, op, arrays, attrs)
    want = ORACLES[op](*(a.astype(np.float64) for a in arrays), **attrs)
    assert difference(got, want) is None


# ---- against a random vector ---------------------------------------------------------------------

def check_combination(got, signs, want, e):
    """got [...,n] with columns added under random signs, against the product with one column.

    e is the sum of the columns' bounds; each element is off by half an ulp of itself too.
    """
    assert np.all(np.isfinite(got))
    slack = e + np.sum(half_ulp(got), -1)
    off = np.abs(got.astype(np.float64) @ signs - want)
    assert np.all(off <= slack), f"off by up to {np.max(off / slack):.3g} of what is allowed"


def test_gemm_2048(aneforge, tmp_path):
    rng, n = np.random.default_rng(1), 2048
    a, b = uniform(rng, (n, n)), weight(rng, n, n)
    got = run_one(aneforge, tmp_path, "matmul", [a, b], {})
    signs = rng.choice([-1.0, 1.0], n)
    a, b = a.astype(np.float64), b.astype(np.float64)
    e = (n + 2) * U * (np.abs(a) @ np.sum(np.abs(b), 1))
    check_combination(got, signs, a @ (b @ signs), e)


def test_conv_256_channels(aneforge, tmp_path):
    """The signs combine output channels: one channel is left to compute.  By Winograd's formula,
    whose bound is linear in the magnitudes of the weights."""
    rng, c = np.random.default_rng(2), 256
    image, kernel = uniform(rng, (1, c, 56, 56)), weight(rng, c, c, 3, 3)
    got = run_one(aneforge, tmp_path, "conv", [image, kernel], {"pad": 1})
    signs = rng.choice([-1.0, 1.0], c)
    image, kernel = image.astype(np.float64), kernel.astype(np.float64)
    want = ORACLES["conv"](image, np.tensordot(signs, kernel, 1)[None], pad=1).v[:, 0]
    e = oracle_winograd.error(image, kernel, None, 1, 1, combined=True)[:, 0]
    check_combination(np.moveaxis(got, 1, -1), signs, want, e)
