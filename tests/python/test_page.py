"""The API page: what it prints for graphs that run as one program, typed as it stands there, and
what comes out compared with float64.

Weights, images and sizes are supplied under the names the page uses. Formulas and bounds are those
of tests/oracle; nothing here has a tolerance of its own.
"""
import inspect

import numpy as np
import pytest

import aneforge as af
import intervals
from bounds import Bounded, difference
from encoded import decoded_scaled
from oracles import ORACLES

RNG = np.random.default_rng(7)


def values(*shape, low=-1.0, high=1.0):
    """Values that float16 holds exactly, so that only the operator rounds."""
    return RNG.uniform(low, high, shape).astype(np.float16).astype(np.float64)


def check(out, want, *inputs):
    """want: a Bounded, or an array that the result rounds to."""
    with af.compile(out) as net:
        got = net(*inputs)
    assert got.dtype == np.float32
    assert got.shape == out.shape
    wrong = difference(got, want if isinstance(want, Bounded) else Bounded(want))
    assert wrong is None, wrong


def test_the_example():
    C = 8
    W1, W2, Wfc = values(C, 3, 3, 3) / 2, values(C, C, 3, 3) / 4, values(C, 10)
    image = values(1, 3, 32, 32)
    x = af.input((1, 3, 32, 32)) # graph input placeholder
    h = af.conv(x, W1, pad=1).relu() # build the graph
    h = af.conv(h, W2, pad=1).relu()
    y = h.mean((2, 3)).reshape(1, C) @ Wfc # @ streams a weight matrix
    net = af.compile(y, int8=True) # one fused program
    out = net(image) # -> np.float32
    assert net.n_ops > 0
    weight, = net.compression
    assert (weight.encoding, weight.shape) == ("int8", (C, 10))
    net.release()
    e = intervals.relu(intervals.conv(intervals.exactly(image), W1, pad=1))
    e = intervals.relu(intervals.conv(e, W2, pad=1))
    e = intervals.reshape(intervals.mean(e, (2, 3)), (1, C))
    assert out.dtype == np.float32
    wrong = difference(out, intervals.int8_matmul_result(e, decoded_scaled(Wfc.T, C).T))
    assert wrong is None, wrong
    wrong = difference(af.compile(y)(image), intervals.matmul_result(e, Wfc))
    assert wrong is None, wrong


def test_weights_are_float16_32_and_64_only():
    x, W = af.input((2, 4)), values(4, 3)
    for dtype in (np.float16, np.float32, np.float64):
        a = values(2, 4)
        check(x @ W.astype(dtype), ORACLES["matmul"](a, W), a)
    with pytest.raises(TypeError, match="has dtype int32, needs float16, float32 or float64"):
        x @ W.astype(np.int32)


@pytest.mark.parametrize("bias", [
    [0, 3, -7, 2049, 2051, 65504], np.arange(6), np.arange(6, dtype=np.int8) - 3,
    np.array([0, 1, 65519, 65520, 2**63, 2**64 - 1], np.uint64), [True, False, True] * 2,
    np.arange(6) % 2 == 0, np.array([1, -1, 2**31 - 1, -(2**31), 1025, 4095], np.int32)])
def test_biases_of_integers_are_their_cast(bias):
    with np.errstate(over="ignore"):
        cast = np.asarray(bias).astype(np.float32).astype(np.float16)
    zeros = np.zeros((1, 6, 6, 6))
    x, W = af.input((2, 6)), np.eye(6)
    a, square, kernel = np.zeros((2, 6)), af.input(zeros.shape), np.zeros((6, 6, 1, 1))
    check(x.linear(W, bias=bias), np.zeros((2, 6)) + cast, a)
    for conv in (af.conv, af.conv_transpose):
        check(conv(square, kernel, bias=bias), zeros + cast.reshape(6, 1, 1), zeros)
    finite = np.minimum(bias, 2)
    for make in (lambda b: af.mha(x, W, b, W, b, W, b, W, b, 2),
                 lambda b: af.cross_attention(x, x, W, W, W, W, 2, b, b, b, b),
                 lambda b: af.geglu(x, W, b)):
        a = values(2, 6)
        np.testing.assert_array_equal(af.compile(make(finite))(a),
                                      af.compile(make(finite * 1.0))(a))


