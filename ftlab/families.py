"""Eight families' chat templates ("decorators"), side by side for one record.

    chatml   <|im_start|>user\\nSay hi<|im_end|>\\n<|im_start|>assistant\\nHi.<|im_end|>\\n
    llama2   <s>[INST] Say hi [/INST] Hi. </s>
    zephyr   <|user|>\\nSay hi</s>\\n<|assistant|>\\nHi.</s>\\n

The same words, and yet a model of one family that is given another's decorators is lost: it has
never seen the end of a turn written so. The templates here are our own, after each family's
published format (`Family.source`), and render without that family's tokenizer. The tests compare
chatml, llama3, gemma and phi with the originals that TRL carries, the others with texts written
out by hand. What a model is really given is for its own tokenizer to say: `ftlab.templates`.

>>> render("llama2", [{"role": "user", "content": "Say hi"}], ask=True)
'<s>[INST] Say hi [/INST]'
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.errors import DataError, raise_unknown
from ftlab.templates import LOSS, PLAIN, SPECIAL, span, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ftlab.records import Record

__all__ = [
    "FAMILIES",
    "Decorated",
    "Family",
    "decorate",
    "families_html",
    "render",
    "show_families",
]


@dataclass(frozen=True)
class Family:
    """One family's way to write a conversation."""

    models: str
    """Some that are written so."""
    template: str
    """Jinja, with {% generation %} around what the model has to write."""
    special: tuple[str, ...]
    """The strings that its tokenizer knows as one token each; other decorators are plain text."""
    bos: str
    """Who writes the token that begins a text, and where."""
    end: str
    """The token that ends the assistant's turn, with which generation stops."""
    system: str
    """How a system message is carried."""
    source: str
    """Where the format is published."""


