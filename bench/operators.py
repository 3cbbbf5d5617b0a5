"""Every operator by itself, in sizes of networks, beside PyTorch: where would a user wait for us?

    make bench-operators
    PYTHONPATH=build/python python3 bench/operators.py --only softmax,conv --seconds 0.5

Both engines run in this process with two threads, in turns, and the median of the ratios of
neighbouring samples is what counts.  Ours computes in binary16 on buffers that lie ready
(`execute`), PyTorch in float32 and eagerly, so a row is a hint and no verdict: what it is for is to
see operators and shapes that are far slower than their neighbours.  Results are compared, and
operators without a case are listed.

Results: operators.md in --out.
"""
import os
import sys

# Threads of PyTorch that wait for work would have the core that ours are measured on.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
if any(os.environ.get(k) != v for k, v in WAITING.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WAITING})

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import aneforge as af
from aneforge import _core

from times import time_text

BIG = (4096, 1024)
IMAGES = (16, 256, 28, 28)
WRONG = 0.01      # relative to the largest value: more is another operator
SAMPLE = 0.004    # seconds, at least
rng = np.random.default_rng(0)


class Case(NamedTuple):
    operator: str
    what: str
    shapes: list
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    positive: bool = False


def weight(*shape):
    """Keeps values of the size they have, behind as many sums as a row has elements."""
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def both(*shape):
    w = weight(*shape)
    return w, torch.from_numpy(w)


def method(name, *args, **kwargs):
    return lambda x, *others: getattr(x, name)(*others, *args, **kwargs)


# ---- cases ---------------------------------------------------------------------------------------

def elementwise():
    theirs = {"relu": F.relu, "silu": F.silu, "gelu": F.gelu, "relu6": F.relu6, "elu": F.elu,
              "softplus": F.softplus}
    for name in ("relu silu gelu sigmoid tanh exp abs square sin cos erf softplus relu6 elu "
                 "sqrt rsqrt log neg").split():
        yield Case(name, "", [BIG], method(name) if name != "neg" else lambda x: -x,
                   theirs.get(name) or getattr(torch, name), name in ("sqrt", "rsqrt", "log"))
    yield Case("leaky_relu", "", [BIG], method("leaky_relu", 0.1), lambda x: F.leaky_relu(x, 0.1))
    yield Case("clip", "", [BIG], method("clip", -1, 1), lambda x: x.clamp(-1, 1))
    yield Case("scale", "", [BIG], lambda x: x * 0.5, lambda x: x * 0.5)
    for name, ours in (("add", lambda x, y: x + y), ("sub", lambda x, y: x - y),
                       ("mul", lambda x, y: x * y), ("div", lambda x, y: x / y),
                       ("pow", lambda x, y: x**y), ("maximum", af.maximum), ("minimum", af.minimum)):
        yield Case(name, "", [BIG, BIG], ours, getattr(torch, name), name in ("div", "pow"))
    for what, shapes in (("a row", [BIG, (1024,)]), ("a column", [BIG, (4096, 1)]),
                         ("channels", [IMAGES, (256, 1, 1)]), ("both", [(2048, 1), (1, 2048)])):
        yield Case("mul", f"broadcast: {what}", shapes, lambda x, y: x * y, torch.mul)
    for name in "equal not_equal less less_equal greater greater_equal".split():
        theirs = {"equal": torch.eq, "not_equal": torch.ne}.get(name) or getattr(torch, name)
        yield Case(name, "as 0 and 1", [BIG, BIG],
                   lambda x, y, name=name: getattr(x, name)(y).cast(),
                   lambda x, y, theirs=theirs: theirs(x, y).float())
    yield Case("logical_not", "of x > y", [BIG, BIG], lambda x, y: x.greater(y).logical_not().cast(),
               lambda x, y: (~(x > y)).float())
    yield Case("select", "x > y", [BIG, BIG], lambda x, y: af.select(x.greater(y), x, y),
               lambda x, y: torch.where(x > y, x, y))
    yield Case("cast", "x > y", [BIG, BIG], lambda x, y: x.greater(y).cast(),
               lambda x, y: (x > y).float())


