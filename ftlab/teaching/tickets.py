"""Support tickets to sort by what they are about: short ones of the task "triage", and twenty of
lesson 03, written one by one: the text, its intent, its priority.

>>> len(TICKETS), TICKETS[0][1:]
(20, ('billing', 'normal'))
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftlab.records import Record


def short_tickets(
    n: int, split: str = "train", *, seed: int = 0, kinds: Collection[str] | None = None
) -> "list[Record]":
    """Draw n tickets of the task "triage"; return the plain ones of at most 22 words.

    Args:
        n: how many are drawn; of all kinds, about one in five is kept.
        split: "train" or "test".
        seed: of the draw.
        kinds: keep these intents; else all.

    Returns:
        Records whose completion is the intent, one word, and whose meta has the task's slice.
    """
    from ftlab import tasks
    from ftlab.records import Record
    from ftlab.tasks.triage import CUE

    kept = []
    for record in tasks.get("triage").examples(n, seed=seed, split=split):
        text = record.messages[-1]["content"].removeprefix(CUE)
        kind, meta = record.completion.split()[1], record.meta
        plain = meta["form"] == "plain" and "second problem" not in meta["traits"]
        if plain and (kinds is None or kind in kinds) and len(text.split()) <= 22:
            kept.append(Record.of(text, kind, slice=meta["slice"]))
    return kept


TICKETS = (
    (
        "The March invoice lists eleven seats but we are nine people. Please send it again.",
        "billing",
        "normal",
    ),
    (
        "I can't open the export since the update. The button turns grey and stays so.",
        "bug",
        "normal",
    ),
    (
        "We are closing the shop in June. Please end our contract on the 30th.",
        "cancellation",
        "normal",
    ),
    (
        "The parcel with the two lamps is a week late. The wedding is tomorrow. Where is it?",
        "delivery",
        "high",
    ),
    (
        "It would be lovely if the calendar could show week numbers. Maybe some day?",
        "feature",
        "low",
    ),
    (
        "I typed the code from the text message four times and I am still locked out. "
        "My talk begins in an hour.",
        "login",
        "high",
    ),
    ("Nothing loads. All thirty of us see a blank page since nine.", "outage", "high"),
    (
        "Please delete the photo of my daughter that is still on your server.",
        "privacy",
        "normal",
    ),
    ("Can I use the tablet app without a phone? No hurry, I am curious.", "question", "low"),
    (
        "The kettle leaks. I sent it back on Monday and would like my 39 euros.",
        "refund",
        "normal",
    ),
    (
        "You took the yearly fee twice, and now the rent bounced. "
        "I need the second one back today.",
        "refund",
        "high",
    ),
    (
        "Why does the bill say Ltd? We are a charity. Not urgent, the next one will do.",
        "billing",
        "low",
    ),
    (
        "When I sort by date, May comes before April. It is a small thing, but it is wrong.",
        "bug",
        "low",
    ),
    (
        "Do you ship to the islands? I want to order before the weekend.",
        "question",
        "normal",
    ),
    (
        "My password is right and the page still says no. Can you look at it this week?",
        "login",
        "normal",
    ),
    # The last five are held out.
    (
        "The map has been down since midnight, and our drivers are on the road.",
        "outage",
        "high",
    ),
    (
        "A dark theme, please. My eyes thank you. It can wait.",
        "feature",
        "low",
    ),
    (
        "Box three of five came with a hole in it, and the plates are in pieces. Who picks it up?",
        "delivery",
        "normal",
    ),
    (
        "I moved to another tool. Stop the subscription whenever it suits you.",
        "cancellation",
        "low",
    ),
    (
        "A stranger's address is in my profile! Someone may have mine. Act now.",
        "privacy",
        "high",
    ),
)
