"""Compressed networks still recognise what they did: trained weights, images never seen.

One answer on every machine: the number of images recognised is the same on each, so it is compared
with `==`.  docs/compression.md shows these numbers.
"""
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from compression_table import MODES, Result, networks

NETWORKS, LABELS = networks()
# (images of 382, what the weights became), in the order of MODES.
EXPECTED = {
    "cnn": [
        (375, {}), (374, {"int8": 1}), (374, {"int8": 1}), (373, {"int4": 1}),
        (375, {"float16": 1}), (375, {"blockwise": 1}), (374, {"int8": 1}), (373, {"int4": 1})],
    "cnn_pruned": [
        (375, {}), (376, {"int8": 1}), (376, {"int8": 1}), (375, {"int4": 1}),
        (375, {"sparse": 1}), (376, {"blockwise": 1}), (375, {"sparse": 1}), (375, {"sparse": 1})],
    "encoder": [
        (367, {}), (368, {"int8": 14}), (368, {"int8": 14}), (368, {"int4": 14}),
        (367, {"float16": 14}), (367, {"blockwise": 14}), (368, {"int8": 14}),
        (368, {"int4": 14})],
    "encoder_pruned": [
        (371, {}), (370, {"int8": 14}), (369, {"int4": 3, "int8": 11}), (368, {"int4": 14}),
        (371, {"sparse": 14}), (371, {"blockwise": 14}), (371, {"sparse": 14}),
        (371, {"sparse": 14})],
}


@pytest.fixture(scope="module")
def results(aneforge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return {name: {mode: Result(aneforge, network, mode, folder) for mode in MODES}
            for name, network in NETWORKS.items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_accuracy_and_encodings(results, name):
    got = [(results[name][mode].right(LABELS), results[name][mode].encodings()) for mode in MODES]
    assert dict(zip(MODES, got, strict=True)) == dict(zip(MODES, EXPECTED[name], strict=True))


@pytest.mark.parametrize("name", EXPECTED)
def test_what_loses_nothing_has_the_bits_of_float16(results, name):
    exact = [r for r in results[name].values() if set(r.encodings()) <= {"float16", "sparse"}]
    assert len(exact) >= 2
    for r in exact:
        assert r.errors() == [0.0] * len(r.errors())
        assert r.logits.tobytes() == results[name]["none"].logits.tobytes()


@pytest.mark.parametrize("name", EXPECTED)
def test_bytes_follow_from_the_shapes(results, name):
    """One matrix at a time, from the table of docs/compression.md."""
    matrices = NETWORKS[name].matrices
    sizes = {
        "int8": [n * k + 2 * n for n, k in (w.shape for w in matrices)],
        "int4, atol 0.15": [w.size // 2 + 32 for w in matrices],
        "blockwise": [w.size + 2 * w.size // min(32, w.shape[1]) for w in matrices],
    }
    if name.endswith("pruned"):
        sizes["sparse"] = [-(-w.size // 8) + 2 * np.count_nonzero(w) for w in matrices]
    for mode, expected in sizes.items():
        got = [r["bytes_after"] for r in results[name][mode].records]
        assert sorted(got) == sorted(expected), mode
