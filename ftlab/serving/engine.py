"""Many answers at once, from one base and its adapters.

    rows    ada: base, greedy            all in one forward pass, each with its own adapter
            ben: ft:…, temperature 1     (peft's adapter_names), settings and random stream;
            eve: ft:…                    new requests join while others are being answered

The loop is that of `ftlab.decoding`. An answer does not depend on what it is batched with.
"""

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ftlab.decoding import CACHED, _Batch, _Row, has_plain_cache
from ftlab.errors import FtlabError, ModelError
from ftlab.generation import stops_and_pad

TOGETHER = 32  # rows at once
ADAPTERS = 8  # kept in memory beside the base
BASE = "__base__"  # peft's word for no adapter
HOOKS = "_enable_peft_forward_hooks"  # of a PeftModel alone: it gives each row its adapter


@dataclass
class Ask:
    """An answer that is wanted; `tell` gets each token, then None or the error that ended it."""

    prompt: list[int]
    tell: Callable[[int | Exception | None], object]
    limit: int = 256
    folder: Path | None = None  # of the adapter; None for the model that the engine was given
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    over: bool = False  # set when nobody wants the rest


class Engine:
    """A thread that answers; `ask` is for any other thread."""

    def __init__(
        self, base: str = "", *, model: Any = None, tokenizer: Any = None, most: int = 256
    ) -> None:
        """Take a base by name, loaded when it is first asked, or a model with its tokenizer.

        `most` requests may wait or be answered at once.
        """
        self._base, self._model, self.tokenizer, self._most = base, model, tokenizer, most
        self._own = getattr(model, "active_adapter", BASE) if hasattr(model, HOOKS) else BASE
        self._queue: queue.Queue[Ask | None] = queue.Queue()
        self._lock = threading.Lock()
        self._names: OrderedDict[Path, str] = OrderedDict()
        self.open = 0  # answers that wait or are being written
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def load(self) -> Any:
        """Return the model; it is loaded the first time."""
        from ftlab import models

        with self._lock:
            if self._model is None:
                self._model, self.tokenizer = models.load(self._base)
            return self._model

    def ask(self, one: Ask) -> bool:
        """Queue an answer; False if there are too many already."""
        with self._lock:
            if self.open >= self._most:
                return False
            self.open += 1
        self._queue.put(one)
        return True

    def close(self) -> None:
        """Answer nothing more."""
        self._queue.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        batch: Rows | None = None
        while True:
            idle = batch is None or not batch.busy
            arrived: list[Ask] = []
            with contextlib.suppress(queue.Empty):
                while True:
                    one = self._queue.get(block=idle and not arrived)
                    if one is None:
                        return
                    arrived.append(one)
            try:
                if batch is None:
                    model = self.load()
                    batch = Rows(model, *stops_and_pad(model, self.tokenizer), TOGETHER)
                for one in arrived:
                    self._admit(batch, one)
                if batch.busy:
                    for ask, token in batch.advance():
                        self._tell(ask, token)
            except Exception as error:  # whatever it was, nobody is to wait for ever
                lost = {id(ask): ask for ask in [*arrived, *(batch.asks.values() if batch else ())]}
                for ask in lost.values():
                    self._tell(ask, error)
                batch = None

    def _tell(self, ask: Ask, told: int | Exception | None) -> None:
        if not isinstance(told, int):
            with self._lock:
                self.open -= 1
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            ask.tell(told)

    def _admit(self, batch: "Rows", ask: Ask) -> None:
        """Give a request its adapter; what is wrong with that is its error."""
        try:
            if not has_plain_cache(self._model, len(ask.prompt) + ask.limit):
                raise ModelError(
                    f"{type(self._model).__name__} does not keep the keys and values of so many "
                    "tokens. Ask for a shorter answer, or serve it with vLLM (docs/scaling.md)."
                )
            name = self._adapter(batch, ask.folder)
        except Exception as error:
            self._tell(ask, error if isinstance(error, FtlabError) else ModelError(str(error)))
            return
        batch.add(ask, name)

    def _adapter(self, batch: "Rows", folder: Path | None) -> str:
        """Return the name under which peft knows an adapter; it is loaded if it is not yet."""
        from peft import PeftModel

        if folder is None:
            return self._own
        if folder in self._names:
            self._names.move_to_end(folder)
            return self._names[folder]
        name = f"a{time.monotonic_ns()}"
        if isinstance(self._model, PeftModel):
            self._model.load_adapter(str(folder), adapter_name=name)
        else:
            self._model = PeftModel.from_pretrained(self._model, str(folder), adapter_name=name)
            batch.model = self._model
        self._model.eval()
        self._names[folder] = name
        used = set(batch.names.values())
        for old, unused in list(self._names.items()):
            if len(self._names) > ADAPTERS and unused not in used and old != folder:
                self._model.delete_adapter(unused)
                del self._names[old]
        return name


