"""Many answers at once, from one base and its adapters.

    rows    ada: base, greedy            all in one forward pass, each with its own adapter
            ben: ft:…, temperature 1     (peft's adapter_names), settings and random stream;
            eve: ft:…, a JSON schema     new requests join while others are being answered

The loop is that of `ftlab.decoding`. An answer does not depend on what it is batched with.
"""

import contextlib
import json
import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ftlab.decoding import CACHED, HOOKS, Batch, Row, has_plain_cache
from ftlab.errors import ConfigError, FtlabError, ModelError
from ftlab.generation import stops_and_pad

TOGETHER = 32  # rows at once
ADAPTERS = 8  # kept in memory beside the base
BASE = "__base__"  # peft's word for no adapter


@dataclass(frozen=True)
class Token:
    """One token of an answer, with what is known of it."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens in its place, with their log-probabilities."""


@dataclass(eq=False, kw_only=True)
class Ask(Row):
    """One answer that is wanted; `tell` gets each token, then None or the error that ended it."""

    tell: Callable[[Token | Exception | None], None]
    folder: Path | None = None  # of the adapter; None for the model that the engine was given
    logprobs: int | None = None
    """How many likely tokens are wanted for each; None for no log-probabilities."""
    bias: dict[int, float] = field(default_factory=dict)
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    grammar: str | None = None  # what llguidance keeps the answer to
    over: bool = False  # set when nobody wants the rest
    matcher: Any = None  # where the answer stands in its grammar
    token: Token | None = None  # the newest

    @property
    def full(self) -> bool:
        """Whether nothing may follow what is written."""
        return super().full or (self.matcher is not None and self.matcher.is_stopped())

    def pick(self, scores: torch.Tensor, penalty: float) -> int:
        """Choose a token as all settings say, and note what is known of it."""
        chosen = self.penalised(scores, penalty).clone()
        for token, more in self.bias.items():
            chosen[token] += more
        if self.frequency_penalty or self.presence_penalty:
            for token, often in Counter(self.answer).items():
                chosen[token] -= self.frequency_penalty * often + self.presence_penalty
        if self.matcher is not None:
            chosen = _masked(self.matcher, chosen)
        token = self.draw(chosen)
        if self.matcher is not None:
            self.matcher.consume_token(token)
        self.token = Token(token)
        if self.logprobs is not None:
            logs = scores.log_softmax(-1)
            top = logs.topk(self.logprobs)
            likely = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
            self.token = Token(token, float(logs[token]), likely)
        return token


def _masked(matcher: Any, scores: torch.Tensor) -> torch.Tensor:
    """Return the scores with -inf where the grammar allows no token."""
    import llguidance.torch as guide

    mask = guide.allocate_token_bitmask(1, scores.shape[-1])
    guide.fill_next_token_bitmask(matcher, mask, 0)
    masked = scores.cpu().clone()[None]
    guide.apply_token_bitmask_inplace(masked, mask)
    return masked[0]


