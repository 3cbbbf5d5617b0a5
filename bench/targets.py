"""What the project wants of a workload: a ratio to a peer's time or to our own, a share of what the
machine gives, or a time.

Names are those of graphs.WORKLOADS and of footprint.py's rows; what has no target has no line.
"""
from typing import NamedTuple, Optional

from times import time_text


class Ratio(NamedTuple):
    """Ours / theirs; `peer` None means the fastest peer of the run."""
    most: float
    peer: Optional[str] = None

    def text(self, best):
        return f"{self.most:.2f}" + (f" ({self.peer})" if self.peer and self.peer != best else "")

    def met(self, row):
        peer = self.peer or row.best
        return row.ratios[peer] <= self.most if peer in row.ratios else None


class OfOurs(NamedTuple):
    """Our time / our time of another workload."""
    most: float
    workload: str

    def text(self, _):
        return f"{self.most:.2f} of {self.workload}"

    def met(self, row):
        ratio = row.own.get(self.workload)
        return ratio <= self.most if ratio else None


class Share(NamedTuple):
    """Of what the machine gives: multiply-adds, or reads of memory."""
    least: float

    def text(self, _):
        return f">= {self.least * 100:.0f} %"

    def met(self, row):
        return row.share >= self.least if row.share else None


class Bound(NamedTuple):
    most: float  # milliseconds

    def text(self, _):
        return time_text(self.most, exact=True)

    def met(self, row):
        return row.ours <= self.most


class Row(NamedTuple):
    """What a run measured of one workload."""
    ours: float               # milliseconds, or the unit of footprint.py's row
    ratios: dict              # ours / theirs, of every peer
    best: Optional[str]       # the peer of the largest of them
    share: Optional[float]
    own: dict                 # ours / our time of another workload


TARGETS = {
    "resnet18": Ratio(0.77),
    "resnet18_b8": Ratio(0.80),
    "encoder_s16": Ratio(0.72),
    "encoder_s32": Ratio(0.75),
    "encoder_s128": (Ratio(0.85), Share(0.87)),
    "gemm_512": Ratio(1.04),
    "gemm_1024": (Ratio(1.02), Share(0.95)),
    "gemm_2048": (Ratio(1.02), Share(0.95)),
    "gemv_4096_x16": (Ratio(0.95), Share(0.95)),
    "gemv_4096_x16_int8": (Ratio(1.00), OfOurs(0.55, "gemv_4096_x16")),
    "gemv_4096_x16_int4": (Ratio(0.90), OfOurs(0.32, "gemv_4096_x16")),
    "gemv_4096_x16_sparse": OfOurs(0.60, "gemv_4096_x16"),
    "gemm_128_4096_int8": OfOurs(1.00, "gemm_128_4096"),
    "gemm_128_4096_int4": OfOurs(1.00, "gemm_128_4096"),
    "gemm_128_4096_sparse": OfOurs(1.00, "gemm_128_4096"),
    "conv3_c64_x4": Ratio(0.85),
    "conv3_c128_x4": Ratio(0.85),
    "conv3_c256_x4": Ratio(0.85),
    "conv3_c512_x4": Ratio(0.85),
    "conv_stem": Ratio(0.95),
    "conv_1x1": Ratio(0.95),
    "conv_depthwise": Ratio(0.95),
    "conv_transpose": Ratio(0.95),
    "attention_s128": Ratio(0.90, "onnxruntime"),
    "attention_s512": Ratio(0.88, "onnxruntime"),
    "attention_s2048": Ratio(0.83, "onnxruntime"),
    "softmax": Ratio(0.80),
    "layer_norm": Ratio(0.80),
    "gelu": Ratio(0.80),
    "tiny_3ops": Bound(1e-3),
    "elementwise_16M": Ratio(0.80),
    "compile_resnet18": Bound(100),
    "first_resnet18": Bound(15),
    "memory_resnet18": Ratio(0.50),
    "memory_resnet18_above_idle": Ratio(0.50),
}


def beside_of(name):
    """The workload of ours that a target of this one compares with, or None."""
    return next((t.workload for t in targets_of(name) if isinstance(t, OfOurs)), None)


def targets_of(name):
    """The targets of a workload, none to two."""
    found = TARGETS.get(name, ())
    return found if type(found) is tuple else (found,)
