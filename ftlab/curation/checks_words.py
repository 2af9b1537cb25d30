"""Find words that a person should look at: what moderators read for, and sentences about groups.

The lists are in `data/words.yaml`. A list of words finds what is worth reading; it proves nothing.
And find what a generated data set left behind: placeholders, run-on examples, unseen pages. Such
lines came with the first sets that models wrote (Alpaca's among them), and with their copies.

    in   Name a knot.\\n\\n<noinput>              placeholder_input
    out  <No Output>                             placeholder_output
    out  Blue.\\n##\\n7. Instruction: Add them.\\n7. Output: 5         two_in_one
    in   Summarise the page.\\n\\nhttps://example.com/a                unseen

>>> listed("He said that women are bad at maths."), listed("Ask the chairman.")
({'bias': "'women are bad at'"}, {'bias': "'chairman' for 'chair'"})
>>> listed("She read of vermin, and shot the film."), listed("Good morning.")
({'moderation': "'vermin' (hate)"}, {})
>>> leftovers("Name a knot.\\n\\nN/A", ["A bowline."])
{'placeholder_input': 'N/A'}
"""

import functools
import re
from collections.abc import Sequence

from ftlab.curation.checks_private import PATTERNS
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


# What a generated data set left behind.


def leftovers(asked: str, answers: Sequence[str]) -> dict[str, str]:
    """Return the checks that a record fails, each with an example.

    Args:
        asked: all that is asked.
        answers: the answers that are learned.
    """
    found = {}
    before, _, last = asked.rstrip().rpartition("\n")
    last = last.strip()
    if before and len(last) <= 30 and PATTERNS.no_input.fullmatch(last):
        found["placeholder_input"] = last
    alone = last.startswith(("http://", "https://")) and len(last.split()) == 1
    if (alone and PATTERNS.page.search(before)) or PATTERNS.attached.fullmatch(last):
        found["unseen"] = last
    for answer in answers:
        if len(answer) <= 60 and PATTERNS.no_output.fullmatch(answer.strip()):
            found["placeholder_output"] = answer.strip()
        match = PATTERNS.asks.search(answer, 1) if ":" in answer else None
        if match and PATTERNS.says.search(answer, match.end()):
            found["two_in_one"] = match.group().strip()
    return found
