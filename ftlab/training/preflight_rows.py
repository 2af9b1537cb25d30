"""What a trainer will train on: token ids, labels and source of each example.

The labels are those of the trainer's own collator, whatever version or class it is.
"""

import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ftlab.data import Row
from ftlab.rendering import Talk, missing
from ftlab.templates import end_of_turn_ids
from ftlab.training.config import kind_of

__all__ = ["IGNORED", "Example", "Inspection"]

IGNORED = -100  # torch's cross entropy skips this label; so do TRL's losses
BATCH = 16  # rows collated at once
LOST = {"tool": "tools", "system": "system", "thoughts": "thoughts", "a name": "names"}
"""Words in what `rendering.missing` names, and the kind that it is of; all else is a message."""
RENDERED = 200  # rows whose prompt is rendered again, to compare: it takes a millisecond each


@dataclass(frozen=True)
class Example:
    """One example as the model will see it."""

    ids: list[int]
    """Its tokens, without padding."""
    labels: list[int]
    """What each position is trained on, `IGNORED` where nothing is; as long as `ids`."""
    decode: Callable[[list[int]], str]
    """The tokenizer's own, which keeps special tokens."""
    row: Row
    """The row of the dataset; empty where packing has thrown the source away."""
    messages: list[Row]
    """The conversation of that row; empty if it has none."""
    cut: bool = False
    """Whether `max_length` took its end (or its beginning)."""
    lost: frozenset[str] = frozenset()
    """Which of the row's system, tools, thoughts, names and messages its tokens lack."""
    rendered: list[int] | None = None
    """The prompt as generation will write it, where the row has one of messages; of some rows."""

    @functools.cached_property
    def runs(self) -> list[tuple[int, int]]:
        """The supervised stretches, as (begin, end). Nothing predicts the first token."""
        marks = [False, *(label != IGNORED for label in self.labels[1:]), False]
        edges = [i for i in range(1, len(marks)) if marks[i] != marks[i - 1]]
        return list(zip(edges[::2], edges[1::2], strict=True))

    @functools.cached_property
    def text(self) -> str:
        """The tokens as text, special ones included."""
        return self.decode(self.ids)

    @functools.cached_property
    def learned(self) -> list[str]:
        """The text of each supervised stretch."""
        return [self.decode(self.ids[begin:end]) for begin, end in self.runs]


