"""What a call from Python costs above the program itself.

    PYTHONPATH=build-test/python python3 bench/bench_python.py

`execute` crosses into C and runs with no arguments or results; a call also lends the inputs and makes
the result.  Rounds of the two alternate, and the median of each is printed in microseconds.
"""
import statistics
import timeit

import numpy as np

import aneforge as af

ROUNDS, CALLS = 31, 20000


def main():
    net = af.compile(af.input((4,)) + 1)
    cases = {"execute": net.execute}
    for dtype in ("float16", "float32"):
        a = np.zeros(4, dtype)
        cases[f"call, {dtype}"] = lambda a=a: net(a)
    cases["np.empty alone"] = lambda: np.empty((4,), np.float32)
    times = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, f in cases.items():
            times[name].append(timeit.timeit(f, number=CALLS) / CALLS * 1e6)
    for name, t in times.items():
        print(f"{name:20} {statistics.median(t):6.2f} us")
    above = statistics.median(times["call, float16"]) - statistics.median(times["execute"])
    print(f"{'a call above execute':20} {above:6.2f} us")


if __name__ == "__main__":
    main()
