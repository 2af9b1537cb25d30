"""Items shown one at a time and labelled with a key or a button; a CSV file holds the labels.

    labels = Labels({"p1": "Which is better? …"}, {"a": "the left", "b": "the right"}, "votes.csv")
    labels            # the last line of a cell: buttons, and a box that takes the keys

The file has a line for each item and a column for each reviewer, so that a spreadsheet can read it,
and several people can fill in a column each. It is written after every label, whole or not at all.
"""

import csv
import html
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftlab.display import Panel, box
from ftlab.errors import ConfigError, DataError
from ftlab.files import read_text, write_text

__all__ = ["Labels", "read_labels"]


def read_labels(path: str | os.PathLike[str]) -> dict[str, dict[str, str]]:
    """Return reviewer -> item -> label of a CSV file, without the cells that are empty.

    Raises:
        DataError: the file cannot be read, or its first column is not `item`.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff"))))
    if not rows or list(rows[0])[:1] != ["item"]:
        raise DataError(
            f"{path} holds no labels: a first line `item,NAME,…` and a line for each item are "
            "wanted. A spreadsheet must save it as CSV, with commas."
        )
    names = [name for name in rows[0] if name and name != "item"]
    return {
        name: {row["item"]: row[name].strip() for row in rows if (row[name] or "").strip()}
        for name in names
    }


class Labels(Panel):
    """One reviewer's labels of some items.

    Attributes:
        labels: item -> label, as far as they are given.
    """

    def __init__(
        self, items: Mapping[str, str], options: Mapping[str, str],
        path: str | os.PathLike[str], *, reviewer: str = "me",
    ):  # fmt: skip
        """Take up the labels that the file has already.

        Args:
            items: name -> text that is shown.
            options: key, one character -> what it stands for.
            path: the CSV file.
            reviewer: the name of the column.

        Raises:
            ConfigError: no items, or a key is not one character.
            DataError: the file is there and holds no labels, or others than `options`.
        """
        if not items or not options or any(len(key) != 1 for key in options):
            raise ConfigError(
                f"{len(items)} items, keys {list(options)}: at least one item is wanted, and keys "
                "of one character."
            )
        self.items, self.options = dict(items), dict(options)
        self.path, self.reviewer = Path(path), reviewer
        before = read_labels(self.path) if self.path.exists() else {}
        self.labels = {i: k for i, k in before.get(reviewer, {}).items() if i in self.items}
        strange = sorted(set(self.labels.values()) - set(self.options))
        if strange:
            raise DataError(
                f"{self.path}: {reviewer} has the labels {strange}; the keys here are "
                f"{list(self.options)}. Correct them, or choose another file."
            )

    def label(self, item: str, key: str) -> None:
        """Give an item a label, and write the file.

        Raises:
            ConfigError: there is no such item or key.
        """
        if item not in self.items or key not in self.options:
            raise ConfigError(
                f"Item {item!r}, key {key!r}: one of {len(self.items)} items and one of "
                f"{list(self.options)} are wanted."
            )
        self.labels[item] = key
        self.save()

    def save(self) -> Path:
        """Write the file, with the other reviewers' columns as they are there now."""
        columns = read_labels(self.path) if self.path.exists() else {}
        columns[self.reviewer] = self.labels
        known = dict.fromkeys([*self.items, *(i for c in columns.values() for i in c)])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["item", *columns])
        writer.writerows([item, *(c.get(item, "") for c in columns.values())] for item in known)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return write_text(self.path, text.getvalue(), overwrite=True)

    @property
    def open(self) -> list[str]:
        """The items without a label, in order."""
        return [item for item in self.items if item not in self.labels]

    def __str__(self) -> str:
        keys = ", ".join(f"{key} = {text}" for key, text in self.options.items())
        return (
            f"{len(self.items) - len(self.open)} of {len(self.items)} labelled by {self.reviewer} "
            f"in {self.path.as_posix()}. Keys: {keys}."
        )

    def page(self) -> str:
        """Return how far the labels are, in a box."""
        return box(str(self), "note")

    def widget(self) -> Any:
        """Return the item that is next, a button for each key, and a box that takes the keys."""
        import ipywidgets

        wide = ipywidgets.Layout(width="auto", max_width="60em")
        shown, state = ipywidgets.HTML(layout=wide), ipywidgets.HTML(layout=wide)
        keys = ipywidgets.Text(
            placeholder="or click here and press the key", continuous_update=True, layout=wide
        )
        buttons = [
            ipywidgets.Button(description=f"{key}: {text}", layout=ipywidgets.Layout(width="auto"))
            for key, text in self.options.items()
        ]
        back = ipywidgets.Button(description="back", tooltip="take the last label away")
        given: list[str] = []

        def show() -> None:
            item = self.open[0] if self.open else None
            text = self.items[item] if item else "All are labelled."
            shown.value = (
                f'<div style="white-space:pre-wrap;line-height:1.5">{html.escape(text)}</div>'
            )
            state.value = box(str(self), "note" if item else "right")

        def press(key: str) -> None:
            if self.open and key in self.options:
                given.append(self.open[0])
                self.label(self.open[0], key)
                show()

        def typed(change: Any) -> None:
            if change["new"]:
                press(change["new"][-1])
                keys.value = ""

        def undo(_: Any) -> None:
            if given:
                del self.labels[given.pop()]
                self.save()
                show()

        for button, key in zip(buttons, self.options, strict=True):
            button.on_click(lambda _, key=key: press(key))
        back.on_click(undo)
        keys.observe(typed, names="value")
        show()
        return ipywidgets.VBox([shown, ipywidgets.HBox([*buttons, back]), keys, state])
