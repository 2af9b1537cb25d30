"""Name what a customer's message is about: one of seven topics, in one word.

    in   yo my food box is 3 days late, milk is prob cheese by now
    out  delivery

The 600 messages were written for the course, in four hands (Ada's letters, Ben's chat, Cem's
office, Dot's second language) and of three kinds: plain, messy (slips, noise, a second matter that
is settled) and hostile (with an order to the model that reads it). The topic is that of what is
still open, not of what is mentioned.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any

from ftlab import data
from ftlab.errors import DataError
from ftlab.tasks import Ratio, asking, digest, marks, sample, sizes

TOPICS = ("billing", "bug", "cancellation", "delivery", "feature", "login", "refund")
SYSTEM = f"Name the topic of the message: {', '.join(TOPICS[:-1])} or {TOPICS[-1]}."
prompt = functools.partial(asking, SYSTEM)
FILE = "tickets.jsonl"
SIZES = sizes(FILE)


def parse(text: str) -> str:
    """Return the topic that the first line of an answer names first, or else that line."""
    line = (text.strip().splitlines() or [""])[0].strip()
    named = re.search(rf"\b({'|'.join(TOPICS)})\b", line, re.IGNORECASE)
    return named[1].lower() if named else line


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark an answer: is it the `right` topic, and is it `valid`, one of the seven at all?"""
    topic = parse(text)
    return marks(right=topic == data.answer(record), valid=topic in TOPICS)


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Draw `n` messages of a split; errors as of `ftlab.tasks.sample`."""
    return [
        data.example(
            row["text"], row["topic"], system=SYSTEM, id=digest(row["text"]), slice=row["kind"],
            group=digest(row["text"]), writer=row["writer"],
        ) for row in sample(FILE, n, seed, split)
    ]  # fmt: skip


def classifier() -> Any:
    """Return an untrained logistic regression over TF-IDF of words, word pairs and letters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return make_pipeline(make_union(words, letters), LogisticRegression(C=10, max_iter=1000))


def baseline(train_records: Sequence[data.Row], test_records: Sequence[data.Row]) -> list[str]:
    """Answer the test records with a `classifier` of the training records: the linear rival.

    Raises:
        DataError: the training records have one topic, or none.
    """
    topics = [data.answer(record) for record in train_records]
    if len(set(topics)) < 2:
        raise DataError(
            f"The {len(topics)} training records have {len(set(topics))} different topics; "
            "a classifier needs 2 or more. Give it more records."
        )
    texts, asked = (
        [data.prompt(record)[-1]["content"] for record in records]
        for records in (train_records, test_records)
    )
    known = classifier().fit(texts, topics)
    return [str(topic) for topic in known.predict(asked)] if asked else []
