"""Translate a document between XML, YAML and JSON without losing a value or its kind.

    in   XML to YAML:

         <lamp id="07"><on>no</on><watts type="float">4.5</watts></lamp>
    out  lamp:
           '@id': '07'
           on: 'no'
           watts: 4.5

An answer is marked by parsing it, and the wanted document, with the formats' own parsers and
comparing the data; how either is laid out does not matter. `translate_formats` states how XML's
attributes and lists stand for plain data. The documents are invented: subjects, keys and values
are drawn, and so is the look of the source (indents, quotes, flow style, CDATA, escapes).

>>> record = examples(1, seed=0)[0]
>>> score(record, "```\\n" + record.completion + "```")["same"]
Ratio(num=1.0, den=1)
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from ftlab.errors import ConfigError, DataError
from ftlab.records import Record
from ftlab.tasks import Ratio, Task
from ftlab.tasks.drawing import NEW, digest, draw, open_to, pick
from ftlab.tasks.translate_formats import Look, leaves, read, same, write
from ftlab.tasks.translate_words import ASKS, COMMENTS, NAMES, SUBJECTS, TEXTS, TRAPS, WORDS, pool

DIRECTIONS = ("json>xml", "json>yaml", "xml>json", "xml>yaml", "yaml>json", "yaml>xml")
LONGEST = 850
"""Characters in the longest prompt and completion together."""

MAPPING = (
    'In XML, attribute type="int|float|bool|null|list|map" gives the kind of a value that is no '
    'string; a list\'s elements are <item>; other attributes are keys with "@"; the text beside '
    'attributes is the key "#text".'
)
"""The mapping in a few words, for a model that is prompted and not tuned."""


# Making documents.


def _value(kind: str, rng: random.Random, new: bool) -> Any:
    """Make a value of a kind (`translate_words`); now and then a trap or null instead."""
    chance = rng.random()
    if kind not in "lL" and chance < 0.12:
        return rng.choice(pool(TRAPS, new))
    if kind not in "lL" and chance < 0.16:
        return None
    word = lambda: rng.choice(pool(WORDS, new))
    count = rng.randint(0, 3)
    if kind == "l":
        return [word() if rng.random() < 0.85 else _value("s", rng, new) for _ in range(count)]
    if kind == "L":
        return [_value(rng.choice("ifff"), rng, new) for _ in range(count)]
    day = f"20{rng.randint(10, 29)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    time = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    if kind == "t":
        text = rng.choice(open_to(TEXTS, new))
        return text.format(a=word(), b=word(), c=word(), i=rng.randint(2, 99))
    number, cents = rng.randint(1, 9999), rng.randint(1, 9999) / 100
    code = f"{word()[:2].upper()}-{rng.randint(1, 99)}"
    made: dict[str, Any] = {
        "n": rng.choice(pool(NAMES, new)),
        "w": word(),
        "c": rng.choice((f"{number % 1000:03}", code)),
        "d": rng.choice((day, day, f"{day}T{time}:00", f"{day[8:]}/{day[5:7]}/{day[:4]}")),
        "h": rng.choice((time, f"{time}:{rng.randint(0, 59):02}")),
        "s": rng.choice(pool(TRAPS, new)),
        "i": rng.choice((number % 10, number, -(number % 40))),
        "f": rng.choice((cents, number / 1.0, -cents)),
        "b": rng.random() < 0.5,
    }
    return made[kind]


def _map(subject: list[list[str]], depth: int, rng: random.Random, new: bool) -> dict[str, Any]:
    """Make a map that is `depth` levels deep, itself included."""
    _, parts, fields = subject
    made: dict[str, Any] = {}
    if rng.random() < 0.3:
        made["@" + rng.choice(("id", "lang", "unit"))] = _value(rng.choice("cws"), rng, new) or ""
    for field in rng.sample(fields, rng.randint(1, 4 if depth < 3 else 2)):
        key, kind = field.split(":")
        if depth > 1 or kind not in "lL":
            made[key] = _value(kind, rng, new)
        if made.get(key) not in (None, "", []) and kind not in "lL" and rng.random() < 0.06:
            made[key] = {"@" + rng.choice(("unit", "id", "by")): rng.choice(pool(WORDS, new)),
                         "#text": made[key]}  # fmt: skip
    if depth > 1:
        part = rng.choice(parts)
        if rng.random() < 0.4 and depth > 2:
            items = range(rng.randint(1, 2))
            made[part] = [_map(subject, depth - 2, rng, new) for _ in items]
        else:
            made[part] = _map(subject, depth - 1, rng, new)
    pairs = list(made.items())
    attributes = [pair for pair in pairs if pair[0].startswith("@")]
    rest = [pair for pair in pairs if not pair[0].startswith("@")]
    rng.shuffle(rest)
    return dict(attributes + rest)


def _document(depth: int, rng: random.Random, new: bool) -> dict[str, Any]:
    """Make a document with one root, which all three formats can hold."""
    line = rng.choice(open_to(SUBJECTS, new))
    subject = [part.split() for part in line.split("|")]
    return {rng.choice(subject[0]): _map(subject, depth, rng, new)}


def _look(form: str, rng: random.Random, new: bool) -> Look:
    """Choose how the source is written; the house style is one look among many."""
    comment = rng.choice(("", "", pick(COMMENTS, rng, new)))
    if form == "json":
        return Look(indent=rng.choice((0, 1, 2, 3, 4)), ascii=rng.random() < (0.6 if new else 0.2))
    if form == "yaml":
        first = rng.choice(("", "---", f"# {comment}" if comment else ""))
        quote = rng.choice(("'", '"') if new else ("", "", "", "'", '"'))
        deeper = rng.random() < 0.4
        return Look(rng.choice((0, 2, 2, 3, 4)), quote=quote, first=first, indented_lists=deeper)
    return Look(
        indent=rng.choice((0, 1, 2, 2, 4)),
        ascii=rng.random() < 0.2,
        quote="'" if rng.random() < (0.7 if new else 0.2) else "",
        first=rng.choice(("", '<?xml version="1.0"?>', f"<!-- {comment} -->" if comment else "")),
        cdata=rng.random() < (0.6 if new else 0.3),
        closed=rng.random() < 0.7,
    )


def _ask(source: str, to: str, document: str, form: str) -> str:
    ask = form.format(source=source.upper(), to=to.upper())
    return f"{ask}\n\n{document.rstrip()}"


def _make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> Record | None:
    depth = rng.choice((1, 2, 2, 3, 3, 4))
    data = _document(depth, rng, new)
    direction = rng.choice(DIRECTIONS)
    plain = json.dumps(data, sort_keys=True)
    if not ours(plain):
        return None
    source, to = direction.split(">")
    text = _ask(source, to, write(data, source, _look(source, rng, new)), pick(ASKS, rng, new))
    completion = write(data, to).rstrip("\n")
    if len(text) + len(completion) > LONGEST:
        return None
    return Record.of(
        text,
        completion,
        id=digest(text),
        slice=NEW if new else direction,
        difficulty=depth,
        group=digest(plain),
        direction=direction,
    )


def examples(n: int, seed: int, split: str = "train") -> list[Record]:
    """Draw `n` translations; difficulty is the depth of the document, 1 to 4.

    A document is in one split only, whatever the direction and the look; a larger `n` with the
    same seed starts the same.

    Raises:
        ConfigError: there is no such split, or `n` is not positive.
    """
    return draw(_make, n, seed, split, "translate")


# Asking and marking.


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask to translate: a first line such as "xml to yaml", then the text.

    Any other first line is taken for a request in the user's own words, and stands as it is.

    >>> prompt("json to yaml\\n[1, 2]")[0]["content"]
    'Translate from JSON to YAML.\\n\\n[1, 2]'

    Raises:
        ConfigError: the first line names a format that there is not.
    """
    first, _, document = text.partition("\n")
    if match := re.fullmatch(r"\s*(\w+) to (\w+):?\s*", first):
        source, to = match[1].lower(), match[2].lower()
        if f"{source}>{to}" not in DIRECTIONS:
            raise ConfigError(
                f"Cannot translate {source} to {to}. "
                f"Valid: {', '.join(d.replace('>', ' to ') for d in DIRECTIONS)}."
            )
        text = _ask(source, to, document.strip("\n"), "Translate from {source} to {to}.")
    return ({"role": "user", "content": text},)


