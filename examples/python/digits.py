"""Classify handwritten digits: raw bytes into one fused program, class scores out.

    python3 examples/python/digits.py [FOLDER] [IMAGES]

FOLDER (examples/digits) holds digits.safetensors, test_images.npy and test_labels.npy; IMAGES (4)
are drawn. The network is the first example of the API page: image_input, convolutions with relu, a
mean over the picture, one matrix product. examples/digits/train.py made the weights,
examples/digits.c is the same program in C.
"""
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import aneforge as af

SHADES = " .:-=+*#%@@@@@@@@"


def read_safetensors(path):
    """The format is a length, a header in JSON, and the arrays one after the other."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    arrays = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            dtype = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[about["dtype"]]
            flat = np.frombuffer(data[start + begin:start + end], dtype)
            arrays[name] = flat.reshape(about["shape"])
    return arrays


def build_network(weights):
    h = af.image_input((1, 1, 8, 8), scale=1 / 16)  # the data set has 17 grey levels
    for i in range(1, len(weights) // 2):
        h = af.conv(h, weights[f"conv{i}.weight"], pad=1, bias=weights[f"conv{i}.bias"]).relu()
    h = h.mean((2, 3)).reshape(1, -1)
    return af.compile(h.linear(weights["fc.weight"].T, bias=weights["fc.bias"]))


def draw(image, label, scores):
    answer = scores.argmax()
    confidence = 1 / np.exp(scores - scores.max()).sum()
    for y, row in enumerate(image):
        line = "    " + "".join(2 * SHADES[pixel] for pixel in row)
        if y == 3:
            line += f"   {answer}  ({100 * confidence:.1f} %)"
            line += "" if answer == label else f"   wrong, it is labelled: {label}"
        print(line)
    print()


def time_calls(net, image):
    net.input_view()[:] = image
    took = []
    for _ in range(2001):
        start = time.perf_counter()
        net.execute()
        took.append(time.perf_counter() - start)
    median = 1e6 * statistics.median(took)
    print(f"latency of one image: {median:.1f} us (median of {len(took)} calls)\n")


def main():
    here = Path(__file__).resolve().parent.parent / "digits"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    shown = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    images, labels = np.load(folder / "test_images.npy"), np.load(folder / "test_labels.npy")
    with build_network(read_safetensors(folder / "digits.safetensors")) as net:
        print("Handwritten digits the network has never seen, and what it makes of them:\n")
        right = 0
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            scores = net(image[np.newaxis])[0]
            right += int(scores.argmax() == label)
            if i < shown:
                draw(image[0], label, scores)
        n = len(images)
        print(f"accuracy on {n} unseen images: {100 * right / n:.2f} % ({n - right} wrong)")
        time_calls(net, images[:1])
        print(net.explain())


if __name__ == "__main__":
    main()
