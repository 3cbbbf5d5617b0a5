"""A benchmark graph (graphs.py) as an ncnn network: its .param text and .bin weights.

Only the operators of convolutional networks are written; anything else is NotImplementedError, and
the benchmark then says that ncnn does not take part.  A relu after a convolution becomes its
activation, as ncnn's own optimiser does it.
"""
import numpy as np

MAGIC = 7767517


class Writer:
    def __init__(self, graph):
        self.graph, self.uses = graph, graph.consumers()
        self.layers, self.weights, self.blobs = [], bytearray(), 0
        self.pending = {}  # blob copies of a value that are still to be taken
        self.alias = {}    # a relu that lives in its convolution

    def layer(self, kind, name, inputs, outputs, params=()):
        self.blobs += len(outputs)
        settings = " ".join(f"{k}={v}" for k, v in params)
        self.layers.append(f"{kind} {name} {len(inputs)} {len(outputs)} "
                           f"{' '.join(inputs + outputs)} {settings}".rstrip())

    def publish(self, name):
        """ncnn wants a Split where a value is used more than once."""
        n = len(self.uses.get(name, []))
        if n > 1:
            copies = [f"{name}_{i}" for i in range(n)]
            self.layer("Split", f"split_{name}", [name], copies)
            self.pending[name] = copies

    def take(self, name):
        name = self.alias.get(name, name)
        return self.pending[name].pop() if self.pending.get(name) else name

    def data(self, array, tagged):
        if tagged:
            self.weights += b"\0\0\0\0"  # raw float32 follows
        self.weights += np.ascontiguousarray(array, dtype=np.float32).tobytes()

    def conv(self, node):
        weight, bias = (a.values().astype(np.float32) for a in node.args[1:])
        groups, transposed = node.attrs.get("groups", 1), node.op == "conv_transpose"
        if transposed:
            weight = weight.transpose(1, 0, 2, 3)
        params = [(0, node.shape[1]), (1, weight.shape[2]), (3, node.attrs["stride"]),
                  (4, node.attrs["pad"]), (5, 1), (6, weight.size)]
        kind = "Deconvolution" if transposed else "Convolution"
        if groups > 1:
            kind, params = "ConvolutionDepthWise", params + [(7, groups)]
        relu = self.graph.relu_after(node)
        name = relu.name if relu else node.name
        if relu:
            params.append((9, 1))
        self.layer(kind, name, [self.take(node.args[0].name)], [name], params)
        self.data(weight, True)
        self.data(bias, False)
        return name, relu

    def node(self, node, done):
        name, op = node.name, node.op
        if op in ("random", "scalar") or node in done:
            return
        if op == "input":
            self.layer("Input", name, [], [name])
        elif op in ("conv", "conv_transpose"):
            name, relu = self.conv(node)
            done.add(relu)
        elif op == "relu":
            self.layer("ReLU", name, [self.take(node.args[0].name)], [name])
        elif op == "add" and all(a.shape == node.shape for a in node.args):
            self.layer("BinaryOp", name, [self.take(a.name) for a in node.args], [name], [(0, 0)])
        elif op == "max_pool":
            self.layer("Pooling", name, [self.take(node.args[0].name)], [name],
                       [(0, 0), (1, node.attrs["k"]), (2, node.attrs["stride"]),
                        (3, node.attrs["pad"]), (5, 1)])
        elif op == "global_mean":
            self.layer("Pooling", name, [self.take(node.args[0].name)], [name], [(0, 1), (4, 1)])
        elif op in ("linear", "matmul") and node.shape[0] == 1 and len(node.shape) == 2:
            weight = node.args[1].values().astype(np.float32)
            if op == "matmul":
                weight = weight.T
            self.layer("InnerProduct", name, [self.take(node.args[0].name)], [name],
                       [(0, node.shape[1]), (1, int(op == "linear")), (2, weight.size)])
            self.data(weight, True)
            if op == "linear":
                self.data(node.args[2].values(), False)
        else:
            raise NotImplementedError(f"{op} {list(node.shape)} is not written for ncnn here")
        self.publish(name)


def ncnn_network(graph):
    """(param text, weights, name of the input, name of the output)"""
    first = graph.inputs[0].shape
    if len(graph.inputs) != 1 or (len(first) == 4 and first[0] != 1):
        raise NotImplementedError("ncnn: one input and a batch of 1 are needed")
    writer, done = Writer(graph), set()
    for node in graph.nodes:
        writer.node(node, done)
    head = f"{MAGIC}\n{len(writer.layers)} {writer.blobs}\n"
    return (head + "\n".join(writer.layers) + "\n", bytes(writer.weights), graph.inputs[0].name,
            graph.output.name)
