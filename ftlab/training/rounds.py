"""The next round: train a tuned model on new data, and replay some of the old.

A model that learns something new unlearns part of the old. Mixing a share of the old records into
the new ones, *replay* (also rehearsal: Robins, Catastrophic Forgetting, Rehearsal and
Pseudorehearsal, 1995), is the plain remedy; lesson 12 measures what it does.

    share = old / (old + new)      so 1,000 new records with a share of 0.2 take 250 old ones

>>> new = [data.example(f"new {i}", "x") for i in range(8)]
>>> old = [data.example(f"old {i}", "y") for i in range(50)]
>>> print(replayed(new, old, 0.2))
source  have  weight  records  share  each is read
new        8       1        8  80.0%          once
replay    50    0.04        2  20.0%  2 of 50 once
total     58               10
10 records, 10 of them different
"""

import math
from collections.abc import Sequence

from ftlab import data
from ftlab.curation.mixture import Mixture, mix
from ftlab.errors import ConfigError, DataError

__all__ = ["SHARE", "replayed"]

SHARE = 0.2
"""Old records among all, where no share is given."""


def replayed(
    new: Sequence[data.Row], old: Sequence[data.Row], share: float = SHARE, *, seed: int = 0
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


def _said(record: data.Row) -> str:
    """Tell records apart by what they say, whatever their meta."""
    return data.fingerprint([{**record, "meta": None}])
