"""Synthesis: prompts to a teacher, its answers cleaned, judged and kept, until there are enough.

    request --teacher--> raw answer --cache--> cleaned --judge--> train.jsonl
                                                            \\---> train.rejected.jsonl

The inputs come from the task's own generator. The teacher is told the task, is shown a few solved
examples, and writes the completion; the task then judges it by its own score: code is run in the
sandbox, JSON is compared field by field. Beside the records lie

    train.rejected.jsonl   what was turned down, with the reason
    train.answers.jsonl    every answer as it came: it is paid for, and is on the disk at once

A run that was killed goes on where it was when the same call is made again.
"""

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.curation.cleaning import clean
from ftlab.endpoint import Answer, NoAnswer, Teacher
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import write_text

ACCEPT = {
    "punctuation": {"words_kept": 1.0, "f1": 0.8},  # commas are a matter of taste
    "unit_tests": {"passes": 1.0, "style": 1.0},
}
"""The least that an answer must score to become a record; elsewhere 1.0 on the headline metric."""
EXAMPLES_SEED = 7919  # of the solved examples; a caller's own seed is seldom this


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
    resumed: int = 0  # answers that were there when the run began
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
            f"{self.requests} answers, {self.resumed} of them from before; {self.tokens_in:,} "
            f"tokens in, {self.tokens_out:,} out",
        ]
        for title, counts in (
            ("cleaned", dict(self.cleaned.most_common())), ("rejected", self.reasons),
            ("no answer", self.failed),
        ):  # fmt: skip
            lines += [f"  {title} {count:>5}  {what}" for what, count in counts.items()]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


