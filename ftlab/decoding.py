"""The loop under `generate`: many prompts at once, and no row runs on when its answer has ended.

    slot 0   [ prompt + answer ........ ]      rows end at the same column, so that one forward
    slot 1         [ prompt + answer .. ]      adds a token to each; what lies before a row's
    slot 2   done: the next prompt moves in    first token is masked

Four things make it fast: the prompts' common beginning is computed once; keys and values are
written in place (transformers' dynamic cache copies all of them at every token); a finished row
makes room for a prompt that waits, or is dropped; logits are computed for last tokens alone.
Admitting sequences while others run is from Orca (Yu et al., 2022,
https://www.usenix.org/conference/osdi22/presentation/yu).

This module imports torch and transformers at its top; `generate` imports it when called.
"""

import inspect
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

SPARE = 64  # columns kept free, so that the cache is copied once in so many tokens
TURNOVER = 8  # rows are admitted or dropped when one in so many is done
PREFILL = 4096  # most prompt tokens in one forward


class _Layer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, columns, size]; columns start:end are in use."""

    held: list[torch.Tensor]
    start = end = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new columns behind the old ones, and return all that are in use."""
        new = (key_states, value_states)
        count = key_states.shape[-2]
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.held = [states[:, :, :0] for states in new]
            self.is_initialized = True
            self.arrange(None, 0, count + SPARE)
        elif self.end + count > self.held[0].shape[-2]:
            self.arrange(None, self.end - self.start, count + SPARE)
        for held, states in zip(self.held, new, strict=True):
            held[:, :, self.end : self.end + count] = states
        self.end += count
        self.keys, self.values = (held[:, :, self.start : self.end] for held in self.held)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return how many columns are in use; transformers asks for it to make the mask."""
        return self.end - self.start

    def arrange(self, rows: list[int] | None, width: int, spare: int = SPARE) -> None:
        """Copy the rows (None: all) into fresh memory, ending at column `width`."""
        kept = min(width, self.end - self.start)
        for number, held in enumerate(self.held):
            old = held[:, :, self.end - kept : self.end]
            count = len(old) if rows is None else len(rows)
            fresh = old.new_empty(count, old.shape[1], width + spare, old.shape[-1])
            # What is masked is still multiplied by a weight of 0, and must be finite.
            fresh[:, :, : width - kept] = 0
            fresh[:, :, width - kept : width] = old if rows is None else old[rows]
            self.held[number] = fresh
        self.start, self.end = width - kept, width


@dataclass
class _Row:
    """A prompt that is being answered."""

    index: int
    length: int
    """Tokens in the cache: the prompt and the answer but for its last token."""
    chance: random.Random
    answer: list[int] = field(default_factory=list)


def decode(
    model: Any,
    prompts: list[list[int]],
    rooms: list[int],
    stops: list[int],
    pad: int,
    *,
    batch_size: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of the prompt, tokens of its answer) as answers end, without the stop token.

    A model whose memory is not plain keys and values (state space, prompt tuning) is left to
    transformers, one prompt at a time.

    Args:
        model: a causal LM of transformers, or a PeftModel around one.
        prompts: token ids, each at least one.
        rooms: most tokens of each answer.
        stops: tokens that end an answer.
        pad: a token to fill up with.
        batch_size: rows at once.
        temperature: 0 is greedy; above it, one draw a token from a stream that `seed` and the
            prompt's number fix, so that an answer does not depend on who else is in the batch.
    """
    if not _plain(model):
        yield from _alone(model, prompts, rooms, stops, pad, temperature, seed)
        return
    batch = _Batch(model, prompts, pad, batch_size, temperature, seed)
    ends = set(stops)
    while batch.waiting or any(batch.rows):
        for slot, token in batch.step():
            row = batch.rows[slot]
            assert row is not None
            if token not in ends:
                row.answer.append(token)
            if token in ends or len(row.answer) == rooms[row.index]:
                batch.rows[slot] = None
                yield row.index, row.answer


