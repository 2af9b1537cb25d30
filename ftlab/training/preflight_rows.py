"""What a trainer will train on: token ids, labels and source of each example.

The labels are those of the trainer's own collator, whatever version or class it is.
"""

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftlab.errors import FtlabError
from ftlab.templates import end_of_turn_ids
from ftlab.training.config import kind_of

__all__ = ["IGNORED", "Example", "Inspection", "inspect", "planned_steps"]

IGNORED = -100  # torch's cross entropy skips this label; so do TRL's losses
BATCH = 16  # rows collated at once
RENDERED = 200  # rows whose prompt is rendered again, to compare: it takes a millisecond each


@dataclass(frozen=True)
class Example:
    """One example as the model will see it."""

    ids: list[int]
    """Its tokens, without padding."""
    labels: list[int]
    """What each position is trained on, `IGNORED` where nothing is; as long as `ids`."""
    text: str
    """The tokens as text, special ones included."""
    row: dict[str, Any]
    """The row of the dataset; empty where packing has thrown the source away."""
    messages: list[dict[str, Any]]
    """The conversation of that row; empty if it has none."""
    cut: bool = False
    """Whether `max_length` took its end (or its beginning)."""
    rendered: list[int] | None = None
    """The prompt as generation will write it, where the row has one of messages; of some rows."""

    @functools.cached_property
    def runs(self) -> list[tuple[int, int]]:
        """The supervised stretches, as (begin, end). Nothing predicts the first token."""
        marks = [False, *(label != IGNORED for label in self.labels[1:]), False]
        edges = [i for i in range(1, len(marks)) if marks[i] != marks[i - 1]]
        return list(zip(edges[::2], edges[1::2], strict=True))

    @property
    def supervised(self) -> int:
        """How many tokens carry loss."""
        return sum(end - begin for begin, end in self.runs)


@dataclass(frozen=True)
class Inspection:
    """A trainer, and the examples that were looked at."""

    trainer: Any
    kind: str
    """sft, dpo or grpo."""
    tokenizer: Any
    ends: frozenset[int]
    """The tokens that end a turn."""
    examples: list[Example]
    total: int | None
    """Rows to train on; None for a stream."""
    dropped: int
    """Rows that TRL left out because max_length masks all of their answer."""

    def learned(self, example: Example) -> str:
        """Return the supervised text of an example, its stretches joined by a newline."""
        parts = [self.tokenizer.decode(example.ids[begin:end]) for begin, end in example.runs]
        return "\n".join(parts)


def inspect(trainer: Any, limit: int) -> Inspection:
    """Return what `trainer` will train on: at most `limit` rows, evenly spaced over the dataset."""
    from datasets import IterableDataset

    kind = kind_of(trainer)
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    dataset, total, dropped = trainer.train_dataset, None, 0
    if isinstance(dataset, IterableDataset):
        rows = list(dataset.take(limit))
    else:
        total, dropped = len(dataset), _dropped(trainer)
        step = max(1, math.ceil(total / limit))
        rows = list(dataset.select(range(0, total, step)))
    try:
        ends = frozenset(end_of_turn_ids(tokenizer))
    except FtlabError:  # neither a template's end nor an eos
        ends = frozenset()
    if kind == "grpo":
        examples = [_prompt(trainer, tokenizer, row) for row in rows]
    else:
        examples = list(_trained(trainer, tokenizer, rows))
    return Inspection(trainer, kind, tokenizer, ends, examples, total, dropped)


def _dropped(trainer: Any) -> int:
    """Count the rows that TRL's last step, a filter, hides: the table below still has them.

    TRL filters only where max_length is set, and right after it has written a table of its own.
    """
    if getattr(trainer.args, "max_length", None) is None or getattr(trainer.args, "packing", False):
        return 0
    return len(trainer.train_dataset.data) - len(trainer.train_dataset)


def _prompt(trainer: Any, tokenizer: Any, row: dict[str, Any]) -> Example:
    """Return the prompt of a row of GRPO: its answers do not exist yet, so nothing is learned."""
    messages = row["prompt"] if isinstance(row["prompt"], list) else []
    if messages:
        row = {**row, "tools": getattr(trainer, "tools", None) or row.get("tools")}
        ids = _render(trainer, tokenizer, messages, row, add_generation_prompt=True)
    else:
        ids = list(tokenizer(row["prompt"])["input_ids"])
    return Example(ids, [IGNORED] * len(ids), tokenizer.decode(ids), row, messages)


