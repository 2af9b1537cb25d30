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
from dataclasses import dataclass

from ftlab.tasks.drawing import word_lists


@dataclass(frozen=True)
class Rule:
    """One way in which an answer does harm or misses the point."""

    name: str
    """What the rule is called."""
    reason: str
    """Why it is flagged, in a sentence for a reader."""
    pattern: re.Pattern[str]
    """What it looks for in the answer."""
    large: bool = False
    """It holds for troubles of a large scale only."""


@dataclass(frozen=True)
class Flag:
    """A rule that an answer breaks."""

    rule: str
    reason: str
    words: str
    """The words that broke it."""


_LISTS = word_lists("kindness")


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the data file: other patterns by name, lines joined, any white space."""
    for _ in range(2):  # `thing` names two others
        for name, part in _LISTS.patterns.items():
            text = text.replace(f"{{{name}}}", part)
    return re.compile(text.replace("\n", "").replace(" ", r"\s+"), re.IGNORECASE)


_LARGE = _pattern(_LISTS.patterns["large"])
_HELP = _pattern(_LISTS.patterns["help"])
RULES = tuple(Rule(**row | {"pattern": _pattern(row["pattern"])}) for row in _LISTS.rules)
"""All rules but `nobody_called`, which looks for something that is missing."""

NOBODY = "nobody_called"
_NOBODY_REASON = "At this scale help comes from many; it names none of those who can give it."


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
    scale = _LARGE.search(problem)
    helped = bool(_HELP.search(answer))
    flags: dict[str, Flag] = {}
    for rule in RULES:
        if rule.large and not scale:
            continue
        if rule.name == "gesture_for_catastrophe" and helped:
            continue
        if match := rule.pattern.search(answer):
            flags.setdefault(rule.name, Flag(rule.name, rule.reason, match[0]))
    if scale and not helped:
        flags[NOBODY] = Flag(NOBODY, _NOBODY_REASON, scale[0])
    return list(flags.values())
