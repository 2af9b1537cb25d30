"""The systems being compared, and how each is asked: plain, with instructions, with examples.

A tuned model is compared fairly only with the best that prompting gets out of its base, and with
what one would do without a language model. So a line-up is

    base                       the task's own prompt
    base + instructions        the same with a text in front
    base + 4 examples          four solved examples as earlier turns of the conversation
    tuned, tuned + instructions
    hosted, hosted + 4 examples     behind an endpoint, given as hosted=http://…/v1#its-name
    triage baseline            the task's `baseline`, where it has one: here a linear model

Examples come from training records. Instructions stand at the head of the first user turn, for
not every chat template has a system turn.

>>> shot = data.example("2 + 2?", "4")
>>> base = System("base", "smollm2-135m", instructions="Be brief.", few_shot_examples=(shot,))
>>> for turn in base.asks(data.prompt(data.example("1 + 1?", "2"))):
...     print(turn)
{'role': 'user', 'content': 'Be brief.\\n\\n2 + 2?'}
{'role': 'assistant', 'content': '4'}
{'role': 'user', 'content': '1 + 1?'}
"""

import importlib
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.endpoint import Answer, NoAnswer, Teacher
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.tasks import Task

OPTIONS = "chat_template_kwargs"


@dataclass(frozen=True)
class System:
    """A way to answer: a model and how it is asked, or the task's own baseline."""

    name: str
    model: str | None
    """A shipped name, a folder, a hub id, or URL#NAME at an endpoint; None for the task's own
    baseline."""
    kind: str = "base"  # "base", "tuned", "endpoint" or "baseline": which price it has
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

    system: System
    texts: list[str]  # as they came, thoughts included
    tokens_in: list[int] | None
    """Tokens of each prompt, chat template included; None without a language model."""
    tokens_out: list[int] | None  # tokens of each answer, the end of the turn not counted
    seconds: float
    """For all the answers, in the batches they were made in; loading the model is not in it."""
    cut: int = 0  # answers that the limit on their length ended
    refused: int = 0  # requests that an endpoint refused; their texts are empty


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
        name, model, kind = _named(given, "tuned" if found else "base")
        found.append(System(name, model, kind))
        if instructions:
            found.append(System(f"{name} + instructions", model, kind, instructions))
        if examples and (kind == "endpoint" or given == base):
            word = "example" if len(examples) == 1 else "examples"
            full = f"{name} + {len(examples)} {word}"
            found.append(System(full, model, kind, few_shot_examples=tuple(examples)))
    if baseline is not None:
        if not has_baseline(baseline):
            raise ConfigError(
                f"The task {baseline.name} has no baseline without a language model. "
                "Leave --baseline away."
            )
        found.append(System(f"{baseline.name} baseline", None, "baseline"))
    return found


_ENDPOINT = re.compile(
    r"(?:(?P<label>[^=/#]+)=)?(?P<model>(?P<url>https?://[^\s#]+)#(?P<name>\S+))"
)


def _named(given: str, kind: str) -> tuple[str, str, str]:
    """Return the label, the model and the kind of what was given."""
    if not (match := _ENDPOINT.fullmatch(given)):
        return given, given, kind
    return match["label"] or match["name"], match["model"], "endpoint"


def at_endpoint(model: str | None) -> tuple[str, str] | None:
    """Return the URL and the name of a model behind an endpoint; None for any other.

    >>> at_endpoint("http://localhost:8000/v1#qwen"), at_endpoint("runs/mine")
    (('http://localhost:8000/v1', 'qwen'), None)
    """
    match = _ENDPOINT.fullmatch(model or "")
    return (match["url"], match["name"]) if match else None


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
    held = {_question(record) for record in held_out}
    if any(_question(record) in held for record in chosen):
        raise DataError(
            "A held-out record is among the training records from which the examples are taken, so "
            "its answer would stand in the prompt. Take the held-out records out of them."
        )
    return chosen


def _question(record: data.Row) -> str:
    return data.prompt(record)[-1]["content"]


# Answering.


def answer(
    system: System, model: Any, tokenizer: Any, records: Sequence[data.Row], *,
    max_new_tokens: int = 256, batch_size: int = 32,
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
        len(prompt_ids(tokenizer, prompt, row.get("tools"), **(row.get(OPTIONS) or {})))
        for prompt, row in zip(prompts, records, strict=True)
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
        model, tokenizer, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size,
        progress=progress, rows=records, thoughts=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    tokens_out = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    full = context or math.inf
    cut = sum(size >= min(max_new_tokens, full - into)
              for into, size in zip(tokens_in, tokens_out, strict=True))  # fmt: skip
    return Answers(system, texts, tokens_in, tokens_out, seconds, cut)


def answer_at_endpoint(
    system: System, teacher: Teacher, records: Sequence[data.Row], *,
    cache: AnswerCache | None = None, at_once: int = 8,
    progress: Callable[[int, int, float], None] | None = None,
) -> Answers:  # fmt: skip
    """Let a model behind an endpoint answer the records as the system is asked.

    `cache` is where answers are taken from and kept, so that none is paid twice; `progress` is
    called with (done, all, seconds left) after every 32 answers.

    Raises:
        ConfigError: a record has tools, which are asked otherwise; or the key is refused.
        ModelError: a request came to nothing; the answers so far are kept.
        OfflineError: the endpoint cannot be reached.
    """
    if any(row.get("tools") for row in records):
        raise ConfigError(
            f"{system.name}: records with tools cannot be compared behind an endpoint, whose tool "
            "calls have a form of their own. Compare models on this machine."
        )
    begun = time.perf_counter()
    found: list[Answer] = []
    refused = 0
    requests = [Request(system.asks(data.prompt(record))) for record in records]
    with closing(answers(teacher, requests, cache, at_once=at_once)) as stream:
        for _, answer in stream:
            if isinstance(answer, NoAnswer) and not answer.lasting:
                raise ModelError(
                    f"{system.name} did not answer record {len(found) + 1}: {answer}. Every answer "
                    "so far is kept; the same command goes on."
                )
            refused += isinstance(answer, NoAnswer)
            found.append(Answer("") if isinstance(answer, NoAnswer) else answer)
            if progress and len(found) % 32 == 0:
                left = (time.perf_counter() - begun) / len(found) * (len(records) - len(found))
                progress(len(found), len(records), left)
    return Answers(
        system, [one.text for one in found], [one.tokens_in for one in found],
        [one.tokens_out for one in found], sum(one.seconds for one in found) / min(
            at_once, len(found)), sum(not one.finished for one in found), refused,
    )  # fmt: skip


def has_baseline(task: Task) -> bool:
    """Whether the task has a `baseline`, an answer without a language model."""
    return callable(getattr(_home(task), "baseline", None))


def answer_baseline(
    system: System, task: Task, train_records: Sequence[data.Row], records: Sequence[data.Row],
) -> Answers:  # fmt: skip
    """Let the task's own baseline learn from the training records and answer the held-out ones."""
    begun = time.perf_counter()
    texts = _home(task).baseline(train_records, records)
    return Answers(system, texts, None, None, time.perf_counter() - begun)


def _home(task: Task) -> Any:
    """Return the module of a task: its marking lives there, and its baseline if it has one."""
    return importlib.import_module(task.score.__module__)
