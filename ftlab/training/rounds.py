"""The next round: go on training a tuned model on new data, and replay some of the old.

A model that learns something new unlearns part of the old. Mixing a share of the old records into
the new ones, *replay* (also rehearsal: Robins, Catastrophic Forgetting, Rehearsal and
Pseudorehearsal, 1995), is the plain remedy; `experiments/replay.py` measures what it does here.

    share = old / (old + new)      so 1,000 new records with a share of 0.2 take 250 old ones

An adapter goes on as it is: its rank, alpha and targets are those of the first round. What a
folder learned from, round by round, stands in `training.json` under `about`.

>>> new = [Record.of(f"new {i}", "x") for i in range(8)]
>>> old = [Record.of(f"old {i}", "y") for i in range(50)]
>>> print(replayed(new, old, 0.2))
source  have  weight  records  share  each is read
new        8       1        8  80.0%          once
replay    50    0.04        2  20.0%  2 of 50 once
total     58               10
10 records, 10 of them different
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.curation.mixture import Mixture, mix
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.records import Record, fingerprint
from ftlab.training import methods
from ftlab.training.folder import summary_of

if TYPE_CHECKING:
    from ftlab.training.run import Run

__all__ = ["SHARE", "lineage", "replayed", "train"]

SHARE = 0.2
"""Old records among all, where no share is given."""


def replayed(
    new: Sequence[Record], old: Sequence[Record], share: float = SHARE, *, seed: int = 0
) -> Mixture:
    """Mix old records into new ones, each at most once.

    Args:
        new: all of them are taken.
        old: of these, so many are drawn without replacement that they are `share` of all. Records
            that are among the new ones too are no replay and are left out.
        share: from 0 up to, but not including, 1.
        seed: of the draw and the order.

    Raises:
        ConfigError: a share that is none.
        DataError: there are no new records, or too few old ones.
    """
    if not 0 <= share < 1:
        raise ConfigError(
            f"A replay share of {share} was asked for. It is the old records' part of all: from 0 "
            "up to, but not including, 1, such as 0.2."
        )
    if not new:
        raise DataError("There are no new records to train on.")
    known = {_said(record) for record in new}
    old = [record for record in old if _said(record) not in known]
    count = round(len(new) * share / (1 - share))
    if not old or count > len(old):
        most = math.floor(100 * len(old) / (len(old) + len(new))) / 100
        raise DataError(
            f"A replay share of {share:g} beside {len(new):,} new records takes {count:,} old "
            f"ones, and there are {len(old):,} that are not among the new. Give more of them, or "
            f"a share of at most {most:g}."
        )
    return mix({"new": new, "replay": old}, {"new": 1, "replay": count / len(old)}, seed=seed)


def lineage(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rounds that made a tuned folder, the first one first.

    Each has the name of its folder and of its base, the method, the number of records and their
    hash; what is not known is None.

    Raises:
        ModelError: the folder's training.json cannot be read.
    """
    known = summary_of(folder)
    settings, about = known.get("settings", {}), known.get("about", {})
    this = {"folder": Path(folder).resolve().name}
    this |= {"base": about.get("base")}
    this |= {key: settings.get(key) for key in ("method", "records", "data")}
    if "replay" in about:
        this["replay"] = about["replay"]
    return [*about.get("parents", []), this]


