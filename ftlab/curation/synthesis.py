"""Synthesis: prompts to a teacher, its answers cleaned, judged and kept, until there are enough.

    request --teacher--> raw answer --cache--> cleaned --judge--> train.jsonl
                                                            \\---> train.rejected.jsonl

The inputs come from the task's own generator, and the task judges each answer by its own score:
code is run in the sandbox, JSON is compared field by field. `train.answers.jsonl` keeps every
answer as it came. A run that was killed goes on where it was when the same call is made again.
"""

import difflib
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab import data, tasks
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.curation.cleaning import clean
from ftlab.endpoint import Answer, NoAnswer, Teacher
from ftlab.errors import ConfigError, DataError
from ftlab.files import read_text, write_text
from ftlab.tasks import digest, first_paragraph, style
from ftlab.tasks.punctuation import sentences

ACCEPT = {
    "punctuation": {"words_kept": 1.0, "f1": 0.8},  # commas are a matter of taste
    "unit_tests": {"passes": 1.0, "style": 1.0},
}
"""The least that an answer must score to become a record; elsewhere 1.0 on the headline metric."""
SHOTS = 3  # solved examples that a teacher is shown
EXAMPLES_SEED = 7919  # of these; a caller's own seed is seldom this
Judge = Callable[[Request, str], data.Row]
"""Makes a record of a request and its cleaned answer, or raises Rejected."""


class Rejected(Exception):
    """Why an answer becomes no record, with its scores where it has some."""

    def __init__(self, reason: str, metrics: Mapping[str, float] | None = None) -> None:
        super().__init__(reason)
        self.metrics = dict(metrics or {})


