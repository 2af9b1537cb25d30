"""The agent: ask for tests, run them, show the failures, keep what passes, add it to the files.

    functions --model--> answers --sandbox--> tests that pass --merge--> tests/test_cart.py
                  ^                    |
                  +----- failures -----+     at most `repairs` times

Nothing is written before the last answer is there; so whatever is wrong with the model, the key or
the endpoint is said first.
"""

import ast
import difflib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.agents import bench, merge
from ftlab.agents.functions import Function, Source, project_modules, sources_of
from ftlab.agents.report import Outcome, Report
from ftlab.agents.standards import Case, Standards, read_standards
from ftlab.curation.answer_cache import AnswerCache, Request, answers
from ftlab.endpoint import Answer, NoAnswer, Teacher, reach
from ftlab.errors import ConfigError, DataError, ModelError, raise_unknown
from ftlab.evaluation.probes import calls_in
from ftlab.files import read_text, writing
from ftlab.generation import split_thought
from ftlab.tasks import unit_tests

CALLS_CUE = "Write calls of this function, one a line:\n\n"
_KEPT = 4
"""Calls that become typical cases, and that become edges, and errors."""
_LONGEST = 88
"""Characters of an assertion that a person is asked to confirm."""


@dataclass
class _Work:
    """A function on its way."""

    outcome: Outcome
    modules: dict[str, str]
    file: Path
    messages: list[dict[str, Any]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)

    @property
    def function(self) -> Function:
        return self.outcome.function


