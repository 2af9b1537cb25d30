"""Diversity: how much of the board of inputs that a model will meet a data file hits.

    200 tickets of one intent    coverage 0.08   evenness 0.10   score 0.09
    200 tickets of ten intents   coverage 0.70   evenness 1.00   score 0.84
                                     (triage, both on one board of 500 test tickets)

The board is a *reference*: records like those that the tuned model will be given. A record is a
point: TF-IDF of words, word pairs and letter triples, reduced by a truncated SVD (latent semantic
analysis, Deerwester et al. 1990), one block for what is asked and one for what is answered, because
two tickets that share their small talk and want different answers are not near each other. All is
fitted on the reference alone, so that any number of data files can be measured on one board.

    coverage   share of reference points that have a record within the distance of their own k-th
               nearest neighbour on the board (Naeem et al. 2020, "Reliable Fidelity and Diversity
               Metrics for Generative Models"; their k, 5)
    evenness   effective number of areas hit (exp of Shannon's entropy: Hill 1973, of order 1) over
               the number of areas; each area is weighed by its data against its share of the board
    score      sqrt(coverage * evenness): the geometric mean, so that neither makes up for the other

Coverage grows with the number of records; compare files of one size, or each with `expected`, what
as many records drawn like the reference would reach.

>>> from ftlab import data
>>> asked = [f"{verb} {n} {noun}" for n in range(9) for verb, noun in
...          (("buy", "red apples"), ("sell", "old bikes"), ("paint", "tall doors"))]
>>> reference = [data.example(text, text.split()[0]) for text in asked]
>>> spread = measure(reference[:9], reference)
>>> lopsided = measure(reference[::3], reference)
>>> spread.score > lopsided.score
True
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftlab import data
from ftlab.curation.inputs import asked, instruction
from ftlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.table import Table

NEIGHBOURS = 5
LEAST = 20  # records of a board; fewer say nothing of distances
SIZES = {"asked": 64, "answered": 32}  # dimensions of each block of the embedding
COMMON = 0.9  # a term in more than this share of the reference is scaffolding and does not count
EMPTY, THIN = 0.1, 0.5  # times its share of the board that an area's share of the data is below
Encode = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Area:
    """A region of the board: a cluster of the reference."""

    terms: tuple[str, ...]
    """What its records say more often than others."""
    share: float
    """Of the reference."""
    data_share: float
    """Of the data."""
    coverage: float
    """Of its reference points."""
    missed: tuple[str, ...]
    """Inputs of the reference that no record is near, the most typical of the area first."""

    @property
    def state(self) -> str:
        """Whether the data is there: "empty", "thin" or "hit"."""
        ratio = self.data_share / self.share
        return "empty" if ratio < EMPTY else "thin" if ratio < THIN else "hit"


@dataclass(frozen=True)
class Board:
    """A reference, embedded and divided into areas; what data is measured on."""

    size: int
    encoders: dict[str, Encode] = field(repr=False)
    points: Any = field(repr=False)  # (size, dimensions), each of length 1
    radii: Any = field(repr=False)  # (size,), to the k-th nearest neighbour
    area_of: Any = field(repr=False)  # (size,)
    centres: Any = field(repr=False)  # (areas, dimensions)
    terms: tuple[tuple[str, ...], ...]
    inputs: tuple[str, ...] = field(repr=False)
    head: str = ""
    """The instruction that every input begins with; it tells nothing and is left out."""

    def embed(self, records: Sequence[data.Row]) -> Any:
        """Return one point a record, of shape (records, dimensions) and of length 1.

        A record without a single term of the reference is the origin, far from everything.
        """
        import numpy as np

        texts = _texts(records, self.head)
        blocks = [encode(texts[part]) for part, encode in self.encoders.items()]
        return _unit(np.hstack([_unit(block) for block in blocks]))


@dataclass(frozen=True)
class Diversity:
    """What one data file hits of a board, figure by figure."""

    n: int
    reference: int
    """Records of the reference."""
    score: float
    """sqrt(coverage * evenness), 0 to 1."""
    coverage: float
    """Share of the reference that some record is near."""
    expected: float
    """The coverage of as many records drawn like the reference."""
    evenness: float
    """Effective number of areas over the number of areas; 1 where all are hit alike."""
    on_board: float
    """Share of the data that is near some reference point; the rest is off the board."""
    areas: tuple[Area, ...]
    """The areas, the emptiest first (by how much of the board is missed there)."""
    board: Board = field(repr=False, compare=False)
    points: Any = field(repr=False, compare=False)  # (n, dimensions)
    covered: Any = field(repr=False, compare=False)  # (size of the board,) of bool
    near: Any = field(repr=False, compare=False)  # (n,) of bool: the record is on the board
    order: tuple[int, ...] = field(repr=False, compare=False)  # the board's number of each area

    def to_json(self) -> str:
        """Return the figures and the areas as JSON."""
        hidden = ("board", "points", "covered", "near", "order", "areas")
        plain = {k: v for k, v in self.__dict__.items() if k not in hidden}
        plain["areas"] = [{"state": area.state, **area.__dict__} for area in self.areas]
        return json.dumps(plain, indent=1)

    def sentences(self) -> str:
        """Say what the figures mean, a line each."""
        return "\n".join(
            [
                f"score {self.score:.2f} = sqrt(coverage {self.coverage:.2f} x evenness "
                f"{self.evenness:.2f}), on a board of {self.reference:,} records",
                f"coverage: {self.coverage:.0%} of the board has one of the {self.n:,} records "
                f"near; as many drawn like the board would reach {self.expected:.0%}",
                f"evenness: the data counts as {self.evenness * len(self.areas):.1f} of "
                f"{len(self.areas)} areas",
                f"{1 - self.on_board:.0%} of the records are near nothing on the board",
            ]
        )

    def table(self) -> "Table":
        """Return the areas as a rich table, the emptiest first."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE, show_lines=True)
        for name in ("area", "board", "data", "covered", "for example, missed"):
            table.add_column(name, justify="left" if name[0] in "af" else "right")
        for area in self.areas:
            label = ", ".join(area.terms)
            table.add_row(
                label if area.state == "hit" else f"{label} ({area.state})",
                f"{area.share:.0%}",
                f"{area.data_share:.0%}",
                f"{area.coverage:.0%}",
                shorten(area.missed[0], 60) if area.missed else "",
            )
        return table


