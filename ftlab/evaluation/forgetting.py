"""What a fine-tune forgot: how well the model still predicts general text, in bits per character.

    bits per character = sum of -log2 p(token | those before it) / characters of these tokens

Characters, because tokenizers cut text differently (Gao et al., The Pile, 2020, section 3.1, does
the same with bytes). Lower is better. The text is `general.txt`, sixteen short passages of many
kinds written for this purpose. A small set: it shows damage, not nuances.

>>> [kind for kind, _ in general_text()][:3]
['story', 'letter', 'recipe']
"""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.errors import DataError
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap
from ftlab.files import read_text
from ftlab.generation import context_length
from ftlab.tasks import Ratio


@functools.cache
def general_text() -> tuple[tuple[str, str], ...]:
    """Return the passages of general text, each with its kind."""
    parts = read_text(Path(__file__).with_name("general.txt")).split("## ")[1:]
    pairs = (part.split("\n", 1) for part in parts)
    return tuple((kind, text.strip()) for kind, text in pairs)


def bits_per_character(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[Ratio]:
    """Return the bits and the characters of each text, as a causal LM reads it without a template.

    The first token is predicted from the tokenizer's bos where it has one; elsewhere it is given,
    and neither its bits nor its characters count. What does not fit the context is left out.

    Raises:
        DataError: a text has fewer than two tokens.
    """
    import torch

    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    context = context_length(model)
    found = []
    training = model.training
    model.eval()
    for text in texts:
        ids = [*begin, *tokenizer(text, add_special_tokens=False)["input_ids"]][:context]
        if len(ids) < 2:
            raise DataError(f"{text!r} is too short to be predicted: give a text of a few words.")
        tokens = torch.tensor([ids], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=tokens).logits[0, :-1].float()
        nats = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
        found.append(Ratio(nats / math.log(2), len(tokenizer.decode(ids[1:]))))
    model.train(training)
    return found


def forgotten(general: Mapping[str, Sequence[Ratio]], *, seed: int = 0) -> dict[str, Any]:
    """Return each model's bits per character on the same texts, and the differences from the first.

    Args:
        general: model -> what `bits_per_character` gave for it.
        seed: of the bootstrap, which draws the texts.

    Returns:
        `models` (model -> figure with interval) and `differences` (every other model -> its figure
        less the first's; above zero is worse).
    """
    parts = {name: ([r.num for r in row], [r.den for r in row]) for name, row in general.items()}
    first = next(iter(parts.values()), ([], []))
    return {
        "models": {name: bootstrap(*part, seed=seed) for name, part in parts.items()},
        "differences": {name: paired_bootstrap(*first, *part, seed=seed)
                        for name, part in list(parts.items())[1:]},
    }  # fmt: skip
