"""Commands on what a service has stored: traces, loop, rollback."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ftlab.cli.options import Seed

BaseUrl = Annotated[
    str, typer.Option(envvar="OPENAI_BASE_URL", help="The service's; its key is OPENAI_API_KEY.")
]
HERE = "http://127.0.0.1:8000/v1"
OfModel = Annotated[str | None, typer.Option(help="Traces of this model alone.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file.")]

traces = typer.Typer(no_args_is_help=True, help="Stored completions: rows, labels, drift.")


def _client(base_url: str) -> Any:
    from ftlab.endpoint import connect

    return connect("live", base_url=base_url).client


@traces.command()
def export(
    out: Annotated[Path, typer.Option(help="JSONL of rows to train on.")],
    held_out: Annotated[
        Path | None, typer.Option(help="A fifth of the conversations, not to be trained on.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="good, or bad (corrected); else both.")] = None,
    model: OfModel = None,
    base_url: BaseUrl = HERE,
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
    out: Annotated[Path, typer.Argument(help="The file, for a spreadsheet.")],
    model: OfModel = None,
    base_url: BaseUrl = HERE,
    overwrite: Overwrite = False,
) -> None:
    """Write traces for reviewers to label: good, bad, and what would have been right."""
    from ftlab.serving.reviews import write_csv

    found = write_csv(_client(base_url), out, model, overwrite=overwrite)
    print(f"{found} traces in {out}")


@traces.command("import")
def from_csv(
    files: Annotated[list[Path], typer.Argument(help="One from each reviewer.")],
    base_url: BaseUrl = HERE,
) -> None:
    """Label traces as most reviewers do; print how far every two of them agree."""
    from ftlab.serving.reviews import read_csv

    print(read_csv(_client(base_url), files))


@traces.command()
def drift(
    training: Annotated[Path, typer.Argument(help="JSONL that the model was trained on.")],
    model: OfModel = None,
    show: Annotated[int, typer.Option(min=0, help="Inputs to look at first.")] = 5,
    base_url: BaseUrl = HERE,
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
    held_out: Annotated[Path, typer.Option(help="JSONL on which both models answer.")],
    replay: Annotated[
        Path | None, typer.Option(help="JSONL that was trained on before, not to be forgotten.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model in service.")] = "live",
    task: Annotated[
        str | None, typer.Option(help="How answers are marked; else 1 if the answer is the same.")
    ] = None,
    suffix: Annotated[str, typer.Option(help="Part of the new model's name.")] = "next",
    folder: Annotated[Path, typer.Option(help="Where answers are kept.")] = Path("runs/loop"),
    base_url: BaseUrl = HERE,
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


def rollback(base_url: BaseUrl = HERE) -> None:
    """Put the model before the last promotion in service again."""
    from ftlab.serving import loop as rounds

    print(f"live is {rounds.rollback(_client(base_url))} now.")
