"""A benchmark graph (graphs.py) as a LiteRT model (.tflite) in memory, with the same weights.

It is written with the schema that LiteRT's package brings, without a converter, but as the
converter does it: images are NHWC from the input to the output (`arranged` turns arrays), a relu is
the activation of the operator before it, and zeros around an image are SAME padding where that
places them alike.

Compressed weights are whole numbers with a scale for each output; the activations are rounded to
8 bits in every call.
"""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from graphs import CONSTANTS

VERSION, IDENTIFIER = 3, b"TFL3"
LARGEST_OLD_CODE = 127  # operators beyond have their number in a field of their own
ALIGNMENT = 64          # of the weights in the file
EPSILON = 1e-5          # of layer_norm

IMAGE_OPS = ("conv", "conv_transpose", "max_pool", "global_mean")
NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
COMPRESSED = {"int8": (schema.TensorType.INT8, 127), "int4": (schema.TensorType.INT4, 7)}

PLAIN = {"relu": "RELU", "gelu": "GELU", "tanh": "TANH", "abs": "ABS", "add": "ADD", "sub": "SUB",
         "mul": "MUL", "maximum": "MAXIMUM"}
WITH_ACTIVATION = ("conv", "conv_transpose", "linear", "matmul", "add", "sub", "mul")
OPTIONS = {"ABS": "AbsOptions", "ADD": "AddOptions", "BATCH_MATMUL": "BatchMatMulOptions",
           "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
           "FULLY_CONNECTED": "FullyConnectedOptions", "GELU": "GeluOptions",
           "MAXIMUM": "MaximumMinimumOptions", "MAX_POOL_2D": "Pool2DOptions",
           "MEAN": "ReducerOptions", "MUL": "MulOptions", "PAD": "PadOptions",
           "RESHAPE": "ReshapeOptions", "SOFTMAX": "SoftmaxOptions",
           "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "SUB": "SubOptions",
           "TRANSPOSE": "TransposeOptions", "TRANSPOSE_CONV": "TransposeConvOptions"}


def arranged(graph, array, order):
    """An array with the axes of an image in this order, if the graph is one of images."""
    images = array.ndim == 4 and any(node.op in IMAGE_OPS for node in graph.nodes)
    return np.ascontiguousarray(array.transpose(order) if images else array)


