"""Rows of a batch that come and go, each with its own settings: under `ftlab.serving.engine`."""

from collections import Counter
from typing import Any

import torch

from ftlab.decoding import CACHED, _Batch, _Row
from ftlab.serving.engine import BASE, HOOKS, Ask, Token


class Rows(_Batch):
    """The batch of `ftlab.decoding` without an end, and with settings for each row."""

    def __init__(self, model: Any, stops: list[int], pad: int, size: int) -> None:
        super().__init__(model, [[pad]], pad, size, 0.0, [(0, 0)])
        self.prompts, self.seeds, self.waiting, self.prefix = {}, {}, [], []  # type: ignore[assignment]
        self.most, self.stops, self.asks = size, stops, dict[int, Ask]()
        self.names: dict[int, str] = {}  # the adapter of each request
        self._matchers: dict[int, Any] = {}
        self._tokens: dict[int, Token] = {}
        self._next = 0

    @property
    def busy(self) -> bool:
        """Whether anything waits or is being answered."""
        return bool(self.waiting) or not all(row.done for row in self.rows)

    def add(self, ask: Ask, adapter: str, matcher: Any) -> None:
        """Let a request join at the next step."""
        number, self._next = self._next, self._next + 1
        self.prompts[number], self.seeds[number] = ask.prompt, (ask.seed, 0)  # type: ignore[index]
        self.asks[number], self.names[number] = ask, adapter
        if matcher is not None:
            self._matchers[number] = matcher
        self.waiting.insert(0, number)  # they are taken from the end

    def _make_room(self) -> None:
        """Say how many rows the memory holds, and put those that waited longest in order."""
        live = [row.index for row in self.rows if not row.done]
        oldest = self.waiting[-self.most :]
        longest = max(len(self.prompts[i]) + self.asks[i].limit for i in [*live, *oldest])
        self.size = max(1, min(self.most, CACHED // longest))
        count = max(0, min(self.size - len(live), len(self.waiting)))
        if count:  # in a forward pass the last is the longest
            taken = sorted(self.waiting[-count:], key=lambda i: len(self.prompts[i]))
            self.waiting[-count:] = taken

    @torch.inference_mode()
    def advance(self) -> list[tuple[Ask, Token | None]]:
        """Add a token to rows; return each with its request, and None behind an answer's last."""
        for row in self.rows:
            if not row.done and self.asks[row.index].over:
                row.done = True
        told: list[tuple[Ask, Token | None]] = []
        for number, ask in list(self.asks.items()):
            if ask.over:
                told.append((ask, None))
                self._forget(number)
        if not self.busy:
            return told
        self._make_room()
        for row, token in self.step():
            ask, matcher = self.asks[row.index], self._matchers.get(row.index)
            if token not in self.stops:
                row.answer.append(token)
                told.append((ask, self._tokens[row.index]))
            full = len(row.answer) >= ask.limit
            if token in self.stops or full or (matcher is not None and matcher.is_stopped()):
                row.done = True
                told.append((ask, None))
                self._forget(row.index)
        return told

    def _forget(self, number: int) -> None:
        if number in self.waiting:
            self.waiting.remove(number)
        held: Any
        for held in (self.asks, self.names, self._matchers, self._tokens, self.prompts, self.seeds):
            held.pop(number, None)

    def _forward(
        self, ids: list[list[int]], own: list[int], cache: Any, rows: list[_Row]
    ) -> torch.Tensor:
        if not hasattr(self.model, HOOKS):
            return super()._forward(ids, own, cache, rows)
        names = [self.names.get(row.index, BASE) for row in rows]
        with getattr(self.model, HOOKS)(adapter_names=names):
            return super()._forward(ids, own, cache, rows)

    def _pick(self, rows: list[_Row], logits: torch.Tensor) -> list[tuple[_Row, int]]:
        """Choose a token for each row that is not done, from its logits, [rows, vocabulary]."""
        return [(row, self._pick_one(row, self.asks[row.index], scores.float()))
                for row, scores in zip(rows, logits, strict=True) if not row.done]  # fmt: skip

    def _pick_one(self, row: _Row, ask: Ask, raw: torch.Tensor) -> int:
        scores = raw.clone()
        self._penalise(row, scores)
        for token, more in ask.bias.items():
            scores[token] += more
        if ask.frequency_penalty or ask.presence_penalty:
            for token, often in Counter(row.answer).items():
                scores[token] -= ask.frequency_penalty * often + ask.presence_penalty
        matcher = self._matchers.get(row.index)
        if matcher is not None:
            scores = _masked(matcher, scores)
        if ask.temperature:
            chances = (scores / ask.temperature).softmax(-1).double().cpu()
            order = torch.arange(len(chances))
            if ask.top_p < 1:  # the fewest tokens whose chances reach top_p (Holtzman et al. 2020)
                chances, order = chances.sort(descending=True)
                chances = chances * (chances.cumsum(-1) - chances < ask.top_p)
            total = chances.cumsum(-1)
            draw = torch.tensor([row.random.random()], dtype=torch.float64)
            place = torch.searchsorted(total, draw * total[-1], right=True)
            token = int(order[place.clamp(max=len(total) - 1)])
        else:
            token = int(scores.argmax())
        if matcher is not None:
            matcher.consume_token(token)
        told = Token(token)
        if ask.logprobs is not None:
            logs = raw.log_softmax(-1)
            top = logs.topk(ask.logprobs)
            likely = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
            told = Token(token, float(logs[token]), likely)
        self._tokens[row.index] = told
        return token


def _masked(matcher: Any, scores: torch.Tensor) -> torch.Tensor:
    """Return the scores with -inf where the grammar allows no token."""
    import llguidance.torch as guide

    mask = guide.allocate_token_bitmask(1, scores.shape[-1])
    guide.fill_next_token_bitmask(matcher, mask, 0)
    masked = scores.cpu().clone()[None]
    guide.apply_token_bitmask_inplace(masked, mask)
    return masked[0]
