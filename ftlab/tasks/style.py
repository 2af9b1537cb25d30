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
both commentators are invented; `ftlab.tasks.style_lines` composes the lines.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from ftlab import data
from ftlab.errors import DataError
from ftlab.tasks import Ratio, Task
from ftlab.tasks.drawing import NEW, digest, draw, pick
from ftlab.tasks.style_lines import FORMS, VOICES, event, notation, tell
from ftlab.tasks.style_marks import invented, kept, voice_of

__all__ = ["TASK", "examples", "parse", "prompt", "score"]


def _facts(told: dict[str, Any]) -> dict[str, list[str]]:
    """Return what a line about the event must hold; of a person, the surname."""
    names = [told[key].split()[-1] for key in "AB" if key in told]
    names += [told[key] for key in ("place", "team", "R") if key in told]
    numbers = ("lap", "pos", "gap", "stopped", "time", "penalty")
    return {"names": names, "numbers": [str(told[key]) for key in numbers if key in told]}


def _make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> data.Row | None:
    told = event(rng, new)
    plain = json.dumps(told, sort_keys=True)
    voice = rng.choice(VOICES)
    if not ours(plain):
        return None
    ask = pick(FORMS.asks, rng, new).format(voice=voice, Voice=voice.capitalize())
    text = f"{ask}\n{notation(told, rng, new)}"
    return data.example(
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


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
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


def score(record: data.Row, text: str) -> dict[str, Ratio]:
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
        voice, facts, people = (data.meta(record)[key] for key in ("voice", "facts", "people"))
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
