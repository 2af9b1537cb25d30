"""The configurations: TRL's own classes, this machine's defaults, and what a keyword changes."""

import dataclasses

import pytest
import trl

from ftlab import hardware
from ftlab.errors import ConfigError
from ftlab.files import read_data
from ftlab.training import config

BUILD = {"sft": config.sft_config, "dpo": config.dpo_config, "grpo": config.grpo_config}


@pytest.fixture
def machine(monkeypatch):
    """Return `be(name, device, dtype)`: the configurations are made as on such a machine."""

    def be(**changes):
        found = dataclasses.replace(hardware.profile(), **changes)
        monkeypatch.setattr(config, "profile", lambda: found)

    return be


@pytest.mark.parametrize("kind", BUILD)
def test_a_config_is_trls_own_class_with_checkpointing_off_on_a_cpu(kind, machine):
    machine(device="cpu", dtype="float32")
    args = BUILD[kind]()
    assert type(args) is getattr(trl, f"{kind.upper()}Config")
    assert args.use_cpu and not args.bf16 and not args.fp16
    assert not args.gradient_checkpointing and not getattr(args, "activation_checkpointing", False)
    assert args.disable_tqdm and args.report_to == [] and args.save_strategy == "no"
    assert not args.dataloader_pin_memory and args.logging_steps == 1
    if kind != "grpo":
        assert args.max_length is None
    assert args.learning_rate == type(args).__dataclass_fields__["learning_rate"].default


@pytest.mark.parametrize("name", ["gradient_checkpointing", "activation_checkpointing"])
def test_checkpointing_is_asked_for_by_either_name(name, machine):
    machine(device="cpu", dtype="float32")
    args = config.sft_config(**{name: True})
    assert getattr(args, "activation_checkpointing", args.gradient_checkpointing)


@pytest.mark.parametrize(
    ("dtype", "bf16", "fp16"),
    [("bfloat16", True, False), ("float16", False, True), ("float32", False, False)],
)
def test_half_precision_follows_the_profile(dtype, bf16, fp16, machine):
    machine(device="cpu", dtype=dtype)
    args = config.sft_config()
    assert (args.bf16, args.fp16) == (bf16, fp16)
    other = config.sft_config(bf16=True)
    assert other.bf16 and not other.fp16
    other = config.sft_config(fp16=True)
    assert other.fp16 and not other.bf16


def test_on_a_gpu_trl_keeps_its_checkpointing(machine):
    machine(device="cuda", dtype="bfloat16")
    args = config.sft_config(use_cpu=True)  # there is none here
    assert args.gradient_checkpointing and args.bf16


def test_every_default_gives_way_to_a_keyword(machine):
    machine(device="cpu", dtype="float32")
    args = config.sft_config(
        gradient_checkpointing=True, max_length=64, save_strategy="epoch", output_dir="x",
        train_sampling_strategy="random", disable_tqdm=False, logging_steps=7, learning_rate=3e-4,
    )  # fmt: skip
    assert args.gradient_checkpointing and args.max_length == 64 and args.output_dir == "x"
    assert args.save_strategy == "epoch" and args.train_sampling_strategy == "random"
    assert not args.disable_tqdm and args.logging_steps == 7 and args.learning_rate == 3e-4
    # a run with checkpoints can go on: its order must not depend on where it was stopped
    assert config.sft_config(save_strategy="epoch").train_sampling_strategy == "random"
    assert config.sft_config().train_sampling_strategy == "group_by_length"
    assert config.sft_config(packing=True).max_length == 1024  # a pack needs a length


def test_a_wrong_keyword_or_value_is_named_with_what_is_near():
    with pytest.raises(ConfigError, match=r"no field 'num_epochs'.*num_train_epochs"):
        config.sft_config(num_epochs=3)
    with pytest.raises(ConfigError, match=r"DPOConfig.*'betas'.*beta"):
        config.dpo_config(betas=0.1)
    with pytest.raises(ConfigError, match=r"SFTConfig does not take this.*sometimes"):
        config.sft_config(save_strategy="sometimes")


def test_explain_lists_what_differs_from_trl_with_the_reason(machine):
    machine(device="cpu", dtype="float32", reasons={"dtype": "timed"})
    lines = config.explain(config.sft_config(learning_rate=1e-3)).splitlines()
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["bf16"].split()[1:] == ["False", "True", "timed"]
    assert rows["learning_rate"].split()[1:3] == ["0.001", "2e-05"]
    assert "max_length" in rows and "optim" not in rows and "output_dir" not in rows


def test_rates_fall_with_size_and_lora_takes_about_ten_times_the_full_rate():
    for method, rows in read_data("learning_rates.yaml").items():
        sizes = [row["parameters"] for row in rows]
        assert sizes == sorted(sizes) and sizes[-1] == float("inf"), method
        usual = [row["usual"] for row in rows]
        assert usual == sorted(usual, reverse=True), method
        assert all(row["low"] < row["usual"] < row["high"] and row["source"] for row in rows)
    for size in (135e6, 5e8, 1.5e9, 8e9):
        ratio = config.learning_rate("lora", size).usual / config.learning_rate("full", size).usual
        assert 5 <= ratio <= 20
    assert config.learning_rate("qlora", 7e9).usual == 2e-4  # as in its paper
    assert config.learning_rate("qlora", 65e9).usual == 1e-4
    assert config.learning_rate("lora", 1e9)[:3] == (1e-4, 2e-4, 5e-4)
    with pytest.raises(ConfigError, match="'lora'"):
        config.learning_rate("lorra", 1e9)
