"""What do the asserts of MBPP notice? A reference figure for the kill rate of generated tests.

    python experiments/mbpp_reference.py sanitized-mbpp.json

The file is the sanitised split of MBPP (Austin et al., Program Synthesis with Large Language
Models, 2021; CC BY 4.0), from google-research/google-research, folder mbpp. Each problem's asserts,
mostly three, become one unittest module, which is judged by mutants of the problem's function, as a
generated module is. The functions print, loop and import as they please; all runs in the sandbox.
"""

import argparse
import ast
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ftlab.evaluation.mutation import Graded, figures, grade, show


def tests_of(problem: dict[str, Any]) -> tuple[str, str]:
    """Return the function that a problem's asserts call first, and the asserts as a module."""
    asserts = [ast.parse(line).body[0] for line in problem["test_list"]]
    defined = {n.name for n in ast.parse(problem["code"]).body if isinstance(n, ast.FunctionDef)}
    called = [n.id for n in ast.walk(asserts[0]) if isinstance(n, ast.Name) and n.id in defined]
    lines = []
    for node in asserts:
        test = node.test  # type: ignore[attr-defined]
        if isinstance(test, ast.Compare) and [type(op) for op in test.ops] == [ast.Eq]:
            left, right = ast.unparse(test.left), ast.unparse(test.comparators[0])
            lines.append(f"self.assertEqual({left}, {right})")
        else:
            lines.append(f"self.assertTrue({ast.unparse(test)})")
    head = "\n".join(["import unittest", *problem["test_imports"]])
    body = "".join(f"        {line}\n" for line in lines)
    module = (
        f"{head}\n\nfrom target import {called[0]}\n\n\n"
        f"class TestIt(unittest.TestCase):\n    def test_it(self):\n{body}"
    )
    return called[0], module


def judge(problem: dict[str, Any]) -> Graded:
    """Judge one problem's asserts."""
    function, module = tests_of(problem)
    asserts = "\n".join(problem["test_list"])
    return grade(module, problem["code"] + "\n", reference=asserts, function=function)


def main() -> None:
    """Judge all of them and print the funnel."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--show", type=int, default=3, help="modules whose survivors to show")
    parser.add_argument("--first", type=int, default=None, help="judge only so many")
    parser.add_argument("--workers", type=int, default=None)
    wanted = parser.parse_args()
    problems = json.loads(wanted.file.read_text(encoding="utf-8"))[: wanted.first]
    start, graded = time.monotonic(), []
    with ThreadPoolExecutor(wanted.workers) as pool:
        for done, one in enumerate(pool.map(judge, problems), start=1):
            graded.append(one)
            if done % 50 == 0:
                left = (time.monotonic() - start) / done * (len(problems) - done)
                print(f"{done} of {len(problems)}, {left:.0f} s left", flush=True)
    print(*(f"{name}: {share}" for name, share in figures(graded).items()), sep="\n")
    print(f"{time.monotonic() - start:.0f} s")
    for problem, one in zip(problems, graded, strict=True):
        if not one.passes:
            print(f"task {problem['task_id']}: {one.why}")
    dull = [one for one in graded if one.passes and one.survivors]
    for one in dull[: wanted.show]:
        print(f"\n{one.target}{show(one)}")


if __name__ == "__main__":
    main()
