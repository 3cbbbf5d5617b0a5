#!/usr/bin/env python3
"""Train a small transformer encoder on the digits, for examples/python/compression.py.

Network:  the 8 rows of an image are tokens: 8 pixels / 16 and the row's number as one of 8 ones
          -> linear to WIDTH -> LAYERS x (attention, feed-forward with gelu, a layer norm after each)
          -> mean of the tokens -> linear to 10 scores.
Writes:   encoder.safetensors, float16, and prints the accuracy on the held-out images.
          With --prune, encoder_pruned.safetensors instead: encoder.safetensors with the smallest
          PRUNED of every matrix set to zero, and the others trained further around them.

Data, split, distortions and settings of training are those of train.py.
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import train

WIDTH, HEADS, FEED_FORWARD, LAYERS = 64, 4, 128, 2
PEAK_LEARNING_RATE = 0.003
PRUNED = 0.65  # share of zeros
PRUNED_EPOCHS = 30
PRUNED_LEARNING_RATE = 0.001


def init_weights(generator):
    """Fresh parameters by name, in the order they are stored; matrices are [out, in]."""
    weights = {}

    def linear(name, n_out, n_in):
        bound = 1 / math.sqrt(n_in)
        for part, shape in (("weight", (n_out, n_in)), ("bias", (n_out,))):
            values = torch.rand(shape, generator=generator) * 2 * bound - bound
            weights[f"{name}.{part}"] = values.requires_grad_()

    def norm(name):
        weights[f"{name}.gamma"] = torch.ones(WIDTH, requires_grad=True)
        weights[f"{name}.beta"] = torch.zeros(WIDTH, requires_grad=True)

    linear("embed", WIDTH, 16)
    for layer in range(LAYERS):
        for part in "qkvo":
            linear(f"layer{layer}.{part}", WIDTH, WIDTH)
        norm(f"layer{layer}.norm1")
        linear(f"layer{layer}.up", FEED_FORWARD, WIDTH)
        linear(f"layer{layer}.down", WIDTH, FEED_FORWARD)
        norm(f"layer{layer}.norm2")
    linear("head", train.CLASSES, WIDTH)
    return weights


def forward(w, pixels):
    """Scores of scaled pixels [N,1,8,8]."""

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), w[f"{name}.gamma"], w[f"{name}.beta"])

    n = len(pixels)
    rows = torch.eye(8, dtype=pixels.dtype).expand(n, 8, 8)
    h = linear(torch.cat([pixels[:, 0], rows], 2), "embed")
    for layer in range(LAYERS):
        name = f"layer{layer}"
        q, k, v = (linear(h, f"{name}.{part}").view(n, 8, HEADS, -1).transpose(1, 2)
                   for part in "qkv")
        scores = (q @ k.transpose(2, 3)) / math.sqrt(WIDTH // HEADS)
        mixed = (scores.softmax(3) @ v).transpose(1, 2).reshape(n, 8, WIDTH)
        h = norm(h + linear(mixed, f"{name}.o"), f"{name}.norm1")
        h = norm(h + linear(F.gelu(linear(h, f"{name}.up")), f"{name}.down"), f"{name}.norm2")
    return linear(h.mean(1), "head")


def zero_masks(weights):
    """Of every matrix, 0 where an element is among the smallest PRUNED, else 1."""
    masks = {}
    for name, value in weights.items():
        if value.ndim == 2:
            mask = torch.ones(value.numel())
            order = value.abs().flatten().sort(stable=True).indices
            mask[order[:round(PRUNED * value.numel())]] = 0
            masks[name] = mask.reshape(value.shape)
    return masks


def fit(weights, masks, images, labels, epochs, peak, generator):
    """Trains `weights`; what `masks` has as 0 is zero from the first step on."""

    @torch.no_grad()
    def prune():
        for name, mask in masks.items():
            weights[name] *= mask

    prune()
    pixels, target = train.to_pixels(images), torch.from_numpy(labels).long()
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=train.WEIGHT_DECAY)
    total = epochs * math.ceil(len(pixels) / train.BATCH)
    warm_up = max(1, int(total * train.WARM_UP))
    step = 0
    for epoch in range(1, epochs + 1):
        loss_sum = 0.0
        for chosen in torch.randperm(len(pixels), generator=generator).split(train.BATCH):
            rise = min(1.0, (step + 1) / warm_up)
            fall = 0.5 + 0.5 * math.cos(math.pi * max(0, step - warm_up) / max(1, total - warm_up))
            optimizer.param_groups[0]["lr"] = peak * rise * fall
            logits = forward(weights, train.distort(pixels[chosen], generator))
            loss = F.cross_entropy(logits, target[chosen], label_smoothing=train.LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            prune()
            step += 1
            loss_sum += loss.item() * len(chosen)
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch:3d}/{epochs}  loss {loss_sum / len(pixels):.4f}", flush=True)
    return {name: value.detach() for name, value in weights.items()}


def safetensors_bytes(weights, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, value in weights.items():
        raw = np.ascontiguousarray(value.numpy(), dtype="<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data starts 8-aligned
    return struct.pack("<Q", len(text)) + text + data


def read_weights(path):
    """What safetensors_bytes wrote, as float32 to train."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    weights = {}
    for name, about in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            values = np.frombuffer(content[start + first:start + last], "<f2").astype(np.float32)
            weights[name] = torch.from_numpy(values.reshape(about["shape"])).requires_grad_()
    return weights


def main():
    parser = argparse.ArgumentParser(description="Train a transformer encoder on the digits.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, metavar="DIR")
    parser.add_argument("--epochs", type=int, metavar="N",
                        help=f"passes over the training images (100, with --prune {PRUNED_EPOCHS})")
    parser.add_argument("--prune", action="store_true",
                        help="prune DIR/encoder.safetensors instead of training it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels = train.load_images()
    start = train.TEST_START
    generator = torch.Generator().manual_seed(train.SEED)
    if arguments.prune:
        weights = read_weights(arguments.out / "encoder.safetensors")
        masks, peak, epochs = zero_masks(weights), PRUNED_LEARNING_RATE, PRUNED_EPOCHS
    else:
        weights, masks, peak, epochs = init_weights(generator), {}, PEAK_LEARNING_RATE, 100
    weights = fit(weights, masks, images[:start], labels[:start], arguments.epochs or epochs, peak,
                  generator)
    rounded = {name: train.round_fp16(value) for name, value in weights.items()}
    with torch.no_grad():
        correct = train.count_correct(forward(rounded, train.to_pixels(images[start:])),
                                      labels[start:])
    count = len(labels) - start
    accuracy = f"{correct / count:.4f} ({correct} of {count})"
    print(f"held-out accuracy with float16 weights {accuracy}")
    metadata = {"architecture": f"width {WIDTH}, {HEADS} heads, feed-forward {FEED_FORWARD}, "
                                f"{LAYERS} layers, post-norm", "accuracy": accuracy,
                "script": Path(__file__).name}
    if arguments.prune:
        metadata["pruned"] = str(PRUNED)
    name = "encoder_pruned" if arguments.prune else "encoder"
    train.write_file(arguments.out / f"{name}.safetensors", safetensors_bytes(weights, metadata))
    return 0


if __name__ == "__main__":
    sys.exit(main())