def test_image_input():
    image = np.arange(75, dtype=np.uint8).reshape(1, 3, 5, 5) * 3
    shape = image.shape
    x = af.image_input(shape, scale=1/255, bias=0.0)
    check(x + 0, image / 255, image)
    scale, bias = np.array([0.25, 0.5, 2.0]), [1.0, 2.0, -3.0]
    tall = np.reshape(bias, (3, 1, 1))
    check(af.image_input(shape, scale, bias).relu(),
          np.maximum(image * scale.reshape(3, 1, 1) + tall, 0), image)
    check(af.image_input(shape, scale=1.0, bias=bias) + 0, image + tall, image)


def test_input_of_bytes():
    image = np.arange(75, dtype=np.uint8).reshape(3, 25)
    check(af.input(image.shape, dtype="uint8").relu(), image.astype(np.float64), image)
    a = values(2, 3)
    check(af.input(a.shape, dtype="fp16"), a, a)


def test_cast_of_inputs_of_bytes():
    image = np.arange(75, dtype=np.uint8).reshape(3, 25)
    x = af.input(image.shape, dtype="uint8")
    assert x.cast().dtype == "float16"
    check(x.cast(), image.astype(np.float64), image)
    check(x.cast().relu(), image.astype(np.float64), image)
    check(af.image_input(image.shape).cast() + 0, image / 255, image)
    check((x * 2).greater(50).cast(), (image * 2 > 50).astype(np.float64), image)


# ---- the tables of operators, cell by cell -------------------------------------------------------

def test_linear_algebra():
    a, W, t = values(4, 16), values(16, 8), values(2, 16, 5)
    x, Wt = af.input(a.shape), af.input(t.shape)
    check(x @ W, ORACLES["matmul"](a, W), a)
    check(x @ Wt, ORACLES["bmm"](a, t), a, t)
    W, bias = values(8, 16), values(8)
    check(x.linear(W, bias=None), ORACLES["linear"](a, W), a)
    check(x.linear(W, bias=bias), ORACLES["linear"](a, W, bias), a)
    check(x.linear(W), ORACLES["linear"](a, W), a)


@pytest.mark.parametrize("options", [{}, {"pad": 1}, {"stride": 2, "pad": 2}, {"dilation": 2}])
def test_convolutions(options):
    a, weight, bias = values(2, 4, 9, 11), values(6, 4, 3, 3) / 4, values(6)
    x = af.input(a.shape)
    check(af.conv(x, weight, stride=1, pad=0, dilation=1, groups=1, bias=None),
          ORACLES["conv"](a, weight), a)
    check(af.conv(x, weight, **options), ORACLES["conv"](a, weight, **options), a)
    check(af.conv(x, weight, **options, bias=bias), ORACLES["conv"](a, weight, bias, **options), a)
    weight = values(6, 2, 3, 3)
    check(af.conv(x, weight, groups=2, **options),
          ORACLES["conv"](a, weight, groups=2, **options), a)
    weight, bias = values(4, 5, 3, 3) / 4, values(5)
    check(af.conv_transpose(x, weight, stride=1, pad=0, dilation=1, groups=1, bias=None),
          ORACLES["conv_transpose"](a, weight), a)
    check(af.conv_transpose(x, weight, **options, bias=bias),
          ORACLES["conv_transpose"](a, weight, bias, **options), a)


UNARY = ["relu", "silu", "gelu", "sigmoid", "tanh", "exp", "sqrt", "rsqrt", "abs", "square", "sin",
         "cos", "erf", "softplus", "relu6"]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    a = values(3, 40, low=0.1 if "sqrt" in name else -8, high=8)
    check(getattr(af.input(a.shape), name)(), ORACLES[name](a), a)


