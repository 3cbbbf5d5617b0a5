"""Compressed weights against NumPy: products of the decoded weights in float64."""
import json

import aneforge as af
import numpy as np
import pytest
from encoded import decoded_scaled

F16 = np.float16
SIZES = ((1, 2, 3), (3, 40, 33), (20, 96, 50))


def weight(n, k, kind="normal"):
    rng = np.random.default_rng(n * 1000 + k)
    w = rng.normal(size=(n, k)) / np.sqrt(k)
    if kind == "pruned":
        w[rng.random(size=w.shape) < 0.7] = 0
    if kind == "sixteen":
        w = rng.integers(-8, 8, size=w.shape) / 8
    return w.astype(F16)


def check(net, x, w):
    """`w` [n,k] is the decoded weight, in float64."""
    x = x.astype(F16).astype(np.float64)
    got, k = net(x), w.shape[1]
    want = x @ w.T
    bound = (k + 3) * 2.0**-24 * (np.abs(x) @ np.abs(w).T)
    low, high = (want - bound).astype(F16), (want + bound).astype(F16)
    assert np.all((got >= low.astype(np.float32)) & (got <= high.astype(np.float32)))


def relative(a, b):
    return np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-12)


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
@pytest.mark.parametrize("form", ["linear", "matmul"])
def test_int8(m, k, n, form):
    w, x = weight(n, k), np.random.default_rng(1).normal(size=(m, k))
    t = af.input((m, k))
    net = af.compile(t.linear(w) if form == "linear" else t @ w.T, compress="int8")
    record, = net.compression
    decoded = decoded_scaled(w, k)
    assert record.encoding == "int8"
    assert record.shape == (w.shape if form == "linear" else w.T.shape)
    assert (record.bytes_before, record.bytes_after) == (2 * n * k, n * k + 2 * n)
    assert record.error == pytest.approx(relative(decoded, w.astype(np.float64)), rel=1e-6)
    check(net, x, decoded)


@pytest.mark.parametrize(("k", "block_size", "block"), [(96, 32, 32), (30, 32, 30), (40, 16, 10),
                                                     (40, 2**80, 40)])
def test_blockwise(k, block_size, block):
    w, x = weight(24, k), np.random.default_rng(2).normal(size=(5, k))
    net = af.compile(af.input((5, k)).linear(w), compress="blockwise", block_size=block_size)
    record, = net.compression
    decoded = decoded_scaled(w, block)
    assert record.encoding == "blockwise"
    assert record.bytes_after == 24 * k + 2 * 24 * (k // block)
    assert record.error == pytest.approx(relative(decoded, w.astype(np.float64)), rel=1e-6)
    check(net, x, decoded)


@pytest.mark.parametrize("mode", ["int4", "auto"])
def test_sixteen_values_are_exact(mode):
    w, x = weight(24, 64, "sixteen"), np.random.default_rng(3).normal(size=(5, 64))
    t = af.input((5, 64))
    net = af.compile(t.linear(w), compress=mode, compress_atol=0)
    record, = net.compression
    assert (record.encoding, record.error) == ("int4", 0)
    assert record.why.endswith("int4 has error 0, within 0")
    assert record.bytes_after == 24 * 64 // 2 + 32
    np.testing.assert_array_equal(net(x), af.compile(t.linear(w))(x))


def test_no_error_is_accepted_at_0():
    t = af.input((5, 64))
    for mode, first in (("int4", "int4 has error 0.0"), ("blockwise", "blockwise with 32 per ")):
        record, = af.compile(t.linear(weight(24, 64)), compress=mode, compress_atol=0).compression
        assert record.encoding == "int8"
        assert record.why.startswith(first) and record.why.endswith(", more than 0")


def test_sparse_is_exact():
    w, x = weight(24, 64, "pruned"), np.random.default_rng(4).normal(size=(5, 64))
    t = af.input((5, 64))
    left = np.count_nonzero(w)
    for mode in ("sparse", "auto"):
        net = af.compile(t.linear(w), compress=mode)
        record, = net.compression
        assert (record.encoding, record.error) == ("sparse", 0)
        assert record.bytes_after == 24 * 64 // 8 + 2 * left
        assert record.why == f"{24 * 64 - left} of {24 * 64} elements are zero"
        np.testing.assert_array_equal(net(x), af.compile(t.linear(w))(x))


def test_int4_is_gated():
    w = weight(64, 128)
    t = af.input((1, 128))
    record, = af.compile(t.linear(w), compress="int4").compression
    assert record.encoding == "int8"
    assert record.why.startswith("int4 has error 0.09")
    assert record.why.endswith(", more than 0.05")
    record, = af.compile(t.linear(w), compress="int4", compress_atol=0.2).compression
    assert record.encoding == "int4"
    assert 0.05 < record.error < 0.11


def test_targets(monkeypatch):
    w = weight(64, 128)
    t = af.input((1, 128))

    def choice(**options):
        record, = af.compile(t.linear(w), **options).compression
        return record.encoding, record.streams

    assert choice(compress="auto") == ("int8", True)
    assert choice(compress="auto", target="h13") == ("float16", True)
    assert choice(compress="auto", target="H14") == ("int8", True)
    assert choice(int8=True, target="h13") == ("int8", False)
    assert choice(compress="blockwise", target="h14") == ("blockwise", False)
    monkeypatch.setenv("ANEFORGE_TARGET", "h13")
    assert choice(compress="auto") == ("float16", True)
    assert choice(compress="auto", target="h16s") == ("int8", True)
    assert af.compile(t.linear(w)).compression == []
    monkeypatch.setenv("ANEFORGE_TARGET", "m9")
    assert af.compile(t.linear(w)).compression == []
    with pytest.raises(NotImplementedError, match=r"^compile: target 'm9' runs no compiled "):
        af.compile(t.linear(w), compress="int8")


def test_records(tmp_path):
    d = 16
    w = [weight(d, d + 2 * i)[:, :d] for i in range(4)]
    t = af.input((3, d))
    y = af.mha(t, w[0], None, w[1], None, w[2], None, w[3], None, 2) @ weight(d, 8)
    net = af.compile(y, compress="int8")
    records = net.compression
    names = ["mha_0.wq", "mha_0.wk", "mha_0.wv", "mha_0.wo", "matmul_0.w"]
    assert [r.name for r in records] == names
    assert repr(records[4]).startswith(
        "aneforge.CompressedWeight(name='matmul_0.w', shape=(16, 8), encoding='int8', "
        "bytes_before=256, bytes_after=144, error=0.00")
    assert repr(records[4]).endswith("streams=True, why='int8 was asked for')")
    assert isinstance(records[0], af.CompressedWeight)
    json.dumps(records)
    net.save(tmp_path / "net.anf")
    again = af.Model.load(tmp_path / "net.anf")
    assert again.compression == records
    x = np.random.default_rng(5).normal(size=(3, d))
    np.testing.assert_array_equal(net(x), again(x))
    np.testing.assert_array_equal(net(x), af.compile(y, compress="int8", opt=0)(x))
    again.release()
    with pytest.raises(RuntimeError, match=r"^this model has been released$"):
        again.compression  # noqa: B018