def _trained(trainer: Any, tokenizer: Any, rows: list[dict[str, Any]]) -> Iterator[Example]:
    """Collate rows in batches, and split what comes back into examples (DPO's has two a row)."""
    size = 1 if getattr(trainer, "padding_free", False) else BATCH
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        columns = _columns(trainer, part[0])
        batch = trainer.data_collator([{k: row[k] for k in columns if k in row} for row in part])
        labels = batch.get("labels")
        if labels is None:  # DPO
            labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
        for i, ids in enumerate(batch["input_ids"]):
            own = labels[i]
            if "attention_mask" in batch:
                real = batch["attention_mask"][i].bool()
                ids, own = ids[real], own[real]
            number, answer = i % len(part), ("completion", "rejected")[i // len(part)]
            render = (start + number) % max(1, len(rows) // RENDERED) == 0
            yield from _examples(
                trainer, tokenizer, part[number], answer, ids.tolist(), own.tolist(), render
            )


def _examples(
    trainer: Any,
    tokenizer: Any,
    row: dict[str, Any],
    answer: str,
    ids: list[int],
    labels: list[int],
    render: bool,
) -> Iterator[Example]:
    """Return the examples of a collated row: one, or all those of a pack."""
    longest = getattr(trainer.args, "max_length", None)
    if row.get("seq_lengths") or getattr(trainer.args, "packing", False):
        # A pack keeps no source: an example of full length was probably longer. In a wrapped one
        # examples begin and end anywhere.
        at, lengths = 0, row.get("seq_lengths") or [len(ids)]
        for length in lengths:
            part, at = slice(at, at + length), at + length
            cut = length == longest or "seq_lengths" not in row
            yield Example(ids[part], labels[part], tokenizer.decode(ids[part]), {}, [], cut)
        return
    if "chosen_ids" in row and answer == "completion":
        answer = "chosen"
    messages = _conversation(row, answer)
    cut = False
    if longest is not None and len(ids) >= longest:
        cut = _full_length(trainer, tokenizer, row, messages, answer) > longest
    prompt = None
    if render and isinstance(row.get("prompt"), list) and not cut:
        prompt = _render(trainer, tokenizer, row["prompt"], row, add_generation_prompt=True)
    yield Example(ids, labels, tokenizer.decode(ids), row, messages, cut, prompt)


def _columns(trainer: Any, row: dict[str, Any]) -> list[str]:
    """Return the columns that reach the collator."""
    if not trainer.args.remove_unused_columns:
        return list(row)
    trainer._set_signature_columns_if_needed()  # what its dataloader calls before it drops columns
    return list(trainer._signature_columns)


def _conversation(row: dict[str, Any], answer: str) -> list[dict[str, Any]]:
    """Return the messages of a row: of `messages`, or of `prompt` and the named answer."""
    if isinstance(row.get("messages"), list):
        return list(row["messages"])
    parts = [row.get("prompt"), row.get(answer)]
    return [message for part in parts if isinstance(part, list) for message in part]


def _full_length(
    trainer: Any, tokenizer: Any, row: dict[str, Any], messages: list[dict[str, Any]], answer: str
) -> float:
    """Return how long a row is without max_length."""
    if f"{answer}_ids" in row:  # DPO cuts in the collator, and the columns are whole
        return len(row["prompt_ids"]) + len(row[f"{answer}_ids"])
    if messages:
        return len(_render(trainer, tokenizer, messages, row))
    text = row.get(getattr(trainer.args, "dataset_text_field", "text"))
    if isinstance(row.get("prompt"), str):
        text = row["prompt"] + row[answer]
    if isinstance(text, str):  # TRL has added eos to it
        return len(tokenizer(text)["input_ids"])
    return math.inf  # tokenised by others: nothing says how long it was


def _render(
    trainer: Any,
    tokenizer: Any,
    messages: list[dict[str, Any]],
    row: dict[str, Any],
    **settings: Any,
) -> list[int]:
    """Return the tokens of a conversation, rendered as the trainer renders it."""
    tools = row.get("tools")
    settings |= {
        "chat_template": getattr(trainer, "chat_template", None),
        "tools": (json.loads(tools) if isinstance(tools, str) else tools) or None,
        **(row.get("chat_template_kwargs") or {}),
    }
    rendered = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **settings)
    return list(rendered["input_ids"])


def planned_steps(trainer: Any) -> int | None:
    """Return how many optimiser steps `trainer.train()` will take; None for a stream."""
    args = trainer.args
    if args.max_steps > 0:
        return int(args.max_steps)
    try:
        rows = len(trainer.train_dataset)
    except TypeError:
        return None
    batch = args.train_batch_size * args.world_size
    if hasattr(args, "steps_per_generation"):  # GRPO: a row is repeated for each of its answers
        rows, batch = len(trainer._get_train_sampler()), batch * args.steps_per_generation
    batches = rows // batch if args.dataloader_drop_last else math.ceil(rows / batch)
    updates = max(1, math.ceil(batches / args.gradient_accumulation_steps))
    return math.ceil(args.num_train_epochs * updates)
