"""The order of the examples: batches of like length, which waste no padding, in random order."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def by_length(lengths: Sequence[int], batch_size: int, rng: random.Random) -> list[int]:
    """Return an order of examples whose batches hold like lengths and come in random order.

    Transformers' own grouping goes from long to short within every 50 batches: the loss then runs
    in sawteeth, and short examples always come last.

    >>> order = by_length([5, 9, 5, 9], 2, random.Random(0))
    >>> [{5: "short", 9: "long"}[[5, 9, 5, 9][i]] for i in order] in (
    ...     ["short", "short", "long", "long"], ["long", "long", "short", "short"])
    True
    """
    shuffled = rng.sample(range(len(lengths)), len(lengths))  # so that equal lengths mix
    shuffled.sort(key=lambda i: lengths[i])
    batches = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    last = batches.pop() if batches and len(batches[-1]) < batch_size else []
    rng.shuffle(batches)
    return [i for batch in (*batches, last) for i in batch]


class Order:
    """A sampler of such batches: another order in each epoch."""

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, state: Callable[[], Any]
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.state = lengths, batch_size, seed, state

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed} {int(self.state().epoch or 0)}")
        yield from by_length(self.lengths, self.batch_size, rng)
