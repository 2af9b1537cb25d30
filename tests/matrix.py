"""Run the lessons' code against the oldest, the pinned and the newest versions, on each Python.

    make matrix                                        every Python from 3.10 to 3.13 here
    python tests/matrix.py --python 3.11 --set newest  one cell of the table

Notebooks can stand among `--tests`: nbval runs them. `--resume` keeps the cells of the last table
that passed, and runs the others.

Each cell is a virtual environment of its own, made by uv in a temporary folder and removed again.
`oldest` holds the lower bounds of pyproject.toml, `pinned` is constraints.txt, `newest` what the
package index has today, and `colab` what a free Colab comes with, from tests/colab.txt. The table
is printed, and written to runs/matrix.md after each cell; the exit code is 1 when a cell failed.

On a machine without a GPU uv takes PyTorch's CPU build from PyTorch's own index; where that cannot
be reached, say `--uv ""` for the registry's build, some gigabytes with CUDA.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SHOWN = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes")
TOOLS = (
    "pytest>=8", "pytest-xdist", "hypothesis", "jupytext>=1.16", "nbformat>=5.10", "nbval>=0.11",
    "ipython",
)  # fmt: skip
ONE_FAMILY = ("-k", "not (another_profile and llama3)")  # each lesson once is enough here
NBVAL = ("--nbval-lax", "--nbval-sanitize-with=tests/nbval.cfg", "--nbval-cell-timeout=900")
FROM_PROJECT = ("-r", "pyproject.toml", "--extra", "ship")  # lesson 11 serves a model
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
    """Return the path of a Python that runs, or None.

    A shim of pyenv stands on the PATH and may still not run; pyenv's own folder is looked at too.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    on_path = shutil.which(f"python{version}")
    for python in [on_path, *pyenv.glob(f"versions/{version}.*/bin/python")]:
        if python is not None:
            asked = subprocess.run([python, "-c", ask], capture_output=True, text=True)
            got, _, path = asked.stdout.strip().partition(" ")
            if asked.returncode == 0 and got == version:
                return path
    return None


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
               "-W", "default", "-rfE", *NBVAL, *ONE_FAMILY, *tests]  # fmt: skip
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
    rows = [("Python", "versions", *SHOWN, "tests", "minutes")]
    rows.append(tuple("---" for _ in rows[0]))
    for made in cells:
        held = [made.versions.get(name, "") for name in SHOWN]
        rows.append((made.python, made.which, *held, made.result, f"{made.seconds / 60:.0f}"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    for made in cells:
        for failure in made.failures:
            lines.append(f"\n{made.python} {made.which}: {failure}")
    return "\n".join(lines) + "\n"


def write(cells: dict[tuple[str, str], Cell], out: Path) -> None:
    """Write the table, and beside it what `--resume` reads."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(table(list(cells.values())), encoding="utf-8")
    kept = json.dumps([asdict(made) for made in cells.values()], indent=1)
    out.with_suffix(".json").write_text(kept + "\n", encoding="utf-8")


def read(out: Path) -> dict[tuple[str, str], Cell]:
    """Return the cells of an earlier table."""
    kept = out.with_suffix(".json")
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    return {(made["python"], made["which"]): Cell(**made) for made in found}


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests against other versions.")
    parser.add_argument("--python", nargs="+", default=PYTHONS, choices=PYTHONS)
    parser.add_argument("--set", nargs="+", default=SETS, choices=SETS, dest="sets")
    parser.add_argument("--uv", default="--torch-backend auto", help="options of uv pip install")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files, folders and notebooks")
    parser.add_argument("--resume", action="store_true", help="keep the cells that passed")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "matrix.md")
    options = parser.parse_args()
    cells = read(options.out) if options.resume else {}
    with tempfile.TemporaryDirectory(prefix="matrix-") as place:
        for version in options.python:
            python = interpreter(version)
            for which in options.sets:
                key = (version, which)
                if which == "colab" and version != COLAB_PYTHON:
                    continue
                if key in cells and cells[key].good and cells[key].versions:
                    continue
                folder = Path(place, f"matrix-{version}-{which}")
                if python is None:
                    cells[key] = Cell(version, which, {}, ABSENT)
                else:
                    cells[key] = cell(python, folder, shlex.split(options.uv), options.tests)
                write(cells, options.out)
    print(table(list(cells.values())))
    return 0 if all(made.good for made in cells.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
