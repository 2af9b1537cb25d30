"""Commands of what answers: generate, serve, traces, loop, rollback, write-tests."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ftlab.cli.options import AnswerTokens, BaseUrl, Concurrency, MaxNewTokens, Model, Seed


def serve(
    host: str = Option("127.0.0.1", help="Others are let in only with a key."),
    port: int = Option(8000, min=0, max=65535, help="0 takes a free one."),
    data: Path = Option(Path("runs/service"), help="Folder of files, jobs and models."),
    api_key: list[str] | None = Option(
        None, envvar="FTLAB_API_KEY", help="One per user; each sees only its own."
    ),
    model: Model = "smollm2-135m",
    worker: bool = Option(True, help="Start the process that trains; its command is printed."),
    rate: int = Option(1200, min=1, help="Requests a minute for each key."),
    trace: bool = Option(False, "--trace", help="Store every completion, to be labelled."),
) -> None:
    """Serve fine-tuning jobs and chat to the openai client: files, jobs, models, completions."""
    from ftlab.serving.server import run
    from ftlab.serving.service import Limits

    run(
        data, host=host, port=port, keys=api_key or (), model=model, worker=worker,
        limits=Limits(requests=rate), trace=trace,
    )  # fmt: skip


def generate(
    prompt: str = Argument(..., help="What to say to the model."),
    model: Model = "smollm2-135m",
    max_new_tokens: MaxNewTokens = 128,
    temperature: float = Option(0.0, min=0.0, help="0 is greedy."),
    seed: Seed = 0,
    raw: bool = Option(False, help="Continue the text, without the chat template."),
    thinking: bool | None = Option(
        None, "--thinking/--no-thinking", help="Of a model whose template knows both."
    ),
) -> None:
    """Print a model's answer to one prompt."""
    from ftlab import generation, models

    loaded, tokenizer = models.load(model)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    options["seed"] = seed
    if raw:
        print(prompt + generation.continue_text(loaded, tokenizer, prompt, **options))
    else:
        message = {"role": "user", "content": prompt}
        if thinking is not None:
            options["rows"] = [{"chat_template_kwargs": {"enable_thinking": thinking}}]
        (text,) = generation.generate(loaded, tokenizer, [[message]], thoughts=True, **options)
        thought, answer = generation.split_thought(text)
        print(answer)
        if thought is not None:
            words = f"A thought of {len(thought.split())} words was cut off before the answer."
            ended = "</think>" in text
            print(
                words if ended else "The thought did not end, so there is no answer: raise "
                "--max-new-tokens.", file=sys.stderr,
            )  # fmt: skip


ServiceUrl = Annotated[
    str, Option(envvar="OPENAI_BASE_URL", help="The service's; its key is OPENAI_API_KEY.")
]
HERE = "http://127.0.0.1:8000/v1"
OfModel = Annotated[str | None, Option(help="Traces of this model alone.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace the file.")]

traces = typer.Typer(no_args_is_help=True, help="Stored completions: rows, labels, drift.")


def _client(base_url: str) -> Any:
    from ftlab.endpoint import connect

    return connect("live", base_url=base_url).client


@traces.command()
def export(
    out: Path = Option(..., help="JSONL of rows to train on."),
    held_out: Path | None = Option(
        None, help="A fifth of the conversations, not to be trained on."
    ),
    label: str | None = Option(None, help="good, or bad (corrected); else both."),
    model: OfModel = None,
    base_url: ServiceUrl = HERE,
    overwrite: Overwrite = False,
    seed: Seed = 0,
) -> None:
    """Write good and corrected answers as rows, examined by the doctor."""
    from ftlab import data
    from ftlab.curation.splits import split
    from ftlab.serving import loop

    rows, told = loop.checked(loop.rows_from_traces(_client(base_url), model, label=label))
    parts = {out: rows}
    if held_out is not None:
        found = split(rows, [0.8, 0.2], by=["group"], label="", seed=seed)
        parts = {out: found["train"], held_out: found["test"]}
    for path, part in parts.items():
        data.write(path, part, overwrite=overwrite)
        print(f"{len(part)} rows in {path}")
    print("\n".join(told))


