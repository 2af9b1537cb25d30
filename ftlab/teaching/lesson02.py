"""Lesson 02, Model selection: its exercises, as data, and the toys it plays with.

>>> [exercise.id for exercise in EXERCISES]
['02.1', '02.2', '02.3', '02.4', '02.5']
>>> item = cloze()[0]
>>> len(item.options), item.options[item.right] in item.passage
(4, True)
"""

import importlib.resources
import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.evaluation.intervals import SAMPLES, Interval, interval, ratios
from ftlab.tasks import Ratio
from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    import numpy as np


FAMILIES = {
    "qwen2_5": "", "qwen3": "", "llama3": "<|begin_of_text|>", "gemma": "<bos>", "phi3": "",
    "cohere": "<BOS_TOKEN>", "deepseekv3": "<｜begin▁of▁sentence｜>", "glm4moe": "",
}  # fmt: skip
"""Families whose chat templates TRL ships, and the token that begins their texts."""


def written(family: str, messages: Sequence[dict[str, str]]) -> tuple[str, str]:
    """Return a conversation as a family writes it, and the part that its model learns.

    Raises:
        TemplateError: the family refuses these messages.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    folder = importlib.resources.files("trl") / "chat_templates"
    made: Any = render_jinja_template(  # whose annotation says str
        [list(messages)],
        chat_template=(folder / f"{family}_training.jinja").read_text(encoding="utf-8"),
        return_assistant_tokens_mask=True,
        bos_token=FAMILIES[family],
        eos_token="<|endoftext|>",
    )
    text = made[0][0]
    return text, "".join(text[begin:end] for begin, end in made[1][0])


class Surprise:
    """Weights that write a note when they are opened; harmless, but they could do anything."""

    def __init__(self, note: Path):
        self.note = note

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return _write, (str(self.note), "I ran while you were loading weights.")


def _write(path: str, text: str) -> int:
    return Path(path).write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Item:
    """One question of a small benchmark: which of four sentences goes on?"""

    passage: str
    start: str
    options: tuple[str, ...]
    right: int


def cloze(seed: int = 0) -> list[Item]:
    """Make a benchmark of the course's general texts: the true next sentence, and three others."""
    from ftlab.evaluation.forgetting import general_text

    texts = [text for _, text in general_text()]
    parts = [[p for p in re.split(r"(?<=[.!?])\s+", text) if len(p) > 20] for text in texts]
    rng = random.Random(seed)
    items = []
    for index, sentences in enumerate(parts):
        others = [s for k, row in enumerate(parts) if k != index for s in row]
        for before, after in itertools.pairwise(sentences):
            options = [after, *rng.sample(others, 3)]
            rng.shuffle(options)
            items.append(Item(texts[index], before, tuple(options), options.index(after)))
    return items


def picked(model: Any, tokenizer: Any, items: Sequence[Item]) -> list[int]:
    """Return 1 for each item whose right sentence the model finds likeliest by the character."""
    import torch

    model.eval()
    hits = []
    for item in items:
        start = tokenizer(item.start, add_special_tokens=False)["input_ids"]
        nats = []
        for option in item.options:
            more = tokenizer(" " + option, add_special_tokens=False)["input_ids"]
            tokens = torch.tensor([start + more], device=model.device)
            with torch.inference_mode():
                logits = model(input_ids=tokens).logits[0, len(start) - 1 : -1].float()
            loss = torch.nn.functional.cross_entropy(logits, tokens[0, len(start) :])
            nats.append(loss.item() * len(more) / len(option))
        hits.append(int(nats.index(min(nats)) == item.right))
    return hits


def by_kind(hits: Sequence[int], kinds: Sequence[str]) -> dict[str, float]:
    """Return the share of hits among the questions of each kind."""
    return {
        kind: sum(h for h, k in zip(hits, kinds, strict=True) if k == kind) / kinds.count(kind)
        for kind in dict.fromkeys(kinds)
    }


def flip(
    better: Mapping[str, float], worse: Mapping[str, float], share: float = 0.9
) -> tuple[str, str, float, float] | None:
    """Find two kinds on which `better` is ahead, and a mix that puts it behind on average.

    Args:
        better: kind -> share right.
        worse: the same kinds.
        share: how much of the worse one's test is of the easy kind, and of the better one's of the
            hard kind.

    Returns:
        The easy kind, the hard kind, the average of the better one and that of the worse one; or
        None where no two kinds do it.
    """
    found = []
    ahead = [kind for kind in better if better[kind] > worse[kind]]
    for easy in ahead:
        for hard in ahead:
            a = (1 - share) * better[easy] + share * better[hard]
            b = share * worse[easy] + (1 - share) * worse[hard]
            found.append((b - a, easy, hard, a, b))
    best = max(found, default=(0.0, "", "", 0.0, 0.0))
    return best[1:] if best[0] > 0 else None


def agreement(
    signal: Sequence[float],
    scores: Sequence[Sequence[Ratio]],
    *,
    more_is_better: bool = False,
    seed: int = 0,
) -> Interval:
    """Return the share of pairs of models that a cost and a score put in the same order.

    Args:
        signal: one figure for each model; fewer are better.
        scores: for each model, the ratio of each question; the questions are the same.
        more_is_better: whether a high score is good; a loss is not.
        seed: of the draws.

    Returns:
        The share, in which a tie counts half, and its interval over other draws of the questions.

    >>> agreement([1.5, 1.2], [[Ratio(0, 1), Ratio(1, 4)], [Ratio(1, 1), Ratio(1, 2)]]).value
    0.0
    """
    import numpy as np

    figures, draws = ratios(
        [[part.num for part in row] for row in scores],
        [[part.den for part in row] for row in scores],
        samples=SAMPLES, seed=seed,
    )  # fmt: skip
    left, right = np.triu_indices(len(signal), 1)
    way = np.sign(np.subtract(np.take(signal, left), np.take(signal, right)))
    way = -way if more_is_better else way

    def alike(values: "np.ndarray") -> "np.ndarray":
        same = way * np.sign(values[..., left] - values[..., right])
        return (1 + same).mean(axis=-1) / 2

    return interval(float(alike(figures)), alike(draws), 0.95)


