"""Operators that are compositions have the bits of their parts, for values of every kind.

The parts are compared with float64 one by one, so nothing is lost where a bound carried through all
of them would be useless (large scores) or undefined (results beyond binary16)."""
import math

import numpy as np
import pytest

from bounds import to_half
from cases import COMPOSITES, FILLINGS, cases_of
from graph_run import Graph, shape_text
from op_info import op_info
from samples import Sample


def linear(graph, x, weight, bias):
    named = [("bias", bias)] if bias else []
    return graph.apply("linear", [x, weight], named)


def reshaped(graph, x, shape):
    return graph.apply("reshape", [x], attrs=f"shape={shape_text(shape)}")


def transposed(graph, x, rank):
    """The last two but one axes exchanged: [..,S,H,W] and [..,H,S,W]."""
    perm = [*range(rank)]
    perm[-3], perm[-2] = perm[-2], perm[-3]
    return graph.apply("transpose", [x], attrs=f"perm={shape_text(perm)}")


def attention_parts(graph, x, context, weights, arrays, n_heads):
    wq, wk, wv, wo, bq, bk, bv, bo = weights
    width = arrays["wq"].shape[0]
    batch, size = arrays["x"].shape[:-2], arrays["x"].shape[-2]
    rank = len(batch) + 3

    def heads(of, w, b, rows):
        y = linear(graph, of, w, b)
        y = reshaped(graph, y, (*batch, rows, n_heads, width // n_heads))
        return transposed(graph, y, rank)

    keys = arrays["context"].shape[-2]
    q, k, v = (heads(*part) for part in (
        (x, wq, bq, size), (context, wk, bk, keys), (context, wv, bv, keys)))
    last = [*range(rank - 2), rank - 1, rank - 2]
    k = graph.apply("transpose", [k], attrs=f"perm={shape_text(last)}")
    scale = graph.constant(to_half(1 / math.sqrt(width // n_heads)))
    scores = graph.apply("mul", [graph.apply("bmm", [q, k]), scale])
    y = graph.apply("bmm", [graph.apply("softmax", [scores]), v])
    y = reshaped(graph, transposed(graph, y, rank), (*batch, size, width))
    return linear(graph, y, wo, bo)


def geglu_parts(graph, x, w, b, arrays):
    half = arrays["w"].shape[0] // 2

    def part(first):
        rows = graph.apply("slice", [w], attrs=f"begin=[{first},0], "
                           f"size={shape_text((half, arrays['w'].shape[1]))}")
        own = b and graph.apply("slice", [b], attrs=f"begin=[{first}], size=[{half}]")
        return linear(graph, x, rows, own)

    return graph.apply("mul", [part(0), graph.apply("gelu", [part(half)])])


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("composite", COMPOSITES)
def test_composite_is_its_parts(aneforge, tmp_path, composite, filling):
    info = op_info(aneforge, composite)
    for case in cases_of(composite):
        graph = Graph()
        sample = Sample(info, case, filling, graph)
        names = dict.fromkeys(info.operands) | sample.names
        arrays = dict(zip(info.operands, sample.arrays, strict=False))
        if composite == "geglu":
            y = geglu_parts(graph, names["x"], names["w"], names["b"], arrays)
        else:
            arrays.setdefault("context", arrays["x"])
            weights = [names[w + end] for w in "wb" for end in "qkvo"]
            y = attention_parts(graph, names["x"], names.get("context") or names["x"], weights,
                                arrays, **case.attrs)
        graph.output(y)
        outputs = graph.run(aneforge, tmp_path)
        assert np.array_equal(outputs["y0"].view(np.uint32), outputs["y1"].view(np.uint32)), case
