"""The faster loss is TRL's own, step by step; where it cannot be, nothing is changed."""

import itertools
import warnings

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from trl import DPOTrainer, SFTTrainer
from trl.trainer import utils

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.training.config import dpo_config, sft_config
from ftlab.training.fast import SCALED, faster_on_cpu, is_plain, upper_half

WORDS = ["fox", "lazy dog", "capital of France", "return a + b", "Paris", "helpful assistant"]
ROWS = [data.example(f"Say {w}" * (1 + n % 3), f"{w} {n}!") for n, w in enumerate(WORDS * 3)]


@pytest.fixture
def train(make_model, tmp_path):
    """Return `train(fast, **settings) -> (losses, held-out losses, gradient norms)`."""

    def run(fast, *, lora=True, family="chatml", **settings):
        model, tokenizer = make_model(family)
        args = sft_config(
            output_dir=str(tmp_path / "out"), bf16=False, num_train_epochs=2, learning_rate=1e-2,
            per_device_train_batch_size=4, eval_strategy="epoch", **settings,
        )  # fmt: skip
        torch.manual_seed(0)  # of the adapter; not every TRL sets it before
        trainer = SFTTrainer(
            model, args=args, train_dataset=Dataset.from_list(ROWS[:-3]),
            eval_dataset=Dataset.from_list(ROWS[-3:]), processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear") if lora else None,
        )  # fmt: skip
        if fast:
            assert faster_on_cpu(trainer) is trainer
        trainer.train()
        log = trainer.state.log_history
        return (
            [line["loss"] for line in log if "loss" in line],
            [line["eval_loss"] for line in log if "eval_loss" in line],
            [line["grad_norm"] for line in log if "grad_norm" in line],
        )

    return run


@pytest.mark.parametrize(
    "settings",
    [{}, {"gradient_accumulation_steps": 3}, {"lora": False}, {"family": "gemma"}],
    ids=["lora", "accumulated", "full", "gemma"],
)
def test_losses_and_gradients_are_those_of_trl(train, capsys, settings):
    theirs, ours = train(False, **settings), train(True, **settings)
    assert len(theirs[0]) > 2 and len(theirs[1]) == 2 and theirs[0][-1] < theirs[0][0]
    for a, b in zip(theirs, ours, strict=True):
        assert b == pytest.approx(a, abs=1e-5, rel=1e-5)
    assert "changed nothing" not in capsys.readouterr().out


def test_the_output_layer_sees_supervised_positions_only(make_model, tmp_path):
    model, tokenizer = make_model()
    trainer = SFTTrainer(
        model, args=sft_config(output_dir=str(tmp_path), bf16=False, max_steps=1),
        train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
    )  # fmt: skip
    faster_on_cpu(trainer)
    shapes = []
    model.lm_head.register_forward_hook(lambda _, inputs, output: shapes.append(output.shape))
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(model, dict(batch))
    assert shapes == [((batch["labels"] != -100).sum(), model.config.vocab_size)]
    assert loss.item() == pytest.approx(model(**batch).loss.item(), abs=1e-5)
    batch["labels"][:] = -100  # nothing carries loss: no NaN
    loss = trainer.compute_loss(model, dict(batch))
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize("case", ["scaled", "label smoothing", "prompt tuning"])
def test_what_needs_every_logit_is_left_to_trl(make_model, tmp_path, capsys, case):
    model, tokenizer = make_model()
    if case == "scaled":
        model.config.logit_scale = 0.5
    if case == "prompt tuning":
        model = get_peft_model(
            model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
        )
    smoothing = 0.1 if case == "label smoothing" else 0.0
    with warnings.catch_warnings():
        if smoothing:
            warnings.simplefilter("ignore")  # of TRL, in newer releases
        trainer = SFTTrainer(
            model,
            args=sft_config(output_dir=str(tmp_path), label_smoothing_factor=smoothing),
            train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        )  # fmt: skip
    before = trainer.compute_loss
    faster_on_cpu(trainer)
    assert trainer.compute_loss == before
    assert capsys.readouterr().out.startswith("faster_on_cpu changed nothing: ")


@pytest.mark.parametrize("name", SCALED)
def test_what_scales_logits_or_adds_a_loss_is_not_plain(make_model, name):
    model = make_model()[0]
    assert is_plain(model) and not is_plain(model.model)
    setattr(model.config, name, 2.0)
    assert not is_plain(model)


def test_upper_half_puts_adapters_on_the_upper_layers_and_stops_the_gradient(make_model):
    model, _ = make_model(num_hidden_layers=5)
    half = upper_half(model)
    assert half["layers_to_transform"] == [2, 3, 4]
    assert {"q_proj", "down_proj"} <= set(half["target_modules"])
    assert "lm_head" not in half["target_modules"]
    adapted = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM", **half))
    trained = {name.split(".layers.")[1][0] for name, p in adapted.named_parameters()
               if p.requires_grad}  # fmt: skip
    assert trained == {"2", "3", "4"}
    flat = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="all-linear"):
        upper_half(flat)


def test_pairs_have_the_losses_of_trl_with_the_prompts_left_out(make_model, tmp_path, monkeypatch):
    rows = [{"prompt": row["prompt"], "chosen": row["completion"], "rejected": other["completion"]}
            for row, other in itertools.pairwise(ROWS)]  # fmt: skip
    if not hasattr(utils, "_use_triton"):
        pytest.skip("this TRL computes DPO in another way")
    logs, asked = [], []
    for fast in (False, True):
        monkeypatch.setattr(utils, "_use_triton", utils._use_triton)  # put back in the end
        model, tokenizer = make_model("chatml")
        args = dpo_config(output_dir=str(tmp_path), bf16=False, max_steps=3, learning_rate=1e-2)
        trainer = DPOTrainer(
            model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear"),
        )  # fmt: skip
        if fast:
            assert faster_on_cpu(trainer) is trainer
        asked.append(utils._use_triton(torch.device("cpu")))
        trainer.train()
        logs.append([line["loss"] for line in trainer.state.log_history if "loss" in line])
    assert asked == [False, True]
    assert logs[1] == pytest.approx(logs[0], abs=1e-5) and logs[0][-1] != pytest.approx(logs[0][0])
