"""Open models to start from: size, licence, weight format, template, benchmarks, memory by method.

    Qwen/Qwen2.5-0.5B          494 M    apache-2.0      commercial use: yes
    Qwen/Qwen2.5-3B            3.09 B   qwen-research   commercial use: no
    databricks/dolly-v2-3b     2.77 B   mit             pickled weights only

The facts are in `data/catalogue.yaml`. Each names the page it was read from and the day; what was
not read is left out. `python scripts/catalogue_page.py` writes `data/catalogue.md` from it.

What a method holds whatever the records are, N weights, of which A in adapters (rank 32 on every
linear layer) and L in linear layers:

    inference   2 N                 half precision
    full        16 N                float32: weights, gradients, AdamW's two moments
    lora        2 N + 16 A          the base in half precision
    qlora       2 (N - L) + 0.516 L + 16 A    linear layers in NF4, its scales included

(Rajbhandari et al. 2019; Hu et al. 2021; Dettmers et al. 2023.) Activations come on top, and grow
with the records.

>>> found = choose(catalogue().models, max_parameters=0.5e9, commercial=True, safe=True)
>>> [model.name for model in found][:2]
['openai-community/gpt2', 'HuggingFaceTB/SmolLM2-135M']
>>> round(held(found[0], "full") / 1e9, 1)
2.0
"""

import functools
import os
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import data_path, faults, parse_yaml, read_text

__all__ = ["METHODS", "Catalogue", "OpenModel", "billions", "catalogue", "choose", "held"]

METHODS = ("inference", "full", "lora", "qlora")
RANK = 32
ROOM = 2e9  # bytes that a filter leaves for activations and for CUDA itself: an allowance, no law
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(_Part):
    """Where facts were read, and when."""

    url: str = Field(pattern=r"^https://\S+$")
    read: date


class Licence(_Part):
    """What a licence permits, in short; its text decides."""

    name: str
    commercial: Literal["yes", "limited", "no", "unread"]
    change: bool | None = None
    """Whether you may change the weights: a fine-tune does."""
    share: bool | None = None
    """Whether you may pass the changed weights on."""
    conditions: list[str] = Field(min_length=1)
    pages: list[str] = Field(min_length=1)


class Figure(_Part):
    """A number, and the page that states it."""

    value: float = Field(gt=0)
    page: str


class Granted(_Part):
    """A model's licence by its short name, and the page that says so."""

    value: str
    page: str


class Weights(_Part):
    """In which formats the weights are to be had."""

    formats: list[Literal["safetensors", "pickle"]] = Field(min_length=1)
    gigabytes: float | None = Field(default=None, gt=0)
    """Size of the files of one format, in 10^9 bytes."""
    page: str


