"""What enters a graph: inputs of every type and file, and constants in every form.

Each number is rounded to binary16 once; through float32 it would be twice."""
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from bounds import Bounded, difference, to_half
from graph_run import Graph

ROOT = Path(__file__).resolve().parents[2]

# Ties and their neighbours, which a rounding through float32 makes ties.
DOUBLE = np.array([1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-30, 1 + 2.0**-11 - 2.0**-30, 0.1, 65519.999,
                   65520, 1e300, -1e-300, 2.0**-25, 2.0**-25 * (1 + 2.0**-40), -0.0, np.inf,
                   np.nan, 3.14159265358979])
with np.errstate(over="ignore"):
    SINGLE = DOUBLE.astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_input(aneforge, tmp_path, dtype):
    with np.errstate(over="ignore"):
        x = DOUBLE.astype(dtype).reshape(2, 7)
    graph = Graph()
    port = graph.output(graph.input(np.zeros(x.shape, np.float16)))
    graph.inputs = dict.fromkeys(graph.inputs, x)
    got = graph.run(aneforge, tmp_path)[port]
    assert difference(got, Bounded(x.astype(np.float64))) is None


def test_every_byte(aneforge, tmp_path):
    x, graph = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), Graph()
    bytes_ = graph.apply("cast", [graph.input(x)])
    ports = [graph.output(y) for y in (bytes_, graph.apply("scale", [bytes_],
                                                           attrs=f"factor={1 / 255!r}"))]
    outputs = graph.run(aneforge, tmp_path)
    assert np.array_equal(outputs[ports[0]], x)
    assert np.array_equal(outputs[ports[1]], to_half(x / 255))  # docs/numerics.md, "uint8 images"


def random_values(seed, std, shape):
    """The generator of random(seed, std), as the benchmarks have it in NumPy."""
    spec = spec_from_file_location("bench_graphs", ROOT / "bench" / "graphs.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.random_values(seed, std, shape)


def decimal(x):
    return "nan" if np.isnan(x) else repr(float(x))


def test_constants(aneforge, tmp_path):
    """In braces, of which a finite number may not overflow; filled; random; hex; from files."""
    finite = np.where(np.isfinite(DOUBLE) & (np.abs(DOUBLE) >= 65520), 1.0, DOUBLE)
    bits = np.arange(0, 65536, 17, dtype=np.uint32).astype(np.uint16)
    forms = [
        ("f16[14] {" + ", ".join(decimal(x) for x in finite) + "}", finite),
        ("f16[2,3] fill(0.1)", np.full((2, 3), 0.1)),
        ("f16[5,37] random(seed=7, std=0.3)", random_values(7, 0.3, (5, 37))),
        (f"f16[{len(bits)}] hex({''.join(f'{b:04x}' for b in bits)})", bits.view(np.float16)),
        ('f16[14] file("arrays.npz", "f64")', DOUBLE),
        ('f16[14] file("arrays.npz", "f32")', SINGLE),
        ('f16[] file("arrays.npz", "scalar")', np.array(0.1)),
    ]
    np.savez(tmp_path / "arrays.npz", f64=DOUBLE, f32=SINGLE, scalar=0.1)
    graph = Graph()
    graph.output(graph.input(np.zeros(1, np.float16)))  # some output must depend on an input
    ports = [graph.output(graph.value(f"const {text}")) for text, _ in forms]
    outputs = graph.run(aneforge, tmp_path)
    for port, (text, want) in zip(ports, forms, strict=True):
        wrong = difference(outputs[port], Bounded(np.asarray(want, np.float64)))
        assert wrong is None, f"{text[:40]}: {wrong}"


def test_boolean_constant(aneforge, tmp_path):
    graph, b = Graph(), np.array([[True, False, True], [False, False, True]])
    x = np.full(b.shape, 3, np.float16)
    zeros = graph.constant(np.zeros(b.shape, np.float16))
    port = graph.output(graph.apply("select", [graph.constant(b), graph.input(x), zeros]))
    assert np.array_equal(graph.run(aneforge, tmp_path)[port], 3 * b)
