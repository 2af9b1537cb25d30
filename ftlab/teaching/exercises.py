"""Exercises that run the learner's code and answer each usual mistake by name.

The reference solutions stand in the lessons' modules (`ftlab/teaching/lesson03.py`); the titles,
the hints, the hidden cases and the usual mistakes in `data/exercises/`, a file a lesson. A mistake
is a wrong function: the solution with other words in it. A learner's function is run on the cases;
when it behaves as one of the wrong functions does, the answer is that mistake's message.

>>> double = Exercise(
...     id="99.1",
...     title="Double it",
...     hints=("Twice the number.", "Multiply by 2."),
...     solution=lambda x: 2 * x,
...     cases=((3,), (5,)),
...     mistakes=(Mistake("squared", lambda x: x * x, "That is the square, not the double."),),
... )
>>> print(judge(double, lambda x: x * x).message)
99.1 is not right yet: squared. That is the square, not the double.
>>> judge(double, lambda x: x + x).passed
True
"""

import contextlib
import copy
import importlib
import inspect
import io
import json
import math
import pkgutil
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ftlab.display import say
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data
from ftlab.teaching import progress

LONG = 160
"""Characters of a call above which a message shortens it, and lays out what it shows in lines."""


@dataclass(frozen=True)
class Mistake:
    """A usual mistake: its name, a function that makes it, and what helps."""

    name: str
    wrong: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Exercise:
    """One exercise, as data."""

    id: str
    """The lesson and the number in it, as in "00.1"."""
    title: str
    hints: tuple[str, str]
    """A first hint that points, a second that nearly tells."""
    solution: Callable[..., Any]
    cases: tuple[tuple[Any, ...], ...]
    """The hidden cases: the arguments of each call."""
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 1e-6
    """How far numbers may be off, relatively."""
    view: Callable[[Any], Any] | Sequence[str] | None = None
    """What counts of a returned object: a function's figure of it, or, as of a LoraConfig, only the
    attributes named; without it, all of it does."""


def exercise(
    id: str, solution: Callable[..., Any], mistakes: Mapping[str, Any] | None = None, **more: Any
) -> Exercise:
    """Return an exercise whose words, and cases of plain values, are those of `data/exercises/`.

    A mistake stands there by its name, in one of two forms:

        it adds up: {says: Divide by their number., change: {" / len(numbers)": ""}}
        it is negative: {says: Drop the minus., returns: -mean(numbers)}

    `change` has what stands in the solution's text -> what stands there instead. `returns` is an
    expression of the solution's arguments and of the names of the lesson's module.

    Args:
        id: the words are found by it.
        solution: the reference.
        mistakes: name -> the function that makes a mistake of which the file has only the message.
        more: `cases` that are not in the file, `tolerance`, `view`; see `Exercise`.
    """
    words = read_data(f"exercises/{id[:2]}.yaml")[id]
    made = tuple(
        Mistake(name, (mistakes or {})[name], told)
        if isinstance(told, str)
        else Mistake(name, _mistaken(solution, **told), told["says"])
        for name, told in words["mistakes"].items()
    )
    cases = json.loads(json.dumps(words.get("cases", ())))  # lists again, not tuples
    known = {"cases": tuple(map(tuple, cases))} | more
    return Exercise(id, words["title"], words["hints"], solution, mistakes=made, **known)


def _mistaken(
    solution: Any, says: str, change: Mapping[str, str] | None = None, returns: str = ""
) -> Any:
    """Return the solution with changed words, or a function of its arguments that returns this."""
    if returns:
        signature = inspect.signature(solution)
        bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        return eval(f"lambda {', '.join(map(str, bare))}: {returns}", solution.__globals__)
    text = inspect.getsource(solution)
    for old, new in (change or {}).items():
        if old not in text:
            raise ConfigError(f"{solution.__name__} has no {old!r} to change, for: {says}")
        text = text.replace(old, new)
    made: dict[str, Any] = {}
    exec(text, solution.__globals__, made)
    return made[solution.__name__]


