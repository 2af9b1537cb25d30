"""Examine what records say: answers that announce themselves, refuse, or change their form.

    out  Sure! Here is the JSON you asked for:\\n{"name": "Ann"}      preamble, mixed_outputs
    out  I'm sorry, but as an AI language model I cannot ...          refusals
    in   a cafÃ© in MÃ¼nchen                                          mojibake
    in   Name a knot.\\n\\n<noinput>                                  placeholder_input

A list of words (`data/words.yaml`) finds what is worth reading; it proves nothing.

>>> announced("Here is the test:\\nimport unittest")
'import unittest'
>>> unscramble("a cafÃ© in MÃ¼nchen")
'a café in München'
>>> listed("He said that women are bad at maths."), listed("Ask the chairman.")
({'bias': "'women are bad at'"}, {'bias': "'chairman' for 'chair'"})
>>> listed("She read of vermin, and shot the film."), listed("Good morning.")
({'moderation': "'vermin' (hate)"}, {})
"""

import functools
import re
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ftlab import data
from ftlab.curation import checks_private
from ftlab.curation.checks_private import PATTERNS
from ftlab.curation.findings import Notes, counted
from ftlab.files import read_data
from ftlab.formats import NotJsonError, loads

_REFUSES_WITHIN = 240  # characters: a refusal stands at the beginning
_TOKENS = re.compile(r"[a-z'-]+")


def announced(text: str) -> str | None:
    """Return an answer without the line that only announces it; None if there is no such line."""
    first, _, rest = text.lstrip().partition("\n")
    if rest.strip() and first.rstrip().endswith(":") and PATTERNS.preamble.match(first + "\n"):
        return rest.lstrip("\n")
    return None


def form(text: str) -> str:
    """Return the form of an answer: json, broken json, fenced, xml or plain."""
    text = text.strip()
    if text.startswith("```"):
        return "fenced"
    if not text.startswith(("{", "[")):
        return "xml" if text.startswith("<") and text.endswith(">") else "plain"
    try:
        loads(text)
        return "json"
    except NotJsonError:
        return "broken json" if re.match(r"[{\[]\s*[\"'{\[}\d]", text) else "plain"


_NEXT_LINE = re.compile("(?<![\u0080-\u00f4])\u0085")  # alone it is a line's end, and meant


def unscramble(text: str) -> str:
    """Undo wrong decodings that show beyond doubt, with ftfy; leave all else as it is."""
    if text.isascii():
        return text
    import ftfy

    return "\u0085".join(map(ftfy.fix_encoding, _NEXT_LINE.split(text)))


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


def leftovers(asked: str, answers: Sequence[str]) -> dict[str, str]:
    """Return the leftovers in all that is asked and in answers, by check, each with an example."""
    found = {}
    before, last = (part.strip() for part in asked.rstrip().rpartition("\n")[::2])
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


FEW = 20  # records below which nothing is said of shares, lengths and labels
LABELS = 300  # most labels in a file of labels
LABEL_WORDS = 8  # most words in a label
RARE = 10  # times that a label may be rarer than the commonest
FAR = 8.0  # times longer or shorter than the median that a text must be at least
SIGMAS = 5.0  # and robust standard deviations of the logarithm


