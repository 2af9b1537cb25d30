"""A look at a trainer before it trains: what carries loss, what is cut, what will go wrong.

    ✓ data           100 rows, 7,131 tokens, 2,210 of them supervised (31%), longest 96, 39 steps
    ✗ end of turn    100 of 100 rows do not learn the end of the turn: the tuned model will not stop
                     → An answer must end with <|im_end|>, inside the loss: …

It reads the rows that the trainer has prepared, through the trainer's own collator, so it sees what
the model will see.
"""

import html
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftlab.display import display, in_notebook
from ftlab.errors import ConfigError, DataError
from ftlab.training.preflight_checks import LOSS_CHECKS, Finding
from ftlab.training.preflight_rows import Inspection, inspect
from ftlab.training.preflight_setup import SETUP_CHECKS
from ftlab.training.preflight_template import TEMPLATE_CHECKS

__all__ = ["Finding", "Preflight", "preflight"]

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
COLOURS = {
    "ok": "rgba(0,158,115,.3)", "warning": "rgba(230,159,0,.45)", "error": "rgba(213,94,0,.6)"
}  # fmt: skip
HEADS = ("", "what", "found", "cure")
SHOWN = 240  # characters of the example


@dataclass(frozen=True)
class Preflight:
    """The table of a trainer; `print` shows it, `html` is its form for a notebook."""

    findings: tuple[Finding, ...]

    def problems(self, status: str) -> tuple[Finding, ...]:
        """Return the findings of one status: "ok", "warning" or "error"."""
        return tuple(finding for finding in self.findings if finding.status == status)

    def __repr__(self) -> str:
        errors, warnings = len(self.problems("error")), len(self.problems("warning"))
        return f"<Preflight: {errors} errors, {warnings} warnings>"

    def __str__(self) -> str:
        width = max(60, min(100, shutil.get_terminal_size().columns))
        margin, lines = " " * 17, []
        for what, status, found, cure in self.findings:
            head = f"{MARKS[status]} {what:<14} "
            lines += textwrap.wrap(found, width, initial_indent=head, subsequent_indent=margin)
            arrow, below = f"{margin}→ ", f"{margin}  "
            lines += textwrap.wrap(cure, width, initial_indent=arrow, subsequent_indent=below)
        return "\n".join(lines)

    def html(self) -> str:
        """Return the table as HTML that needs nothing else, for light and dark pages."""
        cell = '<td style="text-align:left;vertical-align:top">{}</td>'
        body = ""
        for what, status, found, cure in self.findings:
            mark = (
                f'<span style="background:{COLOURS[status]};padding:1px 6px;border-radius:3px;'
                f'white-space:nowrap">'
                f"{MARKS[status]} {status}</span>"
            )
            texts = [html.escape(text, quote=False) for text in (what, found, cure)]
            body += "<tr>" + "".join(cell.format(text) for text in (mark, *texts)) + "</tr>"
        heads = "".join(f'<th style="text-align:left">{head}</th>' for head in HEADS)
        return f'<table style="color:inherit"><tr>{heads}</tr>{body}</table>'


def preflight(trainer: Any, *, strict: bool = True, limit: int = 2000) -> Preflight:
    """Show what a trainer will train on, and what is wrong with it, in one table.

    Where LiveCurve or ProgressLines show the losses, transformers' own printing of them is taken
    away; nothing else of the trainer is changed.

    Args:
        trainer: an SFTTrainer, DPOTrainer or GRPOTrainer, built and not yet trained.
        strict: raise when there is an error, after the table is shown.
        limit: most rows to look at, evenly spaced; leaks into the evaluation are looked for in all.

    Returns:
        The table, which is shown already: printed, or as HTML in a notebook.

    Raises:
        DataError: the rows are not fit to be trained on.
        ConfigError: the settings are not, or there is nothing to train on.

    >>> preflight(trainer)                                                     # doctest: +SKIP
    """
    if not hasattr(trainer, "train_dataset") or not hasattr(trainer, "processing_class"):
        raise ConfigError(
            f"preflight wants a trainer of TRL (SFTTrainer, DPOTrainer or GRPOTrainer), got "
            f"{type(trainer).__name__}. Build the trainer first: preflight(trainer)."
        )
    from ftlab.training.callbacks import quiet

    if limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}.")
    seen = inspect(trainer, limit)
    if not seen.examples:
        raise DataError(
            "There is no row to train on. TRL leaves out rows whose prompt alone is longer than "
            "max_length: raise it, or set it to None."
        )
    rows = list(_findings(seen, (*LOSS_CHECKS, *TEMPLATE_CHECKS)))
    setup = list(_findings(seen, SETUP_CHECKS))
    report = Preflight((*rows, *setup, _example(seen)))
    _show(report)
    quiet(trainer)
    bad = report.problems("error")
    if bad and strict:
        error = DataError if any(finding in rows for finding in bad) else ConfigError
        raise error(
            "Not fit to train:\n"
            + "\n".join(f"- {what}: {found}. {cure}" for what, _, found, cure in bad)
            + "\npreflight(trainer, strict=False) shows the table without stopping."
        )
    return report


def _findings(seen: Inspection, checks: Any) -> Iterator[Finding]:
    for check in checks:
        found = check(seen)
        if isinstance(found, Finding):
            yield found
        elif found is not None:
            yield from found


def _example(seen: Inspection) -> Finding:
    """Return one row as text, what carries loss between ⟦ and ⟧."""
    example = next((e for e in seen.examples if e.runs), seen.examples[0])
    text, at = "", 0
    for begin, end in example.runs:
        before, learned = (
            seen.tokenizer.decode(example.ids[a:b]) for a, b in ((at, begin), (begin, end))
        )
        text, at = f"{text}{before}⟦{learned}⟧", end
    text = (text + seen.tokenizer.decode(example.ids[at:])).replace("\n", "↵")
    if len(text) > SHOWN:  # the end is where the loss is
        text = f"{text[: SHOWN // 3]} … {text[-2 * SHOWN // 3 :]}"
    return Finding("example", "ok", text, "" if seen.kind == "grpo" else "⟦…⟧ carries loss")


def _show(report: Preflight) -> None:
    """Show the table as the notebook's output if there is a notebook, else print it."""
    if in_notebook():
        display({"text/plain": str(report), "text/html": report.html()})
    else:
        print(report)
