"""The next round: labelled traces and old rows become a job, and its model is promoted if better.

    rows = loop.rows_from_traces(client)                      # good answers, and corrected ones
    result = loop.next_round(client, rows, replay=old, held_out=held_out, score="triage")
    print(result.verdict)                                     # promoted, or refused and why
    loop.rollback(client)                                     # the one before is in service again

`live` is the name of the model in service; before any promotion it is the base. Traces and jobs are
the protocol's own; only `live` is the service's. Killed at any moment and called again with the
same rows, `next_round` finds its job by the hash of what it asked for, and answers in its folder.
"""

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftlab import data, tasks
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.curation.doctor import examine
from ftlab.endpoint import Answer, NoAnswer, Teacher
from ftlab.errors import DataError, ModelError
from ftlab.evaluation.compare import Verdict, compare
from ftlab.serving.drift import drift
from ftlab.tasks import Ratio, Task

__all__ = [
    "Round", "checked", "drift", "label", "next_round", "question", "rollback", "rows_from_traces",
    "traces",
]  # fmt: skip

AT_ONCE = 8  # requests
FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")
Score = str | Callable[[data.Row, str], float]


@dataclass(frozen=True)
class Round:
    """What became of a round."""

    model: str  # the new model's name
    promoted: bool  # whether `live` is that model now
    verdict: str  # why, in words
    comparison: Verdict  # the figures, and every held-out row with both answers

    def __str__(self) -> str:
        return self.verdict


def traces(client: Any, model: str | None = None, **metadata: str) -> list[dict[str, Any]]:
    """Return stored completions, the oldest first: id, model, created, messages, answer, metadata.

    `model` is whose, None for all; `metadata` what they are to have, as `label="bad"`.
    """
    more: dict[str, Any] = {"model": model} if model else {}
    more |= {"metadata": metadata} if metadata else {}
    found = list(client.chat.completions.list(limit=100, **more))

    def turn(message: Any) -> dict[str, Any]:
        return {k: v for k, v in message.to_dict().items() if k in FIELDS and v is not None}

    def one(kept: Any) -> dict[str, Any]:
        turns = list(map(turn, client.chat.completions.messages.list(kept.id, limit=100)))
        return {"id": kept.id, "model": kept.model, "created": kept.created, "messages": turns,
                "answer": turn(kept.choices[0].message), "metadata": dict(kept.metadata or {}),
                **({"tools": kept.tools} if getattr(kept, "tools", None) else {})}  # fmt: skip

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, found))


def label(client: Any, trace: str, **changes: str) -> None:
    """Change a trace's label (good, bad), correction or reviewer; "" takes one away."""
    held = dict(client.chat.completions.retrieve(trace).metadata or {}) | changes
    kept = {name: value for name, value in held.items() if value}
    client.chat.completions.update(trace, metadata=kept)


def rows_from_traces(
    client: Any, model: str | None = None, *, label: str | None = None
) -> list[data.Row]:
    """Return labelled traces as rows: answers called good, and corrected ones; one per question.

    Where a question was traced twice, the row is of the newest. Turns of one conversation have the
    same `group` in their meta, so that `ftlab.curation.splits` keeps them together. `label` good or
    bad takes these alone; a bad answer is a row only if it was corrected.
    """
    rows = {}
    for trace in traces(client, model):
        held, turns = trace["metadata"], trace["messages"]
        mark, better = held.get("label"), held.get("correction")
        if (label and mark != label) or not (better or mark == "good"):
            continue
        answer = {"role": "assistant", "content": better} if better else trace["answer"]
        first = next((i for i, turn in enumerate(turns) if turn["role"] == "user"), 0)
        known = held.get("conversation") or json.dumps(turns[: first + 1])
        meta = {"id": trace["id"], "model": trace["model"], "label": mark or "corrected",
                "group": hashlib.sha256(known.encode()).hexdigest()[:12]}  # fmt: skip
        tools = {"tools": trace["tools"]} if "tools" in trace else {}
        row = {"prompt": turns, "completion": [{"content": ""} | answer], **tools}
        with contextlib.suppress(DataError):  # what was asked need not be a conversation to learn
            rows[_question(row)] = data.check(row) | {"meta": meta}
    return list(rows.values())