class _Batch:
    """Rows in slots over one cache."""

    def __init__(
        self, model: Any, prompts: list[list[int]], pad: int, size: int, heat: float, seed: int
    ):
        self.model, self.prompts, self.pad, self.heat, self.seed = model, prompts, pad, heat, seed
        base = _base(model)
        self.accepted = set(inspect.signature(type(base).forward).parameters)
        self.penalty = base.generation_config.repetition_penalty or 1.0
        # The longest first: the short ones fill the gaps at the end.
        self.waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        self.rows: list[_Row | None] = [None] * min(size, len(prompts))
        self.cache = _cache()
        self.seen: torch.Tensor | None = None
        windows = [
            layer.sliding_window
            for layer in DynamicCache(config=base.config).layers
            if isinstance(layer, DynamicSlidingWindowLayer)
        ]
        self.prefix = _common(prompts, windows)
        self.shared = _cache()
        if self.prefix:
            self._forward([self.prefix], [[1] * len(self.prefix)], self.shared)

    def step(self) -> list[tuple[int, int]]:
        """Admit prompts, or add a token to every row; return the (slot, token) that are new."""
        free = [slot for slot, row in enumerate(self.rows) if row is None]
        turn = len(free) * TURNOVER >= len(self.rows)
        if turn and self.waiting:
            return self._admit(free)
        if turn:
            self._drop()
        lengths = [row.length if row else 1 for row in self.rows]
        width = max(lengths)
        for layer in self.cache.layers:
            layer.start = layer.end - width
        last = [[row.answer[-1] if row else self.pad] for row in self.rows]
        mask = [[0] * (width - length) + [1] * (length + 1) for length in lengths]
        logits = self._forward(last, mask, self.cache)
        live = [slot for slot, row in enumerate(self.rows) if row]
        for slot in live:
            self.rows[slot].length += 1  # type: ignore[union-attr]
        return self._pick(live, logits[live] if len(live) < len(self.rows) else logits)

    def _admit(self, free: list[int]) -> list[tuple[int, int]]:
        """Compute prompts that wait, as many as fit, and move them into free slots."""
        longest = len(self.prompts[self.waiting[-1]])
        count = min(len(free), len(self.waiting), max(1, PREFILL // longest))
        slots, indices = free[:count], [self.waiting.pop() for _ in range(count)]
        common = len(self.prefix)
        rests = [self.prompts[index][common:] for index in indices]
        wide = longest - common
        cache = _cache()
        if common:
            for number, layer in enumerate(self.shared.layers):
                keys, values = (s.expand(count, -1, -1, -1) for s in (layer.keys, layer.values))
                cache.update(keys, values, number)
        logits = self._forward(
            [[self.pad] * (wide - len(rest)) + rest for rest in rests],
            [[1] * common + [0] * (wide - len(rest)) + [1] * len(rest) for rest in rests],
            cache,
        )
        for number, layer in enumerate(cache.layers):
            if number == len(self.cache.layers):
                self.cache.update(
                    *(s.new_zeros(len(self.rows), s.shape[1], longest, s.shape[3])
                      for s in (layer.keys, layer.values)), number,
                )  # fmt: skip
            mine = self.cache.layers[number]
            if mine.end < longest:
                mine.arrange(None, longest)
            for place, slot in enumerate(slots):
                rest = len(rests[place])
                for held, read in zip(mine.held, (layer.keys, layer.values), strict=True):
                    held[slot, :, mine.end - rest : mine.end] = read[place, :, -rest:]
                    held[slot, :, mine.end - rest - common : mine.end - rest] = read[
                        place, :, :common
                    ]
        for slot, index in zip(slots, indices, strict=True):
            chance = random.Random(f"{self.seed} {index}")
            self.rows[slot] = _Row(index, len(self.prompts[index]), chance)
            if self.penalty != 1.0:
                if self.seen is None:
                    self.seen = logits.new_zeros(len(self.rows), logits.shape[1], dtype=torch.bool)
                self.seen[slot] = False
                self.seen[slot, self.prompts[index]] = True
        return self._pick(slots, logits)

    def _drop(self) -> None:
        """Keep the rows that are not done, and no others."""
        live = [slot for slot, row in enumerate(self.rows) if row]
        if len(live) == len(self.rows):
            return
        self.rows = [self.rows[slot] for slot in live]
        width = max(row.length for row in self.rows if row)
        for layer in self.cache.layers:
            layer.arrange(live, width)
        if self.seen is not None:
            self.seen = self.seen[live]

    def _forward(self, ids: list[list[int]], mask: list[list[int]], cache: Any) -> torch.Tensor:
        """Run the model on new tokens; return the logits of the last one, [rows, vocabulary]."""
        seen = torch.tensor(mask)
        positions = (seen.cumsum(1) - 1).clamp(min=0)[:, -len(ids[0]) :]
        given = {
            "input_ids": torch.tensor(ids), "attention_mask": seen, "position_ids": positions,
        }  # fmt: skip
        given = {k: v.to(self.model.device) for k, v in given.items() if k in self.accepted}
        short = {"logits_to_keep": 1} if "logits_to_keep" in self.accepted else {}
        return self.model(**given, **short, past_key_values=cache, use_cache=True).logits[:, -1]

    def _pick(self, slots: list[int], logits: torch.Tensor) -> list[tuple[int, int]]:
        """Choose a token for each slot from its logits, [slots, vocabulary]."""
        logits = logits.float()
        if self.seen is not None:  # Keskar et al. 2019, https://arxiv.org/abs/1909.05858
            fined = torch.where(logits > 0, logits / self.penalty, logits * self.penalty)
            logits = torch.where(self.seen[slots], fined, logits)
        if self.heat:
            total = (logits / self.heat).softmax(-1).cpu().double().cumsum(-1)
            draws = [self.rows[slot].chance.random() for slot in slots]  # type: ignore[union-attr]
            at = torch.tensor(draws, dtype=torch.float64)[:, None] * total[:, -1:]
            tokens = torch.searchsorted(total, at, right=True)[:, 0].clamp(max=total.shape[1] - 1)
        else:
            tokens = logits.argmax(-1)
        picked = tokens.tolist()
        if self.seen is not None:
            self.seen[slots, picked] = True
        return list(zip(slots, picked, strict=True))


def _common(prompts: list[list[int]], windows: list[int]) -> list[int]:
    """Return the tokens that all prompts begin with, if they can be computed once for all.

    While prompts are read there is padding between prefix and rest, which a window would count.
    """
    if len(prompts) < 2 or max(map(len, prompts)) > min(windows, default=2**31):
        return []
    ends = (prompt[:-1] for prompt in prompts)  # a token is left to compute for each
    return [column[0] for column in takewhile(lambda c: len(set(c)) == 1, zip(*ends))]  # noqa: B905


def _cache() -> Any:
    return Cache(layer_class_to_replicate=_Layer)


def _base(model: Any) -> Any:
    """Return the model of transformers itself, from within an adapter's wrapping."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _plain(model: Any) -> bool:
    """Say whether all that the model remembers of a text is keys and values."""
    base = _base(model)
    if base is not model and model.active_peft_config.is_prompt_learning:
        return False
    if "past_key_values" not in inspect.signature(type(base).forward).parameters:
        return False
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    return all(type(layer) in plain for layer in DynamicCache(config=base.config).layers)


def _alone(
    model: Any,
    prompts: list[list[int]],
    rooms: list[int],
    stops: list[int],
    pad: int,
    temperature: float,
    seed: int,
) -> Iterator[tuple[int, list[int]]]:
    """Answer one prompt at a time with transformers' own loop."""
    how: dict[str, Any] = {"do_sample": False}
    if temperature:
        how = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    for index, (prompt, room) in enumerate(zip(prompts, rooms, strict=True)):
        ids = torch.tensor([prompt], device=model.device)
        with torch.random.fork_rng():
            torch.manual_seed(seed + index)
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=room,
                eos_token_id=stops, pad_token_id=pad, **how,
            )  # fmt: skip
        row = out[0, len(prompt) :].tolist()
        yield index, row[:-1] if row and row[-1] in stops else row
