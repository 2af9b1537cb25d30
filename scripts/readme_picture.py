"""Draw the README's picture from lesson 00 as it ran: a sentence before and after, the verdict.

python scripts/readme_picture.py            writes docs/_static/first_fine_tune.png, README's alt
python scripts/readme_picture.py --check    exit 1 when the README says something else
"""

import json
import re
import sys
import textwrap
from pathlib import Path

from ftlab.errors import DataError
from ftlab.files import read_text, write_text
from ftlab.pictures import GREY, PALETTE, style
from ftlab.tasks.punctuation import strip

ROOT = Path(__file__).parents[1]
PICTURE = "docs/_static/first_fine_tune.png"
FIGURE = r"{} (\d\.\d\d) \((\d\.\d\d) to (\d\.\d\d)\)"
COLOURS = {"base": PALETTE[1], "base + 8 examples": PALETTE[5], "tuned": PALETTE[0]}


def found(notebook: Path) -> dict:
    """Return the sentence, both answers, and the F1 of each system, from the lesson's outputs.

    Raises:
        DataError: the lesson was not executed, or prints something else than this script reads.
    """
    texts = []
    for cell in json.loads(read_text(notebook))["cells"]:
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            texts.append("".join(text))
    shown = [text for text in texts if text.startswith("wanted: ")]
    bars = next((text for text in texts if text.startswith("Bars with intervals")), "")
    measured = {name: re.search(FIGURE.format(f"f1 {re.escape(name)}"), bars) for name in COLOURS}
    parts = [re.split(r"\n*(?=wanted: )", text)[-1] for text in shown]
    wanted = [re.search(r"wanted: +(.+)", part) for part in parts]
    before = [re.search(r"base: +(.+?)(?=\nbase \+)", part, re.S) for part in parts]
    after = [re.search(r"answered: +(.+)", part) for part in parts]
    if len(parts) != 2 or not all([*wanted, before[0], after[1], *measured.values()]):
        raise DataError(f"{notebook} prints no answers or verdict that can be read. Execute it.")
    number = re.search(r"On (\d+) held-out", "".join(texts))
    return {
        "asked": strip(wanted[0][1]),
        "before": textwrap.shorten(before[0][1], 180, placeholder=" …"),
        "after": after[1][1].strip(), "n": int(number[1]),
        "f1": {name: tuple(map(float, match.groups())) for name, match in measured.items()},
    }  # fmt: skip


def alt(told: dict) -> str:
    """Return the picture in words."""
    figures = ", ".join(f"{name} {f1:.2f} ({low:.2f} to {high:.2f})"
                        for name, (f1, low, high) in told["f1"].items())  # fmt: skip
    return (
        f"Asked to restore “{told['asked']}”, the base answers “{told['before']}”, the tuned "
        f"model “{told['after']}”. F1 on {told['n']} held-out passages, with 95 % intervals: "
        f"{figures}."
    )


def draw(told: dict, path: Path) -> None:
    """Draw the sentences on the left, the verdict on the right."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(12, 3.9), layout="constrained")
        words, axes = figure.subplots(1, 2, width_ratios=(1.25, 1))
        words.set_axis_off()
        words.set(xlim=(0, 1), ylim=(0, 1))
        y = 1.0
        told_in_order = {
            "asked to restore": (told["asked"], GREY),
            "before: the base answers": (told["before"], COLOURS["base"]),
            "after: the tuned model": (told["after"], COLOURS["tuned"]),
        }
        for head, (text, colour) in told_in_order.items():
            lines = textwrap.wrap(text, 58)
            words.text(0, y, head, color=colour, weight="bold", fontsize=13, va="top")
            words.text(0, y - 0.09, "\n".join(lines), fontsize=14, va="top", linespacing=1.25)
            y -= 0.17 + 0.1 * len(lines)
        for row, (name, (f1, low, high)) in enumerate(told["f1"].items()):
            axes.barh(row, f1, color=COLOURS[name], height=0.6)
            axes.errorbar(f1, row, xerr=[[f1 - low], [high - f1]], color="black", capsize=5)
            axes.text(high + 0.02, row, f"{f1:.2f}", va="center", fontsize=14)
        axes.set_yticks(range(len(told["f1"])), list(told["f1"]), fontsize=14)
        axes.set(xlim=(0, 1), xlabel="F1 of marks and capitals, 95 % intervals")
        axes.set_title(f"On {told['n']} held-out passages")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write picture and README, or check the README."""
    told = found(root / "notebooks" / "00_first_fine_tune.ipynb")
    readme = read_text(root / "README.md")
    line = re.compile(rf"!\[.*?\]\({re.escape(PICTURE)}\)", re.S)
    new = line.sub(lambda _: f"![{alt(told)}]({PICTURE})", readme)
    if "--check" in arguments:
        return int(new != readme or not line.search(readme) or not (root / PICTURE).exists())
    draw(told, root / PICTURE)
    write_text(root / "README.md", new, overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
