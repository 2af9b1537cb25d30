"""Find what a generated data set left behind: placeholders, run-on examples, unseen pages.

    in   Name a knot.\\n\\n<noinput>              placeholder_input
    out  <No Output>                             placeholder_output
    out  Blue.\\n##\\n7. Instruction: Add them.\\n7. Output: 5         two_in_one
    in   Summarise the page.\\n\\nhttps://example.com/a                unseen

Such lines came with the first sets that models wrote (Alpaca's among them), and with their copies.

>>> leftovers("Name a knot.\\n\\nN/A", ["A bowline."])
{'placeholder_input': 'N/A'}
"""

from collections.abc import Sequence

from ftlab.curation.checks_private import PATTERNS


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
