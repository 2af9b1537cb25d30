"""Lesson 02, Choosing a base: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['02.1', '02.2', '02.3', '02.4']
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from ftlab.files import data_path
from ftlab.teaching.exercises import exercise


def _file(shapes: dict[str, list[int]], **metadata: str) -> bytes:
    """Return the bytes of a safetensors file of zeros in bfloat16."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * _product(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def _product(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _header(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _parameters(content: bytes) -> int:
    return sum(_product(entry["shape"]) for entry in _header(content).values())


def _with_metadata(content: bytes) -> int:
    length = int.from_bytes(content[:8], "little")
    return sum(_product(entry["shape"]) for entry in json.loads(content[8 : 8 + length]).values())


def _chosen(
    models: Sequence[dict[str, Any]], language: str, context: int, gigabytes: float
) -> list[str]:
    return [
        model["name"]
        for model in models
        if language in (model["languages"] or [])
        and (model["context"] or 0) >= context
        and model["parameters"] is not None
        and 16 * model["parameters"] <= gigabytes * 1e9
        and model["commercial"] != "no"
    ]


def _mended(**change: Any) -> Any:
    """Return a wrong filter: the right one on models that were changed first."""

    def wrong(
        models: Sequence[dict[str, Any]], language: str, context: int, gigabytes: float
    ) -> list[str]:
        changed = [{**m, **{k: v(m, language, context) for k, v in change.items()}} for m in models]
        return _chosen(changed, language, context, gigabytes)

    return wrong


def _chatml(messages: list[dict[str, str]]) -> str:
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


def _random_model(folder: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _trained(folder: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def _headless(folder: str) -> Any:
    from transformers import AutoConfig, AutoModel

    return AutoModel.from_config(AutoConfig.from_pretrained(folder))


def _only_config(folder: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def _what_counts(model: Any) -> dict[str, Any]:
    """Return what the exercise asks of a model: its class, and that no weight was trained."""
    if not hasattr(model, "num_parameters"):
        return {"class": type(model).__name__, "weights": 0, "random": False}
    spread = model.get_input_embeddings().weight.float().std().item()
    random = abs(spread - model.config.initializer_range) < 1e-3
    return {"class": type(model).__name__, "weights": model.num_parameters(), "random": random}


def _entry(name: str, **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "parameters": 0.5e9, "context": 32768, "languages": ["en", "de"],
        "commercial": "yes",
    } | facts  # fmt: skip


_MODELS = [
    _entry("good"), _entry("limited", commercial="limited"), _entry("research", commercial="no"),
    _entry("large", parameters=3e9), _entry("uncounted", parameters=None),
    _entry("short", context=2048), _entry("unread context", context=None),
    _entry("English", languages=["en"]), _entry("unread languages", languages=None),
    _entry("edge", parameters=1e9, context=8192),
]  # fmt: skip
_TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": "Who are you?"},
]
EXERCISES = (
    exercise(
        "02.1",
        solution=_parameters,
        cases=(
            (_file({"embed": [100, 16], "q": [16, 16], "norm": [16]}),),
            (_file({"a": [3, 4, 5]}, format="pt"),),
            (_file({}),),
        ),
        mistakes={
            "the metadata is no tensor": _with_metadata,
            "it counts the tensors": lambda content: len(_header(content)),
            "it counts bytes": lambda content: 2 * _parameters(content),
            "it adds the sizes up": lambda content: sum(
                sum(entry["shape"]) for entry in _header(content).values()
            ),
        },
    ),
    exercise(
        "02.2",
        solution=_chosen,
        cases=((_MODELS, "de", 8192, 16), (_MODELS, "en", 1024, 100), (_MODELS, "fr", 1, 1000)),
        mistakes={
            "a blank size fits": _mended(parameters=lambda m, *_: m["parameters"] or 1),
            "a blank context is long enough": _mended(
                context=lambda m, _, context: context if m["context"] is None else m["context"]
            ),
            "a blank list holds every language": _mended(
                languages=lambda m, language, _: m["languages"] or [language]
            ),
            "only a licence without conditions is let in": _mended(
                commercial=lambda m, *_: "yes" if m["commercial"] == "yes" else "no"
            ),
            "the licence is not looked at": _mended(commercial=lambda *_: "yes"),
            "that is the memory of inference": _mended(
                parameters=lambda m, *_: m["parameters"] and m["parameters"] / 8
            ),
        },
    ),
    exercise(
        "02.3",
        solution=_chatml,
        cases=((_TURNS[:2],), (_TURNS,), (_TURNS[1:2],)),
        mistakes={
            "the assistant's turn is not opened": lambda messages: _chatml(messages).removesuffix(
                "<|im_start|>assistant\n"
            ),
            "turns do not end": lambda messages: _chatml(messages).replace("<|im_end|>", ""),
            "the line breaks after a turn are missing": lambda messages: _chatml(messages).replace(
                "<|im_end|>\n", "<|im_end|>"
            ),
            "the role and the text share a line": lambda messages: (
                "".join(f"<|im_start|>{m['role']} {m['content']}<|im_end|>\n" for m in messages)
                + "<|im_start|>assistant\n"
            ),
            "the opened turn is closed": lambda messages: _chatml(messages) + "<|im_end|>\n",
        },
    ),
    exercise(
        "02.4",
        solution=_random_model,
        cases=((os.fspath(data_path("models/ftlab-1m")),),),
        view=_what_counts,
        mistakes={
            "these are the trained weights": _trained,
            "it has no output layer": _headless,
            "that is the configuration alone": _only_config,
        },
    ),
)
