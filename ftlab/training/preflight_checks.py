"""The checks of `preflight` on tokens and labels: what carries loss, ends, padding, lengths.

Each takes an `Inspection` and returns one `Finding`, or None where it does not apply.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ftlab.training.preflight_rows import IGNORED, Example, Inspection, planned_steps

__all__ = ["LOSS_CHECKS", "MANY", "Check", "Finding", "faulty"]

MANY = 0.5  # a fault in more than this share of the rows is an error, below it a warning


class Finding(NamedTuple):
    """One row of the table."""

    what: str
    status: str
    """ok, warning or error."""
    found: str
    cure: str = ""


def faulty(what: str, bad: int, of: int, found: str, cure: str, *, fatal: bool = True) -> Finding:
    """Return an error or a warning, by the share of rows that have the fault."""
    status = "error" if fatal and bad > MANY * of else "warning"
    return Finding(what, status, f"{bad:,} of {of:,} rows {found}", cure)


def data(seen: Inspection) -> Finding:
    """Count rows, tokens, supervised tokens and steps."""
    examples = seen.examples
    tokens = sum(len(e.ids) for e in examples)
    learned = sum(e.supervised for e in examples)
    rows = "a stream of rows" if seen.total is None else f"{seen.total:,} rows"
    if seen.total is None or seen.total > len(examples):
        rows += f", {len(examples):,} looked at"
    steps = planned_steps(seen.trainer)
    parts = [rows, f"{tokens:,} tokens"]
    if seen.kind != "grpo":
        parts.append(f"{learned:,} of them supervised ({learned / max(tokens, 1):.0%})")
    parts.append(f"longest {max((len(e.ids) for e in examples), default=0):,}")
    parts.append("steps unknown" if steps is None else f"{steps:,} steps")
    return Finding("data", "ok", ", ".join(parts))


def loss(seen: Inspection) -> Finding | None:
    """Find rows of which nothing, or only the end of the turn, is learned."""
    if seen.kind == "grpo":
        return None
    nothing = sum(not e.supervised for e in seen.examples)
    little = sum(_is_empty(seen, e) for e in seen.examples)
    cure = (
        "Look at one row: is the answer in `completion` (or in an assistant message), is it empty, "
        "and do its labels differ from -100?"
    )
    of = len(seen.examples)
    if nothing:
        return faulty("loss", nothing, of, "carry no loss: nothing of them is learned", cure)
    if little:
        return faulty("loss", little, of, "learn nothing but the end of the turn", cure)
    return Finding("loss", "ok", "every row has tokens that carry loss")


def _is_empty(seen: Inspection, example: Example) -> bool:
    """Say whether all that carries loss is white space and the token that ends the turn."""
    if example.supervised > 4:
        return False
    tokens = [t for begin, end in example.runs for t in example.ids[begin:end]]
    return _is_blank(seen, [t for t in tokens if t not in seen.ends])


def _is_blank(seen: Inspection, tokens: list[int]) -> bool:
    """Say whether tokens are white space alone; long runs are not looked at."""
    return len(tokens) <= 4 and not seen.tokenizer.decode(tokens).strip()


def prompt(seen: Inspection) -> Finding | None:
    """Find loss on what is not the model's to write, and prompts that generation writes anew."""
    if seen.kind == "grpo":
        return None
    again = [(e.ids, e.rendered) for e in seen.examples if e.rendered is not None]
    rewritten = sum(ids[: len(prompt)] != prompt for ids, prompt in again)
    if rewritten:
        found = "train on another prompt than generation will write: the template changes it"
        cure = (
            "Templates do so that move a system message or drop reasoning: leave that out of "
            "`prompt`, or set a simpler tokenizer.chat_template."
        )
        return faulty("prompt", rewritten, len(again), found, cure, fatal=False)
    bad = sum(_prompt_learned(seen, e) for e in seen.examples)
    if not bad:
        return Finding("prompt", "ok", "no loss on prompts")
    columns = seen.examples[0].row
    if getattr(seen.trainer.args, "assistant_only_loss", False):
        cure = "Leave input_ids out: TRL finds the answers only in rows that it tokenises itself."
    elif "messages" in columns:
        cure = "Set assistant_only_loss=True, or make rows of prompt and completion."
    elif "completion" in columns:
        cure = "Leave completion_only_loss at None (or True), and the collator to TRL."
    else:
        cure = "Make rows of prompt and completion, or of messages with assistant_only_loss=True."
    found = "learn their prompt too: the model also learns to write questions"
    return faulty("prompt", bad, len(seen.examples), found, cure, fatal=False)


