"""Random well-typed graphs: for every operator, how to draw its operands and attributes.

A recipe takes values the graph already has where they fit, so that values are shared and chains
become long, and makes inputs and constants for the rest.  Shapes of results come from the oracles,
run on ones.  `draw` is hypothesis's, so that a failing graph shrinks.
"""
import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from cases import Operand, cases_of, values
from graph_run import Graph, shape_text
from op_info import op_info
from oracles import ORACLES
from samples import COMPARISONS, as_call, as_operands

SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 65)
MOST_ELEMENTS = 3000


class NothingFitsError(Exception):
    """The graph has no value this operator takes."""


@dataclass
class Value:
    """name in the graph; shape; how it was made: op with operands (None for a leaf)."""

    name: str
    shape: tuple
    boolean: bool = False
    op: str = ""
    operands: tuple = ()
    attrs: dict = None
    array: np.ndarray = None  # of a leaf


class RandomGraph:
    def __init__(self, draw, aneforge):
        self.draw, self.aneforge = draw, aneforge
        self.graph, self.values = Graph(), []

    # ---- drawing ---------------------------------------------------------------------------------

    def pick(self, items):
        return self.draw(st.sampled_from(list(items)))

    def whole(self, low, high):
        return self.draw(st.integers(low, high))

    def yes(self):
        return self.draw(st.booleans())

    def shape(self, rank):
        dims = []
        for _ in range(rank):
            d = self.pick(SIZES)
            dims.append(d if math.prod(dims) * d <= MOST_ELEMENTS else 1)
        return tuple(dims)

    def leaf(self, shape, kind="", constant=None, filling="plain"):
        rng = np.random.default_rng(self.whole(0, 2**32 - 1))
        array = values(rng, Operand(kind, False, tuple(shape)), filling)
        constant = self.yes() if constant is None else constant
        name = (self.graph.constant if constant else self.graph.input)(array)
        value = Value(name, tuple(shape), kind == "b", array=array)
        self.values.append(value)
        return value

    def taken(self, fits=lambda v: True):
        """A value that is there and fits, most often one of the last made."""
        found = [v for v in self.values if not v.boolean and fits(v)]
        if not found:
            raise NothingFitsError
        return self.pick(found[-4:] if self.yes() else found)

    def taken_rank(self, low, high=8):
        try:
            return self.taken(lambda v: low <= len(v.shape) <= high)
        except NothingFitsError:
            return self.leaf(self.shape(self.whole(low, max(low, min(high, 4)))), constant=False)

    def constant(self, *shape, kind="", filling="plain"):
        return self.leaf(shape, kind, None, filling)

    def partner(self, shape):
        """A value that broadcasts with `shape`: there already, or that shape with axes dropped."""
        if self.yes():
            for v in reversed(self.values):
                if not v.boolean and _broadcasts(v.shape, shape):
                    return v
        kept = shape[self.whole(0, len(shape)) :]
        filling = self.pick(("plain", "wide"))
        return self.leaf([d if self.yes() else 1 for d in kept], filling=filling)

    def boolean(self, shape):
        for v in reversed(self.values):
            if v.boolean and _broadcasts(v.shape, shape):
                return v
        return self.leaf(shape, "b", constant=True)

    # ---- adding ----------------------------------------------------------------------------------

    def add(self, op):
        """Draws one operator; False where nothing fits or the result would be large."""
        try:
            operands, attrs = RECIPES[op](self, op)
        except NothingFitsError:
            return False
        info = op_info(self.aneforge, op)
        ones = [o and np.ones(o.shape, np.bool_ if o.boolean else np.float16) for o in operands]
        with np.errstate(all="ignore"):
            shape = ORACLES[op](*as_operands(info, ones), **attrs).v.shape
        if math.prod(shape) > 4 * MOST_ELEMENTS:
            return False
        names = [o and o.name for o in operands]
        text = ", ".join(f"{k}={setting_text(v)}" for k, v in attrs.items())
        name = self.graph.apply(op, *as_call(info, names), text)
        self.values.append(Value(name, shape, op in COMPARISONS, op, tuple(operands), attrs))
        return True


def _broadcasts(a, b):
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b), strict=False)) and (
        len(a) <= len(b) or math.prod(a) <= MOST_ELEMENTS)


def setting_text(v):
    return shape_text(v) if isinstance(v, list | tuple) else repr(v)


# ---- elementwise ---------------------------------------------------------------------------------

def unary(g, op):
    return [g.taken_rank(0)], g.pick(cases_of(op)).attrs


def binary(g, op):
    a = g.taken_rank(0)
    b = g.partner(a.shape)
    return ([a, b] if g.yes() else [b, a]), {}


