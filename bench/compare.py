"""aneforge beside other engines, in one run, on the same graphs with the same weights.

Every engine is a process behind a line protocol (bench_worker.c, peers.py); they take turns, so
that what disturbs the machine disturbs all of them.  Before and after every sample a probe measures
one thread and two threads of multiply-adds: a sample between two good probes is clean, others are
dropped and taken again, and the number dropped is printed.  Figures are medians over the clean
samples.  A workload that got no clean sample is printed from all samples, with `~`: such figures
say little, and their ratios not much more.

Each peer's output is compared with ours first; below a cosine of 0.999 it does not take part.

    python3 bench/compare.py --only resnet18,gemm --rounds 7
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from graphs import WORKLOADS
from peers import PEERS
from report import plot, summary_markdown, workload_table

HERE = Path(__file__).resolve().parent
OURS = "aneforge"
PAUSE = 0.05          # for waiting threads of the engine before to fall asleep
LEAST_RATIO = 1.7     # of two threads to one, for a clean sample
LEAST_SHARE = 0.85    # of the best one-thread rate: else a slow single thread makes a good ratio
LEAST_COSINE = 0.999


class Gone(Exception):
    """The process ended, or refused the command."""


class Process:
    def __init__(self, name, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=env)

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Gone(f"the process ended with {self.process.wait()}")
        answer = json.loads(line)
        if not answer.pop("ok"):
            raise Gone(answer["error"])
        return answer

    def alive(self):
        return self.process.poll() is None

    def close(self):
        if self.alive():
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait()


class Machine:
    """The probe, with the best rates seen so far."""

    def __init__(self, program, threads):
        self.process = Process("probe", [program, "-"], threads)
        self.threads = threads
        self.peak = self.process.ask("peak", 1)

    def good(self):
        seen = self.process.ask("cores")
        self.peak["fma_one"] = max(self.peak["fma_one"], seen["one"])
        self.peak["fma_two"] = max(self.peak["fma_two"], seen["two"])
        undisturbed = seen["one"] >= LEAST_SHARE * self.peak["fma_one"]
        return undisturbed and (self.threads == 1 or seen["ratio"] >= LEAST_RATIO)

    def peak_rate(self):
        """GFLOP/s of the threads in use; beyond two, the cores are taken to be alike."""
        one, two = self.peak["fma_one"], self.peak["fma_two"]
        return one if self.threads == 1 else two * self.threads / 2


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="workloads: " + " ".join(WORKLOADS))
    p.add_argument("--only", default="", help="workloads that begin with one of these, a,b,c")
    p.add_argument("--peers", default=",".join(PEERS), help="peers to run (all that are installed)")
    p.add_argument("--seconds", type=float, default=0.4, help="time of one sample (0.4)")
    p.add_argument("--rounds", type=int, default=5, help="clean samples of each engine (5)")
    p.add_argument("--tries", type=int, default=3, help="samples per clean one wanted (3)")
    p.add_argument("--threads", type=int, default=2, help="threads of every engine (2)")
    p.add_argument("--isa", default="-", help="kernel set of aneforge: ref, avx2, ...")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: CPU time, for one thread on a machine that is busy")
    p.add_argument("--profile", action="store_true", help="also the time of our instructions")
    p.add_argument("--worker", default="build/bench/bench_worker", help="the built bench_worker")
    p.add_argument("--out", default="build/bench-results", help="folder of results.json, plots")
    o = p.parse_args()
    wanted = [w for w in o.only.split(",") if w]
    o.workloads = [n for n in WORKLOADS if not wanted or n.startswith(tuple(wanted))]
    o.peers = [n for n in o.peers.split(",") if n]
    unknown = [w for w in wanted if not any(n.startswith(w) for n in WORKLOADS)]
    unknown += [n for n in o.peers if n not in PEERS]
    if unknown:
        p.error(f"unknown: {', '.join(unknown)}; peers: {' '.join(PEERS)}; "
                f"workloads: {' '.join(WORKLOADS)}")
    if o.clock == "cpu" and o.threads != 1:
        p.error("--clock cpu needs --threads 1: waiting threads use CPU time too")
    if min(o.seconds, o.rounds, o.tries, o.threads) <= 0:
        p.error("--seconds, --rounds, --tries and --threads must be positive")
    if not Path(o.worker).exists():
        p.error(f"{o.worker} does not exist; build it: cmake -DANEFORGE_BENCH=ON, or --worker FILE")
    return o


def command_of(name, o):
    return [o.worker] if name == OURS else [sys.executable, str(HERE / "peers.py"), name]


# ---- one workload --------------------------------------------------------------------------------

def load(engine, name, graph, o, folder):
    """Load the workload and return what the engine says of it, with its output."""
    out = Path(folder, engine.name + ".f32")
    if engine.name == OURS:
        text, data = Path(folder, "graph.txt"), Path(folder, "inputs.f16")
        text.write_text(graph.text())
        np.concatenate([x.reshape(-1) for x in graph.input_values()]).tofile(data)
        info = engine.ask("load", text, o.threads, o.isa)
        engine.ask("input", data)
    else:
        info = engine.ask("load", name, o.threads, "-")
    engine.ask("output", out)
    return info, np.fromfile(out, dtype=np.float32).astype(np.float64)


def load_again(engines, engine_name, name, graph, o, folder):
    """load, in a new process when the old one is gone: an engine may die of its last workload."""
    try:
        return load(engines[engine_name], name, graph, o, folder)
    except Gone:
        if engines[engine_name].alive():
            raise
    engines[engine_name] = Process(engine_name, command_of(engine_name, o), o.threads)
    return load(engines[engine_name], name, graph, o, folder)


def agreement(ours, theirs):
    """Cosine and relative error in the Euclidean norm."""
    if ours.shape != theirs.shape:
        return 0.0, float("inf")
    norm = np.linalg.norm(theirs)
    return (float(ours @ theirs / (np.linalg.norm(ours) * norm)),
            float(np.linalg.norm(ours - theirs) / norm))


def sample_rounds(running, machine, o):
    """Samples of every engine, taking turns until each has `rounds` clean ones; those that died."""
    running, samples, gone = dict(running), {name: [] for name in running}, {}
    clean = lambda name: sum(s["clean"] for s in samples[name])
    for turn in range(o.rounds * o.tries):
        names = [n for n in running if clean(n) < o.rounds]
        if not names:
            break
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(PAUSE)
            before = o.clock == "cpu" or machine.good()
            try:
                sample = running[name].ask("time", o.seconds)
            except Gone as error:
                gone[name] = str(error)
                del running[name]
                continue
            sample["clean"] = before and (o.clock == "cpu" or machine.good())
            samples[name].append(sample)
    return {name: samples[name] for name in running}, gone


def condense(info, samples, graph, machine, o):
    used = [s for s in samples if s["clean"]]
    middle = lambda key: statistics.median(s[key] for s in (used or samples)) / 1e6
    ms = middle("cpu_ns" if o.clock == "cpu" else "median_ns")
    p10 = None if o.clock == "cpu" else middle("p10_ns")
    rate = graph.flops / ms / 1e6
    return {**info, "ms": ms, "p10_ms": p10, "gflops": rate,
            "share": rate / machine.peak_rate(), "clean": len(used),
            "dropped": len(samples) - len(used), "samples": samples}


def run_workload(name, engines, machine, o, folder):
    graph = WORKLOADS[name]()
    result = {"name": name, "flops": graph.flops, "engines": {}, "absent": {},
              "inputs": [list(x.shape) for x in graph.inputs]}
    running, infos, ours = {}, {}, None
    for engine_name in [OURS] + o.peers:
        try:
            info, output = load_again(engines, engine_name, name, graph, o, folder)
        except Gone as error:
            result["absent"][engine_name] = str(error)
            continue
        engine = engines[engine_name]
        if engine_name == OURS:
            ours = output
        elif ours is not None:
            info["cosine"], info["relative_error"] = agreement(ours, output)
            if not info["cosine"] > LEAST_COSINE:
                result["absent"][engine_name] = f"its output differs: cosine {info['cosine']:.6f}"
                continue
        running[engine_name], infos[engine_name] = engine, info
    sampled, gone = sample_rounds(running, machine, o)
    result["absent"].update(gone)
    for engine_name, samples in sampled.items():
        result["engines"][engine_name] = condense(infos[engine_name], samples, graph, machine, o)
    if o.profile and OURS in sampled:
        result["profile"] = running[OURS].ask("profile", o.seconds)["instructions"]
    peers = [e["ms"] for n, e in result["engines"].items() if n != OURS]
    result["best_peer_ms"] = min(peers) if peers else None
    return result


# ---- the run -------------------------------------------------------------------------------------

def cpu_name():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main():
    o = options()
    for name in list(o.peers):
        how = PEERS[name].missing()
        if how:
            print(f"missing: {name} ({how})")
            o.peers.remove(name)
    machine = Machine(str(Path(o.worker).with_name("bench_probe")), o.threads)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    results = {"machine": cpu_name(), "cpus": os.cpu_count(), "threads": o.threads,
               "clock": o.clock, "seconds": o.seconds, "rounds": o.rounds, "workloads": []}
    engines = {n: Process(n, command_of(n, o), o.threads) for n in [OURS] + o.peers}
    with tempfile.TemporaryDirectory() as folder:
        for name in o.workloads:
            result = run_workload(name, engines, machine, o, folder)
            results["workloads"].append(result)
            results["peak"] = machine.peak
            print(workload_table(result), flush=True)
            Path(out, "results.json").write_text(json.dumps(results, indent=1))
    for engine in [*engines.values(), machine.process]:
        engine.close()
    summary = summary_markdown(results)
    Path(out, "summary.md").write_text(summary)
    print(summary)
    drawn = plot(results, out)
    print(f"written: {out}/results.json, {out}/summary.md{drawn}")


if __name__ == "__main__":
    main()
