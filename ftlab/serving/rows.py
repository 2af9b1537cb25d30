"""Rows of a batch that come and go, each with its own settings: under `ftlab.serving.engine`."""

from typing import Any

import torch

from ftlab.decoding import CACHED, _Batch, _Row
from ftlab.serving.engine import BASE, HOOKS, Ask, Token

__all__ = ["Rows"]


class Rows(_Batch):
    """The batch of `ftlab.decoding` without an end, and with settings for each row."""

    def __init__(self, model: Any, tokenizer: Any, stops: list[int], size: int) -> None:
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stops[0]
        super().__init__(model, [[pad]], pad, size, 0.0, [(0, 0)])
        self.prompts, self.seeds, self.waiting, self.prefix = {}, {}, [], []  # type: ignore[assignment]
        self.most = size
        self.stops, self.asks = stops, dict[int, Ask]()
        self.names: dict[int, str] = {}
        """The adapter of each request."""
        self._matchers: dict[int, Any] = {}
        self._tokens: dict[int, Token] = {}
        self._order: list[int] = []
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
        gone = [number for number, ask in self.asks.items() if ask.over]
        for number in gone:
            told.append((self.asks[number], None))
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

    def step(self) -> list[tuple[_Row, int]]:
        """As in the batch; the rows of the next forward pass are those that live."""
        self._order = [row.index for row in self.rows]
        return super().step()

    def _admit(self, live: list[_Row]) -> list[tuple[_Row, int]]:
        held, self._order = self._order, self.waiting[::-1]
        found = super()._admit(live)
        self._order = held
        return found

    def _arrange(self, live: list[_Row], new: Any = None, cache: Any = None) -> None:
        if not live and not new:
            return
        super()._arrange(live, new, cache)
        self._order = [row.index for row in self.rows]

    def _forward(self, ids: list[list[int]], own: list[int], cache: Any) -> torch.Tensor:
        if not hasattr(self.model, HOOKS):
            return super()._forward(ids, own, cache)
        names = [self.names.get(number, BASE) for number in self._order[: len(ids)]]
        with getattr(self.model, HOOKS)(adapter_names=names):
            return super()._forward(ids, own, cache)

    def _pick(self, rows: list[_Row], logits: torch.Tensor) -> list[tuple[_Row, int]]:
        """Choose a token for each row that is not done, from its logits, [rows, vocabulary]."""
        live = [number for number, row in enumerate(rows) if not row.done]
        picked = []
        for number in live:
            row, scores = rows[number], logits[number].float()
            token = self._pick_one(row, self.asks[row.index], scores)
            picked.append((row, token))
        return picked

    def _pick_one(self, row: _Row, ask: Ask, scores: torch.Tensor) -> int:
        raw = scores
        if self.penalty != 1.0:
            seen = list({*row.prompt, *row.answer})
            was = scores[seen]
            scores = scores.clone()
            scores[seen] = torch.where(was > 0, was / self.penalty, was * self.penalty)
        if ask.bias or ((ask.frequency_penalty or ask.presence_penalty) and row.answer):
            scores = scores.clone()
            for token, more in ask.bias.items():
                scores[token] += more
            for token in set(row.answer):
                often = row.answer.count(token)
                scores[token] -= ask.frequency_penalty * often + ask.presence_penalty
        matcher = self._matchers.get(row.index)
        if matcher is not None:
            scores = _masked(matcher, scores)
        if ask.temperature:
            chances = (scores / ask.temperature).softmax(-1).double().cpu()
            order = None
            if ask.top_p < 1:  # the fewest tokens whose chances reach top_p (Holtzman et al. 2020)
                chances, order = chances.sort(descending=True)
                kept = chances.cumsum(-1) - chances < ask.top_p
                chances = chances * kept
            total = chances.cumsum(-1)
            draw = torch.tensor([row.random.random()], dtype=torch.float64)
            place = int(torch.searchsorted(total, draw * total[-1], right=True).clamp(
                max=len(total) - 1))  # fmt: skip
            token = int(order[place]) if order is not None else place
        else:
            token = int(scores.argmax())
        if matcher is not None:
            matcher.consume_token(token)
        if ask.logprobs is None:
            self._tokens[row.index] = Token(token)
        else:
            logs = raw.log_softmax(-1)
            best = logs.topk(ask.logprobs) if ask.logprobs else None
            top = (
                tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best else ()
            )
            self._tokens[row.index] = Token(token, float(logs[token]), top)
        return token


def _masked(matcher: Any, scores: torch.Tensor) -> torch.Tensor:
    """Return the scores with -inf where the grammar allows no token."""
    import llguidance.torch as guide

    mask = guide.allocate_token_bitmask(1, scores.shape[-1])
    guide.fill_next_token_bitmask(matcher, mask, 0)
    masked = scores.cpu().clone()[None]
    guide.apply_token_bitmask_inplace(masked, mask)
    return masked[0]
