"""aneforge beside other engines, in one run, on the same graphs with the same weights.

Every engine is a process behind a line protocol (bench_worker.c, peers.py); they take turns, so
that what disturbs the machine disturbs all of them.  Between the samples a probe measures one
thread and two threads of multiply-adds, and whether the cores begin as many instructions as they
can, or share them with somebody else's program.  A sample waits for a good probe, but not long, and
is clean between two; others are dropped and taken again, and the number dropped is printed.  Times
are medians over the clean samples, and "of peak" is the share of what the probes beside them
reached: of their multiply-adds, or of what they read from memory where a workload reads much more
than it computes.  An engine that got no clean sample is printed from those in which there were two
cores, shared or not, or else from all, with `~`: such figures say little.

A ratio to a peer is the median of the ratios within rounds, of those in which both samples are
clean.  Memory and caches that others use too change their speed for minutes; a ratio of two medians
would compare our samples of one minute with theirs of another.  A ratio with no such round is taken
from rounds in which there were two cores for both, or else from all, with `~`.

A peer has enough samples when it has `--rounds` clean rounds; also when three agree that it is not
the fastest, or two show that it is far from it.  Each workload gets its part of `--minutes`, and
takes what it has when that is over.  Where a target compares with another workload of ours, that one
takes turns too.

Each peer's output is compared with ours first; below a cosine of 0.999 (0.98 with 4-bit weights) it
does not take part.

    python3 bench/compare.py --only resnet18,gemm --rounds 7
    python3 bench/compare.py --isa avx2         AVX2 kernels beside peers that see no AVX-512
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

import footprint
from graphs import WORKLOADS
from peers import PEERS
from report import footprint_table, plot, summary_markdown, workload_table
from targets import beside_of

HERE = Path(__file__).resolve().parent
OURS = "aneforge"
PAUSE = 0.03          # for waiting threads of the engine before to fall asleep
PATIENCE = 0.4        # seconds that a sample waits for a good probe
LEAST_RATIO = 1.7     # of two threads to one, for a clean sample
LEAST_SHARE = 0.85    # of the best one-thread rate: else a slow single thread makes a good ratio
LEAST_ISSUE = 0.8     # of the most instructions that began: a program beside ours takes half of them
LEAST_COSINE = 0.999
LEAST_COSINE_OF = {"int4": 0.98}  # engines place their 16 values differently
COMPRESS = {None: 0, "int8": 1, "int4": 2, "sparse": 3}  # anf_compress
AGREEMENT = 0.03      # of three clean rounds: spread that decides nothing
FAR = 1.5             # times the fastest: no best peer
NEAR = 1.1            # times the fastest: may be the best peer
STREAM_BYTES = 64e6   # of weights that no cache holds,
STREAM_FLOPS = 8      # and this many operations a byte or fewer: memory is the limit
CPU_LIMITS = ("avx2", "ref")  # kernel sets beside which peers see no AVX-512


# What the machine gives, as a probe sees it: not two cores; two, but somebody else is on them; all.
NO_CORES, SHARED, GOOD = range(3)

# Our engine once more, with the workload of ours that a target compares with: in turns, because the
# machine is not the same a minute later.
BESIDE = OURS + " beside"
OWN = (OURS, BESIDE)


class Gone(Exception):
    """The process ended, or refused the command."""


class Process:
    def __init__(self, name, command, o, preload=None):
        env = dict(os.environ, **{f"{library}_NUM_THREADS": str(o.threads)
                                  for library in ("OMP", "MKL", "OPENBLAS")})
        if preload:
            env["LD_PRELOAD"] = str(preload)
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
    """The probe of the kernel set in use, with the best rates seen so far."""

    def __init__(self, program, o):
        isa = [] if o.isa == "-" else [o.isa]
        self.process = Process("probe", [program, "-", *isa], o)
        self.threads, self.always = o.threads, o.clock == "cpu"
        self.peak = self.process.ask("peak", 1)
        self.fma = None  # GFLOP/s of the threads in use, in the last probe

    def of_threads(self, seen):
        """Of a pair of rates; beyond two, the cores are taken to be alike."""
        return seen["one"] if self.threads == 1 else seen["two"] * self.threads / 2

    def read(self):
        """GB/s of one pass through memory."""
        return self.of_threads(self.process.ask("read"))

    def state(self):
        """NO_CORES, SHARED or GOOD, by a probe of this moment."""
        seen = self.process.ask("cores")
        self.fma = self.of_threads(seen)
        if self.always:
            return GOOD
        seen["fma_one"], seen["fma_two"] = seen["one"], seen["two"]
        for rate in ("fma_one", "fma_two", "issue_one", "issue_two"):
            self.peak[rate] = max(self.peak[rate], seen[rate])
        issue = "issue_one" if self.threads == 1 else "issue_two"
        if (seen["fma_one"] < LEAST_SHARE * self.peak["fma_one"]
                or (self.threads > 1 and seen["ratio"] < LEAST_RATIO)):
            return NO_CORES
        return GOOD if seen[issue] >= LEAST_ISSUE * self.peak[issue] else SHARED

    def wait(self, seconds):
        """Until a probe is good, but no longer than that."""
        end = time.monotonic() + seconds
        while (state := self.state()) != GOOD and time.monotonic() < end:
            time.sleep(PAUSE / 3)
        return state


ALL = [*WORKLOADS, *footprint.NAMES]


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="workloads: " + " ".join(ALL))
    p.add_argument("--only", default="", help="workloads that begin with one of these, a,b,c")
    p.add_argument("--peers", default=",".join(PEERS), help="peers to run (all that are installed)")
    p.add_argument("--seconds", type=float, default=0.15, help="time of one sample (0.15)")
    p.add_argument("--rounds", type=int, default=5, help="clean samples of each engine (5)")
    p.add_argument("--tries", type=int, default=4, help="samples per clean one wanted (4)")
    p.add_argument("--minutes", type=float, default=12, help="time to sample in, as a whole (12)")
    p.add_argument("--threads", type=int, default=2, help="threads of every engine (2)")
    p.add_argument("--isa", default="-", help="kernel set of aneforge: ref, avx2, ...")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: CPU time, for one thread on a machine that is busy")
    p.add_argument("--profile", action="store_true", help="also the time of our instructions")
    p.add_argument("--worker", default="build/bench/bench_worker", help="the built bench_worker")
    p.add_argument("--out", default="build/bench-results", help="folder of results.json, plots")
    o = p.parse_args()
    wanted = [w for w in o.only.split(",") if w]
    chosen = [n for n in ALL if not wanted or n.startswith(tuple(wanted))]
    o.workloads = [n for n in chosen if n in WORKLOADS]
    o.footprints = [n for n in chosen if n not in WORKLOADS]
    o.peers = [n for n in o.peers.split(",") if n]
    unknown = [w for w in wanted if not any(n.startswith(w) for n in ALL)]
    unknown += [n for n in o.peers if n not in PEERS]
    if unknown:
        p.error(f"unknown: {', '.join(unknown)}; peers: {' '.join(PEERS)}; "
                f"workloads: {' '.join(ALL)}")
    if o.clock == "cpu" and o.threads != 1:
        p.error("--clock cpu needs --threads 1: waiting threads use CPU time too")
    if min(o.seconds, o.rounds, o.tries, o.threads, o.minutes) <= 0:
        p.error("--seconds, --rounds, --tries, --minutes and --threads must be positive")
    o.key = "cpu_ns" if o.clock == "cpu" else "median_ns"
    if not Path(o.worker).exists():
        p.error(f"{o.worker} does not exist; build it: cmake -DANEFORGE_BENCH=ON, or --worker FILE")
    return o


def cpu_limit(o):
    """What a peer needs preloaded so as to see no AVX-512; None where it may."""
    return Path(o.worker).with_name("liblimit_cpu.so").resolve() if o.isa in CPU_LIMITS else None


def why_unlimited(o):
    """Why peers cannot be kept from AVX-512 here; None if they can, or need not be."""
    limit = cpu_limit(o)
    if not limit or subprocess.run(["true"], env=dict(os.environ, LD_PRELOAD=str(limit)),
                                   stderr=subprocess.DEVNULL).returncode == 0:
        return None
    return "cannot be kept from AVX-512: CPUID does not fault on this machine"


def engine_of(name, o):
    if name == OURS:
        return Process(name, [o.worker], o)
    return Process(name, [sys.executable, str(HERE / "peers.py"), name], o, cpu_limit(o))


# ---- one workload --------------------------------------------------------------------------------

def load(engine, name, graph, o, folder):
    """Load the workload and return what the engine says of it, with its output."""
    out = Path(folder, engine.name + ".f32")
    if engine.name == OURS:
        text, data = Path(folder, "graph.txt"), Path(folder, "inputs.f16")
        text.write_text(graph.text())
        np.concatenate([x.reshape(-1) for x in graph.input_values()]).tofile(data)
        info = engine.ask("load", text, o.threads, o.isa, COMPRESS[graph.compress])
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
    engines[engine_name] = engine_of(engine_name, o)
    return load(engines[engine_name], name, graph, o, folder)


def agreement(ours, theirs):
    """Cosine and relative error in the Euclidean norm."""
    if ours.shape != theirs.shape:
        return 0.0, float("inf")
    norm = np.linalg.norm(theirs)
    return (float(ours @ theirs / (np.linalg.norm(ours) * norm)),
            float(np.linalg.norm(ours - theirs) / norm))


def paired_ratios(ours, theirs, o, state=GOOD):
    """Our time / theirs, of the rounds in which both have a sample of that state or a better one."""
    beside = {s["round"]: s for s in theirs if s["state"] >= state}
    return [s[o.key] / beside[s["round"]][o.key] for s in ours
            if s["state"] >= state and s["round"] in beside]


def middle_ratio(ours, theirs, o):
    """The median of the ratios in the best state that has any, and whether that is GOOD."""
    for state in (GOOD, SHARED, NO_CORES):
        ratios = paired_ratios(ours, theirs, o, state)
        if ratios:
            return statistics.median(ratios), state == GOOD
    return None, False


def enough(ratios, fastest, o):
    """More rounds with this peer would not change what the table says.  `fastest`: the ratio to the
    peer that was the fastest so far."""
    if len(ratios) >= o.rounds:
        return True
    if (len(ratios) >= 3 and max(ratios) - min(ratios) < AGREEMENT * min(ratios)
            and NEAR * max(ratios) < fastest):
        return True
    return len(ratios) >= 2 and FAR * max(ratios) < fastest


def sample_rounds(running, machine, o, seconds, streams):
    """Samples of every engine, taking turns until each has enough or the time is up, and those
    engines that died; where memory is the limit, its bandwidth with each sample.  Ours take part in
    every round."""
    running, samples, gone = dict(running), {name: [] for name in running}, {}
    end, before = time.monotonic() + seconds, NO_CORES
    for turn in range(o.rounds * o.tries):
        ratios = {n: paired_ratios(samples.get(OURS, []), samples[n], o) for n in running}
        fastest = max((statistics.median(r) for n, r in ratios.items() if n not in OWN and r),
                      default=0)
        wanted = [n for n in running if not enough(ratios[n], 0 if n in OWN else fastest, o)]
        if not wanted or (turn and time.monotonic() > end):
            break
        names = [n for n in running if n in OWN or n in wanted]
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(PAUSE)
            if before != GOOD:
                before = machine.wait(PATIENCE)
            try:
                sample = running[name].ask("time", o.seconds)
            except Gone as error:
                gone[name] = str(error)
                del running[name]
                continue
            sample["fma"], sample["round"] = machine.fma, turn
            after = machine.state()
            sample["fma"] = (sample["fma"] + machine.fma) / 2
            sample["state"] = min(before, after)
            sample["clean"], before = sample["state"] == GOOD, after
            if streams:
                sample["read"] = machine.read()
            samples[name].append(sample)
    return {name: samples[name] for name in running}, gone


def condense(info, samples, graph, o):
    best = max(s["state"] for s in samples)
    used = [s for s in samples if s["state"] == best]
    clean = len(used) if best == GOOD else 0
    middle = lambda key: statistics.median(s[key] for s in used) / 1e6
    ms = middle(o.key)
    p10 = None if o.clock == "cpu" else middle("p10_ns")
    gflops, share = graph.flops / ms / 1e6, None
    if "read" in samples[0]:
        share = info.get("weight_bytes", 0) / ms / 1e6
        share /= statistics.median(s["read"] for s in used)
    elif graph.flops:
        share = gflops / statistics.median(s["fma"] for s in used)
    return {**info, "ms": ms, "p10_ms": p10, "gflops": gflops, "share": share, "clean": clean,
            "dropped": len(samples) - clean, "samples": samples}


def run_workload(name, engines, machine, o, folder, seconds):
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
            if not info["cosine"] > LEAST_COSINE_OF.get(graph.compress, LEAST_COSINE):
                result["absent"][engine_name] = f"its output differs: cosine {info['cosine']:.6f}"
                continue
        running[engine_name], infos[engine_name] = engine, info
    beside = beside_of(name)
    if beside and OURS in running:
        if BESIDE not in engines:
            engines[BESIDE] = engine_of(OURS, o)
        infos[BESIDE], _ = load(engines[BESIDE], beside, WORKLOADS[beside](), o, folder)
        running[BESIDE] = engines[BESIDE]
    weights = infos.get(OURS, {}).get("weight_bytes", 0)
    streams = weights > STREAM_BYTES and graph.flops <= STREAM_FLOPS * weights
    sampled, gone = sample_rounds(running, machine, o, seconds, streams)
    result["absent"].update(gone)
    own = sampled.get(OURS, [])
    if BESIDE in sampled:
        samples = sampled.pop(BESIDE)
        result["beside"] = {"name": beside, "ratio": middle_ratio(own, samples, o)[0],
                            **condense(infos[BESIDE], samples, WORKLOADS[beside](), o)}
    for engine_name, samples in sampled.items():
        engine = condense(infos[engine_name], samples, graph, o)
        if engine_name != OURS:
            engine["ratio"], engine["ratio_clean"] = middle_ratio(own, samples, o)
        result["engines"][engine_name] = engine
    if o.profile and OURS in sampled:
        result["profile"] = running[OURS].ask("profile", o.seconds)["instructions"]
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
    unlimited = why_unlimited(o)
    for name in list(o.peers):
        how = PEERS[name].missing() or unlimited
        if how:
            print(f"missing: {name} ({how})")
            o.peers.remove(name)
    machine = Machine(str(Path(o.worker).with_name("bench_probe")), o)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    results = {"machine": cpu_name(), "cpus": os.cpu_count(), "threads": o.threads, "isa": o.isa,
               "clock": o.clock, "seconds": o.seconds, "rounds": o.rounds, "peak": machine.peak,
               "workloads": [], "footprint": []}
    save = lambda: Path(out, "results.json").write_text(json.dumps(results, indent=1))
    begin = time.monotonic()
    end = begin + o.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_VALUES"] = folder
        engines = {n: engine_of(n, o) for n in [OURS] + o.peers}
        for i, name in enumerate(o.workloads):
            part = (end - time.monotonic()) / (len(o.workloads) - i)
            result = run_workload(name, engines, machine, o, folder, part)
            results["workloads"].append(result)
            print(workload_table(result, results), flush=True)
            save()
        for engine in engines.values():
            engine.close()
        if o.footprints:
            results["footprint"] = footprint.measure(
                o.footprints, lambda name: engine_of(name, o), o.threads, o.isa,
                "onnxruntime" in o.peers, folder)
            print(footprint_table(results["footprint"]))
    machine.process.close()
    results["minutes"] = (time.monotonic() - begin) / 60
    save()
    summary = summary_markdown(results)
    Path(out, "summary.md").write_text(summary)
    print(summary)
    drawn = plot(results, out)
    print(f"written: {out}/results.json, {out}/summary.md{drawn}")


if __name__ == "__main__":
    main()
