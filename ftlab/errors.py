"""Every error a learner can meet, in one small tree.

    FtlabError                 the base: catch this to catch them all
    ├── DataError              a file or a record is not what it should be  (also a ValueError)
    ├── ConfigError            an option or a name is not valid             (also a ValueError)
    ├── ModelError             a model cannot be found, read or trusted
    │   └── OfflineError       it is on a hub, and the hub cannot be reached
    ├── MissingExtraError      an optional package is not installed         (also an ImportError)
    └── TrainingError          a run cannot start or go on

Each message says what was got, what was wanted and what to do. The command line prints the
message alone and exits with code 2, and a notebook shows it alone; a traceback is a bug of ours.

>>> raise_unknown("task", "punctuaton", ["punctuation", "triage"])
Traceback (most recent call last):
    ...
ftlab.errors.ConfigError: Unknown task 'punctuaton'. Did you mean 'punctuation'?
    Valid: punctuation, triage.
"""

import difflib
import re
import traceback
from collections.abc import Iterable
from typing import NoReturn


class FtlabError(Exception):
    """Something the user can put right; the message says how."""

    def _render_traceback_(self) -> list[str]:
        """Show a notebook the line of its cell and the message alone; `%tb` shows the rest."""
        lines = traceback.extract_tb(self.__traceback__)
        cells = [line for line in lines if re.search(r"ipykernel_|^<ipython", line.filename)]
        where = [f"line {line.lineno} of the cell: {line.line}" for line in cells[-1:]]
        return [*where, f"{type(self).__name__}: {self}"]


class DataError(FtlabError, ValueError):
    """A file or a record is not what it should be."""


class ConfigError(FtlabError, ValueError):
    """An option or a name is not valid."""


class ModelError(FtlabError):
    """A model cannot be found, read or trusted."""


class OfflineError(ModelError):
    """A model is on a hub that cannot be reached from here."""


class MissingExtraError(FtlabError, ImportError):
    """An optional package is not installed."""


class TrainingError(FtlabError):
    """A training run cannot start or go on."""


def raise_unknown(kind: str, got: str, valid: Iterable[str]) -> NoReturn:
    """Raise a ConfigError that lists the valid names and suggests the nearest."""
    names = sorted(valid)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"Unknown {kind} {got!r}.{hint} Valid: {', '.join(names)}.")


def first_line(error: BaseException) -> str:
    """Return an error's first line, for a message of one paragraph."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
