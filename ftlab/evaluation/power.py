"""Two systems at a time: whether one is better, how sure that is, and how many examples it takes.

`pairs` compares every two systems in three views of the same paired scores:

- the paired bootstrap interval of the difference;
- wins, ties and losses, on a metric of right and wrong with the exact sign test, which is
  McNemar's test in its exact form (McNemar, 1947);
- for any other ratio, a permutation test: swap the two answers of random examples, 2,000 times,
  and see how often the metrics lie as far apart (Noreen, Computer-Intensive Methods for Testing
  Hypotheses, 1989). It tests the very figure that is reported.

Several pairs are several chances to be lucky, so p is corrected by Holm's method (A Simple
Sequentially Rejective Multiple Test Procedure, 1979). A difference counts as shown when its 95 %
interval leaves zero out and its corrected p is below 0.05.

>>> round(sign_test(9, 1), 6), sign_test(0, 0)
(0.021484, 1.0)
>>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
[0.03, 0.06, 0.06]

Power tells how many examples make a difference visible, and which one these examples could show.
For n paired examples whose differences have the standard deviation sd, the difference that a
two-sided test at level 5 % finds in four tries of five is

    smallest = (z(1 - 0.05 / 2) + z(0.8)) * sd / sqrt(n) = 2.80 sd / sqrt(n)

with z the normal quantile (Chow, Shao and Wang, Sample Size
Calculations in Clinical Research, 2008, section 3.1; for language models Card et al., With Little
Power Comes Great Responsibility, EMNLP 2020). Below some 30 examples, or where nearly all answers
agree, take it as a rough guide. Votes for one of two answers are counted exactly: `votes_needed`.

Where a metric is right or wrong, and only the second system is right on a share b of the examples
and only the first on a share w, sd = sqrt(b + w - (b - w)^2):

>>> sd = math.sqrt(0.2 + 0.1 - (0.2 - 0.1) ** 2)
>>> round(smallest_difference(200, sd), 3), examples_needed(0.05, sd)
(0.107, 911)
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import SAMPLES, Interval, edged, ratios
from ftlab.tasks import Ratio

ALPHA, POWER = 0.05, 0.8
_REACH = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(POWER)


def smallest_difference(n: int, sd: float) -> float:
    """Return the smallest true difference that n paired examples would show, in the metric's unit.

    `sd` is the standard deviation of the differences, example by example, in the metric's unit.
    """
    return _REACH * sd / math.sqrt(n)


def examples_needed(difference: float, sd: float) -> int:
    """Return how many paired examples a true difference needs to be shown; see above.

    >>> examples_needed(0.14, 0.5)
    101
    """
    return max(1, math.ceil((_REACH * sd / difference) ** 2))


def votes_needed(better: float) -> int:
    """Return the fewest votes that show, by the exact sign test, which of two is preferred.

    `better` is the true share of votes for it, between 0.5 and 1; ties are left out. With one vote
    more the share of tries may fall a little below 80 % again, since p moves in steps.

    >>> votes_needed(0.9)
    12
    """
    import numpy as np
    from scipy.stats import binom

    if not 0.5 < better < 1:
        raise ConfigError(f"better={better}: a share between 0.5 and 1 is wanted.")
    gap = 2 * better - 1
    # The exact test asks for more than the formula, never for half.
    votes = max(1, examples_needed(gap, math.sqrt(1 - gap**2)) // 2)
    while True:
        against = np.arange(votes + 1)
        shown = 2 * binom.cdf(against, votes, 0.5) < ALPHA
        if binom.pmf(against, votes, 1 - better)[shown].sum() >= POWER:
            return votes
        votes += 1


# Two systems at a time.

ASKED = (0.1, 0.05, 0.02, 0.01)
"""The differences for which a verdict says how many examples they need."""

_TIE = 1e-12


@dataclass(frozen=True)
class Pair:
    """What one metric says of two systems on the same examples."""

    a: str
    b: str
    difference: Interval  # b's figure less a's
    win: int  # examples that b did better
    tie: int
    loss: int
    test: str  # what made p: "McNemar, exact" or "permutation"
    p: float
    corrected: float  # p, corrected by Holm's method for all the pairs of the verdict
    smallest: float | None
    """The smallest true difference that this many examples show with 80 % power at 5 %, before
    correction; None where the answers never differ."""
    needed: dict[str, int]
    """Difference -> examples that it needs, likewise; empty where the answers never differ."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves zero out and the corrected p is below 0.05."""
        return not self.difference.covers_zero and self.corrected < ALPHA


