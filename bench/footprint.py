"""What a network costs beside its calls: compile time, load time and memory.

Rows beside the workloads of graphs.py, for ResNet-18 and with ONNX Runtime as the peer:

    compile_resnet18    from the graph in memory to a model; the peer: from an .onnx file to a
                        session
    load_resnet18       from a saved file in the page cache to a model that can run; of the peer the
                        faster of .onnx and its own optimised .ort format
    first_resnet18      the same, and the first result: threads, pages of weights, memory, one run
    memory_resnet18     the most memory resident in a process that loads the saved file and runs it

Memory of the peer includes the Python that calls it, so what a process had before it loaded the
model is measured too, and `above_idle` leaves it out on both sides.  Times are medians over TRIES
in one process, after one that is not counted.
"""
import statistics
from pathlib import Path

from graphs import WORKLOADS

NAMES = ("compile_resnet18", "load_resnet18", "first_resnet18", "memory_resnet18")
WORKLOAD = "resnet18"
TRIES = 7


def _median(process, words, key):
    times = [process.ask(*words)[key] for _ in range(TRIES + 1)]
    return statistics.median(times[1:])


def _peak(process, start, module=None):
    """(peak bytes, those above what the process had without a model) of loading and a run."""
    if module:
        process.ask("import", module)
    idle = process.ask("memory")["peak_bytes"]
    process.ask(*start)
    peak = process.ask("memory")["peak_bytes"]
    return peak, peak - idle


def measure(names, engine, threads, isa, with_peer, folder):
    """A list of rows. `engine(name)` starts a process; it is closed here."""
    graph, rows = WORKLOADS[WORKLOAD](), []
    text, model, other = (str(Path(folder, f)) for f in ("start.graph", "start.anf", "start"))
    Path(text).write_text(graph.text())
    load, start = ("load", text, threads, isa), ("start", model, threads, isa)
    ours = engine("aneforge")
    ours.ask(*load)
    ours.ask("save", model)
    peer = engine("onnxruntime") if with_peer else None
    if peer:
        peer.ask("save", WORKLOAD, other)
    forms = {form: ("start", f"{other}.{form}", threads) for form in ("onnx", "ort")}

    def row(name, unit, our_value, peer_value, **more):
        rows.append({"name": name, "unit": unit, "ours": our_value, "peer": "onnxruntime",
                     "theirs": peer_value, **more})

    if "compile_resnet18" in names:
        row("compile_resnet18", "ms", _median(ours, load, "compile_ms"),
            peer and _median(peer, forms["onnx"], "load_ms"))
    for name, key in (("load_resnet18", "load_ms"), ("first_resnet18", "first_ms")):
        if name in names:
            row(name, "ms", _median(ours, start, key),
                peer and min(_median(peer, f, key) for f in forms.values()))
    for process in filter(None, (ours, peer)):
        process.close()
    if "memory_resnet18" in names:
        ours = engine("aneforge")
        peak, above = _peak(ours, start)
        ours.close()
        theirs = []
        for form in forms.values() if with_peer else ():
            peer = engine("onnxruntime")
            theirs.append(_peak(peer, form, "onnxruntime"))
            peer.close()
        row("memory_resnet18", "MB", peak / 1e6, min((p / 1e6 for p, _ in theirs), default=None))
        row("memory_resnet18_above_idle", "MB", above / 1e6,
            min((a / 1e6 for _, a in theirs), default=None))
    return rows