def over_axes():
    axes = (("rows", BIG, (1,)), ("columns", BIG, (0,)), ("short rows", (65536, 16), (1,)),
            ("pixels", IMAGES, (2, 3)), ("channels", IMAGES, (1,)),
            ("all but channels", IMAGES, (0, 2, 3)), ("tokens", (8, 128, 384), (1,)),
            ("coordinates", (100, 100, 3), (1,)), ("all", BIG, (0, 1)))
    for name in ("sum", "mean", "amax", "amin"):
        for what, shape, ax in axes:
            yield Case(name, what, [shape], method(name, ax),
                       lambda x, f=getattr(torch, name), ax=ax: f(x, dim=ax, keepdim=True))
    for what, shape, axis in (("rows of 64", (65536, 64), 1), ("rows of 1000", (4096, 1000), 1),
                              ("rows of 32000", (128, 32000), 1), ("21 classes", (16, 21, 128, 128), 1),
                              ("1000 classes", (1, 1000, 7, 7), 1), ("columns", BIG, 0)):
        yield Case("softmax", what, [shape], method("softmax", axis),
                   lambda x, axis=axis: torch.softmax(x, axis))
    for axis in (1, 0):
        yield Case("l2_norm", "rows" if axis else "columns", [BIG], method("l2_norm", axis),
                   lambda x, axis=axis: x * torch.rsqrt((x * x).sum(axis, keepdim=True) + 1e-12))
    for shape in ((65536, 64), (4096, 768), (512, 4096)):
        (g, tg), (b, tb), n = both(shape[1]), both(shape[1]), shape[1:]
        yield Case("layer_norm", f"rows of {n[0]}", [shape], method("layer_norm", g, b),
                   lambda x, n=n, tg=tg, tb=tb: F.layer_norm(x, n, tg, tb))
        yield Case("rms_norm", f"rows of {n[0]}", [shape], method("rms_norm", g),
                   lambda x, n=n, tg=tg: F.rms_norm(x, n, tg))
    (g, tg), (b, tb), (v, tv) = both(256), both(256), both(256)
    yield Case("group_norm", "32 groups", [IMAGES], method("group_norm", g, b, 32),
               lambda x: F.group_norm(x, 32, tg, tb))
    yield Case("batch_norm", "", [IMAGES], lambda x: af.batch_norm(x, g, b, g, v * v + 1),
               lambda x: F.batch_norm(x, tg, tv * tv + 1, tg, tb))


def images():
    for k, s, p, shape in ((2, 2, 0, (8, 64, 112, 112)), (3, 2, 1, (8, 64, 112, 112)),
                           (3, 1, 1, (8, 64, 56, 56)), (5, 1, 2, (1, 512, 13, 13)),
                           (3, 3, 0, (8, 64, 57, 57)), (7, 7, 0, (32, 512, 7, 7)),
                           (8, 8, 0, (8, 64, 56, 56))):
        what = f"{k}x{k} stride {s} of {'x'.join(map(str, shape))}"
        yield Case("max_pool", what, [shape], method("max_pool", k, stride=s, pad=p),
                   lambda x, k=k, s=s, p=p: F.max_pool2d(x, k, s, p))
        yield Case("avg_pool", what, [shape], method("avg_pool", k, stride=s, pad=p),
                   lambda x, k=k, s=s, p=p: F.avg_pool2d(x, k, s, p))
    for scale in (2, 3, 4, 8):
        yield Case("upsample", f"by {scale}", [(1, 64, 56, 56)], method("upsample", scale),
                   lambda x, scale=scale: F.interpolate(x, scale_factor=scale))
    yield Case("pixel_shuffle", "by 2", [(8, 256, 28, 28)], lambda x: af.pixel_shuffle(x, 2),
               lambda x: F.pixel_shuffle(x, 2))
    yield Case("pixel_unshuffle", "by 2", [(8, 64, 56, 56)], lambda x: af.pixel_unshuffle(x, 2),
               lambda x: F.pixel_unshuffle(x, 2))


def moves():
    shape = (8, 64, 56, 56)
    for axis in (0, 1, 3):
        yield Case("concat", f"axis {axis}", [shape] * 2,
                   lambda x, y, axis=axis: af.concat([x, y], axis),
                   lambda x, y, axis=axis: torch.cat([x, y], axis))
    for perm, of in (((0, 2, 3, 1), shape), ((0, 3, 1, 2), (8, 56, 56, 64)), ((1, 0), (2048, 2048)),
                     ((0, 2, 1, 3), (8, 512, 12, 64)), ((0, 1, 3, 2), shape),
                     ((0, 3, 1, 2), (1, 224, 224, 3)), ((0, 2, 3, 1), (1, 3, 224, 224)),
                     ((1, 0, 2), (2000, 50, 3)), ((3, 2, 1, 0), (16, 32, 64, 64))):
        yield Case("transpose", f"{'x'.join(map(str, of))} by {perm}".replace(" ", ""), [of],
                   method("transpose", perm), lambda x, perm=perm: x.permute(perm).contiguous())
    yield Case("slice", "pixels", [shape], method("slice", (0, 0, 4, 4), (8, 64, 48, 48)),
               lambda x: x[:, :, 4:52, 4:52].contiguous())
    yield Case("split", "in 3", [(512, 2304)], lambda x: x.split(3, 1, 1),
               lambda x: x.chunk(3, 1)[1].contiguous())
    yield Case("expand", "rows", [(8, 1, 1024)], method("expand", (8, 512, 1024)),
               lambda x: x.expand(8, 512, 1024).contiguous())
    yield Case("expand", "columns", [(4096, 1)], method("expand", BIG),
               lambda x: x.expand(BIG).contiguous())
    yield Case("reshape", "", [shape], lambda x: x.reshape(512, 3136),
               lambda x: x.reshape(512, 3136).clone())
    yield Case("squeeze", "", [(1, *BIG)], method("squeeze", (0,)), lambda x: x.squeeze(0).clone())
    yield Case("expand_dims", "", [BIG], method("expand_dims", (0,)), lambda x: x[None].clone())


