"""What records ask: their inputs as texts, and the instruction that all of them begin with."""

from collections.abc import Sequence

from ftlab import data


def asked(record: data.Row) -> str:
    """Return what a record asks, without its system message."""
    return "\n".join(turn["content"] for turn in data.prompt(record) if turn["role"] != "system")


def instruction(texts: Sequence[str]) -> str:
    """Return the whole lines that all texts begin with; "" for fewer than two different texts.

    >>> instruction(["Sort this:\\n\\na", "Sort this:\\n\\nand"])
    'Sort this:\\n\\n'
    """
    first, last = min(texts, default=""), max(texts, default="")  # what these share, all share
    if first == last:
        return ""
    pairs = enumerate(zip(first, last, strict=False))
    end = next((i for i, (a, b) in pairs if a != b), len(first))
    return first[: first.rfind("\n", 0, end) + 1]