class ContentChecks:
    """Examine each record as it passes, and at the end what only the whole shows."""

    def __init__(self, *, rendered: bool = False) -> None:
        """Begin; if `rendered`, a template is examined too, which says what it has a place for."""
        self._rendered = rendered
        self._rare, self._several = Counter[str](), 0
        self._lines = array("Q")
        self._empty: list[tuple[int, str]] = []
        self._lengths = {"input": array("L"), "output": array("L")}
        self._forms: dict[str, array[int]] = {}
        self._labels: dict[str, array[int]] = {}  # short outputs, and their lines

    def see(self, line: int, record: data.Row, notes: Notes) -> None:
        """Examine one record."""
        answer, turns = data.answer(record), data.conversation(record)
        asked = "\n".join(turn["content"] for turn in data.prompt(record))
        self._keep(line, asked, answer)
        learned = [turns[i]["content"] for i in data.learned(record)]
        self._several += len(learned) > 1
        if sum(turn["role"] == "assistant" for turn in turns) > len(learned):
            notes.add("answers_without_loss", line)
        if not self._rendered and (rare := data.rare(record)):
            self._rare.update(sorted(rare))
            notes.add("needs_a_place", line)
        refusals = (PATTERNS.refusal.search(text, 0, _REFUSES_WITHIN) for text in learned)
        preambles = map(PATTERNS.preamble.match, learned)
        for check, matches in (("preamble", preambles), ("refusals", refusals)):
            if match := next(filter(None, matches), None):
                notes.add(check, line, f"For example {match.group().strip()[:50]!r}.")
        for check, example in leftovers(asked, learned).items():
            if check == "placeholder_output":  # in a file of labels, one may be "N/A"
                self._empty.append((line, example))
            else:
                notes.add(check, line, f"For example {example[:60]!r}.")
        text = f"{asked}\n{answer}"
        if command := checks_private.commands(text):
            notes.add("instructions", line, f"For example {command!r}.")
        for check, kind, _ in checks_private.private(text):
            notes.add(check, line, f"The first is of the kind {kind!r}.")
        for check, example in listed(text).items():
            notes.add(check, line, f"For example {example}.")
        if "\r" in text:
            notes.add("carriage_returns", line)
        if not text.isascii():
            if "\ufffd" in text:
                notes.add("mojibake", line, "For example \ufffd, where a character was lost.")
            elif (mended := unscramble(text)) != text:
                at = next(i for i, (a, b) in enumerate(zip(text, mended)) if a != b)  # noqa: B905
                notes.add("mojibake", line, f"For example {text[at : at + 2]} for {mended[at]}.")
            if checks_private.hidden(text) != text:
                notes.add("hidden_text", line)

    def _keep(self, line: int, asked: str, answer: str) -> None:
        """Count lengths, forms and labels."""
        self._lines.append(line)
        self._lengths["input"].append(len(asked))
        self._lengths["output"].append(len(answer))
        self._forms.setdefault(form(answer), array("Q")).append(line)
        label = answer.strip()
        few = len(self._labels) <= LABELS
        if few and label and len(label) <= 100 and len(label.split()) <= LABEL_WORDS:
            self._labels.setdefault(label, array("Q")).append(line)

    def labels(self) -> dict[str, int]:
        """Return how often each label stands; empty where the outputs are no labels."""
        found, seen = {label: len(lines) for label, lines in self._labels.items()}, len(self._lines)
        repeated = sum(count for count in found.values() if count > 1)
        enough = repeated >= 0.9 * seen and len(found) <= min(seen / 5, LABELS)
        return found if seen >= FEW and enough else {}

    def finish(self, notes: Notes) -> dict[str, Any]:
        """Examine the whole; return facts."""
        facts: dict[str, Any] = {"outputs": {k: len(v) for k, v in sorted(self._forms.items())}}
        if self._rare:
            notes.tell("needs_a_place", counted(self._rare))
        if self._several:
            facts["several_learned_answers"] = self._several
        labels = self.labels()
        for line, example in self._empty if not labels else ():
            notes.add("placeholder_output", line, f"For example {example!r}.")
        if len(self._lines) < FEW:
            return facts
        self._judge_forms(notes)
        if labels:
            facts["labels"] = len(labels)
            self._judge_labels(labels, notes)
        for name, lengths in self._lengths.items():
            self._judge_lengths(name, lengths, notes)
        return facts

    def _judge_forms(self, notes: Notes) -> None:
        forms, seen = dict(self._forms), len(self._lines)
        broken = forms.pop("broken json", array("Q"))
        if len(forms.get("json", ())) >= 0.5 * seen:
            for line in broken:
                notes.add("invalid_json", line)
        for name in ("json", "xml", "fenced"):
            share = len(forms.get(name, ())) / (seen - len(broken) or 1)
            if not 0.2 <= share < 1:
                continue
            for other, lines in forms.items():
                if (other == name) == (share < 0.5):  # the fewer are the fault
                    for line in lines:
                        notes.add("mixed_outputs", line, f"{share:.0%} of the outputs are {name}.")
            return

    def _judge_labels(self, labels: dict[str, int], notes: Notes) -> None:
        alike: dict[str, list[str]] = {}
        for label in labels:
            alike.setdefault(re.sub(r"[\W_]+", "", label).casefold(), []).append(label)
        most = max(labels.values())
        for bare, same in alike.items():
            common = max(same, key=lambda label: labels[label])
            for label in same:
                if bare and label != common:
                    check, detail = "label_variants", f"For example {label!r} for {common!r}."
                elif labels[label] * RARE <= most:
                    check = "label_imbalance"
                    detail = f"For example {label!r}: {labels[label]}, the commonest {most:,}."
                else:
                    continue
                for line in self._labels[label]:
                    notes.add(check, line, detail)

    def _judge_lengths(self, name: str, lengths: "array[int]", notes: Notes) -> None:
        """Put down lengths far from the median on a logarithmic scale."""
        import numpy as np

        logs = np.log(np.maximum(np.array(lengths, dtype=np.float64), 1))
        median = np.median(logs)
        spread = 1.4826 * np.median(np.abs(logs - median))
        for at in np.flatnonzero(np.abs(logs - median) > max(np.log(FAR), SIGMAS * spread)):
            what = f"its {name} has {lengths[at]:,} characters, the median {np.exp(median):,.0f}"
            notes.add("length_outliers", self._lines[at], f"Line {self._lines[at]}: {what}.")