_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:```|\Z)", re.MULTILINE | re.DOTALL)
_PREAMBLE = re.compile(
    r"\A\s*(?:here|sure|certainly|of course|okay)\b[^\n]*:[ \t]*\n", re.IGNORECASE
)


def parse(text: str) -> str:
    """Return the document in an answer: what a code fence holds, without a sentence before it."""
    while True:
        fenced = _FENCE.search(text)
        bare = _PREAMBLE.sub("", fenced[1] if fenced else text).strip("\n")
        if bare == text:
            return bare
        text = bare


def format_of(document: str) -> str:
    """Say what format a document is in by its look: "xml", "json" or "yaml"."""
    if document.lstrip().startswith("<"):
        return "xml"
    return "json" if document.lstrip()[:1] in ("{", "[") else "yaml"


def score(record: Record, text: str) -> dict[str, Ratio]:
    """Mark a translation by its data.

    Args:
        record: the example; its completion is the wanted document, and tells the wanted format.
        text: what the model wrote.

    Returns:
        `same` (the same data, kinds included), `parses` (a document of the wanted format),
        `values_f1` (over values at their paths, micro-averaged; den is the number of values on
        both sides), `keys_f1` (the same over the paths alone) and `strings_kept` (of the strings
        that look like something else, such as "no" or "2024-03-09", the share still strings).
    """
    form = format_of(record.completion)
    wanted = read(record.completion, form)
    given: list[tuple[str, Any]] = []
    right = False
    try:
        answer = read(parse(text), form)
        given = list(leaves(answer))
        right = same(wanted, answer)
    except (DataError, RecursionError):
        answer = None
    parses = bool(given)
    there = list(leaves(wanted))
    marked = [Counter((p, type(v).__name__, repr(v)) for p, v in side) for side in (there, given)]
    paths = [Counter(p for p, _ in side) for side in (there, given)]
    traps = [leaf for leaf in there if isinstance(leaf[1], str) and _misread(leaf[1])]
    kept = sum(leaf in given for leaf in traps)
    return {
        "same": Ratio(float(right), 1),
        "parses": Ratio(float(parses), 1),
        "values_f1": Ratio(2 * (marked[0] & marked[1]).total(), len(there) + len(given)),
        "keys_f1": Ratio(2 * (paths[0] & paths[1]).total(), len(there) + len(given)),
        "strings_kept": Ratio(kept, len(traps)),
    }


def _misread(text: str) -> bool:
    """Say whether bare YAML would not read a string as itself."""
    try:
        return read(f"a: {text}", "yaml") != {"a": text}
    except DataError:
        return True


TASK = Task(
    name="translate",
    describe=(
        "Translate a document between XML, YAML and JSON, in all six directions. In goes a request "
        "and a document of 1 to 4 levels, with lists, attributes, quotes, unicode and strings that "
        "look like numbers, dates or booleans; out comes a document with the same data. The "
        "documents are composed from invented subjects; `ftlab.tasks.translate_formats` states "
        "what XML's attributes and lists stand for."
    ),
    headline="same",
    licence="Apache-2.0 (composed by this package, from words of its own)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
)