class Client:
    """A stand-in for `openai.OpenAI`, without a network, for exercises that call an endpoint.

    Args:
        respond: called with the model, the messages and the other settings of a request; returns
            the text, and why it ended ("stop" or "length").
        name: how it is shown.
    """

    def __init__(
        self, respond: Callable[[str, Any, dict[str, Any]], tuple[Any, str]], name: str = "client"
    ) -> None:
        self.chat = self.completions = self
        self._respond, self._name = respond, name

    def __repr__(self) -> str:
        return self._name

    def __deepcopy__(self, memo: Any) -> "Client":
        return self

    def create(self, *, model: str, messages: Any, **settings: Any) -> SimpleNamespace:
        """Answer a request as the official client does."""
        text, reason = self._respond(model, messages, settings)
        message = SimpleNamespace(role="assistant", content=text)
        choice = SimpleNamespace(message=message, finish_reason=reason)
        return SimpleNamespace(choices=[choice], model=model)


@dataclass(frozen=True)
class Outcome:
    """What came of checking one answer."""

    passed: bool
    kind: str
    """right, unwritten, printed, not a function, raised, mistake or wrong."""
    message: str


@dataclass(frozen=True)
class _Call:
    """One call of a function: what it returned or raised, and what it printed."""

    value: Any = None
    error: BaseException | None = None
    printed: str = ""


def check(id: str, answer: Any) -> None:
    """Check an answer and show one message: right, or what is not right yet and why.

    Args:
        id: the exercise, as in "00.1".
        answer: the learner's function itself (without parentheses).

    Raises:
        ConfigError: there is no such exercise.
    """
    exercise = find(id)
    outcome = judge(exercise, answer)
    progress.note(exercise.id, passed=outcome.passed, tried=outcome.kind != "unwritten")
    tone = "right" if outcome.passed else "note" if outcome.kind == "unwritten" else "wrong"
    say(outcome.message, tone=tone)


def hint(id: str, number: int = 1) -> None:
    """Show hint 1 or 2 of an exercise."""
    exercise = find(id)
    if number not in (1, 2):
        raise ConfigError(f"Exercise {id} has no hint {number!r}; ask for hint 1 or hint 2.")
    say(f"Hint {number} of {exercise.id}: {exercise.hints[number - 1]}")


def exercises() -> dict[str, Exercise]:
    """Return every exercise of every lesson by its id."""
    import ftlab.teaching

    found = {}
    for module in pkgutil.iter_modules(ftlab.teaching.__path__):
        if module.name.startswith("lesson"):
            lesson = importlib.import_module(f"ftlab.teaching.{module.name}")
            found.update({exercise.id: exercise for exercise in lesson.EXERCISES})
    return dict(sorted(found.items()))


def find(id: str) -> Exercise:
    """Return the exercise of this id.

    Raises:
        ConfigError: there is none; the message lists the ids and suggests the nearest.
    """
    known = exercises()
    if id not in known:
        raise_unknown("exercise", str(id), known)
    return known[id]


