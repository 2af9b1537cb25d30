"""Teachers: what writes the answers of training examples. A prompt goes in, a raw answer comes out.

    program   the task's own offline generator: no network, no key, always right (or as flawed as
              asked for, to practise on)
    openai    any endpoint that speaks OpenAI's protocol; see `ftlab.endpoint`
    local     a Hugging Face model on this machine

>>> teacher = get("program")
>>> request = Request("k1", ({"role": "user", "content": "Capital of France?"},), known="Paris.")
>>> teacher.ask([request])[0].text
'Paris.'
"""

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from ftlab.endpoint import Answer, NoAnswer, Request, Teacher, connect
from ftlab.errors import ConfigError, raise_unknown

__all__ = ["NAMES", "Answer", "NoAnswer", "Request", "Teacher", "get"]

NAMES = ("local", "openai", "program")


def get(kind: str, model: str | None = None, **options: Any) -> Teacher:
    """Return a teacher.

    Args:
        kind: "program", "openai" or "local".
        model: the model's name at the endpoint, or what `ftlab.models.load` takes.
        options: for program `flaws`; for openai `base_url`, `api_key`, `answer_tokens`,
            `temperature`, `timeout` (seconds) and `retries`; for local `answer_tokens`,
            `temperature` and `together` (prompts in a batch).

    Raises:
        ConfigError: an unknown kind, or a model or key is missing.
        ModelError: the endpoint or the machine has no such model.
        OfflineError: the endpoint cannot be reached.
    """
    if kind == "program":
        return program(**options)
    if kind == "openai":
        return connect(model, **options)
    if kind == "local":
        if not model:
            raise ConfigError("The teacher local needs a model: --model NAME, or model=NAME.")
        return local(model, **options)
    raise_unknown("teacher", kind, NAMES)


# The program.


def program(flaws: float = 0.0) -> Teacher:
    """Return the teacher that gives each task's own answers, offline.

    Args:
        flaws: share of answers, from 0 to 1, that are spoilt as hosted models spoil them: a
            preamble, code fences, chatter behind, or broken off in the middle. Which ones follows
            from the request's key.
    """
    if not 0 <= flaws <= 1:
        raise ConfigError(f"flaws is a share from 0 to 1, got {flaws}.")

    def ask(requests: Sequence[Request]) -> list[Answer]:
        answers = []
        for request in requests:
            rng = random.Random(request.key)
            spoil = rng.choice(_FLAWS) if rng.random() < flaws else str
            text = spoil(request.known)
            size = sum(len(message["content"]) for message in request.messages)
            answers.append(Answer(text, size // 4, len(text) // 4))
        return answers

    return Teacher("program" if not flaws else f"program (flaws {flaws:g})", ask)


_FLAWS: tuple[Callable[[str], str], ...] = (
    lambda text: f"Sure! Here is the answer:\n\n{text}",
    lambda text: f"```\n{text}\n```",
    lambda text: f"Here it is:\n```\n{text}\n```\nLet me know if you need anything else!",
    lambda text: f"{text}\n\nI hope this helps!",
    lambda text: text[: len(text) // 2],
)

# A model on this machine.


def local(
    model: Any,
    *,
    answer_tokens: int = 512,
    temperature: float = 0.0,
    together: int = 8,
) -> Teacher:
    """Return a Hugging Face model as a teacher.

    Args:
        model: a shipped name, a folder or a hub id; or a pair (model, tokenizer) that is loaded.
        answer_tokens: most tokens in an answer.
        temperature: 0 is greedy; above it, sampling, fixed by the request's key.
        together: prompts in a batch.

    Raises:
        ModelError: the model cannot be found or loaded.
        ConfigError: a value out of range.
    """
    from ftlab import models
    from ftlab.generation import generate

    if answer_tokens < 1 or together < 1 or temperature < 0:
        raise ConfigError(
            "answer_tokens and together must be at least 1 and temperature at least 0; got "
            f"{answer_tokens}, {together} and {temperature}."
        )
    name = model if isinstance(model, str | os.PathLike) else "model"
    net, tokenizer = model if isinstance(model, tuple) else models.load(model)

    def ask(requests: Sequence[Request]) -> list[Answer]:
        from ftlab.templates import prompt_ids

        texts = generate(
            net,
            tokenizer,
            [request.messages for request in requests],
            max_new_tokens=answer_tokens,
            batch_size=together,
            temperature=temperature,
            seed=int(requests[0].key, 16) % 2**32,
        )
        answers = []
        for request, text in zip(requests, texts, strict=True):
            out = len(tokenizer(text, add_special_tokens=False)["input_ids"])
            size = len(prompt_ids(tokenizer, request.messages))
            answers.append(Answer(text, size, out, out < answer_tokens))
        return answers

    return Teacher(f"local:{name}", ask, together=together, at_once=1)
