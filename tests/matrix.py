"""Run the lessons' code against the oldest, the pinned and the newest versions, on each Python.

    make matrix                                        every Python from 3.10 to 3.13 on the PATH
    python tests/matrix.py --python 3.11 --set newest  one cell of the table

Each cell is a virtual environment of its own, made by uv in a temporary folder and removed again.
`oldest` holds the lower bounds of pyproject.toml, `pinned` is constraints.txt, `newest` what the
package index has today, and `colab` what a free Colab comes with, from tests/colab.txt. The table
is printed and written to runs/matrix.md; the exit code is 1 when a cell failed.

On a machine without a GPU uv takes PyTorch's CPU build from PyTorch's own index; where that cannot
be reached, say `--uv ""` for the registry's build, some gigabytes with CUDA.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SHOWN = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes")
TOOLS = ("pytest>=8", "pytest-xdist", "hypothesis", "jupytext>=1.16", "nbformat>=5.10", "ipython")
FROM_PROJECT = ("-r", "pyproject.toml")
SETS = {
    "oldest": ("--resolution", "lowest-direct"),
    "pinned": ("-c", "constraints.txt"),
    "newest": ("--upgrade",),
    "colab": ("-c", "tests/colab.txt"),
}
COLAB_PYTHON = "3.12"
TESTS = (
    "tests/training", "tests/test_templates.py",
    "tests/teaching/test_quizzes.py", "tests/notebooks/test_profiles.py",
)  # fmt: skip
MINUTES = 30
ABSENT = "not on this machine"


@dataclass(frozen=True)
class Cell:
    """What became of one set of versions on one Python."""

    python: str
    which: str
    versions: dict[str, str]
    result: str
    seconds: float = 0.0
    failures: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        failed = re.search(r"failed|error", self.result)
        return self.result == ABSENT or ("passed" in self.result and not failed)


def interpreter(version: str) -> str | None:
    """Return the path of a Python that runs, or None; a shim of pyenv may be there and not run."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    asked = subprocess.run([found, "-c", ask], capture_output=True, text=True)
    got, _, path = asked.stdout.strip().partition(" ")
    return path if asked.returncode == 0 and got == version else None


def uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def install(python: str, folder: Path, which: str, options: list[str]) -> str:
    """Make the environment; return what went wrong, or nothing."""
    into = ("pip", "install", "--quiet", "--python", folder, *options)
    limits = () if which == "oldest" else SETS[which]
    steps = [
        ("venv", "--quiet", "--python", python, folder),
        (*into, *FROM_PROJECT, *SETS[which]),
        (*into, *TOOLS, *limits),  # apart: the oldest pytest is not what is asked for
    ]
    for step in steps:
        done = uv(*step)
        if done.returncode:
            return done.stderr.strip()
    return ""


def versions(folder: Path) -> dict[str, str]:
    frozen = uv("pip", "freeze", "--quiet", "--python", folder).stdout
    pairs = re.findall(r"^([\w.-]+)==(\S+)$", frozen, flags=re.M)
    return {name.lower(): version for name, version in pairs}


def check(folder: Path, tests: list[str]) -> tuple[str, tuple[str, ...]]:
    """Run the tests; return their count and the failed ones.

    Warnings are no errors here: another version may warn of what the pinned one does not.
    """
    command = [folder / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short",
               "-W", "default", "-rfE", *tests]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "VIRTUAL_ENV": str(folder)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60 * MINUTES
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {MINUTES} minutes", ()
    (ROOT / "runs").mkdir(exist_ok=True)
    (ROOT / "runs" / f"{folder.name}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    found = re.findall(r"^(?:FAILED|ERROR) (.+)$", done.stdout, flags=re.M)
    last = (done.stdout.strip().splitlines() or ["nothing was run"])[-1]
    counts = re.findall(r"\d+ (?:passed|failed|error|skipped)", last)
    return ", ".join(counts) or last, tuple(found)


def cell(python: str, folder: Path, options: list[str], tests: list[str]) -> Cell:
    """Make one environment, run the tests in it, and remove it."""
    version, which = folder.name.split("-")[1:]
    begun = time.monotonic()
    print(f"{version} {which}: installing", flush=True)
    try:
        problem = install(python, folder, which, options)
        if problem:
            return Cell(version, which, {}, "cannot be installed", failures=(problem,))
        held = versions(folder)
        print(f"{version} {which}: testing, after {time.monotonic() - begun:.0f} s", flush=True)
        begun = time.monotonic()
        result, failures = check(folder, tests)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{version} {which}: {result}", flush=True)
    return Cell(version, which, held, result, time.monotonic() - begun, failures)


def table(cells: list[Cell]) -> str:
    rows = [("Python", "versions", *SHOWN, "tests", "seconds")]
    rows.append(tuple("---" for _ in rows[0]))
    for made in cells:
        held = [made.versions.get(name, "") for name in SHOWN]
        rows.append((made.python, made.which, *held, made.result, f"{made.seconds:.0f}"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    for made in cells:
        for failure in made.failures:
            lines.append(f"\n{made.python} {made.which}: {failure}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests against other versions.")
    parser.add_argument("--python", nargs="+", default=PYTHONS, choices=PYTHONS)
    parser.add_argument("--set", nargs="+", default=SETS, choices=SETS, dest="sets")
    parser.add_argument("--uv", default="--torch-backend auto", help="options of uv pip install")
    parser.add_argument("--tests", nargs="+", default=TESTS)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "matrix.md")
    options = parser.parse_args()
    cells = []
    with tempfile.TemporaryDirectory(prefix="matrix-") as place:
        for version in options.python:
            python = interpreter(version)
            if python is None:
                cells.append(Cell(version, "any", {}, ABSENT))
                continue
            for which in options.sets:
                if which != "colab" or version == COLAB_PYTHON:
                    folder = Path(place, f"matrix-{version}-{which}")
                    cells.append(cell(python, folder, shlex.split(options.uv), options.tests))
    text = table(cells)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(made.good for made in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
