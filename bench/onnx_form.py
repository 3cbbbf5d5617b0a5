"""A benchmark graph (graphs.py) as an ONNX model in float32, with the same weights.

Composites are written in the operators an exporter would give: a linear layer of rank 3 is MatMul
and Add, attention is MatMul, Mul, Softmax, MatMul with the transposes between them.  Engines are
free to fuse them again.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20

PLAIN = {"relu": "Relu", "gelu": "Gelu", "tanh": "Tanh", "abs": "Abs", "add": "Add", "sub": "Sub",
         "mul": "Mul", "maximum": "Max", "matmul": "MatMul"}


class Writer:
    def __init__(self):
        self.nodes, self.constants, self.made = [], [], 0

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

    def node(self, node):
        name, op, attrs = node.name, node.op, node.attrs
        args = [a.name for a in node.args]
        if op == "input":
            return
        if op in ("random", "scalar"):
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


def onnx_model(graph):
    writer = Writer()
    for node in graph.nodes:
        writer.node(node)
    used = {name for node in writer.nodes for name in node.input}
    constants = [c for c in writer.constants if c.name in used]
    port = lambda v: helper.make_tensor_value_info(v.name, TensorProto.FLOAT, v.shape)
    body = helper.make_graph(writer.nodes, "workload", [port(x) for x in graph.inputs],
                             [port(graph.output)], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
