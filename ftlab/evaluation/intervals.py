"""How sure a figure is, and a difference: intervals of ratios of sums, alone and paired.

A metric is a ratio of sums over examples (see `ftlab.tasks.Ratio`). Its interval comes from drawing
the examples anew, with replacement, 2,000 times, and taking the middle 95 % of the metric: the
percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A
difference is computed within each draw, so that the luck of easy and hard examples cancels: the
paired bootstrap (Koehn, Statistical Significance Tests for Machine Translation Evaluation, 2004).

Where every example came out alike there is nothing to draw from: see `with_edges`.

The intervals speak of other examples like these. They know nothing of another training seed, and
they are too narrow where examples come in clumps that resemble each other.

>>> paired_bootstrap([0, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]).value
0.5
"""

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from ftlab.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

SAMPLES = 2000
LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Interval(NamedTuple):
    """A figure and where it would lie on other draws of records like these."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def covers_zero(self) -> bool:
        """Whether no difference is among the values that the interval allows (nan: yes)."""
        return not (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "–"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


UNKNOWN = Interval(math.nan, math.nan, math.nan)
"""The figure of a metric that has no case among the examples."""


def bootstrap(
    nums: Sequence[float], dens: Sequence[float] | None = None, *, samples: int = SAMPLES,
    seed: int = 0,
) -> Interval:  # fmt: skip
    """Return sum(nums) / sum(dens) with its percentile bootstrap interval.

    Args:
        nums: the numerator of each example.
        dens: the denominator of each example; 1 by default, so that the figure is the mean.
        samples: how many times the examples are drawn anew.
        seed: of the draws.

    Raises:
        ConfigError: the lengths differ, there is no example, or no sample.

    >>> bootstrap([1, 0, 1, 1]).value
    0.75
    """
    dens = [1] * len(nums) if dens is None else dens
    figures, draws = ratios([nums], [dens], samples=samples, seed=seed)
    return edged(figures[0], draws[:, 0], zip(nums, dens, strict=True))


def paired_bootstrap(
    a_nums: Sequence[float], a_dens: Sequence[float], b_nums: Sequence[float],
    b_dens: Sequence[float], *, samples: int = SAMPLES, seed: int = 0,
) -> Interval:  # fmt: skip
    """Return b's ratio less a's, over the same examples, with its interval.

    The arguments are those of `bootstrap`; position i is the same example in all four.

    >>> print(paired_bootstrap([0, 1] * 30, [1] * 60, [0, 1] * 30, [1] * 60))
    0.00 [-0.06, 0.06]
    """
    figures, draws = ratios([a_nums, b_nums], [a_dens, b_dens], samples=samples, seed=seed)
    rows = zip(a_nums, a_dens, strict=True), zip(b_nums, b_dens, strict=True)
    return edged(figures[1] - figures[0], draws[:, 1] - draws[:, 0], *rows)


def difference(
    a: Sequence[float], b: Sequence[float], *, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """Return b's mean less a's, with its interval: `paired_bootstrap` with denominators of 1.

    >>> difference([0, 1, 0, 1], [1, 1, 1, 1]).value
    0.5
    """
    return paired_bootstrap(a, [1] * len(a), b, [1] * len(b), samples=samples, seed=seed)


def read_ratios(runs: Iterable[str]) -> tuple[list[float], list[float]]:
    """Return the numerators and the denominators of each example, added up over the runs of a grid.

    Args:
        runs: a text each, "3/4 0/2 …": the same examples in the same order.

    Raises:
        ValueError: the runs have different numbers of examples, or a text is no ratio.

    >>> read_ratios(["1/2 0/3", "2/2 1/3"])
    ([3.0, 1.0], [4.0, 6.0])
    """
    pairs = [[pair.split("/") for pair in run.split()] for run in runs]
    examples = list(zip(*pairs, strict=True))
    nums, dens = ([sum(float(run[i]) for run in one) for one in examples] for i in (0, 1))
    return nums, dens


def edged(value: float, draws: "np.ndarray", *systems: Iterable[tuple[float, float]]) -> Interval:
    """Return the interval of one system's figure, or of two systems' difference, with edges.

    `draws` are the same figure of the examples drawn anew; each of `systems` gives the numerator
    and denominator of each example.
    """
    import numpy as np

    # A draw without a single case says nothing. Rounding keeps the difference of equals at zero,
    # whatever order a matrix product adds its terms in.
    value, draws = round(float(value), 12), np.round(draws[~np.isnan(draws)], 12)
    if math.isnan(value) or not len(draws):
        return UNKNOWN
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    known = [list(system) for system in systems]
    shares = all(0 <= num <= den for system in known for num, den in system)
    cases = min(sum(den > 0 for _, den in system) for system in known)
    least = 0 if len(systems) == 1 else -1
    found = Interval(value, float(low), float(high))
    return with_edges(found, cases, least=least) if shares else found


def ratios(
    nums: Sequence[Sequence[float]], dens: Sequence[Sequence[float]], *, samples: int, seed: int
) -> "tuple[np.ndarray, np.ndarray]":
    """Return the ratios of k metrics (k,) and those of the same draws of records (samples, k)."""
    import numpy as np

    lengths = sorted({len(row) for row in (*nums, *dens)})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ConfigError(
            f"The bootstrap got {lengths} values for the same examples. Give one numerator and "
            "one denominator for each example, and at least one example."
        )
    if samples < 1:
        raise ConfigError(f"samples={samples}: at least 1 is wanted, such as 2000.")
    n = lengths[0]
    parts = np.asarray([*nums, *dens], dtype=float).T  # (n, 2k)
    rng = np.random.default_rng(seed)
    sums = [parts.sum(axis=0, keepdims=True)]
    for start in range(0, samples, 250):  # in pieces: all counts at once could fill the memory
        size = min(250, samples - start)
        # How often each record is drawn: the same for every metric and every system.
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size)
        sums.append(counts @ parts)
    top, bottom = np.split(np.concatenate(sums), 2, axis=1)
    found = np.full_like(top, np.nan)
    np.divide(top, bottom, out=found, where=bottom != 0)
    return found[0], found[1:]


def with_edges(found: Interval, n: int, *, least: float = 0.0) -> Interval:
    """Widen the bootstrap's interval where every case came out alike.

    Drawing equal cases anew always gives the same, so that 0 of 10 would read 0.00 [0.00, 0.00]. Of
    what was seen in none of n cases, Wilson's interval allows a share of z² / (n + z²); it is put
    at either end. That is Wilson's interval for 0 or n of n, and Tango's for pairs that all come
    out alike (Equivalence Test and Confidence Interval for the Difference in Proportions, 1998).

    Args:
        found: the bootstrap's interval of a share, or of a difference of shares.
        n: examples with a case of it; 0 leaves the interval as it is.
        least: the lowest that a case can be: 0 for a share, -1 for a difference; the highest is 1.

    >>> print(with_edges(Interval(0.0, 0.0, 0.0), 10))
    0.00 [0.00, 0.28]
    """
    if not n or found.low != found.high:
        return found
    unseen = _Z**2 / (n + _Z**2)
    low, high = found.low - unseen * (found.low - least), found.high + unseen * (1 - found.high)
    return found._replace(low=low, high=high)


def wilson_interval(kept: float, n: int) -> Interval:
    """Return the share kept / n with Wilson's interval, which holds at 0 and at n too.

    Formula (4) of Wilson, Probable Inference, JASA 1927. `kept` may be a mean of shares times n;
    n = 0 gives an unknown figure.

    >>> wilson_interval(3, 6)
    Interval(value=0.5, low=0.187..., high=0.812..., level=0.95)
    """
    if n == 0:
        return UNKNOWN
    if not 0 <= kept <= n:
        raise ConfigError(f"kept={kept}, n={n}: kept must lie from 0 to n.")
    z, share = _Z, kept / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if kept == 0 else middle - half
    return Interval(share, low, 1.0 if kept == n else middle + half)
