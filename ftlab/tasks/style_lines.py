"""Race events, and how the two commentators of `style` tell them: composed, never copied.

>>> overtake = {"kind": "overtake", "A": "Ines Varga", "B": "Tom Okafor", "pos": 3}
>>> print(tell(overtake, "dry", random.Random(7)))
Tom Okafor is passed by Varga for P3. So it goes.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import quoteattr

from ftlab.errors import raise_unknown
from ftlab.tasks.drawing import open_to, pick, word_lists
from ftlab.tasks.messages import spell

FORMS = word_lists("style")
VOICES = ("dry", "exuberant")

_ORDINAL = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
            "nine": "ninth", "twelve": "twelfth"}  # fmt: skip


def ordinal(number: int) -> str:
    """Return an ordinal from 1 to 99 in words.

    >>> ordinal(3), ordinal(20), ordinal(42)
    ('third', 'twentieth', 'forty-second')
    """
    first, dash, last = spell(number).rpartition("-")
    if last.endswith("ty"):
        return last[:-1] + "ieth"
    return first + dash + _ORDINAL.get(last, last + "th")


def event(rng: random.Random, new: bool = False) -> dict[str, Any]:
    """Draw an event: its `kind` and the facts that its kind may have.

    Args:
        rng: where chance comes from.
        new: use held-out names and reasons, and none of the others.
    """
    draw = lambda pool: rng.choice(open_to(pool, new))
    kind = rng.choice(list(FORMS.kinds))
    surnames = rng.sample(open_to(FORMS.surnames, new), 2)
    drawn = {
        "A": f"{draw(FORMS.first)} {surnames[0]}",
        "B": f"{draw(FORMS.first)} {surnames[1]}",
        "place": draw(FORMS.places),
        "team": draw(FORMS.teams),
        "R": draw(FORMS.penalised if kind == "penalty" else FORMS.retired),
        "lap": rng.randint(13, 71),
        "pos": rng.randint(1, 12),
        "gap": rng.randint(1, 99) / 10,
        "stopped": rng.randint(21, 129) / 10,
        "time": f"1:{rng.randint(2, 58):02}.{rng.randint(0, 9)}",
        "penalty": rng.choice((3, 5, 10, 12)),
    }
    of_kind = FORMS.kinds[kind]
    need = {"A", "B", *of_kind["always"]}  # racer and rival stand in the core of every line
    facts = {key: drawn[key] for key in of_kind["possible"] if key in need or rng.random() < 0.7}
    if facts.get("gap") == facts.get("pos") is not None:
        del facts["gap"]  # two facts of the same figure could not be told apart
    return {"kind": kind, **facts}


def notation(told: dict[str, Any], rng: random.Random, new: bool = False) -> str:
    """Write an event down as one of ten kinds of record, its keys and their order at random."""
    keys = [key for key in told if key != "kind"]
    rng.shuffle(keys)
    rows = [(pick(FORMS.keys[key], rng, new), told[key]) for key in ("kind", *keys)]
    lines: Callable[[str, str], str] = lambda form, gap: gap.join(form.format(*row) for row in rows)
    across = lambda mark: mark.join(k for k, _ in rows) + "\n" + mark.join(str(v) for _, v in rows)
    ways: list[Callable[[], str]] = [
        lambda: lines("{}: {}", "\n"),
        lambda: lines("{}={}", "; "),
        lambda: json.dumps(dict(rows)),
        lambda: lines("- {}: {}", "\n"),
        lambda: across(" | "),
        lambda: across(","),
        lambda: lines("{} {}", ", "),
        lambda: lines("[{}] {}", " "),
        lambda: lines("{} -> {}", "\n"),
        lambda: (
            "<" + " ".join(f"{k.replace(' ', '_')}={quoteattr(str(v))}" for k, v in rows) + "/>"
        ),
    ]
    return rng.choice(ways[8:] if new else ways[:8])()


def tell(told: dict[str, Any], voice: str, rng: random.Random, new: bool = False) -> str:
    """Compose a line of commentary about an event.

    Args:
        told: an event, as from `event`.
        voice: "dry" or "exuberant".
        rng: where chance comes from.
        new: build it from held-out forms alone.

    Raises:
        ConfigError: there is no such voice.
    """
    if voice not in VOICES:
        raise_unknown("voice", voice, VOICES)
    loud = voice == "exuberant"
    slots = {key: value for key, value in told.items() if key not in ("kind", "A", "B")}
    for key in "AB":
        if key in told:
            surname = told[key].split()[-1]
            full = told[key] if rng.random() < 0.3 else surname
            slots[key] = surname.upper() if loud and rng.random() < 0.15 else full
    if "pos" in told:
        slots["nth"] = ordinal(told["pos"])
    rest = [key for key in told if key not in ("kind", "A", "B", "R")]
    rng.shuffle(rest)
    lead, phrases, sentences = "", "", []
    end = lambda: rng.choice(("!", "!", "!", "!!", "...")) if loud else "."
    for key in rest:
        chance = rng.random()
        if not lead and chance < 0.3 and open_to(FORMS.leads[voice].get(key, ()), new):
            lead = pick(FORMS.leads[voice][key], rng, new)
        elif chance < 0.7 and phrases.count("\0") < 2:
            phrases += "\0" + pick(FORMS.phrases[voice][key], rng, new)
        else:
            sentences.append(pick(FORMS.sentences[voice][key], rng, new) + end())
    opening = closing = ""
    if not lead and rng.random() < (0.75 if loud else 0.25):
        opening = pick(FORMS.openings[voice], rng, new)
    if rng.random() < (0.45 if loud else 0.3):
        closing = " " + pick(FORMS.closings[voice], rng, new)
    core = pick(FORMS.cores[voice][told["kind"]], rng, new)
    text = opening + lead + core + phrases.replace("\0", " ") + end()
    text = " ".join([text, *sentences]).format(**slots) + closing
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)