def question(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the last message of the user: the input, as drift and reviewers see it."""
    return next((str(t["content"]) for t in reversed(messages) if t["role"] == "user"), "")


def _question(row: data.Row) -> str:
    return json.dumps([data.prompt(row), row.get("tools")], sort_keys=True)


def checked(
    rows: Sequence[data.Row], held_out: Sequence[data.Row] = ()
) -> tuple[list[data.Row], list[str]]:
    """Return rows without those in which the doctor finds an error, and what it found.

    No row may repeat one of `held_out`.
    """
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder, "rows.jsonl"), Path(folder, "held-out.jsonl")
        data.write(train, rows)
        if held_out:
            data.write(test, held_out)
        report = examine(train, eval_path=test if held_out else None)
    errors = [found for found in report.findings if found.severity == "error"]
    bad = {line for found in errors for line in found.lines}
    kept = [row for number, row in enumerate(rows, 1) if number not in bad]
    return kept, [f"{found.count} left out: {found.what}" for found in errors]


def next_round(
    client: Any, rows: Sequence[data.Row], *, replay: Sequence[data.Row] = (),
    held_out: Sequence[data.Row], score: Score, suffix: str = "next", model: str = "live",
    hyperparameters: Mapping[str, Any] | None = None, max_tokens: int = 256,
    folder: str | Path = "runs/loop", say: Callable[[str], None] = lambda line: None,
) -> Round:  # fmt: skip
    """Train the model in service on new rows and old ones; promote the result if it is better.

    Args:
        client: an `openai.OpenAI` of `ftlab serve`.
        rows: new ones, such as `rows_from_traces` returns.
        replay: rows that were trained on before, so that they are not forgotten.
        held_out: rows on which both models answer; what of them is in the others is left out there.
        score: the name of a task, or a function of a row and an answer; 1 is the best.
        suffix: part of the new model's name.
        model: the model in service.
        hyperparameters: of the job; by default the service's own choice.
        max_tokens: of an answer to a held-out row.
        folder: where answers are kept, so that none is asked for twice.
        say: called with each line of progress.

    Raises:
        DataError: nothing to train on, or nothing held out.
        ModelError: the job failed, or the service refused something.
    """
    if not held_out:
        raise DataError("No held-out rows: without them nobody knows which model is better.")
    every = {_question(row): row for row in [*replay, *rows]}  # of one question the new row
    training, left_out = checked(list(every.values()), held_out)
    for line in left_out:
        say(line)
    if not training:
        raise DataError("No row to train on. Label traces as good, or correct them; give replay.")
    with _refusals():
        job = _job(client, training, held_out, model, suffix, hyperparameters)
        say(f"{job.id}: {len(training)} rows, on {job.model}")
        job = _ended(client, job, say)
        new, before = job.fine_tuned_model, job.metadata["in_service"]
        cache = AnswerCache(Path(folder, "answers.jsonl"))
        outputs = {name: _answers(client, name, held_out, max_tokens, cache)
                   for name in (before, new)}  # fmt: skip
    task = tasks.get(score) if isinstance(score, str) else _task(score)
    comparison = compare(task, held_out, outputs)
    pair = comparison.pairs[0]
    better = pair.shown and pair.difference.low > 0
    decision = f"Refused: it is not shown to be better. {before} stays in service."
    if better:
        decision = f"Promoted: live is {new} now."
        body = {"model": new, "note": comparison.sentence}
        with _refusals():
            client.post("/models/live", body=body, cast_to=object)
    return Round(new, better, f"{comparison.sentence}\n{decision}", comparison)


def rollback(client: Any) -> str:
    """Put the model before the last promotion in service again; return its name.

    Raises:
        ModelError: nothing was promoted.
    """
    with _refusals():
        return str(client.post("/models/live/rollback", cast_to=object)["model"])


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Tell of the service's refusals as errors that a user can mend."""
    import openai

    try:
        yield
    except openai.APIError as error:
        raise ModelError(f"The service refused, or is not there: {error.message}") from None


def _job(
    client: Any, training: Sequence[data.Row], held_out: Sequence[data.Row], model: str,
    suffix: str, hyperparameters: Mapping[str, Any] | None,
) -> Any:  # fmt: skip
    """Return the job of these rows, which may have been created before."""
    with tempfile.TemporaryDirectory() as folder:
        file = data.write(Path(folder, "a"), training, format="openai", drop_meta=True)
        content = file.read_bytes()
    more = json.dumps([data.fingerprint(held_out), suffix, hyperparameters], sort_keys=True)
    key = hashlib.sha256(content + more.encode()).hexdigest()[:24]
    for job in client.fine_tuning.jobs.list(metadata={"loop": key}):
        if job.status not in ("failed", "cancelled"):
            return job
    name = f"loop-{key}.jsonl"
    uploaded = next((file for file in client.files.list() if file.filename == name), None)
    uploaded = uploaded or client.files.create(file=(name, content), purpose="fine-tune")
    asked = client.models.retrieve(model)
    before = getattr(asked, "model", asked.id)  # of `live`, the model that it stands for
    method = {"type": "supervised", "supervised": {"hyperparameters": dict(hyperparameters or {})}}
    return client.fine_tuning.jobs.create(
        model=before, training_file=uploaded.id, suffix=suffix, seed=0, method=method,
        metadata={"loop": key, "in_service": before},
    )  # fmt: skip


def _ended(client: Any, job: Any, say: Callable[[str], None]) -> Any:
    """Wait until a job is over, and tell of its newest event when that is another one."""
    told = ""
    while job.status not in ("succeeded", "failed", "cancelled"):
        newest = client.fine_tuning.jobs.list_events(job.id, limit=1).data
        if newest and newest[0].message != told:
            say(told := newest[0].message)
        time.sleep(1)
        job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status != "succeeded":
        raise ModelError(f"{job.id} {job.status}: {job.error.message if job.error else 'by hand'}")
    return job


def _answers(
    client: Any, name: str, rows: Sequence[data.Row], max_tokens: int, cache: AnswerCache
) -> list[str]:
    """Return a model's greedy answers, which are not stored as traces."""
    teacher = Teacher(client, name, answer_tokens=max_tokens, temperature=0)
    requests = []
    for row in rows:
        tools = {"tools": row["tools"]} if row.get("tools") else {}
        requests.append(Request(data.prompt(row), more={"store": False, **tools}))
    found = [answer for _, answer in answers(teacher, requests, cache, at_once=AT_ONCE)]
    if lacking := next((answer for answer in found if isinstance(answer, NoAnswer)), None):
        raise ModelError(f"The service refused, or is not there: {lacking}")
    return [answer.text for answer in found if isinstance(answer, Answer)]


def _task(score: Callable[[data.Row, str], float]) -> Task:
    """Return a task that marks by a function; of the one that it is made from it has no more."""

    marked = lambda row, text: {"score": Ratio(float(score(row, text)), 1)}
    return replace(tasks.get("style"), name="score", headline="score", parse=str, score=marked)
