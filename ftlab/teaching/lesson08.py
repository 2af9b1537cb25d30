"""Lesson 08, The class project: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['08.1', '08.2', '08.3', '08.4', '08.5']
>>> calls_in("self.assertEqual(f(2), 4)\\nself.assertEqual(f(0), 0)")
['f(2)', 'f(0)']
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
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


def _with_values(module: str) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.assertEqual"
    ]


def _all_calls(module: str) -> list[str]:
    inner = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    return [call for call in inner if not call.startswith("unittest")]


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
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != name:
        return False
    try:
        given = [
            ast.literal_eval(value) for value in [*call.args, *(k.value for k in call.keywords)]
        ]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return bool(given)


# Stand-ins for the official client; they have no network.


class _Page:
    """A page of a list; a loop over it goes on to the next ones, as the client's does."""

    def __init__(self, rows: list[Any], at: int, size: int) -> None:
        self._rows, self._end = rows, at + size
        self.data = rows[at : at + size]
        self.has_more = self._end < len(rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows[self._end - len(self.data) if self.data else 0 :])


class _Service:
    """Jobs, events and stored completions of a service whose pages hold at most two."""

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
        at = next((n + 1 for n, e in enumerate(self._events) if e.id == after), 0)
        return _Page(self._events, at, min(limit, 2))

    def list(self, *, model: str, limit: int = 20, after: str = "") -> _Page:
        """Return stored completions."""
        at = next((n + 1 for n, e in enumerate(self._stored) if e.id == after), 0)
        return _Page(self._stored, at, min(limit, 2))

    def update(self, completion_id: str, *, metadata: Mapping[str, str]) -> Any:
        """Give a stored completion other metadata."""
        (one,) = (one for one in self._stored if one.id == completion_id)
        one.metadata = dict(metadata)
        return one


def _job(client: Any, model: str, train: str, valid: str | None, **other: Any) -> Any:
    settings = {"n_epochs": 2, "batch_size": 4, **other.pop("settings", {})}
    watched = {} if valid is None else {"validation_file": valid}
    asked = {
        "model": model, "training_file": train, "suffix": "watched", "seed": 0, **watched,
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}}, **other,
    }  # fmt: skip
    return client.fine_tuning.jobs.create(**asked)


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


def _merged(old: dict[str, str], new: dict[str, str], *, once: bool = True) -> dict[str, str]:
    tests = dict(old)
    for name, text in new.items():
        if once and text in tests.values():
            continue
        free, number = name, 2
        while free in tests:
            free, number = f"{name}_{number}", number + 1
        tests[free] = text
    return tests


def _second_only(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    fresh = {name: text for name, text in new.items() if text not in old.values()}
    return old | {f"{name}_2" if name in old else name: text for name, text in fresh.items()}


def _label(client: Any, model: str, is_good: Callable[[str], bool], pages: str = "all") -> Any:
    listed = client.chat.completions.list(model=model)
    return [
        client.chat.completions.update(
            one.id,
            metadata={"label": "good" if is_good(one.choices[0].message.content) else "bad"},
        )
        for one in (listed if pages == "all" else listed.data)
    ]


def _good_alone(client: Any, model: str, is_good: Callable[[str], bool]) -> Any:
    return [
        client.chat.completions.update(one.id, metadata={"label": "good"})
        for one in client.chat.completions.list(model=model)
        if is_good(one.choices[0].message.content)
    ]


def _several_lines(text: str) -> bool:
    return len(re.findall(r"\w+\(", text)) > 1


_EVENTS = _Service(events=("created", "started", "step 1", "step 2", "done"))
_STORED = _Service(stored=("f(1)\nf(2)", "Sure!", "f(0)\nf(-1)\nf(3)", "f(1)"))

EXERCISES = (
    exercise(
        "08.1",
        solution=calls_in,
        cases=((_MODULE,), ("self.assertEqual(f(2), 4)",)),
        mistakes={
            "only the first is kept": lambda module: calls_in(module)[:1],
            "only the last is kept": lambda module: calls_in(module)[-1:],
            "the whole assertion comes back": _with_values,
            "calls in the expected value are taken": _all_calls,
            "one text, not a list": lambda module: "\n".join(calls_in(module)),
        },
    ),
    exercise(
        "08.2",
        solution=_job,
        cases=((_Service(), "smollm2-135m", "file-a", "file-b"), (_Service(), "m", "x", "y")),
        view=_asked,
        mistakes={
            "the validation file is missing": lambda c, m, t, v: _job(c, m, t, None),
            "the files are exchanged": lambda c, m, t, v: _job(c, m, v, t),
            "the rows that are learned are watched": lambda c, m, t, v: _job(c, m, t, t),
            "the epochs are left to the service": partial(_job, settings={"n_epochs": "auto"}),
            "the batch size is left to the service": partial(_job, settings={"batch_size": "auto"}),
            "another suffix": partial(_job, suffix="tests"),
        },
    ),
    exercise(
        "08.3",
        solution=all_messages,
        cases=((_EVENTS, "ftjob-1"), (_Service(events=("created",)), "ftjob-2")),
        mistakes={
            "one page only": lambda client, job: [
                event.message for event in client.list_events(job, limit=2).data
            ][::-1],
            "the newest comes first": lambda client, job: all_messages(client, job)[::-1],
            "events come back, not messages": lambda c, j: [*c.list_events(j, limit=2)][::-1],
        },
    ),
    exercise(
        "08.4",
        solution=_merged,
        cases=(
            ({"test_edges": "f(0)"}, {"test_edges": "f(1)", "test_more": "f(2)"}),
            ({"test_edges": "f(0)", "test_edges_2": "f(9)"}, {"test_edges": "f(1)"}),
            ({"test_a": "f(3)"}, {"test_b": "f(3)", "test_a": "f(4)"}),
            ({}, {"test_a": "f(1)"}),
        ),
        mistakes={
            "an old test is replaced": lambda old, new: old | new,
            "a new test is lost": lambda old, new: new | old,
            "a test is there twice": partial(_merged, once=False),
            "the second name is taken too": _second_only,
        },
    ),
    exercise(
        "08.5",
        solution=_label,
        cases=((_STORED, "ft:tests", _several_lines), (_STORED, "ft:tests", str.isalpha)),
        view=lambda labelled: {one.id: one.metadata for one in labelled},
        mistakes={
            "the first page alone is labelled": partial(_label, pages="first"),
            "only the good ones are labelled": _good_alone,
            "good and bad are exchanged": lambda c, m, i: _label(c, m, lambda text: not i(text)),
        },
    ),
)
