"""Commands about data: tasks, synth, amplify, convert, doctor, diversity, split, mix, show."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer import Argument, Option

from ftlab.cli.options import (
    AnswerTokens,
    BaseUrl,
    Concurrency,
    Local,
    MaxRequests,
    Model,
    ModelName,
    Records,
    Seed,
    Temperature,
)
from ftlab.errors import ConfigError, DataError, raise_unknown

if TYPE_CHECKING:
    from ftlab.curation.synthesis import Synthesis
    from ftlab.endpoint import Teacher


def tasks() -> None:
    """List the tasks that a model can be taught."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ftlab import tasks as room

    table = Table(box=box.SIMPLE, show_lines=True)
    for column in ("task", "headline metric", "what it is"):
        table.add_column(column)
    for name in room.names():
        task = room.get(name)
        table.add_row(name, task.headline, task.describe)
    Console().print(table)


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


def convert(
    data: Path = Argument(..., help="JSONL in any format; or a table: CSV, TSV, JSONL."),
    out: Path = Argument(..., help="New JSONL file."),
    to: str | None = Option(
        None,
        help="messages (the default), prompt-completion, sharegpt, alpaca, openai, vertex, "
        "bedrock.",
    ),
    input: str | None = Option(None, help="A table's column: what is asked."),
    output: str | None = Option(None, help="A table's column: what is wanted."),
    system: str | None = Option(None, help="With a table: the system message."),
    drop_meta: bool = Option(False, help="Leave out ids, slices, other columns."),
    unroll: bool = Option(
        False, "--unroll", help="A record for each learned answer of a conversation."
    ),
    check: bool = Option(
        False, "--check", help="Write nothing that the provider is known to refuse."
    ),
) -> None:
    """Write records in another format, or make records of a table's columns."""
    from ftlab.data import columns, is_table, read, read_table, unrolled, write
    from ftlab.formats import conversation, learned, lost, refused

    left_out: Counter[str] = Counter()
    if is_table(data) and (input is None or output is None):
        names = ", ".join(columns(data))
        raise ConfigError(f"{data} is a table: choose --input and --output among {names}.")
    if input is not None and output is not None:
        rows = read_table(data, input=input, output=output, system=system)
    elif input is not None or output is not None or system is not None:
        raise ConfigError("Give both --input and --output, the columns of a table, or neither.")
    else:
        rows = read(data, left_out=left_out)
    if unroll:
        rows = [one for row in rows for one in unrolled(row)]
    to = (to or ("prompt_completion" if unroll else "messages")).replace("-", "_")
    against = list(refused(rows, to))
    if check and against:
        raise DataError("\n".join([*against, f"{out} was not written."]))
    write(out, rows, format=to, drop_meta=drop_meta)
    print(f"{len(rows)} records in {out}, as {to}")
    for row in rows:
        left_out.update(lost(row, to))
    if left_out:
        keys = ", ".join(f"{key} (in {count:,})" for key, count in sorted(left_out.items()))
        print(f"Left out, for {to} has no place for it: {keys}.")
    answers = [sum(turn["role"] == "assistant" for turn in conversation(row)) for row in rows]
    carry = [len(learned(row)) for row in rows]
    silent = sum(a > b for a, b in zip(answers, carry, strict=True))
    if silent and not unroll:
        where = "in the prompt" if to == "prompt_completion" else "with weight 0"
        print(
            f"Answers without loss: in {silent:,} of {len(rows):,} records, written {where}. "
            "To learn each: take the weights away; or messages, and --unroll."
        )
    if several := sum(count > 1 for count in carry):
        print(f"Several answers carry loss: in {several:,} of {len(rows):,} records.")
    for line in against:
        print(line)


