"""Commands that make records: synth and amplify, with the options of teachers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftlab.cli.options import Seed
from ftlab.errors import ConfigError, raise_unknown

if TYPE_CHECKING:
    from ftlab.curation.answer_cache import Synthesis
    from ftlab.curation.teachers import Teacher

TeacherName = Annotated[str, typer.Option("--teacher", help="program, openai or local.")]
TeacherModel = Annotated[
    str | None, typer.Option("--model", help="Its name at the endpoint (or OPENAI_MODEL); a model.")
]
BaseUrl = Annotated[
    str | None, typer.Option(help="The endpoint, ending in /v1; or OPENAI_BASE_URL.")
]
Concurrency = Annotated[int, typer.Option(min=1, help="Most requests at one time.")]
MaxRequests = Annotated[int | None, typer.Option(min=0, help="Cap, earlier runs included.")]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Of a million tokens in prompts.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Of a million tokens in answers.")]
AnswerTokens = Annotated[int, typer.Option(min=1, help="Most tokens in an answer.")]
Temperature = Annotated[float | None, typer.Option(min=0, help="By default the teacher's own.")]


def synth(
    task: Annotated[str, typer.Argument(help="One of `ftlab tasks`.")],
    out: Annotated[Path, typer.Option(help="JSONL file; with a model as teacher, to go on with.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1000,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    seed: Seed = 0,
    teacher: TeacherName = "program",
    model: TeacherModel = None,
    base_url: BaseUrl = None,
    shots: Annotated[int, typer.Option(min=0, help="Solved examples in each prompt.")] = 3,
    accept: Annotated[
        list[str] | None, typer.Option(help="METRIC=LEAST, what an answer must score; repeat it.")
    ] = None,
    concurrency: Concurrency = 4,
    max_requests: MaxRequests = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    answer_tokens: AnswerTokens = 1024,
    temperature: Temperature = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it takes; stop.")] = False,
) -> None:
    """Write examples of a task to a file: by its own program, or answered by a model.

    Killed and started again with the same options, it goes on where it was.
    """
    from ftlab import tasks as room
    from ftlab.data import write

    if split not in ("train", "test"):
        raise_unknown("split", split, ("train", "test"))
    it = room.get(task)
    if teacher == "program":
        write(out, it.examples(n, seed, split=split))
        print(f"{n} {split} examples of {task} in {out}")
        return
    from ftlab.curation import synthesis

    who = _teacher(teacher, model, base_url, answer_tokens, temperature)
    if estimate:
        if (price_in is None) != (price_out is None):
            raise ConfigError("Give both --price-in and --price-out, or neither.")
        prices = None if price_in is None or price_out is None else (price_in, price_out)
        how: dict[str, Any] = {"seed": seed, "split": split, "shots": shots}
        print(synthesis.estimate(task, n, who, prices=prices, **how))
        return
    _tell(
        synthesis.synthesise(
            task, n, who, out, seed=seed, split=split, shots=shots, accept=_least(accept),
            concurrency=concurrency, max_requests=max_requests,
        )
    )  # fmt: skip


def amplify(
    data: Annotated[Path, typer.Argument(help="A few examples, as JSONL.")],
    out: Annotated[Path, typer.Option(help="JSONL file of the new ones, to make or go on with.")],
    held_out: Annotated[
        Path | None, typer.Option(help="Records that no rewrite may come near.")
    ] = None,
    no_held_out: Annotated[bool, typer.Option("--no-held-out", help="There are none.")] = False,
    n: Annotated[int, typer.Option("-n", min=1, help="How many new examples.")] = 200,
    ways: Annotated[
        str, typer.Option(help="Of paraphrase, back-translation.")
    ] = "paraphrase,back-translation",
    seed: Seed = 0,
    teacher: TeacherName = "program",
    model: TeacherModel = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 4,
    max_requests: MaxRequests = None,
    answer_tokens: AnswerTokens = 1024,
    temperature: Temperature = None,
) -> None:
    """Make many examples from a few, by rewording their inputs."""
    from ftlab.curation import amplify as room
    from ftlab.data import read

    if (held_out is None) != no_held_out:
        raise ConfigError(
            "Name the records that are held out with --held-out FILE, so that no rewrite of one "
            "gets into training; or say --no-held-out if there are none."
        )
    seeds, kept_back = read(data), read(held_out) if held_out else []
    who = _teacher(teacher, model, base_url, answer_tokens, temperature)
    _tell(
        room.amplify(
            seeds, n, who, out, held_out=kept_back, seed=seed, max_requests=max_requests,
            ways=[way.strip() for way in ways.split(",")], concurrency=concurrency,
        )
    )  # fmt: skip


def _teacher(
    kind: str, model: str | None, base_url: str | None, tokens: int, temperature: float | None
) -> "Teacher":
    from ftlab.curation import teachers
    from ftlab.endpoint import connect

    options: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    if kind == "openai":
        return connect(model, base_url=base_url, answer_tokens=tokens, **options)
    if kind == "local":
        return teachers.get(kind, model, answer_tokens=tokens, **options)
    return teachers.get(kind)


def _least(accept: list[str] | None) -> dict[str, float] | None:
    """Read METRIC=LEAST options."""
    if not accept:
        return None
    least = {}
    for text in accept:
        name, _, value = text.partition("=")
        try:
            least[name] = float(value or 1)
        except ValueError:
            raise ConfigError(
                f"--accept takes METRIC=LEAST, such as f1=0.9; got {text!r}."
            ) from None
    return least


def _tell(made: "Synthesis") -> None:
    """Print what was made; exit with 1 where that is fewer than were asked for."""
    print(made)
    if made.stopped != "complete":
        print("The same command goes on with the file.", file=sys.stderr)
        raise typer.Exit(130 if made.stopped == "interrupted" else 1)
