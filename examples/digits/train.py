#!/usr/bin/env python3
"""Train the digit classifier that the aneforge quickstart compiles and runs.

Data:     scikit-learn's `load_digits`, 1797 images of 8x8 pixels with values 0..16 (uint8).
Network:  image/16 -> conv 3x3 -> relu -> conv 3x3 -> relu -> mean over H, W -> [N, C] @ fc + bias.
Writes:   digits.safetensors, test_images.npy, test_labels.npy, reference_logits.npy.

Settings were chosen with --cross-validate, which never touches the test images. The default run
trains on every training image for a fixed number of epochs and looks at the test images once, at
the end.
"""

import argparse
import io
import json
import math
import os
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

SCALE = 1 / 16  # a power of two: pixel * SCALE is exact in fp16
CLASSES = 10
CONV1_CHANNELS = 32
CONV2_CHANNELS = 128

SEED = 1
EPOCHS = 150
BATCH = 32
PEAK_LEARNING_RATE = 0.01
WARM_UP = 0.1  # fraction of all steps
WEIGHT_DECAY = 0.01
LABEL_SMOOTHING = 0.1

# Writers filled in preprinted forms and the images are in form order: the label sequence starts over
# at these indices. A split that falls on one of them keeps each form, hence its hand, together.
FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1545, 1667)
TEST_START = 1415  # the last three forms, 382 images
# Forms held out together by --cross-validate, as [first, last) positions in FORM_STARTS.
FOLDS = ((0, 2), (2, 4), (4, 6), (6, 8), (8, 11))

# Largest random distortion of a training image. Lengths are in units of half an image (4 pixels).
ROTATION = 0.08  # radians
STRETCH = 0.048
SHEAR = 0.08
SHIFT_X = 0.06
SHIFT_Y = 0.04


def load_images():
    """All images as uint8 [1797, 1, 8, 8] and their labels as uint8 [1797]."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if images.shape != (1797, 8, 8) or not np.array_equal(images, digits.images):
        raise ValueError("load_digits: expected 1797 8x8 images with whole-number pixels")
    return images[:, None], digits.target.astype(np.uint8)


def init_weights(generator):
    """Fresh parameters by name, in the order they are stored."""

    def uniform(fan_in, *shape):
        bound = 1 / math.sqrt(fan_in)
        values = torch.rand(shape, generator=generator) * 2 * bound - bound
        return values.requires_grad_()

    c1, c2 = CONV1_CHANNELS, CONV2_CHANNELS
    return {
        "conv1.weight": uniform(9, c1, 1, 3, 3),
        "conv1.bias": uniform(9, c1),
        "conv2.weight": uniform(9 * c1, c2, c1, 3, 3),
        "conv2.bias": uniform(9 * c1, c2),
        "fc.weight": uniform(c2, c2, CLASSES),
        "fc.bias": uniform(c2, CLASSES),
    }


def forward(weights, pixels, between=lambda t: t):
    """Logits of scaled pixels; `between` is applied to the result of every operator."""
    w = weights
    h = between(F.conv2d(pixels, w["conv1.weight"], w["conv1.bias"], padding=1))
    h = between(h.relu())
    h = between(F.conv2d(h, w["conv2.weight"], w["conv2.bias"], padding=1))
    h = between(h.relu())
    h = between(h.mean((2, 3)))
    return between(between(h @ w["fc.weight"]) + w["fc.bias"])


def round_fp16(tensor):
    return tensor.half().to(tensor.dtype)


def distort(pixels, generator):
    """A slightly rotated, stretched, sheared and shifted copy of each image."""

    def uniform(largest):
        return (torch.rand(len(pixels), generator=generator) * 2 - 1) * largest

    angle, shear = uniform(ROTATION), uniform(SHEAR)
    stretch_x, stretch_y = 1 + uniform(STRETCH), 1 + uniform(STRETCH)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * stretch_x, shear - sin * stretch_y, uniform(SHIFT_X)], 1)
    row_y = torch.stack([sin * stretch_x, cos * stretch_y, uniform(SHIFT_Y)], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), pixels.shape, align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)


def to_pixels(images, dtype=torch.float32):
    return torch.from_numpy(images).to(dtype) * SCALE


def train(images, labels, epochs, report):
    """Weights after `epochs` passes; `report(epoch, loss, accuracy)` follows each."""
    generator = torch.Generator().manual_seed(SEED)
    weights = init_weights(generator)
    pixels, target = to_pixels(images), torch.from_numpy(labels).long()

    optimizer = torch.optim.AdamW(weights.values(), weight_decay=WEIGHT_DECAY)
    total = epochs * math.ceil(len(pixels) / BATCH)
    warm_up = max(1, int(total * WARM_UP))
    step = 0
    for epoch in range(1, epochs + 1):
        loss_sum = correct = 0.0
        for chosen in torch.randperm(len(pixels), generator=generator).split(BATCH):
            rise = min(1.0, (step + 1) / warm_up)
            fall = 0.5 + 0.5 * math.cos(math.pi * max(0, step - warm_up) / max(1, total - warm_up))
            optimizer.param_groups[0]["lr"] = PEAK_LEARNING_RATE * rise * fall
            logits = forward(weights, distort(pixels[chosen], generator))
            loss = F.cross_entropy(logits, target[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            loss_sum += loss.item() * len(chosen)
            correct += (logits.argmax(1) == target[chosen]).sum().item()
        report(epoch, loss_sum / len(pixels), correct / len(pixels))
    return {name: value.detach() for name, value in weights.items()}


def count_correct(logits, labels):
    return int((logits.argmax(1).numpy() == labels).sum())


@torch.no_grad()
def evaluate(weights, images, labels):
    """Correct answers in fp32 and in fp16, the float64 logits of fp16 weights, and fp16's error."""
    rounded = {name: round_fp16(value) for name, value in weights.items()}
    fp32 = forward(weights, to_pixels(images))
    fp16 = forward(rounded, to_pixels(images), between=round_fp16)
    exact = {name: value.double() for name, value in rounded.items()}
    reference = forward(exact, to_pixels(images, torch.float64))
    return {
        "fp32 correct": count_correct(fp32, labels),
        "fp16 correct": count_correct(fp16, labels),
        "reference correct": count_correct(reference, labels),
        "largest fp16 error": (fp16 - reference).abs().max().item(),
        "same answers": bool((fp16.argmax(1) == reference.argmax(1)).all()),
        "reference": reference.float().numpy(),
    }