def select(g, op):
    a = g.taken_rank(0)
    return [g.boolean(a.shape), a, g.partner(a.shape)], {}


def of_boolean(g, op):
    return [g.boolean(g.taken_rank(0).shape)], {}


# ---- reductions and norms ------------------------------------------------------------------------

def some_axes(g, rank):
    axes = g.draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    return [a - rank if g.yes() else a for a in axes]


def reduction(g, op):
    x = g.taken_rank(1)
    return [x], {"axes": some_axes(g, len(x.shape))}


def along(g, op):
    x = g.taken_rank(1)
    return [x], {"axis": g.whole(-len(x.shape), len(x.shape) - 1)}


def last_axis(g, op):
    x = g.taken_rank(1)
    vectors = [g.constant(x.shape[-1]) for _ in range(2 if op == "layer_norm" else 1)]
    return [x, *vectors], {"eps": g.pick((1e-5, 0.01))}


def group_norm(g, op):
    x = g.taken_rank(2)
    c = x.shape[1]
    groups = g.pick([d for d in range(1, c + 1) if c % d == 0])
    return [x, g.constant(c), g.constant(c)], {"num_groups": groups}


def batch_norm(g, op):
    x = g.taken_rank(2)
    c = x.shape[1]
    return [x, *(g.constant(c) for _ in range(3)), g.constant(c, kind="p")], {}


# ---- products ------------------------------------------------------------------------------------

def matmul(g, op):
    x = g.taken_rank(1)
    return [x, g.constant(x.shape[-1], g.pick(SIZES))], {}


def linear(g, op):
    x, n = g.taken_rank(1), g.pick(SIZES)
    return [x, g.constant(n, x.shape[-1]), g.constant(n) if g.yes() else None], {}


def bmm(g, op):
    a = g.taken_rank(2)
    batch = [d if g.yes() else 1 for d in a.shape[g.whole(0, len(a.shape) - 2) : -2]]
    return [a, g.constant(*batch, a.shape[-1], g.pick(SIZES[:8]))], {}


def winograd_conv(g):
    """Large enough for Winograd's formula, which few others in a random graph are."""
    k, stride = g.pick([(3, 1), (3, 1), (4, 1), (5, 1), (5, 2), (7, 2), (11, 4)])
    c, cout = (g.whole(32, 34) if stride == 1 else g.whole(3, 5)), g.whole(32, 34)
    x = g.leaf((1, c, g.whole(9, 13) * stride, g.whole(9, 13) * stride), constant=False)
    bias = g.constant(cout) if g.yes() else None
    return [x, g.constant(cout, c, k, k), bias], {"stride": stride, "pad": g.whole(1, 2)}


