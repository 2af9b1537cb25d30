"""Answers to many prompts, from a model or an adapter.

Greedy answers are those of transformers' `model.generate` to one prompt at a time, in a fraction of
its time: `ftlab.decoding` says how, `benchmarks/generation.py` how much.

>>> from ftlab import models                                                    # doctest: +SKIP
>>> model, tokenizer = models.load("smollm2-135m")                              # doctest: +SKIP
>>> question = [{"role": "user", "content": "What is the capital of France?"}]  # doctest: +SKIP
>>> generate(model, tokenizer, [question])                                      # doctest: +SKIP
['The capital of France is Paris.']
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ftlab.errors import ConfigError

__all__ = ["Progress", "context_length", "continue_text", "generate", "split_thought"]

Progress = Callable[[int, int, float], None]


def generate(
    model: Any, tokenizer: Any, conversations: Sequence[Sequence[dict[str, Any]]], *,
    max_new_tokens: int = 256, batch_size: int = 200, temperature: float = 0.0,
    seed: int | Sequence[int] = 0, progress: Progress | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None, thoughts: bool = False,
) -> list[str]:  # fmt: skip
    """Return the model's answer to each conversation, in the order given.

    An answer ends where the template ends a turn; special tokens are not part of it, nor is a
    thought before it. Of the model's generation settings, its end tokens and its repetition
    penalty are kept.

    Args:
        model: a causal LM, or an adapter on one.
        tokenizer: the model's.
        conversations: messages of each prompt, the last one from the user.
        max_new_tokens: most tokens in an answer.
        batch_size: most prompts at once; with long prompts there are fewer, to save memory.
            Answers do not depend on it.
        temperature: 0 is greedy; above it, sampling.
        seed: of the sampling. An answer follows from it and its prompt's place in the list; with a
            list of seeds, one for each prompt, an answer is the one that this prompt gets alone.
        progress: called with (done, all, seconds left) after `batch_size` answers each, and at the
            end.
        rows: where each prompt is from: the template gets its tools and chat_template_kwargs.
        thoughts: keep thoughts; one that the prompt opens begins with <think> too.

    Raises:
        ConfigError: a value out of range, or a prompt that leaves no room in the context.
    """
    _check(max_new_tokens, batch_size, temperature)
    report = _reporter(progress, len(conversations), batch_size)
    from ftlab.templates import prompt_text, text_ids

    if rows is not None and len(rows) != len(conversations):
        raise ConfigError(
            f"{len(rows)} rows for {len(conversations)} conversations: give one for each, in order."
        )
    begun = [
        prompt_text(tokenizer, turns, row.get("tools"), **(row.get("chat_template_kwargs") or {}))
        for turns, row in zip(conversations, rows or [{}] * len(conversations), strict=True)
    ]
    prompts = text_ids(tokenizer, begun) if begun else []
    places = range(len(prompts))
    seeds = [(seed, i) for i in places] if isinstance(seed, int) else [(s, 0) for s in seed]
    sampling = {"temperature": temperature, "seeds": seeds}
    texts = _from_model(model, tokenizer, prompts, max_new_tokens, batch_size, sampling, report)
    if "<think>" in str(tokenizer.chat_template):  # an answer may begin in a thought
        texts = [f"<think>{text}" if prompt.rstrip().endswith("<think>") else text
                 for prompt, text in zip(begun, texts, strict=True)]  # fmt: skip
    return texts if thoughts else [split_thought(text)[1] for text in texts]


def context_length(model: Any) -> int | None:
    """Return how many tokens a model's context holds, that of its text part; None if unknown."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def stops_and_pad(model: Any, tokenizer: Any) -> tuple[list[int], int]:
    """Return the tokens that end an answer, by the template or the model, and one to fill up."""
    from ftlab.templates import end_of_turn_ids

    own = model.generation_config.eos_token_id
    own = own if isinstance(own, list) else [own]
    stops = [*end_of_turn_ids(tokenizer), *(token for token in own if token is not None)]
    return stops, stops[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def split_thought(text: str) -> tuple[str | None, str]:
    """Return the thought before an answer, None if there is none, and the answer.

    A thought that does not end leaves no answer.

    >>> split_thought("<think>\\n3 + 4\\n</think>\\n\\nSeven."), split_thought("<think> 3 +")
    (('3 + 4', 'Seven.'), ('3 +', ''))
    """
    if not text.lstrip().startswith("<think>"):
        return None, text
    thought, _, answer = text.lstrip().removeprefix("<think>").partition("</think>")
    return thought.strip(), answer.lstrip()


def continue_text(
    model: Any, tokenizer: Any, text: str, *, max_new_tokens: int = 256, temperature: float = 0.0,
    seed: int = 0,
) -> str:  # fmt: skip
    """Return how the model goes on with plain `text`, without the chat template.

    Raises:
        ConfigError: a value out of range or no room in the context.
    """
    _check(max_new_tokens, 1, temperature)
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    if not ids:
        raise ConfigError("There is no text to continue; give at least a character.")
    sampling = {"temperature": temperature, "seeds": [(seed, 0)]}
    return _from_model(model, tokenizer, [ids], max_new_tokens, 1, sampling, lambda: None)[0]


def _check(max_new_tokens: int, batch_size: int, temperature: float) -> None:
    if max_new_tokens < 1 or batch_size < 1 or temperature < 0:
        raise ConfigError(
            "max_new_tokens and batch_size must be at least 1 and temperature at least 0; got "
            f"{max_new_tokens}, {batch_size} and {temperature}."
        )


def _reporter(progress: Progress | None, total: int, every: int) -> Callable[[], None]:
    """Return what is called at each answer, and calls `progress` after each `every` of them."""
    begun, done = time.perf_counter(), 0

    def report() -> None:
        nonlocal done
        done += 1
        if progress and (done % every == 0 or done == total):
            progress(done, total, (time.perf_counter() - begun) / done * (total - done))

    return report


def _from_model(
    model: Any, tokenizer: Any, prompts: list[list[int]], max_new_tokens: int, batch_size: int,
    sampling: dict[str, Any], report: Callable[[], None],
) -> list[str]:  # fmt: skip
    """Generate from token ids: in batches, or one by one where a batch could change answers."""
    from ftlab.decoding import decode, has_plain_cache

    if not prompts:
        return []
    context = context_length(model)
    longest = max(map(len, prompts))
    if context and longest + 1 > context:
        raise ConfigError(
            f"The longest prompt has {longest} tokens, and the model's context holds {context}. "
            "Shorten it."
        )
    limits = [min(max_new_tokens, context - len(p)) if context else max_new_tokens for p in prompts]
    stops, pad = stops_and_pad(model, tokenizer)
    if has_plain_cache(model, longest + max(limits)):
        found = decode(model, prompts, limits, stops, pad, batch_size=batch_size, **sampling)
    else:
        found = _one_by_one(model, prompts, limits, stops, pad, **sampling)
    answers = [""] * len(prompts)
    training = model.training
    model.eval()
    try:
        for index, tokens in found:
            answers[index] = tokenizer.decode(tokens, skip_special_tokens=True)
            report()
    finally:
        model.train(training)
    return answers


def _one_by_one(
    model: Any, prompts: list[list[int]], limits: list[int], stops: list[int], pad: int, *,
    temperature: float, seeds: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, list[int]]]:  # fmt: skip
    """Answer one prompt at a time with transformers' own loop."""
    import torch

    options: dict[str, Any] = {"do_sample": False}
    if temperature:
        options = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    for index, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
        ids = torch.tensor([prompt], device=model.device)
        with torch.random.fork_rng():
            torch.manual_seed(sum(seeds[index]))
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit,
                eos_token_id=stops, pad_token_id=pad, **options,
            )  # fmt: skip
        answer = out[0, len(prompt) :].tolist()
        yield index, answer[:-1] if answer and answer[-1] in stops else answer
