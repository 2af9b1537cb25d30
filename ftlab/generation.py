"""Answers for many prompts, the same from a model, an adapter, a folder, the hub or an endpoint.

Greedy text is that of transformers' `model.generate`, one prompt at a time, and comes in a fraction
of its time: `ftlab.decoding` says how, `benchmarks/generation.py` how much.

>>> from ftlab import tasks                                                     # doctest: +SKIP
>>> model, tokenizer = load("ftlab-7m")                                         # doctest: +SKIP
>>> prompts = [tasks.get("punctuation").prompt("where are you going today")]    # doctest: +SKIP
>>> generate(model, tokenizer, prompts, max_new_tokens=40)                      # doctest: +SKIP
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag

from ftlab.endpoint import NoAnswer, Request, connect
from ftlab.errors import ConfigError, ModelError

__all__ = ["Endpoint", "Progress", "continue_text", "generate", "load"]

Progress = Callable[[int, int, float], None]
AT_ONCE = 8  # most requests that wait at an endpoint


@dataclass(frozen=True)
class Endpoint:
    """A model behind OpenAI's protocol; the key comes from OPENAI_API_KEY."""

    model: str
    url: str
    """Such as http://localhost:8000/v1."""


def load(name: str | os.PathLike[str], **how: Any) -> tuple[Any, Any]:
    """Return what `generate` takes first: a model and its tokenizer, or an Endpoint and None.

    Args:
        name: what `ftlab.models.load` takes, or an endpoint's address with the model behind a #.
        how: passed on to `ftlab.models.load`.

    Raises:
        ConfigError: the address names no model.
        FtlabError: what `ftlab.models.load` raises.

    >>> load("http://localhost:8000/v1#qwen")
    (Endpoint(model='qwen', url='http://localhost:8000/v1'), None)
    """
    if isinstance(name, str) and name.startswith(("http://", "https://")):
        url, model = urldefrag(name)
        if not model:
            raise ConfigError(f"{name} names no model. Write it behind a #: {name}#MODEL")
        return Endpoint(model, url), None
    from ftlab import models

    return models.load(name, **how)


def generate(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Sequence[dict[str, str]]],
    *,
    max_new_tokens: int = 256,
    batch_size: int = 200,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[str]:
    """Return the model's answer to each conversation, in the order given.

    An answer ends where the template ends a turn; special tokens are not part of it. Of the
    model's generation settings, its end tokens and its repetition penalty are kept.

    Args:
        model: a causal LM, an adapter on one, or an Endpoint.
        tokenizer: the model's; None for an Endpoint.
        conversations: messages of each prompt, the last one from the user.
        max_new_tokens: most tokens in an answer.
        batch_size: prompts at once; memory grows with it, answers do not depend on it.
        temperature: 0 is greedy; above it, sampling.
        seed: of the sampling. An answer follows from it and its prompt's place in the list. An
            Endpoint samples as it likes.
        progress: called with (done, all, seconds left) after `batch_size` answers each, and at the
            end.

    Raises:
        ConfigError: a value out of range, or a prompt that leaves no room in the context.
        ModelError: the endpoint gives no answer.
        MissingExtraError: an Endpoint, and the package openai is not installed.
    """
    _check(max_new_tokens, batch_size, temperature)
    tell = _reporter(progress, len(conversations), batch_size)
    if isinstance(model, Endpoint):
        return _asked(model, conversations, max_new_tokens, batch_size, temperature, seed, tell)
    from ftlab.templates import prompt_ids

    prompts = [prompt_ids(tokenizer, messages) for messages in conversations]
    how = {"batch_size": batch_size, "temperature": temperature, "seed": seed}
    return _answers(model, tokenizer, prompts, max_new_tokens, how, tell)


def continue_text(
    model: Any,
    tokenizer: Any,
    text: str,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """Return how the model goes on with plain `text`, without the chat template.

    Raises:
        ConfigError: a value out of range, no room in the context, or an Endpoint, which only chats.
    """
    _check(max_new_tokens, 1, temperature)
    if isinstance(model, Endpoint):
        raise ConfigError(
            f"The endpoint {model.url} answers chats; to continue text, load a model."
        )
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    if not ids:
        raise ConfigError("There is no text to continue; give at least a character.")
    how = {"batch_size": 1, "temperature": temperature, "seed": seed}
    return _answers(model, tokenizer, [ids], max_new_tokens, how, lambda: None)[0]


def _check(max_new_tokens: int, batch_size: int, temperature: float) -> None:
    if max_new_tokens < 1 or batch_size < 1 or temperature < 0:
        raise ConfigError(
            "max_new_tokens and batch_size must be at least 1 and temperature at least 0; got "
            f"{max_new_tokens}, {batch_size} and {temperature}."
        )


def _reporter(progress: Progress | None, total: int, every: int) -> Callable[[], None]:
    """Return what is called at each answer, and calls `progress` at every so many."""
    begun, done = time.perf_counter(), 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress and (done % every == 0 or done == total):
            progress(done, total, (time.perf_counter() - begun) / done * (total - done))

    return tell


def _answers(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    how: dict[str, Any],
    tell: Callable[[], None],
) -> list[str]:
    """Generate from token ids."""
    import torch

    from ftlab.decoding import decode
    from ftlab.templates import end_of_turn_ids

    context = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts), default=0)
    if context and longest + 1 > context:
        raise ConfigError(
            f"The longest prompt has {longest} tokens, and the model's context holds {context}. "
            "Shorten it."
        )
    rooms = [min(max_new_tokens, context - len(p)) if context else max_new_tokens for p in prompts]
    stops = _stops(model, end_of_turn_ids(tokenizer))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stops[0]
    answers = [""] * len(prompts)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for index, tokens in decode(model, prompts, rooms, stops, pad, **how):
                answers[index] = tokenizer.decode(tokens, skip_special_tokens=True)
                tell()
    finally:
        model.train(training)
    return answers


def _stops(model: Any, turn: list[int]) -> list[int]:
    """Return where to stop: the end of a turn, and what the model itself names as an end."""
    own = model.generation_config.eos_token_id
    own = own if isinstance(own, list) else [own]
    return list(dict.fromkeys([*turn, *(token for token in own if token is not None)]))


def _asked(
    endpoint: Endpoint,
    conversations: Sequence[Sequence[dict[str, str]]],
    max_new_tokens: int,
    batch_size: int,
    temperature: float,
    seed: int,
    tell: Callable[[], None],
) -> list[str]:
    """Ask an endpoint, several requests at a time."""
    teacher = connect(
        endpoint.model,
        base_url=endpoint.url,
        answer_tokens=max_new_tokens,
        temperature=temperature,
    )

    def ask(index: int) -> str:
        messages = tuple(dict(message) for message in conversations[index])
        key = repr((endpoint, messages, max_new_tokens, temperature, seed, index))
        request = Request(hashlib.sha256(key.encode()).hexdigest(), messages)
        try:
            return teacher.ask([request])[0].text
        except NoAnswer as error:
            raise ModelError(
                f"{endpoint.model} at {endpoint.url} gave no answer to prompt {index + 1}: {error}."
            ) from None

    with ThreadPoolExecutor(min(batch_size, AT_ONCE)) as pool:
        waiting = [pool.submit(ask, index) for index in range(len(conversations))]
        try:
            for future in as_completed(waiting):
                future.result()
                tell()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in waiting]
