"""Tell a race event in one of two house voices, a dry one and an exuberant one.

    in   Voice: dry.
         kind: overtake
         racer: Ines Varga
         rival: Tom Okafor
         lap: 12
         position: 3
    out  Lap 12: Varga passes Okafor for P3. Noted.

    in   the same, with "Voice: exuberant."
    out  Oh my word! VARGA rockets past Okafor on lap 12, of all laps! That is P3, glorious P3!

A line is right when a classifier hears the voice that was asked for, and when every name and number
of the event is in it and none that is not (`ftlab.tasks.style_marks`). The events, the people and
both commentators are invented; the lines are composed freely from `ftlab.tasks.style_words`.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import quoteattr

from ftlab.errors import DataError, raise_unknown
from ftlab.records import Record
from ftlab.tasks import Ratio, Task
from ftlab.tasks import style_words as words
from ftlab.tasks.drawing import NEW, digest, draw, open_to, pick
from ftlab.tasks.style_marks import VOICES, invented, kept, ordinal, voice_of

__all__ = ["TASK", "event", "examples", "notation", "parse", "prompt", "score", "tell"]


# Events.


def event(rng: random.Random, new: bool = False) -> dict[str, Any]:
    """Draw an event: its `kind` and the facts that `style_words.KINDS` allows it.

    Args:
        rng: where chance comes from.
        new: use held-out names and reasons, and none of the others.
    """
    pool = lambda text: text.partition("~")[2 if new else 0].split("|")
    kind = rng.choice(list(words.KINDS))
    possible, always = (text.split() for text in words.KINDS[kind])
    surnames = rng.sample(pool(words.SURNAMES), 2)
    drawn = {
        "A": f"{rng.choice(pool(words.FIRST))} {surnames[0]}",
        "B": f"{rng.choice(pool(words.FIRST))} {surnames[1]}",
        "place": rng.choice(pool(words.PLACES)),
        "team": rng.choice(pool(words.TEAMS)),
        "R": rng.choice(pool(words.PENALISED if kind == "penalty" else words.RETIRED)),
        "lap": rng.randint(13, 71),
        "pos": rng.randint(1, 12),
        "gap": rng.randint(1, 99) / 10,
        "stopped": rng.randint(21, 129) / 10,
        "time": f"1:{rng.randint(2, 58):02}.{rng.randint(0, 9)}",
        "penalty": rng.choice((3, 5, 10, 12)),
    }
    need = {"A", "B", *always}  # racer and rival stand in the core of every line
    facts = {key: drawn[key] for key in possible if key in need or rng.random() < 0.7}
    if facts.get("gap") == facts.get("pos") is not None:
        del facts["gap"]  # two facts of the same figure could not be told apart
    return {"kind": kind, **facts}


def _facts(told: dict[str, Any]) -> dict[str, list[str]]:
    """Return what a line about the event must hold; of a person, the surname."""
    names = [told[key].split()[-1] for key in "AB" if key in told]
    names += [told[key] for key in ("place", "team", "R") if key in told]
    numbers = ("lap", "pos", "gap", "stopped", "time", "penalty")
    return {"names": names, "numbers": [str(told[key]) for key in numbers if key in told]}


def notation(told: dict[str, Any], rng: random.Random, new: bool = False) -> str:
    """Write an event down as one of ten kinds of record, its keys and their order at random."""
    keys = [key for key in told if key != "kind"]
    rng.shuffle(keys)
    rows = [(pick(words.KEYS[key], rng, new), told[key]) for key in ("kind", *keys)]
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


# Lines.


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
        if not lead and chance < 0.3 and open_to(words.LEADS[voice].get(key, ()), new):
            lead = pick(words.LEADS[voice][key], rng, new)
        elif chance < 0.7 and phrases.count("\0") < 2:
            phrases += "\0" + pick(words.PHRASES[voice][key], rng, new)
        else:
            sentences.append(pick(words.SENTENCES[voice][key], rng, new) + end())
    opening = closing = ""
    if not lead and rng.random() < (0.75 if loud else 0.25):
        opening = pick(words.OPENINGS[voice], rng, new)
    if rng.random() < (0.45 if loud else 0.3):
        closing = " " + pick(words.CLOSINGS[voice], rng, new)
    core = pick(words.CORES[voice][told["kind"]], rng, new)
    text = opening + lead + core + phrases.replace("\0", " ") + end()
    text = " ".join([text, *sentences]).format(**slots) + closing
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)


def _make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> Record | None:
    told = event(rng, new)
    plain = json.dumps(told, sort_keys=True)
    voice = rng.choice(VOICES)
    if not ours(plain):
        return None
    ask = pick(words.ASKS, rng, new).format(voice=voice, Voice=voice.capitalize())
    text = f"{ask}\n{notation(told, rng, new)}"
    return Record.of(
        text,
        tell(told, voice, rng, new),
        id=digest(text),
        slice=NEW if new else f"{voice}/{told['kind']}",
        difficulty=len(told) - 1,
        group=digest(plain),
        voice=voice,
        kind=told["kind"],
        facts=_facts(told),
        people=[told[key] for key in "AB" if key in told],
    )


def examples(n: int, seed: int, split: str = "train") -> list[Record]:
    """Draw `n` events with a line each; difficulty is the number of facts, 2 to 5.

    An event is in one split only, in whatever voice; a larger `n` with the same seed starts the
    same.

    Raises:
        ConfigError: there is no such split, or `n` is not positive.
    """
    return draw(_make, n, seed, split, "style")


# Asking and marking.


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for a line: a voice, a colon, then the event's record.

    Anything else is taken for a request in the user's own words, and stands as it is.

    >>> prompt("dry: kind=finish; racer=Ida Berg; position=2")[0]["content"]
    'Voice: dry.\\nkind=finish; racer=Ida Berg; position=2'
    """
    if match := re.match(rf"\s*({'|'.join(VOICES)}):\s*", text):
        text = f"Voice: {match[1]}.\n{text[match.end() :]}"
    return ({"role": "user", "content": text},)


