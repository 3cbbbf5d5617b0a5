"""The operators, one method or function each.

Written by tools/gen_python.py from the operator table: do not edit.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, SupportsFloat, SupportsIndex, TypeAlias

from aneforge import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Ints: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Operand: TypeAlias = "Tensor | ArrayLike"
Scalar: TypeAlias = int | float | SupportsFloat


class Tensor(_core.Node):
    """A value in a graph: what an operator makes.  It has a shape and no numbers.

    Made by aneforge.input and the operators; compiled with aneforge.compile.  `a + b`, `-`, `*`, `/`
    and `**` take Tensors and numbers and broadcast like NumPy; `x @ W` streams a weight array, and
    `x @ y` with a Tensor is a batched product.  Weights are float16, float32 or float64 arrays, and
    biases of integers or bool too; they are copied, and rounded once to float16.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        def __add__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __radd__(self, other: Scalar, /) -> Tensor: ...
        def __sub__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rsub__(self, other: Scalar, /) -> Tensor: ...
        def __mul__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rmul__(self, other: Scalar, /) -> Tensor: ...
        def __truediv__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rtruediv__(self, other: Scalar, /) -> Tensor: ...
        def __pow__(self, other: Tensor | Scalar, mod: None = None, /) -> Tensor: ...
        def __rpow__(self, other: Scalar, mod: None = None, /) -> Tensor: ...
        def __matmul__(self, other: Operand, /) -> Tensor: ...
        def __neg__(self) -> Tensor: ...

    def __iter__(self) -> NoReturn:
        raise TypeError("a Tensor cannot be iterated: it holds no values")

    def linear(self, W: Operand, bias: Operand | None = None) -> Tensor:
        """y[...,n] = sum over k of x[...,k] weight[n,k], plus bias[n]."""
        return _core.op("linear", (self, W, bias), {})

    def relu(self) -> Tensor:
        """max(x, 0)."""
        return _core.op("relu", (self,), {})

    def silu(self) -> Tensor:
        """x / (1 + exp(-x))."""
        return _core.op("silu", (self,), {})

    def gelu(self) -> Tensor:
        """x/2 (1 + erf(x / sqrt 2)), the exact form."""
        return _core.op("gelu", (self,), {})

    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x))."""
        return _core.op("sigmoid", (self,), {})

    def tanh(self) -> Tensor:
        """Hyperbolic tangent of x."""
        return _core.op("tanh", (self,), {})

    def exp(self) -> Tensor:
        """e to the power x."""
        return _core.op("exp", (self,), {})

    def sqrt(self) -> Tensor:
        """Square root of x."""
        return _core.op("sqrt", (self,), {})

    def rsqrt(self, eps: float = 0.0) -> Tensor:
        """1 / sqrt(x + eps).

        eps: added to x first.
        """
        return _core.op("rsqrt", (self,), {"eps": eps})

    def abs(self) -> Tensor:
        """|x|."""
        return _core.op("abs", (self,), {})

    def square(self) -> Tensor:
        """x times x."""
        return _core.op("square", (self,), {})

    def sin(self) -> Tensor:
        """Sine of x, in radians."""
        return _core.op("sin", (self,), {})

    def cos(self) -> Tensor:
        """Cosine of x, in radians."""
        return _core.op("cos", (self,), {})

    def erf(self) -> Tensor:
        """Error function of x."""
        return _core.op("erf", (self,), {})

    def softplus(self) -> Tensor:
        """ln(1 + exp(x))."""
        return _core.op("softplus", (self,), {})

    def relu6(self) -> Tensor:
        """min(max(x, 0), 6)."""
        return _core.op("relu6", (self,), {})

    def log(self, eps: float = 0.0) -> Tensor:
        """Natural logarithm of x + eps.

        eps: added to x first.
        """
        return _core.op("log", (self,), {"eps": eps})

    def elu(self, alpha: float = 1.0) -> Tensor:
        """x where x > 0, else alpha (exp(x) - 1).

        alpha: minus the limit at minus infinity.
        """
        return _core.op("elu", (self,), {"alpha": alpha})

    def leaky_relu(self, alpha: float = 0.01) -> Tensor:
        """x where x > 0, else alpha x.

        alpha: slope below zero.
        """
        return _core.op("leaky_relu", (self,), {"alpha": alpha})

    def clip(self, lo: float, hi: float) -> Tensor:
        """min(max(x, lo), hi).

        lo: lower bound; may be -inf.
        hi: upper bound; may be inf.
        """
        return _core.op("clip", (self,), {"lo": lo, "hi": hi})

    def scale(self, factor: float) -> Tensor:
        """factor x, where the factor keeps the precision of float32.

        factor: rounded to float32, not to fp16.
        """
        return _core.op("scale", (self,), {"factor": factor})

    def pow(self, b: Operand) -> Tensor:
        """a to the power b."""
        return _core.op("pow", (self, b), {})

    def equal(self, b: Operand) -> Tensor:
        """Where a == b, a boolean."""
        return _core.op("equal", (self, b), {})

    def not_equal(self, b: Operand) -> Tensor:
        """Where a != b, a boolean; true where either is NaN."""
        return _core.op("not_equal", (self, b), {})

    def less(self, b: Operand) -> Tensor:
        """Where a < b, a boolean."""
        return _core.op("less", (self, b), {})

    def less_equal(self, b: Operand) -> Tensor:
        """Where a <= b, a boolean."""
        return _core.op("less_equal", (self, b), {})

    def greater(self, b: Operand) -> Tensor:
        """Where a > b, a boolean."""
        return _core.op("greater", (self, b), {})

    def greater_equal(self, b: Operand) -> Tensor:
        """Where a >= b, a boolean."""
        return _core.op("greater_equal", (self, b), {})

    def logical_not(self) -> Tensor:
        """The other boolean."""
        return _core.op("logical_not", (self,), {})

    def cast(self) -> Tensor:
        """A uint8 image or a boolean as fp16, exactly. Inputs of bytes and images are fp16
        already, and are returned as they are."""
        if isinstance(self, Tensor) and self.op == "image_input":
            return self
        return _core.op("cast", (self,), {})

    def mean(self, axes: Ints) -> Tensor:
        """Mean over the axes, which stay as dims of 1.

        axes: axes to reduce; negative ones count from the end.
        """
        return _core.op("mean", (self,), {"axes": axes})

    def sum(self, axes: Ints) -> Tensor:
        """Sum over the axes, which stay as dims of 1.

        axes: axes to reduce; negative ones count from the end.
        """
        return _core.op("sum", (self,), {"axes": axes})

    def amax(self, axes: Ints) -> Tensor:
        """Maximum over the axes, which stay as dims of 1.

        axes: axes to reduce; negative ones count from the end.
        """
        return _core.op("amax", (self,), {"axes": axes})

    def amin(self, axes: Ints) -> Tensor:
        """Minimum over the axes, which stay as dims of 1.

        axes: axes to reduce; negative ones count from the end.
        """
        return _core.op("amin", (self,), {"axes": axes})

    def softmax(self, axis: int = -1) -> Tensor:
        """exp(x - max) / sum of exp(x - max) along the axis.

        axis: axis along which the results add up to 1.
        """
        return _core.op("softmax", (self,), {"axis": axis})

    def l2_norm(self, axis: int = -1, eps: float = 1e-12) -> Tensor:
        """x / sqrt(sum of x^2 along the axis + eps).

        axis: axis along which the results have length 1.
        eps: added to the sum of squares.
        """
        return _core.op("l2_norm", (self,), {"axis": axis, "eps": eps})

    def rms_norm(self, gamma: Operand, eps: float = 1e-05) -> Tensor:
        """x / sqrt(mean of x^2 over the last dim + eps) times gamma[D].

        eps: added under the square root.
        """
        return _core.op("rms_norm", (self, gamma), {"eps": eps})

    def layer_norm(self, gamma: Operand, beta: Operand, eps: float = 1e-05) -> Tensor:
        """(x - mean) / sqrt(variance + eps) over the last dim, times gamma[D], plus beta[D].

        eps: added under the square root.
        """
        return _core.op("layer_norm", (self, gamma, beta), {"eps": eps})

    def group_norm(self, gamma: Operand, beta: Operand, num_groups: int,
                   eps: float = 1e-05) -> Tensor:
        """x [N,C,...] normalised over each group of C/num_groups channels, times gamma[C], plus
        beta[C].

        num_groups: C is split into so many groups.
        eps: added under the square root.
        """
        return _core.op("group_norm", (self, gamma, beta), {"num_groups": num_groups, "eps": eps})

    def max_pool(self, k: int, stride: int | None = None, pad: int = 0) -> Tensor:
        """Maximum of each k x k window of x [N,C,H,W]; padding never wins, NaN does.

        k: side of the window.
        stride: step of the window; 0: k.
        pad: cells added on every side, less than k.
        """
        return _core.op("max_pool", (self,), {"k": k, "stride": stride, "pad": pad})

    def avg_pool(self, k: int, stride: int | None = None, pad: int = 0) -> Tensor:
        """Sum of each k x k window of x [N,C,H,W], padding as zeros, divided by k^2.

        k: side of the window.
        stride: step of the window; 0: k.
        pad: cells added on every side, less than k.
        """
        return _core.op("avg_pool", (self,), {"k": k, "stride": stride, "pad": pad})

    def upsample(self, scale: int = 2) -> Tensor:
        """Nearest neighbour: every cell of x [N,C,H,W] becomes a scale x scale square.

        scale: how often each row and column is repeated.
        """
        return _core.op("upsample", (self,), {"scale": scale})

    def reshape(self, *shape: Any) -> Tensor:
        """The elements of x in row-major order, in another shape.

        shape: the new shape; one -1 stands for what is left.
        """
        if len(shape) == 1:
            shape = shape[0]
        return _core.op("reshape", (self,), {"shape": shape})

    def transpose(self, perm: Ints) -> Tensor:
        """x with its axes in another order.

        perm: axis i of the result is axis perm[i] of x.
        """
        return _core.op("transpose", (self,), {"perm": perm})

    def slice(self, begin: Ints, size: Ints) -> Tensor:
        """The box of x that starts at begin and has the given size.

        begin: first index along each axis.
        size: how many along each axis.
        """
        return _core.op("slice", (self,), {"begin": begin, "size": size})

    def split(self, parts: int, index: int, axis: int = 0) -> Tensor:
        """Part `index` of x cut into equal parts along the axis.

        parts: into how many equal parts.
        axis: axis that is split.
        index: which part this is, from 0.
        """
        return _core.op("split", (self,), {"parts": parts, "axis": axis, "index": index})

    def expand(self, shape: Ints) -> Tensor:
        """x broadcast to a shape.

        shape: the shape x is broadcast to.
        """
        return _core.op("expand", (self,), {"shape": shape})

    def squeeze(self, axes: Ints) -> Tensor:
        """x without the given axes of size 1.

        axes: axes of size 1 to remove.
        """
        return _core.op("squeeze", (self,), {"axes": axes})

    def expand_dims(self, axes: Ints) -> Tensor:
        """x with axes of size 1 put in, counted in the result.

        axes: where axes of size 1 stand in the result.
        """
        return _core.op("expand_dims", (self,), {"axes": axes})


def conv(x: Tensor, weight: Operand, stride: int = 1, pad: int = 0, dilation: int = 1,
         groups: int = 1, bias: Operand | None = None) -> Tensor:
    """2D cross-correlation of x [N,Cin,H,W] with weight [Cout,Cin/groups,kH,kW], plus bias[Cout].

    stride: step of the window along both axes.
    pad: zeros added on every side.
    dilation: distance of neighbouring kernel taps.
    groups: channels are split into so many independent convolutions.
    """
    return _core.op("conv", (x, weight, bias),
                    {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups})


def conv_transpose(x: Tensor, weight: Operand, stride: int = 1, pad: int = 0,
                   dilation: int = 1, groups: int = 1, bias: Operand | None = None) -> Tensor:
    """2D transposed convolution of x [N,Cin,H,W] with weight [Cin,Cout/groups,kH,kW], plus
    bias[Cout].

    stride: step of the window along both axes.
    pad: zeros added on every side.
    dilation: distance of neighbouring kernel taps.
    groups: channels are split into so many independent convolutions.
    """
    return _core.op("conv_transpose", (x, weight, bias),
                    {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups})


def maximum(a: Tensor, b: Operand) -> Tensor:
    """The larger of a and b; NaN where either is."""
    return _core.op("maximum", (a, b), {})


def minimum(a: Tensor, b: Operand) -> Tensor:
    """The smaller of a and b; NaN where either is."""
    return _core.op("minimum", (a, b), {})


def select(cond: Tensor, a: Operand, b: Operand) -> Tensor:
    """a where cond is true, else b; all three broadcast."""
    return _core.op("select", (cond, a, b), {})


def batch_norm(x: Tensor, gamma: Operand, beta: Operand, mean: Operand, var: Operand,
               eps: float = 1e-05) -> Tensor:
    """(x - mean[C]) gamma[C] / sqrt(var[C] + eps) + beta[C] for x [N,C,...].

    eps: added under the square root.
    """
    return _core.op("batch_norm", (x, gamma, beta, mean, var), {"eps": eps})


def concat(tensors: Sequence[Tensor], axis: int = 1) -> Tensor:
    """The tensors one after another along the axis; their other dims are equal.

    axis: axis along which the tensors follow each other.
    """
    return _core.op("concat", (tensors,), {"axis": axis})


def pixel_shuffle(x: Tensor, r: int) -> Tensor:
    """x [N,C r r,H,W] to [N,C,H r,W r]: channel c r^2 + i r + j goes to cell (i, j) of each
    square.

    r: side of the square that r^2 channels become, or become of.
    """
    return _core.op("pixel_shuffle", (x,), {"r": r})


def pixel_unshuffle(x: Tensor, r: int) -> Tensor:
    """The inverse of pixel_shuffle: x [N,C,H r,W r] to [N,C r r,H,W].

    r: side of the square that r^2 channels become, or become of.
    """
    return _core.op("pixel_unshuffle", (x,), {"r": r})


def mha(x: Tensor, Wq: Operand, bq: Operand | None, Wk: Operand, bk: Operand | None,
        Wv: Operand, bv: Operand | None, Wo: Operand, bo: Operand | None, n_heads: int) -> Tensor:
    """softmax(q k' / sqrt(E/n_heads)) v per head of the projections of x [..,S,D], projected by wo
    [O,E].

    n_heads: heads; each takes an equal share of the projected width.
    """
    return _core.op("mha", (x, Wq, bq, Wk, bk, Wv, bv, Wo, bo), {"n_heads": n_heads})


def cross_attention(x: Tensor, context: Operand, Wq: Operand, Wk: Operand, Wv: Operand,
                    Wo: Operand, n_heads: int, bq: Operand | None = None,
                    bk: Operand | None = None, bv: Operand | None = None,
                    bo: Operand | None = None) -> Tensor:
    """As mha, with the keys and values projected from context [..,T,Dc].

    n_heads: heads; each takes an equal share of the projected width.
    """
    return _core.op("cross_attention", (x, context, Wq, Wk, Wv, Wo, bq, bk, bv, bo),
                    {"n_heads": n_heads})


def geglu(x: Tensor, W: Operand, b: Operand | None) -> Tensor:
    """value gelu(gate), where w [2F,D] and b[2F] hold the value rows first, then the gate rows."""
    return _core.op("geglu", (x, W, b), {})
