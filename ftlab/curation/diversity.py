"""Diversity: which of the inputs that a model will meet a data file covers, and which not.

The *reference* is a set of records like those that the tuned model will be given. A record is a
point: the TF-IDF of its words, reduced by a truncated SVD (latent semantic analysis, Deerwester et
al. 1990). All is fitted on the reference alone, which k-means divides into areas.

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
from ftlab.curation.mixture import table
from ftlab.curation.near_duplicates import asked
from ftlab.errors import ConfigError, DataError

NEIGHBOURS = 5
LEAST = 20  # records of a reference; fewer say nothing of distances
SIZE = 64  # dimensions
COMMON = 0.6  # a word in more than this share of the reference is scaffolding


@dataclass(frozen=True)
class Area:
    """A part of the reference whose records resemble each other; shares are from 0 to 1."""

    terms: tuple[str, ...]
    """What its records say more often than others."""
    share: float
    """Of the reference."""
    data_share: float
    coverage: float
    """Of its reference points."""
    missed: tuple[str, ...]
    """Inputs that no record is near, the most typical of the area first."""


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
    areas: tuple[Area, ...]
    """The one of which most is missed first."""

    def to_json(self) -> str:
        """Return the figures and the areas as JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        rows = [[", ".join(a.terms), f"{a.share:.0%}", f"{a.data_share:.0%}", f"{a.coverage:.0%}"]
                for a in self.areas]  # fmt: skip
        missed = [f"  {' '.join(a.missed[0].split())[:70]}" for a in self.areas if a.missed]
        return "\n".join([
            f"{self.n:,} records cover {self.coverage:.2f} of {self.reference:,} (as many drawn "
            f"like the reference: {self.expected:.2f})",
            f"{self.beside:.0%} of the records are near nothing in the reference",
            table(["area", "reference", "data", "covered"], rows),
            *(["Missed, for example:", *missed[:5]] if missed else []),
        ])  # fmt: skip


def expected_coverage(n: int, reference: int) -> float:
    """Return the coverage that `n` records drawn like the reference reach on average.

    Naeem et al. 2020, section 3.3: of all the points, none of the k nearest is a record.
    """
    none = math.prod((reference - i) / (n + reference - i) for i in range(1, NEIGHBOURS + 1))
    return 1 - none


def measure(
    records: Sequence[data.Row], reference: Sequence[data.Row], *, areas: int = 10, seed: int = 0
) -> Diversity:
    """Measure what records cover of a reference, which is divided into `areas` at most.

    Raises:
        DataError: no records, fewer than 20 to compare with, or all of them the same.
        ConfigError: fewer than two areas.
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.neighbors import NearestNeighbors

    if areas < 2:
        raise ConfigError(f"2 areas or more are wanted; got {areas}.")
    if not records:
        raise DataError("There are no records to measure.")
    if len(reference) < LEAST:
        raise DataError(
            f"A reference needs {LEAST} records or more to know which distances are small; got "
            f"{len(reference)}. Give a larger --reference, such as one from `ftlab synth`."
        )
    there, here, words = _points(reference, records, seed)
    different = len(np.unique(there.round(6), axis=0))
    if different < 2:
        raise DataError("All records of the reference are the same. Give a more varied one.")
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(there)
    radii = near.kneighbors(there)[0][:, -1] + 1e-6  # the first neighbour is the point itself
    reach = NearestNeighbors(n_neighbors=1).fit(here).kneighbors(there)[0][:, 0]
    covered = reach <= radii
    away, nearest = near.kneighbors(here, n_neighbors=1)

    clusters = KMeans(
        min(areas, different, max(2, len(reference) // 10)), n_init=4, random_state=seed
    ).fit(there)
    area_of, data_in = clusters.labels_, clusters.predict(here)
    found = []
    for i, center in enumerate(clusters.cluster_centers_):
        missed = np.flatnonzero((area_of == i) & ~covered)
        typical = missed[np.argsort(np.linalg.norm(there[missed] - center, axis=1), kind="stable")]
        found.append(Area(
            words(center), float((area_of == i).mean()), float((data_in == i).mean()),
            float(covered[area_of == i].mean()), tuple(asked(reference[j]) for j in typical[:3]),
        ))  # fmt: skip
    found.sort(key=lambda area: -area.share * (1 - area.coverage))
    expected = expected_coverage(len(records), len(reference))
    beside = float((away > radii[nearest]).mean())
    coverage = float(covered.mean())
    return Diversity(len(records), len(reference), coverage, expected, beside, tuple(found))


def _points(reference: Sequence[data.Row], records: Sequence[data.Row], seed: int) -> Any:
    """Return the points of both, (records, dimensions), and what names a point by its words."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    texts = lambda rows: [f"{asked(row)}\n{data.answer(row)}" for row in rows]
    vectors = TfidfVectorizer(sublinear_tf=True, max_df=COMMON, min_df=2, token_pattern=r"\w+")
    try:
        known = vectors.fit_transform(texts(reference))
    except ValueError:  # no word tells the texts apart
        return np.zeros((len(reference), 1)), np.zeros((len(records), 1)), None
    svd = TruncatedSVD(min(SIZE, known.shape[1], len(reference) - 1), random_state=seed)
    there = svd.fit_transform(known)
    here = svd.transform(vectors.transform(texts(records)))
    names = vectors.get_feature_names_out()

    def words(point: Any) -> tuple[str, ...]:
        weights = point @ svd.components_
        best = np.argsort(-weights, kind="stable")[:4]
        return tuple(str(names[i]) for i in best if weights[i] > 1e-9)

    return normalize(there.round(9)), normalize(here.round(9)), words
