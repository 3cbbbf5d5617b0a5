"""What the project wants of a workload: a ratio to a peer's time, or a time of its own.

A ratio is ours / theirs; `peer` None means the fastest peer of the run.  A bound is in
milliseconds.  Names are those of graphs.WORKLOADS and of footprint.py's rows; what has no target
has no line.
"""
from typing import NamedTuple, Optional


class Ratio(NamedTuple):
    most: float
    peer: Optional[str] = None

    def text(self):
        return f"{self.most:.2f}"


class Bound(NamedTuple):
    most: float  # milliseconds
    text_form: str

    def text(self):
        return self.text_form


TARGETS = {
    "resnet18": Ratio(0.77),
    "resnet18_b8": Ratio(0.80),
    "encoder_s16": Ratio(0.72),
    "encoder_s32": Ratio(0.75),
    "encoder_s128": Ratio(0.85),
    "gemm_512": Ratio(1.04),
    "gemm_1024": Ratio(1.02),
    "gemm_2048": Ratio(1.02),
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
    "tiny_3ops": Bound(1e-3, "1 us"),
    "elementwise_16M": Ratio(0.80),
    "compile_resnet18": Bound(100, "100 ms"),
    "first_resnet18": Bound(15, "15 ms"),
    "memory_resnet18": Ratio(0.50),
    "memory_resnet18_above_idle": Ratio(0.50),
}
