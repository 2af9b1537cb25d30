"""Diversity: which of the inputs that a model will meet a data file covers, and which not.

The *reference* is a set of records like those that the tuned model will be given. A record is a
point: the TF-IDF of its words, reduced by a truncated SVD (latent semantic analysis, Deerwester et
al. 1990), all fitted on the reference alone.

    coverage   share of the reference points that have a record within the distance of their own
               fifth neighbour (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
               Generative Models"); `expected` is what as many records drawn like it would reach
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ftlab import data
from ftlab.curation.near_duplicates import asked
from ftlab.errors import DataError

NEIGHBOURS = 5
LEAST = 20  # records of a reference; fewer say nothing of distances
SIZE = 64  # dimensions
COMMON = 0.6  # a word in more than this share of the reference is scaffolding
SHOWN = 10


@dataclass(frozen=True)
class Diversity:
    """What a data file covers of a reference; `print` shows it."""

    n: int
    reference: int
    """Records of the reference."""
    coverage: float
    expected: float
    """The coverage of as many records drawn like the reference."""
    beside: float
    """Share of the data that is near nothing in the reference."""
    missed: tuple[str, ...]
    """Inputs of the reference that no record is near, the farthest first."""

    def to_json(self) -> str:
        """Return the figures and what is missed as JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        return "\n".join([
            f"{self.n:,} records cover {self.coverage:.2f} of {self.reference:,} (as many drawn "
            f"like the reference: {self.expected:.2f})",
            f"{self.beside:.0%} of the records are near nothing in the reference",
            f"Missed: {len(self.missed):,}" + ", for example:" * bool(self.missed),
            *(f"  {' '.join(text.split())[:80]}" for text in self.missed[:SHOWN]),
        ])  # fmt: skip


def expected_coverage(n: int, reference: int) -> float:
    """Return the coverage that `n` records drawn like the reference reach on average.

    Naeem et al. 2020, section 3.3: of all the points, none of the k nearest is a record.
    """
    none = math.prod((reference - i) / (n + reference - i) for i in range(1, NEIGHBOURS + 1))
    return 1 - none


def measure(
    records: Sequence[data.Row], reference: Sequence[data.Row], *, seed: int = 0
) -> Diversity:
    """Measure what records cover of a reference; the seed is of the reduction.

    Raises:
        DataError: no records, fewer than 20 to compare with, or all of them the same.
    """
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    if not records:
        raise DataError("There are no records to measure.")
    if len(reference) < LEAST:
        raise DataError(
            f"A reference needs {LEAST} records or more to know which distances are small; got "
            f"{len(reference)}. Give a larger --reference, such as one from `ftlab synth`."
        )
    there, here = _points(reference, records, seed)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(there)
    radii = near.kneighbors(there)[0][:, -1] + 1e-6  # the first neighbour is the point itself
    reach = NearestNeighbors(n_neighbors=1).fit(here).kneighbors(there)[0][:, 0]
    away, nearest = near.kneighbors(here, n_neighbors=1)
    missed = [i for i in np.argsort(-reach, kind="stable") if reach[i] > radii[i]]
    return Diversity(
        n=len(records),
        reference=len(reference),
        coverage=float((reach <= radii).mean()),
        expected=expected_coverage(len(records), len(reference)),
        beside=float((away > radii[nearest]).mean()),
        missed=tuple(asked(reference[i]) for i in missed),
    )


def _points(reference: Sequence[data.Row], records: Sequence[data.Row], seed: int) -> Any:
    """Return a point for each record of both: (records, dimensions), each of length 1 or 0."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    texts = lambda rows: [f"{asked(row)}\n{data.answer(row)}" for row in rows]
    vectors = TfidfVectorizer(sublinear_tf=True, max_df=COMMON, min_df=2, token_pattern=r"\w+")
    try:
        known = vectors.fit_transform(texts(reference))
    except ValueError:
        raise DataError(
            "No word tells the records of the reference apart. Give a more varied one."
        ) from None
    svd = TruncatedSVD(min(SIZE, known.shape[1], len(reference) - 1), random_state=seed)
    there = svd.fit_transform(known)
    here = svd.transform(vectors.transform(texts(records)))
    return normalize(there.round(9)), normalize(here.round(9))