def conv(g, op):
    transposed = op == "conv_transpose"
    if not transposed and g.whole(0, 3) == 0:
        return winograd_conv(g)
    x = g.taken_rank(4, 4)
    _, c, h, w = x.shape
    groups = g.pick([d for d in range(1, c + 1) if c % d == 0])
    cout, kh, kw = g.whole(1, 3), g.whole(1, 4), g.whole(1, 4)
    attrs = {"stride": g.whole(1, 3), "pad": g.whole(0, 2), "dilation": g.whole(1, 2)}
    for size, k in ((h, kh), (w, kw)):
        span = attrs["dilation"] * (k - 1) + 1
        out = ((size - 1) * attrs["stride"] + span - 2 * attrs["pad"] if transposed
               else size + 2 * attrs["pad"] - span + 1)
        if out < 1:
            raise NothingFitsError
    weight = (c, cout, kh, kw) if transposed else (cout * groups, c // groups, kh, kw)
    bias = g.constant(cout * groups) if g.yes() else None
    return [x, g.constant(*weight), bias], {**attrs, "groups": groups}


# ---- images --------------------------------------------------------------------------------------

def pool(g, op):
    x, k = g.taken_rank(4, 4), g.whole(1, 3)
    pad = g.whole(0, k - 1)
    if min(x.shape[2:]) + 2 * pad < k:
        raise NothingFitsError
    return [x], {"k": k, "stride": g.whole(0, 3), "pad": pad}


def upsample(g, op):
    return [g.taken_rank(4, 4)], {"scale": g.whole(1, 3)}


def pixel_shuffle(g, op):
    x = g.taken_rank(4, 4)
    return [x], {"r": g.pick([r for r in (1, 2, 3, 4) if x.shape[1] % (r * r) == 0])}


def pixel_unshuffle(g, op):
    x = g.taken_rank(4, 4)
    return [x], {"r": g.pick([r for r in range(1, 9) if math.gcd(*x.shape[2:]) % r == 0])}


# ---- moves ---------------------------------------------------------------------------------------

def reshape(g, op):
    """The prime factors in an order and in groups of its own."""
    x, shape = g.taken_rank(0), [1]
    n, p = math.prod(x.shape), 2
    while n > 1:
        if n % p:
            p += 1
        elif g.yes() and len(shape) < 5:
            shape.append(p)
            n //= p
        else:
            shape[g.whole(0, len(shape) - 1)] *= p
            n //= p
    return [x], {"shape": shape}


def transpose(g, op):
    x = g.taken_rank(0)
    return [x], {"perm": list(g.draw(st.permutations(range(len(x.shape)))))}


def box(g, op):
    x = g.taken_rank(0)
    begin = [g.whole(0, d - 1) for d in x.shape]
    return [x], {"begin": begin,
                 "size": [g.whole(1, d - b) for d, b in zip(x.shape, begin, strict=True)]}


def split(g, op):
    x = g.taken_rank(1)
    axis = g.whole(0, len(x.shape) - 1)
    parts = g.pick([d for d in range(1, x.shape[axis] + 1) if x.shape[axis] % d == 0])
    return [x], {"parts": parts, "axis": axis, "index": g.whole(0, parts - 1)}


def expand(g, op):
    x = g.taken_rank(0, 6)
    shape = [d if d > 1 else g.whole(1, 3) for d in x.shape]
    return [x], {"shape": ([g.whole(1, 3)] if g.yes() else []) + shape}


def squeeze(g, op):
    x = g.taken(lambda v: 1 in v.shape)
    ones = [i for i, d in enumerate(x.shape) if d == 1]
    return [x], {"axes": g.draw(st.lists(st.sampled_from(ones), min_size=1, unique=True))}


def expand_dims(g, op):
    x = g.taken_rank(0, 6)
    return [x], {"axes": [g.whole(0, len(x.shape))]}


def concat(g, op):
    x = g.taken_rank(1)
    axis = g.whole(0, len(x.shape) - 1)

    def fits(v):
        return len(v.shape) == len(x.shape) and all(
            a == b for i, (a, b) in enumerate(zip(v.shape, x.shape, strict=True)) if i != axis)

    return [x, *(g.taken(fits) for _ in range(g.whole(0, 3)))], {"axis": axis}


# ---- composites: on leaves alone, where a bound carried through them says something --------------

def attention(g, op):
    heads, batch = g.whole(1, 3), g.shape(1) if g.yes() else ()
    s, t, d, dc = (g.whole(1, 9) for _ in range(4))
    e, o = heads * g.whole(1, 5), g.whole(1, 9)
    x, context = g.leaf((*batch, s, d)), g.leaf((*batch, t, dc))
    if op == "mha":
        context, dc = x, d
    weights = [g.constant(*shape) for shape in ((e, d), (e, dc), (e, dc), (o, e))]
    biases = [g.constant(n) if g.yes() else None for n in (e, e, e, o)]
    return [x, *[context] * (op != "mha"), *weights, *biases], {"n_heads": heads}


def geglu(g, op):
    d, f = g.whole(1, 17), g.whole(1, 9)
    bias = g.constant(2 * f) if g.yes() else None
    return [g.leaf((*g.shape(g.whole(0, 2)), d)), g.constant(2 * f, d), bias], {}


RECIPES = {
    **dict.fromkeys((
        "relu", "silu", "gelu", "sigmoid", "tanh", "exp", "sqrt", "rsqrt", "abs", "square", "sin",
        "cos", "erf", "softplus", "relu6", "log", "elu", "leaky_relu", "clip", "neg", "scale"),
        unary),
    **dict.fromkeys((
        "add", "sub", "mul", "div", "maximum", "minimum", "pow", "equal", "not_equal", "less",
        "less_equal", "greater", "greater_equal"), binary),
    **dict.fromkeys(("logical_not", "cast"), of_boolean),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), reduction),
    **dict.fromkeys(("softmax", "l2_norm"), along),
    **dict.fromkeys(("rms_norm", "layer_norm"), last_axis),
    **dict.fromkeys(("conv", "conv_transpose"), conv),
    **dict.fromkeys(("max_pool", "avg_pool"), pool),
    **dict.fromkeys(("mha", "cross_attention"), attention),
    "select": select, "group_norm": group_norm, "batch_norm": batch_norm, "matmul": matmul,
    "linear": linear, "bmm": bmm, "upsample": upsample, "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle, "reshape": reshape, "transpose": transpose, "slice": box,
    "split": split, "expand": expand, "squeeze": squeeze, "expand_dims": expand_dims,
    "concat": concat, "geglu": geglu,
}
