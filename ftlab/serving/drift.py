"""Drift: are the inputs of today those that the model was trained on?

A classifier is taught to tell traced inputs from training inputs. If it cannot (AUC 0.5), they are
alike; what it tells apart best is what people should look at first. This is the classifier
two-sample test (Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017).

>>> known = [f"Where is my parcel {i}? It is late." for i in range(40)]
>>> found = drift(known, [*known[:20], *[f"How do I delete account {i}?" for i in range(20)]])
>>> found.shown, all(place >= 20 for place in found.first[:10])
(True, True)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ftlab.errors import DataError
from ftlab.evaluation.intervals import Interval, wilson_interval, with_edges

FEWEST = 10  # texts of each kind
USUAL = 0.05  # of the training inputs themselves lie beyond the mark


@dataclass(frozen=True)
class Drift:
    """How well traced inputs are told from training inputs; `print` shows it."""

    auc: Interval
    """How often a traced input is found less like the training inputs than one of these; 0.5 is
    chance."""
    share: Interval
    """The share of traced inputs that are less like them than 95 % of their own kind."""
    windows: list[Interval]  # the same share over time, the oldest inputs first
    first: list[int]
    """Places of traced inputs, the least like the training inputs first: for people to look at."""

    @property
    def shown(self) -> bool:
        """Whether inputs have drifted, by the interval."""
        return self.auc.low > 0.5

    def __str__(self) -> str:
        told = "drift" if self.shown else "no drift shown"
        return (
            f"{told}: AUC {self.auc} (0.5 is chance). Unlike the training inputs: {self.share}, "
            f"where {USUAL} is usual; over time {', '.join(map(str, self.windows))}."
        )


def drift(
    training: Sequence[str], traced: Sequence[str], *, windows: int = 4, seed: int = 0
) -> Drift:
    """Compare inputs that a model gets, the oldest first, with inputs that it was trained on.

    The classifier is a logistic regression over TF-IDF of words and pairs of words, and marks only
    texts that it was not taught on (five folds). The interval is Hanley and McNeil's (1982).

    Args:
        training: inputs that the model was trained on.
        traced: inputs that it gets.
        windows: parts of equal size, over time.
        seed: of the folds.

    Raises:
        DataError: fewer than 10 of either, or no words in them.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    n, m = len(training), len(traced)
    if min(n, m) < FEWEST:
        raise DataError(f"{n} training inputs and {m} traced ones: {FEWEST} of each are wanted.")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    model = make_pipeline(words, LogisticRegression(class_weight="balanced", max_iter=1000))
    kinds = np.repeat([0, 1], [n, m])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    try:
        unlike = cross_val_predict(
            model, [*training, *traced], kinds, cv=folds, method="decision_function"
        )
    except ValueError as error:
        raise DataError(f"The inputs cannot be compared: {error}.") from None
    auc = float(roc_auc_score(kinds, unlike))
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (m - 1) * (first - auc**2) + (n - 1) * (second - auc**2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(max(0.0, spread) / (n * m))
    interval = Interval(auc, max(0.0, auc - half), min(1.0, auc + half))
    beyond = unlike[n:] > np.quantile(unlike[:n], 1 - USUAL)
    return Drift(
        with_edges(interval, min(n, m)),
        wilson_interval(int(beyond.sum()), m),
        [wilson_interval(int(part.sum()), len(part))
         for part in np.array_split(beyond, min(windows, m))],
        np.argsort(-unlike[n:], kind="stable").tolist(),
    )  # fmt: skip