def doctor(
    data: Records,
    eval_data: Path | None = Option(None, "--eval", help="Held-out records."),
    model: str | None = Option(None, help="Whose template and tokens to check."),
    max_length: int | None = Option(None, min=1, help="Tokens of a record."),
    as_json: bool = Option(False, "--json", help="All findings, all lines."),
    strict: bool = Option(False, help="Exit with 1 on warnings."),
    fix: Path | None = Option(None, help="Write a mended copy here."),
) -> None:
    """Examine a data file: every finding, why it hurts, how to mend it."""
    from rich.console import Console

    from ftlab.curation import doctor as room

    console = Console()
    report = room.examine(
        data, eval_path=eval_data, model=model, max_length=max_length, progress=True
    )
    if as_json:
        print(report.to_json())
    else:
        console.print(report.table())
    if fix:
        mended = room.fix(data, fix)
        told = Console(stderr=True)
        told.print(f"{mended.records} records in {mended.path}")
        for change in mended.changes:
            told.print(f"  {change.done}, {len(change.lines) or 'all'} lines")
    raise typer.Exit(report.exit_code(strict=strict))


def diversity(
    data: Records,
    reference: Path = Option(..., help="Records like those that the model will meet."),
    as_json: bool = Option(False, "--json", help="Figures, and all that is missed, as JSON."),
) -> None:
    """Show which of the inputs that a model will meet a data file covers, and which not."""
    from ftlab.curation.diversity import measure
    from ftlab.data import read

    result = measure(read(data), read(reference))
    print(result.to_json() if as_json else result)


def split(
    data: Records,
    out: Path = Option(..., help="New folder."),
    sizes: str = Option("0.8,0.1,0.1", help="Shares of train and test, or of train, val and test."),
    by: str | None = Option(None, help="Fields of meta; records that share a value stay together."),
    label: str | None = Option(None, help="Field of meta to stratify by, or completion."),
    near: bool = Option(True, help="Keep nearly equal inputs together."),
    seed: Seed = 0,
) -> None:
    """Divide records into train, val and test, so that no sibling crosses."""
    from ftlab.curation import splits
    from ftlab.data import read

    fields = None if by is None else [field.strip() for field in by.split(",") if field.strip()]
    result = splits.split(read(data), _numbers(sizes), by=fields, label=label, near=near, seed=seed)
    files = result.save(out)
    print(result)
    print(f"{', '.join(file.name for file in files)} in {out}")


def mix(
    data: list[Path] = Argument(..., help="Records, as JSONL; one or more files."),
    out: Path = Option(..., help="New JSONL file."),
    weights: str | None = Option(
        None, help="How often each record of each file is read, as 9,0.5."
    ),
    size: int | None = Option(None, min=1, help="Records in all."),
    seed: Seed = 0,
) -> None:
    """Sample files up or down into one, shuffled."""
    from ftlab.curation import splits
    from ftlab.data import read, write

    factors = [1.0] * len(data) if weights is None else _numbers(weights)
    if len(factors) != len(data):
        raise ConfigError(f"{len(factors)} weights were given for {len(data)} files.")
    if len(set(data)) < len(data):
        raise ConfigError("A file is named twice. Give it a larger weight instead.")
    sources = {str(path): read(path) for path in data}
    by_file = dict(zip(sources, factors, strict=True))
    result = splits.mix(sources, by_file, size=size, seed=seed)
    print(result)
    write(out, result.records)
    print(f"\n{len(result.records):,} records in {out}")


def _numbers(text: str) -> list[float]:
    """Read numbers between commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{text!r} is no list of numbers. Write them as 0.8,0.1,0.1.") from None


def show(
    file: Records,
    model: Model = "smollm2-135m",
    record: int = Option(1, min=1, help="Which record, from 1."),
    as_json: bool = Option(False, "--json", help="Token ids and mask as JSON."),
) -> None:
    """Show one record as the model sees it: rendered, in tokens, with its loss mask."""
    from rich.console import Console

    from ftlab import data, models
    from ftlab.templates import encode, problems, show_mask, tokenizer_problems

    rows = data.read(file)
    if record > len(rows):
        raise DataError(f"{file} has {len(rows)} records; number {record} was asked for.")
    tokenizer, row = models.tokenizer(model), rows[record - 1]
    encoded = encode(tokenizer, row)
    if as_json:
        print(json.dumps({"input_ids": encoded.input_ids, "loss_mask": encoded.loss_mask}))
        return
    console = Console(highlight=False)
    console.print(show_mask(tokenizer, encoded))
    known = tokenizer_problems(tokenizer).values()
    for line in problems(tokenizer, row):
        if line not in known:  # the doctor tells what is the tokenizer's own
            console.print(line, style="yellow", markup=False)
