"""Commands about data: tasks, convert, doctor, diversity."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftlab.cli.options import Records
from ftlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ftlab.data import Row


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


def convert(
    data: Annotated[Path, typer.Argument(help="JSONL in any format; or a table: CSV, TSV, JSONL.")],
    out: Annotated[Path, typer.Argument(help="New JSONL file.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="messages (the default), prompt-completion, sharegpt, alpaca, openai, vertex, "
            "bedrock."
        ),
    ] = None,
    input: Annotated[str | None, typer.Option(help="A table's column: what is asked.")] = None,
    output: Annotated[str | None, typer.Option(help="A table's column: what is wanted.")] = None,
    system: Annotated[str | None, typer.Option(help="With a table: the system message.")] = None,
    drop_meta: Annotated[bool, typer.Option(help="Leave out ids, slices, other columns.")] = False,
    unroll: Annotated[
        bool, typer.Option("--unroll", help="A record for each learned answer of a conversation.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing that the provider is known to refuse.")
    ] = False,
) -> None:
    """Write records in another format, or make records of a table's columns."""
    from ftlab.data import columns, is_table, read, read_table, unrolled, write
    from ftlab.formats import refused

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
    against = list(refused(rows, to, out.name))
    if check and against:
        raise DataError("\n".join([*against, f"{out} was not written."]))
    write(out, rows, format=to, drop_meta=drop_meta)
    print(f"{len(rows)} records in {out}, as {to}")
    for line in (*_written(rows, to, left_out), *against):
        if not (unroll and line.startswith("Answers without loss")):  # which it says itself
            print(line)


def _written(rows: Sequence["Row"], format: str, left_out: Counter[str]) -> Iterator[str]:
    """Say what could surprise in a written file: what was left out, which answers are learned."""
    from ftlab.data import conversation, learned
    from ftlab.formats import lost

    for row in rows:
        left_out.update(lost(row, format))
    if left_out:
        keys = ", ".join(f"{key} (in {count:,})" for key, count in sorted(left_out.items()))
        yield f"Left out, for {format} has no place for it: {keys}."
    answers = [sum(turn["role"] == "assistant" for turn in conversation(row)) for row in rows]
    carry = [len(learned(row)) for row in rows]
    if silent := sum(a > b for a, b in zip(answers, carry, strict=True)):
        where = "in the prompt" if format == "prompt_completion" else "with weight 0"
        yield (
            f"Answers without loss: in {silent:,} of {len(rows):,} records, written {where}. "
            "To learn each: take the weights away; or messages, and --unroll."
        )
    if several := sum(count > 1 for count in carry):
        yield f"Several answers carry loss: in {several:,} of {len(rows):,} records."


def doctor(
    data: Records,
    eval_data: Annotated[Path | None, typer.Option("--eval", help="Held-out records.")] = None,
    model: Annotated[str | None, typer.Option(help="Whose template and tokens to check.")] = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a record.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All findings, all lines.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 on warnings.")] = False,
    fix: Annotated[Path | None, typer.Option(help="Write a mended copy here.")] = None,
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
        told.print(
            f"{mended.records} records in {mended.path}; what was done: {mended.changes_path}"
        )
    raise typer.Exit(report.exit_code(strict=strict))


def diversity(
    data: Records,
    reference: Annotated[Path, typer.Option(help="Records like those that the model will meet.")],
    areas: Annotated[int, typer.Option(min=2, help="Areas of the reference, at most.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the reduction and the areas.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Figures and areas as JSON.")] = False,
) -> None:
    """Show which of the inputs that a model will meet a data file covers, and which not."""
    from ftlab.curation.diversity import measure
    from ftlab.data import read

    result = measure(read(data), read(reference), areas=areas, seed=seed)
    print(result.to_json() if as_json else result)