class Inspection:
    """A trainer, and the examples that were looked at: at most `limit`, evenly spaced.

    Attributes:
        kind: sft, dpo or grpo.
        ends: the tokens that end a turn; `end_names` are their texts, and `end` finds one.
        examples: what was looked at; of DPO both answers to a row.
        total: rows to train on; None for a stream.
        dropped: rows that TRL left out because `max_length` masks all of their answer.
    """

    def __init__(self, trainer: Any, limit: int):
        from datasets import IterableDataset

        self.trainer, self.kind = trainer, kind_of(trainer)
        self.tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
        self.ends = sorted(end_of_turn_ids(self.tokenizer, required=False))
        self.end_names = tuple(filter(None, map(self.tokenizer.decode, self.ends)))
        self.end = re.compile("|".join(map(re.escape, self.end_names)) or "(?!)")
        self.max_length: int | None = getattr(trainer.args, "max_length", None)
        self.packing = getattr(trainer.args, "packing", False)
        self.total: int | None = None
        self.dropped = 0
        dataset = trainer.train_dataset
        if isinstance(dataset, IterableDataset):
            rows = list(dataset.take(limit))
        else:
            self.total = len(dataset)
            if self.max_length is not None and not self.packing:
                # TRL has just written a table, and hides rows of it by a filter: its last step.
                self.dropped = len(dataset.data) - len(dataset)
            rows = list(dataset.select(range(0, self.total, math.ceil(self.total / limit) or 1)))
        read = self._prompts if self.kind == "grpo" else self._trained
        self.examples = list(read(rows))

    def steps(self) -> int | None:
        """Return how many optimiser steps the trainer will take; None for a stream."""
        args = self.trainer.args
        if args.max_steps > 0:
            return int(args.max_steps)
        if self.total is None:
            return None
        batches = len(self.trainer.get_train_dataloader())
        updates = max(1, math.ceil(batches / args.gradient_accumulation_steps))
        return math.ceil(args.num_train_epochs * updates)

    def _prompts(self, rows: list[Row]) -> Iterator[Example]:
        """Read the prompts of GRPO: the answers do not exist yet, so nothing is learned."""
        for row in rows:
            messages = row["prompt"] if isinstance(row["prompt"], list) else []
            if messages:
                row = {**row, "tools": getattr(self.trainer, "tools", None) or row.get("tools")}
                ids = self.render(messages, row, add_generation_prompt=True)
            else:
                ids = list(self.tokenizer(row["prompt"])["input_ids"])
            labels, lost = [IGNORED] * len(ids), self._lost(ids, messages, row)
            yield Example(ids, labels, self.tokenizer.decode, row, messages, lost=lost)

    def _trained(self, rows: list[Row]) -> Iterator[Example]:
        """Collate rows in batches, and split what comes back into examples."""
        trainer = self.trainer
        collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
        size = 1 if getattr(trainer, "padding_free", False) else BATCH
        answers = ("chosen", "rejected") if self.kind == "dpo" else ("completion",)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            batch = collate([dict(row) for row in part])
            labels = batch.get("labels")
            if labels is None:  # DPO, where the rejected answers follow all the chosen ones
                labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
            for i, ids in enumerate(batch["input_ids"]):
                own = labels[i]
                if "attention_mask" in batch:
                    real = batch["attention_mask"][i].bool()
                    ids, own = ids[real], own[real]
                which, number = divmod(i, len(part))
                again = (start + number) % max(1, len(rows) // RENDERED) == 0
                row, tokens, marks = part[number], ids.tolist(), own.tolist()
                if self.packing or row.get("seq_lengths"):
                    yield from self._unpacked(row, tokens, marks)
                else:
                    yield self._example(row, answers[which], tokens, marks, again)

    def _unpacked(self, row: Row, ids: list[int], labels: list[int]) -> Iterator[Example]:
        """Split a pack, which keeps no source: an example of full length was probably longer."""
        at = 0
        for length in row.get("seq_lengths") or [len(ids)]:
            part, at = slice(at, at + length), at + length
            # In a wrapped pack examples begin and end anywhere.
            cut = length == self.max_length or "seq_lengths" not in row
            yield Example(ids[part], labels[part], self.tokenizer.decode, {}, [], cut)

    def _example(
        self, row: Row, answer: str, ids: list[int], labels: list[int], again: bool
    ) -> Example:
        """Return a row as an example, with its prompt rendered `again`."""
        if isinstance(row.get("messages"), list):
            messages = list(row["messages"])
        else:
            parts = (row.get("prompt"), row.get(answer))
            messages = [message for part in parts if isinstance(part, list) for message in part]
        cut, rendered = False, None
        if self.max_length is not None and len(ids) >= self.max_length:
            cut = self._full_length(row, messages, answer) > self.max_length
        if again and isinstance(row.get("prompt"), list) and not cut:
            rendered = self.render(row["prompt"], row, add_generation_prompt=True)
        lost = self._lost(ids, messages, row)
        return Example(ids, labels, self.tokenizer.decode, row, messages, cut, lost, rendered)

    def _lost(self, ids: list[int], messages: list[Row], row: Row) -> frozenset[str]:
        """Return the kinds of what the tokens of a row lack."""
        said = Talk(messages, [], None, row.get("tools"), {})
        lost = missing(said, self.tokenizer.decode(ids)) if messages else []
        if lost:  # a tokenizer may give letters back otherwise: the template's own text decides
            lost = missing(said, self.render(messages, row, tokenize=False))
        return frozenset(
            next((kind for word, kind in LOST.items() if word in one), "messages") for one in lost
        )

    def _full_length(self, row: Row, messages: list[Row], answer: str) -> float:
        """Return how long a row is without `max_length`."""
        if f"{answer}_ids" in row:  # DPO cuts in the collator, and the columns are whole
            return len(row["prompt_ids"]) + len(row[f"{answer}_ids"])
        if messages:
            return len(self.render(messages, row))
        text = row.get(getattr(self.trainer.args, "dataset_text_field", "text"))
        if isinstance(row.get("prompt"), str):
            text = row["prompt"] + row[answer]
        if isinstance(text, str):  # TRL has added eos to it
            return len(self.tokenizer(text)["input_ids"])
        return math.inf  # tokenised by others: nothing says how long it was

    def render(
        self, messages: list[Row], row: Row, *, tokenize: bool = True,
        **settings: Any,
    ) -> Any:  # fmt: skip
        """Return a conversation as the trainer renders it: its tokens, or its text."""
        tools = row.get("tools")
        settings |= {
            "chat_template": getattr(self.trainer, "chat_template", None),
            "tools": (json.loads(tools) if isinstance(tools, str) else tools) or None,
            **(row.get("chat_template_kwargs") or {}),
        }
        made = self.tokenizer.apply_chat_template(
            messages, tokenize=tokenize, return_dict=tokenize, **settings
        )
        return list(made["input_ids"]) if tokenize else made
