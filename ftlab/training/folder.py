"""The folder that a run leaves: weights, tokenizer, `training.json`, and a model card.

    adapter_model.safetensors    or model.safetensors
    tokenizer.json, …
    training.json                settings, data hash, curves: what programs read
    README.md                    the same for people, in the form that the Hugging Face hub reads
                                 (https://huggingface.co/docs/hub/model-cards)

`check_saved` loads what was saved and compares it with what was in memory. `merge` folds an adapter
into its base, W + (alpha / r) B A: it costs nothing at each token then, and every server loads it.

The card holds what the run itself knows, and of quality only what a verdict found: `ftlab compare`
adds its figures to the card of each tuned folder that it asked. Between the two comments that mark
their place, they are replaced task by task; the rest of a card is its owner's.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import DataError, ModelError
from ftlab.files import data_path, read_text, write_text

__all__ = [
    "Agreement", "add_verdict", "card", "check_saved", "merge", "save", "summary_of", "systems_of"
]  # fmt: skip

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
    settings, about = told.get("settings", {}), told.get("about", {})
    text = _rendered(
        "card.md.jinja", name=name, run=told, s=settings, about=about, adapter=adapter, begin=BEGIN,
        end=END,
    )  # fmt: skip
    return text + "\n"


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
    columns = [(name, verdict["systems"][name]) for name in (base, *mine)]
    columns += [(f"{name} less {base}", verdict["differences"][name]) for name in mine]
    metrics = sorted(columns[0][1], key=lambda metric: metric != verdict["headline"])
    return _rendered("verdict.md.jinja", v=verdict, columns=columns, metrics=metrics)


def _rendered(template: str, /, **values: Any) -> str:
    """Return a template of `data/report/` filled in."""
    import jinja2

    return jinja2.Template(read_text(data_path(f"report/{template}"))).render(**values).strip()


# What is saved is what was trained.

TOLERANCE = 2e-3
"""Largest difference of two logits, as a share of the largest logit, that float32 explains."""


@dataclass(frozen=True)
class Agreement:
    """How far a merged model is from the one with its adapter beside it."""

    difference: float
    """Largest difference of two logits, as a share of the largest logit."""
    same_text: bool
    """Whether both write the same answers, greedily."""

    def __bool__(self) -> bool:
        return self.same_text and self.difference <= TOLERANCE

    def __str__(self) -> str:
        text = "the same answers" if self.same_text else "OTHER ANSWERS"
        return (
            f"logits differ by {self.difference:.1e} of the largest at most "
            f"(allowed: {TOLERANCE:.0e}); {text}"
        )


def merge(model: Any, tokenizer: Any, prompts: list[str] | None = None) -> tuple[Any, Agreement]:
    """Fold a model's adapter into its weights, in place, and compare before with after.

    Args:
        model: a PeftModel with one adapter on float weights.
        tokenizer: its tokenizer.
        prompts: what to ask both; a few sentences by default.

    Returns:
        The model without adapter, and how well the two agree (falsy if they do not).

    Raises:
        ModelError: there is no adapter, or its base is held in 4 bits, where merging would round
            the adapter away: load the adapter without bits=4 and merge that.
    """
    if not hasattr(model, "merge_and_unload"):
        raise ModelError("There is nothing to merge: the model has no adapter.")
    if getattr(model, "is_loaded_in_4bit", False):
        raise ModelError(
            "The base is held in 4 bits, and merging into them would round the adapter away. Load "
            "the adapter's folder without bits=4, and merge that."
        )
    prompts = prompts or ["Say hello.", "Count from one to ten:", "def add(a, b):"]
    before, said = _look(model, tokenizer, prompts)
    merged = model.merge_and_unload(safe_merge=True)
    after, says = _look(merged, tokenizer, prompts)
    differences = [
        (a - b).abs().max().item() / max(a.abs().max().item(), 1e-9)
        for a, b in zip(before, after, strict=True)
    ]
    return merged, Agreement(max(differences), said == says)


def logits_of(model: Any, ids: list[int]) -> Any:
    """Return a text's logits, shape (tokens, vocabulary), in float32 on the CPU."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float().cpu()


def _look(model: Any, tokenizer: Any, prompts: list[str]) -> tuple[list[Any], list[str]]:
    """Return each prompt's logits, and the answers to them."""
    from ftlab.generation import generate

    messages = [[{"role": "user", "content": prompt}] for prompt in prompts]
    logits = [logits_of(model, tokenizer(prompt)["input_ids"]) for prompt in prompts]
    return logits, generate(model, tokenizer, messages, max_new_tokens=24)


def check_saved(folder: Path, model: Any, input_ids: list[int], *, bits: int | None = None) -> None:
    """Load what was saved, and compare its logits on a text with those of the model that it is of.

    Args:
        folder: what was saved.
        model: the model in memory, without autocast around it.
        input_ids: the text.
        bits: 4 where the base is held in 4 bits.

    Raises:
        ModelError: they differ by more than rounding: a lost head, another base, a wrong adapter.
    """
    from ftlab import models
    from ftlab.hardware import profile

    saved, _ = models.load(folder, bits=bits)
    # Half precision on a GPU and 4 bits round; a wrong adapter is off by whole units.
    tolerance = 1e-3 if profile().device == "cpu" and bits is None else 0.5
    worst = (logits_of(model, input_ids) - logits_of(saved, input_ids)).abs().max().item()
    if not worst <= tolerance:
        raise ModelError(
            f"What was saved in {folder} is not what was in memory: its logits differ by "
            f"{worst:.2g}. Do not use it; please report this."
        )