def parse(text: str) -> str:
    """Return the first line of an answer, without quotes around it.

    A line that only announces the answer ("Here it is:") is passed over.
    """
    lines = [" ".join(line.split()).strip('"“”* ') for line in text.splitlines()]
    lines = [line for line in lines if line]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines = lines[1:]
    return lines[0] if lines else ""


def score(record: Record, text: str) -> dict[str, Ratio]:
    """Mark a line by its voice and its facts.

    Args:
        record: the example; its meta has the `voice`, the `facts` and the `people`.
        text: what the model wrote.

    Returns:
        `both` (the voice is right and the facts are), `voice` (the classifier hears the voice that
        was asked for), `facts_right` (every fact is there and nothing is invented), `facts_kept`
        (den is the number of facts) and `nothing_invented`.

    Raises:
        DataError: the record does not carry its facts.
    """
    try:
        voice, facts, people = (record.meta[key] for key in ("voice", "facts", "people"))
    except KeyError as error:
        raise DataError(
            f"a style record's meta has no {error}; use records made by this task, meta included."
        ) from None
    line = parse(text)
    found = len(kept(line, facts))
    wanted = len(facts["names"]) + len(facts["numbers"])
    clean = bool(line) and not invented(line, facts, *people)
    heard = voice_of(line) == voice
    right = found == wanted and clean
    return {
        "both": Ratio(float(heard and right), 1),
        "voice": Ratio(float(heard), 1),
        "facts_right": Ratio(float(right), 1),
        "facts_kept": Ratio(found, wanted),
        "nothing_invented": Ratio(float(clean), 1),
    }


TASK = Task(
    name="style",
    describe=(
        "Tell a race event in a house voice. In goes the record of one event, in one of many "
        "notations, and the voice to tell it in, dry or exuberant; out comes one line of "
        "commentary with all its facts and no others. Events, people and lines are composed from "
        "invented forms."
    ),
    headline="both",
    licence="Apache-2.0 (composed by this package, from words of its own)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
)
