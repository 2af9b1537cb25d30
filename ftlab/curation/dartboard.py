"""The dartboard: a picture of where data falls on the board of inputs that a model will meet.

    sector    an area of the board (a cluster of the reference), as wide as its share of it but for
              the smallest; areas that resemble each other are neighbours as far as a circle allows
    radius    how unusual an input is for its area: the middle of the board is the most typical; the
              four rings hold a quarter of the reference each, and equal areas of paper hold equal
              shares of it, so the pale points fill the disc evenly
    darts     the data. A bed (sector and ring) is shaded where nothing is near its reference points

A dart outside the wire is near nothing on the board.

>>> from ftlab import tasks
>>> from ftlab.curation.diversity import measure
>>> reference = tasks.get("kindness").examples(60, seed=0, split="test")
>>> result = measure(reference[:20], reference)
>>> draw(result).savefig("board.png")                                          # doctest: +SKIP
>>> describe(result)
'Dartboard of 20 records on 60: score ...'
"""

import itertools
from typing import TYPE_CHECKING, Any

from ftlab.curation.diversity import Diversity, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RINGS = 4
OUT = 1.06  # where darts land that are near nothing on the board
# Blue and orange differ for every kind of colour vision (Okabe and Ito 2008), and dark blue, pale
# orange and grey in lightness too; hatching and words say again what colour says.
DART, GREY, WARN = "#0072B2", "#5f6368", "#8f3d00"
PALE, OUTLINE, WIRE, MISSED, HATCH = "#c3c9cf", "#9aa2aa", "#8a929a", "#fbd9b5", "#e8a45c"
NARROW = 0.06  # of the circle: what a sector has at least, so that its label has room
SHADED = 0.5  # a bed with less of its reference covered is shaded, with none it is hatched
MOST = 1500  # points of a kind that are drawn; more make ink, not evidence


def places(result: Diversity) -> tuple[Any, Any, Any, Any]:
    """Return where the reference and the data are on the board.

    Returns:
        Angles (radians, clockwise from the top) and radii (1 is the wire), of the reference and of
        the data: four arrays.
    """
    import numpy as np

    made = result.board
    thrown = _nearest(made.centres, result.points)
    order = _ring(made.centres)
    edges = dict(zip(order, _edges(made, order), strict=True))
    known_angle, known_radius = np.zeros(made.size), np.zeros(made.size)
    angle, radius = np.zeros(result.n), np.zeros(result.n)
    for area, (left, right) in edges.items():
        mine, theirs = made.area_of == area, thrown == area
        here, there = made.points[mine] - made.centres[area], result.points[theirs]
        there = there - made.centres[area]
        axis = np.linalg.svd(here, full_matrices=False)[2][0]
        for angles, radii, where, points in (
            (known_angle, known_radius, mine, here),
            (angle, radius, theirs, there),
        ):
            across = 0.04 + 0.92 * _rank(here @ axis, points @ axis)
            angles[where] = left + (right - left) * across
            # A rank's square root fills equal areas equally; the very centre is left free.
            outward = _rank(np.linalg.norm(here, axis=1), np.linalg.norm(points, axis=1))
            radii[where] = np.sqrt(0.006 + 0.988 * outward)
    radius[~result.near] = OUT
    return known_angle, known_radius, angle, radius


def draw(result: Diversity, *, title: str | None = None) -> "Figure":
    """Draw the dartboard; `describe` says the same in words.

    Args:
        result: from `ftlab.curation.diversity.measure`.
        title: what stands above the picture.

    Returns:
        A figure of 1200 by 920 pixels, outside pyplot, so that no notebook shows it twice.
    """
    import matplotlib
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    made = result.board
    known_angle, known_radius, angle, radius = places(result)
    order = _ring(made.centres)
    areas = {number: area for number, area in zip(result.order, result.areas, strict=True)}
    rings = np.sqrt(np.linspace(0, 1, RINGS + 1))
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "hatch.linewidth": 1.2}):
        figure = Figure(figsize=(12, 9.2), dpi=100, facecolor="white")
        axes: Any = figure.add_axes((0.24, 0.14, 0.52, 0.52 * 12 / 9.2), projection="polar")
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        axes.set_ylim(0, OUT + 0.03)
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines["polar"].set_visible(False)
        for number, (left, right) in zip(order, _edges(made, order), strict=True):
            area = areas[number]
            for low, high in itertools.pairwise(rings):
                bed = (made.area_of == number) & (known_radius >= low) & (known_radius < high)
                share = result.covered[bed].mean() if bed.any() else 1
                if share < SHADED:
                    axes.bar(
                        (left + right) / 2, high - low, width=right - left, bottom=low,
                        color=MISSED, hatch="////" if share == 0 else None,
                        edgecolor=HATCH, linewidth=0, zorder=0,
                    )  # fmt: skip
            axes.plot([left, left], [0, 1], color=WIRE, linewidth=1.1, zorder=1)
            _label(axes, (left + right) / 2, area)
        whole = np.linspace(0, 2 * np.pi, 361)
        for ring in rings[1:]:
            edge = ring == rings[-1]
            axes.plot(whole, np.full(361, ring), color=GREY if edge else WIRE,
                      linewidth=2.4 if edge else 0.8, zorder=1)  # fmt: skip
        kept = _some(made.size)
        axes.scatter(known_angle[kept], known_radius[kept], s=13, color=PALE, zorder=2,
                     edgecolor=OUTLINE, linewidth=0.4)  # fmt: skip
        kept = _some(result.n)
        axes.scatter(angle[kept], radius[kept], s=26, color=DART, zorder=3,
                     edgecolor="white", linewidth=0.6)  # fmt: skip
        figure.text(0.025, 0.975, title or _title(result), fontsize=17, weight="bold", va="top")
        figure.text(0.025, 0.934, _subtitle(result), fontsize=12.5, color=GREY, va="top")
        handles: list[Any] = [
            Line2D([], [], marker="o", linestyle="", color=DART, markersize=7,
                   label=f"the data: {result.n:,} records"),
            Line2D([], [], marker="o", linestyle="", color=PALE, markeredgecolor=OUTLINE,
                   label=f"the board: {made.size:,} reference records"),
            Patch(facecolor=MISSED, label="less than half covered"),
            Patch(facecolor=MISSED, hatch="////", edgecolor=HATCH, linewidth=0,
                  label="nothing near"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 0.035),
                      columnspacing=1.6, handletextpad=0.5, fontsize=12, frameon=False)  # fmt: skip
        figure.text(
            0.5, 0.02, "middle: typical of its area   ·   rim: unusual   ·   each ring holds a "
            "quarter of the board   ·   width of a sector: its share",
            ha="center", fontsize=10.5, color=GREY,
        )  # fmt: skip
    return figure


