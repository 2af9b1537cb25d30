"""Examine a tokenizer's chat template, and each record as the model will see it.

    max_length 64     record of 80 tokens     truncated: the token that ends the turn is cut off

The tokens and the mask are those of `ftlab.templates.encode`, which training uses.

>>> class Tokenizer:
...     chat_template, pad_token, eos_token = None, "</s>", "</s>"
>>> sorted(faults(Tokenizer()))
['no_template', 'pad_is_eos']
"""

import re
from collections import Counter
from typing import Any

from ftlab import data
from ftlab.curation.findings import CHECKS, Notes, counted
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.rendering import HELLO, PROBE
from ftlab.templates import (
    Encoded,
    dropped,
    empty_thought,
    encode,
    end_of_turn_ids,
    opens_thought,
    prompt_text,
    removes_thoughts,
    tokenizer_problems,
)

UNLIMITED = 1_000_000  # tokenizers without a limit say a far larger number


def faults(tokenizer: Any) -> dict[str, str]:
    """Return the checks that a tokenizer fails by itself, each with what is particular."""
    found = {name: why for name, why in tokenizer_problems(tokenizer).items() if name in CHECKS}
    if tokenizer.eos_token is None:  # then an answer ends with the template's end alone
        found.pop("end_is_not_eos", None)
    if "no_template" not in found:
        found |= {"opens_thought": ""} if opens_thought(tokenizer) else {}
        found |= {"removes_thoughts": ""} if removes_thoughts(tokenizer) else {}
    return found


def _takes_system(tokenizer: Any) -> bool:
    """Return whether a system message is in the prompt, and stays when the answer follows."""
    asked = ({"role": "system", "content": PROBE}, HELLO)
    try:
        encode(tokenizer, data.example(asked, "hi"))
        return PROBE in prompt_text(tokenizer, asked)
    except DataError:
        return False


class TemplateChecks:
    """Count tokens of every record, and put down those that training would get wrong."""

    def __init__(self, tokenizer: Any, max_length: int | None = None) -> None:
        """Examine the tokenizer.

        Args:
            tokenizer: a fast tokenizer.
            max_length: most tokens in an example; by default the tokenizer's own limit.

        Raises:
            ConfigError: `max_length` is below 1.
        """
        if max_length is not None and max_length < 1:
            raise ConfigError(f"max_length must be at least 1, got {max_length}.")
        limit = getattr(tokenizer, "model_max_length", None) or UNLIMITED
        self.max_length = max_length or (limit if limit < UNLIMITED else None)
        self.tokenizer = tokenizer
        self.faults = faults(tokenizer)
        self._renders = "no_template" not in self.faults
        self._system = self._renders and _takes_system(tokenizer)
        try:
            self._ends = set(end_of_turn_ids(tokenizer))
        except ModelError:
            self._ends = set()
        special = {str(t) for t in tokenizer.get_added_vocab()} | set(
            getattr(tokenizer, "all_special_tokens", [])
        )
        # Names of two characters and less, or of letters alone, are words too.
        marked = sorted(t for t in special if len(t) > 2 and not t.isalnum())
        self._special = re.compile("|".join(map(re.escape, marked)) or r"(?!)")
        self._thinks = self._renders and "<think>" in str(tokenizer.chat_template)
        self._lost: Counter[str] = Counter()
        self._tokens = self._supervised = self._answerless = self._cut = 0

    def see(self, line: int, record: data.Row, notes: Notes) -> None:
        """Examine one record."""
        turns = data.conversation(record)
        for turn in turns:
            if match := self._special.search(turn["content"]):
                notes.add("special_tokens_in_text", line, f"For example {match.group()}.")
                break
        if not self._renders:
            return
        if turns[0]["role"] == "system" and not self._system:
            notes.add("system_unsupported", line)
            side = "messages" if record.get("messages") else "prompt"
            record = {**record, side: record[side][1:]}
        try:
            encoded = encode(self.tokenizer, record)
        except DataError as error:
            notes.add("template_refuses", line, f"For example: {error}")
            return
        self._count(line, encoded, notes)
        if self._thinks:
            asked = (turn["content"] for turn in turns if turn["role"] != "assistant")
            if any("<think>" in text or "</think>" in text for text in asked):
                notes.add("thought_marks", line)
            if empty_thought(self.tokenizer, record):
                notes.add("empty_thought", line)
        if data.rare(record) and (lost := dropped(self.tokenizer, record)):
            notes.add("template_drops", line)
            self._lost.update(lost)

    def _count(self, line: int, encoded: Encoded, notes: Notes) -> None:
        ids, mask = encoded.input_ids, encoded.loss_mask
        last = [token for token, m, after in zip(ids, mask, [*mask[1:], 0]) if m > after]  # noqa: B905
        if any(token not in self._ends for token in last):
            notes.add("end_token_missing", line)
        if self.max_length is not None and len(ids) > self.max_length:
            length = len(ids)
            ids, mask = ids[: self.max_length], mask[: self.max_length]
            self._cut += 1
            self._answerless += not any(mask)
            notes.add("truncated", line, f"Line {line} has {length} of {self.max_length} tokens.")
        if not any(mask):
            notes.add("no_supervised_tokens", line)
        self._tokens += len(ids)
        self._supervised += sum(mask)

    def finish(self, notes: Notes) -> dict[str, Any]:
        """Return counts of tokens, the share that carries loss, and what truncation costs."""
        for check, detail in self.faults.items():
            notes.add(check, None, detail)
        if self._lost:
            notes.tell("template_drops", counted(self._lost))
        share = f"{self._supervised / self._tokens:.1%}" if self._tokens else "none"
        cut = {"lose_end_token": self._cut, "lose_answer": self._answerless} if self._cut else {}
        return {"tokens": self._tokens, "supervised": share, **cut}
