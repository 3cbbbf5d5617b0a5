"""Anything may be given to anything: the answer is a result or an exception of a documented type.

Every public function, method and operator, and what they call in the extension, gets arguments
drawn from things that fit and things that do not. MISUSE_EXAMPLES is the number of calls (1000),
the same ones each time; under an address sanitizer (tools/test_full.sh python) this is the fuzz
target of the module.
"""
import itertools
import operator
import os
from fractions import Fraction
from pathlib import PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import aneforge as af
from aneforge import _core

EXAMPLES = int(os.environ.get("MISUSE_EXAMPLES", "1000"))
DOCUMENTED = (TypeError, ValueError, RuntimeError, NotImplementedError, KeyError, IndexError,
              OSError, MemoryError)
A = np.arange(6, dtype=np.float32).reshape(2, 3)


class Raising:
    """Whatever is asked of it raises an exception of its own."""

    def refuse(self, *_, **__):
        raise ZeroDivisionError("asked for too much")

    __index__ = __float__ = __int__ = __len__ = __iter__ = __array__ = __fspath__ = refuse
    __getitem__ = __bool__ = __buffer__ = refuse

    def __repr__(self):
        return "Raising()"


class Lying:
    """Says it is an array, and is none."""

    ndim, shape, dtype = 0, "large", SimpleNamespace(kind="f")

    @property
    def __array_interface__(self):
        return {"shape": (3,), "typestr": "<f4", "data": (0, False), "version": 3}

    def __float__(self):
        return "one"

    def __index__(self):
        return -(2**70)


class Sub(np.ndarray):
    pass


def net_of(shape):
    return af.compile(af.input(shape) + 1)


def released():
    net = net_of((2,))
    net.release()
    return net


TENSORS = [af.input(shape) for shape in ((), (1,), (3,), (2, 3), (3, 2), (2, 4, 3), (1, 4, 4, 4),
                                         (1, 4, 8, 8), (1, 1, 1, 1, 1, 1, 1, 1))]
TENSORS += [TENSORS[3].greater(0), af.image_input((1, 3, 4, 4)), TENSORS[7].relu().mean((2, 3))]
NETS = [net_of((2, 3)), af.compile([TENSORS[3] * 2, TENSORS[4] - 1]),
        af.compile(af.image_input((1, 3, 2, 2)) * 1), released()]
STATES = [n.new_state() for n in NETS[:3]]
RECORD = np.zeros(3, [("a", "f4"), ("b", "i2")])
FIXED = [
    None, True, False, Ellipsis, NotImplemented, 0, 1, -1, 2, 3, 2**31, 2**63, -(2**63) - 1,
    10**4000, 0.0, -0.5, 1e308, float("nan"), float("inf"), 1j, Fraction(1, 3), "", "x0", "y0",
    "\ud800", "int8", b"", b"abc", bytearray(b"abcd"), memoryview(b"abcdef"), (), [], {}, set(),
    {"a": 1}, range(3), object(), object, type, int, np.float16, len, lambda: 0, Raising(),
    Lying(), Sub, iter([1, 2]), PurePosixPath("/nowhere"), slice(1, 2), [[1, 2], [3]], [1, "a"],
    [None], (2, 3), (0, 1), (-1, 6), (1, 4, 4, 4), (2, 3, 4, 5, 6, 7, 8, 9, 10), [2.5, 1],
    [2**62, 2**62], (True, False), np.float16(1.5), np.float64("nan"), np.int8(-3),
    np.uint64(2**64 - 1), np.complex64(1j), np.bool_(1), np.str_("a"), np.datetime64("2020"),
    np.array(None), np.array(2), np.array("a"), np.array(1j), RECORD, RECORD["a"],
    np.ma.masked_array([1.0, 2, 3], [0, 1, 0]), np.ma.masked, np.float32, np.dtype("f4"),
    np.zeros((0, 3)), np.zeros((3, 0), np.float16), A, A.T, A[::-1, ::-1], A[:, ::2],
    A.astype(">f4"), A.astype(">f2"), A.view(Sub), A.astype(np.longdouble), A.astype(object),
    A.astype("M8[s]"), np.broadcast_to(np.float32(1), (2, 3)),
    np.broadcast_to(np.float64(1), (4, 4, 3, 3)), np.ones((4, 4, 1, 1), np.float16), np.ones(4),
    np.ones((1,) * 9), np.ones((2, 3), np.uint8),
    np.frombuffer(b"\0" * 25, np.uint8)[1:].view(np.float32).reshape(2, 3),
    af.Tensor, af.Model, af.State, af, _core.Node,
]
FIXED += TENSORS + NETS + STATES


