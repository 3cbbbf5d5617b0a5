"""The workloads as graphs, independent of any engine.

A Graph is a list of nodes in the vocabulary of docs/graph-text.md, so that one description is
what every contender runs: `text()` writes it for aneforge, peers.py turns the same nodes into ONNX,
a torch module, an ncnn network or a LiteRT model.  Weights are `random(seed, std)` everywhere:
`values()` computes the same float16 numbers as anf_random_weight, so that outputs can be compared.

`flops` counts two per multiply-add of convolutions, matrix products and attention, and nothing
else: a workload without them has 0, and its rate is not printed.

    python3 bench/graphs.py            the workloads with shapes and flops
    python3 bench/graphs.py NAME       the text of one
"""
import math
import os
import sys
from functools import partial

import numpy as np

MASK64 = (1 << 64) - 1
SPREAD = 0x9E3779B97F4A7C15
STAR = 0x2545F4914F6CDD1D


# ---- weights -------------------------------------------------------------------------------------

def _step(s):
    s = s ^ (s >> np.uint64(12))
    s = s ^ (s << np.uint64(25))
    return s ^ (s >> np.uint64(27))


def _apply(columns, s):
    """The linear map with these 64 images of single bits, on every element of s."""
    out = np.zeros_like(s)
    for bit in range(64):
        out ^= columns[bit] * ((s >> np.uint64(bit)) & np.uint64(1))
    return out


def random_values(seed, std, shape):
    """What anf_random_weight gives, as float16; kept as files in the folder $BENCH_VALUES."""
    folder = os.environ.get("BENCH_VALUES")
    if not folder:
        return make_random_values(seed, std, shape)
    path = os.path.join(folder, f"{seed}-{std!r}-{'x'.join(map(str, shape))}.npy")
    if not os.path.exists(path):
        made = f"{path}.{os.getpid()}.npy"
        np.save(made, make_random_values(seed, std, shape))
        os.replace(made, path)
    return np.load(path)


