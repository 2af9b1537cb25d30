"""Files written whole or not at all, and nothing overwritten unasked.

A write goes to a temporary name in the same folder and is renamed when complete, so that a full
disk, a Ctrl-C or a kill leaves the old file or none, never half of one.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
>>> write_text(path, "hello") == path
True
>>> write_text(path, "again")
Traceback (most recent call last):
    ...
ftlab.errors.DataError: ...a.txt exists already. Choose another name, or ask for overwriting.
"""

import codecs
import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ftlab.errors import DataError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Shape = TypeVar("Shape", bound="BaseModel")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    Raises:
        DataError: `path` exists and `overwrite` is False, its folder cannot be made, or the disk
            is full.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists already. Choose another name, or ask for overwriting.")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"Could not write {path}: {error.strerror or error}. Nothing was changed; "
            "free some space or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> Path:
    """Write UTF-8 text whole or not at all; return the path."""
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a UTF-8 text file.

    Raises:
        DataError: the file is missing, a folder, binary, or not UTF-8.
    """
    try:
        return decoded(Path(path).read_bytes(), path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the spelling and the folder.") from None
    except OSError as error:
        raise DataError(f"Could not read {path}: {error.strerror or error}.") from error


def decoded(raw: bytes, path: str | os.PathLike[str]) -> str:
    """Return a file's bytes as text.

    Raises:
        DataError: they are not UTF-8; the text says what they are, if that shows.
    """
    if kind := foreign(raw[:4096]):
        raise DataError(f"{path} is {kind}.")
    if b"\0" in raw:
        raise DataError(f"{path} is a binary file; a text file in UTF-8 is wanted.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        bad = raw[error.start : error.start + 1]
        raise DataError(
            f"{path} is not UTF-8 text: line {line} has the byte 0x{bad.hex()}, which is "
            f"{bad.decode('cp1252', 'replace')!r} in Windows-1252, as Excel and old editors write. "
            "Save it as UTF-8, or: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
        ) from None


def foreign(head: bytes) -> str | None:
    """Return what a file is that is no text in UTF-8, and what to do; None if nothing shows it.

    >>> foreign('{"prompt": "Hi"}'.encode("utf-16-be"))[:9]
    'UTF-16-BE'
    """
    if name := utf16(head):
        return (
            f"{name}, as PowerShell and Excel write; UTF-8 is wanted: ftlab doctor FILE --fix NEW, "
            f"or iconv -f {name} -t UTF-8 FILE > NEW"
        )
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP or an Excel workbook: unpack it, or save it as CSV in UTF-8"
    if head.startswith(b"PAR1"):
        return "Parquet: ftlab convert FILE NEW.jsonl writes it as JSONL"
    return "packed with gzip: gunzip FILE" if head.startswith(b"\x1f\x8b") else None


def utf16(head: bytes) -> str | None:
    """Return the name of the encoding if bytes are UTF-16, with or without a mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    for name, zeros in (("UTF-16-LE", head[1:64:2]), ("UTF-16-BE", head[:64:2])):
        if zeros.count(0) > len(head[:64]) / 3:  # of letters, every second byte is 0
            return name
    return None


def data_path(name: str) -> Path:
    """Return where a file below `data/` lies: beside the package in a clone, in it in a wheel.

    Raises:
        DataError: the file is in neither place.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "data", package / "data"):
        if (folder / name).exists():
            return folder / name
    raise DataError(f"data/{name} is missing. Install ftlab again, or take a fresh clone.")


@functools.cache
def read_data(name: str) -> Any:
    """Return what a YAML file below `data/` holds, its lists as tuples: all callers share it."""
    path = data_path(name)
    return _tuples(parse_yaml(read_text(path), path))


def parse_yaml(text: str, path: str | os.PathLike[str]) -> Any:
    """Return what YAML text from a path holds; a DataError if it is none."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {error}") from None


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def read_table(
    path: str | os.PathLike[str] | None, shipped: str, shape: type[Shape], *, what: str
) -> Shape:
    """Read a table that users may replace into a pydantic model: a YAML file, or a JSON one.

    Args:
        path: the user's; None for the one that ships.
        shipped: its name below `data/`, to be copied and changed.
        shape: the model.
        what: it is called so in messages.

    Raises:
        DataError: the file cannot be read, or is not of that shape; every fault is listed.
    """
    from pydantic import ValidationError

    file = path or data_path(shipped)
    try:
        return shape.model_validate(parse_yaml(read_text(file), file))
    except ValidationError as error:
        raise DataError(
            f"{file} is no {what}:\n{faults(error)}\nCopy data/{shipped} and change it."
        ) from None


def faults(error: "ValidationError") -> str:
    """Return what pydantic found wrong, a line each with its place."""
    return "\n".join(
        f"  {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
        for fault in error.errors()
    )


def sha256(path: str | os.PathLike[str], *, skip: Collection[str] = ()) -> str:
    """Return the SHA-256 of a file, or of a folder's files without those to `skip`, in hex."""
    path = Path(path)
    digest = hashlib.sha256()
    found = (p for p in path.rglob("*") if p.is_file() and p.name not in skip)
    for file in sorted(found) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
