"""Lesson 00, Your first fine-tune: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['00.1', '00.2', '00.3', '00.4']
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from ftlab.tasks.punctuation import SYSTEM, strip
from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    from peft import LoraConfig

EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _row(sentence: str, *, answer: str | None = None, role: str = "assistant") -> dict[str, Any]:
    return {
        "prompt": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": strip(sentence)},
        ],
        "completion": [{"role": role, "content": sentence if answer is None else answer}],
    }


def _not_stripped(sentence: str) -> dict[str, Any]:
    row = _row(sentence)
    row["prompt"][1]["content"] = sentence
    return row


def _all_in_the_prompt(sentence: str) -> dict[str, Any]:
    row = _row(sentence)
    return {"prompt": row["prompt"] + row["completion"], "completion": row["completion"]}


def _without_system(sentence: str) -> dict[str, Any]:
    row = _row(sentence)
    return {**row, "prompt": row["prompt"][1:]}


def _as_text(sentence: str) -> dict[str, Any]:
    return {**_row(sentence), "completion": sentence}


def _with_examples(question: list[dict], solved: list[dict]) -> list[dict]:
    turns = [turn for row in solved for turn in (row["prompt"][1], row["completion"][0])]
    return [question[0], *turns, question[1]]


def _systems_repeated(question: list[dict], solved: list[dict]) -> list[dict]:
    return [turn for row in solved for turn in (*row["prompt"], *row["completion"])] + question


def _question_first(question: list[dict], solved: list[dict]) -> list[dict]:
    return question + _with_examples(question, solved)[1:-1]


def _without_answers(question: list[dict], solved: list[dict]) -> list[dict]:
    return [question[0], *(row["prompt"][1] for row in solved), question[1]]


def _adapter(layers: int, *, alpha: int = 16, modules: Any = ("q_proj", "v_proj")) -> "LoraConfig":
    from peft import LoraConfig

    upper = list(range(layers // 2, layers))
    return LoraConfig(
        r=8, lora_alpha=alpha, target_modules=list(modules), layers_to_transform=upper
    )


def _lower_half(layers: int) -> "LoraConfig":
    config = _adapter(layers)
    config.layers_to_transform = list(range(layers // 2))
    return config


def _no_layers(layers: int) -> "LoraConfig":
    config = _adapter(layers)
    config.layers_to_transform = None
    return config


def _what_counts(config: Any) -> dict[str, Any]:
    """Return what the exercise asks of a LoraConfig, in an order of its own."""
    layers = config.layers_to_transform
    return {
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "target_modules": sorted(config.target_modules or ()),
        "layers_to_transform": None if layers is None else sorted(layers),
    }


def _read_interval(low: float, high: float) -> str:
    return "tuned" if low > 0 else "base" if high < 0 else "cannot tell"


SOLVED = [_row("Who is she?"), _row("No, thank you.")]

EXERCISES = (
    exercise(
        "00.1",
        solution=_row,
        cases=(("Where is Anna?",), ("Dear Mr. Smith, I'm late.",)),
        mistakes={
            "the marks are still in the question": _not_stripped,
            "the answer stands in the prompt as well": _all_in_the_prompt,
            "the role of the answer is not assistant": partial(_row, role="user"),
            "the system message is missing": _without_system,
            "the completion is a text": _as_text,
            "the answer is the stripped sentence": lambda text: _row(text, answer=strip(text)),
        },
    ),
    exercise(
        "00.2",
        solution=_with_examples,
        cases=(
            (_row("Is it late?")["prompt"], SOLVED),
            (_row("Come in!")["prompt"], SOLVED[:1]),
        ),
        mistakes={
            "the system message is repeated in every example": _systems_repeated,
            "the question comes before the examples": _question_first,
            "the answers are missing": _without_answers,
        },
    ),
    exercise(
        "00.3",
        solution=_adapter,
        cases=((30,), (12,)),
        view=_what_counts,
        mistakes={
            "these are the lower layers": _lower_half,
            "every layer gets an adapter": _no_layers,
            "alpha is the rank": partial(_adapter, alpha=8),
            "every linear layer is a target": partial(_adapter, modules=EVERYWHERE),
        },
    ),
    exercise(
        "00.4",
        solution=_read_interval,
        cases=((0.1, 0.3), (-0.4, -0.1), (-0.1, 0.2), (-0.4, 0.1), (0.0, 0.2)),
        mistakes={
            "it decides by the middle of the interval": lambda low, high: (
                "tuned" if low + high > 0 else "base"
            ),
            "one end is enough": lambda low, high: "tuned" if high > 0 else "base",
            "tuned and base are exchanged": lambda low, high: (
                "base" if low > 0 else "tuned" if high < 0 else "cannot tell"
            ),
        },
    ),
)
