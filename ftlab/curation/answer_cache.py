"""Ask a teacher until there is enough, and keep every answer under the hash of its request.

    train.jsonl            the accepted records
    train.rejected.jsonl   what was turned down, with the reason
    train.answers.jsonl    every answer as it came: it is paid for, and is on the disk at once

Made again, the same call takes the answers that are there, and asks for what is missing. Trying
again on 429 and 5xx is the client's work.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ftlab import data
from ftlab.endpoint import Answer, NoAnswer, Request, Teacher
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.files import write_text

FAILURES = 5  # requests in a row that come to nothing before a run gives up


Messages = Sequence[Mapping[str, Any]]


def _key(request: str | Messages, settings: Mapping[str, Any]) -> str:
    """Return the key of a request: a hash of its messages and settings, or the key itself."""
    if isinstance(request, str):
        return request
    text = json.dumps([list(request), settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class AnswerCache:
    """Answers by the hash of their request, appended to a JSONL file as they come.

    A request is its messages and whatever else makes its answer another: the model, the
    temperature, the number of the sample.

    >>> import tempfile
    >>> cache = AnswerCache(Path(tempfile.mkdtemp()) / "answers.jsonl")
    >>> question = [{"role": "user", "content": "Capital of France?"}]
    >>> cache.keep(question, "Paris.", model="large")
    >>> cache.get(question, model="large").text, cache.get(question, model="small")
    ('Paris.', None)

    Raises:
        DataError: a line is broken, or the file cannot be written. A last line that a kill cut off
            is dropped.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.answers, self._lock = Path(path), dict[str, Answer](), Lock()
        path = self.path
        raw = path.read_bytes() if path.exists() else b""
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(path, whole)
        for number, line in enumerate(raw[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                key = row.pop("request")
                self.answers[key] = Answer(**row)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(f"{path}: line {number} is broken: {error}. Remove it.") from None

    def get(self, request: str | Messages, **settings: Any) -> Answer | None:
        """Return the answer to a request, None if there is none yet."""
        return self.answers.get(_key(request, settings))

    def keep(self, request: str | Messages, answer: str | Answer, **settings: Any) -> None:
        """Append an answer; it is on the disk when this returns."""
        key = _key(request, settings)
        answer = Answer(answer) if isinstance(answer, str) else answer
        line = json.dumps({"request": key, **asdict(answer)}) + "\n"
        try:
            with self._lock, self.path.open("a", encoding="utf-8") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DataError(f"Could not write {self.path}: {error}. Free some space.") from None
        self.answers[key] = answer


@dataclass(frozen=True)
class Judged:
    """What became of one answer: a record, or the reason why there is none."""

    record: data.Row | None
    reason: str = ""
    cleaned: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    answer: str = ""
    prompt: str = ""


Judge = Callable[[Request, Answer], Judged]


@dataclass(frozen=True)
class Synthesis:
    """What a run made; records and rejects stand in the order of their requests."""

    out: Path
    accepted: list[data.Row]
    rejected: list[Judged]
    requests: int  # answers that were judged
    resumed: int  # of these, answers that were there when the run began
    tokens_in: int
    tokens_out: int
    cleaned: dict[str, int]  # how many answers each thing was cleaned off
    failed: dict[str, int]  # requests that came to nothing, by reason
    stopped: str  # "complete", "the cap on requests", "interrupted" or "no more inputs"
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """How many answers were rejected for each reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.rejected).most_common())

    def __str__(self) -> str:
        lines = [
            f"{len(self.accepted)} accepted in {self.out}, {len(self.rejected)} rejected "
            f"({self.stopped})",
            f"{self.requests} answers, {self.resumed} of them from before; {self.tokens_in:,} "
            f"tokens in, {self.tokens_out:,} out",
        ]
        for title, counts in (
            ("cleaned", self.cleaned), ("rejected", self.reasons), ("no answer", self.failed)
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
        judge: makes a record of an answer, or says why not; it is called from several threads.
        out: the JSONL file of the records; the answers lie beside it.
        n: records wanted.
        concurrency: most calls of the teacher at one time.
        max_requests: most answers, those of earlier runs included.
        progress: show a bar on stderr.

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
    beside = _beside(out, "answers")
    if out.exists() and not beside.exists():
        raise DataError(f"{out} exists already. Choose another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    cache = AnswerCache(beside)
    before, judged, failed, in_a_row = set(cache.answers), dict[str, Judged](), Counter[str](), 0
    left = [request for request in requests if request.key not in before]

    def work(chunk: Sequence[Request]) -> list[Judged | NoAnswer]:
        new = [request for request in chunk if request.key not in cache.answers]
        try:
            for request, answer in zip(new, teacher.ask(new) if new else (), strict=True):
                cache.keep(request.key, answer)
        except NoAnswer as error:
            return [error for _ in chunk]
        return [judge(request, cache.answers[request.key]) for request in chunk]

    def finish(part: Sequence[Request]) -> None:
        """Have requests answered and judged; count what came of them, in their order."""
        nonlocal in_a_row
        chunks = [part[at : at + teacher.together] for at in range(0, len(part), teacher.together)]
        for chunk, outcomes in zip(chunks, pool.map(work, chunks), strict=True):
            for request, outcome in zip(chunk, outcomes, strict=True):
                in_a_row = in_a_row + 1 if isinstance(outcome, NoAnswer) else 0
                if in_a_row >= FAILURES:
                    raise ModelError(
                        f"{FAILURES} requests in a row came to nothing; the last: {outcome}. Look "
                        "after the endpoint, or lower --concurrency if it limits the rate. Every "
                        "answer is kept; the same call goes on."
                    )
                if isinstance(outcome, NoAnswer):
                    failed[str(outcome)] += 1
                else:
                    judged[request.key] = outcome
                    bar.advance(task, int(outcome.record is not None))

    pool = ThreadPoolExecutor(min(concurrency, teacher.at_once or concurrency))
    pace = 0.5 if "ipykernel" in sys.modules else 10  # a notebook gets four messages a drawing
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "left")
    bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=pace)
    task = bar.add_task("", total=n)
    missing = lambda: n - sum(one.record is not None for one in judged.values())
    try:
        paid = [request for request in requests if request.key in before]
        while paid and missing() > 0:
            part, paid = paid[: missing()], paid[missing() :]
            finish(part)
        if progress:
            there = f" ({len(before)} answers are here already)" if before else ""
            print(f"To do{there}: {expected(left[: missing()], teacher)}.", file=sys.stderr)
            bar.start()
        while missing() > 0 and left:
            room = missing() if max_requests is None else max_requests - len(cache.answers)
            if room < 1:
                break
            part = left[: min(room, missing())]
            left = left[len(part) :]
            finish(part)
        stopped = "the cap on requests" if left else "no more inputs"
        stopped = "complete" if missing() < 1 else stopped
    except KeyboardInterrupt:
        stopped = "interrupted"
    finally:
        if progress:
            bar.stop()
        pool.shutdown(cancel_futures=True)  # what is under way is paid for: it is waited for
    return _written(out, requests, judged, cache, before, failed, stopped)


def expected(
    requests: Sequence[Request], teacher: Teacher, prices: tuple[float, float] | None = None
) -> str:
    """Say what requests will take: four characters to a token, answers as long as a known one.

    Args:
        requests: what is to be asked.
        teacher: where no answer is known, the longest that it may give is taken.
        prices: of a million tokens in prompts, and in answers.
    """
    into = sum(len(message["content"]) for one in requests for message in one.messages) // 4
    outof = sum(len(r.known) // 4 if r.known else teacher.answer_tokens for r in requests)
    cost = f", cost about {(into * prices[0] + outof * prices[1]) / 1e6:.4g}" if prices else ""
    return (
        f"{len(requests):,} requests, about {into:,} tokens in and {outof:,} out{cost}, if every "
        "answer is accepted"
    )


def _written(
    out: Path,
    requests: Sequence[Request],
    judged: dict[str, Judged],
    cache: AnswerCache,
    before: set[str],
    failed: Counter[str],
    stopped: str,
) -> Synthesis:
    """Write records and rejects, and count."""
    accepted, rejected, cleaned = [], [], Counter[str]()
    for request in requests:
        if (one := judged.get(request.key)) is None:
            continue
        cleaned.update(one.cleaned)
        if one.record is not None:
            more = {"cleaned": list(one.cleaned)} if one.cleaned else {}
            accepted.append({**one.record, "meta": {**data.meta(one.record), **more}})
        else:
            text, prompt = cache.answers[request.key].text, request.messages[-1]["content"]
            rejected.append(replace(one, answer=text, prompt=prompt))
    data.write(out, accepted, overwrite=True)
    rows = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rejected)
    write_text(_beside(out, "rejected"), rows, overwrite=True)
    answers = [cache.answers[key] for key in judged]
    return Synthesis(
        out, accepted, rejected, len(judged), len(before & judged.keys()),
        sum(a.tokens_in for a in answers), sum(a.tokens_out for a in answers),
        dict(cleaned.most_common()), dict(failed), stopped,
    )  # fmt: skip


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f"{out.name.removesuffix('.jsonl')}.{what}.jsonl")
