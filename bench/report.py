"""What bench/compare.py shows of its results: tables for the terminal, Markdown, and a plot."""
import re

from targets import Ratio, Row, targets_of
from times import time_text

OURS = "aneforge"
COLOURS = {"onnxruntime": "#1f77b4", "openvino": "#2ca02c", "ncnn": "#8c564b",
           "litert": "#17becf", "torch": "#ff7f0e", "torch-jit": "#e377c2", "openblas": "#7f7f7f"}


def conditions_text(results):
    n = results["threads"]
    isa = results["workloads"][0]["engines"].get(OURS, {}).get("isa", results["isa"]) \
        if results["workloads"] else results["isa"]
    return f"{n} thread{'s' if n > 1 else ''}, {results['clock']} time, {isa}"


def _rate(engine, flops):
    """GFLOP/s, and the share of what the machine gave beside it."""
    share = engine.get("share")
    return (f"{engine['gflops']:.1f}" if flops else "-", f"{share * 100:.0f} %" if share else "-")


def _peers(result):
    return {n: e for n, e in result["engines"].items() if e.get("ratio")}


def _unsure(peer):
    return "" if peer["ratio_clean"] else "~"


def _best(result):
    """The peer that we are slowest beside, or None."""
    peers = _peers(result)
    return max(peers, key=lambda name: peers[name]["ratio"], default=None)


def workload_table(result, results):
    flops = result["flops"]
    head = f"\n{result['name']}   {' '.join(str(s) for s in result['inputs'])}"
    lines = [head + (f"   {flops / 1e9:.3g} GFLOP" if flops else "")]
    lines.append(f"  {'engine':18} {'time':>11} {'p10':>10} {'GFLOP/s':>8} {'of peak':>8} "
                 f"{'ours / it':>9} {'load':>10}  samples")
    for name, e in sorted(result["engines"].items(), key=lambda item: item[1]["ms"]):
        rate, share = _rate(e, flops)
        mark = " " if e["clean"] else "~"
        ratio = "-" if not e.get("ratio") else f"{_unsure(e)}{e['ratio']:.2f}"
        form = f" {e['form']}" if e.get("form") else ""
        lines.append(f"  {name + form:18} {mark}{time_text(e['ms']):>10} "
                     f"{time_text(e['p10_ms']):>10} {rate:>8} {share:>8} {ratio:>9} "
                     f"{time_text(e['compile_ms']):>10}  {e['clean']} clean, "
                     f"{e['dropped']} dropped")
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


def _amount(value, unit):
    if value is None:
        return "-"
    return time_text(value) if unit == "ms" else f"{value:.1f} {unit}"


def footprint_table(rows):
    lines = [f"\n{'':28} {'aneforge':>12} {'peer':>12}"]
    for r in rows:
        lines.append(f"{r['name']:28} {_amount(r['ours'], r['unit']):>12} "
                     f"{_amount(r['theirs'], r['unit']):>12}  {r['peer']}")
    return "\n".join(lines)


# ---- the summary ---------------------------------------------------------------------------------

def verdict(name, row):
    """(targets, met), each a text."""
    words = {None: "-", True: "yes", False: "no"}
    targets = targets_of(name)
    return ("; ".join(t.text(row.best) for t in targets),
            "; ".join(words[t.met(row)] for t in targets))


def _row(r):
    """Of a workload that we ran."""
    ours, ratios = r["engines"][OURS], {n: e["ratio"] for n, e in _peers(r).items()}
    own = {r["beside"]["name"]: r["beside"]["ratio"]} if "beside" in r else {}
    return Row(ours["ms"], ratios, _best(r), ours.get("share"), own)


def _footprint_row(r):
    ratios = {r["peer"]: r["ours"] / r["theirs"]} if r["theirs"] else {}
    return Row(r["ours"], ratios, r["peer"], None, {})


def _line(*cells):
    return "| " + " | ".join(cells) + " |"


def _workload_line(r):
    ours, peers = r["engines"].get(OURS), _peers(r)
    if not ours:
        return _line(r["name"], *["-"] * 8)
    row = _row(r)
    best = row.best
    rate, share = _rate(ours, r["flops"])
    unsure = _unsure(peers[best]) if best else "" if ours["clean"] else "~"
    form = f" ({peers[best]['form']})" if best and peers[best].get("form") else ""
    target, met = verdict(r["name"], row)
    return _line(r["name"], time_text(ours["ms"]), rate, share, f"{best}{form}" if best else "-",
                 time_text(peers[best]["ms"]) if best else "-",
                 f"{unsure}{row.ratios[best]:.2f}" if best else "-", target,
                 unsure + met if met not in ("", "-") else met)


def _footprint_line(r):
    row = _footprint_row(r)
    ratio = f"{row.ratios[row.best]:.2f}" if row.ratios else "-"
    return _line(r["name"], _amount(r["ours"], r["unit"]), "-", "-", r["peer"],
                 _amount(r["theirs"], r["unit"]), ratio, *verdict(r["name"], row))


