"""Answers that were paid for: kept under the hash of their request, so that none is paid twice.

An answer is on the disk before anybody looks at it. A run that was killed, made again, finds the
answers that are there and asks for what is missing.
"""

import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ftlab.curation.cleaning import clean
from ftlab.endpoint import Answer, Messages, NoAnswer, Teacher, request_hash
from ftlab.errors import ConfigError, DataError, ModelError

FAILURES = 5  # requests in a row that come to nothing before a run gives up


@dataclass(frozen=True)
class Request:
    """One prompt for a teacher, and what its maker wants to know when the answer comes."""

    messages: Messages
    then: str = ""
    """A second prompt, asked with the answer to the first in place of {text}."""
    sample: int = 0
    """Which of several answers to the same messages."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Not sent: the record that the prompt was made of, the manner of the rewriting."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the protocol that change the answer, such as `tools`."""


class AnswerCache:
    """Answers by the hash of their request, appended to a JSONL file as they come.

    A request is its messages and all settings that make its answer another, such as the model.

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
        self.path, self._lock = Path(path), Lock()
        self._answers: dict[str, Answer] = {}
        raw = self.path.read_bytes() if self.path.exists() else b""
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(self.path, whole)
        for number, line in enumerate(raw[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                key = row.pop("request")
                self._answers[key] = Answer(**row)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(f"{path}: line {number} is broken: {error}. Remove it.") from None

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, messages: Messages, **settings: Any) -> Answer | None:
        """Return the answer to a request, None if there is none yet."""
        return self._answers.get(request_hash(messages, **settings))

    def keep(self, messages: Messages, answer: str | Answer, **settings: Any) -> None:
        """Append an answer; it is on the disk when this returns."""
        key = request_hash(messages, **settings)
        answer = Answer(answer) if isinstance(answer, str) else answer
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"request": key, **asdict(answer)}) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DataError(f"Could not write {self.path}: {error}. Free some space.") from None
        self._answers[key] = answer


def answers(
    teacher: Teacher, requests: Iterable[Request], cache: AnswerCache | None, *,
    at_once: int = 8, wanted: Callable[[], int] | None = None,
) -> Generator[tuple[Request, Answer | NoAnswer], None, None]:  # fmt: skip
    """Yield every request with its answer, in order; at most `at_once` are under way.

    A `cache` of None keeps none; no more are asked for than are still `wanted`, if that is given.

    Raises:
        ModelError: five requests in a row came to nothing; the answers so far are kept.
        ConfigError, OfflineError: no request can succeed; what was under way is kept.
    """
    if at_once < 1:
        raise ConfigError(f"At least one request at a time is needed, got {at_once}.")

    def one(request: Request) -> Answer | NoAnswer:
        settings = teacher.settings(request.sample) | dict(request.more)
        answer = cache.get(request.messages, **settings) if cache is not None else None
        if answer is None:
            try:
                answer = teacher.ask(request.messages, sample=request.sample, **request.more)
            except NoAnswer as error:
                return error
            if cache is not None:
                cache.keep(request.messages, answer, **settings)
        if not request.then or not answer.finished:
            return answer
        content = request.then.replace("{text}", clean(answer.text)[0])
        second = one(replace(request, messages=[{"role": "user", "content": content}], then=""))
        if isinstance(second, NoAnswer):
            return second
        into, out = answer.tokens_in + second.tokens_in, answer.tokens_out + second.tokens_out
        return replace(second, tokens_in=into, tokens_out=out)

    left, in_a_row = iter(requests), 0
    waiting: deque[tuple[Request, Future[Answer | NoAnswer]]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        while True:
            room = 2 * at_once if wanted is None else min(2 * at_once, wanted())
            while len(waiting) < room and (request := next(left, None)) is not None:
                waiting.append((request, pool.submit(one, request)))
            if not waiting:
                return
            request, future = waiting.popleft()
            outcome = future.result()
            in_a_row = in_a_row + 1 if isinstance(outcome, NoAnswer) else 0
            if in_a_row == FAILURES:
                raise ModelError(
                    f"{FAILURES} requests in a row came to nothing; the last: {outcome}. Look "
                    "after the endpoint, or ask for less at one time if it limits the rate. Every "
                    "answer is kept; the same call goes on."
                )
            yield request, outcome
    finally:
        pool.shutdown(cancel_futures=True)  # what is under way is paid for: it is waited for
