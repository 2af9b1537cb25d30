"""Commands that make records: synth and amplify, with the options of teachers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ftlab.cli.options import Seed
from ftlab.errors import ConfigError, raise_unknown

if TYPE_CHECKING:
    from ftlab.curation.synthesis import Synthesis
    from ftlab.endpoint import Teacher

ModelName = Annotated[str | None, Option(help="The teacher's name at the endpoint.")]
Local = Annotated[str | None, Option(help="A model on this machine as teacher.")]
BaseUrl = Annotated[str | None, Option(help="The endpoint; else OPENAI_BASE_URL.")]
Concurrency = Annotated[int, Option(min=1, help="Most requests at one time.")]
MaxRequests = Annotated[int | None, Option(min=0, help="Cap, earlier runs included.")]
AnswerTokens = Annotated[int, Option(min=1, help="Most tokens in an answer.")]
Temperature = Annotated[float | None, Option(min=0, help="By default the endpoint's own.")]


def synth(
    task: str = Argument(..., help="One of `ftlab tasks`."),
    out: Path = Option(..., help="JSONL file; with a teacher, to go on with."),
    n: int = Option(1000, "-n", min=1, help="How many examples."),
    split: str = Option("train", help="train or test."),
    book: Path | None = Option(None, help="Of style: a text to make pairs from, with a teacher."),
    seed: Seed = 0,
    model: ModelName = None,
    local: Local = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 4,
    max_requests: MaxRequests = None,
    answer_tokens: AnswerTokens = 1024,
    temperature: Temperature = None,
) -> None:
    """Write examples of a task to a file: the task's own, or answered by a teacher (--model).

    Killed and started again with the same options, it goes on where it was.
    """
    from ftlab import tasks
    from ftlab.curation import synthesis
    from ftlab.data import write

    if split not in ("train", "test"):
        raise_unknown("split", split, ("train", "test"))
    if book and (task != "style" or not (model or local or base_url)):
        raise ConfigError(
            f"--book makes pairs for the task style by a teacher; got {task}. Say: ftlab synth "
            "style --book FILE --out NEW.jsonl, and --model NAME or --local smollm2-135m."
        )
    if not (model or local or base_url):
        write(out, tasks.get(task).examples(n, seed, split=split))
        print(f"{n} {split} examples of {task} in {out}")
        return
    with _teacher(model, local, base_url, answer_tokens, temperature) as teacher:
        if book:
            print(synthesis.pairs(book, n, teacher, out, concurrency=concurrency))
            return
        made = synthesis.synthesise(
            task, n, teacher, out, seed=seed, split=split, concurrency=concurrency,
            max_requests=max_requests,
        )  # fmt: skip
    _report(made)


def amplify(
    data: Path = Argument(..., help="A few examples, as JSONL."),
    out: Path = Option(..., help="JSONL file of the new ones, to make or go on with."),
    held_out: Path | None = Option(None, help="Records that no rewrite may come near."),
    no_held_out: bool = Option(False, "--no-held-out", help="There are none."),
    n: int = Option(200, "-n", min=1, help="How many new examples."),
    ways: str = Option("paraphrase,back-translation", help="Of paraphrase, back-translation."),
    seed: Seed = 0,
    model: ModelName = None,
    local: Local = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 4,
    max_requests: MaxRequests = None,
    answer_tokens: AnswerTokens = 1024,
    temperature: Temperature = None,
) -> None:
    """Make many examples from a few: a teacher says their inputs otherwise."""
    from ftlab.curation import amplify as room
    from ftlab.data import read

    if (held_out is None) != no_held_out:
        raise ConfigError(
            "Name the records that are held out with --held-out FILE, so that no rewrite of one "
            "gets into training; or say --no-held-out if there are none."
        )
    seeds, kept_back = read(data), read(held_out) if held_out else []
    with _teacher(model, local, base_url, answer_tokens, temperature) as teacher:
        made = room.amplify(
            seeds, n, teacher, out, held_out=kept_back, seed=seed, max_requests=max_requests,
            ways=[way.strip() for way in ways.split(",")], concurrency=concurrency,
        )  # fmt: skip
    _report(made)


@contextmanager
def _teacher(
    model: str | None, local: str | None, url: str | None, tokens: int, temperature: float | None
) -> "Iterator[Teacher]":
    """Connect to an endpoint; for a model on this machine, to one that runs so long."""
    from ftlab import models, recorded
    from ftlab.endpoint import connect

    if not local:
        yield connect(model, base_url=url, answer_tokens=tokens, temperature=temperature)
        return
    if model or url:
        raise ConfigError("Give a model on this machine (--local) or at an endpoint, not both.")
    with recorded.serve(*models.load(local), name=local, files=()) as here:
        yield connect(local, base_url=here.url, answer_tokens=tokens, temperature=temperature)


def _report(made: "Synthesis") -> None:
    """Print what was made; exit with 1 where that is fewer than were asked for."""
    print(made)
    if made.stopped != "complete":
        print("The same command goes on with the file.", file=sys.stderr)
        raise typer.Exit(130 if made.stopped == "interrupted" else 1)
