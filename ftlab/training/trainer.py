"""The trainer of `ftlab.training.sft`: TRL's, with logits only where a token carries loss."""

import types
import warnings
from dataclasses import fields
from typing import Any

from ftlab.training.heads import is_plain
from ftlab.training.order import Order


def build(
    model: Any,
    tokenizer: Any,
    rows: list[dict],
    held_out: list[dict] | None,
    adapter: Any,
    settings: dict[str, Any],
    folder: str,
    watch: Any,
) -> Any:
    """Build the SFTTrainer.

    Args:
        model: a causal LM.
        tokenizer: its tokenizer.
        rows: `input_ids` and `labels` to train on.
        held_out: the same to measure the loss on after each epoch, if any.
        adapter: a LoraConfig, or None.
        settings: batch_size, epochs, learning_rate and seed.
        folder: where TRL may write.
        watch: the callback.
    """
    import logging

    # imported by peft; on a CPU it says that an optional kernel is missing, to no use here
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from datasets import Dataset
    from transformers import set_seed
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from ftlab.hardware import profile

    machine = profile()
    dtype, size = machine.dtype, settings["batch_size"]
    plain = is_plain(model)
    lengths = [len(row["input_ids"]) for row in rows]
    blank = {"input_ids": rows[0]["input_ids"][:1], "labels": [-100]}
    if held_out:  # whole batches, so that each token counts alike
        held_out = held_out + [blank] * (-len(held_out) % size)
        tokens = sum(label != -100 for row in held_out for label in row["labels"])
        per_batch = tokens / len(held_out) * size

    class Trainer(SFTTrainer):
        """SFTTrainer with batches of like length, and logits only where a token carries loss."""

        def _get_train_sampler(self, *_: Any) -> Any:
            return Order(lengths, size, settings["seed"], lambda: self.state)

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            if not model.training:  # the mean over batches is then that over all tokens
                num_items_in_batch = per_batch
            if not plain:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"]
            given = {name: value for name, value in inputs.items() if name != "labels"}
            total = model(**given, summed_loss_of=labels)
            count = num_items_in_batch or (labels[:, 1:] != -100).sum()
            loss = total / count
            return (loss, {"loss": loss}) if return_outputs else loss

    names = {f.name for f in fields(SFTConfig)}  # renamed in transformers 5.2x
    new = "activation_checkpointing" in names
    checkpointing: dict[str, Any] = {
        "activation_checkpointing" if new else "gradient_checkpointing": False
    }
    arguments = SFTConfig(
        output_dir=folder,
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=size,
        per_device_eval_batch_size=size,
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(0.05 * settings["epochs"] * len(rows) / size)),
        weight_decay=0.01,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        use_cpu=machine.device == "cpu",
        **checkpointing,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        eval_strategy="epoch" if held_out else "no",
        prediction_loss_only=True,
        seed=settings["seed"],
        data_seed=settings["seed"],
        dataloader_pin_memory=False,
    )
    set_seed(settings["seed"])  # of the adapter's first weights; TRL does it itself from 1.15 on
    with warnings.catch_warnings():  # peft asks transformers by a name that is going away
        warnings.filterwarnings(
            "ignore", message=".*gradient_checkpointing", category=FutureWarning
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list(held_out) if held_out else None,
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[watch],
        )
    trainer.remove_callback(PrinterCallback)
    if getattr(model, "is_loaded_in_4bit", False) and dtype != "bfloat16":
        # TRL puts adapters beside 4-bit weights into bf16, as the paper does: a CPU without fast
        # bf16 takes three times as long with them, and float16's loss scaling fails.
        tuned: Any = trainer.model
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    if plain:
        sum_losses(getattr(trainer.model, "get_base_model", lambda: trainer.model)())
    return trainer


def sum_losses(model: Any) -> None:
    """Let the model's forward, asked with `summed_loss_of=labels`, return their loss alone.

    Logits are computed only where a label is.
    """
    import torch

    usual = model.forward

    def forward(self: Any, *args: Any, summed_loss_of: Any = None, **kwargs: Any) -> Any:
        if summed_loss_of is None:
            return usual(*args, **kwargs)
        labels = summed_loss_of[:, 1:]
        where = labels != -100
        given = {name: value for name, value in kwargs.items() if value is not None}
        hidden = self.model(*args, **given | {"use_cache": False}).last_hidden_state
        logits = self.lm_head(hidden[:, :-1][where]).float()
        return torch.nn.functional.cross_entropy(logits, labels[where], reduction="sum")

    model.forward = types.MethodType(forward, model)
