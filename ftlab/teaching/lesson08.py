"""Lesson 08, The class project: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['08.1', '08.2', '08.3', '08.4', '08.5']
>>> calls_in("self.assertEqual(f(2), 4)\\nself.assertEqual(f(0), 0)")
['f(2)', 'f(0)']
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from ftlab import sandbox
from ftlab.teaching.exercises import exercise

# Of a module of tests.


def calls_in(module: str) -> list[str]:
    """Return the source of each call that a module of tests expects a value of."""
    return [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.assertEqual"
    ]


_MODULE = """
class TestSide(unittest.TestCase):

    def test_typical(self):
        self.assertEqual(side([3, 1], key="a"), 3)
        self.assertEqual(side((4,)), len("four"))

    def test_edges(self):
        self.assertEqual(side([]), None)
"""

# Of an answer that proposes calls.

_RUN = """
for call in {calls!r}:
    try:
        eval(call)
        print("ok")
    except Exception as error:
        print(type(error).__name__)
"""


def valid_calls(source: str, text: str) -> list[str]:
    """Return the different lines of an answer that are calls and run, or raise as they should.

    Args:
        source: of the function; an error that its text raises by name is as it should be.
        text: the answer. Only calls of that function with literals as arguments are run.
    """
    (name,) = re.findall(r"^def (\w+)", source, re.M)[-1:] or [""]
    lines = dict.fromkeys(line.strip() for line in text.splitlines())
    calls = [line for line in lines if _is_call(line, name)]
    ran = sandbox.run(f"{source}\n{_RUN.format(calls=calls)}", allow_weak=True)
    said = zip(calls, ran.stdout.split(), strict=False)
    return [call for call, end in said if end == "ok" or f"raise {end}" in source]


def _is_call(text: str, name: str) -> bool:
    """Say whether a text is a call of this function, with literals as arguments."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != name:
            return False
        given = [*call.args, *(k.value for k in call.keywords)]
        return bool([ast.literal_eval(value) for value in given])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


# Stand-ins for the official client; they have no network.


class _Page:
    """A page of at most two rows; a loop over it goes on to the next ones, as the client's does."""

    def __init__(self, rows: list[Any], after: str, limit: int) -> None:
        at = next((n + 1 for n, row in enumerate(rows) if row.id == after), 0)
        self._left = rows[at:]
        self.data = self._left[: min(limit, 2)]
        self.has_more = len(self._left) > len(self.data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._left)


class _Service:
    """Jobs, events and stored completions of a service."""

    def __init__(self, events: tuple[str, ...] = (), stored: tuple[str, ...] = ()) -> None:
        self.fine_tuning = self.jobs = self.chat = self.completions = self
        self._events = [
            SimpleNamespace(id=f"e{number}", message=message)
            for number, message in reversed(list(enumerate(events)))
        ]
        self._stored = [
            SimpleNamespace(
                id=f"c{number}", metadata={"team": "shop"},
                choices=[SimpleNamespace(message=SimpleNamespace(content=text))],
            )
            for number, text in enumerate(stored)
        ]  # fmt: skip

    def create(self, **settings: Any) -> Any:
        """Keep what a job was asked for."""
        return SimpleNamespace(id="ftjob-1", status="queued", settings=settings)

    def list_events(self, fine_tuning_job_id: str, *, limit: int = 20, after: str = "") -> _Page:
        """Return events, the newest first."""
        return _Page(self._events, after, limit)

    def list(self, *, model: str, limit: int = 20, after: str = "") -> _Page:
        """Return stored completions."""
        return _Page(self._stored, after, limit)

    def update(self, completion_id: str, *, metadata: Mapping[str, str]) -> Any:
        """Give a stored completion other metadata."""
        (one,) = (one for one in self._stored if one.id == completion_id)
        one.metadata = dict(metadata)
        return one


def _job(client: Any, model: str, train_id: str, valid_id: str) -> Any:
    settings = {"n_epochs": 2, "batch_size": 4}
    return client.fine_tuning.jobs.create(
        model=model, training_file=train_id, validation_file=valid_id, suffix="watched", seed=0,
        method={"type": "supervised", "supervised": {"hyperparameters": settings}},
    )  # fmt: skip


def _asked(job: Any) -> dict[str, Any]:
    """Return what a job was asked for; hyperparameters may stand in either place."""
    settings = dict(job.settings)
    method = settings.pop("method", None) or {"supervised": {}}
    inner = method["supervised"].get("hyperparameters") or settings.pop("hyperparameters", {})
    return {**settings, "hyperparameters": dict(inner)}


def all_messages(client: Any, job_id: str) -> list[str]:
    """Return the messages of all events of a job, from the first to the last."""
    events = client.fine_tuning.jobs.list_events(job_id, limit=2)
    return [event.message for event in events][::-1]


def _merged(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    tests = dict(old)
    for name, text in new.items():
        if text not in tests.values():
            free, number = name, 2
            while free in tests:
                free, number = f"{name}_{number}", number + 1
            tests[free] = text
    return tests


def _label(client: Any, model: str, is_good: Callable[[str], bool]) -> Any:
    labelled = []
    for one in client.chat.completions.list(model=model):
        label = "good" if is_good(one.choices[0].message.content) else "bad"
        labelled.append(client.chat.completions.update(one.id, metadata={"label": label}))
    return labelled


def _several_lines(text: str) -> bool:
    return len(re.findall(r"\w+\(", text)) > 1


_EVENTS = _Service(events=("created", "started", "step 1", "step 2", "done"))
_STORED = _Service(stored=("f(1)\nf(2)", "Sure!", "f(0)\nf(-1)\nf(3)", "f(1)"))

EXERCISES = (
    exercise("08.1", calls_in, cases=((_MODULE,), ("self.assertEqual(f(2), 4)",))),
    exercise(
        "08.2",
        _job,
        cases=((_Service(), "smollm2-135m", "file-a", "file-b"), (_Service(), "m", "x", "y")),
        view=_asked,
    ),
    exercise(
        "08.3",
        all_messages,
        cases=((_EVENTS, "ftjob-1"), (_Service(events=("created",)), "ftjob-2")),
    ),
    exercise("08.4", _merged),
    exercise(
        "08.5",
        _label,
        cases=((_STORED, "ft:tests", _several_lines), (_STORED, "ft:tests", str.isalpha)),
        view=lambda labelled: {one.id: one.metadata for one in labelled},
    ),
)
