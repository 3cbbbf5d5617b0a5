"""Every mistake is the right exception, with one message: what was given, what was needed."""
import copy
import pickle

import numpy as np
import pytest

import aneforge as af
from aneforge import _core

F32 = np.float32
W = np.zeros((4, 3, 3, 3), F32)


class Loud:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array here")


@pytest.fixture
def x():
    return af.input((1, 3, 8, 8))


@pytest.fixture(scope="module")
def net():
    return af.compile(af.input((2, 3)) + 1)


BUILDING = [
    (lambda x: af.conv(x, W[:, :2]), ValueError,
     "conv: weight [4,2,3,3] needs Cin 2, x [1,3,8,8] has 3"),
    (lambda x: af.conv(x, W.astype(np.int32)), TypeError,
     "conv: weight: has dtype int32, needs float16, float32 or float64"),
    (lambda x: af.conv(x, W.astype(">f4")), TypeError,
     "conv: weight: is in the other byte order; use a.astype(a.dtype.newbyteorder('='))"),
    (lambda x: af.conv(x, W, bias=np.zeros(4, complex)), TypeError,
     "conv: bias: has dtype complex128, needs float16, float32, float64, integers or bool"),
    (lambda x: af.conv(x, None), TypeError,
     "conv: weight: needs an array of float16, float32 or float64, given <class 'NoneType'>"),
    (lambda x: af.conv(x, Loud()), TypeError,
     ("conv: weight: needs an array of float16, float32 or float64, given "
     "<class 'test_misuse.Loud'>: no array here")),
    (lambda x: af.conv(W, W), TypeError, "conv: needs a Tensor among its operands"),
    (lambda x: af.conv(x, W, stride=1.5), TypeError, "conv: stride: needs an integer, given 1.5"),
    (lambda x: af.conv(x, W, stride=2**70), ValueError,
     "conv: stride: 1180591620717411303424 does not fit 64 bits"),
    (lambda x: x.linear(np.zeros((4, 0), F32)), ValueError,
     "linear: weight: has shape (4, 0), needs dims of at least 1"),
    (lambda x: x.linear(np.zeros((1,) * 9, F32)), ValueError,
     "linear: weight: has 9 dims, at most 8 are possible"),
    (lambda x: x.softmax(axis=7), ValueError, "softmax: axis 7 is out of range for rank 4"),
    (lambda x: x.softmax(axis="w"), TypeError, "softmax: axis: needs an integer, given 'w'"),
    (lambda x: x.mean("w"), TypeError,
     "mean: axes: needs an integer or a sequence of integers, given 'w'"),
    (lambda x: x.mean((1.0,)), TypeError, "mean: axes: needs an integer in every place, given 1.0"),
    (lambda x: x.mean(np.array([0.0, 1])), TypeError,
     f"mean: axes: needs an integer in every place, given {np.float64(0)!r}"),
    (lambda x: x.mean(np.array([[0, 1]])), TypeError,
     "mean: axes: needs an integer in every place, given array([0, 1])"),
    (lambda x: x.mean(np.array(2.0)), TypeError,
     "mean: axes: needs an integer or a sequence of integers, given array(2.)"),
    (lambda x: x.reshape(np.ones(2)), TypeError,
     f"reshape: shape: needs an integer in every place, given {np.float64(1)!r}"),
    (lambda x: x.reshape(6.0), TypeError,
     "reshape: shape: needs an integer or a sequence of integers, given 6.0"),
    (lambda x: x.softmax(np.array([1, 2])), TypeError,
     "softmax: axis: needs an integer, given array([1, 2])"),
    (lambda x: x.reshape((1,) * 9), ValueError,
     "reshape: shape: more than 8 numbers"),
    (lambda x: x.clip("a", 1), TypeError, "clip: lo: needs a number, given 'a'"),
    (lambda x: x.clip(10**400, 1), ValueError,
     f"clip: lo: {10**400!r:.200} does not fit float64"),
    (lambda x: x + 10**400, ValueError, f"add: {10**400!r:.200} does not fit float64"),
    (lambda x: af.maximum(x, 10**400), ValueError,
     f"maximum: b: {10**400!r:.200} does not fit float64"),
    (lambda x: x * np.complex64(1j), TypeError,
     ("mul: takes Tensors and numbers, given <class 'numpy.complex64'> "
     "(weights go through @, linear or conv)")),
    (lambda x: af.conv(x, np.ma.masked_array(W, W > 1)), TypeError,
     "conv: weight: is a masked array; use a.filled(value), or a.data to ignore the mask"),
    (lambda x: af.conv(x, 2), ValueError, "conv: weight [] has rank 0, needs 4"),
    (lambda x: _core.compile((3,), True), TypeError, "compile: every output must be a Tensor"),
    (lambda x: _core.input(int, (2,)), TypeError, "the class of a Tensor must derive from Node"),
    (lambda x: _core.op("relux", (x,), {}), ValueError, "unknown operator 'relux'"),
    (lambda x: x + W, TypeError,
     ("add: takes Tensors and numbers, given <class 'numpy.ndarray'> "
     "(weights go through @, linear or conv)")),
    (lambda x: W * x, TypeError,
     ("mul: takes Tensors and numbers, given <class 'numpy.ndarray'> "
     "(weights go through @, linear or conv)")),
    (lambda x: x * 2j, TypeError,
     ("mul: takes Tensors and numbers, given <class 'complex'> "
     "(weights go through @, linear or conv)")),
    (lambda x: W @ x, TypeError,
     "matmul: the left operand must be a Tensor, given <class 'numpy.ndarray'>"),
    (lambda x: x.relu().cast(), TypeError, "cast: x is float16, needs uint8 or bool"),
    (lambda x: pow(x, 2, 3), TypeError, "pow: takes no modulus"),
    (lambda x: af.concat(x), TypeError,
     "concat: tensors: needs a sequence of Tensors, given <class 'aneforge._ops.Tensor'>"),
    (lambda x: af.concat([]), ValueError, "concat: tensors: is empty, needs at least one Tensor"),
    (lambda x: af.concat([W, W]), TypeError, "concat: needs a Tensor among its operands"),
    (lambda x: af.input((0, 2)), ValueError,
     "input: shape [0,2] of 'x0' needs rank 0..8 and dims of at least 1"),
    (lambda x: af.input((2,), dtype="int8"), ValueError,
     "input: dtype is 'int8', needs 'fp16' or 'uint8'"),
    (lambda x: af.input("ab"), TypeError,
     "input: shape: needs an integer or a sequence of integers, given 'ab'"),
    (lambda x: af.image_input((1, 3, 2, 2), [1.0, 2.0]), ValueError,
     "image_input: 2 scales or biases need a shape [N,2,H,W], given [1,3,2,2]"),
    (lambda x: af.image_input((1, 3, 2, 2), [1.0, 2.0, 3.0], [1.0, 2.0]), ValueError,
     "image_input: scale and bias need one number or equally many, given 2 and 3"),
    (lambda x: af.image_input((1, 3, 2, 2), [[1.0]]), ValueError,
     "image_input: scale: needs a number or one per channel, given 2 dims"),
    (lambda x: af.image_input((1, 3, 2, 2), "a"), TypeError,
     "image_input: scale: needs a number or a sequence of numbers, given 'a'"),
    (lambda x: af.image_input((1, 3, 2, 2), None), TypeError,
     "image_input: scale: needs a number or a sequence of numbers, given None"),
    (lambda x: af.image_input((1, 3, 2, 2), 1, [0, None, 0]), TypeError,
     "image_input: bias: needs a number or a sequence of numbers, given [0, None, 0]"),
    (lambda x: list(x), TypeError, "a Tensor cannot be iterated: it holds no values"),
    (lambda x: np.asarray(x), TypeError,
     ("<aneforge.Tensor input float16 (1, 3, 8, 8)> holds no values: compile it with "
     "aneforge.compile, then call the model")),
    (lambda x: af.Tensor(), TypeError, "cannot create 'Tensor' instances"),
    (lambda x: pickle.dumps(x), TypeError,
     ("a <class 'aneforge._ops.Tensor'> cannot be pickled or copied: save a compiled model with "
     "Model.save(path) and read it with Model.load(path)")),
    (lambda x: af.compile(3), TypeError,
     "compile: needs a Tensor or a sequence of Tensors, given int"),
    (lambda x: af.compile([x, 3]), TypeError, "compile: output 1 must be a Tensor, given int"),
    (lambda x: af.compile([]), ValueError, "compile: needs at least one output"),
    (lambda x: af.compile(x, opt=np.array([1, 2])), ValueError,
     "compile: opt is array([1, 2]), needs 'routes', 0, 1, 2 or 'max'"),
    (lambda x: af.compile(x, compress=np.array([1, 2])), ValueError,
     ("compile: compress is array([1, 2]), needs None, 'int8', 'int4', 'sparse', 'blockwise' or "
      "'auto'")),
    (lambda x: af.compile(x, int8=np.array([1, 2])), TypeError,
     "compile: int8: needs True or False, given array([1, 2])"),
    (lambda x: af.compile(x, validate=np.array([1, 2])), TypeError,
     "compile: validate: needs True or False, given array([1, 2])"),
    (lambda x: af.compile(x, opt="fast"), ValueError,
     "compile: opt is 'fast', needs 'routes', 0, 1, 2 or 'max'"),
    (lambda x: af.compile(x, compress="int2"), ValueError,
     "compile: compress is 'int2', needs None, 'int8', 'int4', 'sparse', 'blockwise' or 'auto'"),
    (lambda x: af.compile(x, int8=True, compress="int4"), ValueError,
     "compile: int8=True contradicts compress='int4'"),
    (lambda x: af.compile(x, opt=1, compress="int8"), NotImplementedError,
     "compile: compress cannot be combined with opt=1"),
    *[(lambda x, k=k, v=v: af.compile(x, **{k: v}), NotImplementedError,
       f"compile: {k}={v!r} needs {need}, which this version does not have")
      for k, v, need in (("opt", 2, "the autotuner"), ("opt", "max", "the autotuner"),
                         ("validate", True, "precision analysis"),
                         ("build_dir", "b", "a build folder"))],
    (lambda x: af.compile(x, target="h13"), NotImplementedError,
     ("compile: target='h13' without compress needs checks of a graph against a chip, which this "
      "version does not have")),
    *[(lambda x, chip=chip: af.compile(x, compress="auto", target=chip), NotImplementedError,
       f"compile: target '{chip}' runs no compiled program, needs H13+ (h13 or later)")
      for chip in ("h11", "h12", "M9", " t0 ")],
    (lambda x: af.compile(x, int8=True, target=13), TypeError,
     "compile: target: needs the name of a chip, given 13"),
    (lambda x: af.compile(x, compress="int4", compress_atol=-0.5), ValueError,
     "compile: compress_atol is -0.5, needs a finite number of at least 0"),
    (lambda x: af.compile(x, compress="int4", compress_atol=10**400), ValueError,
     "compile: compress_atol is inf, needs a finite number of at least 0"),
    (lambda x: af.compile(x, compress="int4", compress_atol="a"), TypeError,
     "compile: compress_atol: needs a number, given 'a'"),
    (lambda x: af.compile(x, compress="blockwise", block_size=8.0), TypeError,
     "compile: block_size: needs an integer, given 8.0"),
    (lambda x: af.compile(x, compress="blockwise", block_size=0), ValueError,
     "compile: block_size is 0, needs at least 1"),
    (lambda x: af.compile(x, compress="auto", target="m1"), KeyError, repr(
     "compile: unknown target 'm1'; known: h11, h12, m9, t0, h13, h13g, t1, h14, h14g, h14c, h15, "
     "h15g, h15c, m11, h16, h16g, h16c, h16s, h17, h17a, h17g, h17s, h17c, h17d, h18")),
]


