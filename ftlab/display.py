"""Show a message where the learner is looking: coloured in a notebook or a terminal.

The same call serves both, and a saved notebook keeps a text that reads well without colours.

>>> say("00.1 is right.", tone="right")
00.1 is right.
>>> visible("a\\r\\n\\tb\\u2028c")
'a␍↵\\n⇥b⟨U+2028⟩c'
"""

import html
import importlib.util
import re
import sys
import textwrap
from typing import Any

# Okabe and Ito's colours, darkened until they reach a contrast of 4.5 on white, and no further: on
# the black of a dark theme nearly 4 is left.
COLOURS = {"right": "#008562", "wrong": "#bd5600", "note": "#0a78b5"}
MARKS = {"right": "✔", "wrong": "✘", "note": "➜"}


def wrap(text: object, lead: str = "", *, width: int = 96) -> str:
    """Break long text between words: JupyterLab breaks lines of an output in mid-word.

    Args:
        text: what to print; its own line breaks are kept.
        lead: stands before the first line, and the others are indented by as much.
        width: columns, the lead's included.

    Returns:
        The text, ready to print.

    >>> print(wrap("a line that is too long for its place", "said: ", width=26))
    said: a line that is too
          long for its place
    """
    indent = " " * len(lead)
    parts = str(text).splitlines() or [""]
    lines = [
        textwrap.fill(
            part, width, initial_indent=indent if number else lead, subsequent_indent=indent,
            break_on_hyphens=False,
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip
    return "\n".join(lines)


def in_notebook() -> bool:
    """Say whether this code runs in a Jupyter kernel (not in a terminal, IPython's included)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def box(text: str, tone: str) -> str:
    """Return the HTML of a message: a coloured bar, a mark, the text with its line breaks."""
    colour = COLOURS[tone]
    return (
        f'<div role="status" style="border-left:5px solid {colour};padding:0.4em 0.8em;'
        f'margin:0.3em 0;line-height:1.5;white-space:pre-wrap">'
        f'<b style="color:{colour}">{MARKS[tone]}</b> {html.escape(text, quote=False)}</div>'
    )


def say(text: str, *, tone: str = "note") -> None:
    """Show a message once.

    Args:
        text: what to say; line breaks are kept.
        tone: "right", "wrong" or "note"; it chooses the colour and the mark.
    """
    if in_notebook():
        display({"text/plain": text, "text/html": box(text, tone)})
    else:
        print(text)


def display(bundle: dict[str, Any]) -> None:
    """Send one output with several forms to the notebook; it shows the richest it can."""
    from IPython.display import display as send

    send(bundle, raw=True)


def live(widget: Any) -> dict[str, Any]:
    """Return only the live form of a widget, without its own text (which names a random id).

    Written out here, in version 2 of the widgets' protocol, for the widget's own method has another
    name in ipywidgets 7, which is the one that Colab can show.
    """
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}


class Panel:
    """A text in a terminal, a page in a saved notebook, and live where widgets can be drawn."""

    def page(self) -> str:
        """Return the panel as HTML for reading alone."""
        raise NotImplementedError

    def widget(self) -> Any:
        """Return the live panel, of ipywidgets."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Give a notebook all forms; it takes the richest that it can draw."""
        bundle = {"text/plain": str(self), "text/html": self.page()}
        if in_notebook() and importlib.util.find_spec("ipywidgets"):
            bundle.update(live(self.widget()))
        return bundle


_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2060-\u2064\ufeff]")


def visible(text: str) -> str:
    """Return text whose line ends, tabs and characters without a picture can be seen."""
    text = text.replace("\r", "␍").replace("\t", "⇥").replace("\n", "↵\n")
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text)