class Rows(_Batch):
    """The batch of `ftlab.decoding` without an end, and with settings for each row."""

    def __init__(self, model: Any, stops: list[int], pad: int, size: int) -> None:
        super().__init__(model, [[pad]], pad, size, 0.0, [(0, 0)])
        self.prompts, self.seeds, self.waiting, self.prefix = {}, {}, [], []  # type: ignore[assignment]
        self.most, self.stops, self.asks = size, stops, dict[int, Ask]()
        self.names: dict[int, str] = {}  # the adapter of each request
        self._next = 0

    @property
    def busy(self) -> bool:
        """Whether anything waits or is being answered."""
        return bool(self.waiting) or not all(row.done for row in self.rows)

    def add(self, ask: Ask, adapter: str) -> None:
        """Let a request join at the next step."""
        number, self._next = self._next, self._next + 1
        self.prompts[number], self.seeds[number] = ask.prompt, (ask.seed, 0)  # type: ignore[index]
        self.asks[number], self.names[number] = ask, adapter
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
    def advance(self) -> list[tuple[Ask, int | None]]:
        """Add a token to rows; return each with its request, and None behind an answer's last."""
        told: list[tuple[Ask, int | None]] = []
        for row in self.rows:
            row.done = row.done or self.asks[row.index].over
        for number, ask in list(self.asks.items()):
            if ask.over:
                told.append((ask, None))
                self._forget(number)
        if not self.busy:
            return told
        self._make_room()
        for row, token in self.step():
            ask = self.asks[row.index]
            if token not in self.stops:
                row.answer.append(token)
                told.append((ask, token))
            if token in self.stops or len(row.answer) >= ask.limit:
                row.done = True
                told.append((ask, None))
                self._forget(row.index)
        return told

    def _forget(self, number: int) -> None:
        if number in self.waiting:
            self.waiting.remove(number)
        held: Any
        for held in (self.asks, self.names, self.prompts, self.seeds):
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
        return [(row, self._choose(row, self.asks[row.index], scores.float()))
                for row, scores in zip(rows, logits, strict=True) if not row.done]  # fmt: skip

    def _choose(self, row: _Row, ask: Ask, scores: torch.Tensor) -> int:
        self._penalise(row, scores)
        if not ask.temperature:
            return int(scores.argmax())
        chances = (scores / ask.temperature).softmax(-1).double().cpu()
        order = torch.arange(len(chances))
        if ask.top_p < 1:  # the fewest tokens whose chances reach top_p (Holtzman et al. 2020)
            chances, order = chances.sort(descending=True)
            chances = chances * (chances.cumsum(-1) - chances < ask.top_p)
        total = chances.cumsum(-1)
        draw = torch.tensor([row.random.random()], dtype=torch.float64)
        place = torch.searchsorted(total, draw * total[-1], right=True)
        return int(order[place.clamp(max=len(total) - 1)])
