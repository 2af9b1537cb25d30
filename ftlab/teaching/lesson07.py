"""Lesson 07, Judging answers: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['07.1', '07.2', '07.3', '07.4']
"""

from collections.abc import Callable
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


def _middle(draws: list[float]) -> list[float]:
    ordered = sorted(draws)
    k = round(0.025 * len(ordered))
    return [ordered[k], ordered[-1 - k]]


def _judge(client: Any, model: str, sentence: str) -> int | None:
    prompt = f"Is this sentence correct? Answer with 1 or 0 on the first line.\n\n{sentence}"
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0
    )
    text = reply.choices[0].message.content or ""
    line = text.strip().split("\n")[0].strip()
    return int(line) if line in ("0", "1") else None


def _preferred(first: str | None, second: str | None) -> str | None:
    if first is None or second is None:
        return None
    if first == second:
        return "tie"
    return "base" if first == "A" else "tuned"


def _battery(ask: Callable[[Any], Any]) -> Any:
    from transformers import TrainerCallback

    class Battery(TrainerCallback):
        def __init__(self) -> None:
            self.answers: dict[int, Any] = {}

        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            was = model.training
            model.eval()
            self.answers[state.global_step] = ask(model)
            model.train(was)

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
        tolerance=0.003,
    ),
    exercise(
        "07.2",
        solution=_judge,
        cases=tuple((Client(_judged), "judge", text) for text in REPLIES),
    ),
    exercise(
        "07.3",
        solution=_preferred,
        cases=(("A", "B"), ("B", "A"), ("A", "A"), ("B", "B"), (None, "A"), ("B", None)),
    ),
    exercise("07.4", solution=_battery, cases=((_asked,),), view=_two_checkpoints),
)
