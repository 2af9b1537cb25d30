"""Base models: find one by shipped name, folder or hub id, check it, load it.

    ftlab-7m                      shipped: found beside the package, in a clone or installed
    runs/mine                     a folder: a model, or an adapter that names its base
    Qwen/Qwen2.5-0.5B-Instruct    a hub id: downloaded once, then taken from the cache

Only safetensors are read, for pickled weights can run code when opened; a model's own Python code
is not run unless `load` is asked to. Weights that are missing are an error here, not random
numbers.

>>> locate("no-such-model")
Traceback (most recent call last):
    ...
ftlab.errors.ModelError: Unknown model 'no-such-model'...
"""

import contextlib
import difflib
import json
import logging
import os
import re
import struct
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, FtlabError, ModelError, OfflineError, raise_unknown

__all__ = ["ModelCard", "front_matter", "load", "locate", "shipped", "tokenizer"]

log = logging.getLogger("ftlab")

DTYPES = ("float32", "bfloat16", "float16")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
HUB_SECONDS = 5.0  # to find out whether the hub answers; a download on its own retries for long
WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
UNWANTED = ["*/*", "consolidated*", "*.fp16.safetensors", "*.fp32.safetensors"]
FREE_PADS = (
    "<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|vision_pad|>", "<|endoftext|>",
    "<unk>",
)  # fmt: skip
RESERVED = re.compile(r"<\|?(reserved_special_token|reserved|unused|extra_id)_?\d+\|?>")


@dataclass(frozen=True)
class ModelCard:
    """What there is to know of a shipped model, read from its folder."""

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
    cards = {}
    for root in reversed(_roots()):
        for folder in sorted(root.glob("*/")) if root.is_dir() else []:
            try:
                cards[folder.name] = _card(folder)
            except ModelError as error:
                log.debug("%s is not listed: %s", folder, error)
    return sorted(cards.values(), key=lambda card: (-card.parameters, card.name))


def _roots() -> list[Path]:
    """Return where shipped models may lie: next to the package in a clone, in it in a wheel."""
    package = Path(__file__).resolve().parent
    return [root / "data" / "models" for root in (package.parent, package)]