def run(
    requests: Sequence[Request],
    teacher: Teacher,
    judge: Judge,
    out: str | os.PathLike[str],
    *,
    n: int,
    concurrency: int = 4,
    max_requests: int | None = None,
    progress: bool = True,
) -> Synthesis:
    """Ask, judge and keep, until `n` records are accepted, the cap is met or the requests end.

    Args:
        requests: in the order in which they are asked; no more are asked than are still needed.
        teacher: who answers.
        judge: makes a record of an answer.
        out: the JSONL file of the records; rejects and answers lie beside it.
        n: records wanted.
        concurrency: most requests at one time.
        max_requests: most answers, those of earlier runs included.
        progress: show an estimate, then a bar, on stderr.

    Raises:
        ConfigError: a number out of range.
        DataError: `out` exists, and no answers of a run lie beside it.
        ModelError: five requests in a row came to nothing; the answers so far are kept.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    if concurrency < 1 or n < 1:
        raise ConfigError(f"n and concurrency must be at least 1; got {n} and {concurrency}.")
    out = Path(out)
    beside = {what: out.with_name(f"{out.name.removesuffix('.jsonl')}.{what}.jsonl")
              for what in ("answers", "rejected")}  # fmt: skip
    if out.exists() and not beside["answers"].exists():
        raise DataError(f"{out} exists already. Choose another name.")
    cache, made = AnswerCache(beside["answers"]), Synthesis(out)
    capped = requests[:max_requests]
    before = {
        id(one)
        for one in capped
        if cache.get(one.messages, **teacher.settings(one.sample)) is not None
    }
    missing = lambda: n - len(made.accepted)
    pace = 0.5 if "ipykernel" in sys.modules else 10  # a notebook gets four messages a drawing
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "left",
        console=Console(stderr=True), refresh_per_second=pace,
    )  # fmt: skip
    task = bar.add_task("", total=n)
    if progress:
        told = expected([r for r in capped if id(r) not in before][:n], teacher)
        there = f" ({len(before)} answers are here already)" if before else ""
        print(f"To do{there}: {told}.", file=sys.stderr)
        bar.start()
    stream = answers(teacher, capped, cache, at_once=concurrency, wanted=missing)
    try:
        with closing(stream):
            for request, answer in stream:
                _take(made, judge, request, answer)
                made.resumed += id(request) in before
                bar.update(task, completed=len(made.accepted))
        if missing() > 0:
            made.stopped = (
                "no more inputs" if len(capped) == len(requests) else "the cap on requests"
            )
    except KeyboardInterrupt:
        made.stopped = "interrupted"
    finally:
        bar.stop()
    data.write(out, made.accepted, overwrite=True)
    rows = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made.rejected)
    write_text(beside["rejected"], rows, overwrite=True)
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
    meta = {**data.meta(record), "teacher": answer.model, **more}
    made.accepted.append({**record, "meta": meta})


def expected(requests: Sequence[Request], teacher: Teacher) -> str:
    """Say what requests will take: four characters to a token, answers as long as a known one."""
    into = sum(len(message["content"]) for one in requests for message in one.messages) // 4
    outof = sum(min(one.about // 4, teacher.answer_tokens) for one in requests)
    return (
        f"{len(requests):,} requests, about {into:,} tokens in and {outof:,} out, if every answer "
        "is accepted"
    )


def synthesise(
    task: str,
    n: int,
    teacher: Teacher,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    split: str = "train",
    shots: int = 3,
    accept: Mapping[str, float] | None = None,
    max_requests: int | None = None,
    **how: Any,
) -> Synthesis:
    """Have a teacher write the completions of a task's inputs, until `n` are accepted.

    Call it again with the same arguments to go on after a stop; a larger `n` extends the file.

    Args:
        task: the task's name.
        n: records wanted.
        teacher: who answers; see `ftlab.endpoint.connect`.
        out: the JSONL file to make or to go on with; rejects and answers lie beside it.
        seed: of the inputs.
        split: of the inputs, "train" or "test".
        shots: solved examples that the teacher is shown; none of them is among the inputs.
        accept: the least that an answer must score, by metric; by default `ACCEPT`.
        max_requests: most answers, those of earlier runs included; by default 2 n.
        how: `concurrency` and `progress`, as for `run`.

    Raises:
        ConfigError: an unknown task or metric, or a number out of range.
        DataError: `out` is not from such a run.
        ModelError: the teacher gives no answers; those so far are kept.
    """
    from ftlab import tasks

    it = tasks.get(task)
    most = max(n, 2 * n if max_requests is None else max_requests)
    requests = plan(task, most, seed=seed, split=split, shots=shots)
    wanted = dict(accept) if accept is not None else ACCEPT.get(task, {it.headline: 1.0})
    record = requests[0].given["record"]
    metrics = it.score(record, data.answer(record))
    for name in wanted:
        if name not in metrics:
            raise_unknown(f"metric of {task}", name, metrics)

    def judge(request: Request, text: str) -> data.Row:
        record, parsed = request.given["record"], it.parse(text)
        scores = {name: ratio.value for name, ratio in it.score(record, parsed).items()}
        # nan is a metric with nothing to count, which is no fault.
        short = [name for name, least in wanted.items() if scores[name] < least]
        if short:
            reason = ", ".join(f"{name} below {wanted[name]:g}" for name in short)
            raise Rejected(reason, {k: v for k, v in scores.items() if not math.isnan(v)})
        return data.example(data.prompt(record), parsed, **data.meta(record))

    return run(requests, teacher, judge, out, n=n, max_requests=max_requests, **how)


def plan(
    task: str, n: int, *, seed: int = 0, split: str = "train", shots: int = 3
) -> list[Request]:
    """Return up to n requests for a task's answers: its text, solved examples, and a new input."""
    from ftlab import tasks

    if n < 1 or shots < 0:
        raise ConfigError(f"n must be at least 1 and shots at least 0; got {n} and {shots}.")
    it = tasks.get(task)
    shown = it.examples(shots, EXAMPLES_SEED + seed, split="train") if shots else []
    known = {data.prompt(record)[-1]["content"] for record in shown}
    told = f"{it.describe}\n\nAnswer with what is asked for alone."
    before: list[dict[str, Any]] = [{"role": "system", "content": told}]
    for record in shown:
        before += [*_turns(record), {"role": "assistant", "content": data.answer(record)}]
    new = {data.prompt(record)[-1]["content"]: record
           for record in it.up_to(n + shots, seed, split=split)}  # fmt: skip
    return [
        Request([*before, *_turns(record)], about=len(data.answer(record)),
                given={"record": record})
        for text, record in new.items() if text not in known
    ][:n]  # fmt: skip


def _turns(record: data.Row) -> list[dict[str, Any]]:
    return [turn for turn in data.prompt(record) if turn["role"] != "system"]