def products():
    for m, k, n in ((1, 1024, 1024), (4, 1024, 1024), (16, 1024, 1024), (64, 1024, 1024),
                    (512, 512, 512), (1000, 1000, 1000), (1, 768, 50257), (4096, 1024, 1),
                    (100000, 16, 16), (256, 8192, 16), (33, 77, 99)):
        w, tw = both(k, n)
        yield Case("matmul", f"{m}x{k} by {k}x{n}", [(m, k)], lambda x, w=w: x @ w,
                   lambda x, tw=tw: x @ tw)
    w, tw = both(1024, 512)
    yield Case("linear", "128x512 by 512x1024", [(128, 512)], method("linear", w),
               lambda x, tw=tw: F.linear(x, tw))
    for b, m, k, n in ((96, 128, 64, 128), (64, 1, 64, 512), (1000, 16, 16, 16), (1, 1024, 1024, 1024)):
        yield Case("bmm", f"{b} of {m}x{k} by {k}x{n}", [(b, m, k), (b, k, n)], lambda x, y: x @ y,
                   torch.bmm)
    for shape, cout, kernel, stride, pad, dilation, groups in (
            ((1, 3, 224, 224), 64, (3, 3), 1, 1, 1, 1), ((1, 3, 224, 224), 64, (7, 7), 2, 3, 1, 1),
            ((1, 3, 224, 224), 768, (16, 16), 16, 0, 1, 1), ((1, 64, 56, 56), 64, (3, 3), 1, 1, 1, 1),
            ((1, 64, 56, 56), 128, (3, 3), 2, 1, 1, 1), ((1, 256, 28, 28), 256, (3, 3), 1, 2, 2, 1),
            ((1, 128, 56, 56), 256, (3, 3), 1, 1, 1, 32), ((1, 96, 27, 27), 256, (5, 5), 1, 2, 1, 2),
            ((1, 96, 56, 56), 96, (7, 7), 1, 3, 1, 96), ((1, 64, 112, 112), 64, (3, 3), 2, 1, 1, 64),
            ((1, 256, 28, 28), 256, (1, 1), 1, 0, 1, 1), ((1, 512, 7, 7), 2048, (1, 1), 1, 0, 1, 1),
            ((1, 24, 56, 56), 144, (1, 1), 1, 0, 1, 1), ((1, 480, 1, 1), 20, (1, 1), 1, 0, 1, 1),
            ((1, 80, 1, 3000), 384, (1, 3), 1, 0, 1, 1), ((1, 64, 4096, 1), 64, (3, 1), 1, 0, 1, 1),
            ((1, 17, 61, 61), 23, (3, 3), 1, 1, 1, 1), ((64, 32, 8, 8), 64, (3, 3), 1, 1, 1, 1)):
        w, tw = both(cout, shape[1] // groups, *kernel)
        yield Case("conv", f"{'x'.join(map(str, shape))} to {cout}, {kernel[0]}x{kernel[1]} stride "
                   f"{stride} dilation {dilation} groups {groups}", [shape],
                   lambda x, w=w, a=(stride, pad, dilation, groups): af.conv(x, w, *a),
                   lambda x, tw=tw, a=(stride, pad, dilation, groups): F.conv2d(x, tw, None, *a))
    for shape, cout, k, stride, pad in (((1, 128, 28, 28), 64, 2, 2, 0), ((1, 256, 16, 16), 128, 4, 2, 1),
                                        ((1, 64, 32, 32), 3, 4, 2, 1)):
        w, tw = both(shape[1], cout, k, k)
        yield Case("conv_transpose", f"{'x'.join(map(str, shape))} to {cout}, {k}x{k} stride {stride}",
                   [shape], lambda x, w=w, a=(stride, pad): af.conv_transpose(x, w, *a),
                   lambda x, tw=tw, a=(stride, pad): F.conv_transpose2d(x, tw, None, *a))


def attention_of(q, k, v, heads):
    split = lambda t: t.reshape(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)
    out = F.scaled_dot_product_attention(split(q), split(k), split(v))
    return out.transpose(1, 2).reshape(q.shape)


def composites():
    E, H = 384, 12
    ws = [both(E, E) for _ in range(4)]
    yield Case("mha", "12 heads of 32, 128 tokens", [(1, 128, E)],
               lambda x: af.mha(x, ws[0][0], None, ws[1][0], None, ws[2][0], None, ws[3][0], None,
                                n_heads=H),
               lambda x: F.linear(attention_of(*(F.linear(x, w[1]) for w in ws[:3]), H), ws[3][1]))
    yield Case("cross_attention", "128 tokens, context of 77", [(1, 128, E), (1, 77, E)],
               lambda x, c: af.cross_attention(x, c, *(w for w, _ in ws), n_heads=H),
               lambda x, c: F.linear(attention_of(F.linear(x, ws[0][1]), F.linear(c, ws[1][1]),
                                                  F.linear(c, ws[2][1]), H), ws[3][1]))
    w, tw = both(2 * 1536, E)

    def geglu(x):
        value, gate = F.linear(x, tw).chunk(2, -1)
        return value * F.gelu(gate)
    yield Case("geglu", "128 tokens", [(128, E)], lambda x: af.geglu(x, w, None), geglu)


FAMILIES = elementwise, over_axes, images, moves, products, composites
NOT_COMPUTED = "input", "const"


# ---- measuring -----------------------------------------------------------------------------------

def measure(case, seconds):
    """(our seconds, theirs, the ratio, the relative difference of the results)"""
    values = [rng.normal(size=s) for s in case.shapes]
    if case.positive:
        values = [np.abs(v) + 0.1 for v in values]
    values = [v.astype(np.float16).astype(np.float32) for v in values]
    inputs = [torch.from_numpy(v) for v in values]
    with af.compile(case.ours(*(af.input(s) for s in case.shapes))) as net:
        for i, v in enumerate(values):
            net.input_view(i)[...] = v
        theirs = lambda: case.theirs(*inputs)
        net.execute()
        want = theirs().numpy()
        got = np.asarray(net.output_view(0), dtype=np.float32).reshape(want.shape)
        difference = float(np.abs(got - want).max() / np.abs(want).max())
        times = []

        def sample(call, n):
            begin = time.perf_counter()
            for _ in range(n):
                call()
            return (time.perf_counter() - begin) / n
        n = max(1, int(SAMPLE / max(sample(net.execute, 1), sample(theirs, 1))))
        end = time.perf_counter() + seconds
        while len(times) < 5 or time.perf_counter() < end:
            times.append((sample(net.execute, n), sample(theirs, n)))
    ours, others = (statistics.median(t) for t in zip(*times))
    return ours, others, statistics.median(a / b for a, b in times), difference


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--only", default="", help="operators that begin with one of these, a,b,c")
    p.add_argument("--seconds", type=float, default=0.2, help="time of a case, at least (0.2)")
    p.add_argument("--out", default="build/bench-results", help="folder of operators.md")
    o = p.parse_args()
    wanted = tuple(w for w in o.only.split(",") if w)
    cases = [c for family in FAMILIES for c in family()]
    missing = {op["name"] for op in _core.ops()} - {c.operator for c in cases} - {*NOT_COMPUTED}
    print(f"operators without a case: {', '.join(sorted(missing)) or 'none'}\n")
    chosen = [c for c in cases if not wanted or c.operator.startswith(wanted)]
    if not chosen:
        p.error(f"no operator begins with {o.only}")
    torch.set_num_threads(2)
    rows = []
    with torch.inference_mode():
        for case in chosen:
            ours, theirs, ratio, difference = measure(case, o.seconds)
            name = f"{case.operator} {case.what}".strip()
            wrong = f"  results differ by {difference:.3f}" if not difference < WRONG else ""
            print(f"{name:72} {time_text(ours * 1e3):>10} {time_text(theirs * 1e3):>10} {ratio:6.2f}"
                  f"{wrong}", flush=True)
            rows.append((ratio, name, ours, theirs))
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    lines = ["| operator | aneforge | PyTorch | ours / PyTorch |", "|---|--:|--:|--:|"]
    lines += [f"| {name} | {time_text(a * 1e3)} | {time_text(b * 1e3)} | {ratio:.2f} |"
              for ratio, name, a, b in sorted(rows, reverse=True)]
    Path(out, "operators.md").write_text("\n".join(lines) + "\n")
    slower = [f"{name} {ratio:.2f}" for ratio, name, *_ in sorted(rows, reverse=True) if ratio > 1]
    print(f"\n{len(rows)} cases, median ratio {statistics.median(r[0] for r in rows):.2f}; slower "
          f"than PyTorch: {', '.join(slower) or 'none'}\nwritten: {out}/operators.md")


if __name__ == "__main__":
    main()
