"""Support tickets to sort by what they are about: short ones of the task "triage", and twenty of
lesson 05, written one by one: the text, its intent, its priority.

>>> len(TICKETS), TICKETS[0][1:]
(20, ('billing', 'normal'))
"""

from collections.abc import Collection

from ftlab import data
from ftlab.files import read_data

TICKETS = tuple(tuple(row.values()) for row in read_data("lessons/tickets.yaml"))
"""(text, intent, priority) of twenty tickets; the last five are held out."""


def short_tickets(
    n: int, split: str = "train", *, seed: int = 0, kinds: Collection[str] | None = None
) -> "list[data.Row]":
    """Draw n tickets of the task "triage"; return the plain ones of at most 22 words.

    Args:
        n: how many are drawn; of all kinds, about one in five is kept.
        split: "train" or "test".
        seed: of the draw.
        kinds: keep these intents; else all.

    Returns:
        Records whose completion is the intent, one word, and whose meta has the task's slice.
    """
    from ftlab import data, tasks
    from ftlab.tasks.triage import CUE

    kept = []
    for record in tasks.get("triage").examples(n, seed=seed, split=split):
        text = data.prompt(record)[-1]["content"].removeprefix(CUE)
        kind, meta = data.answer(record).split()[1], data.meta(record)
        plain = meta["form"] == "plain" and "second problem" not in meta["traits"]
        if plain and (kinds is None or kind in kinds) and len(text.split()) <= 22:
            kept.append(data.example(text, kind, slice=meta["slice"]))
    return kept
