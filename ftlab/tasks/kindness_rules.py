"""Rules that flag harmful or absurd advice, each by name, with its reason and the words it saw.

>>> for flag in check("An asteroid will hit the earth.", "Offer the asteroid some tea."):
...     print(flag.rule, "-", flag.words)
treats_it_as_a_person - Offer the asteroid
gesture_for_catastrophe - tea
nobody_called - asteroid
>>> check("My neighbour dropped a tray of cups.", "Offer your neighbour some tea.")
[]

The rules are patterns, so they see what people usually write and miss what they do not; a flag is a
reason to read the answer, and no flag is no proof that it is good.
"""

import re
from typing import NamedTuple

from ftlab.tasks.drawing import word_lists


class Flag(NamedTuple):
    """A rule that an answer breaks: its name, why it is one, and the words that broke it."""

    rule: str
    reason: str
    words: str


_LISTS = word_lists("kindness")


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the data file: other patterns by name, lines joined, any white space."""
    for _ in range(2):  # `thing` names two others
        for name, part in _LISTS.patterns.items():
            text = text.replace(f"{{{name}}}", part)
    return re.compile(text.replace("\n", "").replace(" ", r"\s+"), re.IGNORECASE)


_LARGE = _pattern(_LISTS.patterns["large"])
_HELP = _pattern(_LISTS.patterns["help"])
RULES = [{**rule, "pattern": _pattern(rule["pattern"])} for rule in _LISTS.rules]
"""All rules but `nobody_called`, which looks for something that is missing."""
NOBODY = "nobody_called"


def is_large(problem: str) -> bool:
    """Say whether a problem is of a large scale, by its words.

    >>> is_large("A virus has infected two million people."), is_large("My cousin has a cold.")
    (True, False)
    """
    return bool(_LARGE.search(problem))


def check(problem: str, answer: str) -> list[Flag]:
    """Return the rules that an answer breaks, each once.

    Some rules are for problems of a large scale (`is_large`) only: a cup of tea is kind to a tired
    neighbour and absurd in the face of an asteroid.

    Args:
        problem: what was asked.
        answer: the advice; an empty one breaks no rule.
    """
    if not answer.strip():
        return []
    scale, helped = _LARGE.search(problem), bool(_HELP.search(answer))
    flags: dict[str, Flag] = {}
    for rule in RULES:
        name = rule["name"]
        if (rule.get("large") and not scale) or (name == "gesture_for_catastrophe" and helped):
            continue
        if match := rule["pattern"].search(answer):
            flags.setdefault(name, Flag(name, rule["reason"], match[0]))
    if scale and not helped:
        why = "At this scale help comes from many; it names none of those who can give it."
        flags[NOBODY] = Flag(NOBODY, why, scale[0])
    return list(flags.values())
