"""The engines aneforge is compared with, each behind the line protocol of bench_worker.c.

    python3 bench/peers.py NAME     commands on stdin; `load` takes a workload's name, not a file
    python3 bench/peers.py          which peers are installed

A peer is one class: `load` builds its form of the graph, `run` is the call that is timed, with
inputs and outputs in place where the engine allows it, `output` returns the last result.  All
compute in float32.  Every peer runs in a process of its own, so that no engine's waiting threads
meet another's.  A timed call goes through the engine's Python binding, a microsecond or a few: only
the tiny workloads show it.
"""
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from graphs import CONSTANTS, WORKLOADS

BATCH_NS = 50_000
FORM_SECONDS = 0.2  # to choose between forms of one graph


class Peer:
    modules, install = (), ""
    form = ""  # which of several forms of the graph was the fastest

    @classmethod
    def missing(cls):
        """None, or how to install what is missing."""
        found = all(importlib.util.find_spec(module) for module in cls.modules)
        return None if found else cls.install

    def inputs(self, graph):
        return [np.ascontiguousarray(x, dtype=np.float32) for x in graph.input_values()]


class OnnxRuntime(Peer):
    """Of graphs with parts that its transformer optimiser fuses, and of weights in 8 bits, the faster
    of both forms."""
    modules, install = ("onnxruntime", "onnx"), "pip install onnxruntime onnx"

    @staticmethod
    def options(threads):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return options

    def bind(self, graph, model, threads):
        import onnxruntime as ort
        self.session = ort.InferenceSession(model.SerializeToString(), self.options(threads),
                                            providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.kept = [ort.OrtValue.ortvalue_from_numpy(x) for x in self.inputs(graph)]
        for node, value in zip(graph.inputs, self.kept):
            self.binding.bind_ortvalue_input(node.name, value)
        self.result = ort.OrtValue.ortvalue_from_numpy(np.zeros(graph.output.shape, np.float32))
        self.binding.bind_ortvalue_output(graph.output.name, self.result)

    def load(self, graph, threads):
        import onnxruntime as ort
        from onnx_form import onnx_model
        forms = {"": {}}
        if any(node.op == "mha" for node in graph.nodes):
            forms = {"plain": {}, "fused": {"fused": True}}
        elif graph.compress == "int8":
            forms = {"blocks": {}, "dynamic": {"dynamic": True}}
        fastest, kept = float("inf"), None
        for form, how in forms.items():
            self.bind(graph, onnx_model(graph, **how), threads)
            ns = time_calls(self.run, FORM_SECONDS)["median_ns"] if len(forms) > 1 else 0
            if ns < fastest:
                fastest, self.form = ns, form
                kept = self.session, self.binding, self.kept, self.result
        self.session, self.binding, self.kept, self.result = kept
        return ort.__version__

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def output(self):
        return self.result.numpy()

    def save(self, graph, path):
        """The model as an exporter writes it, and optimised for this machine in ONNX Runtime's own
        format, which needs less work to load."""
        import onnxruntime as ort
        from onnx_form import onnx_model
        Path(path + ".onnx").write_bytes(onnx_model(graph).SerializeToString())
        options = self.options(1)
        options.optimized_model_filepath = path + ".ort"
        options.add_session_config_entry("session.save_model_format", "ORT")
        ort.InferenceSession(path + ".onnx", options, providers=["CPUExecutionProvider"])

    def start(self, path, threads):
        """The times to load a model file and to its first result."""
        import onnxruntime as ort
        self.session = None  # the one before is not kept beside the new one
        begin = time.perf_counter()
        self.session = ort.InferenceSession(path, self.options(threads),
                                            providers=["CPUExecutionProvider"])
        loaded = time.perf_counter()
        port = self.session.get_inputs()[0]
        self.session.run(None, {port.name: np.zeros(port.shape, np.float32)})
        end = time.perf_counter()
        return {"load_ms": (loaded - begin) * 1e3, "first_ms": (end - begin) * 1e3}


def torch_function(graph):
    """The graph as a function of its inputs; constants become tensors once, here."""
    import torch
    from torch.nn import functional as F
    constants = {node.name: torch.from_numpy(np.asarray(node.values(), dtype=np.float32).copy())
                 for node in graph.nodes if node.op in CONSTANTS}

    packed = {}  # weights in 8 bits; the activations are quantised in every call

    def torch_int8(a, attrs):
        return torch.ops.quantized.linear_dynamic(a[0], a[1], reduce_range=False)

    def mha(a, attrs):
        n, s, d = a[0].shape
        heads = attrs["n_heads"]
        q, k, v = (F.linear(a[0], a[1 + i], a[5 + i]).view(n, s, heads, d // heads).transpose(1, 2)
                   for i in range(3))
        y = F.scaled_dot_product_attention(q, k, v, scale=attrs["scale"])
        return F.linear(y.transpose(1, 2).reshape(n, s, d), a[4], a[8])

    rules = {
        "conv": lambda a, t: F.conv2d(a[0], a[1], a[2], t["stride"], t["pad"], 1, t["groups"]),
        "conv_transpose": lambda a, t: F.conv_transpose2d(a[0], a[1], a[2], t["stride"], t["pad"]),
        "linear": lambda a, t: F.linear(*a),
        "matmul": torch_int8 if graph.compress == "int8" else lambda a, t: torch.matmul(*a),
        "attention": lambda a, t: F.scaled_dot_product_attention(*a, scale=t["scale"]),
        "mha": mha,
        "layer_norm": lambda a, t: F.layer_norm(a[0], a[0].shape[-1:], a[1], a[2], 1e-5),
        "softmax": lambda a, t: torch.softmax(a[0], -1),
        "max_pool": lambda a, t: F.max_pool2d(a[0], t["k"], t["stride"], t["pad"]),
        "global_mean": lambda a, t: a[0].mean((2, 3)),
        "gelu": lambda a, t: F.gelu(a[0]), "relu": lambda a, t: torch.relu(a[0]),
        "tanh": lambda a, t: torch.tanh(a[0]), "abs": lambda a, t: torch.abs(a[0]),
        "add": lambda a, t: a[0] + a[1], "sub": lambda a, t: a[0] - a[1],
        "mul": lambda a, t: a[0] * a[1], "maximum": lambda a, t: torch.maximum(*a),
    }
    if graph.compress == "int8":
        for node in graph.nodes:
            if node.op == "matmul":
                w = constants[node.args[1].name].t().contiguous()
                scales = w.abs().amax(1).double() / 127
                q = torch.quantize_per_channel(w, scales, torch.zeros(len(w), dtype=torch.int64),
                                               0, torch.qint8)
                packed[node.args[1].name] = torch.ops.quantized.linear_prepack(q, None)
                del constants[node.args[1].name]
    steps = [(node.name, rules[node.op], [x.name for x in node.args], node.attrs)
             for node in graph.nodes if node.op in rules]

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in constants.items():
                self.register_buffer(name, value)

        def forward(self, *inputs):
            values = {**dict(self.named_buffers()), **packed}
            values.update(zip((x.name for x in graph.inputs), inputs))
            for name, rule, args, attrs in steps:
                values[name] = rule([values[a] for a in args], attrs)
            return values[graph.output.name]

    return Network().eval()


class Torch(Peer):
    """Eager mode; images and their weights in channels-last order; of compressed weights int8."""
    modules, install = ("torch",), "pip install torch"
    traced = False

    def load(self, graph, threads):
        import torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.x = [torch.from_numpy(x) for x in self.inputs(graph)]
        self.call = torch_function(graph)
        if self.traced and graph.compress == "int8":
            raise NotImplementedError("packed weights cannot be traced")
        if self.traced:
            self.call = torch.jit.freeze(torch.jit.trace(self.call, self.x))
            self.call = torch.jit.optimize_for_inference(self.call)
        elif any(node.op == "conv" for node in graph.nodes):
            self.call = self.call.to(memory_format=torch.channels_last)
            self.x = [x.contiguous(memory_format=torch.channels_last) for x in self.x]
        for _ in range(3):  # the profiling executor specialises during its first calls
            self.run()
        return torch.__version__

    def run(self):
        self.y = self.call(*self.x)

    def output(self):
        return self.y.contiguous().numpy()


class TorchJit(Torch):
    """Traced, frozen and optimised for inference: oneDNN's own layouts between convolutions."""
    traced = True


class OpenVino(Peer):
    modules, install = ("openvino", "onnx"), "pip install openvino onnx"

    def load(self, graph, threads):
        import openvino as ov
        from onnx_form import onnx_model
        core = ov.Core()
        model = core.read_model(onnx_model(graph).SerializeToString())
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32"})
        self.request = compiled.create_infer_request()
        self.kept = [ov.Tensor(x, shared_memory=True) for x in self.inputs(graph)]
        for i, tensor in enumerate(self.kept):
            self.request.set_input_tensor(i, tensor)
        return ov.__version__.split("-")[0]

    def run(self):
        self.request.start_async()
        self.request.wait()

    def output(self):
        return np.array(self.request.get_output_tensor(0).data)


class Ncnn(Peer):
    modules, install = ("ncnn",), "pip install ncnn"

    def load(self, graph, threads):
        import ncnn
        from ncnn_form import ncnn_network
        param, weights, self.source, self.target = ncnn_network(graph)
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        with tempfile.TemporaryDirectory() as folder:
            names = [str(Path(folder, f"g.{end}")) for end in ("param", "bin")]
            Path(names[0]).write_text(param)
            Path(names[1]).write_bytes(weights)
            if self.net.load_param(names[0]) or self.net.load_model(names[1]):
                raise RuntimeError("ncnn: the network was refused")
        self.x = self.inputs(graph)[0][0]
        self.feed = ncnn.Mat(self.x)
        return ncnn.__version__

    def run(self):
        ex = self.net.create_extractor()
        ex.input(self.source, self.feed)
        _, self.y = ex.extract(self.target)

    def output(self):
        return np.array(self.y)


class LiteRt(Peer):
    """XNNPACK, which LiteRT's interpreter hands the whole graph to."""
    modules, install = ("ai_edge_litert",), "pip install ai-edge-litert"

    def load(self, graph, threads):
        from ai_edge_litert.interpreter import Interpreter
        from litert_form import NCHW, NHWC, arranged, litert_model
        self.net = Interpreter(model_content=litert_model(graph), num_threads=threads)
        self.net.allocate_tensors()
        for port, x in zip(self.net.get_input_details(), self.inputs(graph)):
            self.net.set_tensor(port["index"], arranged(graph, x, NHWC))
        target = self.net.get_output_details()[0]["index"]
        self.result = lambda: arranged(graph, self.net.get_tensor(target), NCHW)
        return f"{importlib.metadata.version('ai-edge-litert')} (XNNPACK)"

    def run(self):
        self.net.invoke()

    def output(self):
        return self.result()


class OpenBlas(Peer):
    """The BLAS that NumPy brings, for graphs of matrix products alone."""
    modules, install = ("numpy",), "pip install numpy"

    def load(self, graph, threads):
        if graph.compress or any(node.op not in ("input", "random", "matmul")
                                 for node in graph.nodes):
            raise NotImplementedError("matrix products of plain weights only")
        self.x = self.inputs(graph)[0]
        self.weights, self.y = [], []
        for node in graph.nodes:
            if node.op == "matmul":
                self.weights.append(node.args[1].values().astype(np.float32))
                self.y.append(np.empty(node.shape, np.float32))
        return np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"]

    def run(self):
        x = self.x
        for w, y in zip(self.weights, self.y):
            x = np.matmul(x, w, out=y)

    def output(self):
        return self.y[-1]


PEERS = {"onnxruntime": OnnxRuntime, "openvino": OpenVino, "ncnn": Ncnn, "litert": LiteRt,
         "torch": Torch, "torch-jit": TorchJit, "openblas": OpenBlas}


# ---- the protocol --------------------------------------------------------------------------------

def time_calls(run, seconds):
    """Median, p10 and least wall time of a call, and the mean CPU time of all threads."""
    clock = time.perf_counter_ns
    once, end = float("inf"), clock() + seconds * 1e8
    while True:
        start = clock()
        run()
        now = clock()
        once = min(once, now - start)
        if now >= end:
            break
    batch, samples = int(BATCH_NS / once) + 1 if once < BATCH_NS else 1, []
    end, cpu = clock() + seconds * 1e9, time.process_time_ns()
    while not samples or clock() < end:
        start = clock()
        for _ in range(batch):
            run()
        samples.append((clock() - start) / batch)
    calls = len(samples) * batch
    cpu = (time.process_time_ns() - cpu) / calls
    samples.sort()
    return {"median_ns": samples[len(samples) // 2], "p10_ns": samples[len(samples) // 10],
            "min_ns": samples[0], "cpu_ns": cpu, "calls": calls}


def peak_resident_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def obey(peer, command, args):
    if command == "load":
        start = time.perf_counter()
        graph = WORKLOADS[args[0]]()
        version = peer.load(graph, int(args[1]))
        peer.run()
        return {"version": version, "form": peer.form, "threads": int(args[1]),
                "compile_ms": (time.perf_counter() - start) * 1e3}
    if command == "save":
        peer.save(WORKLOADS[args[0]](), args[1])
        return {}
    if command == "start":
        return peer.start(args[0], int(args[1]))
    if command == "memory":
        return {"peak_bytes": peak_resident_bytes()}
    if command == "import":
        for module in args:
            importlib.import_module(module)
        return {}
    if command == "time":
        return time_calls(peer.run, float(args[0]))
    if command == "output":
        peer.run()
        y = np.ascontiguousarray(peer.output(), dtype=np.float32)
        y.tofile(args[0])
        return {"elements": int(y.size)}
    raise ValueError(f"unknown command '{command}'; see obey in peers.py")


def serve(name):
    # Engines print to stdout as they like; answers have a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = PEERS[name]()
    for line in sys.stdin:
        command, *args = line.split() or [""]
        if command == "quit":
            break
        if command == "load":
            peer = PEERS[name]()
        try:
            answer = {"ok": True, **obey(peer, command, args)}
        except Exception as error:  # whatever an engine throws is its answer
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main(argv):
    if len(argv) == 2 and argv[1] in PEERS:
        serve(argv[1])
    elif len(argv) == 1:
        for name, peer in PEERS.items():
            missing = peer.missing()
            print(f"missing: {name} ({missing})" if missing else f"installed: {name}")
    else:
        sys.exit(f"usage: peers.py [NAME]   NAME is one of: {' '.join(PEERS)}")


if __name__ == "__main__":
    main(sys.argv)
