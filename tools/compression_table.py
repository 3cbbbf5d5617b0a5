#!/usr/bin/env python3
"""What compressed weights cost: accuracy, closeness and size of trained networks in every mode.

    python3 tools/compression_table.py [--aneforge build/aneforge]

Prints Markdown tables, those of docs/compression.md.  Every figure comes from the command: it
compiles a graph text with --compress, its report tells what the weights became, and it runs the
held-out images of examples/digits.  Results are the same bits on every machine, so the tables are
too; only resident memory differs.  Needs NumPy.
"""
import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"
HEADS = 4
LAYERS = ("layer0", "layer1")
PRUNED = 0.65  # share of zeros, as in train_encoder.py

MODES = {
    "none": (),
    "int8": ("--compress", "int8"),
    "int4": ("--compress", "int4"),
    "int4, atol 0.15": ("--compress", "int4", "--compress-atol", "0.15"),
    "sparse": ("--compress", "sparse"),
    "blockwise": ("--compress", "blockwise"),
    "auto": ("--compress", "auto"),
    "auto, atol 0.15": ("--compress", "auto", "--compress-atol", "0.15"),
}
REPEAT = 300  # long enough to be seen; the command keeps a time for each
SIZE_MODES = ("none", "int8", "int4, atol 0.15", "blockwise")


# ---- the networks --------------------------------------------------------------------------------

def read_safetensors(path):
    """float16 arrays by name: a length, a header in JSON, the arrays one after the other."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    arrays = {}
    for name, about in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            dtype = {"F16": "<f2", "F32": "<f4"}[about["dtype"]]
            values = np.frombuffer(content[start + first:start + last], dtype)
            arrays[name] = values.reshape(about["shape"]).astype(np.float16)
    return arrays


def without_smallest(w):
    """The smallest PRUNED of a matrix are zero, the others as they were."""
    pruned = w.flatten()
    pruned[np.argsort(np.abs(pruned), kind="stable")[:round(PRUNED * w.size)]] = 0
    return pruned.reshape(w.shape)


class Network:
    """`statements` of a graph text from x to y, and `exact`, the same in float64."""

    def __init__(self, title, weights, x, statements, exact):
        self.title, self.weights, self.x = title, weights, x
        self.statements, self.exact = statements, exact
        self.matrices = [w for w in weights.values() if w.ndim == 2]

    def text(self):
        lines = ["aneforge-graph 1", f"x = input f16{list(self.x.shape)}"]
        lines += [f'{name} = const f16{list(w.shape)} file("weights.npz", "{name}")'
                  for name, w in self.weights.items()]
        return "\n".join([*lines, *self.statements, "return y", ""])

    def exact_logits(self):
        return self.exact({name: w.astype(np.float64) for name, w in self.weights.items()},
                          self.x.astype(np.float64))


def exact_convolution(x, w, b):
    """3x3, padding 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w, optimize=True) + b[:, None, None]


def exact_cnn(w, x):
    for conv in ("conv1", "conv2"):
        x = np.maximum(exact_convolution(x, w[f"{conv}.weight"], w[f"{conv}.bias"]), 0)
    return x.mean((2, 3)) @ w["fc.weight"].T + w["fc.bias"]


def cnn(title, images, pruned):
    w = read_safetensors(DIGITS / "digits.safetensors")
    w["fc.weight"] = np.ascontiguousarray(w["fc.weight"].T)
    if pruned:
        w["fc.weight"] = without_smallest(w["fc.weight"])
    statements = ["c1 = conv(x, conv1.weight, bias=conv1.bias, pad=1)", "r1 = relu(c1)",
                  "c2 = conv(r1, conv2.weight, bias=conv2.bias, pad=1)", "r2 = relu(c2)",
                  "m = mean(r2, axes=[2,3])", f"h = reshape(m, shape=[{len(images)},128])",
                  "y = linear(h, fc.weight, bias=fc.bias)"]
    return Network(title, w, images / np.float16(16), statements, exact_cnn)