def make_random_values(seed, std, shape):
    """anf_random_weight's sequence.

    A step of the generator is linear over GF(2), so 2^k steps are one 64 x 64 matrix: the sequence
    is cut into runs of equal length, which then advance together.
    """
    n = int(np.prod(shape, dtype=np.int64))
    steps = 1 << max(0, (n.bit_length() - 1) // 2)
    jump = _step(np.uint64(1) << np.arange(64, dtype=np.uint64))
    for _ in range(steps.bit_length() - 1):
        jump = _apply(jump, jump)
    start = (seed * SPREAD + STAR) & MASK64
    states = np.array([start or 1], dtype=np.uint64)
    while len(states) * steps < n:
        states = np.concatenate([states, _apply(jump, states)])
        jump = _apply(jump, jump)
    out = np.empty((steps, len(states)), dtype=np.float16)
    for i in range(steps):
        states = _step(states)
        u = ((states * np.uint64(STAR)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        out[i] = ((2 * u - 1) * std) * 1.7320508075688772
    return np.ascontiguousarray(out.T).reshape(-1)[:n].reshape(shape)


# ---- graphs --------------------------------------------------------------------------------------

CONSTANTS = ("random", "pruned", "scalar")


class Node:
    """A value: an input, a constant or the result of an operator."""

    def __init__(self, name, op, args, attrs, shape):
        self.name, self.op, self.args, self.attrs, self.shape = name, op, args, attrs, tuple(shape)

    def values(self):
        if self.op == "scalar":
            return np.float16(self.attrs["value"])
        values = random_values(self.attrs["seed"], self.attrs["std"], self.shape)
        if self.op == "pruned":
            values = np.maximum(values - np.float16(self.attrs["least"]), np.float16(0))
        return values


class Graph:
    """Builds nodes in order; every method returns the new node.  `compress` says how the weights of
    matrix products are stored: as anf_compress has it, or None."""

    def __init__(self, compress=None):
        self.nodes, self.inputs, self.output, self.flops = [], [], None, 0
        self.compress = compress

    def _add(self, op, args, shape, **attrs):
        node = Node(f"v{len(self.nodes)}", op, args, attrs, shape)
        self.nodes.append(node)
        self.output = node
        return node

    def input(self, *shape):
        node = self._add("input", [], shape)
        self.inputs.append(node)
        return node

    def weight(self, *shape, std):
        return self._add("random", [], shape, seed=len(self.nodes) + 1, std=float(std))

    def scalar(self, value):
        return self._add("scalar", [], (), value=float(value))

    def conv(self, x, cout, k, stride=1, pad=0, groups=1, gain=2.0):
        n, cin, h, w = x.shape
        fan_in = cin // groups * k * k
        oh, ow = ((s + 2 * pad - k) // stride + 1 for s in (h, w))
        weight = self.weight(cout, cin // groups, k, k, std=math.sqrt(gain / fan_in))
        bias = self.weight(cout, std=0.1)
        self.flops += 2 * n * cout * oh * ow * fan_in
        return self._add("conv", [x, weight, bias], (n, cout, oh, ow), stride=stride, pad=pad,
                         groups=groups)

    def conv_transpose(self, x, cout, k, stride, pad):
        n, cin, h, w = x.shape
        oh, ow = ((s - 1) * stride - 2 * pad + k for s in (h, w))
        weight = self.weight(cin, cout, k, k, std=math.sqrt(2 * stride * stride / (cin * k * k)))
        bias = self.weight(cout, std=0.1)
        self.flops += 2 * n * cin * h * w * cout * k * k
        return self._add("conv_transpose", [x, weight, bias], (n, cout, oh, ow), stride=stride,
                         pad=pad)

    def linear(self, x, width, std=None):
        """x @ weight' + bias."""
        weight = self.weight(width, x.shape[-1], std=std or 1 / math.sqrt(x.shape[-1]))
        bias = self.weight(width, std=0.1)
        self.flops += 2 * int(np.prod(x.shape)) * width
        return self._add("linear", [x, weight, bias], x.shape[:-1] + (width,))

    def matmul(self, x, width):
        """x @ weight, no bias; 70 % of a sparse weight are zeros."""
        std = 1 / math.sqrt(x.shape[-1])
        if self.compress == "sparse":
            weight = self._add("pruned", [], (x.shape[-1], width), seed=len(self.nodes) + 1,
                               std=std, least=0.4 * math.sqrt(3) * std)  # of uniform values
        else:
            weight = self.weight(x.shape[-1], width, std=std)
        self.flops += 2 * int(np.prod(x.shape)) * width
        return self._add("matmul", [x, weight], x.shape[:-1] + (width,))

    def attention(self, q, k, v):
        """softmax(q k' / sqrt(D)) v of [N,H,S,D]."""
        n, h, s, d = q.shape
        self.flops += 4 * n * h * s * k.shape[2] * d
        return self._add("attention", [q, k, v], q.shape, scale=float(np.float16(1 / math.sqrt(d))))

    def mha(self, x, n_heads):
        n, s, d = x.shape
        w = [self.weight(d, d, std=1 / math.sqrt(d)) for _ in range(4)]
        b = [self.weight(d, std=0.1) for _ in range(4)]
        self.flops += 4 * 2 * n * s * d * d + 4 * n * s * s * d
        return self._add("mha", [x] + w + b, x.shape, n_heads=n_heads,
                         scale=float(np.float16(1 / math.sqrt(d // n_heads))))

    def layer_norm(self, x):
        gamma, beta = self.weight(x.shape[-1], std=0.5), self.weight(x.shape[-1], std=0.1)
        return self._add("layer_norm", [x, gamma, beta], x.shape)

    def unary(self, op, x):
        return self._add(op, [x], x.shape)

    def binary(self, op, a, b):
        return self._add(op, [a, b], a.shape)

    def softmax(self, x):
        return self._add("softmax", [x], x.shape)

    def max_pool(self, x, k, stride, pad):
        n, c, h, w = x.shape
        oh, ow = ((s + 2 * pad - k) // stride + 1 for s in (h, w))
        return self._add("max_pool", [x], (n, c, oh, ow), k=k, stride=stride, pad=pad)

    def global_mean(self, x):
        """[N,C,H,W] -> [N,C]."""
        return self._add("global_mean", [x], x.shape[:2])

    # ---- for those who read it -------------------------------------------------------------------

    def consumers(self):
        """The nodes that use each value, by its name."""
        uses = {}
        for node in self.nodes:
            for a in node.args:
                uses.setdefault(a.name, []).append(node)
        return uses

    def relu_after(self, node):
        """The relu that is the only use of a node, or None."""
        uses = self.consumers().get(node.name, [])
        return uses[0] if len(uses) == 1 and uses[0].op == "relu" else None

    # ---- the text form ---------------------------------------------------------------------------

    def text(self):
        lines = ["aneforge-graph 1"]
        for node in self.nodes:
            lines += _statements(node)
        return "\n".join(lines + [f"return {self.output.name}", ""])

    def input_values(self):
        """Fixed inputs, exact in float16, one array a port."""
        return [random_values(900000 + i, 1.0, node.shape) for i, node in enumerate(self.inputs)]


def _ints(values):
    return "[" + ",".join(str(v) for v in values) + "]"


def _attention_text(name, q, k, v, scale):
    return [f"{name}_k = transpose({k}, perm=[0,1,3,2])",
            f"{name}_c = const f16[] fill({scale!r})",
            f"{name}_s = bmm({q}, {name}_k)",
            f"{name}_t = mul({name}_s, {name}_c)",
            f"{name}_p = softmax({name}_t)",
            f"{name} = bmm({name}_p, {v})"]


def _statements(node):
    name, op, attrs = node.name, node.op, node.attrs
    args = [a.name for a in node.args]
    if op == "input":
        return [f"{name} = input f16{_ints(node.shape)}"]
    if op == "random":
        return [f"{name} = const f16{_ints(node.shape)} random(seed={attrs['seed']}, "
                f"std={attrs['std']!r})"]
    if op == "pruned":
        return [f"{name}_w = const f16{_ints(node.shape)} random(seed={attrs['seed']}, "
                f"std={attrs['std']!r})",
                f"{name}_c = const f16[] fill({attrs['least']!r})",
                f"{name}_d = sub({name}_w, {name}_c)",
                f"{name} = relu({name}_d)"]
    if op == "scalar":
        return [f"{name} = const f16[] fill({attrs['value']!r})"]
    if op == "attention":
        return _attention_text(name, *args, attrs["scale"])
    if op == "global_mean":
        return [f"{name}_m = mean({args[0]}, axes=[2,3])",
                f"{name} = reshape({name}_m, shape={_ints(node.shape)})"]
    if op in ("conv", "conv_transpose", "linear"):
        args[2] = "bias=" + args[2]
    if op == "mha":
        args[5:] = [f"{b}={a}" for b, a in zip(("bq", "bk", "bv", "bo"), args[5:])]
        attrs = {"n_heads": attrs["n_heads"]}
    settings = [f"{key}={value}" for key, value in attrs.items()]
    return [f"{name} = {op}({', '.join(args + settings)})"]


# ---- the workloads -------------------------------------------------------------------------------

def resnet18(batch, size=224):
    """ResNet-18 with batch norm folded into the convolutions."""
    g = Graph()
    h = g.unary("relu", g.conv(g.input(batch, 3, size, size), 64, 7, stride=2, pad=3))
    h = g.max_pool(h, 3, 2, 1)
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for s in (stride, 1):
            y = g.unary("relu", g.conv(h, width, 3, stride=s, pad=1))
            y = g.conv(y, width, 3, pad=1, gain=0.5)
            if h.shape != y.shape:
                h = g.conv(h, width, 1, stride=s, gain=1.0)
            h = g.unary("relu", g.binary("add", y, h))
    g.linear(g.global_mean(h), 1000)
    return g


def mobilenet_v2(size=224):
    """MobileNetV2 with batch norm folded into the convolutions, and relu where it has relu6."""
    g = Graph()
    h = g.unary("relu", g.conv(g.input(1, 3, size, size), 32, 3, stride=2, pad=1))
    for wider, width, blocks, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                         (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            y, middle = h, wider * h.shape[1]
            if wider > 1:
                y = g.unary("relu", g.conv(y, middle, 1))
            y = g.unary("relu", g.conv(y, middle, 3, stride=1 if block else stride, pad=1,
                                       groups=middle))
            y = g.conv(y, width, 1, gain=1.0)
            h = g.binary("add", y, h) if y.shape == h.shape else y
    h = g.unary("relu", g.conv(h, 1280, 1))
    g.linear(g.global_mean(h), 1000)
    return g


def encoder(seq, layers=6, width=384, heads=12, ffn=1536):
    """A sentence encoder of MiniLM-L6's shape: post-norm, from embeddings to the last state."""
    g = Graph()
    h = g.input(1, seq, width)
    for _ in range(layers):
        h = g.layer_norm(g.binary("add", h, g.mha(h, heads)))
        y = g.linear(g.unary("gelu", g.linear(h, ffn)), width)
        h = g.layer_norm(g.binary("add", h, y))
    return g


def gemm(n):
    g = Graph()
    g.matmul(g.input(n, n), n)
    return g


def gemv(n, count):
    """One row through `count` square matrices: four do not fit the caches, so it reads memory."""
    g = Graph()
    h = g.input(1, n)
    for _ in range(count):
        h = g.matmul(h, n)
    return g


def products(rows, n, count, compress=None):
    """The same rows through `count` square matrices side by side.  Sixteen of 4096 x 4096 are read
    from memory by every call, in a quarter of the bytes too."""
    g = Graph(compress)
    x = g.input(rows, n)
    h = g.matmul(x, n)
    for _ in range(count - 1):
        h = g.binary("add", g.matmul(x, n), h)
    return g


def conv3_chain(channels, size, count=4):
    """Convolutions with relu in a row, as networks have them: engines may keep a layout of their
    own between them."""
    g = Graph()
    h = g.input(1, channels, size, size)
    for _ in range(count):
        h = g.unary("relu", g.conv(h, channels, 3, pad=1))
    return g


def conv_one(shape, cout, k, **how):
    g = Graph()
    g.unary("relu", g.conv(g.input(*shape), cout, k, **how))
    return g


def conv_up(shape, cout):
    g = Graph()
    g.conv_transpose(g.input(*shape), cout, 4, 2, 1)
    return g


def attention(seq, heads=12, dim=64):
    g = Graph()
    g.attention(*(g.input(1, heads, seq, dim) for _ in range(3)))
    return g


def rows(op):
    g = Graph()
    x = g.input(512, 1536)
    if op == "layer_norm":
        g.layer_norm(x)
    elif op == "softmax":
        g.softmax(x)
    else:
        g.unary(op, x)
    return g


def tiny12():
    """Twelve operators on 64 values: what a call costs."""
    g = Graph()
    x = g.input(1, 64)
    h = x
    for _ in range(2):
        y = g.unary("relu", g.linear(h, 64))
        y = g.binary("add", g.linear(y, 64), h)
        y = g.unary("tanh", g.binary("mul", y, g.scalar(0.5)))
        h = y
    return g


def tiny3():
    """Three operators on 16 values."""
    g = Graph()
    x = g.input(16)
    g.unary("relu", g.binary("add", g.binary("mul", x, g.scalar(0.5)), g.scalar(0.25)))
    return g


def elementwise(n):
    """Eight cheap operators on n values: an engine that does not fuse them reads and writes memory
    eight times."""
    g = Graph()
    x = g.input(n // 4096, 4096)
    h = g.unary("relu", g.binary("add", g.binary("mul", x, g.scalar(0.75)), g.scalar(0.125)))
    h = g.unary("abs", g.binary("sub", g.binary("mul", h, x), g.scalar(0.5)))
    g.binary("maximum", g.binary("add", h, x), g.scalar(0.25))
    return g


WORKLOADS = {
    "resnet18": partial(resnet18, 1),
    "resnet18_b8": partial(resnet18, 8),
    "mobilenet_v2": mobilenet_v2,
    "encoder_s16": partial(encoder, 16),
    "encoder_s32": partial(encoder, 32),
    "encoder_s128": partial(encoder, 128),
    "gemm_512": partial(gemm, 512),
    "gemm_1024": partial(gemm, 1024),
    "gemm_2048": partial(gemm, 2048),
    "gemv_4096": partial(gemv, 4096, 1),
    "gemv_4096_x4": partial(gemv, 4096, 4),
    "gemv_4096_x16": partial(products, 1, 4096, 16),
    "gemv_4096_x16_int8": partial(products, 1, 4096, 16, "int8"),
    "gemv_4096_x16_int4": partial(products, 1, 4096, 16, "int4"),
    "gemv_4096_x16_sparse": partial(products, 1, 4096, 16, "sparse"),
    "gemm_128_4096": partial(products, 128, 4096, 1),
    "gemm_128_4096_int8": partial(products, 128, 4096, 1, "int8"),
    "gemm_128_4096_int4": partial(products, 128, 4096, 1, "int4"),
    "gemm_128_4096_sparse": partial(products, 128, 4096, 1, "sparse"),
    "conv3_c64_x4": partial(conv3_chain, 64, 56),
    "conv3_c128_x4": partial(conv3_chain, 128, 28),
    "conv3_c256_x4": partial(conv3_chain, 256, 14),
    "conv3_c512_x4": partial(conv3_chain, 512, 7),
    "conv_stem": partial(conv_one, (1, 3, 224, 224), 64, 7, stride=2, pad=3),
    "conv_1x1": partial(conv_one, (1, 256, 28, 28), 256, 1),
    "conv_depthwise": partial(conv_one, (1, 256, 56, 56), 256, 3, pad=1, groups=256),
    "conv_transpose": partial(conv_up, (1, 128, 32, 32), 64),
    "attention_s128": partial(attention, 128),
    "attention_s512": partial(attention, 512),
    "attention_s2048": partial(attention, 2048),
    "softmax": partial(rows, "softmax"),
    "layer_norm": partial(rows, "layer_norm"),
    "gelu": partial(rows, "gelu"),
    "tiny_12ops": tiny12,
    "tiny_3ops": tiny3,
    "elementwise_16M": partial(elementwise, 1 << 24),
}


def main(argv):
    if len(argv) > 2 or (len(argv) == 2 and argv[1] not in WORKLOADS):
        sys.exit(f"usage: graphs.py [NAME]   NAME is one of: {' '.join(WORKLOADS)}")
    if len(argv) == 2:
        sys.stdout.write(WORKLOADS[argv[1]]().text())
        return
    for name, make in WORKLOADS.items():
        g = make()
        shapes = ", ".join(_ints(x.shape) for x in g.inputs)
        print(f"{name:16} {shapes} -> {_ints(g.output.shape)}   {g.flops / 1e9:.3f} GFLOP")


if __name__ == "__main__":
    main(sys.argv)
