"""English prose that is on every machine: the documentation inside the running Python.

Two sources, read as text and never imported for their effects: the topics behind `help("topics")`
(`pydoc_data`) and the docstrings of the standard library. They become short passages of natural
sentences in plain ASCII, with code, tables, lists of parameters and markup left out.

The test split is half of the topics, by section, and the docstrings of the packages in `SET_ASIDE`;
ftlab's own base model was trained without either. A train passage that shares any eight words in
a row with a test passage is dropped.
"""

import ast
import functools
import hashlib
import inspect
import itertools
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ftlab.errors import raise_unknown
from ftlab.files import read_data

LISTS = read_data("tasks/pydocs.yaml")
SET_ASIDE = LISTS["set_aside"]
"""Standard library packages whose docstrings are test text only."""

SHORTEST, LONGEST = 8, 45
"""Words in a passage."""

_SKIP = set(LISTS["skipped"])
_OVERLAP = 8


class Passage(NamedTuple):
    """One to three consecutive sentences of one paragraph."""

    text: str
    slice: str
    group: str  # the section of the topics, or the file of the docstring


_Paragraph = tuple[str, str, str, bool]  # text, slice, group, whether it is for the test split


@functools.cache
def passages(split: str) -> tuple[Passage, ...]:
    """Return all passages of the split "train" or "test", a few seconds' work the first time.

    Raises:
        ConfigError: there is no such split.
    """
    if split not in ("train", "test"):
        raise_unknown("split", split, ["train", "test"])
    if split == "test":
        return tuple(passage for passage, test in _all() if test)
    held_out = {gram for passage in passages("test") for gram in _grams(passage.text)}
    return tuple(p for p, test in _all() if not test and held_out.isdisjoint(_grams(p.text)))


@functools.cache
def _all() -> tuple[tuple[Passage, bool], ...]:
    """Every passage once, with whether it is for the test split."""
    # Topics repeat whole sections of each other: only the first copy of a paragraph counts.
    paragraphs: dict[str, _Paragraph] = {}
    for paragraph in (*_topics(), *_docstrings()):
        paragraphs.setdefault(_bare(paragraph[0]), paragraph)
    found: dict[str, tuple[Passage, bool]] = {}
    for whole, part, group, test in paragraphs.values():
        for text in _cut(whole):
            found.setdefault(_bare(text), (Passage(text, part, group), test))
    return tuple(found.values())


def _bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def _grams(text: str) -> set[tuple[str, ...]]:
    words = _bare(text).split()
    return {tuple(words[i : i + _OVERLAP]) for i in range(len(words) - _OVERLAP + 1)}


def _number(text: str) -> int:
    """A number that depends on nothing but the text (`hash` differs between processes)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _topics() -> Iterator[_Paragraph]:
    """Yield the paragraphs of the documentation topics, split into train and test by section."""
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions leave it out
        return
    for name in sorted(topics):
        section = name
        for text in _blocks(topics[name]):
            if heading := re.fullmatch(r"(.+)\n([*=\-~^\"])\2{2,}", text):
                section = _bare(heading[1])
                continue
            # The parity of a hash: a section lands on the same side wherever it is repeated.
            yield text, "topics", section, _number(section) % 2 == 0


def _docstrings() -> Iterator[_Paragraph]:
    """Yield the paragraphs of the standard library's docstrings, file by file."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in _files(root):
        parts = path.relative_to(root).parts
        package = parts[0].removesuffix(".py")
        if package not in sys.stdlib_module_names:
            continue  # something that this machine added
        try:
            code = path.read_text(encoding="utf-8")
            tree = ast.parse(code if '"""' in code or "'''" in code else "")
        except (OSError, ValueError, SyntaxError):
            continue  # a file that is not plain Python has no docstring for us
        for doc in _docs(tree):
            for text in _blocks(doc):
                yield text, "docstrings", "/".join(parts), package in SET_ASIDE