def train(
    folder: str | os.PathLike[str],
    records: Sequence[Record],
    *,
    replay: Sequence[Record] | None = None,
    share: float = SHARE,
    method: str | None = None,
    rank: int | None = None,
    alpha: float | None = None,
    targets: str | Sequence[str] | None = None,
    seed: int = 0,
    on_start: Callable[[str], None] | None = None,
    **settings: Any,
) -> "Run":
    """Train the model or adapter in `folder` on new records; the folder stays as it is.

    Args:
        folder: what an earlier round saved: an adapter, or a whole model.
        records: what is new.
        replay: records of earlier rounds, to draw from.
        share: of the replayed records among all.
        method: by default the folder's own. A whole model takes any; an adapter goes on as what
            it is, with its base in 4 bits ("qlora") or not ("lora").
        rank: an adapter's own, if given at all; so are `alpha` and `targets`.
        alpha: see `rank`.
        targets: see `rank`.
        seed: of the draw, and of the training.
        on_start: called before the first step, first of all with the mixture.
        **settings: further arguments of `ftlab.training.sft.train`.

    Returns:
        The run. Its `about` names its parents, and what was replayed.

    Raises:
        ConfigError: an adapter is asked to become another one, or a share that is none.
        DataError: too few old records, or a record that cannot be trained on.
        ModelError: the folder cannot be read, or its adapter is none of LoRA's kind.
        TrainingError: see `ftlab.training.sft.train`.

    >>> run = train("runs/first", new, replay=old, epochs=2)                 # doctest: +SKIP
    >>> run.save("runs/second")                                              # doctest: +SKIP
    """
    from ftlab import models
    from ftlab.training import sft

    place = models.locate(folder)
    if not isinstance(place, Path):
        raise ModelError(
            f"{folder} is a model on the hub, not the folder of an earlier round. Start from it as "
            "the base: --model on the command line, models.load(name) and sft.train in Python."
        )
    about: dict[str, Any] = {"parents": lineage(place)}
    asked = {"rank": rank, "alpha": alpha, "targets": targets}
    own = _own_method(place, method, asked)
    rows = list(records)
    if replay is not None:
        mixture = replayed(rows, replay, share, seed=seed)
        count = mixture.counts["replay"]
        about["replay"] = {
            "records": count, "share": share, "data": fingerprint(replay), "new": fingerprint(rows)
        }  # fmt: skip
        rows = mixture.records
        if on_start:
            on_start(str(mixture))
    model, tokenizer = models.load(place, bits=4 if own == "qlora" else None)
    if hasattr(model, "peft_config"):
        model.set_adapter(model.active_adapter)  # which peft loads frozen
    else:
        settings |= {key: value for key, value in asked.items() if value is not None}
    run = sft.train(model, tokenizer, rows, method=own, seed=seed, on_start=on_start, **settings)
    return replace(run, about=run.about | about)


def _said(record: Record) -> str:
    """Tell records apart by what they say, whatever their meta."""
    return fingerprint([replace(record, meta={})])


def _own_method(folder: Path, method: str | None, asked: dict[str, Any]) -> str:
    """Return how a folder is to be trained on; refuse what would make it something else."""
    own = summary_of(folder).get("settings", {}).get("method")
    file = folder / "adapter_config.json"
    if not file.exists():
        return method or (own if own in ("full", "frozen") else "full")
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}.") from None
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"The adapter in {folder} is of the kind {config.get('peft_type')}. Only LoRA's kinds "
            f"go on: {', '.join(methods.ADAPTERS)}."
        )
    kind = "rslora" if config.get("use_rslora") else "dora" if config.get("use_dora") else "lora"
    own = "qlora" if kind == "lora" and own == "qlora" else kind
    target = config.get("target_modules")
    has = {
        "rank": config.get("r"), "alpha": config.get("lora_alpha"),
        "targets": target if isinstance(target, str) else sorted(target or []),
    }  # fmt: skip
    differ = [
        f"{name} {_plain(value)} (it has {_plain(has[name])})"
        for name, value in asked.items()
        if value is not None and _plain(value) != _plain(has[name])
    ]
    if method not in (None, own) and {method, own} != {"lora", "qlora"}:
        differ.insert(0, f"method {method} (it is {own})")
    if differ:
        raise ConfigError(
            f"The adapter in {folder} goes on as it is, and you asked for {'; '.join(differ)}. "
            "Leave these out; or, for an adapter of another shape, fold this one into its base "
            "with `ftlab merge` and start from the merged model."
        )
    return method or own


def _plain(value: Any) -> str:
    """Write a setting so that equal ones look alike: 8 and 8.0, lists in any order."""
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return value if isinstance(value, str) else ", ".join(sorted(map(str, value)))
