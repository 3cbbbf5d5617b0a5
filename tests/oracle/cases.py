"""What every operator is compared on, and the values it gets.

A case is operand shapes, in the order of the operator's call in a graph text, and attributes as the
text has them.  In front of a shape: `w` a constant, `p` positive, `b` boolean, `u` bytes; `-` is an
operand left out.  test_table.py demands that each operator has a case of size 1, one of odd
sizes and one of the highest rank it takes; that each attribute is given, and left out.
"""
import re
from dataclasses import dataclass

import numpy as np

ANY = ["[2,3,4]", "[]", "[1]", "[37]", "[5,129]", "[1,3,7,43]", "[2,1,3,1,2,1,2,3]"]
POSITIVE = [shape.replace("[", "p[") for shape in ANY]
PAIRS = [
    "[2,3,4] [2,3,4]", "[1] [1]", "[] []", "[37,5] []", "[1] [5,37]", "[7,129] [129]",
    "[7,1] [7,129]", "[37,1] [1,5]", "[2,5,3,7] [5,1,1]", "[3,1,5] [2,1,4,1]", "[1031] w[1031]",
    "w[] [3,3]", "[2,6,9] w[1,6,1]", "[2,1,3,1,2,1,2,1] [1,3,1,2,1,2,1,3]",
]
POSITIVE_PAIRS = [pair.replace("[", "p[") for pair in PAIRS]
REDUCTIONS = [
    ("[2,3,4,5]", "axes=[2,3]"), ("[1]", "axes=[0]"), ("[5,37]", "axes=[-1]"),
    ("[37,5]", "axes=[0]"), ("[3,129,4]", "axes=[1]"), ("[4,3,5,6]", "axes=[0,2]"),
    ("[2,3,4]", "axes=[2,0,1]"), ("[3,1,7]", "axes=[1]"), ("[2,4099]", "axes=[1]"),
    ("[2,67,65]", "axes=[1,2]"), ("[17,3]", "axes=[1]"), ("[2,8195]", "axes=[1]"),
    ("[2,1,3,2,1,2,3,2]", "axes=[1,-2,3,5]"), ("[2,1,3,2,1,2,3,2]", "axes=[0,1,2,3,4,5,6,7]"),
]
POOLS = [
    ("[1,3,8,8]", "k=2"), ("[1,1,1,1]", "k=1"), ("[2,3,9,11]", "k=3, stride=2, pad=1"),
    ("[1,2,7,37]", "k=3, stride=1"), ("[1,2,5,129]", "k=2"),
    ("[1,5,13,12]", "k=5, stride=3, pad=2"), ("[1,2,6,7]", "k=3, stride=5"),
    ("[1,1,4,4]", "k=4, pad=3, stride=1"), ("[1,2,1,9]", "k=2, pad=1"), ("[1,2,31,29]", "k=7"),
]
ALPHAS = [("[2,3,4]", ""), ("[]", "alpha=0.3"), ("[1]", "alpha=0.5"), ("[37]", "alpha=0"),
          ("[5,129]", "alpha=0.25"), ("[7,43]", "alpha=-2.5"), ("[2,1,3,1,2,1,2,3]", "alpha=1")]
EPSILONS = [("p[2,3,4]", ""), ("p[]", "eps=1e-5"), ("p[1]", "eps=0.5"), ("p[37]", "eps=0.001"),
            ("p[5,129]", ""), ("p[2,1,3,1,2,1,2,3]", "eps=1")]
ALONG = [("[2,3,8]", ""), ("[1]", ""), ("[5,37]", ""), ("[37,5]", "axis=0"),
         ("[3,129,4]", "axis=1"), ("[2,1]", ""), ("[2,3,4,5]", "axis=-3"), ("[2,4099]", ""),
         ("[2,1,3,2,1,2,3,2]", "axis=-2"), ("[11,2,13]", "axis=0")]


def no_attrs(*operands):
    return [(text, "") for text in operands]


