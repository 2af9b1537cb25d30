"""The checks of `preflight` on rows: what carries loss, ends, padding, lengths, leaks, templates.

Each takes an `Inspection` and returns a row of the table, or None where it does not apply. The
texts of all faults are in `data/preflight.yaml`.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ftlab.files import read_data
from ftlab.training.preflight_rows import IGNORED, Example, Inspection

__all__ = ["Check", "Finding", "fault", "ok", "row_checks"]

MANY = 0.5  # a fault in more than this share of the rows is an error, below it a warning
EMPTY_THOUGHT = re.compile(r"<think>\s*</think>")
LEARNED_EMPTY = re.compile(r"(?:\A|<think>)\s*</think>")  # a template may open it in the prompt


class Finding(NamedTuple):
    """One row of the table."""

    what: str
    status: str
    """ok, warning or error."""
    found: str
    cure: str = ""


Check = Callable[[Inspection], Finding | None]


def ok(what: str, found: str) -> Finding:
    """Return the row of what is as it should be."""
    return Finding(what, "ok", found)


def fault(name: str, /, **words: Any) -> Finding:
    """Return the row of a fault by its name in `data/preflight.yaml`; `words` fill in its texts."""
    row = read_data("preflight.yaml")[name]
    return Finding(**{key: text.format(**words) for key, text in row.items()})


def fault_of(
    name: str, items: Iterable[Any], has: Callable[[Any], Any], /, **words: Any
) -> Finding | None:
    """Return the row of a fault with the number of items that have it; None if none has.

    A status of "share" becomes an error or a warning by their share.
    """
    bad = [bool(has(item)) for item in items]
    if not any(bad):
        return None
    what, status, found, cure = fault(name, **words)
    if status == "share":
        status = "error" if sum(bad) > MANY * len(bad) else "warning"
    return Finding(what, status, f"{sum(bad):,} of {len(bad):,} rows {found}", cure)


def data(seen: Inspection) -> Finding:
    """Count rows, tokens, supervised tokens and steps."""
    examples = seen.examples
    tokens = sum(len(e.ids) for e in examples)
    learned = sum(end - begin for e in examples for begin, end in e.runs)
    rows = "a stream of rows" if seen.total is None else f"{seen.total:,} rows"
    if seen.total is None or seen.total > len(examples):
        rows += f", {len(examples):,} looked at"
    parts, steps = [rows, f"{tokens:,} tokens"], seen.steps()
    if seen.kind != "grpo":
        parts.append(f"{learned:,} of them supervised ({learned / max(tokens, 1):.0%})")
    parts.append(f"longest {max((len(e.ids) for e in examples), default=0):,}")
    parts.append("steps unknown" if steps is None else f"{steps:,} steps")
    return ok("data", ", ".join(parts))


def loss(seen: Inspection) -> Finding | None:
    """Find rows of which nothing, or only the end of the turn, is learned."""
    empty = lambda example: not seen.end.sub("", "".join(example.learned)).strip()
    return (
        fault_of("no_loss", seen.examples, lambda example: not example.runs)
        or fault_of("only_the_end", seen.examples, empty)
        or ok("loss", "every row has tokens that carry loss")
    )


def prompt(seen: Inspection) -> Finding | None:
    """Find loss on what is not the model's to write, and prompts that generation writes anew."""
    again = [(e.ids, e.rendered) for e in seen.examples if e.rendered is not None]
    columns = {**seen.examples[0].row, "text": ""}
    form: str = next(name for name in ("messages", "completion", "text") if name in columns)
    if getattr(seen.trainer.args, "assistant_only_loss", False):
        form = "tokens"
    return (
        fault_of("another_prompt", again, lambda pair: pair[0][: len(pair[1])] != pair[1])
        or fault_of(f"{form}_learned", seen.examples, functools.partial(_prompt_learned, seen))
        or ok("prompt", "no loss on prompts")
    )


def _prompt_learned(seen: Inspection, example: Example) -> bool:
    """Say whether loss begins at the row's first tokens, or goes on behind the end of a turn."""
    opens = example.messages[0]["role"] if example.messages else "assistant"
    if opens != "assistant" and example.runs and example.runs[0][0] <= 2:
        return True
    for (begin, _), text in zip(example.runs, example.learned, strict=True):
        end = seen.end.search(text)
        if end is None or (begin == 1 and end.start() == 0):  # of an empty first turn
            continue
        if text[end.end() :].strip():
            return True
    return False


def end_of_turn(seen: Inspection) -> Finding | None:
    """Find answers whose end carries no loss, so that the model never learns to stop."""
    whole = [e.learned[-1].rstrip() for e in seen.examples if e.runs and not e.cut]
    names = " or ".join(seen.end_names) or "no token at all"
    runs_on = lambda text: not text.endswith(seen.end_names)
    found = fault_of("end_not_learned", whole, runs_on, names=names)
    return found or ok("end of turn", f"{names} carries loss")


