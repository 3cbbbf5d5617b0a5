"""The API page: its example, every operator it lists for the fused program, and its defaults."""
import inspect

import numpy as np
import pytest

import aneforge as af
import plain

RNG = np.random.default_rng(7)


def values(*shape, low=-1.0, high=1.0):
    """Values that float16 holds exactly, so that only the operator rounds."""
    return RNG.uniform(low, high, shape).astype(np.float16).astype(np.float64)


def check(out, expected, *inputs, rtol=2e-3, atol=2e-3):
    """`atol` is about four roundings of a result near 1; sums of many terms give their own."""
    net = af.compile(out)
    got = net(*inputs)
    net.release()
    assert got.dtype == np.float32
    assert got.shape == expected.shape == out.shape
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def test_the_example_of_the_page():
    C = 8
    W1, W2, Wfc = values(C, 3, 3, 3) / 2, values(C, C, 3, 3) / 4, values(C, 10)
    image = values(1, 3, 32, 32)
    # As printed, but for int8=True, which this version refuses by name.
    x = af.input((1, 3, 32, 32)) # graph input placeholder
    h = af.conv(x, W1, pad=1).relu() # build the graph
    h = af.conv(h, W2, pad=1).relu()
    y = h.mean((2, 3)).reshape(1, C) @ Wfc # @ streams a weight matrix
    net = af.compile(y) # one fused program
    out = net(image) # -> np.float32
    assert net.n_ops > 0
    net.release()
    e = np.maximum(plain.conv(image, W1, pad=1), 0)
    e = np.maximum(plain.conv(e, W2, pad=1), 0)
    expected = e.mean((2, 3)).reshape(1, C) @ Wfc
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=5e-3, atol=5e-3)
    with pytest.raises(NotImplementedError, match=r"^compile: int8=True needs weight compression"):
        af.compile(y, int8=True)


UNARY = {
    "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * plain.sigmoid(x), "gelu": plain.gelu,
    "sigmoid": plain.sigmoid, "tanh": np.tanh, "exp": np.exp, "abs": np.abs, "square": np.square,
    "sin": np.sin, "cos": np.cos, "erf": plain.erf, "softplus": lambda x: np.log1p(np.exp(x)),
    "relu6": lambda x: np.clip(x, 0, 6),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    a = values(3, 40, low=-8, high=8)
    check(getattr(af.input(a.shape), name)(), UNARY[name](a), a)


def test_unary_of_positive_numbers():
    a = values(50, low=0.1, high=9)
    x = af.input(a.shape)
    check(x.sqrt(), np.sqrt(a), a)
    check(x.rsqrt(), 1 / np.sqrt(a), a)
    check(x.rsqrt(eps=0.5), 1 / np.sqrt(a + 0.5), a)
    check(x.log(), np.log(a), a)
    check(x.log(eps=1.0), np.log(a + 1), a)


def test_unary_with_a_parameter():
    a = values(60, low=-3, high=3)
    x = af.input(a.shape)
    check(x.elu(), np.where(a > 0, a, np.expm1(a)), a)
    check(x.elu(alpha=0.5), np.where(a > 0, a, 0.5 * np.expm1(a)), a)
    check(x.leaky_relu(), np.where(a > 0, a, 0.01 * a), a)
    check(x.clip(-1, 2), np.clip(a, -1, 2), a)


def test_binary():
    a, b = values(2, 3, 4), values(3, 1, low=0.5)
    x, y = af.input(a.shape), af.input(b.shape)
    check(x + y, a + b, a, b)
    check(x - y, a - b, a, b)
    check(x * y, a * b, a, b)
    check(x / y, a / b, a, b)
    check(af.maximum(x, y), np.maximum(a, b), a, b)
    check(af.minimum(x, y), np.minimum(a, b), a, b)
    check(y ** x.amax((0, 1, 2)), b ** a.max() * np.ones((1, 3, 1)), a, b)


@pytest.mark.parametrize("s", [2, 0.5, np.float32(1.5), np.float64(-3), np.int64(4)])
def test_scalars_on_either_side(s):
    a = values(20, low=0.5, high=2)
    x, k = af.input(a.shape), float(s)
    for out, expected in ((x + s, a + k), (s + x, k + a), (x - s, a - k), (s - x, k - a),
                          (x * s, a * k), (s * x, k * a), (x / s, a / k), (s / x, k / a),
                          (-x, -a), (x ** 2, a ** 2)):
        check(out, expected, a, atol=5e-3)


def test_products():
    a, w, b = values(4, 16), values(16, 8), values(8)
    t = values(2, 3, 5), values(2, 5, 4)
    x = af.input(a.shape)
    check(x @ w, a @ w, a)
    check(x.linear(w.T), a @ w, a)
    check(x.linear(w.T, bias=b), a @ w + b, a, atol=5e-3)
    check(af.input(t[0].shape) @ af.input(t[1].shape), t[0] @ t[1], *t)


@pytest.mark.parametrize("options", [{}, {"pad": 1}, {"stride": 2, "pad": 2}, {"dilation": 2}])
def test_conv(options):
    a, w, b = values(2, 4, 9, 11), values(6, 4, 3, 3) / 4, values(6)
    x = af.input(a.shape)
    check(af.conv(x, w, **options), plain.conv(a, w, **options), a, atol=5e-3)
    check(af.conv(x, w, **options, bias=b), plain.conv(a, w, **options, bias=b), a, atol=5e-3)
    wt = values(4, 5, 3, 3) / 4
    check(af.conv_transpose(x, wt, **options), plain.conv_transpose(a, wt, **options), a, atol=5e-3)
    grouped = values(6, 2, 3, 3)
    check(af.conv(x, grouped, groups=2, **options), plain.conv(a, grouped, groups=2, **options), a,
          atol=8e-3)


def test_reductions():
    a = values(2, 3, 4, 5)
    x = af.input(a.shape)
    for axes in (1, -1, (2, 3), [0, 2]):
        axis = tuple(axes) if isinstance(axes, list) else axes
        check(x.mean(axes), a.mean(axis, keepdims=True), a)
        check(x.sum(axes), a.sum(axis, keepdims=True), a, atol=8e-3)
        check(x.amax(axes), a.max(axis, keepdims=True), a)
        check(x.amin(axes), a.min(axis, keepdims=True), a)
    check(x.softmax(), plain.softmax(a), a)
    check(x.softmax(axis=1), plain.softmax(a, 1), a)
    check(x.l2_norm(), a / np.sqrt((a**2).sum(-1, keepdims=True)), a)
    check(x.l2_norm(axis=1, eps=1.0), a / np.sqrt((a**2).sum(1, keepdims=True) + 1), a)


def test_norms():
    a, gamma, beta = values(5, 32), values(32), values(32)
    x = af.input(a.shape)
    rms = a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-5)
    check(x.rms_norm(gamma), rms * gamma, a)
    check(x.layer_norm(gamma, beta), plain.normalise(a, -1) * gamma + beta, a, atol=4e-3)
    c, g, b = values(1, 8, 5, 6), values(8), values(8)
    tall = (8, 1, 1)
    grouped = plain.normalise(c.reshape(1, 4, -1), -1).reshape(c.shape)
    x = af.input(c.shape)
    check(x.group_norm(g, b, 4), grouped * g.reshape(tall) + b.reshape(tall), c, atol=4e-3)
    mean, var = values(8), values(8, low=0.5)
    expected = ((c - mean.reshape(tall)) / np.sqrt(var.reshape(tall) + 1e-5) * g.reshape(tall)
                + b.reshape(tall))
    check(af.batch_norm(x, g, b, mean, var), expected, c, atol=6e-3)


