"""The loop under `ftlab.generation`: many prompts at once.

    row 0   [ shared prefix | prompt 0, answer 0 ..... ]   all rows end at the same column, so that
    row 1   [ shared prefix | -- prompt 1, answer 1 .. ]   one forward pass adds a token to each
    row 2   [ shared prefix | ------ prompt 2 ........ ]   -- is masked

It differs from transformers' batched `generate` in this:

- The tokens with which all prompts begin (a system text, solved examples) are computed once.
- Keys and values are written in place; transformers' dynamic cache copies all of them per token.
- A finished row is dropped, or makes room for a prompt that waits (continuous batching: Yu et al.
  2022, https://www.usenix.org/conference/osdi22/presentation/yu).
- The tokens in the cache are limited, so that long prompts do not exhaust the memory.
"""

import contextlib
import inspect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

SPARE = 64  # free columns behind the used ones: the cache is copied once in so many tokens
TURNOVER = 8  # rows are dropped or admitted when one in so many is done: that copies the cache too
PREFILL = 4096  # most prompt tokens in one forward pass
CACHED = 32_768  # most tokens in the cache; SmolLM2-135M keeps 46 kB in float32 for each: 1.5 GB


class _Layer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, columns, size], with spare columns behind."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new columns behind the used ones; return all that are used."""
        new = (key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.memory = [states[:, :, :0] for states in new]
        for number, states in enumerate(new):
            if end > self.memory[number].shape[-2]:
                grown = states.new_empty(*states.shape[:2], end + SPARE, states.shape[-1])
                grown[:, :, :begin] = self.memory[number][:, :, :begin]
                self.memory[number] = grown
            self.memory[number][:, :, begin:end] = states
        self.keys, self.values = (memory[:, :, :end] for memory in self.memory)
        return self.keys, self.values

    def arrange(self, rows: list[int], other: Any, prefix: int, width: int) -> None:
        """Keep some rows, add those of another layer, and leave `width` columns in use."""
        added = [other.keys, other.values] if other else [self.keys[:0], self.values[:0]]
        for number, states in enumerate([self.keys, self.values]):
            count, heads, size = len(rows) + len(added[number]), states.shape[1], states.shape[-1]
            # What is masked is still multiplied by a weight of 0, so it must be finite.
            fresh = states.new_zeros(count, heads, width + SPARE, size)
            parts = ((states[rows], fresh[: len(rows)]), (added[number], fresh[len(rows) :]))
            for part, place in parts:
                own = min(part.shape[2], width) - prefix
                place[:, :, :prefix] = part[:, :, :prefix]
                place[:, :, width - own : width] = part[:, :, part.shape[2] - own :]
            self.memory[number] = fresh
        self.keys, self.values = (memory[:, :, :width] for memory in self.memory)


@dataclass(eq=False)
class Row:
    """A prompt that is being answered, and how its tokens are chosen."""

    prompt: list[int]
    limit: int = 256  # most tokens of the answer
    temperature: float = 0.0
    """0 is greedy; above it, one draw a token from a stream that `seed` fixes, so that an answer
    does not depend on the batch it is in."""
    top_p: float = 1.0
    """The fewest tokens whose chances reach it are drawn from (Holtzman et al. 2020)."""
    seed: tuple[int, int] = (0, 0)
    adapter: str | None = None  # by peft's name for it; None for the one that is active
    answer: list[int] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random("{} {}".format(*self.seed))

    @property
    def cached(self) -> int:
        """Tokens in the cache: prompt and answer, but for the answer's last."""
        return len(self.prompt) + max(len(self.answer) - 1, 0)

    @property
    def full(self) -> bool:
        """Whether nothing may follow what is written."""
        return len(self.answer) >= self.limit

    def pick(self, scores: torch.Tensor, penalty: float) -> int:
        """Choose a token by the model's scores, [vocabulary]."""
        return self.draw(self.penalised(scores, penalty))

    def penalised(self, scores: torch.Tensor, penalty: float) -> torch.Tensor:
        """Lower what was there before: Keskar et al. 2019, https://arxiv.org/abs/1909.05858."""
        if penalty == 1.0:
            return scores
        seen, scores = list({*self.prompt, *self.answer}), scores.clone()
        was = scores[seen]
        scores[seen] = torch.where(was > 0, was / penalty, was * penalty)
        return scores

    def draw(self, scores: torch.Tensor) -> int:
        """Return the likeliest token, or one drawn at this row's temperature."""
        if not self.temperature:
            return int(scores.argmax())
        chances = (scores / self.temperature).softmax(-1).cpu().double()
        order = torch.arange(len(chances))
        if self.top_p < 1:
            chances, order = chances.sort(descending=True)
            chances = chances * (chances.cumsum(-1) - chances < self.top_p)
        total = chances.cumsum(-1)
        drawn = torch.tensor([self._random.random()], dtype=torch.float64)
        place = torch.searchsorted(total, drawn * total[-1], right=True)
        return int(order[place.clamp(max=len(total) - 1)])


def decode(
    model: Any, prompts: list[list[int]], limits: list[int], stops: list[int], pad: int, *,
    batch_size: int, temperature: float = 0.0, seeds: Sequence[tuple[int, int]] | None = None,
) -> Iterator[tuple[int, list[int]]]:  # fmt: skip
    """Yield (number of the prompt, tokens of its answer) as answers end, without the stop token.

    Args:
        model: a causal LM of transformers or a PeftModel, of which `has_plain_cache` is true.
        prompts: token ids, each at least one; at least one prompt.
        limits: most tokens of each answer.
        stops: tokens that end an answer.
        pad: a token to fill up with.
        batch_size: most rows at once.
        temperature: 0 is greedy.
        seeds: a pair for each prompt, of its stream of draws; by default (0, its number).
    """
    longest = max(map(len, prompts)) + max(limits)
    size = min(batch_size, max(1, CACHED // longest))
    seeds = seeds or [(0, number) for number in range(len(prompts))]
    rows = [Row(prompt, limit, temperature, seed=seed)
            for prompt, limit, seed in zip(prompts, limits, seeds, strict=True)]  # fmt: skip
    places = {row: number for number, row in enumerate(rows)}
    batch = Batch(model, stops, pad, size, _common(prompts))
    # The longest first, so that prompts of one pass need little padding.
    batch.waiting = sorted(rows, key=lambda row: len(row.prompt))
    while batch.busy:
        for row in batch.step():
            if row.done:
                yield places[row], row.answer


class Batch:
    """Rows that are answered together, over one cache; more may join those that wait."""

    def __init__(
        self, model: Any, stops: list[int], pad: int, size: int, prefix: Sequence[int] = ()
    ) -> None:
        self.model, self.stops, self.pad, self.size = model, stops, pad, size
        base = getattr(model, "get_base_model", lambda: model)()  # a PeftModel wraps it
        self.accepted = set(inspect.signature(type(base).forward).parameters)
        self.penalty = base.generation_config.repetition_penalty or 1.0
        self.waiting: list[Row] = []  # taken from the end
        self.rows: list[Row] = []
        self.cache: Any = Cache(layer_class_to_replicate=_Layer)
        self.shared: Any = Cache(layer_class_to_replicate=_Layer)
        self.prefix: list[int] = []
        if prefix:
            self._forward([[*prefix]], [len(prefix)], self.shared, [])
            self.prefix = [*prefix]

    @property
    def busy(self) -> bool:
        """Whether anything waits or is being answered."""
        return bool(self.waiting) or not all(row.done for row in self.rows)

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Admit prompts, or add a token to every row; return the rows that took a step."""
        live = [row for row in self.rows if not row.done]
        if self.waiting and (self.size - len(live)) * TURNOVER >= self.size:
            return self._admit(live)
        if (len(self.rows) - len(live)) * TURNOVER >= len(self.rows):
            self._arrange(live)
        ids = [[row.answer[-1] if row.answer else self.pad] for row in self.rows]
        own = [row.cached + 1 - len(self.prefix) for row in self.rows]
        return self._write(self.rows, self._forward(ids, own, self.cache, self.rows))

    def _admit(self, live: list[Row]) -> list[Row]:
        """Compute prompts that wait, as many as fit, and put them behind the live rows."""
        common = len(self.prefix)
        wide = len(self.waiting[-1].prompt) - common
        count = min(self.size - len(live), len(self.waiting), max(1, PREFILL // wide))
        new = [self.waiting.pop() for _ in range(count)]
        rests = [row.prompt[common:] for row in new]
        cache = Cache(layer_class_to_replicate=_Layer)
        for number, layer in enumerate(self.shared.layers if common else []):
            keys, values = (s.expand(count, -1, -1, -1) for s in (layer.keys, layer.values))
            cache.update(keys, values, number)
        padded = [[self.pad] * (wide - len(rest)) + rest for rest in rests]
        logits = self._forward(padded, [len(rest) for rest in rests], cache, new)
        self._arrange(live, new, cache)
        return self._write(new, logits)

    def _arrange(self, live: list[Row], new: list[Row] | None = None, cache: Any = None) -> None:
        """Drop the rows that are done, add new ones with their cache."""
        rows = [number for number, row in enumerate(self.rows) if not row.done]
        self.rows = [*live, *(new or [])]
        if not live:  # then there are new ones
            self.cache = cache
            return
        width = max(row.cached for row in self.rows)
        for number, layer in enumerate(self.cache.layers):
            layer.arrange(rows, cache and cache.layers[number], len(self.prefix), width)
            if cache:
                cache.layers[number] = None  # frees its memory before the next layer is copied

    @torch.inference_mode()
    def _forward(
        self, ids: list[list[int]], own: list[int], cache: Any, rows: list[Row]
    ) -> torch.Tensor:
        """Run the model on the new `ids` of each of `rows`, filled up at the left.

        Of each row the shared prefix and so many last columns as `own` says are not masked. Returns
        the logits of the last token, [rows, vocabulary].
        """
        width = cache.get_seq_length() + len(ids[0])
        columns = torch.arange(width)
        mask = (columns < len(self.prefix)) | (columns >= width - torch.tensor(own)[:, None])
        given: dict[str, Any] = {
            "input_ids": torch.tensor(ids),
            "attention_mask": mask.long(),
            "position_ids": (mask.cumsum(1) - 1).clamp(min=0)[:, -len(ids[0]) :],
        }
        given = {name: tensor.to(self.model.device) for name, tensor in given.items()}
        given |= {"logits_to_keep": 1, "past_key_values": cache, "use_cache": True}
        given = {name: value for name, value in given.items() if name in self.accepted}
        with adapted(self.model, [row.adapter for row in rows]):
            return self.model(**given).logits[:, -1]

    def _write(self, rows: list[Row], logits: torch.Tensor) -> list[Row]:
        """Add a token to each row that is not done, or end it; logits are [rows, vocabulary]."""
        live = [(row, scores) for row, scores in zip(rows, logits, strict=True) if not row.done]
        for row, scores in live:
            token = row.pick(scores.float(), self.penalty)
            if token not in self.stops:
                row.answer.append(token)
            row.done = token in self.stops or row.full
        return [row for row, _ in live]


HOOKS = "_enable_peft_forward_hooks"  # of a PeftModel alone: it gives each row its adapter


def adapted(model: Any, names: list[str | None]) -> Any:
    """Give each row of the next forward pass its adapter, where rows name theirs."""
    if not hasattr(model, HOOKS) or not all(names) or not names:
        return contextlib.nullcontext()
    return getattr(model, HOOKS)(adapter_names=names)


def _common(prompts: list[list[int]]) -> list[int]:
    """Return the tokens that all prompts begin with, less one: each has a last one to compute."""
    columns = zip(*(prompt[:-1] for prompt in prompts))  # noqa: B905 (the shortest decides)
    same = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    return same if len(prompts) > 1 else []


def has_plain_cache(model: Any, longest: int) -> bool:
    """Say whether the model remembers the keys and values of a whole text, and nothing else.

    Not so a state space model, prompt tuning, or a sliding window of fewer than `longest` tokens.
    """
    base = getattr(model, "get_base_model", lambda: model)()
    if base is not model and model.active_peft_config.is_prompt_learning:
        return False
    if "past_key_values" not in inspect.signature(type(base).forward).parameters:
        return False
    return all(
        type(layer) is DynamicLayer
        or (type(layer) is DynamicSlidingWindowLayer and layer.sliding_window >= longest)
        for layer in DynamicCache(config=base.config).layers
    )
