"""The checks of `preflight` on conversations: what a template drops or adds, and leaks."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ftlab.training.preflight_checks import Check, Finding, faulty
from ftlab.training.preflight_rows import Example, Inspection

__all__ = ["TEMPLATE_CHECKS"]

NAMES = {"system": "a system message", "tools": "tools", "messages": "messages"}
EMPTY_THOUGHT = re.compile(r"<think>\s*</think>")
LEARNED_EMPTY = re.compile(r"(?:\A|<think>)\s*</think>")  # a template may open it in the prompt


def dropped_messages(seen: Inspection) -> Iterator[Finding]:
    """Find system messages, tools and other messages that a template drops."""
    lost: dict[str, set[int]] = {"system": set(), "tools": set(), "messages": set()}
    whole = [e for e in seen.examples if not e.cut and e.messages]
    for number, example in enumerate(whole):
        text = _squeezed(example.text)
        for kind, piece in _pieces(example):
            if _squeezed(piece) not in text and not _is_written(seen, piece, text):
                lost[kind].add(number)
    cures = {
        "system": "Put the system text at the start of the first user message.",
        "tools": "Take a template that writes tools (trl.chat_template_utils.supports_tool_calling "
        "tells), or describe the tools in the prompt.",
        "messages": "Look at one row as text (`ftlab show`); shorten the conversation, or set "
        "another tokenizer.chat_template.",
    }
    of = len(whole)
    for kind, rows in lost.items():
        has = any(kind == k for e in whole for k, _ in _pieces(e))
        if rows:
            found = f"have {NAMES[kind]} that the template drops"
            yield faulty(kind, len(rows), of, found, cures[kind], fatal=kind != "system")
        elif has and kind != "messages":
            yield Finding(kind, "ok", "in the tokens of every row that has them")


def _pieces(example: Example) -> Iterator[tuple[str, str]]:
    """Return (kind, text) of all that must be readable in the tokens of a row."""
    tools = example.row.get("tools") or []
    for tool in json.loads(tools) if isinstance(tools, str) else tools:
        if isinstance(tool, dict):
            yield "tools", str((tool.get("function") or tool).get("name", ""))
    for message in example.messages:
        kind = {"system": "system", "tool": "tools"}.get(message["role"], "messages")
        content = message.get("content") or ""
        parts = [p.get("text") or "" for p in content] if isinstance(content, list) else [content]
        for part in parts:
            yield kind, part.rpartition("</think>")[2]  # reasoning has a check of its own
        for call in message.get("tool_calls") or []:
            yield "tools", str((call.get("function") or call).get("name", ""))


def _squeezed(text: str) -> str:
    return "".join(text.split())  # templates strip and add white space


def _is_written(seen: Inspection, piece: str, text: str) -> bool:
    """Look again for what a tokenizer does not give back letter by letter."""
    ids = seen.tokenizer(piece.strip(), add_special_tokens=False)["input_ids"]
    return _squeezed(seen.tokenizer.decode(ids)) in text


def unlearned_weight(seen: Inspection) -> Finding | None:
    """Find answers of weight 0 that are learned all the same: TRL knows no weights."""
    bad = 0
    for example in seen.examples:
        zero = [m["content"] for m in example.messages if m.get("weight") == 0]
        bad += any(_squeezed(text) in _squeezed(seen.learned(example)) for text in zero)
    if not bad:
        return None
    cure = "Split the row, so that what must not be learned stands in `prompt`."
    found = "learn an answer of weight 0, which TRL does not know"
    return faulty("weight", bad, len(seen.examples), found, cure, fatal=False)


def thinking(seen: Inspection) -> Finding | None:
    """Find empty reasoning that is learned, and reasoning that the template drops."""
    empty = sum(
        bool(EMPTY_THOUGHT.search(e.text) and LEARNED_EMPTY.search(seen.learned(e)))
        for e in seen.examples
    )
    of = len(seen.examples)
    if empty:
        cure = (
            'Give each row "chat_template_kwargs": {"enable_thinking": False} and generate with '
            "the same, so that the empty block belongs to the prompt; or write reasoning."
        )
        found = "learn an empty <think></think>: the model unlearns to reason"
        return faulty("thinking", empty, of, found, cure, fatal=False)
    gone = sum(
        _squeezed(thought) not in _squeezed(e.text)
        for e in seen.examples
        if not e.cut
        for thought in _thoughts(e)
    )
    if gone:
        found = f"the template drops {gone:,} pieces of reasoning"
        cure = "Templates keep it in the last answer only: make a row of each answer."
        return Finding("thinking", "warning", found, cure)
    return None


def _thoughts(example: Example) -> Iterator[str]:
    for message in example.messages:
        content = message.get("content")
        if isinstance(content, str) and "</think>" in content:
            yield content.rpartition("</think>")[0].replace("<think>", "")
        yield message.get("reasoning_content") or ""


def template(seen: Inspection) -> Finding | None:
    """See what assistant_only_loss works with: the tokenizer's template, or TRL's twin of it."""
    trainer, tokenizer = seen.trainer, seen.tokenizer
    if not getattr(trainer.args, "assistant_only_loss", False):
        return None
    twin = getattr(trainer, "chat_template", None)
    if twin is None:  # TRL refuses a template without markers that it has no twin of
        return Finding("template", "ok", "it marks the assistant's turns")
    messages = next((e.messages for e in seen.examples if e.messages), None)
    if messages is not None:
        own = tokenizer.apply_chat_template(messages, tokenize=False)
        other = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=twin)
        if own != other:
            found = "TRL trains with its own twin of the template, which writes other text"
            cure = "Generate with the same: tokenizer.chat_template = trainer.chat_template."
            return Finding("template", "warning", found, cure)
    return Finding("template", "ok", "TRL trains with a twin of it that marks assistant turns")


def held_out(seen: Inspection) -> Finding | None:
    """Find rows of the evaluation that are also trained on."""
    evaluation = seen.trainer.eval_dataset
    if evaluation is None:
        return None
    parts = evaluation.values() if isinstance(evaluation, dict) else [evaluation]
    held = [key for part in parts for key in _keys(part)]
    wanted = set(held)
    both = wanted.intersection(_keys(seen.trainer.train_dataset))
    bad = sum(key in both for key in held)
    if not bad:
        return Finding("evaluation", "ok", f"none of {len(held):,} rows is trained on")
    cure = "Split by groups before training, so that no row is on both sides (`ftlab split`)."
    found = "of the evaluation are also trained on: its loss says nothing of new text"
    return faulty("evaluation", bad, len(held), found, cure)


def _keys(dataset: Any) -> Iterator[Any]:
    """Return what names each example: its tokens; for DPO and GRPO its prompt."""
    from datasets import IterableDataset

    if isinstance(dataset, IterableDataset):  # to read a stream would use it up
        return
    columns = dataset.column_names
    if "input_ids" not in columns:
        column = "prompt_ids" if "prompt_ids" in columns else "prompt"
        yield from (json.dumps(value, sort_keys=True) for value in dataset[column])
        return
    lengths = dataset["seq_lengths"] if "seq_lengths" in columns else None
    for number, ids in enumerate(dataset["input_ids"]):
        at = 0
        for length in [len(ids)] if lengths is None else lengths[number]:
            yield tuple(ids[at : at + length])
            at += length


TEMPLATE_CHECKS: tuple[Check, ...] = (
    template, dropped_messages, thinking, unlearned_weight, held_out,
)  # fmt: skip