def test_pools_and_shapes():
    a, b = values(2, 8, 6, 6), values(2, 4, 6, 6)
    x, y = af.input(a.shape), af.input(b.shape)
    for k, stride, pad in ((2, None, 0), (3, 2, 1), (3, 1, 0)):
        step = stride or k
        low = plain.windows(a, (k, k), step, pad, fill=-np.inf).max((4, 5))
        check(x.max_pool(k, stride=stride, pad=pad), low, a)
        check(x.avg_pool(k, stride, pad), plain.windows(a, (k, k), step, pad).mean((4, 5)), a)
    check(x.upsample(), a.repeat(2, 2).repeat(2, 3), a)
    check(x.upsample(scale=3), a.repeat(3, 2).repeat(3, 3), a)
    check(af.concat([x, y]), np.concatenate([a, b], 1), a, b)
    check(af.concat((x, x), axis=-1), np.concatenate([a, a], -1), a)
    check(x.reshape(2, -1), a.reshape(2, -1), a)
    check(x.reshape((4, 4, 36)), a.reshape(4, 4, 36), a)
    check(x.transpose((0, 2, 3, 1)), a.transpose(0, 2, 3, 1), a)
    check(af.pixel_shuffle(x, 2), plain.pixel_shuffle(a, 2), a)
    check(af.pixel_unshuffle(x, 2), plain.pixel_unshuffle(a, 2), a)


def test_attention():
    D, E = 16, 16
    a, c = values(6, D), values(9, D)
    (Wq, bq), (Wk, bk), (Wv, bv), (Wo, bo) = pairs = [(values(E, D) / 4, values(E)) for _ in "qkvo"]
    x, context = af.input(a.shape), af.input(c.shape)
    check(af.mha(x, Wq,bq, Wk,bk, Wv,bv, Wo,bo, 4), plain.attention(a, a, *pairs, 4), a, atol=6e-3)
    check(af.cross_attention(x, context, Wq,Wk,Wv,Wo, 2, bq=bq, bk=bk, bv=bv, bo=bo),
          plain.attention(a, c, *pairs, 2), a, c, atol=6e-3)
    zero = [(w, 0) for w, _ in pairs]
    check(af.cross_attention(x, context, Wq,Wk,Wv,Wo, n_heads=2),
          plain.attention(a, c, *zero, 2), a, c, atol=6e-3)
    W, b = values(24, D) / 4, values(24)
    check(af.geglu(x, W, b), plain.geglu(a, W, b), a, atol=6e-3)


def test_image_input():
    image = np.arange(75, dtype=np.uint8).reshape(1, 3, 5, 5) * 3
    x = af.image_input((1, 3, 5, 5))
    expected = (image / 255).astype(np.float16)
    np.testing.assert_array_equal(af.compile(x + 0)(image), expected.astype(np.float32))
    scale, bias = np.array([0.25, 0.5, 2.0]), [1.0, 2.0, -3.0]
    check(af.image_input(image.shape, scale, bias).relu(),
          np.maximum(image * scale.reshape(3, 1, 1) + np.reshape(bias, (3, 1, 1)), 0), image)
    check(af.image_input(image.shape, scale=1.0, bias=bias) + 0,
          image + np.reshape(bias, (3, 1, 1)), image)


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
    from aneforge import _core, _ops
    symbols = {"input", "const", "matmul", "bmm", "add", "sub", "mul", "div", "neg", "cast", "scale"}
    for op in _core.ops():
        name = op["name"]
        assert name in symbols or hasattr(af.Tensor, name) or getattr(af, name) is getattr(_ops, name)
