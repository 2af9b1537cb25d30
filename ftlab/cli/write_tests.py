"""The command of the agent: write-tests."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.synthesis import AnswerTokens, BaseUrl, Concurrency


def write_tests(
    paths: Annotated[list[Path], typer.Argument(help="Python files and folders.")],
    model: Annotated[str | None, typer.Option(help="Its name there; else OPENAI_MODEL.")] = None,
    base_url: BaseUrl = None,
    out: Annotated[Path, typer.Option(help="Folder of the test files.")] = Path("tests"),
    expect: Annotated[
        str, typer.Option(help="Who states the values: model, or run (you confirm them).")
    ] = "model",
    repairs: Annotated[int, typer.Option(min=0, help="Tries after a failure, with model.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Answers a function, with run.")] = 4,
    standards: Annotated[Path | None, typer.Option(help="Your standards, a markdown list.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Another model there: compare, write nothing of its.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes only.")] = False,
    answers: Annotated[Path, typer.Option(help="Where answers are kept.")] = Path(
        "runs/write-tests/answers.jsonl"
    ),
    answer_tokens: AnswerTokens = 512,
    concurrency: Concurrency = 8,
) -> None:
    """Have a model write unit tests; run them; add those that pass, and replace nothing.

    Exit code: 0 if every function has a test that passes, 1 if one has none, 2 for a mistake.
    """
    from ftlab import agents
    from ftlab.endpoint import connect

    teacher = connect(model, base_url=base_url, timeout=600)  # a small machine takes its time

    def run(name: str, dry: bool) -> agents.Report:
        return agents.write_tests(
            paths, client=teacher.client, model=name, out=out, expect=expect, repairs=repairs,
            samples=samples, standards=standards, dry_run=dry, answers_file=answers,
            at_once=concurrency, answer_tokens=answer_tokens,
        )  # fmt: skip

    if against:
        connect(against, base_url=base_url)
    report = run(teacher.model, dry_run)
    if dry_run:
        print(report.diff)
    print(report)
    if against:
        other = run(against, True)
        print(f"\n{other}")
        print("\n".join(agents.compare(other, report)))
    raise typer.Exit(0 if report.ok else 1)