def anything():
    shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)
    dtypes = st.one_of(hnp.floating_dtypes(), hnp.scalar_dtypes())
    small = st.integers(-9, 9)
    return st.one_of(st.sampled_from(FIXED), st.sampled_from(FIXED), st.sampled_from(TENSORS),
                     small, st.floats(), st.text(max_size=3),
                     st.lists(small, max_size=9).map(tuple),
                     hnp.arrays(hnp.floating_dtypes(endianness="=", sizes=(16, 32, 64)), shapes),
                     hnp.arrays(dtypes, shapes), st.lists(st.sampled_from(FIXED), max_size=3))


def public(owner, *more):
    names = [n for n in dir(owner) if not n.startswith("_")] + list(more)
    return [getattr(owner, n) for n in names if callable(getattr(owner, n, None))]


FUNCTIONS = [getattr(af, name) for name in af.__all__]
UNBOUND = public(af.Tensor, "__array__", "__reduce__", "__iter__") + public(
    af.Model, "__call__", "__enter__", "__exit__", "__reduce__") + public(af.State, "__reduce__")
INSIDE = [_core.op, _core.input, _core.image_input, _core.compile, _core.load, _core.address,
          _core.ops]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
             operator.matmul]
NAMES = ["x", "weight", "stride", "pad", "bias", "groups", "axis", "axes", "eps", "W", "n_heads",
         "b", "scale", "opt", "out", "target", "compress", "int8", "shape", "perm", "k", "lo",
         "which"]


def call(function, arguments, named):
    """The result, or the exception if it is one of the documented ones."""
    try:
        return function(*arguments, **named)
    except DOCUMENTED as error:
        assert str(error).strip(), f"{function}: an exception that says nothing"
        return error


@settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_anything_given_to_anything(data, tmp_path_factory, monkeypatch):
    function = data.draw(st.sampled_from(FUNCTIONS + UNBOUND + UNBOUND + INSIDE + OPERATORS))
    arguments = data.draw(st.lists(anything(), max_size=6))
    some = st.dictionaries(st.sampled_from(NAMES), anything(), max_size=2)
    named = data.draw(st.one_of(st.just({}), some))
    if function in UNBOUND and data.draw(st.integers(0, 9)):
        owner = function.__qualname__.partition(".")[0]
        fits = {"Model": NETS, "State": STATES}.get(owner, TENSORS)
        arguments.insert(0, data.draw(st.sampled_from(fits)))
    if function in OPERATORS:
        pair = [data.draw(anything()), data.draw(st.sampled_from(TENSORS))]
        arguments, named = pair if data.draw(st.booleans()) else pair[::-1], {}
    if function in (af.Model.release, af.Model.__exit__):
        arguments[:1] = [net_of((2,))]  # the others are used again
    with monkeypatch.context() as m:
        m.chdir(tmp_path_factory.getbasetemp())
        got = call(function, arguments, named)
    if isinstance(got, af.Tensor) and np.prod(got.shape) < 10_000:
        call(af.compile, [got], {})
    np.testing.assert_array_equal(NETS[0](A), A + 1)


def test_an_endless_iterable_is_left_alone():
    x = TENSORS[3]
    with pytest.raises(ValueError, match=r"^reshape: shape: more than 8 numbers$"):
        x.reshape(itertools.count(1))
    with pytest.raises(ValueError, match=r"^concat: tensors: more than 1048576 are given$"):
        af.concat(itertools.repeat(x))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("where", ["__array__", "__index__", "__iter__", "__getattr__"])
def test_no_interrupt_is_disguised(error, where):
    def stop(*_, **__):
        raise error
    thing = type("Thing", (), {where: stop})()
    x = TENSORS[3]
    uses = {"__array__": [lambda: x @ thing, lambda: NETS[0](thing),
                          lambda: af.image_input((2,), thing)],
            "__index__": [lambda: x.reshape(thing, 2), lambda: x.softmax(thing),
                          lambda: af.input(thing)],
            "__iter__": [lambda: af.concat(thing), lambda: x.mean(thing), lambda: af.input(thing)],
            "__getattr__": [lambda: x + thing, lambda: af.conv(x, thing), lambda: x.clip(thing, 1)]}
    for use in uses[where]:
        with pytest.raises(error):
            use()
