"""Show a message or tokens where the learner is looking: coloured in a notebook or a terminal.

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
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text

    from ftlab.templates import Encoded

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


# The tokens of a row: what carries loss, what does not, which are special.

LOSS = "background:rgba(0,114,178,0.28);font-weight:bold;text-decoration:underline;"
PLAIN = "background:rgba(128,128,128,0.14);"
SPECIAL = "border:1px dashed rgba(128,128,128,0.9);"
"""The CSS of a token that carries loss, of one that does not, and what a special one adds.

JupyterLab drops `currentColor` from a notebook that it does not trust yet, but no rgba()."""
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2060-\u2064\ufeff]")


class _Piece(NamedTuple):
    """Some tokens that make whole characters together."""

    text: str
    ids: list[int]
    loss: bool
    special: bool


def show_mask(tokenizer: Any, encoded: "Encoded") -> "Text":
    """Return the tokens for a terminal: those that carry loss are bold and underlined.

    Neighbouring tokens alternate in shade, special tokens are in reverse, a newline shows as ↵.

    >>> from rich import print                                                 # doctest: +SKIP
    >>> print(show_mask(tokenizer, encode(tokenizer, row)))                    # doctest: +SKIP
    """
    from rich.text import Text

    out = Text()
    for number, piece in enumerate(_pieces(tokenizer, encoded)):
        if piece.loss:
            style = "bold underline " + ("bright_blue" if number % 2 else "blue")
        else:
            style = "none" if number % 2 else "dim"
        out.append(visible(piece.text), style + (" reverse" if piece.special else ""))
    out.append(f"\n{_counted(encoded)}", "italic")
    return out


def mask_html(tokenizer: Any, encoded: "Encoded") -> str:
    """Return the tokens as HTML that needs nothing else, for light and dark pages.

    Tokens that carry loss are on blue, bold and underlined; special tokens have a dashed border; a
    newline shows as ↵; the number of a token shows when the mouse is on it.
    """
    tokens = []
    for piece in _pieces(tokenizer, encoded):
        style = (LOSS if piece.loss else PLAIN) + (SPECIAL if piece.special else "")
        shown = visible(piece.text)
        title = f"{'loss' if piece.loss else 'no loss'}, token " + ", ".join(map(str, piece.ids))
        tokens.append(_span(shown.rstrip("\n"), style, title))
        tokens.append("\n" * (len(shown) - len(shown.rstrip("\n"))))
    legend = " ".join(
        [_span("carries loss", LOSS), _span("no loss", PLAIN), _span("special token", SPECIAL)]
    )
    return (
        '<div style="color:inherit;line-height:1.7">'
        '<pre style="color:inherit;background:transparent;white-space:pre-wrap;line-height:1.7;'
        f'overflow-wrap:anywhere">{"".join(tokens)}</pre>'
        f"<div>{legend} {html.escape(_counted(encoded))}</div></div>"
    )


def visible(text: str) -> str:
    """Return text whose line ends, tabs and characters without a picture can be seen."""
    text = text.replace("\r", "␍").replace("\t", "⇥").replace("\n", "↵\n")
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text)


def _pieces(tokenizer: Any, encoded: "Encoded") -> list[_Piece]:
    """Split tokens into the smallest runs that decode to whole characters."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {*tokenizer.all_special_ids, *(token for token, e in added.items() if e.special)}
    pieces: list[_Piece] = []
    before: list[int] = []
    run: list[int] = []
    pairs = list(zip(encoded.input_ids, encoded.loss_mask, strict=True))
    for i, (token, loss) in enumerate(pairs):
        run.append(token)
        # Decoded behind the run before it, because some tokenizers drop a leading space.
        text = _decode(tokenizer, before + run)[len(_decode(tokenizer, before)) :]
        goes_on = i + 1 < len(pairs) and pairs[i + 1][1] == loss
        if text.endswith("\N{REPLACEMENT CHARACTER}") and goes_on:
            continue
        pieces.append(_Piece(text, run, bool(loss), token in special))
        before, run = run, []
    return pieces


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _span(text: str, style: str, title: str = "") -> str:
    base = "padding:1px 1px;margin:0 1px 0 0;border-radius:3px;"
    hover = f' title="{html.escape(title)}"' if title else ""
    return f'<span style="{base}{style}"{hover}>{html.escape(text)}</span>'


def _counted(encoded: "Encoded") -> str:
    cut = ". Cut at max_length: the end of the turn is missing" if encoded.truncated else ""
    return f"{encoded.supervised} of {len(encoded.input_ids)} tokens carry loss{cut}."
