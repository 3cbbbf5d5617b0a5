"""Encoded weights rebuilt from docs/compression.md: what a weight is after encoding, in float64."""
import numpy as np


def decoded_scaled(w, block):
    """int8 with a binary16 scale for each `block` elements of a row of w [n,k]; k: per channel."""
    n, k = w.shape
    x = w.astype(np.float64).reshape(n, k // block, block)
    largest = np.abs(x).max(axis=2, keepdims=True).astype(np.float32)
    scale = (largest / np.float32(127)).astype(np.float16).astype(np.float64)
    q = np.clip(np.rint(x / np.where(scale == 0, 1, scale)), -127, 127)
    return (q * scale).reshape(n, k)
