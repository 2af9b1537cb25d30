"""How a model writes, whatever it writes about: length, repetition, refusals.

A fine-tune that wins on its metric may have become wordy, go round in circles, or refuse. These
figures need no reference; the references' own are put beside them.

>>> found = behaviour(["I'm sorry, but I can't help with that.", "yes " * 40, ""])
>>> found["refusals"]["value"], found["empty"]["value"], found["words"]["longest"]
(0.333333333333, 0.333333333333, 40)
"""

import re
from collections.abc import Sequence
from typing import Any

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import bootstrap

_APOLOGY = r"(?:i['’]?m|i am|we are|we['’]re) (?:very |so |truly )?(?:sorry|afraid)"
_CANNOT = (
    r"(?:i|we) (?:can['’]?t|cannot|can not|won['’]?t|will not|am (?:un|not )able to|"
    r"['’]?m (?:un|not )able to|(?:must|have to) (?:decline|refuse))"
)
_REFUSAL = re.compile(
    rf"^\W*(?:{_APOLOGY}|sorry\b|as an ai\b|(?:unfortunately|regrettably),? {_CANNOT}|{_CANNOT})",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether an answer opens as refusals do; a rough sign, made of English phrases.

    >>> refuses("Unfortunately, I cannot do that."), refuses("I can do that.")
    (True, False)
    """
    return bool(_REFUSAL.match(text))


def repetition(text: str) -> tuple[int, int]:
    """Return how many of a text's runs of four words were there before, and how many runs it has.

    Their ratio is seq-rep-4 of Welleck et al., Neural Text Generation with Unlikelihood Training,
    2020: near 1 where a text goes round in circles.

    >>> repetition("a b c d a b c d")
    (1, 5)
    """
    words = text.split()
    runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return len(runs) - len(set(runs)), len(runs)


def behaviour(texts: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Describe raw answers by their form alone; `seed` is the bootstrap's.

    Returns:
        `words` between blanks (mean, shortest, quartiles, longest), and with their intervals the
        shares `repetition` (of runs of four words), `refusals` and `empty` (of answers).

    Raises:
        ConfigError: there are no answers.
    """
    import numpy as np

    if not texts:
        raise ConfigError("There are no answers to describe. Give at least one.")
    lengths = np.array([len(text.split()) for text in texts])
    low, middle, high = np.quantile(lengths, [0.25, 0.5, 0.75])
    runs = [repetition(text) for text in texts]
    ones = [1] * len(texts)
    shares = {
        "repetition": bootstrap([a for a, _ in runs], [b for _, b in runs], seed=seed),
        "refusals": bootstrap([refuses(text) for text in texts], ones, seed=seed),
        "empty": bootstrap([not text.strip() for text in texts], ones, seed=seed),
    }
    return {
        "words": {
            "mean": float(lengths.mean()), "shortest": int(lengths.min()), "quarter": float(low),
            "median": float(middle), "three_quarters": float(high), "longest": int(lengths.max()),
        },
        **{name: share._asdict() for name, share in shares.items()},
    }  # fmt: skip