def pad(seen: Inspection) -> Finding | None:
    """Find a pad token that also ends turns."""
    token, name = seen.tokenizer.pad_token_id, seen.tokenizer.pad_token
    if token is None:
        return fault("no_pad")
    if token not in seen.ends:
        return ok("pad token", f"{name} is not the end of a turn")
    masked = seen.kind != "grpo" and any(
        pair == (token, IGNORED)
        for e in seen.examples
        for pair in zip(e.ids[-2:], e.labels[-2:], strict=True)
    )
    return fault("pad_masks_the_end" if masked else "pad_is_the_end", name=name)


def bos(seen: Inspection) -> Finding | None:
    """Find rows that begin with BOS twice."""
    token, name = seen.tokenizer.bos_token_id, seen.tokenizer.bos_token
    if token is None:
        return ok("BOS", "the tokenizer has none")
    twice = lambda example: example.ids[:2] == [token, token]
    return fault_of("bos_twice", seen.examples, twice, name=name) or ok("BOS", "at most once a row")


def max_length(seen: Inspection) -> Finding | None:
    """Count what max_length cuts, and the rows that TRL leaves out for it."""
    if seen.packing and seen.trainer.args.packing_strategy == "wrapped":
        return None  # `packing` says that any example may be cut
    of, cut = len(seen.examples), sum(e.cut for e in seen.examples)
    parts = []
    if cut:
        sure = "fill max_length, and were probably" if seen.packing else "are"
        parts.append(f"{cut:,} of {of:,} rows {sure} cut at {seen.max_length:,} tokens")
    if seen.dropped:
        parts.append(f"TRL left out {seen.dropped:,} whose prompt alone is longer")
    if not parts:
        return ok("max_length", f"{seen.max_length or 'None'}: nothing is cut")
    most = cut + seen.dropped > MANY * (of + seen.dropped)
    return fault("most_cut" if most else "some_cut", found="; ".join(parts))


def template(seen: Inspection) -> Finding | None:
    """See what assistant_only_loss works with: the tokenizer's template, or TRL's twin of it."""
    if not getattr(seen.trainer.args, "assistant_only_loss", False):
        return None
    twin = getattr(seen.trainer, "chat_template", None)
    if twin is None:  # TRL refuses a template without markers that it has no twin of
        return ok("template", "it marks the assistant's turns")
    if messages := next((e.messages for e in seen.examples if e.messages), None):  # none in packs
        render = functools.partial(seen.tokenizer.apply_chat_template, messages, tokenize=False)
        if render() != render(chat_template=twin):
            return fault("another_template")
    return ok("template", "TRL trains with a twin of it that marks assistant turns")


def dropped(kind: str, seen: Inspection) -> Finding | None:
    """Find what of one kind a template drops: system messages, tools, other messages, …"""
    whole = [e for e in seen.examples if not e.cut and e.messages]
    if found := fault_of(f"{kind}_dropped", whole, lambda example: kind in example.lost):
        return found
    has = {
        "system": lambda e: e.messages[0]["role"] == "system",
        "tools": lambda e: e.row.get("tools"),
    }
    if kind in has and any(map(has[kind], whole)):
        return ok(kind, "in the tokens of every row that has them")
    return None


def empty_thoughts(seen: Inspection) -> Finding | None:
    """Find empty reasoning that is learned."""

    def learned(example: Example) -> bool:
        text = "\n".join(example.learned)
        # The whole text is decoded only where it can matter.
        return bool(LEARNED_EMPTY.search(text) and EMPTY_THOUGHT.search(example.text))

    return fault_of("empty_thoughts", seen.examples, learned)


def weight(seen: Inspection) -> Finding | None:
    """Find answers of weight 0 that are learned all the same: TRL knows no weights."""

    def learned(example: Example) -> bool:
        zero = [m.get("content") for m in example.messages if m.get("weight") == 0]
        texts = [content.strip() for content in zero if isinstance(content, str)]
        return any(text and text in "\n".join(example.learned) for text in texts)

    return fault_of("weight_ignored", seen.examples, learned)


def held_out(seen: Inspection) -> Finding | None:
    """Find rows of the evaluation that are also trained on."""
    evaluation = seen.trainer.eval_dataset
    if evaluation is None:
        return None
    parts = evaluation.values() if isinstance(evaluation, dict) else [evaluation]
    held = [key for part in parts for key in _keys(part)]
    both = set(held).intersection(_keys(seen.trainer.train_dataset))
    found = fault_of("leak", held, lambda key: key in both)
    return found or ok("evaluation", f"none of {len(held):,} rows is trained on")


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


def row_checks(kind: str) -> list[Check]:
    """Return the checks for a kind of trainer, in the table's order; GRPO has no answers yet."""
    answers: list[Check] = [] if kind == "grpo" else [loss, prompt, end_of_turn]
    kinds = ("system", "tools", "messages", "names", "thoughts")
    lost = [functools.partial(dropped, one) for one in kinds]
    return [data, *answers, pad, bos, max_length, template, *lost, empty_thoughts, weight, held_out]
