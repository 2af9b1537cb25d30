"""Pairs for the task style from any text of the user's own: a model says its sentences plainly.

The book's side is what a model is tuned to write, and it is the author's own; only the question is
made. The checks do not see whether the sense was kept: read some. Mind the licence of the text.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import Request
from ftlab.curation.synthesis import Rejected, Synthesis, run
from ftlab.endpoint import Teacher
from ftlab.errors import DataError
from ftlab.files import read_text
from ftlab.tasks import digest, first_paragraph, style
from ftlab.tasks.punctuation import sentences

ASK = (
    "Say this in plain English of today, in one short sentence. Keep every name and number. Answer "
    "with the sentence alone.\n\n{text}"
)
WORDS = (8, 45)  # in a sentence of the book


def pairs(
    book: str | os.PathLike[str], n: int, teacher: Teacher, out: str | os.PathLike[str], **how: Any
) -> Synthesis:
    """Make up to n pairs; each record's group is its paragraph, so that `split` keeps it together.

    Args:
        book: a text in UTF-8, its paragraphs apart by a blank line.
        n: pairs wanted; there are fewer where the book ends before.
        teacher: who says the sentences plainly; see `ftlab.endpoint.connect`.
        out: the JSONL file to make or to go on with; rejects and answers lie beside it.
        how: `concurrency` and `progress`, as for `ftlab.curation.synthesis.run`; its errors too.

    Raises:
        DataError: the book has no sentence of 8 to 45 words.
    """
    requests = []
    for paragraph in re.split(r"\n\s*\n", read_text(book)):
        flat = " ".join(paragraph.split())
        for text in sentences(flat):
            whole = text[:1].isupper() or text[:1] in "\"'“‘"
            long = WORDS[0] <= len(text.split()) <= WORDS[1]
            if whole and long and text.rstrip("\"'”’")[-1:] in ".!?":
                messages = [{"role": "user", "content": ASK.format(text=text)}]
                given = {"text": text, "group": digest(flat)}
                requests.append(Request(messages, about=len(text), given=given))
    if not requests:
        raise DataError(
            f"{book} has no sentence of {WORDS[0]} to {WORDS[1]} words that begins with a capital "
            "and ends with a mark. Give a text of whole sentences, in UTF-8."
        )

    def judge(request: Request, text: str) -> data.Row:
        plain, voiced = first_paragraph(text), request.given["text"]
        if why := fault(plain, voiced):
            raise Rejected(why)
        group = request.given["group"]
        return style.row(plain, voiced, slice="book", group=group, source=Path(book).name)

    return run(requests, teacher, judge, out, n=n, **how)


def fault(plain: str, voiced: str) -> str:
    """Return why a plain side is none; "" if nothing is found.

    >>> fault("She paid 3 pounds.", "It was Karen, and no other, who parted with 3 pounds.")
    'a name or a number is lost'
    """
    words, there, wanted = plain.split(), set(style.names(plain)), set(style.names(voiced))
    if len(words) < 3:
        return "too short"
    if len(words) > 1.3 * len(voiced.split()):
        return "too long"
    if difflib.SequenceMatcher(None, plain.lower(), voiced.lower()).ratio() > 0.9:
        return "a copy"
    if there != wanted:
        return f"a name or a number is {'lost' if wanted - there else 'invented'}"
    return "still in an old voice" if style.in_voice(plain) else ""