CASES = {
    **dict.fromkeys((
        "relu", "silu", "gelu", "sigmoid", "tanh", "exp", "abs", "square", "sin", "cos", "erf",
        "softplus", "relu6", "neg"), no_attrs(*ANY)),
    "sqrt": no_attrs(*POSITIVE),
    "rsqrt": EPSILONS,
    "log": EPSILONS,
    "elu": ALPHAS,
    "leaky_relu": ALPHAS,
    "clip": [("[2,3,4]", "lo=-0.5, hi=0.5"), ("[1]", "lo=0, hi=0"), ("[37]", "lo=-1, hi=0.1"),
             ("[5,129]", "lo=0.3, hi=1000000"), ("[]", "lo=-inf, hi=inf"),
             ("[2,1,3,1,2,1,2,3]", "lo=-inf, hi=0.7")],
    "scale": [("[2,3,4]", "factor=0.00392156862745098"), ("[1]", "factor=-1"), ("[]", "factor=1e6"),
              ("[5,129]", "factor=0"), ("[37]", "factor=1e-6"),
              ("[2,1,3,1,2,1,2,3]", "factor=0.1")],
    **dict.fromkeys((
        "add", "sub", "mul", "maximum", "minimum", "equal", "not_equal", "less", "less_equal",
        "greater", "greater_equal"), no_attrs(*PAIRS)),
    "div": no_attrs(*POSITIVE_PAIRS, "[37] [37]"),
    "pow": no_attrs(*POSITIVE_PAIRS),
    "logical_not": no_attrs("b[2,3]", "b[1]", "b[5,129]", "wb[37]", "b[2,1,3,1,2,1,2,3]"),
    "select": no_attrs(
        "b[2,3,4] [2,3,4] [2,3,4]", "b[1] [1] [1]", "b[5,129] [129] []", "b[7,1] [1,37] [7,37]",
        "b[] [3,5] [5]", "b[37,1] [5] w[37,5]", "wb[3,7] [3,7] [3,7]",
        "b[2,1,3,1,2,1,2,1] [1,3,1,2,1,2,1,3] [2,1,1]"),
    "cast": no_attrs("u[1,3,8,9]", "u[1]", "u[5,129]", "b[4,7]", "u[75]", "u[2,1,3,1,2,1,2,3]"),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), REDUCTIONS),
    "softmax": ALONG,
    "l2_norm": [*ALONG, ("[5,37]", "eps=0.25"), ("[7,3]", "eps=0, axis=0")],
    "rms_norm": [("[4,8] w[8]", ""), ("[1] w[1]", ""), ("[5,37] w[37]", "eps=0.1"),
                 ("[37] w[37]", ""), ("[2,3,129] w[129]", ""), ("[2,4099] w[4099]", ""),
                 ("[3,5] [5]", "eps=0"), ("[2,1,3,2,1,2,3,7] w[7]", "")],
    "layer_norm": [("[4,8] w[8] w[8]", ""), ("[1] w[1] w[1]", ""),
                   ("[5,37] w[37] w[37]", "eps=0.1"), ("[37] w[37] w[37]", ""),
                   ("[2,3,129] w[129] w[129]", ""), ("[2,4099] w[4099] w[4099]", ""),
                   ("[3,5] [5] [5]", "eps=0.001"), ("[2,1,3,2,1,2,3,7] w[7] w[7]", "")],
    "group_norm": [("[1,4,3,5] w[4] w[4]", "num_groups=2"), ("[1,1] w[1] w[1]", "num_groups=1"),
                   ("[2,6,37] w[6] w[6]", "num_groups=3"),
                   ("[1,8,7,9] w[8] w[8]", "num_groups=8, eps=0.01"),
                   ("[3,10] w[10] w[10]", "num_groups=5"),
                   ("[1,6,37,41] w[6] w[6]", "num_groups=2"),
                   ("[2,6,1,3,2,1,2,3] [6] w[6]", "num_groups=3"),
                   ("[1,64,13,11] w[64] w[64]", "num_groups=1")],
    "batch_norm": [("[1,4,3,5] w[4] w[4] w[4] wp[4]", ""), ("[1,1] w[1] w[1] w[1] wp[1]", ""),
                   ("[2,3,37] w[3] w[3] w[3] wp[3]", "eps=0.01"),
                   ("[5,129] w[129] w[129] w[129] wp[129]", ""), ("[2,3,5] [3] [3] [3] p[3]", ""),
                   ("[2,6,1,3,2,1,2,3] w[6] w[6] w[6] wp[6]", "eps=0")],
    "max_pool": POOLS,
    "avg_pool": POOLS,
    "matmul": no_attrs(
        "[4,8] w[8,6]", "[1,1] w[1,1]", "[37] w[37,19]", "[7,129] w[129,35]", "[2,3,5] w[5,17]",
        "[3,1] w[1,33]", "[17,300] w[300,16]", "[2,9] [9,4]", "[5,600] w[600,1]", "w[3,5] [5,7]",
        "[2,1,3,1,2,1,2,5] w[5,3]"),
    "linear": no_attrs(
        "[4,8] w[6,8] w[6]", "[4,8] w[6,8]", "[1,1] w[1,1] w[1]", "[37] w[19,37] w[19]",
        "[7,129] w[35,129]", "[2,3,5] w[17,5] w[17]", "[13,257] w[33,257] w[33]", "[3,1] w[5,1]",
        "[2,9] [4,9] [4]", "[2,1,3,1,2,1,2,5] w[3,5] w[3]"),
    "bmm": no_attrs(
        "[2,4,8] [2,8,6]", "[1,1] [1,1]", "[3,7,37] [3,37,19]", "[2,3,5,9] [9,4]",
        "[5,9] [2,3,9,4]", "[2,1,4,5] [3,5,6]", "[4,129] [129,33]", "[2,2,1,64] [2,2,64,17]",
        "[3,4,5] w[1,5,7]", "[2,1,2,1,2,1,3,5] [1,2,1,2,1,2,5,3]"),
    "conv": [
        ("[2,3,8,9] w[4,3,3,3] w[4]", "pad=1"), ("[1,1,1,1] w[1,1,1,1]", ""),
        ("[1,5,7,5] w[6,5,1,1] w[6]", ""), ("[1,5,7,9] w[6,5,1,1]", "stride=2"),
        ("[1,3,17,19] w[5,3,3,3] w[5]", "stride=2, pad=1"),
        ("[1,2,13,11] w[3,2,3,3]", "dilation=2, pad=2"),
        ("[2,6,9,7] w[4,3,3,3] w[4]", "groups=2, pad=1"),
        ("[1,5,9,37] w[5,1,3,3] w[5]", "groups=5, pad=1"),
        ("[1,4,9,9] w[8,1,3,3]", "groups=4, stride=2, pad=1"), ("[1,3,6,5] w[2,3,2,5]", "pad=2"),
        ("[1,4,10,10] w[17,4,3,3]", "pad=1"), ("[1,1,4,4] w[2,1,5,5]", "pad=3, stride=3"),
        ("[1,40,6,6] w[33,40,3,3] w[33]", "pad=1"), ("[1,3,16,16] w[4,3,7,7]", "stride=4, pad=3"),
        ("[1,2,6,6] [3,2,3,3] [3]", ""), ("[1,6,11,13] w[9,2,3,2]", "groups=3, dilation=3, pad=4"),
        ("[3,2,1,19] w[5,2,1,7]", ""), ("[1,3,5,7] w[4,3,5,7] w[4]", ""),
        ("[1,16,19,23] w[16,1,5,5] w[16]", "groups=16, pad=2, stride=2"),
    ],
    "conv_transpose": [
        ("[1,3,5,6] w[3,4,3,3] w[4]", "stride=2, pad=1"), ("[1,1,1,1] w[1,1,1,1]", ""),
        ("[1,4,8,9] w[4,3,2,5]", ""), ("[2,4,5,5] w[4,3,3,3] w[6]", "groups=2, pad=1"),
        ("[1,3,7,5] w[3,3,2,2]", "stride=2"),
        ("[1,2,6,5] w[2,3,3,3] w[3]", "stride=3, dilation=2, pad=1"),
        ("[1,2,6,6] w[2,3,3,3]", "pad=3"), ("[1,5,4,37] w[5,1,4,4]", "stride=2, pad=1, groups=5"),
        ("[1,17,5,7] w[17,19,3,3] w[19]", "stride=2, pad=1"), ("[1,3,4,5] [3,2,3,3] [2]", ""),
        ("[1,3,8,20] w[3,5,2,15]", ""),
    ],
    "upsample": [("[1,2,3,4]", ""), ("[1,1,1,1]", "scale=1"), ("[2,3,5,37]", "scale=3"),
                 ("[1,2,1,5]", "scale=4")],
    "concat": [("[2,3,4] [2,5,4]", ""), ("[1] [1]", "axis=0"), ("[2,7]", ""),
               ("[5,37] [5,1] [5,129]", ""), ("[3,4] [1,4] w[2,4]", "axis=0"),
               ("[2,3,5] [2,3,7]", "axis=-1"), ("[1,2,3,3] [1,1,3,3] [1,4,3,3]", ""),
               ("[2,1,3,1,2,1,2,3] [2,1,3,1,2,1,5,3]", "axis=6")],
    "reshape": [("[2,3,4]", "shape=[6,4]"), ("[1]", "shape=[]"), ("[5,37]", "shape=[37,5]"),
                ("[129,2]", "shape=[-1]"), ("[4,9]", "shape=[2,2,-1,3]"), ("[]", "shape=[1,1]"),
                ("[2,3,5,7]", "shape=[1,6,35]"), ("[2,1,3,1,2,1,2,3]", "shape=[3,2,2,2,1,3,1,1]")],
    "transpose": [("[3,4]", "perm=[1,0]"), ("[1]", "perm=[0]"), ("[37,5]", "perm=[1,0]"),
                  ("[2,3,4]", "perm=[2,0,1]"), ("[2,5,3,7]", "perm=[0,2,-1,1]"),
                  ("[129,33]", "perm=[-1,-2]"), ("[2,3,4,5]", "perm=[0,1,3,2]"), ("[]", "perm=[]"),
                  ("[2,1,3,2,5]", "perm=[4,3,2,1,0]"),
                  ("[2,1,3,2,2,1,2,3]", "perm=[5,7,2,0,6,1,4,3]")],
    "pixel_shuffle": [("[1,8,3,4]", "r=2"), ("[1,1,1,1]", "r=1"), ("[2,18,5,7]", "r=3"),
                      ("[1,4,1,37]", "r=2")],
    "pixel_unshuffle": [("[1,2,6,8]", "r=2"), ("[1,1,1,1]", "r=1"), ("[2,3,15,9]", "r=3"),
                        ("[1,1,2,74]", "r=2"), ("[1,5,7,7]", "r=7")],
    "slice": [("[4,6]", "begin=[1,2], size=[2,3]"), ("[1]", "begin=[0], size=[1]"),
              ("[37]", "begin=[5], size=[31]"), ("[2,3,129]", "begin=[1,0,7], size=[1,3,121]"),
              ("[5,4,3]", "begin=[0,3,2], size=[5,1,1]"), ("[]", "begin=[], size=[]"),
              ("[2,1,3,1,2,1,4,3]", "begin=[1,0,1,0,0,0,1,2], size=[1,1,2,1,2,1,3,1]")],
    "split": [("[4,6]", "parts=2, index=1"), ("[1]", "parts=1, index=0"),
              ("[5,111]", "parts=3, axis=-1, index=2"), ("[2,6,5]", "parts=3, axis=1, index=0"),
              ("[2,1,3,1,2,1,4,3]", "parts=3, axis=2, index=1")],
    "expand": [("[3,1]", "shape=[3,4]"), ("[1]", "shape=[1]"), ("[]", "shape=[37]"),
               ("[5]", "shape=[2,3,5]"), ("[2,1,129]", "shape=[2,3,129]"),
               ("[1,7,1]", "shape=[4,1,7,5]"), ("[2,1,3,1,2,1,2,1]", "shape=[2,3,3,2,2,1,2,3]")],
    "squeeze": [("[2,1,3]", "axes=[1]"), ("[1]", "axes=[0]"), ("[1,37,1,5]", "axes=[-2,0]"),
                ("[2,1,3,1,2,1,2,3]", "axes=[1,3,-3]")],
    "expand_dims": [("[2,3]", "axes=[1]"), ("[]", "axes=[0]"), ("[37,5]", "axes=[0,-1]"),
                    ("[1]", "axes=[0]"), ("[129]", "axes=[-1,0,2]"),
                    ("[2,3,1,5,1,2,1]", "axes=[4]")],
    "mha": [
        ("[5,8] w[8,8] w[8,8] w[8,8] w[8,8] w[8] w[8] w[8] w[8]", "n_heads=2"),
        ("[1,1] w[1,1] w[1,1] w[1,1] w[1,1]", "n_heads=1"),
        ("[37,12] w[12,12] w[12,12] w[12,12] w[12,12] - w[12]", "n_heads=3"),
        ("[2,7,6] w[6,6] w[6,6] w[6,6] w[6,6] w[6] w[6] w[6] w[6]", "n_heads=1"),
        ("[3,5,9] w[6,9] w[6,9] w[6,9] w[4,6] - - - w[4]", "n_heads=2"),
        ("[3,7] [14,7] [14,7] [14,7] [7,14]", "n_heads=2"),
    ],
    "cross_attention": [
        ("[5,8] [7,6] w[8,8] w[8,6] w[8,6] w[8,8] w[8] w[8] w[8] w[8]", "n_heads=2"),
        ("[1,1] [1,1] w[1,1] w[1,1] w[1,1] w[1,1]", "n_heads=1"),
        ("[9,12] [37,5] w[12,12] w[12,5] w[12,5] w[12,12] - w[12]", "n_heads=4"),
        ("[2,3,4] [2,6,5] w[4,4] w[4,5] w[4,5] w[4,4] - - - w[4]", "n_heads=2"),
    ],
    "geglu": no_attrs("[4,6] w[10,6] w[10]", "[1] w[2,1]", "[5,37] w[34,37] w[34]",
                      "[2,3,9] w[6,9]", "[2,1,3,1,2,1,2,5] w[6,5] w[6]", "[3,7] [10,7] [10]"),
}

