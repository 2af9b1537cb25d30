"""Find words that a person should look at: what moderators read for, and sentences about groups.

The lists are in `data/words.yaml`. A list of words finds what is worth reading; it proves nothing.

>>> listed("He said that women are bad at maths."), listed("Ask the chairman.")
({'bias': "'women are bad at'"}, {'bias': "'chairman' for 'chair'"})
>>> listed("She read of vermin, and shot the film."), listed("Good morning.")
({'moderation': "'vermin' (hate)"}, {})
"""

import functools
import re

from ftlab.files import read_data

_TOKENS = re.compile(r"[a-z'-]+")


def listed(text: str) -> dict[str, str]:
    """Return the checks among moderation and bias that a text fails, each with an example."""
    cues, moderated, biased, kinds = _patterns()
    low = text.lower().replace("’", "'")
    found: dict[str, str] = {}
    if cues.isdisjoint(_TOKENS.findall(low)):  # most texts, at little cost
        return found
    if match := moderated.search(low):
        found["moderation"] = f"{match.group()!r} ({kinds[match.group()]})"
    if match := biased.search(low):
        better = read_data("words.yaml")["terms"].get(match.group())
        found["bias"] = repr(match.group()) + (f" for {better!r}" if better else "")
    return found


@functools.cache
def _patterns() -> tuple[set[str], re.Pattern[str], re.Pattern[str], dict[str, str]]:
    """Return a word of each phrase, the pattern of each check, and the kind of each phrase."""
    lists = read_data("words.yaml")
    kinds = {word: kind for kind, words in lists["moderation"].items() for word in words}
    cues = {max(phrase.split(), key=len) for phrase in (*kinds, *lists["terms"], *lists["groups"])}
    groups, before, after = (_any(lists[name]) for name in ("groups", "before", "after"))
    biased = rf"\b(?:{before} {groups}|{groups} {after}|{_any(lists['terms'])})\b"
    return cues, re.compile(rf"\b{_any(kinds)}\b"), re.compile(biased), kinds


def _any(words: "tuple[str, ...] | dict[str, str]") -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return f"(?:{'|'.join(map(re.escape, longest_first))})"