def cross_validate(images, labels, epochs):
    """Train once per fold of training forms and print the accuracy on the forms left out."""
    edges = FORM_STARTS
    wrong_total = 0
    for first, last in FOLDS:
        held_out = np.zeros(len(images), dtype=bool)
        held_out[edges[first]:edges[last]] = True
        weights = train(images[~held_out], labels[~held_out], epochs, lambda *_: None)
        result = evaluate(weights, images[held_out], labels[held_out])
        count = int(held_out.sum())
        wrong = count - result["fp32 correct"]
        wrong_total += wrong
        print(f"forms {first:2d}..{last - 1:<2d}  {wrong:2d} of {count} wrong", flush=True)
    accuracy = 1 - wrong_total / len(images)
    print(f"cross-validated accuracy {accuracy:.2%} ({wrong_total} of {len(images)} wrong)")


def safetensors_bytes(weights, metadata):
    """The safetensors form of float32 weights.

    Written here rather than with the safetensors package, whose metadata order changes from run to
    run: the same weights must give the same bytes.
    """
    header, data = {"__metadata__": metadata}, b""
    for name, value in weights.items():
        raw = np.ascontiguousarray(value.numpy(), dtype="<f4").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data starts 8-aligned
    return struct.pack("<Q", len(text)) + text + data


def npy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_file(path, content):
    """Replace `path` in one step, so that no reader ever meets half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"wrote {path.name}, {len(content)} bytes")


def parse_arguments():
    def positive(text):
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError("must be at least 1")
        return value

    parser = argparse.ArgumentParser(
        description="Train the digit classifier of the aneforge quickstart and write its weights, "
        "the held-out images and labels, and the reference logits.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, metavar="DIR",
                        help="where to write the files (default: beside this script)")
    parser.add_argument("--epochs", type=positive, default=EPOCHS, metavar="N",
                        help="passes over the training images (default: %(default)s)")
    parser.add_argument("--cross-validate", action="store_true",
                        help="only measure the settings, on training images; writes nothing")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # One thread and deterministic kernels: sums are then taken in the same order in every run.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    images, labels = load_images()
    train_images, train_labels = images[:TEST_START], labels[:TEST_START]
    if arguments.cross_validate:
        cross_validate(train_images, train_labels, arguments.epochs)
        return 0

    arguments.out.mkdir(parents=True, exist_ok=True)

    def report(epoch, loss, accuracy):
        print(f"epoch {epoch:3d}/{arguments.epochs}  loss {loss:.4f}  "
              f"training accuracy {accuracy:.2%}", flush=True)

    weights = train(train_images, train_labels, arguments.epochs, report)

    test_images, test_labels = images[TEST_START:], labels[TEST_START:]
    count = len(test_labels)
    result = evaluate(weights, test_images, test_labels)
    accuracies = {}
    for kind in ("fp32", "fp16", "reference"):
        correct = result[f"{kind} correct"]
        accuracies[kind] = f"{correct / count:.4f} ({correct} of {count})"
        print(f"held-out accuracy, {kind:9s} {accuracies[kind]}")
    print(f"largest difference of an fp16 logit from the reference "
          f"{result['largest fp16 error']:.5f}; "
          f"{'same' if result['same answers'] else 'different'} answers")

    metadata = {
        "architecture": f"conv3x3(1,{CONV1_CHANNELS},pad=1) relu "
                        f"conv3x3({CONV1_CHANNELS},{CONV2_CHANNELS},pad=1) relu mean(H,W) "
                        f"reshape[N,{CONV2_CHANNELS}] matmul({CONV2_CHANNELS},{CLASSES}) add",
        "input": "uint8 [N,1,8,8], values 0..16",
        "scale": str(SCALE),
        "accuracy_fp32": accuracies["fp32"],
        "accuracy_fp16": accuracies["fp16"],
        "split": f"trained on images 0..{TEST_START - 1} of scikit-learn's load_digits, "
                 f"tested on {TEST_START}..{len(images) - 1}",
        "script": Path(__file__).name,
    }
    write_file(arguments.out / "digits.safetensors", safetensors_bytes(weights, metadata))
    write_file(arguments.out / "test_images.npy", npy_bytes(test_images))
    write_file(arguments.out / "test_labels.npy", npy_bytes(test_labels))
    write_file(arguments.out / "reference_logits.npy", npy_bytes(result["reference"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