def judge(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer without showing or remembering anything."""
    named = exercise.id
    if answer is None or answer is ...:
        return _unwritten(exercise)
    if not callable(answer):
        text = f"{named} wants the function itself. Write its name without parentheses; "
        return Outcome(False, "not a function", f"{text}what came in is {_short(answer)}.")

    def run(code: Any) -> list[_Call]:
        return [_call(code, case, exercise.view) for case in exercise.cases]

    def as_in(others: list[_Call]) -> list[bool]:
        return [_alike(a, b, exercise.tolerance) for a, b in zip(calls, others, strict=True)]

    wanted, calls = run(exercise.solution), run(answer)
    if all(isinstance(call.error, NotImplementedError) for call in calls):
        return _unwritten(exercise)
    if all(call.error is None and (call.value is None or call.value is ...) for call in calls):
        if not any(call.printed for call in calls):
            return _unwritten(exercise)
        text = f"{named} is nearly there: the function prints its answer and returns nothing. "
        return Outcome(False, "printed", text + "Write `return` where it says `print`.")
    right = as_in(wanted)
    if all(right):
        return Outcome(True, "right", f"{named} is right: {exercise.title}.")
    for mistake in exercise.mistakes:
        if all(as_in(run(mistake.wrong))):
            text = f"{named} is not right yet: {mistake.name}. {mistake.message}"
            return Outcome(False, "mistake", text)
    first = right.index(False)
    call, case, want = calls[first], exercise.cases[first], _short(wanted[first].value)
    push = f'Need a push? ftlab.hint("{named}", 1)'
    asked = f"{getattr(answer, '__name__', 'answer')}({', '.join(map(_short, case))})"
    if len(asked) > LONG:  # what came out matters more than what went in
        asked = f"{asked[:LONG]}…)"
    if call.error is not None:
        stopped = f"{named} stopped at {asked}: {type(call.error).__name__}: {call.error}"
        return Outcome(False, "raised", f"{stopped.rstrip(': ')}\nWanted there: {want}. {push}")
    got = _short(call.value)
    apart = "\n" if len(asked + got + want) > LONG else " "  # long ones stand below each other
    text = (
        f"{named} is not right yet ({sum(right)} of {len(right)} cases are).\n"
        f"{asked} returned{apart}{got}; wanted:{apart}{want}.{apart}{push}"
    )
    return Outcome(False, "wrong", text)


def _unwritten(exercise: Exercise) -> Outcome:
    text = f"{exercise.id} is not written yet: {exercise.title}. Hint 1: {exercise.hints[0]}"
    return Outcome(False, "unwritten", text)


def _call(function: Callable[..., Any], case: tuple[Any, ...], view: Any = None) -> _Call:
    """Call with a copy of the arguments, so that no call can change the next one's."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            value = function(*copy.deepcopy(case))
    except KeyboardInterrupt:
        # A loop without an end, stopped by the learner: as much an answer as any other.
        stopped = RuntimeError("stopped by hand; does a loop in it ever end?")
        return _Call(error=stopped, printed=printed.getvalue())
    except (Exception, SystemExit) as error:
        return _Call(error=error, printed=printed.getvalue())
    if view is not None and value is not None and value is not ...:
        with contextlib.suppress(Exception):  # what cannot be viewed is shown as it is
            value = view(value) if callable(view) else _parts(value, view)
    return _Call(value=value, printed=printed.getvalue())


def _parts(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return an object's attributes by name; the order of a collection does not count."""
    found = {name: getattr(value, name) for name in names}
    many = (list, tuple, set, range)
    return {name: sorted(one) if isinstance(one, many) else one for name, one in found.items()}


def _alike(one: _Call, other: _Call, tolerance: float) -> bool:
    """Two calls are alike when both raise the same type, or both return the same."""
    if one.error is not None or other.error is not None:
        return type(one.error) is type(other.error)
    return _same(one.value, other.value, tolerance)


def _same(got: Any, want: Any, tolerance: float) -> bool:
    """Compare as a learner would: numbers nearly, lists and tuples and arrays by their items."""
    got, want = (x.tolist() if hasattr(x, "tolist") else x for x in (got, want))
    if isinstance(want, bool) or isinstance(got, bool):
        return isinstance(got, (bool, int)) and isinstance(want, (bool, int)) and got == want
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        return math.isclose(got, want, rel_tol=tolerance, abs_tol=tolerance * 1e-3) or (
            math.isnan(got) and math.isnan(want)
        )
    if isinstance(want, (list, tuple)) and isinstance(got, (list, tuple)):
        return len(got) == len(want) and all(
            _same(a, b, tolerance) for a, b in zip(got, want, strict=True)
        )
    if isinstance(want, dict) and isinstance(got, dict):
        return got.keys() == want.keys() and all(_same(got[k], want[k], tolerance) for k in want)
    if type(got) is not type(want):
        return False
    try:
        return bool(got == want)
    except Exception:
        return False


def _short(value: Any) -> str:
    """Write a value as code, shortened to a line."""
    writer = reprlib.Repr()
    writer.maxstring = writer.maxother = 80
    writer.maxlist = writer.maxtuple = writer.maxdict = 8
    try:
        return writer.repr(value)
    except Exception:
        return f"an object of type {type(value).__name__}"