def test_unary_with_a_parameter():
    a, p = values(60, low=-3, high=3), values(50, low=0.1, high=9)
    lo, hi = -1, 2
    t = af.input(p.shape)
    check(t.log(eps=0.0), ORACLES["log"](p), p)
    check(t.log(eps=1.0), ORACLES["log"](p, eps=1.0), p)
    check(t.rsqrt(eps=0.0), ORACLES["rsqrt"](p), p)
    check(t.rsqrt(eps=0.5), ORACLES["rsqrt"](p, eps=0.5), p)
    t = af.input(a.shape)
    check(t.elu(alpha=1.0), ORACLES["elu"](a), a)
    check(t.elu(alpha=0.5), ORACLES["elu"](a, alpha=0.5), a)
    check(t.leaky_relu(alpha=0.01), ORACLES["leaky_relu"](a), a)
    check(t.clip(lo, hi), ORACLES["clip"](a, lo=lo, hi=hi), a)


def test_binary():
    left, right, scalar = values(2, 3, 4), values(3, 1, low=0.5), 0.25
    a, b = af.input(left.shape), af.input(right.shape)
    check(a + b, ORACLES["add"](left, right), left, right)
    check(a - b, ORACLES["sub"](left, right), left, right)
    check(a * b, ORACLES["mul"](left, right), left, right)
    check(a / b, ORACLES["div"](left, right), left, right)
    check(a * scalar, ORACLES["mul"](left, scalar), left)
    check(af.maximum(a, b), ORACLES["maximum"](left, right), left, right)
    check(af.minimum(a, b), ORACLES["minimum"](left, right), left, right)
    check(b ** a, ORACLES["pow"](right, left), left, right)
    check(b.pow(a), ORACLES["pow"](right, left), left, right)


def test_arrays_as_operands_of_functions():
    a, w = values(2, 3, low=0.5), values(3, low=0.5)
    x = af.input(a.shape)
    check(af.maximum(x, w), ORACLES["maximum"](a, w), a)
    check(af.minimum(w, x), ORACLES["minimum"](w, a), a)
    check(x.pow(w), ORACLES["pow"](a, w), a)
    check(x.greater(w).cast(), (a > w).astype(np.float64), a)
    check(af.select(x.less(w), x, w), np.where(a < w, a, w), a)
    check(af.concat([x, w.reshape(1, 3)], 0), np.vstack([a, w]), a)


@pytest.mark.parametrize("s", [2, 0.5, np.float32(1.5), np.float64(-3), np.int64(4),
                               np.array(0.25)])
def test_scalars_on_either_side(s):
    a = values(20, low=0.5, high=2)
    x, k = af.input(a.shape), float(s)
    for out, expected in ((x + s, a + k), (s + x, k + a), (x - s, a - k), (s - x, k - a),
                          (x * s, a * k), (s * x, k * a), (x / s, a / k), (s / x, k / a), (-x, -a),
                          (af.maximum(x, s), np.maximum(a, k)),
                          (af.minimum(s, x), np.minimum(a, k))):
        check(out, expected, a)
    check(x ** s, ORACLES["pow"](a, k), a)


def test_reductions():
    a = values(2, 3, 4, 5)
    t = af.input(a.shape)
    for axes in (1, -1, (2, 3), [0, 2]):
        listed = axes if isinstance(axes, list | tuple) else [axes]
        check(t.mean(axes), ORACLES["mean"](a, axes=listed), a)
        check(t.sum(axes), ORACLES["sum"](a, axes=listed), a)
        check(t.amax(axes), ORACLES["amax"](a, axes=listed), a)
        check(t.amin(axes), ORACLES["amin"](a, axes=listed), a)
    check(t.softmax(axis=-1), ORACLES["softmax"](a), a)
    check(t.softmax(axis=1), ORACLES["softmax"](a, axis=1), a)
    check(t.l2_norm(axis=-1, eps=1e-12), ORACLES["l2_norm"](a), a)
    check(t.l2_norm(axis=1, eps=1.0), ORACLES["l2_norm"](a, axis=1, eps=1.0), a)


