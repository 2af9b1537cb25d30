"""Read a message to a supplier and write down what it asks for, as JSON.

    in   Morning! Amara Osei here from Bluefern Catering. We'd like two dozen serving trays,
         the 4th of March 2028 at the latest. You get me on 01632 960114.
    out  {"action": "order", "item": "serving trays", "quantity": 24, "due": "2028-03-04",
         "contact": "Amara Osei", "company": "Bluefern Catering", "phone": "01632960114",
         "urgent": false}

What the message does not say is null. The rules for the rest: the writer's last word counts, not
what was corrected, and a quote only where the writer says yes to it; `contact` is the person to
answer, by the fullest name given; `company` is the one that the writer acts for; days come before
months; a phone number loses its blanks and marks; `urgent` needs words that say so, and anger is
not such a word. Names have their usual capitals, though the marking does not look at capitals.

The messages are made up, freely composed from forms (`ftlab.tasks.extraction_letters`).

>>> example = examples(1, seed=0)[0]
>>> sorted(Request.model_validate_json(data.answer(example)).model_dump())
['action', 'company', 'contact', 'due', 'item', 'phone', 'quantity', 'urgent']
>>> score(example, data.answer(example))["exact"]
Ratio(num=1.0, den=1)
"""

import datetime
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftlab import data
from ftlab.tasks import Ratio, Task, messages
from ftlab.tasks.extraction_letters import compose

CUE = "Extract action, item, quantity, due, contact, company, phone, urgent as JSON:\n\n"


class Request(BaseModel):
    """What a message asks for. Every field must be there; null where the message says nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["order", "quote", "return", "repair", "cancel"]
    """What the supplier is to do."""
    item: Annotated[str, Field(min_length=1)]
    """The thing, as the message writes it."""
    quantity: Annotated[int, Field(ge=1)] | None
    """How many, as a number."""
    due: datetime.date | None
    """The day by which it is wanted, YYYY-MM-DD."""
    contact: Annotated[str, Field(min_length=1)] | None
    """The person to answer."""
    company: Annotated[str, Field(min_length=1)] | None
    """The firm that the writer acts for."""
    phone: Annotated[str, Field(pattern=r"^\+?[0-9]{6,15}$")] | None
    """Where to call: digits, after a plus if the message has one."""
    urgent: bool
    """Whether the message says that it is urgent."""


FIELDS = tuple(Request.model_fields)
TEXTS = ("item", "contact", "company", "phone")  # their words must stand in the message
OPTIONAL = ("quantity", "due", "contact", "company", "phone")


# Asking and marking.


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for one message's JSON."""
    return ({"role": "user", "content": CUE + text},)


def parse(text: str) -> str:
    """Return the first JSON object in an answer, without fences and chatter.

    An answer without one comes back as it is, less the blanks around it.
    """
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\{", text):
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        return text[match.start() : end]
    return text.strip()


def _loads(text: str) -> dict[str, Any] | None:
    """Return the object in an answer, or None if there is none."""
    try:
        value = json.loads(parse(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(value: str) -> str:
    return " ".join(value.split()).casefold()


def _same(wanted: Any, got: Any) -> bool:
    """Compare by type and value; in texts neither capitals nor the width of blanks count."""
    if isinstance(wanted, str) and isinstance(got, str):
        return _plain(wanted) == _plain(got)
    return type(wanted) is type(got) and wanted == got


def _invented(name: str, wanted: Any, got: Any, message: str) -> bool:
    """Whether a value is given that the message does not have."""
    if got is None:
        return False
    if wanted is None and name in OPTIONAL:
        return True
    if name not in TEXTS:
        return False
    if name == "phone":
        return re.sub(r"\D", "", str(got)) not in re.sub(r"\D", "", message)
    return _plain(str(got)) not in _plain(message)


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark an answer against the record's JSON, field by field.

    Args:
        record: the example; its completion is the reference.
        text: what the model wrote.

    Returns:
        `exact` (valid by the schema, and every field right), `valid_json` (there is an object),
        `valid_schema`, `fields` (share of the eight that are right) with one `field_…` for each,
        and `not_invented`: of the item, the optional fields and the keys that no one asked for,
        the share that is not made up. Made up is a value where the message has none, a text that
        the message does not contain, and every key beyond the eight. An answer without an object
        scores zero everywhere.
    """
    wanted = json.loads(data.answer(record))
    message = data.prompt(record)[-1]["content"].removeprefix(CUE)
    got = _loads(text)
    given = got or {}
    right = {name: name in given and _same(wanted[name], given[name]) for name in FIELDS}
    valid = False
    if got is not None:
        try:
            Request.model_validate_json(parse(text))
            valid = True
        except ValidationError:
            pass
    extra = sum(name not in FIELDS for name in given)
    risky = ("item", *OPTIONAL)
    kept = sum(not _invented(name, wanted[name], given.get(name), message) for name in risky)
    return {
        "exact": Ratio(float(valid and all(right.values())), 1),
        "valid_json": Ratio(float(got is not None), 1),
        "valid_schema": Ratio(float(valid), 1),
        "fields": Ratio(float(sum(right.values())), len(FIELDS)),
        **{f"field_{name}": Ratio(float(right[name]), 1) for name in FIELDS},
        "not_invented": Ratio(float(kept if got is not None else 0), len(risky) + extra),
    }


# Making.


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Make `n` different messages with their JSON; a larger `n` with the same seed starts the same.

    Raises:
        ConfigError: there is no such split, or `n` is not positive.
    """
    return messages.draw(compose, CUE, n, seed, split, "extraction")


TASK = Task(
    name="extraction",
    describe=(
        "Turn a message to a supplier into JSON of eight fields: what is to be done, with what, "
        "how many, by when, for whom, and whether it is urgent. In go e-mails, replies with "
        "quotes, web forms, call notes and chat lines, polite to broken; out comes one line of "
        "JSON, null where nothing is said. The messages are composed from forms by a program."
    ),
    headline="exact",
    licence="Apache-2.0 (written by ftlab)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
)
