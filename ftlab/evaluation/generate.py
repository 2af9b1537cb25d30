"""Generate answers for many prompts: batched, sorted by length, stopping where a turn ends.

>>> from ftlab import models, tasks                                             # doctest: +SKIP
>>> model, tokenizer = models.load("ftlab-7m")                                  # doctest: +SKIP
>>> prompts = [tasks.get("punctuation").prompt("where are you going today")]    # doctest: +SKIP
>>> generate(model, tokenizer, prompts, max_new_tokens=40)                      # doctest: +SKIP
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from ftlab.errors import ConfigError

Progress = Callable[[int, int, float], None]


def generate(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Sequence[dict[str, str]]],
    *,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[str]:
    """Return the model's answer to each conversation, in the order given.

    Prompts are padded on the left, and sorted by length so that little is padded. Generation stops
    at the template's end of turn; special tokens are not part of the answer.

    Args:
        conversations: messages of each prompt, the last one from the user.
        max_new_tokens: most tokens in an answer.
        batch_size: prompts per batch.
        temperature: 0 is greedy; above it, sampling with `seed`.
        progress: called with (done, all, seconds left) after each batch.

    Raises:
        ConfigError: a value out of range, or a prompt that leaves no room in the context.
    """
    from ftlab.templates import prompt_ids

    prompts = [prompt_ids(tokenizer, messages) for messages in conversations]
    return _answers(
        model, tokenizer, prompts, max_new_tokens, batch_size, temperature, seed, progress
    )


def continue_text(
    model: Any,
    tokenizer: Any,
    text: str,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """Return how the model goes on with plain `text`, without the chat template."""
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    return _answers(model, tokenizer, [ids], max_new_tokens, 1, temperature, seed, None)[0]


def _answers(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    batch_size: int,
    temperature: float,
    seed: int,
    progress: Progress | None,
) -> list[str]:
    """Generate from token ids; the arguments are those of `generate`."""
    import torch

    from ftlab.templates import end_of_turn_ids

    if max_new_tokens < 1 or batch_size < 1 or temperature < 0:
        raise ConfigError(
            "max_new_tokens and batch_size must be at least 1 and temperature at least 0; got "
            f"{max_new_tokens}, {batch_size} and {temperature}."
        )
    context = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts), default=0)
    if context and longest + 1 > context:
        raise ConfigError(
            f"The longest prompt has {longest} tokens, and the model's context holds {context}. "
            "Shorten it."
        )
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    stops = _stops(model, end_of_turn_ids(tokenizer))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stops[0]
    how: dict[str, Any] = {"do_sample": False}
    if temperature:
        torch.manual_seed(seed)
        how = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    answers = [""] * len(prompts)
    begun, done = time.perf_counter(), 0
    training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = len(prompts[batch[-1]])
        ids = torch.tensor([[pad] * (width - len(prompts[i])) + prompts[i] for i in batch])
        mask = torch.tensor(
            [[0] * (width - len(p)) + [1] * len(p) for p in (prompts[i] for i in batch)]
        )
        room = max_new_tokens if context is None else min(max_new_tokens, context - width)
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=room,
                eos_token_id=stops,
                pad_token_id=pad,
                **how,
            )
        for index, row in zip(batch, out[:, width:].tolist(), strict=True):
            cut = next((k for k, token in enumerate(row) if token in stops), len(row))
            answers[index] = tokenizer.decode(row[:cut], skip_special_tokens=True)
        done += len(batch)
        if progress:
            spent = time.perf_counter() - begun
            progress(done, len(order), spent / done * (len(order) - done))
    model.train(training)
    return answers


def _stops(model: Any, turn: list[int]) -> list[int]:
    """Return where to stop: the end of a turn, and what the model itself names as an end."""
    own = model.generation_config.eos_token_id
    own = own if isinstance(own, list) else [own]
    return list(dict.fromkeys([*turn, *(token for token in own if token is not None)]))