@pytest.mark.parametrize(("build", "kind", "message"), BUILDING)
def test_building(x, build, kind, message):
    with pytest.raises(kind) as info:
        build(x)
    assert str(info.value) == message


A = np.zeros((2, 3), F32)
CALLING = [
    (lambda net: net(), ValueError, "run: the model takes 1 inputs, given 0"),
    (lambda net: net(A, A), ValueError, "run: the model takes 1 inputs, given 2"),
    (lambda net: net(x=A), TypeError, "run: inputs are given by position"),
    (lambda net: net(A.T), ValueError, "run: input 'x0' has shape [2,3], given [3,2]"),
    (lambda net: net(A[:0]), ValueError, "run: input 'x0' has shape [2,3], given [0,3]"),
    (lambda net: net(A.astype(">f8")), TypeError,
     "run: input 'x0': is in the other byte order; use a.astype(a.dtype.newbyteorder('='))"),
    (lambda net: net(A.astype(complex)), TypeError,
     "run: input 'x0': has dtype complex128, needs float16, float32, float64, integers or bool"),
    (lambda net: net(A.astype("M8[s]")), TypeError,
     "run: input 'x0': has dtype datetime64[s], needs float16, float32, float64, integers or bool"),
    (lambda net: net(A.astype(object)), TypeError,
     "run: input 'x0': has dtype object, needs float16, float32, float64, integers or bool"),
    (lambda net: net(np.ma.masked_array(A, A > 1)), TypeError,
     "run: input 'x0': is a masked array; use a.filled(value), or a.data to ignore the mask"),
    (lambda net: net("text"), TypeError,
     ("run: input 'x0': needs an array of float16, float32, float64, integers or bool, "
      "given <class 'str'>")),
    (lambda net: net(af.input((2, 3))), TypeError,
     ("run: input 'x0': needs an array of float16, float32, float64, integers or bool, "
      "given a Tensor of a graph, which holds no values")),
    (lambda net: net.input_view("q"), KeyError, "\"the model has no input called 'q'\""),
    (lambda net: net.output_view(1), IndexError, "output_view: the model has 1 outputs, given 1"),
    (lambda net: net.input_view(1.0), TypeError, "input_view: needs a number or a name, given 1.0"),
    (lambda net: net.input_view(np.array([0])), TypeError,
     "input_view: needs a number or a name, given array([0])"),
    (lambda net: net.output_view(2**70), ValueError,
     "output_view: 1180591620717411303424 does not fit 64 bits"),
    (lambda net: net.new_state().share_buffer(0, 3), IndexError,
     "input_view: the model has 1 inputs, given 3"),
    (lambda net: copy.copy(net), TypeError,
     ("a <class 'aneforge.Model'> cannot be pickled or copied: save a compiled model with "
     "Model.save(path) and read it with Model.load(path)")),
    (lambda net: type(net)(), TypeError, "cannot create 'aneforge.Model' instances"),
    (lambda net: af.Model.load("/does/not/exist"), OSError,
     "/does/not/exist: cannot open: No such file or directory"),
]


