"""A lesson as slides: one HTML file that needs no network, made from the executed notebook.

What is a slide follows from the cells, so that authors mark exceptions only:

    a heading             begins a slide
    a paragraph           a slide, under the section's name
    code and its output   a slide; two, where both do not fit one below the other
    an exercise           its prompt and its stub; no output, and no solution is in the notebook
    a quiz                a slide for each question, without the answers

Left out: the Colab cell, cells that only wait for a prediction, and cells tagged `slide-skip`.
Arrow keys, space, Page Up and Down, Home and End turn the slides; a browser prints them to PDF, a
slide a page. A script scales each slide to its room.
Markdown and code are rendered by markdown-it and Pygments, which come with rich.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

SKIP, EXERCISE = "slide-skip", "exercise"
ROOM = 600  # pixels, of 720, for code and what it gave
CODE, OUT, PICTURE, MARKUP = 25, 23, 380, 300  # pixels: a line of code, of output; the others
LARGE = 12_000  # characters of HTML that want a slide of their own
WIDE = 108  # characters in a line of output
MOST = 24  # lines of an output that are shown
BADGE = re.compile(r"^\[!\[.*$\n?", flags=re.M)
WAITING = re.compile(r"""\w+ = ["'].*\.\.\..*["']""")


@dataclass(frozen=True)
class Slide:
    """One slide: HTML under the name of its section."""

    section: str
    body: str
    kind: str = "prose"


def slides(notebook: "NotebookNode") -> list[Slide]:
    """Return the slides of an executed lesson, with its stubs and without its solutions."""
    made: list[Slide] = []
    section = ""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if SKIP in tags:
            continue
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=#+ )", BADGE.sub("", cell.source), flags=re.M):
                if not part.strip():
                    continue
                heading = re.match(r"#+ (.+)", part)
                section = heading[1] if heading else section
                kind = "title" if not made else "head" if heading else "prose"
                made.append(Slide(section, _markdown(part), kind))
        elif EXERCISE in tags:
            stub = _code(re.sub(r"^check\(.*\n?", "", cell.source, flags=re.M))
            if made and made[-1].kind in ("prose", "head"):
                made[-1] = replace(made[-1], body=made[-1].body + stub, kind="exercise")
            else:
                made.append(Slide(section, stub, "exercise"))
        elif 'quiz("' in cell.source:
            made += [Slide(section, question, "quiz") for question in _questions(cell)]
        elif '"google.colab" in sys.modules' not in cell.source and not _waits(cell):
            made += _of_code(cell, section)
    return made


def page(notebook: "NotebookNode", lesson: str) -> str:
    """Return a lesson's slides as one HTML page."""
    from pygments.formatters import HtmlFormatter

    made = slides(notebook)
    sections = []
    for number, slide in enumerate(made, 1):
        name = "" if slide.kind in ("title", "head") else slide.section
        sections.append(
            f'<section id="{number}" class="{slide.kind}" aria-label="{number} of {len(made)}">'
            f"<header><span>{html.escape(name)}</span><span>{lesson} · {number}/{len(made)}</span>"
            f'</header><div class="room"><div class="body">{slide.body}</div></div></section>'
        )
    colours = HtmlFormatter(style="vs").get_style_defs(".code")
    title = html.escape(made[0].section if made else lesson)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{LOOK}{colours}</style></head>\n<body>\n"
        + "\n".join(sections)
        + f"\n<script>{TURN}</script></body></html>\n"
    )


def _of_code(cell: "NotebookNode", section: str) -> list[Slide]:
    """Return a code cell's slide; its output has one of its own where both do not fit."""
    code, height = _code(cell.source), CODE * len(cell.source.splitlines()) + 40
    shown = list(_outputs(cell))
    if not shown:
        return [Slide(section, code, "code")]
    if height + sum(size for _, size in shown) <= ROOM:
        return [Slide(section, code + "".join(text for text, _ in shown), "code")]
    made, body, used = [Slide(section, code, "code")], "", 0
    for text, size in shown:
        if body and used + size > ROOM:
            made.append(Slide(section, body, "output"))
            body, used = "", 0
        body, used = body + text, used + size
    return [*made, Slide(section, body, "output")]