def versions_text(results):
    seen = {}
    for r in results["workloads"]:
        for name, e in _peers(r).items():
            seen[name] = e["version"]
    return ", ".join(f"{name} {version}" for name, version in seen.items()) or "none"


def losses_text(results):
    """Where a peer is faster, worst first, and which targets are missed."""
    slower, missed = [], []
    for r in results["workloads"]:
        ours, peers = r["engines"].get(OURS), _peers(r)
        if not ours:
            continue
        row = _row(r)
        unsure = _unsure(peers[row.best]) if peers else "" if ours["clean"] else "~"
        if peers:
            slower.append((row.ratios[row.best], unsure, f"{r['name']} ({row.best})"))
        missed += [f"{unsure}{r['name']} ({t.text(row.best)})" for t in targets_of(r["name"])
                   if t.met(row) is False]
    for r in results["footprint"]:
        missed += [f"{r['name']} ({t.text(r['peer'])})" for t in targets_of(r["name"])
                   if t.met(_footprint_row(r)) is False]
    slower = [f"{unsure}{ratio:.2f} {name}"
              for ratio, unsure, name in sorted(slower, reverse=True) if ratio > 1]
    return (f"Slower than the fastest peer: {', '.join(slower) or 'none'}.  "
            f"Targets missed: {', '.join(missed) or 'none'}.")


def summary_markdown(results):
    """One line a workload: ours, the best peer, the ratio (below 1: we are faster), the target."""
    lines = [_line("workload", "aneforge", "GFLOP/s", "of peak", "best peer", "its value",
                   "ours / peer", "target", "met"),
             "|---|--:|--:|--:|---|--:|--:|--:|---|"]
    lines += [_workload_line(r) for r in results["workloads"]]
    lines += [_footprint_line(r) for r in results["footprint"]]
    engines = [e for r in results["workloads"] for e in r["engines"].values()]
    kept, dropped = (sum(e[key] for e in engines) for key in ("clean", "dropped"))
    unsure = sum(not e["clean"] for e in engines)
    peak = results["peak"]
    lines += ["", f"{results['machine']}, {results['cpus']} CPUs; {conditions_text(results)}.  "
              f"Peak of these vectors: {peak['fma_one']:.0f} GFLOP/s with one thread, "
              f"{peak['fma_two']:.0f} with two; memory read: {peak['read_one']:.0f} and "
              f"{peak['read_two']:.0f} GB/s.  Peers: {versions_text(results)}.  {kept} samples of "
              f"{results['seconds']} s used, {dropped} dropped; {unsure} of {len(engines)} figures "
              f"have no clean sample (`~`).  The run took {results['minutes']:.0f} minutes.", "",
              losses_text(results), ""]
    return "\n".join(lines)


def plot(results, folder):
    """Bars: our time over the best peer's; marks: the peers. Returns what to say of it."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return "\nmissing: matplotlib (pip install matplotlib), so no plot"
    rows = [r for r in results["workloads"] if OURS in r["engines"] and _best(r)][::-1]
    if not rows:
        return ""
    figure, axes = pyplot.subplots(figsize=(8.5, 1.4 + 0.25 * len(rows)))
    ratios = [_peers(r)[_best(r)]["ratio"] for r in rows]
    axes.barh(range(len(rows)), [x - 1 for x in ratios], left=1, height=0.6,
              color=["#9ac29a" if x <= 1 else "#d9a0a0" for x in ratios], label=OURS)
    for peer, colour in COLOURS.items():
        at = [(ratio / _peers(r)[peer]["ratio"], i) for i, (r, ratio) in enumerate(zip(rows, ratios))
              if peer in _peers(r)]
        if at:
            axes.plot(*zip(*at), "o", markersize=4, color=colour, label=peer)
    aims = [(t.most, i) for i, r in enumerate(rows) for t in targets_of(r["name"])
            if isinstance(t, Ratio) and not t.peer]
    if aims:
        axes.plot(*zip(*aims), "|", markersize=11, color="black", label="target")
    axes.set_xscale("log")
    axes.set_xlim(min(0.25, 0.9 * min(ratios)), 10)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xticks([t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
                     if t >= axes.get_xlim()[0]])
    axes.minorticks_off()
    axes.grid(axis="x", linewidth=0.4)
    axes.set_axisbelow(True)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [r["name"] for r in rows], fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("time / time of the fastest peer (left of 1 aneforge is faster; peers past 10 "
                    "are not shown)", fontsize=8)
    axes.set_title(f"{conditions_text(results)}, {results['machine']}", fontsize=9)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    for end in ("png", "svg"):
        figure.savefig(folder / f"compare.{end}", dpi=90)
    pyplot.close(figure)
    return f", {folder}/compare.png, {folder}/compare.svg"
