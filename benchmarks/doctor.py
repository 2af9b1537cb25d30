"""The doctor's speed, memory and growth; and its search for near copies against all pairs.

    python benchmarks/doctor.py [--records 100000] [--pairs 2000] [--seed 0]

The records have 60 words in input and output together; every fiftieth is a near copy of an earlier
one, with a word changed. The file is made first, and then examined as `ftlab doctor` does without
a model, in a process of its own, so that its greatest memory is its own. Target: 100,000 records
in 30 s, and at most 11 times the time of 10,000.

All pairs: the exact Jaccard index of the same sets of word pairs, each text with each other one.
"""

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ftlab.curation.near_duplicates import THRESHOLD, NearIndex, jaccard, pairs_of_words

WORDS = 60
COPIES = 50  # one near copy in so many records

CHILD = """
import json, sys, time
from ftlab.curation.doctor import examine
begun = time.perf_counter()
report = examine(sys.argv[1])
seconds, cpu = time.perf_counter() - begun, time.process_time()
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**20 if sys.platform == "darwin" else 2**10
except ImportError:
    peak = float("nan")
found = {finding.check: finding.count for finding in report.findings}
print(json.dumps({"seconds": seconds, "cpu": cpu, "mib": peak, "found": found}))
"""


def texts(n: int, seed: int):
    """Yield texts of 40 words drawn by Zipf's law from 20,000; some are near copies."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(vocabulary))))
    last: list[str] = []
    for number in range(n):
        if number % COPIES == COPIES - 1:
            words = list(last)
            words[rng.randrange(5, 35)] = "changed"
        else:
            words = last = rng.choices(vocabulary, cum_weights=weights, k=40)
        yield " ".join(words)


def write(path: Path, n: int, seed: int) -> int:
    """Write n records of 60 words; return how many are near copies."""
    answers = texts(n, seed + 1)
    with path.open("w", encoding="utf-8") as stream:
        for text, answer in zip(texts(n, seed), answers, strict=True):
            row = {"prompt": text, "completion": " ".join(answer.split()[:20])}
            stream.write(json.dumps(row) + "\n")
    return n // COPIES


def examine(path: Path) -> dict:
    """Run the doctor in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def against_all_pairs(n: int, seed: int) -> None:
    """Compare the near-duplicate search with the exact comparison of each with each."""
    held = list(texts(n, seed))
    begun = time.perf_counter()
    index = NearIndex()
    for text in held:
        index.add(text)
    quick = {later for _, later in index.pairs().tolist()}
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    sets = [pairs_of_words(text) for text in held]
    exact = {
        j for (_, a), (j, b) in itertools.combinations(enumerate(sets), 2)
        if jaccard(a, b) >= THRESHOLD
    }  # fmt: skip
    naive = time.perf_counter() - begun
    print(
        f"near copies among {n:,} texts: {seconds:.2f} s, all pairs {naive:.2f} s "
        f"({naive / seconds:.0f} times); found {len(quick & exact)} of {len(exact)}, "
        f"{len(quick - exact)} too many"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=2_000, help="texts for all pairs; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    took = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (options.records // 10, options.records):
            path = Path(folder) / f"{n}.jsonl"
            planted = write(path, n, options.seed)
            result = examine(path)
            took[n] = result["cpu"]
            print(
                f"{n:>9,} records: {result['seconds']:6.2f} s ({result['cpu']:.2f} s of one core), "
                f"{result['seconds'] / n * 1e6:.0f} µs each, {result['mib']:.0f} MiB, "
                f"{path.stat().st_size / 1e6:.0f} MB read; {planted} near copies planted; "
                f"found {result['found']}"
            )
    small, large = took
    print(f"ten times the records take {took[large] / took[small]:.1f} times the work")
    if options.pairs:
        against_all_pairs(options.pairs, options.seed)


if __name__ == "__main__":
    main()