# The solutions and the mistakes, as functions.


def _held(weights: float, moving: float) -> float:
    return (4 * weights + 12 * moving) / 1e9


def _leaked(test: list[str], train: list[str]) -> float:
    known = {" ".join(text.lower().split()) for text in train}
    return sum(" ".join(text.lower().split()) in known for text in test) / len(test)


def _plain_leaked(test: list[str], train: list[str]) -> float:
    return sum(text in train for text in test) / len(test)


def _pooled(right_of: dict[str, int], asked: dict[str, int]) -> float:
    return sum(right_of.values()) / sum(asked.values())


def _mean_of_means(right_of: dict[str, int], asked: dict[str, int]) -> float:
    return sum(right_of[kind] / asked[kind] for kind in asked) / len(asked)


def _bits(nats: list[float], text: str) -> float:
    return sum(nats) / math.log(2) / len(text)


def _agree(bits: list[float], scores: list[float], sign: int = -1) -> float:
    pairs = [(i, j) for i in range(len(bits)) for j in range(i)]
    alike = [(bits[i] - bits[j]) * sign * (scores[i] - scores[j]) > 0 for i, j in pairs]
    return sum(alike) / len(pairs)


def _neighbours(bits: list[float], scores: list[float]) -> float:
    pairs = [(i, i + 1) for i in range(len(bits) - 1)]
    return sum((bits[i] - bits[j]) * (scores[i] - scores[j]) < 0 for i, j in pairs) / len(pairs)


_TEST = ["Where is my parcel?", "I cannot log in.", "Refund me!", "The app is down."]
_TRAIN = ["where is  my parcel?", "It broke.", "I cannot log in."]

EXERCISES = (
    exercise(
        "02.1",
        solution=_held,
        cases=((1e9, 1e9), (0.5e9, 0.5e9), (7e9, 0.04e9)),
        mistakes={
            "only the weights are held": lambda weights, moving: 4 * weights / 1e9,
            "the optimiser's averages are missing": lambda weights, moving: (
                (4 * weights + 4 * moving) / 1e9
            ),
            "all weights move in it": lambda weights, moving: 16 * weights / 1e9,
            "that is bytes": lambda weights, moving: 1e9 * _held(weights, moving),
        },
    ),
    exercise(
        "02.2",
        solution=_leaked,
        cases=((_TEST, _TRAIN), (_TEST[2:], _TRAIN), (_TRAIN, _TEST), (_TEST[:1], _TRAIN)),
        mistakes={
            "it wants the same letters": _plain_leaked,
            "it counts them": lambda test, train: _leaked(test, train) * len(test),
            "it is a share of the training texts": lambda test, train: _leaked(train, test),
            "that is the part that was not read": lambda test, train: 1 - _leaked(test, train),
        },
    ),
    exercise(
        "02.3",
        solution=_pooled,
        cases=(
            ({"easy": 81, "hard": 2}, {"easy": 90, "hard": 10}),
            ({"easy": 9, "hard": 27}, {"easy": 10, "hard": 90}),
            ({"a": 1, "b": 5, "c": 0}, {"a": 2, "b": 5, "c": 13}),
        ),
        mistakes={
            "every kind weighs the same": _mean_of_means,
            "it adds up and does not divide": lambda right_of, asked: sum(right_of.values()),
            "it takes the best kind": lambda right_of, asked: max(
                right_of[k] / asked[k] for k in asked
            ),
        },
    ),
    exercise(
        "02.4",
        solution=_bits,
        cases=(
            ([2.0, 1.0, 0.5], "a cat sat"),
            ([0.7], "x"),
            ([3.0, 3.0], "twenty letters, about"),
            ([1.5, 2.5], "Könnt ihr für Jörg üben?"),
        ),
        mistakes={
            "it is per token": lambda nats, text: sum(nats) / math.log(2) / len(nats),
            "it is per byte": lambda nats, text: sum(nats) / math.log(2) / len(text.encode()),
            "it is in nats": lambda nats, text: sum(nats) / len(text),
            "it multiplies by log 2": lambda nats, text: sum(nats) * math.log(2) / len(text),
            "it is the whole text": lambda nats, text: sum(nats) / math.log(2),
        },
    ),
    exercise(
        "02.5",
        solution=_agree,
        cases=(
            ([2.0, 1.5, 1.2], [0.1, 0.5, 0.4]),
            ([2.0, 1.5, 1.2, 1.0], [0.1, 0.3, 0.2, 0.9]),
            ([1.0, 1.1, 1.3], [0.2, 0.3, 0.8]),
        ),
        mistakes={
            "it takes more bits for better": lambda bits, scores: _agree(bits, scores, sign=1),
            "it compares neighbours only": _neighbours,
            "it counts the pairs": lambda bits, scores: (
                _agree(bits, scores) * len(bits) * (len(bits) - 1) / 2
            ),
        },
    ),
)
