"""Lesson 00, Your first fine-tune: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['00.1', '00.2', '00.3', '00.4']
"""

from typing import TYPE_CHECKING, Any

from ftlab.tasks.punctuation import SYSTEM, strip
from ftlab.teaching.exercises import Exercise, Mistake

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


def _adapter(
    layers: int, *, first: int | None = None, alpha: int = 16, modules: Any = ("q_proj", "v_proj")
) -> "LoraConfig":
    from peft import LoraConfig

    chosen = list(range(layers // 2 if first is None else first, layers))
    return LoraConfig(
        r=8, lora_alpha=alpha, target_modules=list(modules), layers_to_transform=chosen
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
    Exercise(
        id="00.1",
        title="a sentence as a row",
        hints=(
            'Two keys, "prompt" and "completion"; each holds a list of messages.',
            "The prompt is question(sentence). The completion is a list of one message, whose role "
            'is "assistant" and whose content is the sentence as it was written.',
        ),
        solution=_row,
        cases=(("Where is Anna?",), ("Dear Mr. Smith, I'm late.",)),
        mistakes=(
            Mistake(
                "the marks are still in the question",
                _not_stripped,
                "The model would see the answer in its prompt. Ask with question(sentence).",
            ),
            Mistake(
                "the answer stands in the prompt as well",
                _all_in_the_prompt,
                "The prompt is what the model is given; the answer belongs in the completion only.",
            ),
            Mistake(
                "the role of the answer is not assistant",
                lambda sentence: _row(sentence, role="user"),
                'A chat template knows "system", "user", "assistant" and "tool". What the model is '
                'to write is the "assistant" role\'s.',
            ),
            Mistake(
                "the system message is missing",
                _without_system,
                "The model would then be asked in another way than in the held-out questions.",
            ),
            Mistake(
                "the completion is a text",
                _as_text,
                "In the conversational form a completion is a list of messages, as the prompt is: "
                '[{"role": "assistant", "content": sentence}].',
            ),
            Mistake(
                "the answer is the stripped sentence",
                lambda sentence: _row(sentence, answer=strip(sentence)),
                "That would train the model to copy. The completion is the sentence as written.",
            ),
        ),
    ),
    Exercise(
        id="00.2",
        title="a prompt with solved examples",
        hints=(
            "Each solved example becomes two turns: its user message and its assistant message.",
            "The order: the system message of the question, then for each row row['prompt'][1] and "
            "row['completion'][0], and last the user message of the question.",
        ),
        solution=_with_examples,
        cases=(
            (_row("Is it late?")["prompt"], SOLVED),
            (_row("Come in!")["prompt"], SOLVED[:1]),
        ),
        mistakes=(
            Mistake(
                "the system message is repeated in every example",
                _systems_repeated,
                "A conversation has one system message, and it comes first. Many templates refuse "
                "another one.",
            ),
            Mistake(
                "the question comes before the examples",
                _question_first,
                "The model goes on where the messages end, so the question must be the last turn.",
            ),
            Mistake(
                "the answers are missing",
                _without_answers,
                "Unsolved examples show no pattern. Each user turn is followed by its assistant "
                "turn.",
            ),
        ),
    ),
    Exercise(
        id="00.3",
        title="a LoraConfig for the upper half of the layers",
        hints=(
            "Four arguments: r, lora_alpha, target_modules and layers_to_transform.",
            "layers_to_transform=list(range(layers // 2, layers)): layers are counted from 0, and "
            "the highest number is nearest to the output.",
        ),
        solution=_adapter,
        cases=((30,), (12,)),
        view=_what_counts,
        mistakes=(
            Mistake(
                "these are the lower layers",
                _lower_half,
                "The upper half is list(range(layers // 2, layers)).",
            ),
            Mistake(
                "every layer gets an adapter",
                _no_layers,
                "Without layers_to_transform all layers are adapted, and the backward pass has to "
                "go through all of them.",
            ),
            Mistake(
                "alpha is the rank",
                lambda layers: _adapter(layers, alpha=8),
                "Twice the rank is asked for: the adapter's output is scaled by alpha / r.",
            ),
            Mistake(
                "every linear layer is a target",
                lambda layers: _adapter(layers, modules=EVERYWHERE),
                'Only the query and value projections are wanted: ["q_proj", "v_proj"].',
            ),
        ),
    ),
    Exercise(
        id="00.4",
        title="read the interval of a difference",
        hints=(
            "Three cases: the whole interval above zero, the whole interval below it, or zero in "
            "it.",
            '"tuned" if low > 0, "base" if high < 0, and "cannot tell" otherwise.',
        ),
        solution=_read_interval,
        cases=((0.1, 0.3), (-0.4, -0.1), (-0.1, 0.2), (0.0, 0.2)),
        mistakes=(
            Mistake(
                "it decides by the middle of the interval",
                lambda low, high: "tuned" if low + high > 0 else "base",
                "An interval that holds zero allows both answers, wherever its middle lies.",
            ),
            Mistake(
                "one end is enough",
                lambda low, high: "tuned" if high > 0 else "base",
                "The upper end above zero says only that tuned *may* be better.",
            ),
            Mistake(
                "tuned and base are exchanged",
                lambda low, high: "base" if low > 0 else "tuned" if high < 0 else "cannot tell",
                "The difference is tuned minus base: above zero, tuned is better.",
            ),
        ),
    ),
)
