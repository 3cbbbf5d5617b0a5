"""Every operator as PyTorch has it, in float64: functions of tensors with the attributes of a graph
text.  Only the value is taken from here; what float32 may add to it is the NumPy oracles' bound.

PyTorch limits the padding of a pool to half its window, so pools are padded first.
"""
import math

import torch
from torch.nn import functional as F

from oracle_elementwise import single
from oracle_products import head_scale


def _split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(-2, -3)


def cross_attention(x, context, wq, wk, wv, wo, bq=None, bk=None, bv=None, bo=None, *, n_heads):
    q = _split_heads(F.linear(x, wq, bq), n_heads)
    k = _split_heads(F.linear(context, wk, bk), n_heads)
    v = _split_heads(F.linear(context, wv, bv), n_heads)
    y = F.scaled_dot_product_attention(q, k, v, scale=head_scale(wq.shape[0], n_heads))
    return F.linear(y.transpose(-2, -3).flatten(-2), wo, bo)


def mha(x, *weights, n_heads):
    return cross_attention(x, x, *weights, n_heads=n_heads)


def geglu(x, w, b=None):
    value, gate = F.linear(x, w, b).chunk(2, -1)
    return value * F.gelu(gate)


def conv(x, weight, bias=None, *, stride=1, pad=0, dilation=1, groups=1):
    return F.conv2d(x, weight, bias, stride, pad, dilation, groups)


def conv_transpose(x, weight, bias=None, *, stride=1, pad=0, dilation=1, groups=1):
    return F.conv_transpose2d(x, weight, bias, stride, pad, 0, groups, dilation)


def l2_norm(x, *, axis=-1, eps=1e-12):
    return x / torch.sqrt(torch.linalg.vector_norm(x, dim=axis, keepdim=True) ** 2 + single(eps))


def group_norm(x, gamma, beta, *, num_groups, eps=1e-5):
    return torch.group_norm(x, num_groups, gamma, beta, single(eps))  # F refuses a group of one


def batch_norm(x, gamma, beta, mean, var, *, eps=1e-5):
    return F.batch_norm(x, mean, var, gamma, beta, eps=single(eps))


def _padded(x, pad, fill):
    return F.pad(x, (pad,) * 4, value=fill)


def max_pool(x, *, k, stride=0, pad=0):
    return F.max_pool2d(_padded(x, pad, -math.inf), k, stride or k)


def avg_pool(x, *, k, stride=0, pad=0):
    return F.avg_pool2d(_padded(x, pad, 0.0), k, stride or k)


def box(x, *, begin, size):
    for d, (first, n) in enumerate(zip(begin, size, strict=True)):
        x = x.narrow(d, first, n)
    return x


def expand_dims(x, *, axes):
    rank = x.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


UNARY = {
    "relu": F.relu, "silu": F.silu, "gelu": F.gelu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "exp": torch.exp, "sqrt": torch.sqrt, "abs": torch.abs, "square": torch.square,
    "sin": torch.sin, "cos": torch.cos, "erf": torch.erf, "relu6": F.relu6, "neg": torch.neg,
    "softplus": lambda x: F.softplus(x, threshold=1000), "logical_not": torch.logical_not,
    "cast": lambda x: x.double(),
}

FORMS = {
    **UNARY,
    "rsqrt": lambda x, *, eps=0: torch.rsqrt(x + single(eps)),
    "log": lambda x, *, eps=0: torch.log(x + single(eps)),
    "elu": lambda x, *, alpha=1: F.elu(x, single(alpha)),
    "leaky_relu": lambda x, *, alpha=0.01: F.leaky_relu(x, single(alpha)),
    "clip": lambda x, *, lo, hi: torch.clamp(x, single(lo), single(hi)),
    "scale": lambda x, *, factor: x * single(factor),
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "maximum": torch.maximum, "minimum": torch.minimum, "pow": torch.pow,
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le,
    "greater": torch.gt, "greater_equal": torch.ge, "select": torch.where,
    "mean": lambda x, *, axes: x.mean(axes, keepdim=True),
    "sum": lambda x, *, axes: x.sum(axes, keepdim=True),
    "amax": lambda x, *, axes: x.amax(axes, keepdim=True),
    "amin": lambda x, *, axes: x.amin(axes, keepdim=True),
    "softmax": lambda x, *, axis=-1: F.softmax(x, axis),
    "l2_norm": l2_norm,
    "rms_norm": lambda x, gamma, *, eps=1e-5: F.rms_norm(x, gamma.shape, gamma, single(eps)),
    "layer_norm": lambda x, gamma, beta, *, eps=1e-5: F.layer_norm(
        x, gamma.shape, gamma, beta, single(eps)),
    "group_norm": group_norm,
    "batch_norm": batch_norm,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "matmul": torch.matmul,
    "linear": F.linear,
    "bmm": torch.matmul,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "upsample": lambda x, *, scale=2: F.interpolate(x, scale_factor=scale, mode="nearest"),
    "concat": lambda tensors, *, axis=1: torch.cat(tensors, axis),
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, perm: x.permute(perm),
    "pixel_shuffle": lambda x, *, r: F.pixel_shuffle(x, r),
    "pixel_unshuffle": lambda x, *, r: F.pixel_unshuffle(x, r),
    "slice": box,
    "split": lambda x, *, parts, axis=0, index: x.tensor_split(parts, axis)[index],
    "expand": lambda x, *, shape: x.expand(shape),
    "squeeze": lambda x, *, axes: x.squeeze(axes),
    "expand_dims": expand_dims,
    "mha": mha,
    "cross_attention": cross_attention,
    "geglu": geglu,
}