def same_padding(shape, k, stride, pad):
    """SAME padding of images of this NCHW shape is `pad` on every side."""
    return all(max((-(-size // stride) - 1) * stride + k - size, 0) == 2 * pad
               for size in shape[2:])


def aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def floats(node):
    return np.asarray(node.values(), dtype=np.float32)


class Writer:
    def __init__(self, graph):
        self.graph = graph
        self.tensors, self.operators, self.kinds = [], [], []
        self.data = []   # of the constants; buffer 0 is that of all other tensors
        self.index = {}  # of a value of the graph among the tensors

    # ---- the parts of the file -------------------------------------------------------------------

    def tensor(self, shape, kind=schema.TensorType.FLOAT32, data=None, quantization=None):
        tensor = schema.TensorT(shape=list(shape), type=kind, name=f"t{len(self.tensors)}",
                                quantization=quantization, hasRank=True)
        if data is not None:
            self.data.append(np.ascontiguousarray(data))
            tensor.buffer = len(self.data)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, array):
        return self.tensor(array.shape, TYPES[array.dtype.name], array)

    def scalar(self, value):
        return self.constant(np.array(value, dtype=np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int32))

    def op(self, kind, inputs, output, **settings):
        """Append an operator; `output` is a tensor or the shape of a new one."""
        if not isinstance(output, int):
            output = self.tensor(output)
        if kind not in self.kinds:
            self.kinds.append(kind)
        operator = schema.OperatorT(opcodeIndex=self.kinds.index(kind), inputs=inputs,
                                    outputs=[output])
        if kind in OPTIONS:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[kind])
            operator.builtinOptions = getattr(schema, OPTIONS[kind] + "T")(**settings)
        self.operators.append(operator)
        return output

    def model(self):
        """The file: its description, then the weights, found by their offsets in the file."""
        buffers = [schema.BufferT()] + [schema.BufferT(size=a.nbytes) for a in self.data]
        codes = [getattr(schema.BuiltinOperator, kind) for kind in self.kinds]
        codes = [schema.OperatorCodeT(deprecatedBuiltinCode=min(code, LARGEST_OLD_CODE),
                                      builtinCode=code) for code in codes]
        body = schema.SubGraphT(tensors=self.tensors, operators=self.operators, name="workload",
                                inputs=[self.index[x.name] for x in self.graph.inputs],
                                outputs=[self.index[self.graph.output.name]])
        model = schema.ModelT(version=VERSION, operatorCodes=codes, subgraphs=[body],
                              buffers=buffers)

        def description(start):
            """With weights from `start` on; it is as long for any start but 0.  Returns their end
            too."""
            for buffer in buffers[1:]:
                buffer.offset = start
                start = aligned(start + buffer.size)
            builder = flatbuffers.Builder()
            builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
            return np.frombuffer(builder.Output(), dtype=np.uint8), start

        text, end = description(aligned(len(description(ALIGNMENT)[0])))
        file = np.zeros(end, dtype=np.uint8)
        file[:len(text)] = text
        for buffer, array in zip(buffers[1:], self.data):
            file[buffer.offset:buffer.offset + buffer.size] = array.reshape(-1).view(np.uint8)
        return file.tobytes()

    # ---- values ----------------------------------------------------------------------------------

    def shape(self, node):
        return arranged(self.graph, np.empty(node.shape, dtype=[]), NHWC).shape

    def value(self, node):
        if node.name not in self.index:  # a constant that is used as it is
            self.index[node.name] = self.constant(floats(node))
        return self.index[node.name]

    def finish(self, node, kind, inputs, **settings):
        """Append the operator that gives the value of a node, and of the relu after it."""
        result = self.index[node.name] = self.tensor(self.shape(node))
        relu = self.graph.relu_after(node) if node.op in WITH_ACTIVATION else None
        if relu:
            self.index[relu.name] = result
            settings["fusedActivationFunction"] = schema.ActivationFunctionType.RELU
        self.op(kind, inputs, result, **settings)

    # ---- operators -------------------------------------------------------------------------------

    def compressed(self, w):
        """[outputs][inputs] in whole numbers, two to a byte if they have 4 bits."""
        kind, most = COMPRESSED[self.graph.compress]
        scale = np.abs(w).max(axis=1) / most
        q = np.rint(w / scale[:, None]).astype(np.int8)
        if kind == schema.TensorType.INT4:
            q = q[:, 0::2] & 15 | q[:, 1::2] << 4
        return self.tensor(w.shape, kind, q, schema.QuantizationParametersT(
            scale=scale, zeroPoint=np.zeros(len(w), dtype=np.int64)))

    def product(self, node):
        x, weight, *bias = node.args
        w = floats(weight) if node.op == "linear" else floats(weight).T
        w = self.compressed(w) if self.graph.compress in COMPRESSED else self.constant(w)
        self.finish(node, "FULLY_CONNECTED", [self.value(x), w] + [self.value(b) for b in bias],
                    keepNumDims=len(node.shape) > 2)

    def window(self, node, k):
        """The input of a convolution or a pool, with zeros around it if need be; and settings."""
        x, stride, pad = node.args[0], node.attrs["stride"], node.attrs["pad"]
        value, settings = self.value(x), {"strideH": stride, "strideW": stride}
        if same_padding(x.shape, k, stride, pad):
            return value, {**settings, "padding": schema.Padding.SAME}
        if pad:
            n, h, w, c = self.shape(x)
            edges = self.ints([0, 0], [pad, pad], [pad, pad], [0, 0])
            value = self.op("PAD", [value, edges], [n, h + 2 * pad, w + 2 * pad, c])
        return value, {**settings, "padding": schema.Padding.VALID}

    def conv(self, node):
        w, groups = floats(node.args[1]), node.attrs["groups"]
        x, settings = self.window(node, w.shape[2])
        kind, order = "CONV_2D", NHWC
        if groups > 1 and w.shape[1] == 1:
            kind, order = "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
            settings["depthMultiplier"] = len(w) // groups
        w = self.constant(w.transpose(order))
        self.finish(node, kind, [x, w, self.value(node.args[2])], **settings)

    def conv_transpose(self, node):
        x, weight, bias = node.args
        stride, k = node.attrs["stride"], weight.shape[2]
        if not same_padding(node.shape, k, stride, node.attrs["pad"]):
            raise NotImplementedError("TRANSPOSE_CONV is written with SAME padding only")
        w = self.constant(floats(weight).transpose(1, 2, 3, 0))
        self.finish(node, "TRANSPOSE_CONV",
                    [self.ints(*self.shape(node)), w, self.value(x), self.value(bias)],
                    strideH=stride, strideW=stride, padding=schema.Padding.SAME)

    def max_pool(self, node):
        k = node.attrs["k"]
        if node.attrs["pad"] and node.args[0].op != "relu":
            raise NotImplementedError("PAD's zeros would hide values below 0 from MAX_POOL_2D")
        x, settings = self.window(node, k)
        self.finish(node, "MAX_POOL_2D", [x], filterHeight=k, filterWidth=k, **settings)

    def global_mean(self, node):
        self.finish(node, "MEAN", [self.value(node.args[0]), self.ints(1, 2)])

    def softmax(self, node):
        self.finish(node, "SOFTMAX", [self.value(node.args[0])], beta=1.0)

    def layer_norm(self, node):
        x, gamma, beta = (self.value(a) for a in node.args)
        whole, row, axis = node.shape, node.shape[:-1] + (1,), self.ints(len(node.shape) - 1)
        mean = self.op("MEAN", [x, axis], row, keepDims=True)
        squares = self.op("SQUARED_DIFFERENCE", [x, mean], whole)
        variance = self.op("MEAN", [squares, axis], row, keepDims=True)
        variance = self.op("ADD", [variance, self.scalar(EPSILON)], row)
        y = self.op("SUB", [x, mean], whole)
        y = self.op("MUL", [y, self.op("RSQRT", [variance], row)], whole)
        self.finish(node, "ADD", [self.op("MUL", [y, gamma], whole), beta])

    def probabilities(self, q, k, shape, rows, scale):
        """softmax(scale q k'); the scale goes to q, which has fewer elements than the product."""
        q = self.op("MUL", [q, self.scalar(scale)], shape)
        s = self.op("BATCH_MATMUL", [q, k], shape[:3] + (rows,), adjY=True)
        return self.op("SOFTMAX", [s], shape[:3] + (rows,), beta=1.0)

    def attention(self, node):
        q, k, v = (self.value(a) for a in node.args)
        p = self.probabilities(q, k, node.shape, node.args[1].shape[2], node.attrs["scale"])
        self.finish(node, "BATCH_MATMUL", [p, v])

    def mha(self, node):
        n, s, d = node.shape
        heads = node.attrs["n_heads"]
        split, by_head = (n, s, heads, d // heads), (n, heads, s, d // heads)
        split_shape, swapped = self.ints(*split), self.ints(0, 2, 1, 3)
        x, *w = (self.value(a) for a in node.args)
        parts = []
        for i in range(3):
            y = self.op("FULLY_CONNECTED", [x, w[i], w[4 + i]], node.shape, keepNumDims=True)
            y = self.op("RESHAPE", [y, split_shape], split)
            parts.append(self.op("TRANSPOSE", [y, swapped], by_head))
        q, k, v = parts
        p = self.probabilities(q, k, by_head, s, node.attrs["scale"])
        y = self.op("BATCH_MATMUL", [p, v], by_head)
        y = self.op("TRANSPOSE", [y, swapped], split)
        y = self.op("RESHAPE", [y, self.ints(n, s, d)], node.shape)
        self.finish(node, "FULLY_CONNECTED", [y, w[3], w[7]], keepNumDims=True)

    def node(self, node):
        if node.name in self.index or node.op in CONSTANTS:
            return  # an activation is written already, constants are where they are used
        if node.op == "input":
            self.index[node.name] = self.tensor(self.shape(node))
        elif node.op in PLAIN:
            self.finish(node, PLAIN[node.op], [self.value(a) for a in node.args])
        elif node.op in RULES:
            RULES[node.op](self, node)
        else:
            raise NotImplementedError(f"litert: {node.op}")


RULES = {"linear": Writer.product, "matmul": Writer.product, "conv": Writer.conv,
         "conv_transpose": Writer.conv_transpose, "max_pool": Writer.max_pool,
         "global_mean": Writer.global_mean, "softmax": Writer.softmax,
         "layer_norm": Writer.layer_norm, "attention": Writer.attention, "mha": Writer.mha}


def litert_model(graph):
    writer = Writer(graph)
    for node in graph.nodes:
        writer.node(node)
    return writer.model()