def test_norms():
    a, gamma, beta = values(5, 32), values(32), values(32)
    t = af.input(a.shape)
    check(t.rms_norm(gamma, eps=1e-5), ORACLES["rms_norm"](a, gamma), a)
    check(t.layer_norm(gamma, beta, eps=1e-5), ORACLES["layer_norm"](a, gamma, beta), a)
    c, gamma, beta, num_groups = values(1, 8, 5, 6), values(8), values(8), 4
    mean, var = values(8), values(8, low=0.5)
    t = x = af.input(c.shape)
    check(t.group_norm(gamma, beta, num_groups, eps=1e-5),
          ORACLES["group_norm"](c, gamma, beta, num_groups=num_groups), c)
    check(af.batch_norm(x, gamma, beta, mean, var, eps=1e-5),
          ORACLES["batch_norm"](c, gamma, beta, mean, var), c)


def test_group_norm_of_the_wall_shapes():
    for channels, side in ((640, 64), (512, 128)):
        c, gamma, beta = values(1, channels, side, side), values(channels), values(channels)
        check(af.input(c.shape).group_norm(gamma, beta, 32),
              ORACLES["group_norm"](c, gamma, beta, num_groups=32), c)


def test_spatial_and_shape():
    a, b, r, perm = values(2, 8, 6, 6), values(2, 4, 6, 6), 2, (0, 2, 3, 1)
    t = x = af.input(a.shape)
    for k, stride, pad in ((2, None, 0), (3, 2, 1), (3, 1, 0)):
        attrs = {"k": k, "stride": stride or 0, "pad": pad}
        check(t.max_pool(k, stride=stride, pad=pad), ORACLES["max_pool"](a, **attrs), a)
        check(t.avg_pool(k, stride=stride, pad=pad), ORACLES["avg_pool"](a, **attrs), a)
    check(t.max_pool(2, stride=None, pad=0), ORACLES["max_pool"](a, k=2), a)
    check(t.upsample(scale=2), ORACLES["upsample"](a), a)
    check(t.upsample(scale=3), ORACLES["upsample"](a, scale=3), a)
    tensors = [t, af.input(b.shape)]
    check(af.concat(tensors, axis=1), ORACLES["concat"]([a, b]), a, b)
    check(af.concat((t, t), axis=-1), ORACLES["concat"]([a, a], axis=-1), a)
    check(af.concat([t] * 150, axis=-1), ORACLES["concat"]([a] * 150, axis=-1), a)
    for shape in ((2, -1), (4, 4, 36)):
        check(t.reshape(*shape), a.reshape(shape), a)
        check(t.reshape(shape), a.reshape(shape), a)
    check(t.transpose(perm), a.transpose(perm), a)
    check(af.pixel_shuffle(x, r), ORACLES["pixel_shuffle"](a, r=r), a)
    check(af.pixel_unshuffle(x, r), ORACLES["pixel_unshuffle"](a, r=r), a)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint32])
def test_sequences_of_integers_are_arrays_too(dtype):
    def ints(*given):
        return np.array(given, dtype)
    a = values(2, 3, 4)
    x = af.input(ints(2, 3, 4))
    perm = np.argsort([2, 0, 1])
    check(x.transpose(perm), a.transpose(perm), a)
    check(x.mean(ints(0, 1)), ORACLES["mean"](a, axes=[0, 1]), a)
    check(x.mean(ints(1)), ORACLES["mean"](a, axes=[1]), a)
    check(x.mean(np.array(1, dtype)), ORACLES["mean"](a, axes=[1]), a)
    check(x.reshape(ints(6, 4)), a.reshape(6, 4), a)
    check(x.reshape(ints(24)), a.reshape(24), a)
    check(x.reshape(np.array(24, dtype)), a.reshape(24), a)
    check(x.reshape(*ints(6, 4)), a.reshape(6, 4), a)
    check(x.reshape(24), a.reshape(24), a)
    check(x.slice(ints(0, 1, 2), ints(2, 2, 1)), a[:, 1:, 2:3], a)
    assert af.image_input(ints(2, 3)).shape == (2, 3)


