"""A benchmark graph (graphs.py) as an ONNX model in float32, with the same weights.

Composites are written in the operators an exporter would give: a linear layer of rank 3 is MatMul
and Add, attention is MatMul, Mul, Softmax, MatMul with the transposes between them.  Engines are
free to fuse them again.

Matrix products of a graph that asks for compressed weights are ORT's MatMulNBits, or for int8 also
the dynamic quantisation that ORT's own tools write (`dynamic`).

With fused=True, encoders are written as ONNX Runtime's own optimiser for transformers leaves them:
Attention, SkipLayerNormalization and BiasGelu of its operator set.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphs import CONSTANTS

OPSET = 20
ORT = "com.microsoft"

PLAIN = {"relu": "Relu", "gelu": "Gelu", "tanh": "Tanh", "abs": "Abs", "add": "Add", "sub": "Sub",
         "mul": "Mul", "maximum": "Max", "matmul": "MatMul"}


BLOCK = 32  # rows that share a scale in MatMulNBits


def blocks_of_bits(w, bits):
    """MatMulNBits' form of w [k][n]: unsigned values about the middle, and a scale for each block of
    rows; the value that is largest in magnitude takes the end of the range."""
    k, n = w.shape
    rows = np.ascontiguousarray(w.T).reshape(n, k // BLOCK, BLOCK)
    top = np.take_along_axis(rows, np.abs(rows).argmax(axis=2)[..., None], axis=2)
    middle = 1 << (bits - 1)
    scale = np.where(top == 0, 1, -top / middle)
    q = np.clip(np.rint(rows / scale) + middle, 0, 2 * middle - 1).astype(np.uint8)
    if bits == 4:
        q = q[..., 0::2] | q[..., 1::2] << 4
    return q, scale.reshape(n, k // BLOCK).astype(np.float32)


class Writer:
    def __init__(self, compress=None, dynamic=False):
        self.nodes, self.constants, self.made = [], [], 0
        self.compress, self.dynamic = compress, dynamic
        self.whole = {}  # with fused=True: values that exist only inside a fused operator

    def op(self, kind, inputs, output=None, **attrs):
        if output is None:
            self.made += 1
            output = f"t{self.made}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attrs))
        return output

    def constant(self, array, name=None):
        if name is None:
            self.made += 1
            name = f"k{self.made}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def linear(self, x, weight, bias, rank, output=None):
        if rank == 2:
            operands = [x, self.constant(weight), self.constant(bias)]
            return self.op("Gemm", operands, output, transB=1)
        product = self.op("MatMul", [x, self.constant(weight.T)])
        return self.op("Add", [product, self.constant(bias)], output)

    def compressed_matmul(self, x, weight, output):
        w = weight.values().astype(np.float32)
        if self.dynamic:
            scale = np.abs(w).max(axis=0) / 127
            q = self.constant(np.rint(w / scale).astype(np.int8))
            self.made += 1
            x8, x_scale, x_zero = (f"q{self.made}{part}" for part in ("x", "s", "z"))
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [x8, x_scale, x_zero]))
            y = self.op("Cast", [self.op("MatMulInteger", [x8, q, x_zero])], to=TensorProto.FLOAT)
            factor = self.op("Mul", [x_scale, self.constant(scale)])
            return self.op("Mul", [y, factor], output)
        bits = {"int8": 8, "int4": 4}[self.compress]
        q, scale = blocks_of_bits(w, bits)
        return self.op("MatMulNBits", [x, self.constant(q), self.constant(scale)], output,
                       domain=ORT, K=w.shape[0], N=w.shape[1], bits=bits, block_size=BLOCK,
                       accuracy_level=4)

    def attention(self, q, k_transposed, v, scale, output=None):
        s = self.op("MatMul", [q, k_transposed])
        s = self.op("Mul", [s, self.constant(np.float32(scale))])
        return self.op("MatMul", [self.op("Softmax", [s], axis=-1), v], output)

    def mha(self, node, output):
        x, weights, shape = node.args[0].name, node.args[1:], node.shape
        heads = node.attrs["n_heads"]
        w = [a.values().astype(np.float32) for a in weights]
        split = self.ints(shape[0], shape[1], heads, shape[2] // heads)
        q, k, v = (self.op("Reshape", [self.linear(x, w[i], w[4 + i], 3), split]) for i in range(3))
        q = self.op("Transpose", [q], perm=[0, 2, 1, 3])
        k = self.op("Transpose", [k], perm=[0, 2, 3, 1])
        v = self.op("Transpose", [v], perm=[0, 2, 1, 3])
        y = self.op("Transpose", [self.attention(q, k, v, node.attrs["scale"])], perm=[0, 2, 1, 3])
        y = self.op("Reshape", [y, self.ints(*shape)])
        return self.linear(y, w[3], w[7], 3, output)

    def fused_mha(self, node, output):
        """All of it but the last bias, which SkipLayerNormalization adds."""
        w = [a.values().astype(np.float32) for a in node.args[1:]]
        qkv = self.constant(np.concatenate([m.T for m in w[:3]], axis=1))
        bias = self.constant(np.concatenate(w[4:7]))
        y = self.op("Attention", [node.args[0].name, qkv, bias], domain=ORT,
                    num_heads=node.attrs["n_heads"], scale=node.attrs["scale"])
        return self.op("MatMul", [y, self.constant(w[3].T)], output)

    def fuse(self, graph):
        """Find the values that disappear into SkipLayerNormalization and BiasGelu."""
        uses = {}
        for node in graph.nodes:
            for a in node.args:
                uses[a.name] = uses.get(a.name, 0) + 1
        for node in graph.nodes:
            inner = node.args[0] if node.args else None
            if inner is None or uses[inner.name] != 1:
                continue
            if node.op == "gelu" and inner.op == "linear":
                self.whole[inner.name] = inner
            if node.op == "layer_norm" and inner.op == "add":
                branch = inner.args[1]
                if branch.op in ("linear", "mha") and uses[branch.name] == 1:
                    self.whole[inner.name] = inner
                    self.whole[branch.name] = branch

    def fused_node(self, node):
        """True if the node was written as a part of a fused operator."""
        if node.name in self.whole:
            if node.op == "mha":
                self.fused_mha(node, node.name)
            elif node.op == "linear":
                weight = self.constant(node.args[1].values().astype(np.float32).T)
                self.op("MatMul", [node.args[0].name, weight], node.name)
            return True
        inner = self.whole.get(node.args[0].name) if node.args else None
        if inner is None:
            return False
        bias = lambda of: self.constant(of.args[-1].values().astype(np.float32))
        if node.op == "gelu":
            self.op("BiasGelu", [inner.name, bias(inner)], node.name, domain=ORT)
        else:
            skip, branch = (a.name for a in inner.args)
            norm = [a.name for a in node.args[1:]]
            self.op("SkipLayerNormalization", [branch, skip] + norm + [bias(inner.args[1])],
                    node.name, domain=ORT, epsilon=1e-5)
        return True

    def node(self, node):
        if self.fused_node(node):
            return
        name, op, attrs = node.name, node.op, node.attrs
        args = [a.name for a in node.args]
        if op == "input":
            return
        if op == "matmul" and self.compress in ("int8", "int4"):
            self.compressed_matmul(args[0], node.args[1], name)
        elif op in CONSTANTS:
            if self.compress in ("int8", "int4") and len(node.shape) == 2:
                return  # a weight of compressed_matmul
            self.constant(np.asarray(node.values(), dtype=np.float32), name)
        elif op in PLAIN:
            self.op(PLAIN[op], args, name)
        elif op in ("conv", "conv_transpose"):
            kernel = node.args[1].shape[2:]
            self.op("Conv" if op == "conv" else "ConvTranspose", args, name, kernel_shape=kernel,
                    strides=[attrs["stride"]] * 2, pads=[attrs["pad"]] * 4,
                    group=attrs.get("groups", 1))
        elif op == "linear":
            weight, bias = (a.values().astype(np.float32) for a in node.args[1:])
            self.linear(args[0], weight, bias, len(node.shape), name)
        elif op == "attention":
            k = self.op("Transpose", [args[1]], perm=[0, 1, 3, 2])
            self.attention(args[0], k, args[2], attrs["scale"], name)
        elif op == "mha":
            self.mha(node, name)
        elif op == "layer_norm":
            self.op("LayerNormalization", args, name, axis=-1, epsilon=1e-5)
        elif op == "softmax":
            self.op("Softmax", args, name, axis=-1)
        elif op == "max_pool":
            self.op("MaxPool", args, name, kernel_shape=[attrs["k"]] * 2,
                    strides=[attrs["stride"]] * 2, pads=[attrs["pad"]] * 4)
        elif op == "global_mean":
            pooled = self.op("GlobalAveragePool", args)
            self.op("Reshape", [pooled, self.ints(*node.shape)], name)
        else:
            raise NotImplementedError(f"onnx: {op}")


def onnx_model(graph, fused=False, dynamic=False):
    writer = Writer(graph.compress, dynamic)
    if fused:
        writer.fuse(graph)
    for node in graph.nodes:
        writer.node(node)
    used = {name for node in writer.nodes for name in node.input}
    constants = [c for c in writer.constants if c.name in used]
    port = lambda v: helper.make_tensor_value_info(v.name, TensorProto.FLOAT, v.shape)
    body = helper.make_graph(writer.nodes, "workload", [port(x) for x in graph.inputs],
                             [port(graph.output)], constants)
    own = any(node.domain == ORT for node in writer.nodes)
    sets = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid(ORT, 1)] if own else [])
    model = helper.make_model(body, opset_imports=sets)
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