def _files(root: Path) -> Iterator[Path]:
    """Yield the Python files under a folder, in order, without entering what is skipped."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - _SKIP)
        yield from (Path(folder, name) for name in sorted(set(files) - _SKIP) if name[-3:] == ".py")


def _docs(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module, class or function and of what it contains."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if isinstance(node, (ast.Module, *kinds)) and (doc := ast.get_docstring(node)):
        yield doc
    for child in getattr(node, "body", ()):
        if isinstance(child, (*kinds, ast.If, ast.Try)):
            yield from _docs(child)


def _blocks(text: str) -> Iterator[str]:
    """Yield the blocks between blank lines and at bullets, without their common indentation."""
    for block in re.split(r"\n\s*\n", text.expandtabs()):
        for item in re.split(r"\n(?=\s*[*\-+] +\S)", "\n" + block):
            if item.strip():
                yield inspect.cleandoc(re.sub(r"^(\s*)[*\-+] ", r"\1  ", item.strip("\n")))


_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": " - "})
# ``code``, `code`, *stress*, :class:`name`, and a quoted single word, which is code as a rule.
_MARKUP = (
    (re.compile(r":[a-z:]+:`~?([^`]+)`"), r"\1"),
    (re.compile(r"(`{1,2})([^`]+)\1"), r"\2"),
    (re.compile(r"(?<!\w)(\*{1,2}|_)(\w[^*_]*)\1(?!\w)"), r"\2"),
    (re.compile(r"(?<![\w\"'])([\"'])([^\s\"']+)\1(?![\w\"'])"), r"\2"),
)
_MAX_MARKED = 2
_END = re.compile(r"(?<=[.?!])\s+(?=\"?\(?[A-Z])")
# Marks that prose does not have: empty brackets, marks in a row, a point before a word.
_ODD = re.compile(r"\(\)|\"\"|[.,;:?!]{2}|[ (\"][.,;:?!]")
_NOTE = re.compile(r"(?:New|Changed|Added|Deprecated|Removed) (?:in|since) version ")
_NO_END = re.compile(r"(?:\b[A-Za-z]|\b(?:etc|vs|cf|approx|incl))\.$")
_SENTENCE = re.compile(r"[A-Z\"(][A-Za-z0-9 ,.;:?!'\"()\-]*[.?!]\)?")
_WORD = re.compile(r"[A-Z]?[a-z]+(?:['-][A-Za-z]?[a-z]+)*|[A-Z]{1,6}|\d{1,4}|\d\.\d{1,2}")
_FUNCTION_WORDS = set(LISTS["function_words"].split())


def _cut(paragraph: str) -> Iterator[str]:
    """Yield passages of one to three consecutive natural sentences, 8 to 45 words long."""
    lines = paragraph.splitlines()
    # Ragged indentation is code, a table or a list of definitions.
    if any(line[:1].isspace() for line in lines[1:]):
        return
    flat = " ".join(paragraph.translate(_QUOTES).split())
    flat = re.sub(r" -{2,3} ", " - ", flat)
    sentences = map(_natural, cut_sentences(flat, _END, _NO_END))
    # A rejected sentence breaks the run: passages stay consecutive.
    for kept, run in itertools.groupby(sentences, key=bool):
        if kept:
            yield from _pack(run)


def cut_sentences(text: str, end: re.Pattern[str], inner: re.Pattern[str]) -> list[str]:
    """Cut a text at each `end` of a sentence, but where what stands before it is `inner`."""
    found: list[str] = []
    start = 0
    for match in end.finditer(text):
        if not inner.search(text[start : match.start()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [*found, text[start:].strip()]


def _natural(sentence: str) -> str:
    """Return the sentence without markup if it is natural English of 4 to 40 words, else ""."""
    marked = 0
    for pattern, kept in _MARKUP:
        sentence, count = pattern.subn(kept, sentence)
        marked += count
    tokens = [token.strip('"(),.;:?!') for token in sentence.split() if token != "-"]
    common = sum(token.lower() in _FUNCTION_WORDS for token in tokens)
    natural = (
        marked <= _MAX_MARKED
        and _SENTENCE.fullmatch(sentence)
        and not _NOTE.match(sentence)
        and sentence.count("(") == sentence.count(")")
        and sentence.count('"') % 2 == 0
        and 4 <= len(tokens) <= 40
        and all(_WORD.fullmatch(t) or t in ("i.e", "e.g") for t in tokens)
        and sum(token[0].isdigit() for token in tokens) <= 2
        and not _ODD.search(sentence)
        and sum(c.isalpha() or c == " " for c in sentence) >= 0.9 * len(sentence)
        and common >= max(1, 0.15 * len(tokens))
    )
    return sentence if natural else ""


def _pack(sentences: Iterable[str]) -> Iterator[str]:
    """Join consecutive sentences by ones, twos and threes, as a hash of their text has it."""
    passage: list[str] = []
    words = wanted = 0
    for sentence in sentences:
        size = len(sentence.split())
        full = len(passage) >= wanted and words >= SHORTEST
        if passage and (full or words + size > LONGEST):
            if words >= SHORTEST:
                yield " ".join(passage)
            passage, words = [], 0
        if not passage:
            wanted = 1 + _number(sentence) % 3
        passage.append(sentence)
        words += size
    if words >= SHORTEST:
        yield " ".join(passage)