def _outputs(cell: "NotebookNode") -> Iterator[tuple[str, int]]:
    """Yield each output as HTML, with about how many pixels it is high."""
    for output in cell.outputs:
        data: dict[str, Any] = output.get("data", {})
        text = output.get("text") or data.get("text/plain", "")
        if "image/png" in data:
            source = data["image/png"].replace("\n", "")
            alt = html.escape(text, quote=True)
            yield f'<img src="data:image/png;base64,{source}" alt="{alt}">', PICTURE
        elif "text/html" in data:
            size = MARKUP if len(data["text/html"]) < LARGE else ROOM
            yield f'<div class="out">{data["text/html"]}</div>', size
        elif text.strip():
            lines = text.strip("\n").splitlines()
            more = len(lines) - MOST
            if more > 1:
                lines = [*lines[:MOST], f"… and {more} more lines in the notebook"]
            high = sum(1 + len(line) // WIDE for line in lines)
            yield f'<pre class="out">{html.escape(chr(10).join(lines))}</pre>', OUT * high + 30


def _questions(cell: "NotebookNode") -> Iterator[str]:
    """Yield a quiz's questions, which its output has as text: a line, then the options."""
    for output in cell.outputs:
        for block in output.get("data", {}).get("text/plain", "").split("\n\n"):
            question, *options = block.strip().splitlines()
            if options and re.match(r"\d+\. ", question):
                items = "".join(f"<li>{html.escape(o.strip()[3:])}</li>" for o in options)
                yield f'<h2>{html.escape(question)}</h2><ol type="a">{items}</ol>'


def _waits(cell: "NotebookNode") -> bool:
    """Say whether a cell only waits for what the learner expects."""
    return not cell.outputs and bool(WAITING.fullmatch(cell.source.strip()))


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").render(text)


def _code(text: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(text.strip("\n"), PythonLexer(), HtmlFormatter(cssclass="code"))


LOOK = """
html { scroll-snap-type: y mandatory; scrollbar-width: none; background: #fff; color: #111;
  font: 30px/1.42 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
body { margin: 0; }
section { box-sizing: border-box; height: 100vh; padding: 14px 48px 22px; overflow: hidden;
  scroll-snap-align: start; display: flex; flex-direction: column; }
header { display: flex; justify-content: space-between; font-size: 17px; color: #555; }
.room { flex: 1; min-height: 0; display: flex; flex-direction: column; justify-content: center; }
.code .room, .output .room { justify-content: flex-start; padding-top: 10px; }
section > .room > .body > p:first-child, h1, h2, h3 { margin-top: 0; }
h1 { font-size: 46px; } h2, h3 { font-size: 40px; } h1, h2, h3 { line-height: 1.2; color: #00507d; }
p { margin: 0.55em 0; } li { margin: 0.25em 0; } ul, ol { margin: 0.4em 0; }
table { border-collapse: collapse; font-size: 24px; }
td, th { border: 1px solid #bbb; padding: 4px 12px; text-align: left; }
code { font: 0.88em ui-monospace, 'DejaVu Sans Mono', Consolas, monospace; background: #f0f0ec; }
pre { margin: 0; font: 18px/1.36 ui-monospace, 'DejaVu Sans Mono', Consolas, monospace; }
div.code { background: #f5f5f1; border-left: 5px solid #00507d; padding: 8px 14px;
  width: max-content; min-width: 100%; box-sizing: border-box; }
.exercise div.code { margin-top: 0.8em; } .exercise { background: #fdf6e3; }
.out { margin: 12px 0 0; font-size: 18px; } pre.out { white-space: pre-wrap; line-height: 1.28;
  padding-left: 18px; overflow-wrap: anywhere; } .out table { font-size: 18px; }
.out td, .out th { padding: 1px 10px; } .out pre { overflow: visible !important; }
img { display: block; margin: 12px auto 0; max-width: 100%; max-height: 580px; }
@page { size: 1280px 720px; margin: 0; }
@media print { section { height: 720px; break-after: page; } }
"""

TURN = """
const all = [...document.querySelectorAll('section')];
function fit() {
  for (const s of all) {
    const room = s.querySelector('.room'), body = s.querySelector('.body');
    let size = s.className == 'code' || s.className == 'output' ? 1.5 : 1.1;
    body.style.zoom = size;
    while (size > 0.5 && (body.getBoundingClientRect().height > room.clientHeight
        || body.scrollWidth > body.clientWidth + 1)) {
      size -= 0.04;
      body.style.zoom = size;
    }
    s.dataset.size = size.toFixed(2);
  }
}
function here() { return all.findIndex(s => s.getBoundingClientRect().bottom > innerHeight / 2); }
function go(n) {
  n = Math.max(0, Math.min(all.length - 1, n));
  all[n].scrollIntoView();
  history.replaceState(null, '', '#' + (n + 1));
}
const turn = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, ' ': 1,
  ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
addEventListener('keydown', e => {
  if (e.ctrlKey || e.altKey || e.metaKey) return;
  if (e.key in turn) go(here() + turn[e.key] * (e.key === ' ' && e.shiftKey ? -1 : 1));
  else if (e.key === 'Home') go(0);
  else if (e.key === 'End') go(all.length - 1);
  else return;
  e.preventDefault();
});
addEventListener('resize', fit);
addEventListener('load', () => { fit(); if (location.hash) go(+location.hash.slice(1) - 1); });
"""
