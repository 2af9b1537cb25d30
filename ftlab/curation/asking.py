"""Ask a teacher until there is enough: bounded, retried, capped, watched, and safe to kill.

    request --teacher--> raw answer --journal--> judge --> train.jsonl
                                                       \\-> train.rejected.jsonl

A call asks no more than could still be needed, and no more than the caps allow at worst. What came
back is on the disk before it is judged; made again, the same call goes on where the last one was.
A request in flight when the process is killed is asked again, under the same `Idempotency-Key`, by
which an endpoint that honours it knows not to charge twice.
"""

import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftlab.curation.journal import Journal, Reject
from ftlab.curation.teachers import Answer, NoAnswer, Request, Teacher
from ftlab.errors import ConfigError, FtlabError, ModelError
from ftlab.records import Record

__all__ = ["Caps", "Estimate", "Judge", "Synthesis", "Verdict", "expected", "run"]

FAILURES = 5  # requests in a row that come to nothing before a run gives up
CHARACTERS = 3.0  # of a token: fewer than the usual four, so that caps hold


@dataclass(frozen=True)
class Caps:
    """What a run may spend, earlier runs with the same file included; None for no cap."""

    requests: int | None = None
    """One that is tried again after 429 or 5xx counts once."""
    tokens: int | None = None
    """In prompts and answers together."""
    cost: float | None = None
    price_in: float | None = None
    """Of a million tokens in prompts, in your currency."""
    price_out: float | None = None
    """Of a million tokens in answers."""

    def __post_init__(self) -> None:
        given = {"requests": self.requests, "tokens": self.tokens, "cost": self.cost,
                 "price_in": self.price_in, "price_out": self.price_out}  # fmt: skip
        bad = {name: value for name, value in given.items() if value is not None and value < 0}
        if bad:
            raise ConfigError(f"A cap or a price cannot be below 0; got {bad}.")
        if (self.price_in is None) != (self.price_out is None):
            raise ConfigError("Give both prices, price_in and price_out, or neither.")
        if self.cost is not None and self.price_in is None:
            raise ConfigError(
                "A cap on the cost needs the prices of a million tokens: price_in and price_out "
                "(--price-in and --price-out)."
            )

    def cost_of(self, tokens_in: float, tokens_out: float) -> float | None:
        """Return what tokens cost; None where no prices were given."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


@dataclass(frozen=True)
class Estimate:
    """What a run will take if every answer is accepted."""

    requests: int
    tokens_in: int
    tokens_out: int
    cost: float | None

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", cost about {self.cost:.4g}"
        return (
            f"{self.requests:,} requests, about {self.tokens_in:,} tokens in and "
            f"{self.tokens_out:,} out{cost}, if every answer is accepted"
        )


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one answer: a record, or the reason why there is none."""

    record: Record | None
    reason: str = ""
    cleaned: tuple[str, ...] = ()
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Synthesis:
    """What is in the files when a run ends, earlier runs with the same file included."""

    out: Path
    accepted: list[Record]
    """In the order of their requests."""
    rejected: list[Reject]
    rejected_path: Path
    """Where they lie, with their reasons."""
    requests: int
    """Answers that were had."""
    retries: int
    """Calls beyond these that came to nothing."""
    tokens_in: int
    tokens_out: int
    cost: float | None
    cleaned: dict[str, int]
    """How many answers each thing was cleaned off."""
    failed: dict[str, int]
    """Requests of this run that came to nothing, by reason; the next run asks them again."""
    resumed: int
    """Answers that were there when this run began."""
    stopped: str
    """Why it ended: "complete", a cap, "interrupted", or no more inputs."""
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """How many answers were rejected for each reason, the most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejected).most_common())

    def noting(self, note: str) -> "Synthesis":
        """Return the same with one more note."""
        return replace(self, notes=(*self.notes, note))

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", cost {self.cost:.4g}"
        lines = [
            f"{len(self.accepted)} accepted in {self.out}, {len(self.rejected)} rejected "
            f"({self.stopped})",
            f"{self.requests} answers, {self.resumed} of them from before; {self.retries} retries; "
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out{cost}",
        ]
        for title, counts in (
            ("cleaned", self.cleaned), ("rejected", self.reasons), ("no answer", self.failed)
        ):  # fmt: skip
            lines += [f"  {title} {count:>5}  {what}" for what, count in counts.items()]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


Judge = Callable[[Request, Answer], Verdict]


def run(
    requests: Sequence[Request],
    teacher: Teacher,
    judge: Judge,
    out: str | os.PathLike[str],
    *,
    n: int,
    settings: Mapping[str, Any],
    concurrency: int = 4,
    caps: Caps | None = None,
    progress: bool = True,
    begin: Callable[[list[Record]], None] | None = None,
) -> Synthesis:
    """Ask, judge and keep, until `n` records are accepted, a cap is met or the requests end.

    Args:
        requests: in the order in which they are asked.
        teacher: who answers.
        judge: makes a record of an answer, or says why not; it is called from several threads.
        out: the JSONL file to make or to go on with.
        n: records wanted; no more is asked than could still be needed.
        settings: what makes the requests what they are; a file is gone on with only if they agree.
        concurrency: most calls of the teacher at one time.
        caps: what may be spent.
        progress: show the estimate first, then a bar, on stderr.
        begin: called first, with the records that are accepted already.

    Raises:
        ConfigError: a number out of range.
        DataError: `out` is not from such a run.
        ModelError: five requests in a row came to nothing, or the teacher is gone.
    """
    if concurrency < 1 or n < 1:
        raise ConfigError(f"n and concurrency must be at least 1; got {n} and {concurrency}.")
    caps = caps or Caps()
    with Journal(out, json.loads(json.dumps(dict(settings)))) as journal:
        resumed = len(journal.answers)
        if begin:
            begin(list(journal.accepted.values()))
        if progress:
            paid = sum(request.key in journal.answers for request in requests)
            left = max(n - len(journal.accepted), 0)
            todo = [r for r in requests if r.key not in journal.answers][:left]
            before = f" ({paid} answers are here already)" if paid else ""
            print(f"To do{before}: {expected(todo, caps, teacher)}.", file=sys.stderr)
        loop = _Loop(requests, teacher, judge, journal, n, caps)
        stopped = loop.go(min(concurrency, teacher.at_once or concurrency), progress)
        return _summary(journal, requests, caps, loop.failed, resumed, stopped)


class _Loop:
    """The state of one run: what waits, what is in flight, and what may still be spent."""

    def __init__(
        self,
        requests: Sequence[Request],
        teacher: Teacher,
        judge: Judge,
        journal: Journal,
        n: int,
        caps: Caps,
    ) -> None:
        self.teacher, self.judge, self.journal, self.n, self.caps = teacher, judge, journal, n, caps
        done = {*journal.accepted, *journal.rejected}
        new = [request for request in requests if request.key not in done]
        # Answers that nobody judged before the kill come first: they cost nothing.
        self.paid = deque(request for request in new if request.key in journal.answers)
        self.waiting = deque(request for request in new if request.key not in journal.answers)
        self.flying: dict[Future[list[Verdict | NoAnswer]], list[Request]] = {}
        self.failed: Counter[str] = Counter()
        self.in_a_row = 0
        self.sizes = {request.key: _size(request) for request in requests}
        self.counted = set(journal.answers)
        answers = list(journal.answers.values())
        self.spent = [
            len(answers), sum(a.tokens_in for a in answers), sum(a.tokens_out for a in answers)
        ]  # fmt: skip
        """Requests, tokens in and tokens out, of all runs with this file."""
        self.per_character = 1 / CHARACTERS
        """Most tokens that a character of a prompt was seen to take."""

    def go(self, concurrency: int, progress: bool) -> str:
        """Run to the end; return why it ended."""
        stopped = ""
        fatal: FtlabError | None = None
        pool = ThreadPoolExecutor(concurrency, thread_name_prefix="teacher")
        try:
            with _bar(self.n, len(self.journal.accepted), progress) as tell:
                while True:
                    while not stopped and len(self.flying) < concurrency:
                        stopped = self._send(pool)
                        if stopped == "later":
                            stopped = ""
                            break
                    if not self.flying:
                        break
                    try:
                        finished, _ = wait(self.flying, return_when=FIRST_COMPLETED)
                        for future in finished:
                            self._land(future)
                            tell(len(self.journal.accepted), len(self.journal.rejected))
                    except KeyboardInterrupt:
                        if stopped == "interrupted":
                            raise
                        stopped = "interrupted"
                        if progress:
                            print("Stopping; waiting for what is asked.", file=sys.stderr)
                    except FtlabError as error:  # answers under way are paid for: wait for them
                        fatal, stopped = fatal or error, "error"
        finally:
            pool.shutdown(wait=not self.flying, cancel_futures=True)
        if fatal:
            kept = len(self.journal.accepted)
            raise type(fatal)(
                f"{fatal}\n{kept} records are kept in {self.journal.out}; the same call goes on."
            ) from fatal
        return stopped or "no more inputs"

    def _send(self, pool: ThreadPoolExecutor) -> str:
        """Send one call; return why none is to follow, or "later" to wait for one to land."""
        flying = sum(map(len, self.flying.values()))
        room = self.n - len(self.journal.accepted) - flying
        queue = self.paid or self.waiting
        if queue is self.paid:
            room = self.teacher.together
        if room < 1:
            return "later" if flying else "complete"
        if not queue:
            return "later" if flying else "no more inputs"
        chunk: list[Request] = []
        while queue and len(chunk) < min(room, self.teacher.together):
            if queue is self.waiting and (cap := self._over([*chunk, queue[0]])):
                if chunk:
                    break
                return "later" if flying else cap
            chunk.append(queue.popleft())
        self.flying[pool.submit(self._work, chunk)] = chunk
        return ""

    def _over(self, chunk: Sequence[Request]) -> str:
        """Return the cap that these requests could break, at worst, with those in flight."""
        open_ = [r for batch in self.flying.values() for r in batch]
        open_ = [*(r for r in open_ if r.key not in self.counted), *chunk]
        calls = self.spent[0] + len(open_)
        into = self.spent[1] + sum(self.sizes[r.key] for r in open_) * self.per_character
        outof = self.spent[2] + len(open_) * self.teacher.answer_tokens
        if self.caps.requests is not None and calls > self.caps.requests:
            return "the cap on requests"
        if self.caps.tokens is not None and into + outof > self.caps.tokens:
            return "the cap on tokens"
        cost = self.caps.cost_of(into, outof)
        if self.caps.cost is not None and cost is not None and cost > self.caps.cost:
            return "the cap on cost"
        return ""

    def _work(self, chunk: list[Request]) -> list[Verdict | NoAnswer]:
        """Have requests answered, keep the answers, judge them (in a thread of the pool)."""
        new = [request for request in chunk if request.key not in self.journal.answers]
        if new:
            try:
                for request, answer in zip(new, self.teacher.ask(new), strict=True):
                    self.journal.answered(request.key, answer)
            except NoAnswer as error:
                if len(new) > 1 or not error.lasting:
                    return [error for _ in chunk]
                # Asked again it would come out the same: this is its answer.
                self.journal.answered(new[0].key, Answer(""))
                return [Verdict(None, str(error))]
        return [self.judge(request, self.journal.answers[request.key]) for request in chunk]

    def _land(self, future: "Future[list[Verdict | NoAnswer]]") -> None:
        """Write down what came of a call."""
        chunk = self.flying.pop(future)
        try:
            verdicts = future.result()
        finally:
            self._count(chunk)
        for request, verdict in zip(chunk, verdicts, strict=True):
            if isinstance(verdict, NoAnswer):
                self.failed[str(verdict)] += 1
                self.in_a_row += 1
                self.spent[0] += 1
                if self.in_a_row >= FAILURES:
                    raise ModelError(
                        f"{FAILURES} requests in a row came to nothing; the last: {verdict}. Look "
                        "after the endpoint, or lower --concurrency if it limits the rate."
                    )
                continue
            self.in_a_row = 0
            answer = self.journal.answers[request.key]
            if verdict.record is None:
                prompt = request.messages[-1]["content"]
                self.journal.reject(
                    Reject(request.key, verdict.reason, answer.text, prompt, verdict.cleaned,
                           dict(verdict.metrics or {}))
                )  # fmt: skip
            else:
                meta = verdict.record.meta
                if verdict.cleaned:
                    meta = {**meta, "cleaned": list(verdict.cleaned)}
                self.journal.accept(request.key, replace(verdict.record, meta=meta))

    def _count(self, chunk: Sequence[Request]) -> None:
        """Take what a call has used from what may be spent."""
        for request in chunk:
            answer = self.journal.answers.get(request.key)
            if answer is None or request.key in self.counted:
                continue
            self.counted.add(request.key)
            self.spent[0] += 1
            self.spent[1] += answer.tokens_in
            self.spent[2] += answer.tokens_out
            if answer.tokens_in:
                seen = answer.tokens_in / max(self.sizes[request.key], 1)
                self.per_character = max(self.per_character, seen)


def expected(requests: Sequence[Request], caps: Caps, teacher: Teacher) -> Estimate:
    """Return what requests will take: four characters to a token, answers as long as a known one.

    Where no answer is known, the longest that the teacher may give is taken.
    """
    into = sum(map(_size, requests)) // 4
    outof = sum(len(r.known) // 4 if r.known else teacher.answer_tokens for r in requests)
    return Estimate(len(requests), into, outof, caps.cost_of(into, outof))


def _size(request: Request) -> int:
    return sum(len(message["content"]) for message in request.messages)


@contextmanager
def _bar(n: int, done: int, progress: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what is told (accepted, rejected): a bar with an ETA on a terminal, else now a line."""
    if not progress:
        yield lambda accepted, rejected: None
    elif sys.stderr.isatty() or "ipykernel" in sys.modules:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
                   TimeRemainingColumn(), "left")  # fmt: skip
        # A notebook gets four messages a drawing, and whoever reads them only when the cell is
        # done, as nbval does, can be sent about two thousand before some are dropped.
        pace = 0.5 if "ipykernel" in sys.modules else 10
        console = Console(stderr=True)
        with Progress(*columns, console=console, refresh_per_second=pace) as bar:
            task = bar.add_task("", total=n, completed=done)
            yield lambda accepted, rejected: bar.update(
                task, completed=accepted, description=f"{rejected} rejected"
            )
    else:
        begun, told = time.monotonic(), [time.monotonic()]

        def line(accepted: int, rejected: int) -> None:
            now = time.monotonic()
            if now - told[0] < 10 and accepted < n:
                return
            told[0] = now
            left = (n - accepted) * (now - begun) / max(accepted - done, 1)
            print(f"{accepted} of {n} accepted, {rejected} rejected, about {left:.0f} s left",
                  file=sys.stderr, flush=True)  # fmt: skip

        yield line


def _summary(
    journal: Journal,
    requests: Sequence[Request],
    caps: Caps,
    failed: Mapping[str, int],
    resumed: int,
    stopped: str,
) -> Synthesis:
    """Count what is in the files."""
    place = {request.key: index for index, request in enumerate(requests)}
    answers = journal.answers.values()
    cleaned: Counter[str] = Counter()
    for record in journal.accepted.values():
        cleaned.update(record.meta.get("cleaned", ()))
    for reject in journal.rejected.values():
        cleaned.update(reject.cleaned)
    into, outof = sum(a.tokens_in for a in answers), sum(a.tokens_out for a in answers)
    order = sorted(journal.accepted, key=lambda key: place.get(key, len(place)))
    return Synthesis(
        out=journal.out,
        accepted=[journal.accepted[key] for key in order],
        rejected=sorted(journal.rejected.values(), key=lambda r: place.get(r.request, len(place))),
        rejected_path=journal.rejects,
        requests=len(answers),
        retries=sum(a.tries - 1 for a in answers),
        tokens_in=into,
        tokens_out=outof,
        cost=caps.cost_of(into, outof),
        cleaned=dict(cleaned.most_common()),
        failed=dict(failed),
        resumed=resumed,
        stopped=stopped,
    )
