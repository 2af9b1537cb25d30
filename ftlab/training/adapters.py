"""Switching adapters: one base in memory, and a small adapter for each task.

    adapters = Adapters("ftlab-7m", {"tickets": "runs/triage", "kind": "runs/kindness"})
    with adapters("json") as model:
        generate(model, adapters.tokenizer, prompts)
    with adapters(None) as model:               # the base, with no adapter
        generate(model, adapters.tokenizer, prompts)

`merge` folds an adapter into its base, W + (alpha / r) B A, and checks that nothing changed: an
adapter costs a little at every token, a merged model does not, and every server can load it.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, ModelError, first_line, raise_unknown

Name = str | os.PathLike[str]
TOLERANCE = 2e-3
"""Largest difference of two logits, as a share of the largest logit, that float32 explains."""


class Adapters:
    """One base model with several adapters, of which at most one is on at a time.

    Args:
        base: a shipped name, a folder, or a hub id.
        adapters: folders of LoRA adapters of that base, by the names they will have here.
        load: further arguments of `ftlab.models.load`, such as `device`.

    Raises:
        ModelError: an adapter cannot be read, or does not fit the base.
        ConfigError: there is no adapter.
    """

    def __init__(self, base: Name, adapters: Mapping[str, Name], **load: Any):
        from peft import PeftModel

        from ftlab import models

        if not adapters:
            raise ConfigError("Adapters wants at least one adapter, as {name: folder}.")
        model, self.tokenizer = models.load(base, **load)
        for name, folder in adapters.items():
            if not (Path(folder) / "adapter_config.json").exists():
                raise ModelError(f"{folder} is no adapter: it has no adapter_config.json.")
            models.locate(folder)  # refuses pickled weights, which peft would open
            try:
                with models.quiet():
                    if isinstance(model, PeftModel):
                        model.load_adapter(str(folder), adapter_name=name)
                    else:
                        model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                raise ModelError(
                    f"The adapter in {folder} does not fit {base}: {first_line(error)}"
                ) from error
        self.model = model.eval()
        self.names = tuple(adapters)

    @contextlib.contextmanager
    def __call__(self, name: str | None) -> Iterator[Any]:
        """Switch one adapter on, or none, for the length of a `with` block."""
        if name is None:
            with self.model.disable_adapter():
                yield self.model
            return
        if name not in self.names:
            raise_unknown("adapter", name, self.names)
        before = self.model.active_adapter
        self.model.set_adapter(name)
        try:
            yield self.model
        finally:
            self.model.set_adapter(before)


@dataclass(frozen=True)
class Agreement:
    """How far a merged model is from the one with its adapter beside it."""

    difference: float
    """Largest difference of two logits, as a share of the largest logit."""
    same_text: bool
    """Whether both write the same answers, greedily."""
    tolerance: float = TOLERANCE

    def __bool__(self) -> bool:
        return self.same_text and self.difference <= self.tolerance

    def __str__(self) -> str:
        text = "the same answers" if self.same_text else "OTHER ANSWERS"
        return (
            f"logits differ by {self.difference:.1e} of the largest at most "
            f"(allowed: {self.tolerance:.0e}); {text}"
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
    before = _look(model, tokenizer, prompts)
    merged = model.merge_and_unload(safe_merge=True)
    after = _look(merged, tokenizer, prompts)
    differences = [
        (a - b).abs().max().item() / max(a.abs().max().item(), 1e-9)
        for a, b in zip(before[0], after[0], strict=True)
    ]
    return merged, Agreement(max(differences), before[1] == after[1])


def _look(model: Any, tokenizer: Any, prompts: list[str]) -> tuple[list[Any], list[str]]:
    """Return each prompt's logits, shape (tokens, vocabulary), and the answers to them."""
    import torch

    from ftlab.generation import generate

    messages = [[{"role": "user", "content": prompt}] for prompt in prompts]
    logits = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(model.device)
        with torch.no_grad():
            logits.append(model(input_ids=ids).logits[0].float().cpu())
    return logits, generate(model, tokenizer, messages, max_new_tokens=24)