def test_nn_helpers():
    D, n_heads = 16, 4
    a, c = values(6, D), values(9, D)
    (Wq, bq), (Wk, bk), (Wv, bv), (Wo, bo) = [(values(D, D) / 4, values(D)) for _ in "qkvo"]
    x, context = af.input(a.shape), af.input(c.shape)
    check(af.mha(x, Wq,bq, Wk,bk, Wv,bv, Wo,bo, n_heads),
          ORACLES["mha"](a, Wq, Wk, Wv, Wo, bq, bk, bv, bo, n_heads=n_heads), a)
    check(af.cross_attention(x, context, Wq,Wk,Wv,Wo, n_heads, bq=bq, bk=bk, bv=bv, bo=bo),
          ORACLES["cross_attention"](a, c, Wq, Wk, Wv, Wo, bq, bk, bv, bo, n_heads=n_heads), a, c)
    check(af.cross_attention(x, context, Wq,Wk,Wv,Wo, n_heads),
          ORACLES["cross_attention"](a, c, Wq, Wk, Wv, Wo, n_heads=n_heads), a, c)
    W, b = values(24, D) / 4, values(24)
    check(af.geglu(x, W, b), ORACLES["geglu"](a, W, b), a)


# ---- compile, and the signatures -----------------------------------------------------------------

def test_the_compile_signature():
    a = values(3)
    out = af.input(a.shape) * 2
    net = af.compile(out, int8=False, build_dir=None, opt="routes",
                     compress=None, compress_atol=0.05, block_size=32,
                     validate=False, target=None)
    assert isinstance(net, af.Model)
    assert net.n_ops > 0
    np.testing.assert_array_equal(net(a), a * 2)
    net.release()
    net = af.compile(out, opt=0)
    np.testing.assert_array_equal(net(a), a * 2)


def test_a_graph_of_an_input_alone():
    a = values(2, 3)
    check(af.input(a.shape), a, a)


SIGNATURES = {
    "conv": "x, weight, stride=1, pad=0, dilation=1, groups=1, bias=None",
    "conv_transpose": "x, weight, stride=1, pad=0, dilation=1, groups=1, bias=None",
    "maximum": "a, b", "minimum": "a, b",
    "batch_norm": "x, gamma, beta, mean, var, eps=1e-05",
    "concat": "tensors, axis=1", "pixel_shuffle": "x, r", "pixel_unshuffle": "x, r",
    "mha": "x, Wq, bq, Wk, bk, Wv, bv, Wo, bo, n_heads",
    "cross_attention": "x, context, Wq, Wk, Wv, Wo, n_heads, bq=None, bk=None, bv=None, bo=None",
    "geglu": "x, W, b", "image_input": "shape, scale=0.00392156862745098, bias=0.0",
    "compile": "out, int8=False, build_dir=None, opt='routes', compress=None, compress_atol=0.05, "
               "block_size=32, validate=False, target=None",
    "Tensor.linear": "self, W, bias=None", "Tensor.log": "self, eps=0.0",
    "Tensor.rsqrt": "self, eps=0.0", "Tensor.elu": "self, alpha=1.0",
    "Tensor.leaky_relu": "self, alpha=0.01", "Tensor.clip": "self, lo, hi",
    "Tensor.mean": "self, axes", "Tensor.softmax": "self, axis=-1",
    "Tensor.l2_norm": "self, axis=-1, eps=1e-12", "Tensor.rms_norm": "self, gamma, eps=1e-05",
    "Tensor.layer_norm": "self, gamma, beta, eps=1e-05",
    "Tensor.group_norm": "self, gamma, beta, num_groups, eps=1e-05",
    "Tensor.max_pool": "self, k, stride=None, pad=0",
    "Tensor.avg_pool": "self, k, stride=None, pad=0", "Tensor.upsample": "self, scale=2",
    "Tensor.reshape": "self, *shape", "Tensor.transpose": "self, perm",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_of_the_page(name):
    owner, _, member = name.rpartition(".")
    function = getattr(getattr(af, owner) if owner else af, member)
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == f"({SIGNATURES[name]})"
    assert function.__doc__


def test_every_operator_of_the_table_is_offered():
    from aneforge import _core
    symbols = {"input", "const", "matmul", "bmm", "add", "sub", "mul", "div", "neg"}
    for op in _core.ops():
        name = op["name"]
        assert name in symbols or hasattr(af.Tensor, name) or name in af.__all__
