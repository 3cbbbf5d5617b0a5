"""What compressed weights cost in accuracy: two trained networks, every mode, images never seen.

    python3 examples/python/compression.py [FOLDER]

FOLDER (examples/digits) holds the weights of a convolutional network and of a transformer encoder,
and the images and labels that neither was trained on. Prints one table per network: what the
weights of matrix products became, their bytes, how many images are still recognised, and the cosine
between the class scores and those of float16 weights. tools/compression_table.py tells more.
"""
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import aneforge as af

HEADS = 4
MODES = (
    ("none", {}),
    ("int8", {"compress": "int8"}),
    ("blockwise", {"compress": "blockwise"}),
    ("int4", {"compress": "int4"}),
    ("int4, atol 0.15", {"compress": "int4", "compress_atol": 0.15}),
    ("sparse", {"compress": "sparse"}),
    ("auto", {"compress": "auto"}),
    ("auto, atol 0.15", {"compress": "auto", "compress_atol": 0.15}),
    ("auto, target h13", {"compress": "auto", "target": "h13"}),
)
PRUNED = (("none", {}), ("sparse", {"compress": "sparse"}), ("auto", {"compress": "auto"}))


def read_safetensors(path):
    """The format is a length, a header in JSON, and the arrays one after the other."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    arrays = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            dtype = {"F16": "<f2", "F32": "<f4"}[about["dtype"]]
            arrays[name] = np.frombuffer(data[start + begin:start + end],
                                         dtype).reshape(about["shape"])
    return arrays


def convolutional(w):
    h = af.image_input((1, 1, 8, 8), scale=1 / 16)
    for i in (1, 2):
        h = af.conv(h, w[f"conv{i}.weight"], pad=1, bias=w[f"conv{i}.bias"]).relu()
    return h.mean((2, 3)).reshape(1, -1).linear(w["fc.weight"].T, bias=w["fc.bias"])


def encoder(w):
    """The rows of an image are tokens: eight pixels, and the number of the row as one of eight."""
    def linear(x, name):
        return x.linear(w[f"{name}.weight"], bias=w[f"{name}.bias"])

    def norm(x, name):
        return x.layer_norm(w[f"{name}.gamma"], w[f"{name}.beta"])

    h = linear(af.input((8, 16)), "embed")
    for name in ("layer0", "layer1"):
        parts = [w[f"{name}.{part}.{which}"] for part in "qkvo" for which in ("weight", "bias")]
        h = norm(h + af.mha(h, *parts, HEADS), f"{name}.norm1")
        h = norm(h + linear(linear(h, f"{name}.up").gelu(), f"{name}.down"), f"{name}.norm2")
    return linear(h.mean((0,)), "head")


def tokens(image):
    return np.concatenate([image[0] / 16, np.eye(8)], axis=1)


def without_small(w, share=0.6):
    """The smallest 60 % of every matrix set to zero, and nothing learned again."""
    pruned = {}
    for name, value in w.items():
        matrix = name.endswith(".weight") and value.ndim == 2
        least = np.quantile(np.abs(value), share) if matrix else 0
        pruned[name] = np.where(np.abs(value) > least, value, 0) if matrix else value
    return pruned


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def table(title, out, modes, images, labels):
    print(f"{title}, {len(labels)} images\n")
    print(f"{'mode':18}{'bytes':>7}{'ratio':>7}{'right':>7}{'accuracy':>10}{'cosine':>10}  encodings")
    full = before = None
    for name, options in modes:
        with af.compile(out, **options) as net:
            scores = np.concatenate([net(image) for image in images])
            records = net.compression
        if full is None:
            full = scores
            with af.compile(out, compress="int8") as net:
                before = sum(r.bytes_before for r in net.compression)
        size = sum(r.bytes_after for r in records) if records else before
        right = int((scores.argmax(axis=1) == labels).sum())
        chosen = Counter(r.encoding for r in records)
        print(f"{name:18}{size:7}{size / before:7.3f}{right:7}{right / len(labels):10.2%}"
              f"{cosine(scores, full):10.6f}  "
              + ", ".join(f"{n} {e}" for e, n in sorted(chosen.items())))
    print()


def main():
    here = Path(__file__).resolve().parent.parent / "digits"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    images, labels = np.load(folder / "test_images.npy"), np.load(folder / "test_labels.npy")
    pictures, rows = [image[np.newaxis] for image in images], [tokens(image) for image in images]
    w = read_safetensors(folder / "digits.safetensors")
    table("Convolutional network", convolutional(w), MODES, pictures, labels)
    w = read_safetensors(folder / "encoder.safetensors")
    table("Transformer encoder", encoder(w), MODES, rows, labels)
    table("Transformer encoder, pruned", encoder(without_small(w)), PRUNED, rows, labels)


if __name__ == "__main__":
    main()
