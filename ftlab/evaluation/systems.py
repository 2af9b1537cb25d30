"""The systems being compared, and how each is asked: plain, with instructions, with examples.

A tuned model is compared fairly only with the best that prompting gets out of its base, and with
what one would do without a language model. So a line-up is

    base                       the task's own prompt
    base + instructions        the same with a text in front
    base + 4 examples          four solved examples as earlier turns of the conversation
    tuned, tuned + instructions
    hosted, hosted + 4 examples     behind an endpoint, given as hosted=http://…/v1#its-name
    triage baseline            the task's `baseline`, where it has one: here a linear model

`contest` lets them all answer and writes the verdict: this is `ftlab compare`. Examples come from
training records. Instructions stand at the head of the first user turn, for not every chat template
has a system turn.

>>> shot = data.example("2 + 2?", "4")
>>> base = System("base", "smollm2-135m", instructions="Be brief.", few_shot_examples=(shot,))
>>> for turn in base.asks(data.prompt(data.example("1 + 1?", "2"))):
...     print(turn)
{'role': 'user', 'content': 'Be brief.\\n\\n2 + 2?'}
{'role': 'assistant', 'content': '4'}
{'role': 'user', 'content': '1 + 1?'}
"""

import hashlib
import math
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.endpoint import Answer, NoAnswer, Teacher, connect
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.evaluation import forgetting, report
from ftlab.evaluation.compare import NO_RECORDS, Verdict, compare
from ftlab.tasks import Task

_ENDPOINT = re.compile(
    r"(?:(?P<label>[^=/#]+)=)?(?P<model>(?P<url>https?://[^\s#]+)#(?P<name>\S+))"
)
_AT_ONCE = 8  # requests to an endpoint


@dataclass(frozen=True)
class System:
    """A way to answer: a model and how it is asked, or the task's own baseline."""

    name: str
    model: str | None
    """A shipped name, a folder, a hub id, or URL#NAME at an endpoint; None for the task's own
    baseline."""
    instructions: str = ""
    few_shot_examples: tuple[data.Row, ...] = ()

    def asks(self, messages: Sequence[dict[str, str]]) -> tuple[dict[str, str], ...]:
        """Return the messages with which this system is asked a record's messages."""
        system = [dict(turn) for turn in messages if turn["role"] == "system"]
        turns: list[dict[str, Any]] = []
        for shot in self.few_shot_examples:
            turns += [dict(turn) for turn in data.prompt(shot) if turn["role"] != "system"]
            turns.append({"role": "assistant", "content": data.answer(shot)})
        turns += [dict(turn) for turn in messages if turn["role"] != "system"]
        if self.instructions:
            turns[0]["content"] = f"{self.instructions}\n\n{turns[0]['content']}"
        return (*system, *turns)


@dataclass(frozen=True)
class Answers:
    """What a system answered, and what that took."""

    texts: list[str]  # as they came, thoughts included
    tokens_in: list[int] | None
    """Tokens of each prompt, chat template included; None without a language model."""
    tokens_out: list[int] | None  # tokens of each answer, the end of the turn not counted
    seconds: float
    """For all the answers, in the batches they were made in; loading the model is not in it."""
    cut: int = 0  # answers that the limit on their length ended
    refused: int = 0  # requests that an endpoint refused; their texts are empty

    def costs(self) -> dict[str, float | None]:
        """Return tokens in, tokens out and seconds of an answer, on average; None if not known."""
        sums = {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out}
        means = {k: None if v is None else sum(v) / len(v) for k, v in sums.items()}
        return {**means, "seconds": self.seconds / len(self.texts)}


def lineup(
    base: str, tuned: Sequence[str] = (), *, instructions: str = "",
    examples: Sequence[data.Row] = (), baseline: Task | None = None,
) -> list[System]:  # fmt: skip
    """Return the systems of a comparison, the plain base first.

    Args:
        base: the base model: a shipped name, a folder, a hub id, or [LABEL=]URL#NAME.
        tuned: what is compared with it, given likewise.
        instructions: a text for "+ instructions"; empty for none.
        examples: solved examples for the base and for endpoints, "+ k examples"; empty for none.
        baseline: the task whose own baseline takes part.

    Raises:
        ConfigError: the task has no baseline.

    >>> [c.name for c in lineup("b", ["t"], instructions="Think.")]
    ['b', 'b + instructions', 't', 't + instructions']
    """
    found: list[System] = []
    for given in dict.fromkeys([base, *tuned]):
        there = _ENDPOINT.fullmatch(given)
        name = (there["label"] or there["name"]) if there else given
        model = there["model"] if there else given
        found.append(System(name, model))
        if instructions:
            found.append(System(f"{name} + instructions", model, instructions))
        if examples and (there or given == base):
            word = "example" if len(examples) == 1 else "examples"
            full = f"{name} + {len(examples)} {word}"
            found.append(System(full, model, few_shot_examples=tuple(examples)))
    if baseline is not None:
        if baseline.baseline is None:
            raise ConfigError(
                f"The task {baseline.name} has no baseline without a language model. "
                "Leave --baseline away."
            )
        found.append(System(f"{baseline.name} baseline", None))
    return found


