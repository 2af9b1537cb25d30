"""The agent: ask for tests, run them, show the failures, keep what passes, add it to the files.

Nothing is written before the last answer is there: whatever is wrong with the model's name, the key
or the endpoint is said first.
"""

import ast
import difflib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftlab.agents import bench, merge
from ftlab.agents.functions import Source, sources_of, with_modules
from ftlab.agents.report import Outcome, Report
from ftlab.agents.standards import (
    Case,
    Standards,
    calls_in_answer,
    read_standards,
    tests_in_answer,
)
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.endpoint import Answer, NoAnswer, reach
from ftlab.errors import ConfigError, DataError, ModelError, raise_unknown
from ftlab.evaluation.probes import calls_in
from ftlab.files import read_text, writing

CALLS_CUE = "Write calls of this function, one a line:\n\n"
_KEPT = 4  # calls that become typical cases, and as many edges, and errors
_LONGEST = 80  # characters of a call and its value that a person is asked to confirm
Ask = Callable[[str, Sequence[Request]], list[Answer | NoAnswer]]


def calls_prompt(source: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for calls of a function, one a line."""
    return ({"role": "user", "content": CALLS_CUE + source.strip("\n")},)


def write_tests(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], *, client: Any, model: str,
    out: str | os.PathLike[str] = "tests", expect: str = "model", repairs: int = 1,
    standards: str | os.PathLike[str] | None = None, dry_run: bool = False, samples: int = 4,
    answers_file: str | os.PathLike[str] | None = None, at_once: int = 8, answer_tokens: int = 512,
    most_mutants: int = 40,
) -> Report:  # fmt: skip
    """Have a model write tests of the functions in some files, and add those that pass.

    Args:
        paths: Python files and folders.
        client, model: an `openai.OpenAI` of any endpoint, and the model's name there.
        out: folder of the test files, one for each source file; what is in them stays.
        expect: "model": it writes whole tests, expected values included. "run": it proposes calls,
            and running the function gives the values, marked for a person to confirm.
        repairs: how often a model sees its failures and tries again, with "model".
        standards: a markdown list of how tests shall be; None for the house style.
        dry_run: write no test file.
        samples: answers to each function, with "run".
        answers_file: where answers are kept, so that none is paid for twice; None keeps none.
        at_once, answer_tokens, most_mutants: most requests at one time, tokens in an answer, and
            small faults put into each function.

    Raises:
        ConfigError, ModelError, OfflineError: an option, the key, the model's name or the endpoint
            is wrong; nothing is written.
        DataError: a path or the standards cannot be read, or two files have one name.
    """
    if expect not in ("model", "run"):
        raise_unknown("source of expected values", expect, ("model", "run"))
    if repairs < 0 or samples < 1:
        raise ConfigError(f"At least 0 repairs and 1 sample are wanted, got {repairs}, {samples}.")
    style = read_standards(read_text(standards)) if standards else Standards()
    if standards and not style.lines:
        raise DataError(f"{standards} has no list. Write a standard a line, such as - No classes.")
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    sources = sources_of(given, str(out))
    temperature = 0.8 if expect == "run" else 0.0
    teacher = reach(client, model, answer_tokens=answer_tokens, temperature=temperature)
    cache = AnswerCache(answers_file) if answers_file else None

    def ask(what: str, requests: Sequence[Request]) -> list[Answer | NoAnswer]:
        from tqdm import tqdm

        found = answers(teacher, requests, cache, at_once=at_once)
        quiet = not sys.stderr.isatty()
        replies = [r for _, r in tqdm(found, what, len(requests), leave=False, disable=quiet)]
        if replies and all(isinstance(reply, NoAnswer) for reply in replies):
            raise ModelError(
                f"No request was answered; nothing is written. The last: {replies[-1]}."
            )
        return replies

    report = Report(model, expect)
    report.notes = [f"Told to the model, and not checked: {line}" for line in style.loose]
    for source in sources:
        _plan(source, Path(out), report)
    if expect == "model":
        _by_model(report.functions, ask, style, repairs)
    else:
        _by_running(report.functions, ask, style, samples)
    for one in report.functions:  # no threads: Python 3.11 cannot parse in several
        _measure(one, style, most_mutants)
    _write(style, report, dry_run)
    return report


def _plan(source: Source, out: Path, report: Report) -> None:
    """Add the functions of a file that can be tested to the report, and why others cannot."""
    file = out / f"test_{source.module.replace('.', '_')}.py"
    functions = with_modules(source)
    if not source.why and (why := bench.loads(functions[0])):
        source.why = f"cannot be loaded in the sandbox, which has the standard library alone: {why}"
    if source.why:
        report.left_out[str(source.path)] = source.why
        return
    for function in functions:
        try:
            why = merge.conflict(_old(file), source.module, function.name)
        except (OSError, UnicodeDecodeError) as error:
            why = f"cannot be read: {error}"
        if any((one.file, one.name) == (file, function.name) for one in report.functions):
            why = f"has tests of another {function.name} from this run: give one file at a time"
        if why:
            report.left_out[f"{source.path}, {function.name}: {file}"] = why
        else:
            report.functions.append(Outcome(function, file))


def _old(file: Path) -> str:
    return file.read_bytes().decode() if file.exists() else ""


# Expected values by the model.


def _by_model(outcomes: Sequence[Outcome], ask: Ask, style: Standards, repairs: int) -> None:
    """Have the model write whole tests; show it what fails."""
    for one in outcomes:
        one.messages = list(style.prompt(one.function.source))
    pending = list(outcomes)
    for number in range(repairs + 1):
        requests = [Request(one.messages) for one in pending]
        try:
            replies = ask(f"repair {number}" if number else "tests", requests)
        except ModelError:
            if not number:
                raise
            return  # what is there already is worth keeping: the context may be full
        faulty = []
        for one, reply in zip(pending, replies, strict=True):
            _take(one, reply, style, number)
            if one.failed and isinstance(reply, Answer):
                faults = "\n".join(f"{name}: {why}" for name, why in one.failed.items())
                told = f"These tests fail:\n\n{faults}\n\nWrite the whole module again, mended."
                one.messages += [
                    {"role": "assistant", "content": reply.text}, {"role": "user", "content": told}
                ]  # fmt: skip
                faulty.append(one)
        pending = faulty


def _take(one: Outcome, reply: Answer | NoAnswer, style: Standards, number: int) -> None:
    """Run the tests of an answer; keep what passes and note what does not."""
    if isinstance(reply, NoAnswer):
        one.failed = one.failed or {"no answer": str(reply)}
        return
    tests, imports = tests_in_answer(reply.text, one.name, style)
    cut = "" if reply.finished else ", and was cut off by the limit on tokens"
    none = {"no test": f"the answer holds no test that calls {one.name}{cut}"}
    before, one.failed = set(one.failed), {} if tests else none
    one.imports |= imports
    fresh = {name: test for name, test in tests.items() if name not in one.tests}
    one.proposed += len(set(fresh) - before)
    for name in list(fresh):
        if broken := style.broken(ast.parse(fresh[name]).body[0], one.name):
            one.failed[name] = f"breaks the standard: {'; '.join(broken)}"
            del fresh[name]
    ran = _run(one, fresh, style)
    good = {name: fresh[name] for name in fresh if name in ran.passed}
    one.repaired += len(good) * (number > 0)
    one.tests |= good
    one.failed |= ran.failed


def _run(one: Outcome, tests: dict[str, str], style: Standards) -> bench.Ran:
    """Run tests together; each alone if that does not come to its end."""
    if not tests:
        return bench.Ran()
    ran = bench.run(_module(one, tests, style), list(tests), one.function)
    if ran.ended or len(tests) == 1:
        return ran
    alone = [_run(one, {name: test}, style) for name, test in tests.items()]
    return bench.Ran([name for each in alone for name in each.passed],
                     {name: why for each in alone for name, why in each.failed.items()},
                     set().union(*(each.lines for each in alone)))  # fmt: skip


def _module(one: Outcome, tests: dict[str, str], style: Standards) -> str:
    added = _addition(one, tests)
    return style.module(added.tests, one.name, added.imports, ", ".join(sorted(added.names)))


def _addition(one: Outcome, tests: dict[str, str]) -> merge.Addition:
    """Return tests with what they need: names of the function's module, and imports."""
    texts, imports = list(tests.values()), set()
    used = {n.id for test in texts for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    for line in one.imports:
        node: Any = ast.parse(line).body[0]
        if used & {(alias.asname or alias.name).split(".")[0] for alias in node.names}:
            imports.add(line)
    names = {one.name, *(used & one.function.names)}
    return merge.Addition(one.name, one.function.module, texts, imports, names)


# Expected values by running.


def _by_running(outcomes: Sequence[Outcome], ask: Ask, style: Standards, samples: int) -> None:
    """Have the model propose calls, several times; run them for their values."""
    replies = ask("calls", [Request(calls_prompt(one.function.source), sample=number + 1)
                            for one in outcomes for number in range(samples)])  # fmt: skip
    for number, one in enumerate(outcomes):
        _confirmable(one, replies[number * samples : (number + 1) * samples], style)


def _confirmable(one: Outcome, replies: Sequence[Answer | NoAnswer], style: Standards) -> None:
    """Make tests of the calls that a model proposed; repeats and those that fail are dropped."""
    texts = [reply.text for reply in replies if isinstance(reply, Answer)]
    calls = dict.fromkeys(call for text in texts for call in calls_in_answer(text, one.name))
    one.proposed = len(calls)
    raised = {n.id for node in ast.walk(ast.parse(one.function.source))
              if isinstance(node, ast.Raise)
              for n in ast.walk(node) if isinstance(n, ast.Name)}  # fmt: skip
    cases: list[Case] = []
    for call, (value, error) in bench.values(list(calls), one.function).items():
        if error and error not in raised:
            one.failed[call] = error
        elif len(call) + len(value) <= _LONGEST:
            given = next(calls_in(call, one.name), [])
            edge = any(not a or (isinstance(a, (int, float)) and a < 0) for a in given)
            cases.append(Case(call, value, error, edge))
    kept: list[Case] = []
    while cases:  # those whose values are new come first
        cases.sort(key=lambda case: [other.value for other in kept].count(case.value))
        case = cases.pop(0)
        kept += [case] * ([other.kind for other in kept].count(case.kind) < _KEPT)
    for test in style.write(one.name, kept, "  # confirm"):
        one.tests[test.partition("def ")[2].partition("(")[0]] = test
    if not texts:
        one.failed["no answer"] = str(replies[0])


# What the tests are worth, and where they go.


def _measure(one: Outcome, style: Standards, most: int) -> None:
    """Count the lines that the tests run and the faults that they notice; say what is missed."""
    ran = _run(one, one.tests, style)
    for name in set(one.tests) - set(ran.passed):
        one.failed[name] = ran.failed.get(name, "") or "it does not pass every time"
        del one.tests[name]
    statements = bench.counted(one.function)[1]
    one.lines, one.statements = len(ran.lines), len(statements)
    module = _module(one, one.tests, style) if one.tests else ""
    one.killed, one.mutants, said = bench.noticed(module, one.function, most)
    if not one.tests:
        whys = [f"{name}: {why}" for name, why in one.failed.items()] or ["nothing was proposed"]
        said = [f"no test of it passes ({'; '.join(whys[:2])})"]
        statements = set()
    text = one.function.source.split("\n")
    one.untested = [f"line {line} is never run: `{text[line - one.function.line].strip()}`"
                    for line in sorted(statements - ran.lines)] + said  # fmt: skip


def _write(style: Standards, report: Report, dry_run: bool) -> None:
    """Add the tests to their files, with a backup of what was there."""
    for file in dict.fromkeys(one.file for one in report.functions if one.tests):
        mine = [one for one in report.functions if one.file == file and one.tests]
        old = _old(file)
        try:
            new = merge.merge(old, [_addition(one, one.tests) for one in mine], style)
        except DataError as error:
            report.left_out[str(file)] = str(error)
            continue
        if new == old:
            report.files[file] = "has these tests already"
            continue
        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
        report.diff += "".join(difflib.unified_diff(before, after, str(file), str(file)))
        report.files[file] = "would be written" if dry_run else "written"
        if dry_run:
            continue
        if file.exists():
            report.files[file] = f"tests added; as it was: {_backup(file)}"
        with writing(file, overwrite=True) as temporary:
            temporary.write_bytes(new.encode())


def _backup(file: Path) -> Path:
    """Copy a file beside itself, over no other backup."""
    places = (file.with_name(f"{file.name}.bak{n}") for n in ("", *range(2, 10**6)))
    place = next(place for place in places if not place.exists())
    with writing(place) as temporary:
        shutil.copyfile(file, temporary)
    return place
