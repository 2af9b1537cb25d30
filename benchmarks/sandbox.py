"""What a sandboxed run costs over a bare `python -I`, and how many of them a machine does.

    python benchmarks/sandbox.py [--runs 30]

Alternates, in one run: an empty program by `python -I -c`, and by each level of the sandbox; prints
the median of each and the difference. Then 200 small test modules, as many
at a time as there are processors.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from ftlab import sandbox

MODULE = """
import unittest
from target import double


class TestDouble(unittest.TestCase):
    def test_value(self):
        self.assertEqual(double({n}), {twice})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    levels = [name for name in sandbox.LEVELS if name not in sandbox.reasons()]
    seconds: dict[str, list[float]] = {"python -I": [], **{name: [] for name in levels}}
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        seconds["python -I"].append(time.perf_counter() - start)
        for name in levels:
            start = time.perf_counter()
            assert sandbox.run("pass", level=name, allow_weak=True).ok
            seconds[name].append(time.perf_counter() - start)
    bare = statistics.median(seconds["python -I"])
    print(f"{runs} runs each, alternating; milliseconds")
    for name, values in seconds.items():
        middle = statistics.median(values)
        extra = "" if name == "python -I" else f"  {1e3 * (middle - bare):+6.1f} over python -I"
        print(f"  {name:<12} median {1e3 * middle:6.1f}  max {1e3 * max(values):6.1f}{extra}")
    programs = [
        {
            "code": MODULE.format(n=n, twice=2 * n + (n % 10 == 0)),
            "modules": {"target": "def double(x):\n    return 2 * x\n"},
        }
        for n in range(200)
    ]
    start = time.perf_counter()
    run = lambda program: sandbox.run(**program, tests=True, allow_weak=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(run, programs))
    took = time.perf_counter() - start
    right = sum(r.outcome == ("failed" if n % 10 == 0 else "ok") for n, r in enumerate(results))
    print(f"200 test modules: {took:.1f} s, {took * 5:.0f} ms each; {right} verdicts right")


if __name__ == "__main__":
    main()
