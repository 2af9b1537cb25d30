"""Lesson 02, Choosing a base: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['02.1', '02.2', '02.3', '02.4']
"""

import json
import math
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
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def _parameters(content: bytes) -> int:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return sum(
        math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
    )


def _chosen(
    models: Sequence[dict[str, Any]], language: str, context: int, gigabytes: float
) -> list[str]:
    return [
        model["name"]
        for model in models
        if language in (model["languages"] or [])
        and (model["context"] or 0) >= context
        and 16 * (model["parameters"] or math.inf) <= gigabytes * 1e9
        and model["commercial"] != "no"
    ]


def _chatml(messages: list[dict[str, str]]) -> str:
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


def _random_model(folder: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _what_counts(model: Any) -> dict[str, Any]:
    """Return what the exercise asks of a model: its class, and that no weight was trained."""
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
_FILES = (
    _file({"embed": [100, 16], "q": [16, 16], "norm": [16]}),
    _file({"a": [3, 4, 5]}, format="pt"),
    _file({}),
)

EXERCISES = (
    exercise("02.1", solution=_parameters, cases=tuple((content,) for content in _FILES)),
    exercise(
        "02.2",
        solution=_chosen,
        cases=((_MODELS, "de", 8192, 16), (_MODELS, "en", 1024, 100), (_MODELS, "fr", 1, 1000)),
    ),
    exercise("02.3", solution=_chatml, cases=((_TURNS[:2],), (_TURNS,), (_TURNS[1:2],))),
    exercise(
        "02.4",
        solution=_random_model,
        cases=((os.fspath(data_path("models/ftlab-1m")),),),
        view=_what_counts,
    ),
)
