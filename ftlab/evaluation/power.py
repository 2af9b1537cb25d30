"""How many examples make a difference visible, and which difference these examples could show.

For n paired examples whose differences have the standard deviation sd, the difference that a
two-sided test at level alpha finds in a share `power` of all tries is

    smallest = (z(1 - alpha / 2) + z(power)) * sd / sqrt(n)

with z the normal quantile: 2.80 sd / sqrt(n) at 5 % and 80 % (Chow, Shao and Wang, Sample Size
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


def smallest_difference(n: int, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest true difference that n paired examples would show, in the metric's unit.

    Args:
        n: paired examples.
        sd: standard deviation of the differences, example by example, in the metric's unit.
        power: the share of tries in which it is to be found.
        alpha: the share of tries in which a difference may be claimed where there is none.

    Raises:
        ConfigError: a value out of range.
    """
    if n < 1:
        raise ConfigError(f"n={n}: at least one example is wanted.")
    return _reach(sd, power, alpha) / math.sqrt(n)


def examples_needed(
    difference: float, sd: float, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Return how many paired examples a true difference needs to be shown; see above.

    >>> examples_needed(0.14, 0.5)
    101
    """
    if not abs(difference) > 0:
        raise ConfigError(f"difference={difference}: a difference other than zero is wanted.")
    return max(1, math.ceil((_reach(sd, power, alpha) / difference) ** 2))


def votes_needed(better: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return the fewest votes that show, by the exact sign test, which of two is preferred.

    `better` is the true share of votes for it, between 0.5 and 1; ties are left out. With one vote
    more the share of tries may fall a little below `power` again, since p moves in steps.

    >>> votes_needed(0.9)
    12
    """
    if not 0.5 < better < 1:
        raise ConfigError(f"better={better}: a share between 0.5 and 1 is wanted.")
    gap = 2 * better - 1
    about = examples_needed(gap, math.sqrt(1 - gap**2), power=power, alpha=alpha)
    votes = max(1, about // 2)  # the exact test asks for more than the formula, never for half
    while _shown(votes, better, alpha) < power:
        votes += 1
    return votes


def _shown(votes: int, better: float, alpha: float) -> float:
    """Return how often the sign test of so many votes says that the better one is preferred."""
    import numpy as np
    from scipy.stats import binom

    against = np.arange(votes + 1)
    shown = 2 * binom.cdf(against, votes, 0.5) < alpha
    return float(binom.pmf(against, votes, 1 - better)[shown].sum())


def _reach(sd: float, power: float, alpha: float) -> float:
    if not (0 < power < 1 and 0 < alpha < 1 and sd >= 0 and math.isfinite(sd)):
        raise ConfigError(
            f"sd={sd}, power={power}, alpha={alpha}: an sd of 0 or more, and shares between 0 and "
            "1 such as 0.8 and 0.05, are wanted."
        )
    z = NormalDist().inv_cdf
    return (z(1 - alpha / 2) + z(power)) * sd