def pairs(scores: Mapping[str, Sequence[Ratio]], *, seed: int = 0) -> list[Pair]:
    """Compare every two systems on one metric, the earlier one as `a`.

    Args:
        scores: system -> its ratio on each example, in the same order for all.
        seed: of the bootstrap and the permutations.

    Raises:
        ConfigError: the systems have different numbers of examples, or none.
    """
    import numpy as np

    names = list(scores)
    if len(names) < 2:
        return []
    values, draws = ratios([[r.num for r in scores[name]] for name in names],
                           [[r.den for r in scores[name]] for name in names],
                           samples=SAMPLES, seed=seed)  # fmt: skip
    n = len(scores[names[0]])
    found: list[Pair] = []
    for i, j in itertools.combinations(range(len(names)), 2):
        a, b = scores[names[i]], scores[names[j]]
        gaps = [y.value - x.value for x, y in zip(a, b, strict=True)]
        win, loss = sum(gap > _TIE for gap in gaps), sum(gap < -_TIE for gap in gaps)
        binary = all(r.den == 1 and r.num in (0, 1) for r in (*a, *b))
        spread = draws[:, j] - draws[:, i]
        spread = spread[~np.isnan(spread)]
        # A draw's standard deviation is that of the mean: times sqrt(n), that of one example.
        sd = float(np.std(spread)) * math.sqrt(n) if len(spread) else 0.0
        different = sd > _TIE
        found.append(Pair(
            names[i], names[j], edged(values[j] - values[i], draws[:, j] - draws[:, i], a, b),
            win, len(gaps) - win - loss, loss, "McNemar, exact" if binary else "permutation",
            p=sign_test(win, loss) if binary else permutation_test(a, b, seed=seed), corrected=1.0,
            smallest=smallest_difference(n, sd) if different else None,
            needed={str(gap): examples_needed(gap, sd) for gap in ASKED} if different else {},
        ))  # fmt: skip
    corrected = holm([pair.p for pair in found])
    return [replace(pair, corrected=p) for pair, p in zip(found, corrected, strict=True)]


def sign_test(wins: int, losses: int) -> float:
    """Return the two-sided exact p of so uneven a split, if either side were as likely; no ties."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def permutation_test(
    a: Sequence[Ratio], b: Sequence[Ratio], *, samples: int = SAMPLES, seed: int = 0
) -> float:
    """Return the two-sided p of the ratios' difference, by swapping answers at random.

    (1 + swaps at least as far apart) / (1 + samples), so that it is never below 1 / (1 + samples).

    >>> permutation_test([Ratio(1, 2)] * 9, [Ratio(1, 2)] * 9)
    1.0
    """
    import numpy as np

    first = np.array(a, dtype=float).T  # (2, n): numerators and denominators
    second = np.array(b, dtype=float).T
    rng = np.random.default_rng(seed)
    swaps = rng.integers(0, 2, size=(samples, first.shape[1])).astype(float)
    moved = (second - first) @ swaps.T  # (2, samples): what the swaps carry from b to a
    ends = (first.sum(axis=1, keepdims=True) + moved, second.sum(axis=1, keepdims=True) - moved)
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = np.abs(ends[1][0] / ends[1][1] - ends[0][0] / ends[0][1])
        (a_num, a_den), (b_num, b_den) = first.sum(axis=1), second.sum(axis=1)
        seen = abs(b_num / b_den - a_num / a_den)
    gaps = gaps[~np.isnan(gaps)]
    if math.isnan(seen) or not len(gaps):
        return 1.0
    return (1 + int((gaps >= seen - 1e-12).sum())) / (1 + len(gaps))


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in the order given."""
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = highest
    return corrected
