"""How the cost of a call, and of a compile, grows with the size of the work.

Along each axis (SERIES below) a graph is made in many sizes, odd ones and powers of two among them.
A size is timed several times in rounds that go through all sizes, those above the line more often,
and its least time is kept: what is looked for are cliffs of the program, not of a busy machine.

Through the points goes a line in log-log coordinates whose slope never falls as sizes grow: a fixed
cost first, a power law then, with at most two bends, fitted by least absolute deviations.  A cliff
is a point far above that line; the largest excess of every series is printed.

    python3 bench/scaling.py --worker build/bench/bench_worker
    python3 bench/scaling.py --only gemm,compile --rounds 5

Results: scaling.json, scaling.md and a plot per group in --out; series that are there from an
earlier run and not measured again are kept.
"""
import argparse
import json
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, NamedTuple

import numpy as np

from compare import Process
from graphs import Graph, attention, encoder, gemm, resnet18

LIMIT = 1.3    # of a point to the line
SUSPECT = 1.1  # is measured again


# ---- graphs that grow ----------------------------------------------------------------------------

def linear_chain(layers, rows=1, width=64):
    """Layers with a residual: linear, relu, add."""
    g = Graph()
    h = g.input(rows, width)
    for _ in range(layers):
        h = g.binary("add", g.unary("relu", g.linear(h, width)), h)
    return g


def elementwise_chain(operators, n=4096):
    """Two operators in turns, all of one shape: as long as fusion lets a loop become."""
    g = Graph()
    x = g.input(n)
    h = x
    for i in range(operators):
        h = g.binary("add", h, x) if i % 2 else g.unary("tanh", h)
    return g


