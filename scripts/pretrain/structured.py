"""Text of our own making for ftlab-1m: structured files, logs, letters and plain turns.

Small models meet too little of JSON, YAML or a quoted e-mail in novels and source code. These
generators write such files from words and sentences drawn from the corpus, so that no two are
alike. None is a task of the course: no record is shown in two formats, nothing is extracted,
classified, corrected or rewritten. `turns` wraps two neighbouring paragraphs in the chat template,
so that its tokens are not strangers; quoted letters give practice in copying.
"""

import csv
import io
import json
import random
from collections.abc import Callable
from xml.etree import ElementTree

import yaml

NAMES = (
    "Ada", "Aino", "Alma", "Amir", "Ana", "Bao", "Bela", "Bruno", "Carmen", "Chidi", "Dara", "Elif",
    "Emeka", "Esther", "Farid", "Freya", "Gita", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Jun",
    "Kavya", "Kofi", "Lars", "Leila", "Mara", "Mateo", "Mina", "Nadia", "Nils", "Noor", "Olga",
    "Omar", "Pavel", "Petra", "Quinn", "Rosa", "Ravi", "Sana", "Sven", "Tala", "Tomas", "Uma",
    "Vera", "Wei", "Yara", "Yusuf", "Zoe",
)  # fmt: skip
LEVELS = ("DEBUG", "INFO", "INFO", "INFO", "WARNING", "ERROR")
VOWELS, CONSONANTS = ("a", "e", "i", "o", "u", "ai", "ou"), (*"bdfghjklmnprstvwz", "ch", "sh", "th")


def invented(rng: random.Random) -> str:
    """Return a name that no corpus holds: it can be copied, but not remembered."""
    syllables = [
        rng.choice(CONSONANTS) + rng.choice(VOWELS) + rng.choice(("", "", "n", "r", "s", "l"))
        for _ in range(rng.randrange(1, 4))
    ]
    return "".join(syllables).capitalize()


def with_names(rng: random.Random, paragraph: str) -> str:
    """Return the paragraph with its capitalised words inside sentences renamed, some at random."""
    renamed: dict[str, str] = {}
    out: list[str] = []
    for word in paragraph.split():
        inside = out and out[-1][-1].isalnum() and word[0].isupper() and len(word) > 2
        if word.isalpha() and (inside or rng.random() < 0.04):
            word = renamed.setdefault(word, invented(rng))
        out.append(word)
    return " ".join(out)


def value(rng: random.Random, words: list[str]) -> object:
    """Return a random scalar."""
    word = rng.choice(words)
    day = f"20{rng.randrange(100):02}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    return rng.choice([
        word, " ".join(rng.sample(words, 3)), rng.choice(NAMES), rng.randrange(10_000), day, None,
        round(rng.random() * 1000, 2), rng.random() < 0.5, f"{word}@{rng.choice(words)}.org",
    ])  # fmt: skip


def tree(rng: random.Random, words: list[str], depth: int = 0) -> object:
    """Return a random nested object of dicts, lists and scalars."""
    if depth == 3 or (depth and rng.random() < 0.6):
        return value(rng, words)
    if depth and rng.random() < 0.4:
        return [tree(rng, words, depth + 1) for _ in range(rng.randrange(1, 5))]
    keys = {"_".join(rng.sample(words, rng.choice((1, 1, 2)))) for _ in range(rng.randrange(2, 7))}
    return {key: tree(rng, words, depth + 1) for key in sorted(keys)}


def json_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A JSON document, pretty or compact, or a few JSON lines."""
    if rng.random() < 0.3:
        return "\n".join(json.dumps(tree(rng, words)) for _ in range(rng.randrange(2, 6)))
    return json.dumps(tree(rng, words), indent=rng.choice((None, 2, 4)))


def yaml_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A YAML document."""
    return yaml.safe_dump(tree(rng, words), sort_keys=False)


def xml_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """An XML document with attributes."""

    def element(depth: int) -> ElementTree.Element:
        node = ElementTree.Element(rng.choice(words))
        if rng.random() < 0.3:
            node.set(rng.choice(words), str(value(rng, words)))
        if depth == 3 or (depth and rng.random() < 0.5):
            node.text = str(value(rng, words))
        else:
            node.extend(element(depth + 1) for _ in range(rng.randrange(1, 5)))
        return node

    root = element(0)
    ElementTree.indent(root)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode")