@pytest.mark.parametrize(("call", "kind", "message"), CALLING)
def test_calling(net, call, kind, message):
    with pytest.raises(kind) as info:
        call(net)
    assert str(info.value) == message
    np.testing.assert_array_equal(net(A), A + 1)


def test_a_byte_port_takes_integers_only():
    net = af.compile(af.image_input((2, 3), scale=1.0) + 0)
    np.testing.assert_array_equal(net(np.full((2, 3), 7)), np.full((2, 3), 7, F32))
    with pytest.raises(TypeError) as info:
        net(A)
    assert str(info.value) == "run: input 'x0': has dtype float32, needs uint8 or other integers"


@pytest.mark.parametrize("call", [lambda n: n(A), lambda n: n.execute(), lambda n: n.n_ops,
                                  lambda n: n.input_view(), lambda n: n.output_view(),
                                  lambda n: n.save("unused"), lambda n: n.explain(),
                                  lambda n: n.new_state(), lambda n: n.__enter__(),
                                  lambda n: n.inputs, lambda n: n.outputs])
def test_a_released_model_says_so(call):
    net = af.compile(af.input((2, 3)) + 1)
    net.release()
    net.release()
    assert repr(net) == "<aneforge.Model released>"
    with pytest.raises(RuntimeError, match="^this model has been released$"):
        call(net)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("ANEFORGE_THREADS", "many", "ANEFORGE_THREADS is 'many', needs a number from 1 to 1024"),
    ("ANEFORGE_ISA", "mmx", "mmx"),
])
def test_a_bad_environment_is_named_at_the_first_use(name, value, message):
    import os
    import subprocess
    import sys
    code = "import sys; sys.path[:0] = eval(sys.argv[1]); import aneforge; aneforge.input((1,))"
    done = subprocess.run([sys.executable, "-c", code, repr(sys.path)], text=True, check=False,
                          capture_output=True, env={**os.environ, name: value})
    assert done.returncode == 1
    assert "ValueError: " in done.stderr and message in done.stderr