class Shape(_Part):
    """The dimensions that decide how many weights there are."""

    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_size: int = Field(gt=0)
    inner: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    tied: bool | None = None
    gated: bool
    experts: int = Field(default=1, gt=0)
    pages: list[str] = Field(min_length=1)

    def linear(self) -> list[tuple[int, int]]:
        """Return (in, out) of every linear layer of one block."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        mlp = [(self.hidden, self.inner)] * (2 if self.gated else 1) + [(self.inner, self.hidden)]
        attention = [(self.hidden, queries), (self.hidden, keys), (self.hidden, keys)]
        return [*attention, (queries, self.hidden), *mlp * self.experts]

    def linear_parameters(self) -> int:
        """Count the weights in linear layers, the output embedding apart."""
        return self.layers * sum(a * b for a, b in self.linear())

    def parameters(self) -> int | None:
        """Count the weights, without norms, biases and positions; None where `tied` is unknown."""
        if self.tied is None:
            return None
        return self.linear_parameters() + self.vocabulary * self.hidden * (1 if self.tied else 2)


class Benchmark(_Part):
    """One published figure, in per cent unless its name says otherwise."""

    name: str
    setting: str
    """How it was measured: without this it compares with nothing."""
    value: float = Field(ge=0, le=100)
    page: str


class OpenModel(_Part):
    """One model; None where no page was read that says."""

    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    family: str
    kind: Literal["base", "chat"]
    architecture: str
    """As transformers calls it (`model_type`)."""
    licence: Granted
    parameters: Figure | None = None
    context: Figure | None = None
    weights: Weights | None = None
    shape: Shape | None = None
    template: Literal["chatml", "llama3", "gemma", "mistral", "phi"] | None = None
    benchmarks: list[Benchmark] = []
    note: str = ""

    @property
    def size(self) -> float | None:
        """How many weights: counted from the shape, else as stated."""
        counted = self.shape.parameters() if self.shape else None
        return counted or (self.parameters.value if self.parameters else None)

    @property
    def safe(self) -> bool | None:
        """Whether the weights are to be had in safetensors; None where that was not read."""
        return None if self.weights is None else "safetensors" in self.weights.formats

    def pages(self) -> list[str]:
        """Return the short names of all pages that its facts were read from."""
        single = (self.licence, self.parameters, self.context, self.weights, *self.benchmarks)
        found = [part.page for part in single if part is not None]
        return sorted({*found, *(self.shape.pages if self.shape else ())})


class Catalogue(_Part):
    """The whole file."""

    pages: dict[str, Page]
    licences: dict[str, Licence]
    models: list[OpenModel]

    @model_validator(mode="after")
    def _whole(self) -> "Catalogue":
        faults = []
        names = [model.name for model in self.models]
        faults += [f"{name} is listed twice" for name in {n for n in names if names.count(n) > 1}]
        used = {page for model in self.models for page in model.pages()}
        used |= {page for licence in self.licences.values() for page in licence.pages}
        faults += [f"page {page} is not listed" for page in sorted(used - set(self.pages))]
        faults += [f"page {page} is not used" for page in sorted(set(self.pages) - used)]
        for model in self.models:
            if model.licence.value not in self.licences:
                faults.append(f"{model.name}: licence {model.licence.value} is not listed")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def catalogue(path: str | os.PathLike[str] | None = None) -> Catalogue:
    """Read and check a catalogue; without a path, the one that is shipped.

    Raises:
        DataError: the file cannot be read or is no catalogue; every fault is listed.
    """
    return _read(Path(path) if path else data_path("catalogue.yaml"))


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> Catalogue:
    try:
        return Catalogue.model_validate(parse_yaml(read_text(path), path))
    except ValidationError as error:
        raise DataError(f"{path} is no catalogue of models:\n{faults(error)}") from None


def held(model: OpenModel, method: str) -> float | None:
    """Return the bytes that a method holds whatever the records are.

    Args:
        model: one of the catalogue.
        method: one of `METHODS`.

    Returns:
        Bytes, or None where the shape or the size is not known.

    Raises:
        ConfigError: an unknown method.
    """
    if method not in METHODS:
        raise_unknown("method", method, METHODS)
    weights = model.size
    if weights is None or method == "inference":
        return None if weights is None else 2 * weights
    if method == "full":
        return 16 * weights
    if model.shape is None:
        return None
    adapters = model.shape.layers * sum(RANK * (a + b) for a, b in model.shape.linear())
    if method == "lora":
        return 2 * weights + 16 * adapters
    linear = model.shape.linear_parameters()
    return 2 * (weights - linear) + NF4_BYTES * linear + 16 * adapters


def choose(
    models: Iterable[OpenModel],
    *,
    licences: Sequence[str] | None = None,
    commercial: bool = False,
    max_parameters: float | None = None,
    min_context: int | None = None,
    kind: str | None = None,
    safe: bool = False,
    memory: float | None = None,
    method: str = "lora",
) -> list[OpenModel]:
    """Return the models that meet every demand, the smallest first; what is unknown meets none.

    Args:
        models: to choose from.
        licences: short names, as in the file.
        commercial: only licences that permit commercial use, freely or with conditions.
        max_parameters: most weights.
        min_context: fewest tokens that fit.
        kind: "base" or "chat".
        safe: only weights to be had in safetensors.
        memory: bytes that `held(model, method)` must stay below.
        method: one of `METHODS`.

    Raises:
        ConfigError: an unknown licence, kind or method.
    """
    known = catalogue().licences
    for name in licences or ():
        if name not in known:
            raise_unknown("licence", name, known)
    if kind not in (None, "base", "chat"):
        raise ConfigError(f"kind={kind!r}: a model is 'base' or 'chat'.")
    if method not in METHODS:
        raise_unknown("method", method, METHODS)

    def meets(model: OpenModel) -> bool:
        size, context, bytes_held = model.size, model.context, held(model, method)
        return all((
            not licences or model.licence.value in licences,
            not commercial or known[model.licence.value].commercial in ("yes", "limited"),
            max_parameters is None or (size is not None and size <= max_parameters),
            min_context is None or (context is not None and context.value >= min_context),
            kind is None or model.kind == kind,
            not safe or bool(model.safe),
            memory is None or (bytes_held is not None and bytes_held <= memory),
        ))  # fmt: skip

    return sorted(filter(meets, models), key=lambda m: (m.size is None, m.size or 0, m.name))


def billions(size: float | None) -> str:
    """Write how many weights: 494 M, 1.54 B; nothing where that is not known."""
    if size is None:
        return ""
    return f"{size / 1e6:.0f} M" if size < 0.9995e9 else f"{size / 1e9:.3g} B"