def csv_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A CSV table of typed columns."""
    columns = [rng.randrange(4) for _ in range(rng.randrange(2, 6))]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=rng.choice(",,;|"), lineterminator="\n")
    writer.writerow(rng.sample(words, len(columns)))
    for row in range(rng.randrange(3, 15)):
        cells = (row + 1, rng.choice(NAMES), round(rng.random() * 500, 2), rng.choice(words))
        writer.writerow([cells[column] for column in columns])
    return out.getvalue().strip()


def log_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A program's log."""
    hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    modules, out = rng.sample(words, 3), []
    for _ in range(rng.randrange(4, 16)):
        second += rng.randrange(20)
        minute, second = (minute + second // 60) % 60, second % 60
        text = " ".join(rng.sample(words, rng.randrange(2, 6)))
        stamp = f"{hour:02}:{minute:02}:{second:02}"
        number = rng.randrange(500)
        out.append(f"{stamp} {rng.choice(LEVELS)} {rng.choice(modules)}: {text} ({number} ms)")
    return "\n".join(out)


def ini_file(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A configuration file with sections."""
    sections = []
    for name in rng.sample(words, rng.randrange(1, 4)):
        pairs = [f"{rng.choice(words)} = {value(rng, words)}" for _ in range(rng.randrange(2, 6))]
        sections.append("\n".join([f"[{name}]", *pairs]))
    return "\n\n".join(sections)


def letter(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """A letter, often with the message it answers quoted below."""
    sender, receiver = rng.sample(NAMES, 2)
    subject = " ".join(rng.sample(words, rng.randrange(2, 5))).capitalize()
    hello, bye = rng.choice(("Dear", "Hi", "Hello")), rng.choice(("Yours", "Best", "Regards"))
    body = with_names(rng, rng.choice(paragraphs))
    first = f"From: {sender}\nTo: {receiver}\nSubject: {subject}\n\n{hello} {receiver},\n\n{body}"
    first += f"\n\n{bye},\n{sender}"
    if rng.random() < 0.2:
        return first
    quoted = "\n".join("> " + line if line else ">" for line in first.splitlines())
    answer = with_names(rng, rng.choice(paragraphs))
    return (
        f"{first}\n\n---\n\nFrom: {receiver}\nTo: {sender}\nSubject: Re: {subject}\n\n"
        f"{hello} {sender},\n\n{answer}\n\n{bye},\n{receiver}\n\n{quoted}"
    )


def turns(rng: random.Random, words: list[str], paragraphs: list[str]) -> str:
    """Neighbouring paragraphs as turns of the chat template: no request, nothing answered."""
    start = rng.randrange(max(1, len(paragraphs) - 4))
    roles = ("user", "assistant") * rng.choice((1, 1, 1, 2))
    return "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for role, text in zip(roles, paragraphs[start:], strict=False)
    )


KINDS: tuple[tuple[Callable, float], ...] = (
    (json_file, 2), (yaml_file, 1.5), (xml_file, 1.5), (csv_file, 1), (log_file, 1),
    (ini_file, 0.5), (letter, 6), (turns, 4),
)  # fmt: skip


def generate(documents: list[dict], *, count: int, seed: int) -> list[dict]:
    """Write `count` structured documents with words and paragraphs of `documents`."""
    rng = random.Random(seed)
    sample = rng.sample(documents, min(300, len(documents)))
    paragraphs = [
        " ".join(p.split())
        for document in sample
        if document["source"] in ("prose", "docs", "speeches")
        for p in document["text"].split("\n\n")
        if 40 < len(p) < 400
    ]
    words = sorted({w.lower() for p in paragraphs for w in p.split() if w.isalpha() and len(w) > 2})
    makers, weights = zip(*KINDS, strict=True)
    result = []
    for index, maker in enumerate(rng.choices(makers, weights, k=count)):
        text = maker(rng, rng.sample(words, min(60, len(words))), paragraphs)
        split = "train" if index % 50 else "heldout"
        result.append({"source": "structured", "title": f"{maker.__name__} {index}",
                       "licence": "Apache-2.0", "split": split, "text": text})  # fmt: skip
    return result