def expected_coverage(n: int, reference: int) -> float:
    """Return the coverage that `n` records drawn like the reference reach on average.

    Naeem et al. 2020, section 3.3: of all the points, none of the k nearest is a record.

    >>> round(expected_coverage(1000, 1000), 2)
    0.97
    """
    none = math.prod((reference - i) / (n + reference - i) for i in range(1, NEIGHBOURS + 1))
    return 1 - none


def measure(records: Sequence[data.Row], reference: Sequence[data.Row] | Board) -> Diversity:
    """Measure what records hit of a board.

    Args:
        records: the data.
        reference: records like those that the model will meet, or the board made of them.

    Raises:
        DataError: no records, or too few to make a board.
    """
    import numpy as np

    if not records:
        raise DataError("There are no records to measure.")
    made = reference if isinstance(reference, Board) else board(reference)
    points = made.embed(records)
    k = len(made.centres)
    shares = np.bincount(made.area_of, minlength=k) / made.size
    thrown = np.bincount(_nearest(made.centres, points)[1], minlength=k) / len(records)
    reach, _ = _nearest(points, made.points)
    covered = reach <= made.radii
    near = _near_some(made, points)
    evenness = _effective(thrown / shares) / k
    coverage = float(covered.mean())
    areas = []
    for number in range(k):
        here = made.area_of == number
        missed = np.flatnonzero(here & ~covered)
        middle = ((made.points[missed] - made.centres[number]) ** 2).sum(axis=1)
        areas.append(
            Area(
                made.terms[number],
                float(shares[number]),
                float(thrown[number]),
                float(covered[here].mean()),
                tuple(made.inputs[i] for i in missed[np.argsort(middle, kind="stable")][:3]),
            )
        )
    lack = lambda i: areas[i].share * (1 - areas[i].coverage)
    order = sorted(range(k), key=lambda i: (areas[i].state != "empty", -lack(i)))
    return Diversity(
        n=len(records),
        reference=made.size,
        score=math.sqrt(coverage * evenness),
        coverage=coverage,
        expected=expected_coverage(len(records), made.size),
        evenness=evenness,
        on_board=float(near.mean()),
        areas=tuple(areas[i] for i in order),
        board=made,
        points=points,
        covered=covered,
        near=near,
        order=tuple(order),
    )