# Of the others it is 8, the highest there is.
HIGHEST_RANK = {
    "conv": 4, "conv_transpose": 4, "max_pool": 4, "avg_pool": 4, "upsample": 4,
    "pixel_shuffle": 4, "pixel_unshuffle": 4, "expand_dims": 7, "mha": 3, "cross_attention": 3,
}


# ---- reading a case ------------------------------------------------------------------------------

@dataclass(frozen=True)
class Operand:
    """A shape; kind is "" (any numbers), "p", "b" or "u"."""

    kind: str
    constant: bool
    shape: tuple


@dataclass(frozen=True)
class Case:
    op: str
    text: str
    attrs_text: str
    operands: tuple  # None where absent

    @property
    def attrs(self):
        pairs = re.findall(r"(\w+)=(\[[^]]*\]|[^,\s]+)", self.attrs_text)
        return {name: _setting(text) for name, text in pairs}

    def __str__(self):
        return f"{self.op} {self.text} ({self.attrs_text})"


def _setting(text):
    if text.startswith("["):
        return [int(item) for item in text[1:-1].split(",") if item]
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _operand(text):
    if text == "-":
        return None
    marks, _, dims = text[:-1].partition("[")
    shape = tuple(int(d) for d in dims.split(",") if d)
    return Operand(marks.replace("w", ""), "w" in marks, shape)