CHATML = """\
{%- for m in messages -%}
{{- '<|im_start|>' + m.role + '\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}{{- m.content + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}
{%- else -%}{{- m.content + '<|im_end|>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
LLAMA2 = """\
{%- set told = messages[0].role == 'system' -%}
{%- for m in (messages[1:] if told else messages) -%}
{%- if m.role == 'user' -%}
{%- set head = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n'
    if told and loop.first else '' -%}
{{- '<s>[INST] ' + (head + m.content).strip() + ' [/INST]' -}}
{%- else -%}
{%- generation -%}{{- ' ' + m.content.strip() + ' </s>' -}}{%- endgeneration -%}
{%- endif -%}
{%- endfor -%}
"""
LLAMA3 = """\
{{- '<|begin_of_text|>' -}}
{%- for m in messages -%}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}{{- m.content.strip() + '<|eot_id|>' -}}{%- endgeneration -%}
{%- else -%}{{- m.content.strip() + '<|eot_id|>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}
"""
MISTRAL = """\
{{- '<s>' -}}
{%- set told = messages[0].role == 'system' -%}
{%- set asked = messages | selectattr('role', 'equalto', 'user') | list | length -%}
{%- set seen = namespace(user=0) -%}
{%- for m in (messages[1:] if told else messages) -%}
{%- if m.role == 'user' -%}
{%- set seen.user = seen.user + 1 -%}
{%- set head = messages[0].content + '\\n\\n' if told and seen.user == asked else '' -%}
{{- '[INST] ' + head + m.content + '[/INST]' -}}
{%- else -%}
{%- generation -%}{{- ' ' + m.content + '</s>' -}}{%- endgeneration -%}
{%- endif -%}
{%- endfor -%}
"""
GEMMA = """\
{{- '<bos>' -}}
{%- for m in messages -%}
{%- if m.role == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}
{%- if m.role == 'assistant' -%}
{{- '<start_of_turn>model\\n' -}}
{%- generation -%}{{- m.content.strip() + '<end_of_turn>' -}}{%- endgeneration -%}{{- '\\n' -}}
{%- else -%}{{- '<start_of_turn>user\\n' + m.content.strip() + '<end_of_turn>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
"""
PHI = """\
{%- for m in messages -%}
{{- '<|' + m.role + '|>\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}{{- m.content + '<|end|>' -}}{%- endgeneration -%}{{- '\\n' -}}
{%- else -%}{{- m.content + '<|end|>\\n' -}}{%- endif -%}
{%- endfor -%}
{{- '<|assistant|>\\n' if add_generation_prompt else '<|endoftext|>' -}}
"""
ZEPHYR = """\
{%- for m in messages -%}
{{- '<|' + m.role + '|>\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}{{- m.content + '</s>' -}}{%- endgeneration -%}{{- '\\n' -}}
{%- else -%}{{- m.content + '</s>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""
ALPACA = """\
{%- set told = messages[0].role == 'system' -%}
{%- if told -%}{{- messages[0].content -}}{%- else -%}
{{- 'Below is an instruction that describes a task. ' -}}
{{- 'Write a response that appropriately completes the request.' -}}
{%- endif -%}
{%- for m in (messages[1:] if told else messages) -%}
{%- if m.role == 'user' -%}
{{- '\\n\\n### Instruction:\\n' + m.content + '\\n\\n### Response:' -}}
{%- else -%}
{%- generation -%}{{- m.content + '</s>' -}}{%- endgeneration -%}
{%- endif -%}
{%- endfor -%}
"""

FAMILIES = {
    "chatml": Family(
        "Qwen, SmolLM2, Hermes, ftlab's own (Qwen3 adds an empty <think> to the last answer)",
        CHATML,
        ("<|im_start|>", "<|im_end|>"),
        "none",
        "<|im_end|>",
        "a turn of its own; Qwen2 and Qwen2.5 write one even where the record has none",
        "https://huggingface.co/Qwen/Qwen3-8B",
    ),
    "llama2": Family(
        "Llama 2 Chat",
        LLAMA2,
        ("<s>", "</s>"),
        "written by the template, before every exchange",
        "</s>",
        "inside the first user message, between <<SYS>> marks, which are plain text",
        "https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-2/",
    ),
    "llama3": Family(
        "Llama 3 Instruct (3.1 and later add a date to the system turn)",
        LLAMA3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "written by the template, once",
        "<|eot_id|>",
        "a turn of its own",
        "https://huggingface.co/meta-llama/Meta-Llama-3-8B-Instruct",
    ),
    "mistral": Family(
        "Mistral 7B Instruct v0.3 and others of tokenizer V3",
        MISTRAL,
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "written by the template, once",
        "</s>",
        "inside the last user message, so that it moves as the talk goes on; the template on the "
        "hub drops it once the answer is there",
        "https://docs.mistral.ai/cookbook/concept-deep-dive-tokenization-chat_templates",
    ),
    "gemma": Family(
        "Gemma and Gemma 2 (3 puts the system text into the first user message by itself)",
        GEMMA,
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        "written by the template, once",
        "<end_of_turn>",
        "refused: its text belongs at the start of the first user message",
        "https://ai.google.dev/gemma/docs/core/prompt-structure",
    ),
    "phi": Family(
        "Phi-3 and Phi-3.5",
        PHI,
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
        "none; early tokenizers added <s>",
        "<|end|>",
        "a turn of its own",
        "https://huggingface.co/microsoft/Phi-3.5-mini-instruct",
    ),
    "zephyr": Family(
        "Zephyr 7B, TinyLlama Chat",
        ZEPHYR,
        ("<s>", "</s>"),
        "not in the template: the tokenizer adds <s>",
        "</s>",
        "a turn of its own; the names of the roles are plain text",
        "https://huggingface.co/HuggingFaceH4/zephyr-7b-beta",
    ),
    "alpaca": Family(
        "Alpaca and what was tuned after it (of one turn; more are written alike here)",
        ALPACA,
        ("<s>", "</s>"),
        "not in the template: the tokenizer adds <s>",
        "</s>",
        "in place of the opening sentence; no decorator is a token, so text can forge them all",
        "https://github.com/tatsu-lab/stanford_alpaca",
    ),
}
"""The families by name, in the order in which they are shown."""


def render(family: str, messages: Sequence[dict[str, str]], *, ask: bool = False) -> str:
    """Return messages as a family writes them.

    Args:
        family: one of `FAMILIES`.
        messages: each with `role` and `content`.
        ask: add the words that open the assistant's turn, the generation prompt.

    Raises:
        ConfigError: an unknown family.
        DataError: the family refuses these messages.
    """
    return _rendered(family, messages, ask)[0]


def _rendered(
    family: str, messages: Sequence[dict[str, str]], ask: bool
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text, and the first and last characters of what the assistant writes."""
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    if family not in FAMILIES:
        raise_unknown("family", family, FAMILIES)
    try:
        made: Any = render_jinja_template(  # whose annotation says str
            conversations=[[dict(message) for message in messages]],
            chat_template=FAMILIES[family].template,
            return_assistant_tokens_mask=True,
            add_generation_prompt=ask,
        )
    except TemplateError as error:
        raise DataError(
            f"The {family} template refuses these messages: {error}. Put the system text at the "
            "start of the first user message."
        ) from None
    return made[0][0], made[1][0]


class Piece(NamedTuple):
    """A part of a rendered text."""

    text: str
    loss: bool
    special: bool


@dataclass(frozen=True)
class Decorated:
    """One record as one family writes it."""

    family: str
    """The family's name."""
    pieces: tuple[Piece, ...]
    """The text in order: which parts carry loss, which are special tokens."""
    refused: str
    """Why the record itself was refused and its system text moved; "" if it was not."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def loss(self) -> str:
        """The part that carries loss."""
        return "".join(piece.text for piece in self.pieces if piece.loss)


def decorate(family: str, record: "Record") -> Decorated:
    """Return a record as a family writes it; only the completion and its end carry loss.

    Where the family refuses a system message, its text is moved to the start of the first user
    message, as the family's makers advise, and `refused` says so.

    Raises:
        ConfigError: an unknown family.
    """
    turns = [*record.messages, {"role": "assistant", "content": record.completion}]
    refused = ""
    try:
        text, spans = _rendered(family, turns, False)
    except DataError as error:
        if turns[0]["role"] != "system":
            raise
        refused = str(error)
        first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
        text, spans = _rendered(family, [first, *turns[2:]], False)
    begin, end = spans[-1]
    known = re.compile("(" + "|".join(map(re.escape, FAMILIES[family].special)) + ")")
    pieces = tuple(
        Piece(part, loss, known.fullmatch(part) is not None)
        for run, loss in ((text[:begin], False), (text[begin:end], True), (text[end:], False))
        for part in known.split(run)
        if part
    )
    return Decorated(family, pieces, refused)


def _facts(made: Decorated) -> list[tuple[str, str]]:
    family = FAMILIES[made.family]
    found = [
        ("for", family.models),
        ("BOS", family.bos),
        ("ends", family.end),
        ("system", family.system),
    ]
    if made.refused:
        found.append(("here", "the system text was moved into the first user message"))
    return found


def show_families(record: "Record", names: Iterable[str] = tuple(FAMILIES)) -> "RenderableType":
    """Return one record as each family writes it, for a terminal.

    What carries loss is bold and underlined, special tokens are in reverse, a newline shows as ↵.

    Raises:
        ConfigError: an unknown family.
    """
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    panels = []
    for made in (decorate(name, record) for name in names):
        body = Text(overflow="fold")
        for piece in made.pieces:
            style = "bold underline blue" if piece.loss else "none"
            body.append(visible(piece.text), style + (" reverse" if piece.special else ""))
        body.append("\n")
        for name, fact in _facts(made):
            body.append(f"\n{name}: {fact}", "italic dim")
        panels.append(Panel(body, title=made.family, width=60))
    return Columns(panels)


def families_html(record: "Record", names: Iterable[str] = tuple(FAMILIES)) -> str:
    """Return one record as each family writes it, as HTML that needs nothing else.

    What carries loss is on blue, bold and underlined; special tokens have a dashed border; a
    newline shows as ↵.

    Raises:
        ConfigError: an unknown family.
    """
    cards = []
    for made in (decorate(name, record) for name in names):
        parts = []
        for piece in made.pieces:
            style = (LOSS if piece.loss else PLAIN) + (SPECIAL if piece.special else "")
            parts.append(span(visible(piece.text), style))
        facts = "<br>".join(f"{name}: {html.escape(fact)}" for name, fact in _facts(made))
        cards.append(
            '<div style="border:1px solid rgba(128,128,128,0.4);border-radius:6px;padding:6px">'
            f"<b>{made.family}</b>"
            '<pre style="color:inherit;background:transparent;white-space:pre-wrap;'
            f'line-height:1.7;overflow-wrap:anywhere">{"".join(parts)}</pre>'
            f'<small style="opacity:0.8">{facts}</small></div>'
        )
    legend = " ".join(
        [span("carries loss", LOSS), span("no loss", PLAIN), span("special token", SPECIAL)]
    )
    return (
        f'<div style="color:inherit"><div style="display:grid;gap:8px;'
        f'grid-template-columns:repeat(auto-fit,minmax(20em,1fr))">{"".join(cards)}</div>'
        f"<div>{legend}</div></div>"
    )
