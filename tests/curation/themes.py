"""A world in which the truth is known: themes that share no word."""

import random

from ftlab import data

THEMES = ("apple pear plum cherry", "wrench bolt hammer saw", "violin drum flute harp",
          "river lake ocean pond")  # fmt: skip


def themed(n, seed, themes=THEMES):
    """Return n records of six words, each of one theme."""
    rng = random.Random(seed)
    return [
        data.example(" ".join(rng.choices(rng.choice(themes).split(), k=6)), "ok") for _ in range(n)
    ]
