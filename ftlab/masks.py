"""The tokens of a row, and how to show them: what carries loss, what does not, which are special.

>>> Encoded([5, 6, 7, 2], [0, 0, 1, 1], False).supervised
2
"""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.display import visible

if TYPE_CHECKING:
    from rich.text import Text

LOSS = "background:rgba(0,114,178,0.28);font-weight:bold;text-decoration:underline;"
PLAIN = "background:rgba(128,128,128,0.14);"
SPECIAL = "border:1px dashed rgba(128,128,128,0.9);"
"""The CSS of a token that carries loss, of one that does not, and what a special one adds.

JupyterLab drops `currentColor` from a notebook that it does not trust yet, but no rgba()."""


@dataclass(frozen=True)
class Encoded:
    """One row as a model sees it."""

    input_ids: list[int]
    """The tokens of the conversation."""
    loss_mask: list[int]
    """1 where the token carries loss, else 0; as long as `input_ids`."""
    truncated: bool
    """Whether `max_length` cut off the end, and with it the token that ends the turn."""

    @property
    def supervised(self) -> int:
        """How many tokens carry loss."""
        return sum(self.loss_mask)


class _Piece(NamedTuple):
    """Some tokens that make whole characters together."""

    text: str
    ids: list[int]
    loss: bool
    special: bool


def show_mask(tokenizer: Any, encoded: Encoded) -> "Text":
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


def mask_html(tokenizer: Any, encoded: Encoded) -> str:
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


def _pieces(tokenizer: Any, encoded: Encoded) -> list[_Piece]:
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


def _counted(encoded: Encoded) -> str:
    cut = ". Cut at max_length: the end of the turn is missing" if encoded.truncated else ""
    return f"{encoded.supervised} of {len(encoded.input_ids)} tokens carry loss{cut}."
