"""Find what a generated data set left behind: placeholders, run-on examples, unseen pages.

    in   Name a knot.\\n\\n<noinput>              placeholder_input
    out  <No Output>                             placeholder_output
    out  Blue.\\n##\\n7. Instruction: Add them.\\n7. Output: 5         two_in_one
    in   Summarise the page.\\n\\nhttps://example.com/a                unseen

Such lines came with the first sets that models wrote (Alpaca's among them), and with their copies.

>>> leftovers("Name a knot.\\n\\nN/A", ["A bowline."])
{'placeholder_input': 'N/A'}
"""

import re
from collections.abc import Sequence

_NO_INPUT = re.compile(
    r"(?:input:?)?\s*[<\[(]?\s*"
    r"(?:no[ _-]?input|n/?a|none|null|nil|empty|not applicable)\s*[>\])]?\.?",
    re.IGNORECASE,
)
_NO_OUTPUT = re.compile(
    r"[<\[(]?\s*(?:no[ _-]?(?:output|answer|response)|n/a|to[ -]?do|tbd"
    r"|(?:your|insert|enter)\b[^<>\[\]()\n]{0,20}\b(?:output|answer|response|text)(?: here)?)"
    r"\s*[>\])]?\.?",
    re.IGNORECASE,
)
_TURN = r"^[^\w\n]{0,9}(?:\d{1,4}[^\w\n]{1,4})?"
_ASKS = re.compile(rf"{_TURN}(?:instruction|human|user)\s*\d*:", re.IGNORECASE | re.MULTILINE)
_SAYS = re.compile(rf"{_TURN}(?:output|response|assistant)\s*\d*:", re.IGNORECASE | re.MULTILINE)
_ATTACHED = re.compile(
    r"[<\[(][^<>\[\]()\n]{0,40}\b(?:picture|image|photo|screenshot|video|audio|attachment|attached)"
    r"\b[^<>\[\]()\n]{0,40}[>\])]",
    re.IGNORECASE,
)
_PAGE = re.compile(
    r"\b(?:summar\w+|describe|read|rewrite|paraphrase|translate|analy[sz]e|article|page|web ?site"
    r"|blog|post|picture|image|photo|video)\b",
    re.IGNORECASE,
)


def leftovers(asked: str, answers: Sequence[str]) -> dict[str, str]:
    """Return the checks that a record fails, each with an example.

    Args:
        asked: all that is asked.
        answers: the answers that are learned.
    """
    found = {}
    before, _, last = asked.rstrip().rpartition("\n")
    last = last.strip()
    if before and len(last) <= 30 and _NO_INPUT.fullmatch(last):
        found["placeholder_input"] = last
    alone = last.startswith(("http://", "https://")) and len(last.split()) == 1
    if (alone and _PAGE.search(before)) or _ATTACHED.fullmatch(last):
        found["unseen"] = last
    for answer in answers:
        if len(answer) <= 60 and _NO_OUTPUT.fullmatch(answer.strip()):
            found["placeholder_output"] = answer.strip()
        match = _ASKS.search(answer, 1) if ":" in answer else None
        if match and _SAYS.search(answer, match.end()):
            found["two_in_one"] = match.group().strip()
    return found
