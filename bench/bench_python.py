"""What a call from Python costs above the same call in C.

    PYTHONPATH=build/python python3 bench/bench_python.py build/bench/bench_call

The model is input [4] + 1. Rounds of every kind alternate, the C program among them, and the median
of each is printed in microseconds. A call from Python lends its inputs, makes an array for the
result and releases the GIL; `execute` has neither inputs nor results.
"""
import statistics
import subprocess
import sys
import timeit

import numpy as np

import aneforge as af

ROUNDS, CALLS, C_SECONDS = 21, 10000, 0.3
C_KINDS = "anf_execute", "anf_run, float16", "anf_run, float32"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    net = af.compile(af.input((4,)) + 1)
    half, single = np.zeros(4, np.float16), np.zeros(4, np.float32)
    cases = {"execute()": net.execute, "net(a), float16": lambda: net(half),
             "net(a), float32": lambda: net(single),
             "np.empty alone": lambda: np.empty(4, np.float32)}
    times = {name: [] for name in [*C_KINDS, *cases]}
    for _ in range(ROUNDS):
        done = subprocess.run([sys.argv[1], str(C_SECONDS)], check=True, capture_output=True,
                              text=True)
        for name, ns in zip(C_KINDS, done.stdout.split(), strict=True):
            times[name].append(float(ns) / 1000)
        for name, call in cases.items():
            times[name].append(timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, us in medians.items():
        print(f"{name:20} {us:6.2f} us")
    for dtype in ("float16", "float32"):
        above = medians[f"net(a), {dtype}"] - medians[f"anf_run, {dtype}"]
        print(f"above C, {dtype:11} {above:6.2f} us")


if __name__ == "__main__":
    main()
