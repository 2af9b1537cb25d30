"""Synthesis: prompts to a teacher, its answers cleaned, judged and kept, until there are enough.

    request --teacher--> raw answer --cache--> cleaned --judge--> train.jsonl
                                                            \\---> train.rejected.jsonl

The inputs come from the task's own generator. The teacher is told the task, is shown a few solved
examples, and writes the completion; the task then judges it by its own score: code is run in the
sandbox, JSON is compared field by field. A run that was killed goes on where it was when the same
call is made again (see `ftlab.curation.answer_cache`).

>>> import tempfile, pathlib
>>> from ftlab.curation import teachers
>>> out = pathlib.Path(tempfile.mkdtemp()) / "train.jsonl"
>>> made = synthesise("triage", 3, teachers.get("program"), out, progress=False)
>>> len(made.accepted), made.stopped
(3, 'complete')
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import Judge, Judged, Synthesis, expected, run
from ftlab.curation.cleaning import clean
from ftlab.curation.teachers import Answer, Request, Teacher
from ftlab.errors import ConfigError, raise_unknown

ACCEPT = {
    "punctuation": {"words_kept": 1.0, "f1": 0.8},  # commas are a matter of taste
    "unit_tests": {"passes": 1.0, "style": 1.0},
}
"""The least that an answer must score to become a record; elsewhere 1.0 on the headline metric."""
EXAMPLES_SEED = 7919  # of the solved examples; a caller's own seed is seldom this


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
    concurrency: int = 4,
    max_requests: int | None = None,
    progress: bool = True,
) -> Synthesis:
    """Have a teacher write the completions of a task's inputs, until `n` are accepted.

    Call it again with the same arguments to go on after a stop; a larger `n` extends the file.

    Args:
        task: the task's name.
        n: records wanted.
        teacher: who answers; see `ftlab.curation.teachers.get`.
        out: the JSONL file to make or to go on with; rejects and answers lie beside it.
        seed: of the inputs.
        split: of the inputs, "train" or "test".
        shots: solved examples that the teacher is shown; none of them is among the inputs.
        accept: the least that an answer must score, by metric; by default `ACCEPT`.
        concurrency: most requests at one time.
        max_requests: most answers, those of earlier runs included; by default 2 n.
        progress: show the estimate first, then a bar, on stderr.

    Raises:
        ConfigError: an unknown task or metric, or a number out of range.
        DataError: `out` is not from such a run.
        ModelError: the teacher gives no answers; what was accepted is kept.
    """
    requests, inputs = _plan(task, n, teacher, seed, split, shots, max_requests)
    wanted = _wanted(task, accept, next(iter(inputs.values())))
    return run(
        requests,
        teacher,
        _judge(task, inputs, wanted, teacher),
        out,
        n=n,
        concurrency=concurrency,
        max_requests=max_requests,
        progress=progress,
    )


def estimate(
    task: str,
    n: int,
    teacher: Teacher,
    *,
    seed: int = 0,
    split: str = "train",
    shots: int = 3,
    prices: tuple[float, float] | None = None,
) -> str:
    """Say what `synthesise` with these arguments would take; nothing is asked.

    Args:
        task: as in `synthesise`, and so are `n`, `teacher`, `seed`, `split` and `shots`.
        n: see above.
        teacher: see above.
        seed: see above.
        split: see above.
        shots: see above.
        prices: of a million tokens in prompts, and in answers.
    """
    return expected(_plan(task, n, teacher, seed, split, shots, n)[0], teacher, prices)


def _plan(
    task: str, n: int, teacher: Teacher, seed: int, split: str, shots: int, most: int | None
) -> tuple[list[Request], dict[str, data.Row]]:
    """Return the requests in order, and the records that they are made of."""
    from ftlab import tasks

    if n < 1 or shots < 0:
        raise ConfigError(f"n must be at least 1 and shots at least 0; got {n} and {shots}.")
    it = tasks.get(task)
    settings = {"task": task, "teacher": teacher.name, "seed": seed, "split": split, "shots": shots}
    most = max(n, 2 * n if most is None else most)
    shown = it.examples(shots, EXAMPLES_SEED + seed, split="train") if shots else []
    known = {data.prompt(record)[-1]["content"] for record in shown}
    drawn = it.up_to(most + shots, seed, split=split)
    told = {"role": "system", "content": f"{it.describe}\n\nAnswer with what is asked for alone."}
    before: list[dict[str, str]] = [told]
    for record in shown:
        before += [*data.prompt(record)[-1:], {"role": "assistant", "content": data.answer(record)}]
    requests: list[Request] = []
    inputs: dict[str, data.Row] = {}
    for record in drawn:
        if data.prompt(record)[-1]["content"] in known or len(requests) == most:
            continue
        messages = (*before, *data.prompt(record)[-1:])
        key = key_of(settings, len(requests), messages)
        requests.append(Request(key, messages, data.answer(record)))
        inputs[key] = record
    return requests, inputs


def key_of(settings: Mapping[str, Any], index: int, messages: Sequence[Mapping[str, str]]) -> str:
    """Return the name of a request: 16 hex digits of the hash of all that makes it."""
    text = json.dumps([settings, index, list(messages)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _wanted(task: str, accept: Mapping[str, float] | None, record: data.Row) -> dict[str, float]:
    """Return the least score by metric, after checking that there are such metrics."""
    from ftlab import tasks

    it = tasks.get(task)
    wanted = dict(accept) if accept is not None else ACCEPT.get(task, {it.headline: 1.0})
    metrics = it.score(record, data.answer(record))
    for name in wanted:
        if name not in metrics:
            raise_unknown(f"metric of {task}", name, metrics)
    return wanted


def _judge(
    task: str, inputs: Mapping[str, data.Row], wanted: Mapping[str, float], teacher: Teacher
) -> Judge:
    """Return the judge that lets the task score an answer."""
    from ftlab import tasks

    it = tasks.get(task)

    def judge(request: Request, answer: Answer) -> Judged:
        text, cleaned = clean(answer.text)
        if not answer.finished:
            return Judged(None, "cut off: longer than an answer may be", cleaned)
        parsed = it.parse(text)
        if not parsed.strip():
            return Judged(None, "empty", cleaned)
        if parsed.strip() != text.strip():
            cleaned = (*cleaned, "by the task's parser")
        record = inputs[request.key]
        metrics = {name: ratio.value for name, ratio in it.score(record, parsed).items()}
        # nan is a metric with nothing to count, which is no fault.
        short = [name for name, least in wanted.items() if metrics[name] < least]
        if short:
            reason = ", ".join(f"{name} below {wanted[name]:g}" for name in short)
            told = {name: value for name, value in metrics.items() if not math.isnan(value)}
            return Judged(None, reason, cleaned, told)
        meta = {**data.meta(record), "teacher": teacher.name}
        return Judged(data.example(data.prompt(record), parsed, **meta), cleaned=cleaned)

    return judge
