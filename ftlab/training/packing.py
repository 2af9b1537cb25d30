"""Packing: the records of a batch end to end in one row, with no padding between them.

    padded    a a a a a a        packed    a a a a a a b b c c c
              b b . . . .                  0 1 2 3 4 5 0 1 0 1 2    positions start again
              c c c . . .

It changes nothing that is learned, as long as no record is read with the one before it in mind.
FlashAttention takes the boundaries from the positions; so do the masks that transformers makes for
its other attention, at the price of a mask as large as the row's length squared. A recurrent layer
may carry its state across. So it is not believed but tried, on the model that is to be trained.
"""

from typing import Any

from ftlab.errors import ConfigError

LEAK = 0.05  # of what a real leak would change; rounding in bf16 changes less


def check(model: Any, collate: Any, rows: list[dict]) -> None:
    """Make sure that packed records do not see each other.

    Args:
        model: a causal LM, on its device.
        collate: the trainer's collator, which makes one row of several.
        rows: `input_ids` and `labels`; the two shortest are tried.

    Raises:
        ConfigError: the second of two packed records is read with the first in mind.
    """
    import torch

    from ftlab.hardware import profile

    if len(rows) < 2:
        return
    before, after = sorted(rows, key=lambda row: len(row["input_ids"]))[:2]
    machine = profile()

    def read(inputs: dict[str, Any]) -> Any:
        """Return the logits of the second record, shape (tokens, vocabulary)."""
        inputs = {
            key: value.to(model.device) if torch.is_tensor(value) else value
            for key, value in inputs.items()
            if key != "labels"
        }
        precision = torch.autocast(
            model.device.type, getattr(torch, machine.dtype), enabled=machine.dtype != "float32"
        )
        with torch.no_grad(), precision:
            return model(**inputs, use_cache=False).logits[0, -len(after["input_ids"]) :].float()

    alone = read(collate([after]))
    packed = collate([before, after])
    difference = (read(packed) - alone).abs().max().item()
    leak = (read({"input_ids": packed["input_ids"]}) - alone).abs().max().item()
    if difference > LEAK * leak:
        raise ConfigError(
            f"packing would let records see each other: {type(model).__name__} with "
            f"{model.config._attn_implementation!r} attention reads a record that is packed behind "
            f"another differently than alone (logits differ by {difference:.2g}; with no boundary "
            f"at all, by {leak:.2g}). Leave packing out: batches of like length waste little."
        )
