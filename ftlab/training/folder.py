"""The folder that a run leaves: weights, tokenizer, `training.json`, and a model card.

    adapter_model.safetensors    or model.safetensors
    tokenizer.json, …
    training.json                settings, data hash, curves: what programs read
    README.md                    the same for people, in the form that the Hugging Face hub reads
                                 (https://huggingface.co/docs/hub/model-cards)

The card holds what the run itself knows, and of quality only what a verdict found: `ftlab compare`
adds its figures to the card of each tuned folder that it asked. Between the two comments that mark
their place, they are replaced task by task; the rest of a card is its owner's.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftlab.errors import DataError, ModelError
from ftlab.files import data_path, read_text, write_text

__all__ = ["add_verdict", "card", "save", "summary_of", "systems_of"]

BEGIN, END = "<!-- verdicts: ftlab compare writes here -->", "<!-- end of the verdicts -->"


def save(
    folder: str | os.PathLike[str],
    model: Any,
    tokenizer: Any,
    summary: dict[str, Any],
    weights: dict[str, Any] | None = None,
) -> Path:
    """Write a tuned model's folder, whole or not at all.

    Args:
        folder: where; it must not hold anything yet.
        model: a causal LM, or a PeftModel, of which the adapter alone is written.
        tokenizer: its tokenizer.
        summary: what `training.json` is to hold (see `ftlab.training.finetune`).
        weights: by name, where the model in memory holds only a part of them.

    Raises:
        DataError: the folder is not empty, or cannot be written.
    """
    from safetensors import SafetensorError

    from ftlab.models import quiet

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty. Choose another folder or remove it.")
    base, licence = _base(model)
    summary = summary | {"about": {"base": base, "licence": licence} | summary.get("about", {})}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as temporary:
            part = Path(temporary) / "model"
            with quiet():
                model.save_pretrained(part, state_dict=weights)
            tokenizer.save_pretrained(part)
            config = part / "adapter_config.json"
            if config.exists() and "/" in base:  # the hub's name, not this machine's cache
                held = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": base}
                config.write_text(json.dumps(held, indent=2), "utf-8")
            (part / "training.json").write_text(json.dumps(summary, indent=1), "utf-8")
            text = card(folder.resolve().name, summary, adapter=config.exists())
            (part / "README.md").write_text(text, "utf-8")  # peft has put its template there
            part.rename(folder)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"Could not save to {folder}: {why}. Nothing half-written is "
            "left; free some space or choose another folder."
        ) from error
    return folder


def _base(model: Any) -> tuple[str, str]:
    """Return the name of the model that was tuned, fit to be published, and its licence."""
    from ftlab.models import front_matter

    place = str(getattr(model, "name_or_path", "") or "")
    cached = re.search(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]", place)
    if cached:
        return f"{cached[1]}/{cached[2]}", ""
    last = re.split(r"[/\\]", place.rstrip("/\\"))[-1]
    return last, front_matter(Path(place) / "README.md").get("license", "") if place else ""


def summary_of(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a folder's training.json holds; nothing where it has none.

    Raises:
        ModelError: it cannot be read.
    """
    file = Path(folder) / "training.json"
    if not file.exists():
        return {}
    try:
        held = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Mend it, or remove it.") from None
    return held if isinstance(held, dict) else {}


def card(name: str, told: Mapping[str, Any], *, adapter: bool) -> str:
    """Return the model card of a run, by `data/report/card.md.jinja`.

    Args:
        name: of the model: its folder's.
        told: what `training.json` holds; what is missing there, the card says nothing of.
        adapter: whether the folder holds an adapter, and not a whole model.
    """
    import jinja2

    template = jinja2.Template(read_text(data_path("report/card.md.jinja")))
    settings, about = told.get("settings", {}), told.get("about", {})
    text = template.render(
        name=name, run=told, s=settings, about=about, adapter=adapter, begin=BEGIN, end=END
    )
    return text.strip() + "\n"


def add_verdict(folder: str | os.PathLike[str], verdict: Mapping[str, Any]) -> Path | None:
    """Write a verdict's figures into a tuned folder's card, in the place of that task's last ones.

    Args:
        folder: what `save` wrote.
        verdict: `Verdict.to_json()`, or what `verdict.json` holds.

    Returns:
        The card's path; None where there is no card, or none with a place for verdicts.

    Raises:
        DataError: the card cannot be written.
    """
    path = Path(folder) / "README.md"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    before, begin, rest = text.partition(BEGIN)
    held, end, after = rest.partition(END)
    if not (begin and end):
        return None
    mark = f"<!-- verdict: {verdict['task']} -->"
    parts = [part.strip() for part in re.split(r"(?=<!-- verdict: )", held)]
    parts = [part for part in parts if part.startswith("<!--") and not part.startswith(mark)]
    told = "\n\n".join([*parts, f"{mark}\n{_figures(verdict, os.fspath(folder))}"])
    return write_text(path, f"{before}{BEGIN}\n{told}\n\n{END}{after}", overwrite=True)


def systems_of(verdict: Mapping[str, Any], folder: str) -> list[str]:
    """Return the systems of a verdict that a folder's model was, the plain one first."""
    asked = verdict["provenance"].get("asked", {})
    _, *others = verdict["systems"]
    return [name for name in others if asked.get(name, {}).get("model", folder) == folder]


def _figures(verdict: Mapping[str, Any], folder: str) -> str:
    """Return a verdict as Markdown: the sentence, the table of one model, the remarks."""
    base, mine = next(iter(verdict["systems"])), systems_of(verdict, folder)
    lines = [f"### {verdict['task']}", "", verdict["sentence"], ""]
    names = [base, *mine, *(f"{name} less {base}" for name in mine)]
    lines += [f"| | {' | '.join(_cell(name) for name in names)} |", "|---" * (len(names) + 1) + "|"]
    headline = verdict["headline"]
    for metric in sorted(verdict["systems"][base], key=lambda m: m != headline):
        cells = [verdict["systems"][name].get(metric) for name in (base, *mine)]
        cells += [verdict["differences"][name].get(metric) for name in mine]
        lines.append(f"| {metric} | {' | '.join(map(_figure, cells))} |")
    data = verdict["provenance"].get("data", {}).get("fingerprint", "")
    lines += ["", f"{verdict['n']} held-out examples (SHA-256 `{data}`), 95 % intervals.", ""]
    lines += [f"- {remark}" for remark in verdict.get("remarks", [])]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _figure(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
