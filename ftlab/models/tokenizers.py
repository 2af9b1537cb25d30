"""Tokenizers, and a pad token that ends no turn."""

import logging
import re
from pathlib import Path
from typing import Any

from ftlab.errors import FtlabError, ModelError, first_line
from ftlab.models.folders import quiet, read_json

__all__ = ["load_tokenizer"]

log = logging.getLogger("ftlab")

FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
FREE_PADS = (
    "<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|vision_pad|>", "<|endoftext|>",
    "<unk>",
)  # fmt: skip
RESERVED = re.compile(r"<\|?(reserved_special_token|reserved|unused|extra_id)_?\d+\|?>")


def load_tokenizer(folder: Path, base: Path) -> Any:
    """Load the tokenizer beside the weights, or the base's if an adapter has none.

    Args:
        folder: of the model or adapter.
        base: of the adapter's base; for a model the same folder.

    Raises:
        ModelError: there is none, it cannot be read, or no token is free to pad with.
    """
    from transformers import AutoTokenizer

    places = [p for p in (folder, base) if any((p / file).exists() for file in FILES)]
    if not places:
        raise ModelError(
            f"{base} holds no tokenizer ({', '.join(FILES[:2])}). Save the base's "
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
    config = read_json(base / "config.json")
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