def _label(axes: Any, angle: float, area: Any) -> None:
    """Write an area's terms and shares outside the wire, marked where the data is missing."""
    import numpy as np

    sine, cosine = np.sin(angle), np.cos(angle)
    side = "left" if sine > 0.06 else "right" if sine < -0.06 else "center"
    where = "bottom" if cosine > 0.75 else "top" if cosine < -0.75 else "center"
    empty = area.state == "empty"
    names = [", ".join(area.terms[:n]) for n in (3, 2)]
    name = next((name for name in names if len(name) <= 26), shorten(area.terms[0], 26))
    shares = f"data {area.data_share:.0%} · board {area.share:.0%}"
    mark = {"empty": "EMPTY\n", "thin": "thin: "}.get(area.state, "")
    axes.annotate(
        f"{mark}{name}\n{shares}", (angle, 1.09), ha=side, va=where, fontsize=11,
        linespacing=1.25, annotation_clip=False, color=WARN if mark else "black",
        weight="bold" if empty else "normal",
    )  # fmt: skip


def _title(result: Diversity) -> str:
    missed = sum(area.state == "empty" for area in result.areas)
    told = f"{missed} of {len(result.areas)} areas empty" if missed else "no area empty"
    return f"Diversity {result.score:.2f}: {told}"


def _subtitle(result: Diversity) -> str:
    return (
        f"coverage {result.coverage:.2f} (as many drawn like the board: {result.expected:.2f})"
        f"   ·   evenness {result.evenness:.2f}"
    )


def describe(result: Diversity) -> str:
    """Say in a sentence what the dartboard shows."""
    empty = [", ".join(a.terms[:3]) for a in result.areas if a.state == "empty"]
    told = f"empty: {'; '.join(empty)}" if empty else "no area is empty"
    return (
        f"Dartboard of {result.n} records on {result.reference}: score {result.score:.2f}, "
        f"coverage {result.coverage:.2f}, evenness {result.evenness:.2f}; {told}."
    )


def _ring(centres: Any) -> list[int]:
    """Return the areas in the order of their angle in the plane where they differ most."""
    import numpy as np

    middle = centres - centres.mean(axis=0)
    plane = middle @ np.linalg.svd(middle, full_matrices=False)[2][:2].T
    y = plane[:, 1] if plane.shape[1] > 1 else np.zeros(len(plane))
    return [int(i) for i in np.argsort(np.arctan2(y, plane[:, 0]), kind="stable")]


def _edges(made: Any, order: list[int]) -> list[tuple[float, float]]:
    """Return where each area's sector begins and ends, in radians."""
    import numpy as np

    shares = np.bincount(made.area_of, minlength=len(order))[order] / made.size
    widths = np.maximum(shares, NARROW)
    ends = 2 * np.pi * np.cumsum(widths) / widths.sum()
    return [(float(a), float(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _nearest(centres: Any, points: Any) -> Any:
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(points, centres)


def _rank(known: Any, values: Any) -> Any:
    """Return the share of known values below each value, 0 to 1."""
    import numpy as np

    known = np.sort(known)
    low, high = (np.searchsorted(known, values, side=side) for side in ("left", "right"))
    return np.clip((low + high - 1) / 2 / max(len(known) - 1, 1), 0, 1)


def _some(n: int) -> Any:
    """Return the numbers of the points to draw: all, or an even selection."""
    import numpy as np

    return np.unique(np.linspace(0, n - 1, min(n, MOST)).astype(int))