def exact_gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def exact_norm(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * gamma + beta


def exact_encoder(w, x):
    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        return exact_norm(x, w[f"{name}.gamma"], w[f"{name}.beta"])

    h = linear(x, "embed")
    n, s, d = h.shape
    for layer in LAYERS:
        q, k, v = (linear(h, f"{layer}.{part}").reshape(n, s, HEADS, -1).swapaxes(1, 2)
                   for part in "qkv")
        scores = np.exp(q @ k.swapaxes(2, 3) / math.sqrt(d // HEADS))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        h = norm(h + linear(mixed.swapaxes(1, 2).reshape(n, s, d), f"{layer}.o"), f"{layer}.norm1")
        h = norm(h + linear(exact_gelu(linear(h, f"{layer}.up")), f"{layer}.down"),
                 f"{layer}.norm2")
    return linear(h.mean(1), "head")


def encoder(title, images, file):
    """The rows of an image are tokens: eight pixels, and the number of the row as one of eight."""
    w = read_safetensors(DIGITS / file)
    numbers = np.broadcast_to(np.eye(8, dtype=np.float16), (len(images), 8, 8))
    x = np.concatenate([images[:, 0] / np.float16(16), numbers], axis=2)
    statements = ["h = linear(x, embed.weight, bias=embed.bias)"]
    h = "h"
    for layer in LAYERS:
        def named(kind, layer=layer):
            return [f"{layer}.{part}.{kind}" for part in "qkvo"]

        biases = ", ".join(f"b{p}={b}" for p, b in zip("qkvo", named("bias"), strict=True))

        def linear(x, part, layer=layer):
            return f"linear({x}, {layer}.{part}.weight, bias={layer}.{part}.bias)"

        def norm(x, part, layer=layer):
            return f"layer_norm({x}, {layer}.{part}.gamma, {layer}.{part}.beta)"

        statements += [
            f"{layer}.a = mha({h}, {', '.join(named('weight'))}, {biases}, n_heads={HEADS})",
            f"{layer}.s = add({h}, {layer}.a)", f"{layer}.h = {norm(f'{layer}.s', 'norm1')}",
            f"{layer}.f = {linear(f'{layer}.h', 'up')}", f"{layer}.g = gelu({layer}.f)",
            f"{layer}.d = {linear(f'{layer}.g', 'down')}",
            f"{layer}.t = add({layer}.h, {layer}.d)", f"{layer}.y = {norm(f'{layer}.t', 'norm2')}"]
        h = f"{layer}.y"
    width = w["head.weight"].shape[1]
    statements += [f"m = mean({h}, axes=[1])", f"r = reshape(m, shape=[{len(images)},{width}])",
                   "y = linear(r, head.weight, bias=head.bias)"]
    return Network(title, w, x, statements, exact_encoder)


def networks():
    """By name; with them the labels of the images they are run on."""
    images, labels = (np.load(DIGITS / f"test_{what}.npy") for what in ("images", "labels"))
    zeros = f"{PRUNED * 100:.0f} % zeros"
    return {
        "cnn": cnn("Convolutional network; its one matrix product is the classifier, convolutions "
                   "stay float16", images, False),
        "cnn_pruned": cnn(f"The same, classifier pruned to {zeros}, not trained again", images,
                          True),
        "encoder": encoder("Transformer encoder, two layers of width 64", images,
                           "encoder.safetensors"),
        "encoder_pruned": encoder(f"The same, pruned to {zeros} and trained again around them",
                                  images, "encoder_pruned.safetensors"),
    }, labels


# ---- the command ---------------------------------------------------------------------------------

def command(aneforge, *words):
    done = subprocess.run([aneforge, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{aneforge} {' '.join(map(str, words))}: {done.stderr}")


class Result:
    """A compiled network: `logits`, `records` of the report, `file_bytes`, `weight_bytes`."""

    def __init__(self, aneforge, network, mode, folder):
        folder = Path(folder)
        graph, model, report = (folder / f for f in ("net.graph", "net.anf", "report.json"))
        graph.write_text(network.text())
        np.savez(folder / "weights.npz", **network.weights)
        np.save(folder / "x.npy", network.x)
        reporting = ("--report", report) if MODES[mode] else ()
        command(aneforge, "compile", "--quiet", graph, "-o", model, *MODES[mode], *reporting)
        command(aneforge, "run", "--quiet", model, folder / "x.npy", "-o", folder / "y.npy")
        self.logits = np.load(folder / "y.npy")
        self.records = json.loads(report.read_text())["weights"] if reporting else []
        self.file_bytes = model.stat().st_size
        self.float16_bytes = sum(2 * w.size for w in network.matrices)
        self.weight_bytes = sum(r["bytes_after"] for r in self.records) or self.float16_bytes

    def right(self, labels):
        return int((self.logits.argmax(1) == labels).sum())

    def encodings(self):
        return dict(Counter(r["encoding"] for r in self.records))

    def errors(self):
        return [r["error"] for r in self.records] or [0.0]


def mean_cosine(a, b):
    """Of the logits of an image, over all images."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / lengths).mean())


# ---- memory --------------------------------------------------------------------------------------

def resident(aneforge, model):
    """The largest VmRSS seen of a process that runs `model` REPEAT times."""
    most = 0
    with subprocess.Popen([aneforge, "run", "--quiet", model, "random", "--repeat", str(REPEAT)],
                          stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):  # missing once it has ended
                    most = max(most, int(line.split()[1]) * 1024)
            time.sleep(0.002)
    if process.returncode or not most:
        sys.exit(f"{aneforge} run {model}: exit {process.returncode}, {most} bytes seen")
    return most


def encoder_sizes(aneforge, folder):
    """Rows of (mode, file bytes, resident bytes above those of a model without weights)."""
    sys.path.insert(0, str(ROOT / "bench"))
    from graphs import WORKLOADS
    graph, model = Path(folder, "net.graph"), Path(folder, "net.anf")
    graph.write_text("aneforge-graph 1\nx = input f16[256,256]\ny = bmm(x, x)\nreturn y\n")
    command(aneforge, "compile", "--quiet", graph, "-o", model)
    idle = resident(aneforge, model)
    graph.write_text(WORKLOADS["encoder_s16"]().text())
    for mode in SIZE_MODES:
        command(aneforge, "compile", "--quiet", graph, "-o", model, *MODES[mode])
        yield mode, model.stat().st_size, resident(aneforge, model) - idle


# ---- tables --------------------------------------------------------------------------------------

def markdown(*rows):
    for i, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if i == 0:
            print("|" + "---|" * len(row))
    print()


def accuracy_table(aneforge, network, labels, folder):
    exact, float16 = network.exact_logits(), None
    rows = [("mode", "encodings", "weights", "ratio", "file", "error, largest", "mean",
             "cosine, float16", "float64", "right", "accuracy")]
    for mode in MODES:
        r = Result(aneforge, network, mode, folder)
        float16 = r.logits if mode == "none" else float16
        right, errors = r.right(labels), r.errors()
        rows.append((
            mode, ", ".join(f"{n} {e}" for e, n in sorted(r.encodings().items())),
            str(r.weight_bytes), f"{r.weight_bytes / r.float16_bytes:.3f}", str(r.file_bytes),
            f"{max(errors):.4f}", f"{sum(errors) / len(errors):.4f}",
            f"{mean_cosine(r.logits, float16):.6f}", f"{mean_cosine(r.logits, exact):.6f}",
            str(right), f"{right / len(labels) * 100:.2f} %"))
    exact_right = int((exact.argmax(1) == labels).sum())
    print(f"{network.title}; {exact_right} of {len(labels)} right with float64 arithmetic:\n")
    markdown(*rows)


def size_table(aneforge, folder):
    rows = [("mode", "file", "ratio", "resident", "ratio")]
    first = None
    for mode, file, memory in encoder_sizes(aneforge, folder):
        first = first or (file, memory)
        rows.append((mode, f"{file / 1e6:.2f} MB", f"{file / first[0]:.3f}",
                     f"{memory / 1e6:.2f} MB", f"{memory / first[1]:.3f}"))
    print("Encoder of MiniLM-L6's shape (6 layers, width 384, feed-forward 1536, 16 tokens):\n")
    markdown(*rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aneforge", default=ROOT / "build" / "aneforge", metavar="FILE",
                        help="the command (build/aneforge)")
    arguments = parser.parse_args()
    aneforge = Path(arguments.aneforge).resolve()
    if not aneforge.is_file():
        parser.error(f"{aneforge} does not exist: build it, or give --aneforge")
    nets, labels = networks()
    with tempfile.TemporaryDirectory() as folder:
        for network in nets.values():
            accuracy_table(aneforge, network, labels, folder)
        size_table(aneforge, folder)


if __name__ == "__main__":
    main()