def wide(operators, n=64):
    """Branches of one input, added up pair by pair: many values alive at a time."""
    g = Graph()
    x = g.input(n)
    values = [g.binary("mul", g.unary("relu", x), g.scalar(1 + i / 64))
              for i in range(max(1, operators // 3))]
    while len(values) > 1:
        values = [g.binary("add", *values[i:i + 2]) if i + 1 < len(values) else values[i]
                  for i in range(0, len(values), 2)]
    return g


def conv_image(size, channels=64):
    g = Graph()
    h = g.input(1, channels, size, size)
    for _ in range(2):
        h = g.unary("relu", g.conv(h, channels, 3, pad=1))
    return g


class Series(NamedTuple):
    title: str
    make: Callable
    sizes: tuple
    of: str                 # what grows, for the axis
    cost: str = "run"       # or "compile"
    threads: int = 2
    seconds: float = 0.03


def around(*sizes):
    """Each size with what lies just beside it, where tiles and panels end."""
    return tuple(sorted({s + d for s in sizes for d in (-1, 0, 1) if s + d > 0}))


GEMM_SIZES = around(8, 16, 32, 48, 64, 96, 128, 192, 256, 384) + (512, 513, 640, 768, 1024, 1280)
ROWS = tuple(range(1, 20)) + (24, 31, 32, 33, 40, 48, 56, 64, 65, 80, 96, 127, 128, 129, 160, 192,
                              256, 257, 384, 512)
SEQUENCES = (1, 2, 3, 4, 6, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129,
             192, 256, 257, 384, 512)
IMAGES = (32, 48, 56, 64, 80, 96, 97, 112, 128, 129, 160, 192, 193, 224, 225, 256, 288, 320, 384)
MAPS = tuple(range(4, 18)) + (20, 24, 27, 28, 29, 32, 40, 48, 56, 57, 64, 80, 96, 112)
BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
DEPTHS = (1, 2, 3, 5, 8, 12, 20, 32, 50, 80, 128, 200, 320, 500, 1000)
CHAINS = (2, 4, 6, 8, 12, 20, 32, 50, 80, 128, 200, 320, 500)
OPERATORS = (12, 30, 60, 120, 300, 600, 1200, 3000, 6000, 9999, 12000, 20001)


def inputs(n):
    g = Graph()
    total = g.input(16)
    for _ in range(n - 1):
        total = g.binary("add", total, g.input(16))
    return g


def rows_of(m):
    g = Graph()
    g.matmul(g.input(m, 512), 512)
    return g


SERIES = {
    "gemm": Series("square matrix product", gemm, GEMM_SIZES, "N"),
    "gemm_1t": Series("the same, one thread", gemm, GEMM_SIZES, "N", threads=1),
    "rows": Series("[M,512] x [512,512]", rows_of, ROWS, "rows M"),
    "sequence": Series("encoder, 2 layers of MiniLM", lambda s: encoder(s, layers=2), SEQUENCES,
                       "sequence length"),
    "sequence_1t": Series("the same, one thread", lambda s: encoder(s, layers=2), SEQUENCES,
                          "sequence length", threads=1),
    "attention": Series("attention, 12 heads of 64", attention, SEQUENCES, "sequence length"),
    "image": Series("ResNet-18", lambda s: resnet18(1, s), IMAGES, "image size"),
    "image_1t": Series("the same, one thread", lambda s: resnet18(1, s), IMAGES, "image size",
                       threads=1),
    "conv3": Series("two 3x3 convolutions, 64 channels", conv_image, MAPS, "pixels a side"),
    "conv3_512": Series("two 3x3 convolutions, 512 channels", lambda s: conv_image(s, 512),
                        MAPS[:15], "pixels a side"),
    "batch": Series("ResNet-18 at 96 x 96", lambda n: resnet18(n, 96), BATCHES, "batch"),
    "batch_mlp": Series("8 layers of 64", lambda n: linear_chain(8, n), ROWS, "batch"),
    "depth": Series("chain of linear, relu, add", linear_chain, DEPTHS, "layers"),
    "elementwise": Series("4096 values", elementwise_chain, CHAINS, "operators"),
    "compile_chain": Series("compile: linear, relu, add", lambda n: linear_chain(n // 3), OPERATORS,
                            "operators", cost="compile"),
    "compile_elementwise": Series("compile: elementwise chain", elementwise_chain, OPERATORS,
                                  "operators", cost="compile"),
    "compile_wide": Series("compile: branches added up", wide, OPERATORS, "operators",
                           cost="compile"),
    "compile_inputs": Series("compile: inputs added up", inputs, OPERATORS, "inputs",
                             cost="compile"),
}
GROUPS = {"products": ("gemm", "gemm_1t", "rows", "attention"),
          "networks": ("sequence", "sequence_1t", "image", "image_1t"),
          "convolutions": ("conv3", "conv3_512", "batch", "batch_mlp"),
          "graphs": ("depth", "elementwise", "compile_chain", "compile_elementwise",
                     "compile_wide", "compile_inputs")}


# ---- measuring -----------------------------------------------------------------------------------

def measure(series, o, folder):
    """The least time of every size, in milliseconds."""
    files, best = [], [math.inf] * len(series.sizes)
    for size in series.sizes:
        files.append(Path(folder, f"{size}.graph"))
        files[-1].write_text(series.make(size).text())
    worker = Process("aneforge", [o.worker], SimpleNamespace(threads=series.threads))

    def once(indices):
        for i in indices:
            ms = worker.ask("load", files[i], series.threads, o.isa)["compile_ms"]
            if series.cost == "run":
                ms = worker.ask("time", series.seconds)["min_ns"] / 1e6
            best[i] = min(best[i], ms)

    everything = list(range(len(files)))
    for turn in range(o.rounds):
        once(everything if turn % 2 == 0 else everything[::-1])
    for _ in range(2 * o.rounds):  # a point stays above the line only if it does so every time
        line, _ = fit(series.sizes, best)
        once([i for i in everything if best[i] > SUSPECT * line[i]])
    worker.close()
    return best


# ---- the line ------------------------------------------------------------------------------------

def _least_absolute(basis, y):
    """Coefficients of the least sum of absolute deviations, by weights that are made anew."""
    weights = np.ones(len(y))
    for _ in range(60):
        w = np.sqrt(weights)[:, None]
        c = np.linalg.lstsq(basis * w, y * w[:, 0], rcond=None)[0]
        weights = 1 / np.maximum(np.abs(y - basis @ c), 1e-4)
    return c


def fit(sizes, times):
    """(line through the points, slopes): convex and piecewise linear in log-log coordinates."""
    x, y = np.log(np.array(sizes, float)), np.log(np.array(times))
    inner = np.linspace(x[0], x[-1], 14)[2:-2]
    bends = [()] + [(a,) for a in inner] + [(a, b) for a in inner for b in inner if b > a + 0.5]
    best = None
    for at in bends:
        basis = np.stack([np.ones_like(x), x] + [np.maximum(x - b, 0) for b in at], axis=1)
        c = _least_absolute(basis, y)
        if (c[2:] < 0).any():
            continue
        # A bend has to pay for itself: one tenth less deviation each.
        loss = np.abs(y - basis @ c).sum() * 1.1 ** len(at)
        if best is None or loss < best[0]:
            best = loss, basis @ c, np.cumsum(c[1:])
    return np.exp(best[1]), best[2]


def condense(name, series, times):
    line, slopes = fit(series.sizes, times)
    excess = np.array(times) / line
    worst = sorted(range(len(times)), key=lambda i: -excess[i])[:3]
    return {"name": name, "title": series.title, "of": series.of, "cost": series.cost,
            "threads": series.threads, "sizes": list(series.sizes), "ms": list(times),
            "line_ms": line.tolist(), "slopes": slopes.tolist(),
            "worst": [{"size": series.sizes[i], "excess": float(excess[i])} for i in worst]}


# ---- what is shown -------------------------------------------------------------------------------

def table(results):
    lines = ["| series | grows | exponents | largest excess over the line | then |",
             "|---|---|---|---|---|"]
    for r in results:
        first, *rest = r["worst"]
        others = ", ".join(f"{w['excess']:.2f} at {w['size']}" for w in rest)
        mark = " **cliff**" if first["excess"] > LIMIT else ""
        lines.append(
            f"| {r['name']}: {r['title']} | {r['of']} {r['sizes'][0]} to {r['sizes'][-1]} | "
            f"{', '.join(f'{s:.2f}' for s in r['slopes'])} | {first['excess']:.2f} at "
            f"{first['size']}{mark} | {others} |")
    by_name = {r["name"]: r for r in results}
    if "compile_chain" in by_name:
        at = by_name["compile_chain"]
        lines += ["", f"A chain of 500 layers compiles in {chain_ms(at):.0f} ms, "
                  f"{at['sizes'][-1]} operators in {at['ms'][-1]:.0f} ms."]
    return "\n".join(lines + [""])


def chain_ms(compiled, layers=500):
    """Between the two sizes around it, on a straight line in log-log coordinates."""
    return math.exp(np.interp(math.log(3 * layers), np.log(compiled["sizes"]),
                              np.log(compiled["ms"])))


def draw(results, out):
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return "missing: matplotlib (pip install matplotlib), so no plots"
    drawn = []
    for group, names in GROUPS.items():
        chosen = [r for r in results if r["name"] in names]
        if not chosen:
            continue
        columns = min(len(chosen), 2 if len(names) == 4 else 3)
        rows = -(-len(chosen) // columns)
        figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 3.1 * rows),
                                       squeeze=False)
        for axis in axes.flat[len(chosen):]:
            axis.set_visible(False)
        for r, axis in zip(chosen, axes.flat):
            draw_one(r, axis)
        figure.tight_layout()
        path = Path(out, f"scaling_{group}.png")
        figure.savefig(path, dpi=80)
        pyplot.close(figure)
        drawn.append(str(path))
    return "written: " + ", ".join(drawn)


def draw_one(r, axis):
    worst = r["worst"][0]
    at = r["sizes"].index(worst["size"])
    axis.loglog(r["sizes"], r["line_ms"], "-", color="#888888", linewidth=1)
    axis.loglog(r["sizes"], r["ms"], ".", color="#1f77b4", markersize=5)
    axis.loglog([worst["size"]], [r["ms"][at]], "o", mfc="none", color="#d62728", markersize=8)
    axis.annotate(f"{worst['excess']:.2f} x at {worst['size']}", (0.04, 0.9),
                  xycoords="axes fraction", color="#d62728", fontsize=8)
    axis.set_title(f"{r['name']}: {r['title']}", fontsize=9)
    axis.set_xlabel(r["of"], fontsize=8)
    axis.set_ylabel("ms", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(which="major", linewidth=0.3)


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="series: " + " ".join(SERIES))
    p.add_argument("--only", default="", help="series that begin with one of these, a,b,c")
    p.add_argument("--rounds", type=int, default=4, help="times each size is measured (4)")
    p.add_argument("--isa", default="-", help="kernel set: ref, avx2, ...")
    p.add_argument("--worker", default="build/bench/bench_worker", help="the built bench_worker")
    p.add_argument("--out", default="build/bench-results", help="folder of the results")
    o = p.parse_args()
    wanted = tuple(w for w in o.only.split(",") if w)
    o.series = [n for n in SERIES if not wanted or n.startswith(wanted)]
    if not o.series:
        p.error(f"no series begins with {o.only}; series: {' '.join(SERIES)}")
    if not Path(o.worker).exists():
        p.error(f"{o.worker} does not exist; build it: cmake -DANEFORGE_BENCH=ON, or --worker FILE")
    return o


def main():
    o = options()
    Path(o.out).mkdir(parents=True, exist_ok=True)
    path = Path(o.out, "scaling.json")
    kept = {r["name"]: r for r in json.loads(path.read_text())} if path.exists() else {}
    for name in o.series:
        with tempfile.TemporaryDirectory() as folder:
            kept[name] = condense(name, SERIES[name], measure(SERIES[name], o, folder))
        worst = kept[name]["worst"][0]
        print(f"{name}: largest excess {worst['excess']:.2f} at {worst['size']}", flush=True)
        path.write_text(json.dumps(list(kept.values()), indent=1))
    results = [kept[name] for name in SERIES if name in kept]
    text = table(results)
    Path(o.out, "scaling.md").write_text(text)
    print(text + draw(results, o.out))


if __name__ == "__main__":
    main()