def calls_prompt(source: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for calls of a function, one a line."""
    return ({"role": "user", "content": CALLS_CUE + source.strip("\n")},)


def write_tests(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    client: Any,
    model: str,
    out: str | os.PathLike[str] = "tests",
    expect: str = "model",
    repairs: int = 1,
    standards: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    samples: int = 4,
    answers_file: str | os.PathLike[str] | None = None,
    at_once: int = 8,
    answer_tokens: int = 512,
    most_mutants: int = 40,
) -> Report:
    """Have a model write tests of the functions in some files, and add those that pass.

    Args:
        paths: Python files and folders.
        client: an `openai.OpenAI`, of any endpoint.
        model: its name there.
        out: folder of the test files, one for each source file; what is in them stays.
        expect: "model": it writes whole tests, expected values included. "run": it proposes calls,
            and running the function gives the values, marked for a person to confirm.
        repairs: how often a model sees its failures and tries again, with "model".
        standards: a markdown list of how tests shall be; None for the house style.
        dry_run: write no test file.
        samples: answers to each function, with "run".
        answers_file: where answers are kept, so that none is paid for twice; None keeps none.
        at_once: most requests at one time.
        answer_tokens: most tokens in an answer.
        most_mutants: small faults put into each function.

    Raises:
        ConfigError, ModelError, OfflineError: an option, the key, the model's name or the endpoint
            is wrong; nothing is written.
        DataError: a path or the standards cannot be read, or two files have one name.
        SandboxError: this machine has no sandbox that is strong enough for what a model wrote.
    """
    if expect not in ("model", "run"):
        raise_unknown("source of expected values", expect, ("model", "run"))
    if repairs < 0 or samples < 1:
        raise ConfigError(f"repairs must be 0 or more and samples 1 or more: {repairs}, {samples}.")
    style = read_standards(read_text(standards)) if standards else Standards()
    if standards and not style.lines:
        raise DataError(
            f"{standards} has no list. Write one standard a line, as in `- no classes`."
        )
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    sources = sources_of(given, str(out))
    teacher = reach(
        client, model, answer_tokens=answer_tokens, temperature=0.8 if expect == "run" else 0.0
    )
    cache = AnswerCache(answers_file) if answers_file else None
    report = Report(
        model, expect, notes=[f"for the model only, not checked: {line}" for line in style.loose]
    )
    works = _plan(sources, Path(out), report)
    if works:
        asked = _Asking(teacher, cache, at_once)
        (_by_model if expect == "model" else _by_running)(works, asked, style, repairs, samples)
        _each(lambda work: _measure(work, style, most_mutants), works)
    report.functions = [work.outcome for work in works]
    _write(works, style, report, dry_run)
    return report


def _each(do: Any, works: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(do, works))


def _plan(sources: Sequence[Source], out: Path, report: Report) -> list[_Work]:
    """Return the functions that can be tested; the report says what is left out, and why."""
    works: list[_Work] = []

    def one(source: Source) -> None:
        file = out / f"test_{source.module.replace('.', '_')}.py"
        modules = project_modules(source) if source.functions else {}
        if not source.why and (why := bench.loads(source.functions[0], modules)):
            source.why = f"cannot be loaded in the sandbox, which has the standard library: {why}"
        try:
            old = file.read_bytes().decode() if file.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            source.why = source.why or f"{file} cannot be read, so nothing is added: {error}"
        for function in [] if source.why else source.functions:
            if why := merge.conflict(old, source.module, function.name):
                source.why = f"{file} {why}"
            else:
                works.append(_Work(Outcome(function), modules, file))

    for source in sources:
        one(source)
        if source.why:
            report.left_out[source.path] = source.why
    return works


class _Asking:
    """Requests to the model, several at a time, with a bar where there is a terminal."""

    def __init__(self, teacher: Teacher, cache: AnswerCache | None, at_once: int) -> None:
        self.teacher, self.cache, self.at_once = teacher, cache, at_once

    def __call__(self, what: str, requests: Sequence[Request]) -> list[Answer | NoAnswer]:
        """Return the answer to each request.

        Raises:
            ModelError: not one came.
        """
        from tqdm import tqdm

        found = answers(self.teacher, requests, self.cache, at_once=self.at_once)
        bar = tqdm(found, what, len(requests), leave=False, disable=not sys.stderr.isatty())
        return [answer for _, answer in bar]


def _by_model(
    works: Sequence[_Work], asked: _Asking, style: Standards, repairs: int, samples: int
) -> None:
    """Have the model write whole tests; show it what fails."""
    for work in works:
        work.messages = list(style.prompt(work.function.source))
    pending = list(works)
    for number in range(repairs + 1):
        what = f"repair {number}" if number else "tests"
        replies = asked(what, [Request(work.messages) for work in pending])
        if not number and all(isinstance(reply, NoAnswer) for reply in replies):
            raise ModelError(f"No request was answered, so nothing is written: {replies[0]}.")
        pairs = list(zip(pending, replies, strict=True))
        _each(lambda pair, n=number: _take(pair[0], pair[1], style, n), pairs)
        pending = [
            work for work, reply in pairs if work.outcome.failed and isinstance(reply, Answer)
        ]
        if not pending:
            return
        for work, reply in pairs:
            if isinstance(reply, Answer):
                faults = "\n".join(f"{name}: {why}" for name, why in work.outcome.failed.items())
                work.messages += [
                    {"role": "assistant", "content": reply.text},
                    {"role": "user", "content": f"These tests fail:\n\n{faults}\n\n"
                                                "Write the whole module again, mended."},
                ]  # fmt: skip


def _take(work: _Work, reply: Answer | NoAnswer, style: Standards, number: int) -> None:
    """Run the tests of an answer; keep what passes and note what does not."""
    outcome, function = work.outcome, work.function
    if isinstance(reply, NoAnswer):
        if not number:
            outcome.failed = {"no answer": str(reply)}
        return
    tests, imports = tests_in(split_thought(reply.text)[1], function.name, style)
    outcome.proposed += sum(name not in outcome.tests for name in tests)
    fresh = {name: test for name, test in tests.items() if name not in outcome.tests}
    outcome.failed = {}
    if not tests:
        outcome.failed = {"no test": "the answer holds no test that calls the function"}
    parsed = {name: ast.parse(test).body[0] for name, test in fresh.items()}
    for name, node in parsed.items():
        if broken := style.broken(node, function.name):  # type: ignore[arg-type]
            outcome.failed[name] = f"breaks the standard: {'; '.join(broken)}"
    fresh = {name: test for name, test in fresh.items() if name not in outcome.failed}
    for some in [list(fresh), *([name] for name in fresh if len(fresh) > 1)]:
        if not some:
            return
        module = _module(work, [fresh[name] for name in some], imports, style)
        ran = bench.run(module, some, function, work.modules)
        good = {name: fresh[name] for name in some if name in ran.passed}
        outcome.tests |= good
        outcome.repaired += len(good) * (number > 0)
        outcome.failed |= ran.failed
        if ran.passed or set(ran.failed.values()) - {"timeout"}:
            break  # else one of them hung up all: each alone
    for name in outcome.tests:
        outcome.failed.pop(name, None)
    work.imports |= imports


def tests_in(text: str, function: str, style: Standards) -> tuple[dict[str, str], set[str]]:
    """Return the tests in an answer by name, and the imports of the standard library with them.

    A test stands by itself: helpers, set-up methods and other classes are not taken. What was cut
    off at its end, or has lines behind it that are no Python, loses those lines.
    """
    lines = unit_tests.parse(text).splitlines()
    tree = None
    while lines and tree is None:
        try:
            tree = ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            lines.pop()
    source = "\n".join(lines)
    tests: dict[str, str] = {}
    imports = set()
    bodies = set()
    for top in tree.body if tree else []:
        if isinstance(top, (ast.Import, ast.ImportFrom)):
            roots = (
                [top.module or ""]
                if isinstance(top, ast.ImportFrom)
                else [a.name for a in top.names]
            )
            if (
                all(r.split(".")[0] in sys.stdlib_module_names for r in roots)
                and ast.unparse(top) != "import unittest"
            ):
                imports.add(ast.unparse(top))
        for node in top.body if isinstance(top, ast.ClassDef) else [top]:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
                continue
            called = any(isinstance(n, ast.Name) and n.id == function for n in ast.walk(node))
            body = "\n".join(map(ast.unparse, node.body))
            if called and not node.decorator_list and body not in bodies:
                bodies.add(body)
                tests[node.name] = _standing(node, source, style)
    return tests, imports


def _standing(node: ast.FunctionDef, source: str, style: Standards) -> str:
    """Return a test's source by itself, with or without `self` as the standards have it."""
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    text = "\n".join(line[node.col_offset :] for line in lines) + "\n"
    selfless = not any(isinstance(n, ast.Name) and n.id == "self" for n in ast.walk(node))
    wanted = "" if style.has("functions") and selfless else "self"
    before, after = ast.unparse(node.args), wanted
    try:
        if before == after and ast.dump(ast.parse(text).body[0]) == ast.dump(node):
            return text  # as it was written, comments included
    except SyntaxError:
        pass
    if before in ("", "self"):
        node.args.args = [ast.arg("self")] if after else []
    return ast.unparse(node) + "\n"


def _module(work: _Work, tests: Sequence[str], imports: set[str], style: Standards) -> str:
    """Return a module of these tests that imports from `target`."""
    names, needed = _names(work, tests, imports)
    return style.module(tests, work.function.name, needed, ", ".join(names))


def _names(work: _Work, tests: Sequence[str], imports: set[str]) -> tuple[list[str], list[str]]:
    """Return what tests need: names of the function's module, and import statements."""
    used = {n.id for test in tests for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    needed = []
    for line in sorted(imports):
        node = ast.parse(line).body[0]
        assert isinstance(node, (ast.Import, ast.ImportFrom))
        if used & {(a.asname or a.name).split(".")[0] for a in node.names}:
            needed.append(line)
    return sorted({work.function.name, *(used & work.function.names)}), needed


def _by_running(
    works: Sequence[_Work], asked: _Asking, style: Standards, repairs: int, samples: int
) -> None:
    """Have the model propose calls, several times; run them for their values."""
    requests = [
        Request(calls_prompt(work.function.source), sample=number + 1)
        for work in works for number in range(samples)
    ]  # fmt: skip
    replies = asked("calls", requests)
    if all(isinstance(reply, NoAnswer) for reply in replies):
        raise ModelError(f"No request was answered, so nothing is written: {replies[0]}.")

    def one(number: int) -> None:
        mine = replies[number * samples : (number + 1) * samples]
        texts = [reply.text for reply in mine if isinstance(reply, Answer)]
        _confirmable(works[number], texts, style)
        if not texts:
            works[number].outcome.failed = {"no answer": str(mine[0])}

    _each(one, range(len(works)))


def calls_in_answer(text: str, function: str) -> list[str]:
    """Return the calls of a function in an answer, be it a list of lines or a module of tests.

    >>> calls_in_answer("1. f(2)\\n- f('a') == 3\\nassert f(2) == 4", "f")
    ['f(2)', 'f("a")', 'f(2)']
    """
    found = []
    for line in [unit_tests.parse(text), *text.splitlines()]:
        bare = line if "\n" in line else line.strip(" \t-*`0123456789.")
        for part in (bare, bare[bare.find(f"{function}(") :]):
            try:
                tree = ast.parse(part)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            some = [n for n in ast.walk(tree) if isinstance(n, ast.Call)
                    and isinstance(n.func, ast.Name) and n.func.id == function]  # fmt: skip
            found += [ast.unparse(call) for call in some]
            break
        if found and "\n" in line:
            break
    return found


def _confirmable(work: _Work, texts: Sequence[str], style: Standards) -> None:
    """Make tests of the calls that a model proposed; those that fail are dropped, and counted."""
    outcome, function = work.outcome, work.function
    found = [call for text in texts for call in calls_in_answer(text, function.name)]
    calls = list(dict.fromkeys(call for call in found if len(call) < _LONGEST))
    outcome.proposed = len(calls)
    raised = {n.id for r in ast.walk(ast.parse(function.source)) if isinstance(r, ast.Raise)
              for n in ast.walk(r) if isinstance(n, ast.Name)}  # fmt: skip
    cases: list[Case] = []
    for call, said in bench.values(calls, function, work.modules).items():
        value, error = said.get("value", ""), said.get("error", "")
        if error and error not in raised:
            outcome.failed[call] = error
        elif len(call) + len(value) < _LONGEST:
            arguments = next(iter(calls_in(call, function.name)), [])
            edge = any(not a or (isinstance(a, (int, float)) and a < 0) for a in arguments)
            cases.append(Case(call, value, error, edge))
    kept: list[Case] = []
    for case in sorted(cases, key=lambda c: sum(c.value == other.value for other in cases)):
        alike = [k for k in kept if (k.edge, bool(k.error)) == (case.edge, bool(case.error))]
        kept += [case] * (len(alike) < _KEPT)
    tests = style.write(function.name, kept, "  # confirm")
    outcome.tests = {ast.parse(test).body[0].name: test for test in tests}  # type: ignore[attr-defined]


def _measure(work: _Work, style: Standards, most: int) -> None:
    """Count the lines that the tests run and the faults that they notice; say what is missed."""
    outcome, function = work.outcome, work.function
    tests = list(outcome.tests.values())
    module = _module(work, tests, work.imports, style) if tests else ""
    ran = bench.run(module, list(outcome.tests), function, work.modules) if tests else bench.Ran()
    for name in [name for name in outcome.tests if name not in ran.passed]:
        outcome.failed[name] = ran.failed.get(name, "it does not pass every time")
        del outcome.tests[name]
    if len(tests) != len(outcome.tests):
        return _measure(work, style, most)
    everything = bench.statements(function)
    outcome.lines, outcome.statements = len(ran.lines), len(everything)
    outcome.killed, outcome.mutants, said = bench.notice(module, function, work.modules, most)
    text = function.source.split("\n")
    missed = sorted(everything - ran.lines) if tests else []
    outcome.untested = [
        f"line {n} is never run: `{text[n - function.line].strip()}`" for n in missed
    ]
    outcome.untested += said
    if not tests:
        whys = [f"{name}: {why}" for name, why in outcome.failed.items()] or [
            "nothing was proposed"
        ]
        outcome.untested = [f"no test of it passes ({'; '.join(whys[:2])})"]


def _write(works: Sequence[_Work], style: Standards, report: Report, dry_run: bool) -> None:
    """Add the tests to their files, with a backup of what was there."""
    for file in dict.fromkeys(work.file for work in works):
        mine = [work for work in works if work.file == file and work.outcome.tests]
        additions = []
        for work in mine:
            tests = list(work.outcome.tests.values())
            names, needed = _names(work, tests, work.imports)
            additions.append(merge.Addition(work.function.name, tests, needed, names))
        old = file.read_bytes().decode() if file.exists() else ""
        new = old
        for module in dict.fromkeys(work.function.module for work in mine):
            some = [a for a, w in zip(additions, mine, strict=True) if w.function.module == module]
            new = merge.merge(new, module, some, style)
        if new == old:
            if mine:
                report.files[file] = "has these tests already"
            continue
        report.diff += "".join(
            difflib.unified_diff(
                old.splitlines(keepends=True), new.splitlines(keepends=True), str(file), str(file)
            )
        )
        done = bench.run_file(new, {k: v for work in mine for k, v in work.modules.items()})
        if done.outcome not in ("ok", "failed"):
            report.notes.append(
                f"{file} was not run as a whole: {bench._last(done) or done.outcome}"
            )
        elif done.failed:
            first = next(iter(done.failed.items()))
            report.notes.append(
                f"{file} as a whole: {len(done.failed)} fail, {first[0]}: {first[1]}"
            )
        report.files[file] = "would be written" if dry_run else "written"
        if not dry_run:
            if file.exists():
                report.files[file] = f"tests added; as it was: {_backup(file)}"
            with writing(file, overwrite=True) as temporary:
                temporary.write_bytes(new.encode())


def _backup(file: Path) -> Path:
    """Copy a file beside itself, over no other backup."""
    number = 1
    while (place := file.with_name(f"{file.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    with writing(place) as temporary:
        temporary.write_bytes(file.read_bytes())
    return place
