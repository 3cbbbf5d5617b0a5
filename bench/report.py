"""What bench/compare.py shows of its results: tables for the terminal, Markdown, and a plot."""
import re

OURS = "aneforge"
COLOURS = {"onnxruntime": "#1f77b4", "openvino": "#2ca02c", "ncnn": "#8c564b",
           "torch": "#ff7f0e", "torch-jit": "#e377c2"}


def time_text(ms):
    if ms is None:
        return "-"
    if ms < 1e-3:
        return f"{ms * 1e6:.0f} ns"
    if ms < 1:
        return f"{ms * 1e3:.1f} us"
    return f"{ms:.2f} ms"


def threads_text(results):
    n = results["threads"]
    return f"{n} thread{'s' if n > 1 else ''}, {results['clock']}"


def _rate(engine, flops):
    if not flops:
        return "-", "-"
    return f"{engine['gflops']:.1f}", f"{engine['share'] * 100:.0f} %"


def workload_table(result):
    flops, best = result["flops"], result["best_peer_ms"]
    head = f"\n{result['name']}   {' '.join(str(s) for s in result['inputs'])}"
    lines = [head + (f"   {flops / 1e9:.3g} GFLOP" if flops else "")]
    lines.append(f"  {'engine':12} {'time':>11} {'p10':>10} {'GFLOP/s':>8} {'of peak':>8} "
                 f"{'to best peer':>12} {'compile':>10}  samples")
    for name, e in sorted(result["engines"].items(), key=lambda item: item[1]["ms"]):
        rate, share = _rate(e, flops)
        mark = " " if e["clean"] else "~"
        ratio = f"{e['ms'] / best:.2f}x" if best else "-"
        lines.append(f"  {name:12} {mark}{time_text(e['ms']):>10} {time_text(e['p10_ms']):>10} "
                     f"{rate:>8} {share:>8} {ratio:>12} {time_text(e['compile_ms']):>10}  "
                     f"{e['clean']} clean, {e['dropped']} dropped")
    lines += [f"  absent: {name}: {why}" for name, why in result["absent"].items()]
    if "profile" in result:
        lines += profile_lines(result["profile"])
    return "\n".join(lines)


def profile_lines(instructions):
    total = sum(i["min_ns"] for i in instructions) or 1
    lines = [f"  {'least time':>11} {'mean':>10} {'share':>6} {'GFLOP/s':>8} {'GB/s':>6}  "
             "instruction"]
    for i in instructions:
        ns = i["min_ns"] or 1
        text = re.sub(r"\s+", " ", i["text"].strip())
        lines.append(f"  {time_text(ns / 1e6):>11} {time_text(i['mean_ns'] / 1e6):>10} "
                     f"{ns / total * 100:5.1f}% {i['flops'] / ns:8.1f} {i['bytes'] / ns:6.1f}  "
                     f"{text[:120]}")
    return lines


def summary_markdown(results):
    """One line a workload: ours, the best peer, the ratio (below 1: we are faster)."""
    lines = ["| workload | aneforge | GFLOP/s | of peak | best peer | its time | ours / peer |",
             "|---|--:|--:|--:|---|--:|--:|"]
    for r in results["workloads"]:
        ours = r["engines"].get(OURS)
        if not ours:
            lines.append(f"| {r['name']} | - | - | - | - | - | - |")
            continue
        peers = {n: e for n, e in r["engines"].items() if n != OURS}
        best = min(peers, key=lambda n: peers[n]["ms"]) if peers else None
        rate, share = _rate(ours, r["flops"])
        unsure = "~" if not ours["clean"] or (best and not peers[best]["clean"]) else ""
        theirs = f"{best} | {time_text(peers[best]['ms'])}" if best else "- | -"
        ratio = f"{unsure}{ours['ms'] / peers[best]['ms']:.2f}" if best else "-"
        lines.append(f"| {r['name']} | {time_text(ours['ms'])} | {rate} | {share} | {theirs} | "
                     f"{ratio} |")
    dropped = sum(e["dropped"] for r in results["workloads"] for e in r["engines"].values())
    kept = sum(e["clean"] for r in results["workloads"] for e in r["engines"].values())
    peak = results["peak"]
    lines += ["", f"{results['machine']}, {results['cpus']} CPUs; {threads_text(results)} time; "
              f"peak {peak['fma_one']:.0f} GFLOP/s with one thread, "
              f"{peak['fma_two']:.0f} with two; memory read {peak['read_one']:.0f} and "
              f"{peak['read_two']:.0f} GB/s.  {kept} samples used, {dropped} dropped.", ""]
    return "\n".join(lines)


def plot(results, folder):
    """Bars: our time over the best peer's; marks: the peers. Returns what to say of it."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return "\nmissing: matplotlib (pip install matplotlib), so no plot"
    rows = [r for r in results["workloads"] if OURS in r["engines"] and r["best_peer_ms"]][::-1]
    if not rows:
        return ""
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.28 * len(rows)))
    ratios = [r["engines"][OURS]["ms"] / r["best_peer_ms"] for r in rows]
    axes.barh(range(len(rows)), ratios, left=0, height=0.6, color="#c8d3dc", label=OURS)
    for peer, colour in COLOURS.items():
        at = [(r["engines"][peer]["ms"] / r["best_peer_ms"], i) for i, r in enumerate(rows)
              if peer in r["engines"]]
        if at:
            axes.plot(*zip(*at), "o", markersize=4, color=colour, label=peer)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [r["name"] for r in rows])
    axes.set_xlabel("time / time of the best peer (log scale; left of 1 is faster)")
    axes.set_title(f"{threads_text(results)} time, {results['machine']}", fontsize=9)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    for end in ("png", "svg"):
        figure.savefig(folder / f"compare.{end}", dpi=130)
    pyplot.close(figure)
    return f", {folder}/compare.png, {folder}/compare.svg"
