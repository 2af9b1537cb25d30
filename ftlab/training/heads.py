"""Which models turn hidden states into logits by their `lm_head` alone.

For those the logits can be computed where a token carries loss, and nowhere else.
"""

from typing import Any

__all__ = ["is_plain"]

SCALED = (  # models that do more than lm_head(hidden), or add a loss: TRL's own way serves them
    "final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier",
    "output_multiplier", "output_router_logits",
)  # fmt: skip


def is_plain(model: Any) -> bool:
    """Say whether a causal LM's logits are `lm_head(hidden)`, and its loss has no other part."""
    if not (hasattr(model, "model") and hasattr(model, "lm_head")):
        return False
    return not any(getattr(model.config, name, None) for name in SCALED)
