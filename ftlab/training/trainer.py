"""The trainer: the only place where TRL's constructors are called."""

import warnings
from dataclasses import fields
from typing import Any

from ftlab.training import survival
from ftlab.training.order import Order

SCALED = (  # models that do more than lm_head(hidden), or add a loss: TRL's own way serves them
    "final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier",
    "output_multiplier", "output_router_logits",
)  # fmt: skip


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
    """Build the SFTTrainer: the only place where TRL's constructors are called."""
    import logging

    # imported by peft; on a CPU it says that an optional kernel is missing, to no use here
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from ftlab.hardware import profile

    plain = hasattr(model, "model") and hasattr(model, "lm_head")
    plain = plain and not any(getattr(model.config, name, None) for name in SCALED)
    lengths = [len(row["input_ids"]) for row in rows]

    class Trainer(SFTTrainer):
        """SFTTrainer with batches of like length, and logits only where a token carries loss."""

        def _get_train_sampler(self, *_: Any) -> Any:
            return Order(lengths, settings["batch_size"], settings["seed"], lambda: self.state)

        def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
            with survival.saving(self, watch):
                super()._save_checkpoint(*args, **kwargs)

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            if not plain:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            causal = self.accelerator.unwrap_model(model)
            causal = causal.get_base_model() if hasattr(causal, "peft_config") else causal
            labels = inputs["labels"][:, 1:]
            where = labels != -100
            with self.accelerator.autocast():
                hidden = causal.model(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    use_cache=False,
                ).last_hidden_state[:, :-1][where]
                logits = causal.lm_head(hidden).float()
            count = where.sum() if num_items_in_batch is None else num_items_in_batch
            loss = torch.nn.functional.cross_entropy(logits, labels[where], reduction="sum") / count
            return (loss, {"loss": loss}) if return_outputs else loss

    machine = profile()
    names = {f.name for f in fields(SFTConfig)}  # renamed in transformers 5.2x
    new = "activation_checkpointing" in names
    checkpointing: dict[str, Any] = {
        "activation_checkpointing" if new else "gradient_checkpointing": False
    }
    arguments = SFTConfig(
        output_dir=folder,
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"],
        per_device_eval_batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(0.05 * settings["epochs"] * len(rows) / settings["batch_size"])),
        weight_decay=0.01,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=machine.dtype == "bfloat16",
        fp16=machine.dtype == "float16",
        use_cpu=machine.device == "cpu",
        **checkpointing,
        max_length=None,
        packing=False,
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
    return trainer
