"""Lesson 07, Judging answers: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['07.1', '07.2', '07.3', '07.4']
"""

import math
import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from ftlab.teaching.exercises import Client, exercise

# A judge that knows a few texts. At another temperature than 0, or without the text in the request,
# its replies are of no use.

REPLIES = {
    "We met at noon.": "1\nAll is right.", "we met": "0\nThe capital is missing.",
    "It is 10 o'clock.": "10 o'clock is right, so 1.", "Who is there?": " 1 \n", "Stop!": None,
}  # fmt: skip


def _judged(model: str, messages: Any, settings: dict[str, Any]) -> tuple[str | None, str]:
    asked = messages[-1]["content"]
    known = [reply for text, reply in REPLIES.items() if text in asked]
    reply = known[0] if known else "0\nThere is no text."
    if settings.get("temperature", 1) != 0 and reply:
        reply = reply.translate(str.maketrans("01", "10"))
    return reply, "stop"


# The solutions and the mistakes, as functions.


def _middle(draws: list[float], cut: float = 0.025) -> list[float]:
    ordered = sorted(draws)
    k = round(cut * len(ordered))
    return [ordered[k], ordered[-1 - k]]


def _reply(client: Any, model: str, text: str, temperature: float = 0) -> str:
    prompt = f"Is this sentence correct? Answer with 1 or 0 on the first line.\n\n{text}"
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=temperature
    )
    return reply.choices[0].message.content or ""


def _read(reply: str, without: int | None = None) -> int | None:
    line = reply.strip().split("\n")[0].strip()
    return int(line) if line in ("0", "1") else without


def _any_digit(reply: str) -> int | None:
    found = re.search("[01]", reply)
    return int(found[0]) if found else None


def _preferred(first: str | None, second: str | None) -> str | None:
    if first is None or second is None:
        return None
    if first == second:
        return "tie"
    return "base" if first == "A" else "tuned"


def _battery(ask: Callable[[Any], Any], event: str = "on_save", **faults: bool) -> Any:
    """Return the callback, or one that makes some of the usual mistakes."""
    from transformers import TrainerCallback

    class Battery(TrainerCallback):
        def __init__(self) -> None:
            self.answers: dict[int, Any] = {}

    def keep(
        self: Any, args: Any, state: Any, control: Any, model: Any = None, **more: Any
    ) -> None:
        was = model.training
        if not faults.get("trains"):
            model.eval()
        if faults.get("last"):
            self.answers = {}
        self.answers[state.global_step] = ask(model)
        if not faults.get("stays"):
            model.train(was)

    setattr(Battery, event, keep)
    return Battery()


class _Model:
    """As much of a module as the exercise needs: it trains, or it does not."""

    def __init__(self) -> None:
        self.training = True

    def train(self, mode: bool = True) -> "_Model":
        self.training = mode
        return self

    def eval(self) -> "_Model":
        return self.train(False)


def _two_checkpoints(callback: Any) -> dict[str, Any]:
    """Return what a callback kept in a run of six steps that saved two checkpoints."""
    model, args, control = _Model(), SimpleNamespace(), SimpleNamespace()
    dropout = []
    for step in range(1, 7):
        state = SimpleNamespace(global_step=step)
        dropout.append(model.training)
        callback.on_step_end(args, state, control, model=model)
        if step % 3 == 0:
            callback.on_save(args, state, control, model=model)
    kept = {int(step): list(answers) for step, answers in callback.answers.items()}
    return {"answers": kept, "trains on": dropout}


def _asked(model: Any) -> list[str]:
    return ["muddled by dropout" if model.training else "an answer"]


# So many draws, so far from zero, that every usual definition of a quantile says about the same;
# neighbours are alike, so that who forgets to sort is told so, whichever positions he takes.
_DRAWS = [1 + (k + 700) % 2000 / 2000 for k in range(2000)]
_SKEWED = [1 + ((k + 1200) % 2000 / 2000) ** 2 for k in range(2000)]

EXERCISES = (
    exercise(
        "07.1",
        solution=_middle,
        cases=((_DRAWS,), (_SKEWED,), ([-x for x in _SKEWED],)),
        mistakes={
            "it cuts 5 % at each end": lambda draws: _middle(draws, 0.05),
            "it cuts 5 % at the upper end alone": lambda d: [min(d), _middle(d, 0.05)[1]],
            "it cuts 5 % at the lower end alone": lambda d: [_middle(d, 0.05)[0], max(d)],
            "it cuts nothing": lambda draws: [min(draws), max(draws)],
            "it does not sort": lambda d: [d[round(0.025 * len(d))], d[-1 - round(0.025 * len(d))]],
            "it is the mean and two standard deviations": lambda draws: [
                (mean := sum(draws) / len(draws))
                - 1.96 * (sd := math.sqrt(sum((x - mean) ** 2 for x in draws) / len(draws))),
                mean + 1.96 * sd,
            ],
        },
        tolerance=0.003,
    ),
    exercise(
        "07.2",
        solution=lambda client, model, text: _read(_reply(client, model, text)),
        cases=tuple((Client(_judged), "judge", text) for text in REPLIES),
        mistakes={
            "what cannot be read counts as 0": lambda c, m, t: _read(_reply(c, m, t), 0),
            "it takes the first digit anywhere": lambda c, m, t: _any_digit(_reply(c, m, t)),
            "the temperature is not 0": lambda c, m, t: _read(_reply(c, m, t, temperature=1)),
            "the text is not in the prompt": lambda c, m, t: _read(_reply(c, m, "")),
            "the verdict is text": lambda c, m, t: (
                None if (v := _read(_reply(c, m, t))) is None else str(v)
            ),
        },
    ),
    exercise(
        "07.3",
        solution=_preferred,
        cases=(("A", "B"), ("B", "A"), ("A", "A"), ("B", "B"), (None, "A"), ("B", None)),
        mistakes={
            "it looks at the first order only": lambda first, second: _preferred(
                first, "B" if first == "A" else "A"
            ),
            "the letters of the second order are not swapped": lambda first, second: _preferred(
                first, {"A": "B", "B": "A"}.get(second or "")
            ),
            "an unreadable reply counts as a tie": lambda f, s: _preferred(f, s) or "tie",
            "base and tuned are exchanged": lambda first, second: _preferred(second, first),
        },
    ),
    exercise(
        "07.4",
        solution=_battery,
        cases=((_asked,),),
        view=_two_checkpoints,
        mistakes={
            "it asks while dropout is on": partial(_battery, trains=True),
            "the model does not train on": partial(_battery, stays=True),
            "only the last checkpoint is kept": partial(_battery, last=True),
            "it asks after every step": lambda ask: _battery(ask, "on_step_end"),
        },
    ),
)
