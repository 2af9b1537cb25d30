"""Commands that choose what a model reads: split, mix."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import Records, Seed
from ftlab.errors import ConfigError

__all__ = ["mix", "split"]


def split(
    data: Records,
    out: Annotated[Path, typer.Option(help="New folder.")],
    sizes: Annotated[str, typer.Option(help="Shares, or numbers of records.")] = "0.8,0.1,0.1",
    by: Annotated[
        str | None, typer.Option(help="Fields of meta; records that share a value stay together.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Field of meta to stratify by, or completion.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Keep nearly equal inputs together.")] = True,
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
    data: Annotated[list[Path], typer.Argument(help="Records, as JSONL; one or more files.")],
    out: Annotated[Path, typer.Option(help="New JSONL file.")],
    weights: Annotated[
        str | None, typer.Option(help="How often each record of each file is read, as 9,0.5.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="Field of meta whose values shall be equally many.")
    ] = None,
    how: Annotated[str, typer.Option(help="Balance up, down or to the same total.")] = "same",
    size: Annotated[int | None, typer.Option(min=1, help="Records in all.")] = None,
    seed: Seed = 0,
) -> None:
    """Sample files up or down into one, shuffled."""
    from ftlab.curation import mixture
    from ftlab.data import read, write

    if weights is not None and balance is not None:
        raise ConfigError("Give --weights or --balance, not both.")
    factors = [1.0] * len(data) if weights is None else _numbers(weights)
    if len(factors) != len(data):
        raise ConfigError(f"{len(factors)} weights were given for {len(data)} files.")
    if len(set(data)) < len(data):
        raise ConfigError("A file is named twice. Give it a larger weight instead.")
    sources = {str(path): read(path) for path in data}
    if balance is not None:
        rows = [record for source in sources.values() for record in source]
        result = mixture.balance(rows, balance, how=how, size=size, seed=seed)
    else:
        by_file = dict(zip(sources, factors, strict=True))
        result = mixture.mix(sources, by_file, size=size, seed=seed, title="file")
    print(result)
    write(out, result.records)
    print(f"\n{len(result.records):,} records in {out}")


def _numbers(text: str) -> list[float]:
    """Read numbers between commas; whole ones stay whole."""
    try:
        return [float(part) if {*".eE"} & {*part} else int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{text!r} is no list of numbers. Write them as 0.8,0.1,0.1.") from None
