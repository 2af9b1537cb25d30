"""Open models to start from: size, licence, weight format, template, languages, memory by method.

    HuggingFaceTB/SmolLM2-135M-Instruct   135 M   apache-2.0      commercial use: yes
    LiquidAI/LFM2.5-350M                  350 M   lfm1.0          commercial use: limited
    Qwen/Qwen2.5-3B                       3.09 B  qwen-research   commercial use: no

The facts are in `data/catalogue.yaml`, each model with the pages that they were read from and the
day. What was not read is blank, and a blank meets no demand.

>>> found = choose(catalogue().models, memory=9e9, method="full", commercial=True, safe=True)
>>> [model.name for model in found]
['HuggingFaceTB/SmolLM2-135M-Instruct', 'Qwen/Qwen2.5-0.5B-Instruct']
>>> round(held(found[1], "full") / 1e9, 1)
7.8
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ftlab.errors import raise_unknown
from ftlab.files import read_data

__all__ = ["METHODS", "Catalogue", "OpenModel", "billions", "catalogue", "choose", "held", "misses"]

METHODS = {"inference": 2.0, "full": 16.0, "lora": 2.4, "qlora": 1.1}
"""Bytes held for each weight, before activations: half precision; float32 with its gradient and
AdamW's two averages; half precision, or four bits, and an adapter of 2 % of the weights in float32.
A rule of thumb: `ftlab estimate` counts by the layers of a model."""
ROOM = 2e9  # bytes that a filter leaves for activations and for CUDA itself: an allowance, no law


@dataclass(frozen=True, kw_only=True)
class _Read:
    source: tuple[str, ...]
    """The pages that say so."""
    seen: date


@dataclass(frozen=True, kw_only=True)
class Licence(_Read):
    """What a licence permits, in short; its text decides."""

    name: str
    commercial: str
    """yes, limited or no."""
    conditions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Note(_Read):
    """A line of history."""

    said: str


@dataclass(frozen=True, kw_only=True)
class OpenModel(_Read):
    """One model; None where no page was read that says."""

    name: str
    family: str
    kind: str
    """base or chat."""
    licence: str
    parameters: float | None = None
    context: int | None = None
    formats: tuple[str, ...] | None = None
    """Of safetensors and pickle."""
    template: str | None = None
    languages: tuple[str, ...] | None = None
    language_count: int | None = None
    thinking: str | None = None
    """never, switch or always."""
    own_code: bool = False
    note: str = ""


@dataclass(frozen=True)
class Catalogue:
    """The whole file."""

    licences: dict[str, Licence]
    history: list[Note]
    models: list[OpenModel]


def catalogue() -> Catalogue:
    """Return what `data/catalogue.yaml` holds; `tests/test_catalogue.py` checks the file."""
    held = read_data("catalogue.yaml")
    return Catalogue(
        {key: Licence(**row) for key, row in held["licences"].items()},
        [Note(**row) for row in held["history"]],
        [OpenModel(**row) for row in held["models"]],
    )


def held(model: OpenModel, method: str) -> float | None:
    """Return about how many bytes a method holds, activations apart; None if the size is blank.

    Raises:
        ConfigError: an unknown method.
    """
    if method not in METHODS:
        raise_unknown("method", method, METHODS)
    return None if model.parameters is None else METHODS[method] * model.parameters


def misses(
    model: OpenModel, *, commercial: bool = False, languages: Sequence[str] = (),
    min_context: int = 0, safe: bool = False, memory: float | None = None, method: str = "lora",
) -> list[str]:  # fmt: skip
    """Return the demands that a model does not meet, or that its entry leaves blank.

    Args:
        model: one of the catalogue.
        commercial: only licences that permit commercial use, freely or with conditions.
        languages: codes; a page must list each of them.
        min_context: fewest tokens that fit.
        safe: only weights in safetensors that load without code of the model's own.
        memory: bytes that `held(model, method)` must stay below.
        method: one of `METHODS`.

    Raises:
        ConfigError: an unknown method.
    """
    size, lacking = held(model, method), set(languages) - set(model.languages or ())
    checks = {
        "commercial use": not commercial or catalogue().licences[model.licence].commercial != "no",
        f"languages {', '.join(sorted(lacking))}": not lacking,
        "context": (model.context or 0) >= min_context,
        "safe weights": not safe or ("safetensors" in (model.formats or ()) and not model.own_code),
        f"memory for {method}": memory is None or (size is not None and size <= memory),
    }
    return [name for name, met in checks.items() if not met]


def choose(models: Iterable[OpenModel], **demands: Any) -> list[OpenModel]:
    """Return the models that miss no demand, the smallest first; the demands are those of `misses`.

    Raises:
        ConfigError: an unknown method.
    """
    found = [model for model in models if not misses(model, **demands)]
    return sorted(found, key=lambda m: (m.parameters is None, m.parameters or 0, m.name))


def billions(size: float | None) -> str:
    """Write how many weights: 494 M, 1.54 B; nothing where that is not known."""
    if size is None:
        return ""
    return f"{size / 1e6:.0f} M" if size < 0.9995e9 else f"{size / 1e9:.3g} B"