def few_shot_examples(
    train_records: Sequence[data.Row], held_out: Sequence[data.Row], k: int, *, seed: int = 0
) -> list[data.Row]:
    """Choose k solved examples for a prompt, at random from the training records.

    Raises:
        ConfigError: there are fewer than k training records.
        DataError: a held-out record is among the chosen ones, which would give its answer away.
    """
    if not 0 <= k <= len(train_records):
        raise ConfigError(
            f"{k} examples were asked for, of {len(train_records)} training records. "
            "Ask for fewer, or give more records."
        )
    chosen = random.Random(seed).sample(list(train_records), k)
    held = {data.prompt(record)[-1]["content"] for record in held_out}
    if any(data.prompt(record)[-1]["content"] in held for record in chosen):
        raise DataError(
            "A held-out record is among the training records from which the examples are taken, so "
            "its answer would stand in the prompt. Take the held-out records out of them."
        )
    return chosen


def answer(
    system: System, model: Any, tokenizer: Any, records: Sequence[data.Row], *,
    max_new_tokens: int = 256,
    progress: Callable[[int, int, float], None] | None = None,
) -> Answers:  # fmt: skip
    """Let a loaded model answer the records as the system is asked, and count what it takes.

    `progress` is called with (done, all, seconds left) after each batch.

    Raises:
        ConfigError: a prompt leaves no room in the model's context.
    """
    from ftlab.generation import context_length, generate
    from ftlab.templates import prompt_ids

    prompts = [system.asks(data.prompt(record)) for record in records]
    tokens_in = [
        len(prompt_ids(tokenizer, p, row.get("tools"), **(row.get("chat_template_kwargs") or {})))
        for p, row in zip(prompts, records, strict=True)
    ]
    context = context_length(model)
    if context and system.few_shot_examples and max(tokens_in) + max_new_tokens > context:
        raise ConfigError(
            f"{system.name}: the longest prompt has {max(tokens_in)} tokens and its answer up "
            f"to {max_new_tokens}; the model's context holds {context}. Give fewer or shorter "
            "examples (--few-shot), or a smaller --max-new-tokens."
        )
    begun = time.perf_counter()
    texts = generate(
        model, tokenizer, prompts, max_new_tokens=max_new_tokens, batch_size=32,
        progress=progress, rows=records, thoughts=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    tokens_out = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    cut = sum(size >= min(max_new_tokens, (context or math.inf) - into)
              for into, size in zip(tokens_in, tokens_out, strict=True))  # fmt: skip
    return Answers(texts, tokens_in, tokens_out, seconds, cut)


def _answer_at_endpoint(
    system: System, teacher: Teacher, records: Sequence[data.Row], cache: AnswerCache | None,
    progress: Callable[[int, int, float], None],
) -> Answers:  # fmt: skip
    """Let a model behind an endpoint answer; `cache` keeps each answer, so none is paid twice."""
    if any(row.get("tools") for row in records):
        raise ConfigError(
            f"{system.name}: records with tools cannot be compared behind an endpoint, whose tool "
            "calls have a form of their own. Compare models on this machine."
        )
    begun = time.perf_counter()
    found: list[Answer] = []
    refused = 0
    requests = [Request(system.asks(data.prompt(record))) for record in records]
    with closing(answers(teacher, requests, cache, at_once=_AT_ONCE)) as stream:
        for _, one in stream:
            if isinstance(one, NoAnswer) and not one.lasting:
                raise ModelError(
                    f"{system.name} did not answer record {len(found) + 1}: {one}. Every answer "
                    "so far is kept; the same command goes on."
                )
            refused += isinstance(one, NoAnswer)
            found.append(Answer("") if isinstance(one, NoAnswer) else one)
            if len(found) % 32 == 0:
                left = (time.perf_counter() - begun) / len(found) * (len(records) - len(found))
                progress(len(found), len(records), left)
    seconds = sum(one.seconds for one in found) / min(_AT_ONCE, len(found))
    return Answers(
        [one.text for one in found], [one.tokens_in for one in found],
        [one.tokens_out for one in found], seconds, sum(not one.finished for one in found), refused,
    )  # fmt: skip


def contest(
    task: Task, records: "Sequence[data.Row]", systems: Sequence[System], *,
    train_records: "Sequence[data.Row]" = (), max_new_tokens: int = 256, seed: int = 0,
    folder: str | os.PathLike[str] | None = None, say: Callable[[str], None] = lambda line: None,
) -> Verdict:  # fmt: skip
    """Let every system answer the same held-out records, and compare them; a model is loaded once.

    Args:
        task: what is asked, and how an answer is marked.
        records: the held-out records.
        systems: who answers, the baseline of all comparisons first (see `lineup`).
        train_records: what a baseline without a language model learns from.
        max_new_tokens: most tokens in an answer.
        seed: of the bootstrap.
        folder: where endpoints' answers are kept, each under the hash of its request, to go on from
            if the comparison is broken off; None keeps none.
        say: called with each line of progress.

    Raises:
        ConfigError: two systems have one name, a prompt does not fit a model, a record has tools
            and is to be answered at an endpoint, or the endpoint refuses the key.
        ModelError: a model cannot be found or read, or an endpoint does not answer.
        OfflineError: an endpoint cannot be reached.
    """
    from ftlab import models

    names = [system.name for system in systems]
    if len(set(names)) < len(names) or not names:
        raise ConfigError(f"Systems with a name of their own are wanted, got {names}.")
    if not records:
        raise ConfigError(NO_RECORDS)
    given: dict[str, Answers] = {}
    general: dict[str, Any] = {}
    made: dict[str, str] = {}
    device = ""
    told = lambda done, total, left: say(f"  {done} of {total}, {left:.0f} s left")
    for name in dict.fromkeys(system.model for system in systems):
        mine = [system for system in systems if system.model == name]
        there = _ENDPOINT.fullmatch(name or "")
        if name is None:
            for system in mine:
                say(f"{system.name} learns from {len(train_records)} records")
                assert task.baseline is not None
                begun = time.perf_counter()
                texts = task.baseline(train_records, records)
                given[system.name] = Answers(texts, None, None, time.perf_counter() - begun)
        elif there:
            url, model_name = there["url"], there["name"]
            teacher = connect(model_name, base_url=url, answer_tokens=max_new_tokens, temperature=0)
            made[name] = f"{model_name} at {url}"
            label = hashlib.sha256(url.encode()).hexdigest()[:8]
            path = Path(folder, "answers", f"endpoint-{label}.jsonl") if folder else None
            for system in mine:
                say(f"{system.name} answers {len(records)} records")
                cache = AnswerCache(path) if path else None
                given[system.name] = _answer_at_endpoint(system, teacher, records, cache, told)
        else:
            made[name] = _identity(name)
            model, tokenizer = models.load(name)
            device = f"{model.device}, {str(model.dtype).removeprefix('torch.')}"
            for system in mine:
                say(f"{system.name} answers {len(records)} records")
                given[system.name] = answer(
                    system, model, tokenizer, records, max_new_tokens=max_new_tokens, progress=told
                )
            texts = [text for _, text in forgetting.general_text()]
            general[name] = forgetting.bits_per_character(model, tokenizer, texts)
    given = {name: given[name] for name in names}
    verdict = compare(
        task, records, {name: one.texts for name, one in given.items()}, seed=seed,
        provenance={
            "models": made, "asked": {system.name: _asked(system) for system in systems},
            "device": device,
            "generation": {"max_new_tokens": max_new_tokens, "decoding": "greedy"},
        },
        costs={name: one.costs() for name, one in given.items()},
        forgetting=forgetting.forgotten(general, seed=seed) if general else {},
    )  # fmt: skip
    return replace(verdict, remarks=[*report.unfinished(given), *verdict.remarks])


def _identity(name: str) -> str:
    """Return what tells a model's weights from others: the folder's SHA-256, or the hub id."""
    from ftlab import models
    from ftlab.files import sha256

    place = models.locate(name)
    if isinstance(place, Path):  # a card tells of the model, and is written to after a verdict
        return f"sha256 {sha256(place, skip=('README.md',))}"
    return f"{place} on the hub"


def _asked(system: System) -> dict[str, Any]:
    """Return how a system was asked, for the provenance."""
    told: dict[str, Any] = {"model": system.model or "none"}
    if system.instructions:
        told["instructions"] = system.instructions
    if system.few_shot_examples:
        pairs = [(data.prompt(shot)[-1], data.answer(shot)) for shot in system.few_shot_examples]
        told["examples"] = [f"{asked['content']} -> {answer}" for asked, answer in pairs]
    return told
