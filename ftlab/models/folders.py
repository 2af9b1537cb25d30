"""Folders that hold a model or an adapter: where they lie, what is in them, whether it is whole.

Only safetensors are read, for pickled weights can run code when opened.
"""

import contextlib
import json
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError
from ftlab.hardware import cache_folder

__all__ = [
    "ModelCard", "cached", "checked", "downloads", "front_matter", "parameters", "quiet",
    "read_json", "roots", "shipped", "weights",
]  # fmt: skip

log = logging.getLogger("ftlab")

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class ModelCard:
    """What there is to know of a model on this machine, read from its folder."""

    name: str
    parameters: int
    context: int
    """Most tokens in prompt and answer together."""
    licence: str
    bytes: int
    path: Path
    description: str


def shipped() -> list[ModelCard]:
    """Return the models that come with ftlab, the largest first."""
    return _cards({f.name: f for root in reversed(roots()) for f in sorted(root.glob("*/"))})


def cached() -> list[ModelCard]:
    """Return the models that were fetched to this machine, the largest first.

    These are the folders of `downloads()` by their names, and the models in the hub's download
    cache by their hub ids.
    """
    from huggingface_hub import constants

    folders = {folder.name: folder for folder in sorted(downloads().glob("[!.]*/"))}
    for snapshot in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/")):
        owner_and_name = snapshot.parents[1].name.removeprefix("models--")
        folders[owner_and_name.replace("--", "/", 1)] = snapshot
    return _cards(folders)


def roots() -> list[Path]:
    """Return where shipped models may lie: next to the package in a clone, in it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    return [root / "data" / "models" for root in (package.parent, package)]


def downloads() -> Path:
    """Return the folder of the models that ftlab fetched; it need not exist."""
    return cache_folder() / "models"


def _cards(folders: dict[str, Path]) -> list[ModelCard]:
    """Return the cards of the folders that hold a model, the largest first."""
    cards = []
    for name, folder in folders.items():
        try:
            cards.append(_card(name, folder))
        except ModelError as error:
            log.debug("%s is not listed: %s", folder, error)
    return sorted(cards, key=lambda card: (-card.parameters, card.name))


def _card(name: str, folder: Path) -> ModelCard:
    config = read_json(folder / "config.json")
    about = front_matter(folder / "README.md")
    text_part = config.get("text_config") or {}  # of a model that also reads images
    return ModelCard(
        name=name,
        parameters=sum(parameters(file) for file in weights(folder)),
        context=int(
            text_part.get("max_position_embeddings") or config.get("max_position_embeddings") or 0
        ),
        licence=about.get("license", "unknown"),
        bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        path=folder,
        description=about.get("description", ""),
    )


def front_matter(readme: Path) -> dict[str, str]:
    """Return the plain `key: value` lines between the first two `---` of a model card."""
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    block = re.match(r"---\r?\n(.*?)\n---", text, flags=re.S)
    pairs = re.findall(r"^(\w+):[ \t]+(.+?)\s*$", block[1], flags=re.M) if block else []
    return {key: value.strip("\"'") for key, value in pairs}


def checked(folder: Path) -> Path:
    """Return the folder if it holds a model, or an adapter, in safetensors.

    Raises:
        ModelError: it does not, or a file of weights is cut short.
    """
    if not (folder / "adapter_config.json").exists():
        read_json(folder / "config.json")
    for file in weights(folder):
        parameters(file)
    return folder


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a model's folder.

    Raises:
        ModelError: the file is missing, or holds something else.
    """
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{file.parent} holds no {file.name}, so it is not a model's folder. A folder that "
            "save_pretrained wrote is wanted."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Download or save it again.") from None
    if not isinstance(held, dict):
        raise ModelError(f"{file} must hold a JSON object, got {type(held).__name__}.")
    return held


def weights(folder: Path) -> list[Path]:
    """Return the safetensors files of a model or adapter.

    Raises:
        ModelError: there are none, or not all that the index names.
    """
    stem = "adapter_model" if (folder / "adapter_config.json").exists() else "model"
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.exists():
        return [whole]
    if index.exists():
        files = [
            folder / name for name in sorted({*read_json(index).get("weight_map", {}).values()})
        ]
        gone = [file.name for file in files if not file.exists()]
        if gone or not files:
            raise ModelError(
                f"{folder} lacks {len(gone)} of {len(files)} files of weights "
                f"({', '.join(gone[:3])}). Download it again."
            )
        return files
    pickles = sorted(file.name for file in folder.glob("*model*") if file.suffix in PICKLES)
    if pickles:
        raise ModelError(
            f"{folder} holds only pickled weights ({', '.join(pickles[:3])}), which can run code "
            "when opened, so they are not read. Take a version in safetensors, or convert them "
            "where you trust them: model.save_pretrained(folder) writes safetensors."
        )
    raise ModelError(
        f"{folder} holds no weights: {whole.name} is wanted. Save the model there with "
        "model.save_pretrained(folder), or choose another folder."
    )


def parameters(file: Path) -> int:
    """Count the numbers in a safetensors file from its header, and check that it is whole.

    Raises:
        ModelError: it is cut short, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{file} is cut short, or no safetensors file ({error}). Download or save it again; in "
            "a clone with Git LFS: git lfs pull."
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Load or save without progress bars and reports on stderr; what matters is raised."""
    from transformers.utils import logging as theirs

    bars, level = theirs.is_progress_bar_enabled(), theirs.get_verbosity()
    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    try:
        with warnings.catch_warnings():  # peft asks by a name that is going away
            warnings.filterwarnings(
                "ignore", message=".*gradient_checkpointing", category=FutureWarning
            )
            yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()