@dataclass
class Synthesis:
    """What a run made; records and rejects stand in the order of their requests."""

    out: Path
    accepted: list[data.Row] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    paid: int = 0  # answers that were not there when the run began
    tokens_in: int = 0
    tokens_out: int = 0
    cleaned: Counter[str] = field(default_factory=Counter)  # what was cleaned off how many answers
    failed: Counter[str] = field(default_factory=Counter)  # requests that came to nothing
    stopped: str = "complete"
    """"complete", "the cap on requests", "interrupted" or "no more inputs"."""
    notes: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many answers were judged."""
        return len(self.accepted) + len(self.rejected)

    @property
    def reasons(self) -> dict[str, int]:
        """How many answers were rejected for each reason, the most frequent first."""
        return dict(Counter(one["reason"] for one in self.rejected).most_common())

    def __str__(self) -> str:
        lines = [
            f"{len(self.accepted)} accepted in {self.out}, {len(self.rejected)} rejected "
            f"({self.stopped})",
            f"{self.requests} answers, {self.paid} of them asked for now; {self.tokens_in:,} "
            f"tokens in, {self.tokens_out:,} out",
        ]
        counted = {"cleaned": self.cleaned, "rejected": self.reasons, "no answer": self.failed}
        for title, counts in counted.items():
            lines += [f"  {title} {count:>5}  {what}" for what, count in counts.items()]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


def run(
    requests: Sequence[Request], teacher: Teacher, judge: Judge, out: str | os.PathLike[str], *,
    n: int, concurrency: int = 4, max_requests: int | None = None, progress: bool = True,
) -> Synthesis:  # fmt: skip
    """Ask, judge and keep, until `n` records are accepted, the cap is met or the requests end.

    Args:
        requests: in the order in which they are asked; no more are asked than are still needed.
        teacher: who answers.
        judge: makes a record of an answer.
        out: the JSONL file of the records; rejects and answers lie beside it.
        n: records wanted.
        concurrency: most requests at one time.
        max_requests: most answers, those of earlier runs included.
        progress: show a bar on stderr.

    Raises:
        ConfigError: a number out of range.
        DataError: `out` exists, and no answers of a run lie beside it.
        ModelError: five requests in a row came to nothing; the answers so far are kept.
    """
    from tqdm import tqdm

    if concurrency < 1 or n < 1:
        raise ConfigError(f"n and concurrency must be at least 1; got {n} and {concurrency}.")
    out = Path(out)
    stem = out.name.removesuffix(".jsonl")
    paid, turned_down = (out.with_name(f"{stem}.{what}.jsonl") for what in ("answers", "rejected"))
    if out.exists() and not paid.exists():
        raise DataError(f"{out} exists already. Choose another name.")
    cache, made, capped = AnswerCache(paid), Synthesis(out), requests[:max_requests]
    before, missing = len(cache), lambda: n - len(made.accepted)
    if progress and before:
        print(f"{before} answers are here already.", file=sys.stderr)
    stream = answers(teacher, capped, cache, at_once=concurrency, wanted=missing)
    try:
        # A notebook loses messages if there are many.
        with closing(stream), tqdm(total=n, disable=not progress, mininterval=1) as bar:
            for request, answer in stream:
                _take(made, judge, request, answer)
                bar.update(len(made.accepted) - bar.n)
        if missing() > 0:
            all_asked = len(capped) == len(requests)
            made.stopped = "no more inputs" if all_asked else "the cap on requests"
    except KeyboardInterrupt:
        made.stopped = "interrupted"
    made.paid = len(cache) - before
    data.write(out, made.accepted, overwrite=True)
    rows = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made.rejected)
    write_text(turned_down, rows, overwrite=True)
    return made


def _take(made: Synthesis, judge: Judge, request: Request, answer: Answer | NoAnswer) -> None:
    """Clean and judge one answer; count what came of it."""
    if isinstance(answer, NoAnswer):
        made.failed[str(answer)] += 1
        return
    made.tokens_in += answer.tokens_in
    made.tokens_out += answer.tokens_out
    text, cleaned = clean(answer.text)
    made.cleaned.update(cleaned)
    try:
        if not answer.finished:
            raise Rejected("cut off: longer than an answer may be")
        if not text.strip():
            raise Rejected("empty")
        record = judge(request, text)
    except Rejected as why:
        prompt = request.messages[-1]["content"]
        row = {"reason": str(why), "answer": answer.text, "prompt": prompt, "metrics": why.metrics}
        made.rejected.append(row)
        return
    more = {"cleaned": list(cleaned)} if cleaned else {}
    made.accepted.append({**record, "meta": {**data.meta(record), "teacher": answer.model, **more}})


def synthesise(
    task: str, n: int, teacher: Teacher, out: str | os.PathLike[str], *,
    seed: int = 0, split: str = "train", max_requests: int | None = None, **how: Any,
) -> Synthesis:  # fmt: skip
    """Have a teacher write the completions of a task's inputs, until `n` are accepted.

    The teacher is told the task, and shown three solved examples that are not among the inputs.

    Args, beside those of `run`:
        task: the task's name; `seed` and `split` are of its inputs.
        n: records wanted; a larger one extends the file.
        max_requests: most answers, those of earlier runs included; by default 2 n.

    Raises:
        ConfigError: an unknown task, or a number out of range.
    """
    if n < 1:
        raise ConfigError(f"n must be at least 1; got {n}.")
    it = tasks.get(task)
    most = max(n, 2 * n if max_requests is None else max_requests)
    turns = lambda record: [turn for turn in data.prompt(record) if turn["role"] != "system"]
    told = f"{it.describe}\n\nAnswer with what is asked for alone."
    before: list[dict[str, Any]] = [{"role": "system", "content": told}]
    shown = it.examples(SHOTS, EXAMPLES_SEED + seed, split="train")
    for record in shown:
        before += [*turns(record), {"role": "assistant", "content": data.answer(record)}]
    new = {data.prompt(record)[-1]["content"]: record
           for record in it.up_to(most + SHOTS, seed, split=split)}  # fmt: skip
    for record in shown:
        new.pop(data.prompt(record)[-1]["content"], None)
    requests = [
        Request([*before, *turns(record)], given={"record": record}) for record in new.values()
    ][:most]
    wanted = ACCEPT.get(task, {it.headline: 1.0})

    def judge(request: Request, text: str) -> data.Row:
        record, parsed = request.given["record"], it.parse(text)
        scores = {name: ratio.value for name, ratio in it.score(record, parsed).items()}
        # nan is a metric with nothing to count, which is no fault.
        if short := [name for name, least in wanted.items() if scores[name] < least]:
            reason = ", ".join(f"{name} below {wanted[name]:g}" for name in short)
            raise Rejected(reason, {k: v for k, v in scores.items() if not math.isnan(v)})
        return data.example(data.prompt(record), parsed, **data.meta(record))

    return run(requests, teacher, judge, out, n=n, max_requests=max_requests, **how)


# Pairs from any text of the user's own. Mind its licence.

ASK = (
    "Say this in plain English of today, in one short sentence. Keep every name and number. Answer "
    "with the sentence alone.\n\n{text}"
)
WORDS = (8, 45)  # in a sentence of the book


def pairs(
    book: str | os.PathLike[str], n: int, teacher: Teacher, out: str | os.PathLike[str], **how: Any
) -> Synthesis:
    """Make up to n pairs for the task style: a model says the sentences of a book plainly.

    The book's side, which is learned, is the author's own. The checks do not see whether the sense
    was kept: read some. A record's group is its paragraph, so that `split` keeps it together.

    Args:
        book: a text in UTF-8, its paragraphs apart by a blank line.
        n: pairs wanted; there are fewer where the book ends before.
        teacher: who says the sentences plainly; see `ftlab.endpoint.connect`.
        out: the JSONL file to make or to go on with; rejects and answers lie beside it.
        how: `concurrency` and `progress`, as for `ftlab.curation.synthesis.run`; its errors too.

    Raises:
        DataError: the book has no sentence of 8 to 45 words.
    """
    requests = []
    for paragraph in re.split(r"\n\s*\n", read_text(book)):
        flat = " ".join(paragraph.split())
        for text in sentences(flat):
            whole = text[:1].isupper() or text[:1] in "\"'“‘"
            long = WORDS[0] <= len(text.split()) <= WORDS[1]
            if whole and long and text.rstrip("\"'”’")[-1:] in ".!?":
                messages = [{"role": "user", "content": ASK.format(text=text)}]
                given = {"text": text, "group": digest(flat)}
                requests.append(Request(messages, given=given))
    if not requests:
        raise DataError(
            f"{book} has no sentence of {WORDS[0]} to {WORDS[1]} words that begins with a capital "
            "and ends with a mark. Give a text of whole sentences, in UTF-8."
        )

    def judge(request: Request, text: str) -> data.Row:
        plain, voiced = first_paragraph(text), request.given["text"]
        if why := fault(plain, voiced):
            raise Rejected(why)
        group = request.given["group"]
        return style.row(plain, voiced, slice="book", group=group, source=Path(book).name)

    return run(requests, teacher, judge, out, n=n, **how)


def fault(plain: str, voiced: str) -> str:
    """Return why a plain side is none; "" if nothing is found.

    >>> fault("She paid 3 pounds.", "It was Karen, and no other, who parted with 3 pounds.")
    'a name or a number is lost'
    """
    words, there, wanted = plain.split(), set(style.names(plain)), set(style.names(voiced))
    if len(words) < 3:
        return "too short"
    if len(words) > 1.3 * len(voiced.split()):
        return "too long"
    if difflib.SequenceMatcher(None, plain.lower(), voiced.lower()).ratio() > 0.9:
        return "a copy"
    if there != wanted:
        return f"a name or a number is {'lost' if wanted - there else 'invented'}"
    return "still in an old voice" if style.in_voice(plain) else ""