def _prompt_learned(seen: Inspection, example: Example) -> bool:
    """Say whether loss begins at the row's first tokens, or goes on behind the end of a turn."""
    opens = example.messages[0]["role"] if example.messages else "assistant"
    if opens != "assistant" and example.runs and example.runs[0][0] <= 2:
        return True
    for begin, end in example.runs:
        at = next((i for i in range(begin, end) if example.ids[i] in seen.ends), end)
        if at == begin == 1:  # the end of an empty first turn
            continue
        if not _is_blank(seen, example.ids[at + 1 : end]):
            return True
    return False


def end_of_turn(seen: Inspection) -> Finding | None:
    """Find answers whose end carries no loss, so that the model never learns to stop."""
    if seen.kind == "grpo":
        return None
    whole = [e for e in seen.examples if e.runs and not e.cut]
    bad = sum(not _stops(seen, e) for e in whole)
    names = (
        " or ".join(seen.tokenizer.convert_ids_to_tokens(sorted(seen.ends))) or "no token at all"
    )
    if bad:
        cure = (
            f"An answer must end with {names}, inside the loss: put it within the template's "
            "{% generation %} markers, keep pad and eos apart, and leave the collator to TRL."
        )
        found = "do not learn the end of the turn: the tuned model will not stop"
        return faulty("end of turn", bad, len(whole), found, cure)
    return Finding("end of turn", "ok", f"{names} carries loss")


def _stops(seen: Inspection, example: Example) -> bool:
    """Say whether the last supervised token, but for white space behind it, ends the turn."""
    begin, end = example.runs[-1]
    for token in reversed(example.ids[begin:end]):
        if token in seen.ends:
            return True
        if not _is_blank(seen, [token]):
            return False
    return False


def pad(seen: Inspection) -> Finding | None:
    """Find a pad token that also ends turns."""
    token = seen.tokenizer.pad_token_id
    if token is None:
        cure = "Set tokenizer.pad_token to a token that no answer contains."
        return Finding("pad token", "error", "there is none", cure)
    name = seen.tokenizer.pad_token
    if token not in seen.ends:
        return Finding("pad token", "ok", f"{name} is not the end of a turn")
    masked = any(
        a == token and b == IGNORED
        for e in seen.examples
        for a, b in zip(e.ids[-2:], e.labels[-2:], strict=True)
    )
    cure = "Set tokenizer.pad_token to another special token before the trainer is made."
    if masked and seen.kind != "grpo":
        found = f"{name} also ends the turn, and is masked in the labels: it is never learned"
        return Finding("pad token", "error", found, cure)
    found = f"{name} also ends the turn. The labels here keep it; other collators mask every pad"
    return Finding("pad token", "warning", found, cure)


def bos(seen: Inspection) -> Finding | None:
    """Find rows that begin with BOS twice."""
    token = seen.tokenizer.bos_token_id
    bad = sum(token is not None and e.ids[:2] == [token, token] for e in seen.examples)
    if bad:
        cure = (
            "The template writes it and the tokenizer adds another. Pass messages instead of "
            "rendered text, or tokenise that with add_special_tokens=False."
        )
        name = seen.tokenizer.bos_token
        return faulty("BOS", bad, len(seen.examples), f"begin with {name} twice", cure)
    name = seen.tokenizer.bos_token
    return Finding("BOS", "ok", "at most once a row" if name else "the tokenizer has none")


def max_length(seen: Inspection) -> Finding | None:
    """Count what max_length cuts, and the rows that TRL leaves out for it."""
    longest = getattr(seen.trainer.args, "max_length", None)
    packed = getattr(seen.trainer.args, "packing", False)
    if packed and seen.trainer.args.packing_strategy == "wrapped":
        return None  # `packing` says that any example may be cut
    cut = sum(e.cut for e in seen.examples)
    cure = "Raise max_length or set it to None; or shorten these rows."
    parts = []
    if cut:
        sure = "fill max_length, and were probably" if packed else "are"
        parts.append(f"{cut:,} of {len(seen.examples):,} rows {sure} cut at {longest:,} tokens")
    if seen.dropped:
        parts.append(f"TRL left out {seen.dropped:,} whose prompt alone is longer")
    if not parts:
        return Finding("max_length", "ok", f"{longest or 'None'}: nothing is cut")
    lost = cut + seen.dropped > MANY * (len(seen.examples) + seen.dropped)
    return Finding("max_length", "error" if lost else "warning", "; ".join(parts), cure)


Check = Callable[[Inspection], "Finding | Iterator[Finding] | None"]
LOSS_CHECKS: tuple[Check, ...] = (data, loss, prompt, end_of_turn, pad, bos, max_length)