def _card(folder: Path) -> ModelCard:
    config = _json(folder / "config.json")
    weights = _weights(folder)
    about = front_matter(folder / "README.md")
    return ModelCard(
        name=folder.name,
        parameters=sum(_parameters(file) for file in weights),
        context=int(config.get("max_position_embeddings") or 0),
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


# Finding.


def locate(name: str | os.PathLike[str]) -> Path | str:
    """Return the folder of a shipped name or of a path; a hub id is returned as it is.

    Args:
        name: a shipped name, a folder, or a hub id (owner/name). Nothing is downloaded.

    Raises:
        ModelError: it is none of these, or the folder holds no weights that can be trusted.
    """
    text = os.fspath(name)
    for root in _roots():
        if "/" not in text and text not in ("", ".", "..") and (root / text).is_dir():
            return _checked(root / text)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        return _checked(folder)
    if folder.is_file():
        raise ModelError(f"{text} is a file; the folder that holds the model is wanted.")
    if HUB_ID.fullmatch(text) and isinstance(name, str):
        return text
    if "/" in text or "\\" in text or isinstance(name, Path):
        raise ModelError(
            f"The folder {text} does not exist. Check the spelling and where you are "
            f"({Path.cwd()}); shipped models go by name alone: {_names()}."
        )
    near = difflib.get_close_matches(text, [card.name for card in shipped()], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ModelError(
        f"Unknown model {text!r}.{hint} Shipped: {_names()}. Any folder that holds a model will "
        "do too, and any hub id, written owner/name."
    )


def _names() -> str:
    return ", ".join(sorted(card.name for card in shipped())) or "none here"


def _checked(folder: Path) -> Path:
    """Return the folder if it holds a model, or an adapter, in safetensors."""
    if not (folder / "adapter_config.json").exists():
        _json(folder / "config.json")
    for file in _weights(folder):
        _parameters(file)
    return folder


def _json(file: Path) -> dict[str, Any]:
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


def _weights(folder: Path) -> list[Path]:
    """Return the safetensors files of a model or adapter."""
    stem = "adapter_model" if (folder / "adapter_config.json").exists() else "model"
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.exists():
        return [whole]
    if index.exists():
        shards = _json(index).get("weight_map", {})
        files = [folder / name for name in sorted(set(shards.values()))]
        gone = [file.name for file in files if not file.exists()]
        if gone or not files:
            raise ModelError(
                f"{folder} lacks {len(gone)} of {len(files)} files of weights "
                f"({', '.join(gone[:3])}). Download it again."
            )
        return files
    pickles = sorted(p.name for p in folder.glob("*") if p.suffix in PICKLES)
    if any("model" in pickle or pickle.endswith((".pt", ".pth")) for pickle in pickles):
        raise ModelError(
            f"{folder} holds only pickled weights ({', '.join(pickles[:3])}), which can run code "
            "when opened, so they are not read. Take a version in safetensors, or convert them "
            "where you trust them: model.save_pretrained(folder) writes safetensors."
        )
    raise ModelError(
        f"{folder} holds no weights: {whole.name} is wanted. Save the model there with "
        "model.save_pretrained(folder), or choose another folder."
    )


def _parameters(file: Path) -> int:
    """Count the numbers in a safetensors file from its header, and check that it is whole.

    The format: 8 bytes with the header's length, a JSON header of shapes and offsets, the data
    (https://huggingface.co/docs/safetensors).
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            if start == b"version ":
                raise ModelError(
                    f"{file} is a Git LFS pointer, not the weights. Fetch them: git lfs pull"
                )
            length = struct.unpack("<Q", start)[0]
            size = file.stat().st_size
            if length > size - 8:
                raise ValueError("it is cut short")
            header = json.loads(stream.read(length))
            tensors = [v for k, v in header.items() if k != "__metadata__"]
            if 8 + length + max((t["data_offsets"][1] for t in tensors), default=0) > size:
                raise ValueError("it is cut short")
            return sum(prod(t["shape"]) for t in tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(
            f"{file} is not a whole safetensors file ({error}). Download or save it again."
        ) from None


# The hub.


def _fetch(name: str, *, code: bool = False) -> Path:
    """Return the folder of a hub model, downloaded if it is not in the cache; its code if asked."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    wanted = [*WANTED, "*.py"] if code else WANTED
    patterns: dict[str, Any] = {"allow_patterns": wanted, "ignore_patterns": UNWANTED}
    try:
        found = HfApi().model_info(name, timeout=HUB_SECONDS)
    except Exception as problem:  # no network, a proxy, an offline switch, the hub's own answers
        try:
            return _checked(Path(snapshot_download(name, local_files_only=True, **patterns)))
        except (LocalEntryNotFoundError, ModelError):
            pass
        if isinstance(problem, GatedRepoError):
            raise ModelError(
                f"{name} is gated: accept its terms on https://huggingface.co/{name}, then run "
                f"`hf auth login`. Models that work now: {_names()}."
            ) from None
        if isinstance(problem, RepositoryNotFoundError):
            raise ModelError(
                f"The hub has no model {name}, or it is private, and there is no such folder "
                f"here. Check the spelling, or run `hf auth login`. Models that work now: "
                f"{_names()}."
            ) from None
        raise OfflineError(
            f"{name} is no folder here and not in the download cache, and the hub cannot be "
            f"reached ({_line(problem)}). Where there is a network, run `hf download {name}` "
            f"once, and it loads offline from then on. Models that work now: {_names()}."
        ) from None
    names = [file.rfilename for file in found.siblings or []]
    if not any(file.endswith(".safetensors") for file in names):
        kind = "only pickled weights" if any(f.endswith(PICKLES) for f in names) else "no weights"
        raise ModelError(
            f"{name} holds {kind} on the hub; safetensors are wanted, which cannot run code. "
            "Choose another model, or a conversion of this one."
        )
    try:
        return _checked(Path(snapshot_download(name, **patterns)))
    except ModelError:
        raise
    except GatedRepoError:
        raise ModelError(
            f"{name} is gated: accept its terms on https://huggingface.co/{name}, then run "
            "`hf auth login`."
        ) from None
    except Exception as problem:
        raise OfflineError(
            f"The download of {name} broke off ({_line(problem)}). Run it again: what has come "
            "is kept."
        ) from None


def _line(error: BaseException) -> str:
    """Return an error's first line, for a message of one paragraph."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# Loading.


def load(
    name: str | os.PathLike[str],
    *,
    device: str | None = None,
    dtype: Any = None,
    bits: int | None = None,
    trust_remote_code: bool | None = None,
) -> tuple[Any, Any]:
    """Load a causal LM and its tokenizer, ready to generate or to be trained.

    Args:
        name: a shipped name, a folder (a model, or an adapter that names its base), or a hub id.
        device: where it goes; by default what `ftlab.hardware.profile` says.
        dtype: of the weights: "float32", "bfloat16", "float16" or a torch.dtype. By default
            float32 as the profile says, for mixed precision casts by itself.
        bits: 4 holds the linear layers' weights in NF4, doubly quantised, as QLoRA does
            (Dettmers et al. 2023); bitsandbytes must run on the device.
        trust_remote_code: run the Python code that comes with the model, with all that you may
            do on this machine. Read it first. By default a model that cannot do without is
            refused; at a terminal you are asked.

    Returns:
        The model in eval mode (a PeftModel if `name` is an adapter) and the tokenizer.

    Raises:
        ModelError: it cannot be found, read or trusted.
        OfflineError: it is on the hub, which cannot be reached.
        ConfigError: there is no such device or dtype, or 4 bits do not work here.
    """
    import torch

    from ftlab.hardware import profile

    if isinstance(dtype, str) and dtype not in DTYPES:
        raise_unknown("dtype", dtype, DTYPES)
    folder, base = _folders(name, code=bool(trust_remote_code))
    if trust_remote_code is None and _allowed(base):
        trust_remote_code = True
        folder, base = _folders(name, code=True)
    code = bool(trust_remote_code)
    made = _tokenizer(folder, base, code=code)
    if dtype is None:
        dtype = profile().weights
    options: dict[str, Any] = {"dtype": getattr(torch, dtype) if isinstance(dtype, str) else dtype}
    if bits is not None:
        options |= _four_bit(bits, device or profile().device)
    model = _read(base, code=code, **options)
    if folder != base:
        model = _adapted(model, folder)
    model.config.pad_token_id = made.pad_token_id
    model.generation_config.pad_token_id = made.pad_token_id
    device = device or profile().device
    try:
        model = model if bits else model.to(device)  # bitsandbytes has put its own in place
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The model cannot go to device {device!r}: {_line(error)}. "
            "Take device='cpu', or a smaller model."
        ) from None
    return model.eval(), made


def tokenizer(name: str | os.PathLike[str]) -> Any:
    """Load the tokenizer alone.

    Raises:
        ModelError: it cannot be found or read, or no token is free to pad with.
        OfflineError: it is on the hub, which cannot be reached.
    """
    return _tokenizer(*_folders(name))


def _allowed(folder: Path) -> bool:
    """Ask at a terminal whether a model's own code may run, where nothing else can read it."""
    config = _json(folder / "config.json")
    if "auto_map" not in config or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from rich.console import Console
    from rich.prompt import Confirm
    from transformers import CONFIG_MAPPING

    if config.get("model_type") in CONFIG_MAPPING:
        return False
    return Confirm.ask(
        f"{folder} comes with Python code of its own, which would run with all that you may do on "
        "this machine. Have you read it, and shall it run?",
        default=False, console=Console(stderr=True),
    )  # fmt: skip


def _folders(name: str | os.PathLike[str], *, code: bool = False) -> tuple[Path, Path]:
    """Return the folder of the model or adapter, and that of its base (the same for a model)."""
    found = locate(name)
    folder = _fetch(found, code=code) if isinstance(found, str) else found
    if not (folder / "adapter_config.json").exists():
        return folder, folder
    wanted = _json(folder / "adapter_config.json").get("base_model_name_or_path") or ""
    # A shipped base was saved under its path on the machine that trained; go by its name here.
    last = re.split(r"[/\\]", str(wanted).rstrip("/\\"))[-1]
    here = Path(str(wanted)).is_dir() or not any((root / last).is_dir() for root in _roots())
    try:
        base = locate(str(wanted) if here or not last else last)
        base = _fetch(base, code=code) if isinstance(base, str) else base
    except ModelError as error:
        raise type(error)(
            f"{folder} is an adapter, and its base {str(wanted)!r} cannot be had. {error} The "
            "base is named by base_model_name_or_path in adapter_config.json."
        ) from None
    if (base / "adapter_config.json").exists():
        raise ModelError(
            f"{folder} is an adapter on {base}, itself an adapter. Merge that one into its base "
            "first: model.merge_and_unload().save_pretrained(folder)."
        )
    return folder, base


def _four_bit(bits: int, device: str) -> dict[str, Any]:
    """Return what transformers is to be told to load a model in 4 bits."""
    import torch
    from transformers import BitsAndBytesConfig

    from ftlab.hardware import four_bit_works, profile

    if bits != 4:
        raise ConfigError(f"bits={bits}: weights can be held in 4 bits, or as they are (None).")
    works, why = four_bit_works(device)
    if not works:
        raise ConfigError(f"4-bit weights do not work on {device}: {why}. Load without bits=4.")
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, profile().dtype),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _read(folder: Path, *, code: bool = False, **options: Any) -> Any:
    """Read the weights, all of them."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                **options,
                use_safetensors=True,
                trust_remote_code=code,
                local_files_only=True,
                output_loading_info=True,
            )
    except (
        OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError,
    ) as error:  # fmt: skip
        own = "auto_map" in _json(folder / "config.json") and not code
        files = ", ".join(sorted(file.name for file in folder.glob("*.py"))[:3])
        cure = (
            f"It comes with Python code of its own{f' ({files})' if files else ''}, which is not "
            "run unless you ask for it. Choose a model that transformers knows; or read the code, "
            "and if you trust it: models.load(name, trust_remote_code=True)."
            if own
            else "It may want another version of transformers, or not be a causal LM."
        )
        raise ModelError(f"{folder} cannot be loaded: {_line(error)} {cure}") from error
    model, info = loaded
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors (first "
            f"{missing[0]}), which would be random. Save or download it again."
        )
    return model


def _adapted(model: Any, folder: Path) -> Any:
    """Put an adapter on its base."""
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        with quiet():
            adapted = PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The adapter in {folder} does not fit its base: {_line(error)}"
        ) from error
    for config in adapted.peft_config.values():  # where the base lies here, when it is saved again
        config.base_model_name_or_path = model.name_or_path
    return adapted


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


# The tokenizer, and its pad token.


def _tokenizer(folder: Path, base: Path, *, code: bool = False) -> Any:
    """Load the tokenizer beside the weights, or the base's if an adapter has none."""
    from transformers import AutoTokenizer

    places = [p for p in (folder, base) if any((p / file).exists() for file in TOKENIZER_FILES)]
    if not places:
        raise ModelError(
            f"{base} holds no tokenizer ({', '.join(TOKENIZER_FILES[:2])}). Save the base's "
            "there with tokenizer.save_pretrained(folder)."
        )
    try:
        with quiet():
            made = AutoTokenizer.from_pretrained(
                places[0], trust_remote_code=code, local_files_only=True
            )
    except Exception as error:  # the tokenizers library raises Exception itself
        raise ModelError(
            f"The tokenizer in {places[0]} cannot be read: {_line(error)} Save it again."
        ) from error
    config = _json(base / "config.json")
    rows = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    return _with_pad(made, rows or len(made), places[0])


def _with_pad(made: Any, rows: int, folder: Path) -> Any:
    """Give the tokenizer a pad token that is no other's, within the model's `rows` of embeddings.

    Padding is masked; were it the token that ends a turn, that would be masked with it, and the
    tuned model would never stop.
    """
    from ftlab.templates import end_of_turn_ids

    if made.pad_token is not None and made.pad_token != made.eos_token:
        return made
    was = "none" if made.pad_token is None else f"{made.pad_token}, which is eos too"
    try:
        stops = set(end_of_turn_ids(made))
    except FtlabError:  # a template that writes no conversation has no end to protect
        stops = {made.eos_token_id}
    words = made.get_vocab()
    reserved = sorted((i, word) for word, i in words.items() if RESERVED.fullmatch(word))
    for word in (*FREE_PADS, *(word for _, word in reserved)):
        if word in words and words[word] not in stops and words[word] < rows:
            made.pad_token = word
            break
    else:
        if max(words.values()) + 1 >= rows:
            raise ModelError(
                f"The tokenizer in {folder} has no pad token of its own (it has {was}), and no "
                "token is free to take. Add one and make room for it: "
                "tokenizer.add_special_tokens({'pad_token': '<|pad|>'}); "
                "model.resize_token_embeddings(len(tokenizer)); save both and load that folder."
            )
        made.add_special_tokens({"pad_token": "<|pad|>"})
    log.warning("The pad token is now %s (it was %s).", made.pad_token, was)
    return made
