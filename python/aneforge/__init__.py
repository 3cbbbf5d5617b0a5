"""aneforge: compile a small tensor graph into one fused float16 program, and run it.

    import numpy as np
    import aneforge as af

    x = af.input((1, 3, 32, 32))
    h = af.conv(x, W1, pad=1).relu()
    y = h.mean((2, 3)).reshape(1, 16) @ Wfc
    net = af.compile(y)
    out = net(image)            # float32, the same bits on every CPU

`help(af.Tensor)` lists the operators that are methods, `help(af.conv)` shows one function.
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from types import NoneType
from typing import TYPE_CHECKING

from aneforge import _core
from aneforge._core import CompressedWeight, Model, State
from aneforge._ops import (
    Tensor,
    batch_norm,
    concat,
    conv,
    conv_transpose,
    cross_attention,
    geglu,
    maximum,
    mha,
    minimum,
    pixel_shuffle,
    pixel_unshuffle,
    select,
)

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from aneforge._ops import Ints

__version__ = _core.version
__all__ = [
    "CompressedWeight", "Model", "State", "Tensor", "batch_norm", "compile", "concat", "conv",
    "conv_transpose", "cross_attention", "geglu", "image_input", "input", "maximum", "mha",
    "minimum", "pixel_shuffle", "pixel_unshuffle", "select",
]

_LEVELS = ("routes", 0, 1, 2, "2", "max", None, False)
_MODES = (None, "int8", "int4", "sparse", "blockwise", "auto")


def input(shape: Ints, dtype: str = "fp16") -> Tensor:
    """An input of the graph.  A model is fed in the order its inputs were made.

    dtype: 'fp16', or 'uint8' for bytes, which become float16 exactly: image_input with scale 1.
    """
    if dtype == "uint8":
        return _core.image_input(Tensor, shape, 1.0, 0.0)
    if dtype != "fp16":
        raise ValueError(f"input: dtype is {dtype!r}, needs 'fp16' or 'uint8'")
    return _core.input(Tensor, shape)


def image_input(shape: Ints, scale: ArrayLike = 1 / 255, bias: ArrayLike = 0.0) -> Tensor:
    """A uint8 input, dequantised inside the program: byte times scale, plus bias.

    scale and bias are numbers, or one number per channel of a shape [N,C,H,W].
    """
    return _core.image_input(Tensor, shape, scale, bias)


def _absent(argument: str, need: str) -> NotImplementedError:
    return NotImplementedError(f"compile: {argument} needs {need}, which this version does not have")


def _flag(argument: str, value: object) -> bool:
    try:
        return bool(value)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(f"compile: {argument}: needs True or False, given {value!r}") from error


def _check_options(int8: bool, build_dir: str | PathLike[str] | None, opt: object,
                   compress: str | None, validate: bool, target: object) -> None:
    # An array compares with each of them to an array, which is neither true nor false.
    if not isinstance(opt, (str, Integral, NoneType)) or opt not in _LEVELS:
        raise ValueError(f"compile: opt is {opt!r}, needs 'routes', 0, 1, 2 or 'max'")
    if not isinstance(compress, (str, NoneType)) or compress not in _MODES:
        raise ValueError(f"compile: compress is {compress!r}, needs None, 'int8', 'int4', 'sparse', "
                         "'blockwise' or 'auto'")
    if compress is not None and int8 and compress != "int8":
        raise ValueError(f"compile: int8=True contradicts compress={compress!r}")
    if (compress is not None or int8) and opt in (1, 2, "2", "max"):
        raise NotImplementedError(f"compile: compress cannot be combined with opt={opt!r}")
    if opt in (1, 2, "2", "max"):
        raise _absent(f"opt={opt!r}", "the autotuner")
    if validate:
        raise _absent("validate=True", "precision analysis")
    if target is not None and compress is None and not int8:
        raise _absent(f"target={target!r} without compress", "checks of a graph against a chip")
    if build_dir is not None:
        raise _absent(f"build_dir={str(build_dir)!r}", "a build folder")


def compile(out: Tensor | Sequence[Tensor], int8: bool = False,
            build_dir: str | PathLike[str] | None = None, opt: object = "routes",
            compress: str | None = None, compress_atol: float = 0.05, block_size: int = 32,
            validate: bool = False, target: str | None = None) -> Model:
    """Compile what `out` needs into one program.

    out: a Tensor, or a sequence of them for a model with several outputs.
    opt: 'routes' fuses without changing a bit; 0 runs one operator after another, the same bits.
    compress: how the weights of @, linear, mha, cross_attention and geglu are stored: 'int8' (also
    int8=True), 'int4', 'sparse', 'blockwise', or 'auto' for the smallest that suits each weight;
    Model.compression tells what was chosen.  Not together with opt=1 and above.
    compress_atol: the largest relative L2 error of an int4 or blockwise weight, else it is int8;
    0 accepts what loses nothing.
    block_size: how many elements of a row share a scale with 'blockwise'.
    target: with compress, a chip such as 'h13': 'auto' takes only encodings that it reads as they
    are. Nothing but this choice follows the target: whether the chip takes the operators and shapes
    of the graph is not checked. Chips before h13 are refused, since they run no program.
    The other arguments belong to capabilities that this version does not have: they raise
    NotImplementedError when they are used.
    """
    int8, validate = _flag("int8", int8), _flag("validate", validate)
    _check_options(int8, build_dir, opt, compress, validate, target)
    if not isinstance(out, (Tensor, tuple, list)):
        raise TypeError("compile: needs a Tensor or a sequence of Tensors, "
                        f"given {type(out).__name__}")
    outs = (out,) if isinstance(out, Tensor) else tuple(out)
    for i, tensor in enumerate(outs):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"compile: output {i} must be a Tensor, given {type(tensor).__name__}")
    if not outs:
        raise ValueError("compile: needs at least one output")
    mode = "int8" if int8 else compress
    if not isinstance(compress_atol, Real):
        raise TypeError(f"compile: compress_atol: needs a number, given {compress_atol!r}")
    if not isinstance(block_size, Integral):
        raise TypeError(f"compile: block_size: needs an integer, given {block_size!r}")
    if block_size < 1:
        raise ValueError(f"compile: block_size is {block_size!r}, needs at least 1")
    if target is not None and not isinstance(target, str):
        raise TypeError(f"compile: target: needs the name of a chip, given {target!r}")
    if mode is not None and target is None:
        target = os.environ.get("ANEFORGE_TARGET") or None
    try:
        atol = float(compress_atol)
    except OverflowError:  # an integer or a fraction
        atol = float("inf")
    # No weight is as deep as the largest int of C, so a larger block is the same block.
    block = min(int(block_size), 2**31 - 1)
    return _core.compile(outs, opt == "routes", _MODES.index(mode), atol, block, target)
