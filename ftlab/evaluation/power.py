"""How many examples make a difference visible, and which difference these examples could show.

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

import math
from statistics import NormalDist

from ftlab.errors import ConfigError

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