class Engine:
    """A thread that answers; `ask` and the counts are for any other thread."""

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
        self._grammars: Any = None
        self._names: OrderedDict[Path, str] = OrderedDict()
        self._open = 0  # answers that wait or are being written
        self._mine: set[Ask] = set()  # those of them that the thread has taken
        self.counts = {"answers_total": 0, "tokens_total": 0, "answers_open": 0, "batch_rows": 0}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def load(self) -> Any:
        """Return the model; it is loaded the first time."""
        from ftlab import models

        with self._lock:
            if self._model is None:
                self._model, self.tokenizer = models.load(self._base)
            return self._model

    def ask(self, asked: list[Ask]) -> bool:
        """Queue answers; False if there are too many already."""
        with self._lock:
            if self._open + len(asked) > self._most:
                return False
            self._open += len(asked)
        for one in asked:
            self._queue.put(one)
        return True

    def close(self) -> None:
        """Answer nothing more."""
        self._queue.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        batch: Batch | None = None
        while True:
            self.counts["answers_open"] = self._open
            arrived: list[Ask] = []
            with contextlib.suppress(queue.Empty):
                while True:
                    one = self._queue.get(block=not self._mine and not arrived)
                    if one is None:
                        return
                    arrived.append(one)
            self._mine |= set(arrived)
            try:
                if batch is None:
                    batch = Batch(self.load(), *stops_and_pad(self.load(), self.tokenizer), 1)
                for ask in arrived:
                    self._admit(batch, ask)
                self._advance(batch)
                self.counts["batch_rows"] = len(batch.rows)
            except Exception as error:  # whatever it was, nobody is to wait for ever
                for ask in [*self._mine]:
                    self._tell(ask, error)
                batch = None

    def _admit(self, batch: Batch, ask: Ask) -> None:
        """Give a request its adapter and its grammar; what is wrong with them is its error."""
        try:
            if not has_plain_cache(self._model, len(ask.prompt) + ask.limit):
                raise ModelError(
                    f"{type(self._model).__name__} does not keep the keys and values of so many "
                    "tokens. Ask for a shorter answer, or serve it with vLLM (docs/scaling.md)."
                )
            ask.adapter = self._adapter(batch, ask.folder)
            ask.matcher = self._matcher(ask.grammar, batch.stops) if ask.grammar else None
        except Exception as error:
            self._tell(ask, error if isinstance(error, FtlabError) else ModelError(str(error)))
            return
        batch.waiting.insert(0, ask)  # they are taken from the end

    def _advance(self, batch: Batch) -> None:
        """Add a token to rows, and tell of it; those that nobody wants any more end."""
        for ask in [ask for ask in self._mine if ask.over]:
            self._tell(ask, None)
        batch.waiting = [row for row in batch.waiting if not row.done]
        _make_room(batch)
        for row in batch.step() if batch.busy else ():
            assert isinstance(row, Ask) and row.token is not None
            if row.token.id not in batch.stops:
                self._tell(row, row.token)
            if row.done:
                self._tell(row, None)

    def _tell(self, ask: Ask, told: Token | Exception | None) -> None:
        if not isinstance(told, Token):
            ask.done = True
            self._mine.discard(ask)
            with self._lock:
                self._open -= 1
            self.counts["answers_total"] += 1
            self.counts["tokens_total"] += len(ask.answer)
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            ask.tell(told)

    def _adapter(self, batch: Batch, folder: Path | None) -> str:
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
        used = {row.adapter for row in (*batch.rows, *batch.waiting)}
        for old, unused in list(self._names.items()):
            if len(self._names) > ADAPTERS and unused not in used and old != folder:
                self._model.delete_adapter(unused)
                del self._names[old]
        return name

    def _matcher(self, grammar: str, stops: list[int]) -> Any:
        import llguidance
        import llguidance.hf

        if self._grammars is None:
            size = self.load().get_output_embeddings().weight.shape[0]
            self._grammars = llguidance.hf.from_tokenizer(
                self.tokenizer, max(size, len(self.tokenizer)), eos_token=list(dict.fromkeys(stops))
            )
        return llguidance.LLMatcher(self._grammars, grammar)


def _make_room(batch: Batch) -> None:
    """Say how many rows the memory holds, and put those that waited longest in order."""
    live, waiting = [row for row in batch.rows if not row.done], batch.waiting
    longest = max((len(row.prompt) + row.limit for row in [*live, *waiting[-TOGETHER:]]), default=1)
    batch.size = max(1, min(TOGETHER, CACHED // longest))
    count = max(0, min(batch.size - len(live), len(waiting)))
    # In a forward pass the last is the longest.
    first, taken = waiting[: len(waiting) - count], waiting[len(waiting) - count :]
    batch.waiting = [*first, *sorted(taken, key=lambda row: len(row.prompt))]


def schema_grammar(schema: Any) -> str:
    """Return what keeps an answer to a JSON schema.

    Raises:
        ConfigError: llguidance does not know a part of it.
    """
    import llguidance

    try:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), overrides={"whitespace_flexible": False}
        )
        fault = llguidance.LLMatcher.validate_grammar(grammar)
    except Exception as error:
        fault = str(error)
    if fault:
        raise ConfigError(f"This JSON schema cannot be kept to: {fault.splitlines()[0][:300]}")
    return grammar
