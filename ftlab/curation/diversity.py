"""Diversity: which of the inputs that a model will meet a data file covers, and which not.

The *reference* is a set of records like those that the tuned model will be given. A record is a
point: TF-IDF of words, word pairs and letter triples, reduced by a truncated SVD (latent semantic
analysis, Deerwester et al. 1990), once for what is asked and once for what is answered. All is
fitted on the reference alone, and it is divided into areas by k-means.

    coverage   share of the reference points that have a record within the distance of their own
               fifth neighbour (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
               Generative Models"); `expected` is what as many records drawn like it would reach
    evenness   effective number of areas hit (exp of Shannon's entropy: Hill 1973), each weighed by
               its data against its share of the reference, over the number of areas
    score      sqrt(coverage * evenness), so that neither makes up for the other
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ftlab import data
from ftlab.curation.mixture import table
from ftlab.curation.near_duplicates import asked, instruction
from ftlab.errors import ConfigError, DataError

NEIGHBOURS = 5
LEAST = 20  # records of a reference; fewer say nothing of distances
SIZES = (64, 32)  # dimensions: of what is asked, of what is answered
COMMON = 0.6  # a term in more than this share of the reference is scaffolding
EMPTY, THIN = 0.1, 0.5  # of an area's share of the reference


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

    @property
    def state(self) -> str:
        """Whether the data is there: "empty", "thin" or "hit"."""
        ratio = self.data_share / self.share
        return "empty" if ratio < EMPTY else "thin" if ratio < THIN else "hit"


@dataclass(frozen=True)
class Diversity:
    """What a data file covers of a reference; `print` shows it."""

    n: int
    reference: int
    """Records of the reference."""
    coverage: float
    expected: float
    """The coverage of as many records drawn like the reference."""
    evenness: float
    """1 where all areas are hit in proportion."""
    beside: float
    """Share of the data that is near nothing in the reference."""
    areas: tuple[Area, ...]
    """The empty ones first, then by how much of the reference is missed there."""

    @property
    def score(self) -> float:
        """The square root of coverage times evenness, 0 to 1."""
        return math.sqrt(self.coverage * self.evenness)

    def to_json(self) -> str:
        """Return the figures and the areas as JSON."""
        areas = [{**asdict(area), "state": area.state} for area in self.areas]
        return json.dumps({**asdict(self), "score": self.score, "areas": areas})

    def __str__(self) -> str:
        rows = [
            [", ".join(a.terms) + (f" ({a.state})" if a.state != "hit" else ""), f"{a.share:.0%}",
             f"{a.data_share:.0%}", f"{a.coverage:.0%}"] for a in self.areas
        ]  # fmt: skip
        missed = [f"  {' '.join(a.missed[0].split())[:70]}" for a in self.areas if a.missed]
        return "\n".join([
            f"{self.n:,} records against {self.reference:,}: score {self.score:.2f}",
            f"coverage {self.coverage:.2f} (as many drawn like the reference: "
            f"{self.expected:.2f}), evenness {self.evenness:.2f}",
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
    from scipy.stats import entropy
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
    head = instruction([asked(record) for record in reference])
    there, here = _points(reference, records, head, seed)
    different = len(np.unique(there.round(6), axis=0))
    if different < 2:
        raise DataError("All records of the reference are the same. Give a more varied one.")
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(there)
    radii = near.kneighbors(there)[0][:, -1] + 1e-6  # the first neighbour is the point itself
    reach = NearestNeighbors(n_neighbors=1).fit(here).kneighbors(there)[0][:, 0]
    covered = reach <= radii
    away, nearest = near.kneighbors(here, n_neighbors=1)

    k = min(areas, different, max(2, len(reference) // 10))
    clusters = KMeans(k, n_init=4, random_state=seed).fit(there)
    area_of = clusters.labels_
    shares = np.bincount(area_of, minlength=k) / len(reference)
    hit = np.bincount(clusters.predict(here), minlength=k) / len(records)
    texts = [asked(record).removeprefix(head) for record in reference]
    names = _terms([f"{t} {data.answer(r)}" for t, r in zip(texts, reference, strict=True)],
                   area_of, k)  # fmt: skip
    found = []
    for i in range(k):
        missed = np.flatnonzero((area_of == i) & ~covered)
        middle = np.linalg.norm(there[missed] - clusters.cluster_centers_[i], axis=1)
        typical = tuple(texts[j] for j in missed[np.argsort(middle, kind="stable")][:3])
        share = float(covered[area_of == i].mean())
        found.append(Area(names[i], float(shares[i]), float(hit[i]), share, typical))
    found.sort(key=lambda area: (area.state != "empty", -area.share * (1 - area.coverage)))
    return Diversity(
        n=len(records),
        reference=len(reference),
        coverage=float(covered.mean()),
        expected=expected_coverage(len(records), len(reference)),
        evenness=float(np.exp(entropy(hit / shares)) / k),
        beside=float((away > radii[nearest]).mean()),
        areas=tuple(found),
    )


def _points(
    reference: Sequence[data.Row], records: Sequence[data.Row], head: str, seed: int
) -> tuple[Any, Any]:
    """Return a point for each record of both, (records, dimensions), each of length 1 or 0."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union
    from sklearn.preprocessing import normalize

    how: Any = {"sublinear_tf": True, "max_df": COMMON, "min_df": 2, "max_features": 20_000}
    blocks = []
    for text, size in zip((lambda r: asked(r).removeprefix(head), data.answer), SIZES, strict=True):
        vectors = make_union(
            TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **how),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), **how),
        )
        try:
            known = vectors.fit_transform([text(record) for record in reference])
        except ValueError:  # no term tells the texts apart
            continue
        svd = TruncatedSVD(min(size, known.shape[1], len(reference) - 1), random_state=seed)
        there = svd.fit_transform(known)
        here = svd.transform(vectors.transform([text(record) for record in records]))
        blocks.append([normalize(np.where(np.abs(x) < 1e-9, 0, x)) for x in (there, here)])
    if not blocks:
        return np.zeros((len(reference), 1)), np.zeros((len(records), 1))
    there, here = (normalize(np.hstack(parts)) for parts in zip(*blocks, strict=True))
    return there, here


def _terms(texts: list[str], area_of: Any, k: int) -> list[tuple[str, ...]]:
    """Name each area by four terms that its texts have more of than all have."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, max_df=COMMON, token_pattern=r"[^\W\d_]{3,}")
    try:
        matrix = words.fit_transform(texts)
    except ValueError:  # texts of figures and marks
        return [(f"area {number + 1}",) for number in range(k)]
    names, overall = words.get_feature_names_out(), np.asarray(matrix.mean(axis=0))[0]
    found = []
    for number in range(k):
        more = np.asarray(matrix[area_of == number].mean(axis=0))[0] - overall
        best = np.argsort(-more, kind="stable")[:4]
        found.append(tuple(str(names[i]) for i in best if more[i] > 0) or (f"area {number + 1}",))
    return found