@traces.command("csv")
def to_csv(
    out: Path = Argument(..., help="The file, for a spreadsheet."),
    model: OfModel = None,
    base_url: ServiceUrl = HERE,
    overwrite: Overwrite = False,
) -> None:
    """Write traces for reviewers to label: good, bad, and what would have been right."""
    from ftlab.serving.reviews import write_csv

    found = write_csv(_client(base_url), out, model, overwrite=overwrite)
    print(f"{found} traces in {out}")


@traces.command("import")
def from_csv(
    files: list[Path] = Argument(..., help="One from each reviewer."),
    base_url: ServiceUrl = HERE,
) -> None:
    """Label traces as most reviewers do; print how far every two of them agree."""
    from ftlab.serving.reviews import read_csv

    print(read_csv(_client(base_url), files))


@traces.command()
def drift(
    training: Path = Argument(..., help="JSONL that the model was trained on."),
    model: OfModel = None,
    show: int = Option(5, min=0, help="Inputs to look at first."),
    base_url: ServiceUrl = HERE,
) -> None:
    """Say whether traced inputs are still like those of the training."""
    from ftlab import data
    from ftlab.serving import loop

    found = loop.traces(_client(base_url), model)
    texts = [loop.question(trace["messages"]) for trace in found]
    known = [loop.question(data.prompt(row)) for row in data.read(training)]
    told = loop.drift(known, texts)
    print(told)
    for place in told.first[:show]:
        print(f"{found[place]['id']}  {texts[place][:200]!r}")


def loop(
    held_out: Path = Option(..., help="JSONL on which both models answer."),
    replay: Path | None = Option(
        None, help="JSONL that was trained on before, not to be forgotten."
    ),
    model: str = Option("live", help="The model in service."),
    task: str | None = Option(
        None, help="How answers are marked; else 1 if the answer is the same."
    ),
    suffix: str = Option("next", help="Part of the new model's name."),
    folder: Path = Option(Path("runs/loop"), help="Where answers are kept."),
    base_url: ServiceUrl = HERE,
) -> None:
    """Train the model in service on labelled traces and old rows; promote it if it is better."""
    from ftlab import data
    from ftlab.serving import loop as rounds

    client = _client(base_url)
    result = rounds.next_round(
        client, rounds.rows_from_traces(client),
        replay=data.read(replay) if replay else (),
        held_out=data.read(held_out), model=model, suffix=suffix, folder=folder, say=print,
        score=task or (lambda row, text: float(text.strip() == data.answer(row).strip())),
    )  # fmt: skip
    print(result)
    raise typer.Exit(0 if result.promoted else 1)


def rollback(base_url: ServiceUrl = HERE) -> None:
    """Put the model before the last promotion in service again."""
    from ftlab.serving import loop as rounds

    print(f"live is {rounds.rollback(_client(base_url))} now.")


def write_tests(
    paths: list[Path] = Argument(..., help="Python files and folders."),
    model: str | None = Option(None, help="Its name there; else OPENAI_MODEL."),
    base_url: BaseUrl = None,
    out: Path = Option(Path("tests"), help="Folder of the test files."),
    expect: str = Option("model", help="Who states the values: model, or run (you confirm them)."),
    repairs: int = Option(1, min=0, help="Tries after a failure, with model."),
    samples: int = Option(4, min=1, help="Answers a function, with run."),
    standards: Path | None = Option(None, help="Your standards, a markdown list."),
    against: str | None = Option(None, help="Another model there: compare, write nothing of its."),
    dry_run: bool = Option(False, "--dry-run", help="Show the changes only."),
    answers: Path = Option(Path("runs/write-tests/answers.jsonl"), help="Where answers are kept."),
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
