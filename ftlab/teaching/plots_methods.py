"""Pictures of the methods side by side: what each is worth and costs, and which layers it moved.

Both take what `ftlab.evaluation.side_by_side` gives, or `methods.json` read back.

>>> change = {"embeddings": 0.01, "0": 0.02, "1": 0.06}
>>> layers({"rows": [{"method": "full", "change": change}]})
Change of each layer, % of its weights: full: embeddings 1.0, 0 2.0, 1 6.0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.evaluation.one_method import BASE
from ftlab.teaching.plots import GREY, PALETTE, Picture, style

__all__ = ["layers", "overview"]

MARKERS = "osD^vP"


def overview(data: Mapping[str, Any]) -> Picture:
    """Draw score, minutes, memory, size on disk and forgetting, a row for each method.

    Args:
        data: what `side_by_side` gives.
    """
    from matplotlib.figure import Figure

    rows = [row for row in data["rows"] if "why" not in row]
    tuned = [row for row in rows if row["method"] != BASE]
    at = {row["method"]: place for place, row in enumerate(rows)}
    told = []
    with style():
        figure = Figure(figsize=(13, 1.8 + 0.42 * len(rows)), layout="constrained")
        panels = figure.subplots(1, 5, sharey=True, width_ratios=(1.6, 1, 1, 1, 1.4))
        for axes, key, label in (
            (panels[0], "score", f"{data['headline']}, 95 %"),
            (panels[4], "forgotten", "forgotten, bits per character"),
        ):
            for row in rows:
                if not (cell := row.get(key)):
                    continue
                value, low, high = cell["value"], cell["low"], cell["high"]
                axes.errorbar(
                    value, at[row["method"]],
                    xerr=[[max(0, value - low)], [max(0, high - value)]], fmt="o", capsize=4,
                    color=GREY if row["method"] == BASE else PALETTE[0],
                )  # fmt: skip
                told.append(f"{row['method']} {key} {value:.2f} ({low:.2f} to {high:.2f})")
            axes.set_xlabel(label)
        panels[4].axvline(0, color="black", linewidth=1)
        for axes, label, values, form in (
            (panels[1], "minutes", [row["seconds"] / 60 for row in tuned], "{:.2g}"),
            (panels[2], "memory (MB)", [_memory(row) for row in tuned], "{:,.0f}"),
            (panels[3], "on disk (MB)", [row["saved_bytes"] / 1e6 for row in tuned], "{:,.1f}"),
        ):
            axes.barh([at[row["method"]] for row in tuned], values, color=PALETTE[0], height=0.6)
            for row, value in zip(tuned, values, strict=True):
                said = form.format(value)
                axes.text(value, at[row["method"]], f" {said}", va="center", fontsize=11)
                told.append(f"{row['method']} {label} {said}")
            axes.set_xlabel(label)
            axes.margins(x=0.35)
            axes.set_xlim(left=0)
        for axes in panels:
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=4)
        panels[0].set_yticks(range(len(rows)), list(at))
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        panels[0].set_title(f"{data['model']} on {data['task']}, {data['held_out']} examples")
    return Picture(figure, f"The methods side by side: {'; '.join(told)}.")


def layers(data: Mapping[str, Any]) -> Picture:
    """Draw how far each method moved each layer, as a share of the layer's weights.

    Args:
        data: what `side_by_side` gives.
    """
    from matplotlib.figure import Figure

    rows = [row for row in data["rows"] if row.get("change")]
    places: Sequence[str] = list(rows[0]["change"]) if rows else []
    told = []
    with style():
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.add_subplot()
        for index, row in enumerate(rows):
            shares = [100 * share for share in row["change"].values()]
            axes.plot(
                range(len(places)), shares, label=row["method"], color=PALETTE[index % 7],
                marker=MARKERS[index % 6], linestyle=("-", "--")[index % 2],
            )  # fmt: skip
            said = ", ".join(f"{p} {share:.1f}" for p, share in zip(places, shares, strict=True))
            told.append(f"{row['method']}: {said}")
        axes.set_xticks(range(len(places)), places)
        if len(places) > 16:  # as of a large model: not every layer has room for its number
            axes.locator_params(axis="x", nbins=16)
        axes.set_ylim(bottom=0)
        axes.set(title="Which layers moved?", xlabel="layer", ylabel="change (% of its weights)")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture(figure, f"Change of each layer, % of its weights: {'; '.join(told)}.")


def _memory(row: Mapping[str, Any]) -> float:
    """Return megabytes: the weights and what training took beyond them."""
    return (row["memory"]["weights"] + row["memory"]["growth"]) / 1e6
