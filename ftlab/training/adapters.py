"""Merging: an adapter folded into its base, W + (alpha / r) B A, and checked that nothing changed.

An adapter costs a little at every token; a merged model does not, and every server can load it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError

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
