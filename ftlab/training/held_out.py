"""The loss of records that were not trained on, measured at any moment and by no trainer."""

from collections.abc import Sequence
from typing import Any

from ftlab import data
from ftlab.tasks import Ratio
from ftlab.training.heads import is_plain

__all__ = ["nats"]


def nats(
    model: Any, tokenizer: Any, records: Sequence[data.Row], *, batch_size: int = 8
) -> list[Ratio]:
    """Return what each record's answer costs the model: its nats over its supervised tokens.

    Args:
        model: a causal LM, or an adapter on one; left as it was, also in the midst of training.
        tokenizer: its tokenizer.
        records: what to measure on.
        batch_size: records at once; memory grows with it, the loss does not depend on it.

    Returns:
        For each record the sum of -ln p over its supervised tokens, and their number; nan or
        infinity where the model is broken.

    Raises:
        DataError: no records, or one that does not fit or carries no loss.
    """
    import torch

    from ftlab.hardware import profile
    from ftlab.training import sft

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    longest = getattr(causal.config.get_text_config(), "max_position_embeddings", 1024)
    rows = sft.prepare(tokenizer, records, max_length=longest)
    order = sorted(range(len(rows)), key=lambda k: len(rows[k]["input_ids"]))
    plain = is_plain(causal)
    device, mixed = causal.device, profile().dtype
    training, found = model.training, [Ratio(0, 0)] * len(rows)
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(
            device.type, dtype=getattr(torch, mixed), enabled=mixed != "float32"
        ):  # fmt: skip
            for start in range(0, len(rows), batch_size):
                places = order[start : start + batch_size]
                part = [rows[place] for place in places]
                ids, labels, mask = (
                    torch.nn.utils.rnn.pad_sequence(
                        [torch.tensor(row[key]) if key else torch.ones(len(row["labels"])).long()
                         for row in part],
                        batch_first=True, padding_value=fill,
                    ).to(device)
                    for key, fill in (("input_ids", 0), ("labels", -100), ("", 0))
                )  # fmt: skip
                where = labels[:, 1:] != -100
                how = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
                if plain:  # logits only where they are wanted
                    hidden = causal.model(**how).last_hidden_state[:, :-1][where]
                    logits = causal.lm_head(hidden)
                else:
                    logits = causal(**how).logits[:, :-1][where]
                each = torch.zeros(where.shape, device=device)
                each[where] = torch.nn.functional.cross_entropy(
                    logits.float(), labels[:, 1:][where], reduction="none"
                )
                sums, counts = each.sum(1).tolist(), where.sum(1).tolist()
                for place, total, count in zip(places, sums, counts, strict=True):
                    found[place] = Ratio(total, count)
    finally:
        model.train(training)
    return found