def board(reference: Sequence[data.Row], *, areas: int = 10, seed: int = 0) -> Board:
    """Make a board of reference records.

    Args:
        reference: at least 20 records like those that the model will meet.
        areas: most areas that the board is divided into (k-means).
        seed: of the reduction and the clusters.

    Raises:
        DataError: too few records, or all of them the same.
        ConfigError: fewer than two areas.
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.neighbors import NearestNeighbors

    if areas < 2:
        raise ConfigError(f"A board has 2 areas or more; got {areas}.")
    if len(reference) < LEAST:
        raise DataError(
            f"A board needs {LEAST} records or more to know which distances are small; got "
            f"{len(reference)}. Give a larger --reference, such as one from `ftlab synth`."
        )
    head = instruction([asked(record) for record in reference])
    texts = _texts(reference, head)
    encoders: dict[str, Encode] = {}
    for part, size in SIZES.items():
        encode = _tfidf(texts[part], size, seed)
        if encode is not None:
            encoders[part] = encode
    points = _unit(
        np.hstack([_unit(e(texts[p])) for p, e in encoders.items()] or [np.zeros((1, 1))])
    )
    different = len(np.unique(points.round(6), axis=0))
    if different < 2:
        raise DataError("All records of the board are the same. Give a more varied reference.")
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(points)
    radii = near.kneighbors(points)[0][:, -1] + 1e-6  # the first neighbour is the point itself
    k = min(areas, different, max(2, len(reference) // 10))
    clusters = KMeans(k, n_init=4, random_state=seed).fit(points)
    return Board(
        size=len(reference),
        encoders=encoders,
        points=points,
        radii=radii,
        area_of=clusters.labels_,
        centres=clusters.cluster_centers_,
        terms=_terms([" ".join(pair) for pair in zip(*texts.values())], clusters.labels_, k),  # noqa: B905
        inputs=tuple(texts["asked"]),
        head=head,
    )


def shorten(text: str, length: int) -> str:
    """Return the text in one line of at most `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


# Texts to points.


def _texts(records: Sequence[data.Row], head: str) -> dict[str, list[str]]:
    """Return what is asked, less the instruction `head`, and what is answered."""
    return {
        "asked": [asked(record).removeprefix(head) for record in records],
        "answered": [data.answer(record) for record in records],
    }


def _tfidf(texts: list[str], size: int, seed: int) -> Encode | None:
    """Fit TF-IDF and SVD; None where the texts have nothing that tells them apart."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    how: dict[str, Any] = {
        "sublinear_tf": True, "max_df": COMMON, "min_df": 2, "max_features": 20_000,
    }  # fmt: skip
    both = make_union(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **how),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), **how),
    )
    try:
        matrix = both.fit_transform(texts)
    except ValueError:  # no term is left, or no text has one
        return None
    svd = TruncatedSVD(min(size, matrix.shape[1], len(texts) - 1), random_state=seed).fit(matrix)
    return lambda more: svd.transform(both.transform(more))


def _terms(texts: list[str], area_of: Any, k: int, most: int = 4) -> tuple[tuple[str, ...], ...]:
    """Name each area by the terms that its texts have more of than all have."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, max_df=COMMON, token_pattern=r"[^\W\d_]{3,}")
    try:
        matrix = words.fit_transform(texts)
    except ValueError:  # texts of figures and marks
        return tuple((f"area {number + 1}",) for number in range(k))
    names = words.get_feature_names_out()
    overall = np.asarray(matrix.mean(axis=0))[0]
    found = []
    for number in range(k):
        more = np.asarray(matrix[area_of == number].mean(axis=0))[0] - overall
        chosen: list[str] = []
        for i in np.argsort(-more, kind="stable"):
            stem = re.sub(r"s$", "", names[i])
            if len(chosen) == most or more[i] <= 0:
                break
            if not any(stem == re.sub(r"s$", "", other) for other in chosen):
                chosen.append(str(names[i]))
        found.append(tuple(chosen) or (f"area {number + 1}",))
    return tuple(found)


# Distances.


def _unit(points: Any) -> Any:
    import numpy as np

    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(length < 1e-9, 1, length) * (length >= 1e-9)


def _nearest(points: Any, sought: Any) -> tuple[Any, Any]:
    """Return the distance to, and the number of, the point nearest to each one sought."""
    from sklearn.neighbors import NearestNeighbors

    distance, number = NearestNeighbors(n_neighbors=1).fit(points).kneighbors(sought)
    return distance[:, 0], number[:, 0]


def _near_some(made: Board, points: Any) -> Any:
    """Return of each point whether it is within the radius of some reference point."""
    import numpy as np
    from sklearn.metrics import pairwise_distances_chunked

    blocks = pairwise_distances_chunked(
        points, made.points, reduce_func=lambda block, _: (block <= made.radii).any(axis=1)
    )
    return np.concatenate(list(blocks))


def _effective(weights: Any) -> float:
    """Return exp of Shannon's entropy of weights that need not add up to 1.

    >>> import numpy as np
    >>> round(_effective(np.array([5.0, 5.0, 0.0])), 6)
    2.0
    """
    import numpy as np

    kept = weights[weights > 1e-12 * max(weights.max(), 1e-300)]
    if not len(kept):
        return 0.0
    p = kept / kept.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
