"""One line in a lesson decides a claim: `claims.record(42, gap)`, by a rule in `data/claims.yaml`.

    rule: {of: "Tuned minus base, in F1", none: holds, large: not seen here, margin: 0.2}

`none` is the verdict where the interval holds zero, `large` where all of it lies beyond the margin,
and between the two the claim *depends*. A rule with `below` gives that verdict where all of the
interval lies under zero.

>>> from ftlab.evaluation.intervals import Interval
>>> rule = {"of": "a gap", "none": "holds", "large": "not seen here", "margin": 0.2}
>>> [decide(rule, Interval(v, v - 0.1, v + 0.1)) for v in (0.0, 0.2, 0.5)]
['holds', 'depends', 'not seen here']
>>> decide({**rule, "below": "not seen here"}, Interval(-0.1, -0.15, -0.05))
'not seen here'
"""

from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError
from ftlab.teaching import ledger

if TYPE_CHECKING:
    from ftlab.evaluation.intervals import Interval

__all__ = ["decide", "record"]


def decide(rule: dict[str, Any], gap: "Interval") -> str:
    """Return a rule's verdict on a difference."""
    if gap.covers_zero:
        return rule["none"]
    if gap.high < 0 and "below" in rule:
        return rule["below"]
    return rule["large"] if min(abs(gap.low), abs(gap.high)) > rule["margin"] else "depends"


def record(number: int, gap: "Interval") -> None:
    """Decide a claim by its rule, show it, and keep it for the page of claims.

    Args:
        number: of the claim in `data/claims.yaml`.
        gap: the measured difference with its interval.

    Raises:
        ConfigError: there is no such claim, or it has no rule.
    """
    claim = ledger.claims().get(number)
    if claim is None or claim.rule is None:
        ruled = ", ".join(str(c.number) for c in ledger.claims().values() if c.rule)
        raise ConfigError(f"Claim {number} has no rule in data/claims.yaml. With a rule: {ruled}.")
    verdict = decide(claim.rule, gap)
    ledger.record(number, verdict, claim.rule["of"], gap.value, interval=(gap.low, gap.high))
