"""Lesson 00, Your first fine-tune: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['00.1', '00.2', '00.3', '00.4']
"""

from typing import Any

from ftlab.tasks.punctuation import SYSTEM, strip
from ftlab.teaching.exercises import exercise


def _row(sentence: str) -> dict[str, Any]:
    return {
        "prompt": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": strip(sentence)},
        ],
        "completion": [{"role": "assistant", "content": sentence}],
    }


def _with_examples(question: list[dict], solved: list[dict]) -> list[dict]:
    turns = [turn for row in solved for turn in (row["prompt"][1], row["completion"][0])]
    return [question[0], *turns, question[1]]


def _adapter(layers: int) -> Any:
    from peft import LoraConfig

    upper = list(range(layers // 2, layers))
    return LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], layers_to_transform=upper
    )


def _read_interval(low: float, high: float) -> str:
    return "tuned" if low > 0 else "base" if high < 0 else "cannot tell"


SOLVED = [_row("Who is she?"), _row("No, thank you.")]

EXERCISES = (
    exercise("00.1", solution=_row, cases=(("Where is Anna?",), ("Dear Mr. Smith, I'm late.",))),
    exercise(
        "00.2",
        solution=_with_examples,
        cases=((_row("Is it late?")["prompt"], SOLVED), (_row("Come in!")["prompt"], SOLVED[:1])),
    ),
    exercise(
        "00.3",
        solution=_adapter,
        cases=((30,), (12,)),
        view=("r", "lora_alpha", "target_modules", "layers_to_transform"),
    ),
    exercise(
        "00.4",
        solution=_read_interval,
        cases=((0.1, 0.3), (-0.4, -0.1), (-0.1, 0.2), (-0.4, 0.1), (0.0, 0.2)),
    ),
)