def parse_operands(text):
    return tuple(_operand(word) for word in text.split())


def cases_of(op):
    return [Case(op, text, attrs, parse_operands(text)) for text, attrs in CASES[op]]


# ---- values --------------------------------------------------------------------------------------

RARE = np.array([0x7E00, 0x7C00, 0xFC00, 0x0000, 0x8000, 0x0001, 0x8001, 0x7BFF, 0xFBFF],
                np.uint16).view(np.float16)
FILLINGS = ("plain", "wide", "special")
# Several operators in one: with values of any size their bounds are useless or undefined, and
# test_composites.py compares them with their parts instead.
COMPOSITES = ("mha", "cross_attention", "geglu")


def fillings_of(op):
    return FILLINGS[:1] if op in COMPOSITES else FILLINGS


def values(rng, operand, filling):
    """Numbers for an operand, as float16, bool or uint8.

    plain: uniform in [-2, 2).  wide: either sign, magnitudes 2^-10 to 2^6.  special: plain, and one
    in 8 a NaN, an infinity, a zero of either sign, a least or a largest number.  Positive ones are
    at least 1/4 in plain.
    """
    shape = operand.shape
    if operand.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if operand.kind == "u":
        return np.asarray(rng.integers(0, 256, shape, np.uint8))
    positive = operand.kind == "p"
    if filling == "wide":
        x = 2.0 ** rng.uniform(-10, 6, shape)
        x = x if positive else x * rng.choice([-1.0, 1.0], shape)
    else:
        x = rng.uniform(0.25 if positive else -2, 2, shape)
    x = np.asarray(x, np.float64).astype(np.float16)
    if filling == "special":
        x = np.where(rng.random(shape) < 0.125, rng.choice(RARE, shape), x)
    return x
