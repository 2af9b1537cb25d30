"""Lesson 04: its T4 recipe trains, its tables hold what it reads, and its pictures show it."""

import math
import re
from pathlib import Path

import build_lessons as build
import pandas
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

import ftlab
from ftlab import data, hardware
from ftlab.files import data_path
from ftlab.teaching import plots_weights
from ftlab.teaching.exercises import find
from ftlab.training.shapes import SHAPES

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "notebooks/source/04_lora_and_qlora.py").read_text(encoding="utf-8")
CONFIGS = sorted((ROOT / "configs/accelerate").glob("*.yaml"))


def cells(start):
    """Return the code of the lesson's cells that begin with a text, solved."""
    notebook = build.make(SOURCE, lesson="04", solved=True)
    return [c.source for c in notebook.cells if c.cell_type == "code" and start in c.source]


@pytest.mark.parametrize(
    ("name", "billions"),
    [("Qwen2.5-0.5B", 0.494), ("Llama-3.2-1B", 1.236), ("Qwen2.5-1.5B", 1.544),
     ("Llama-3-8B", 8.03), ("LLaMA-65B", 65.29)],
)  # fmt: skip
def test_the_shapes_are_those_of_models_of_that_size(name, billions):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**SHAPES[name]))
    assert model.num_parameters() / 1e9 == pytest.approx(billions, rel=1e-3)


@pytest.mark.parametrize("budget", [3_000, 40_000])
def test_the_budget_of_the_exercise_is_what_peft_trains(make_model, budget):
    from peft import get_peft_model

    shapes = {"q_proj": (32, 32), "v_proj": (32, 16)}
    trained = []
    for factor in (1, 2):
        config = find("04.2").solution(budget, 2, shapes)
        config.r *= factor
        model = get_peft_model(make_model("chatml")[0], config)
        trained.append(model.get_nb_trainable_parameters()[0])
    assert trained[0] <= budget < trained[1]


@pytest.fixture
def recipe():
    """Return the names of the lesson's T4 cells, executed here."""
    import peft
    import trl

    names = {
        "hardware": hardware, "torch": torch, "PROFILE": hardware.profile(),
        "ftlab": ftlab, "AutoModelForCausalLM": AutoModelForCausalLM,
        "LoraConfig": peft.LoraConfig, "SFTTrainer": trl.SFTTrainer, "Dataset": Dataset,
        "BitsAndBytesConfig": BitsAndBytesConfig,
    }  # fmt: skip
    for code in [*cells("T4_BASE = "), *cells("def t4_trainer")]:
        exec(code.partition("\nif PROFILE.device")[0], names)
    return names


def test_the_recipe_for_a_t4_is_right_for_one(recipe):
    args, four = recipe["T4_ARGS"], recipe["T4_FOUR_BIT"]
    assert args.fp16 and not args.bf16 and args.gradient_checkpointing
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 16
    assert (four.bnb_4bit_quant_type, four.bnb_4bit_compute_dtype) == ("nf4", torch.float16)
    assert "1.5B" in recipe["T4_BASE"] and args.max_length == 1024


@pytest.mark.skipif(not hardware.four_bit_works("cpu")[0], reason="no 4 bits on this CPU")
def test_the_recipe_trains_a_tiny_qwen_with_adapters_in_float32(
    recipe, save_model, packable, tmp_path
):
    folder = save_model("qwen2.5", **packable)
    # On a CPU accelerate has no loss scaling; the rest is as on a T4.
    args = ftlab.sft_config(
        output_dir=str(tmp_path), max_steps=2, fp16=False, gradient_checkpointing=True,
        per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1e-2,
    )  # fmt: skip
    rows = [{k: data.example("Say hi!", "fox")[k] for k in ("prompt", "completion")}] * 4
    recipe["T4_FOUR_BIT"].bnb_4bit_compute_dtype = torch.float32
    trainer = recipe["t4_trainer"](str(folder), Dataset.from_list(rows), args)
    trained = {n: w for n, w in trainer.model.named_parameters() if w.requires_grad}
    assert trained and {w.dtype for w in trained.values()} == {torch.float32}
    before = {name: weight.detach().clone() for name, weight in trained.items()}
    assert math.isfinite(trainer.train().training_loss)
    assert any(not torch.equal(before[name], weight) for name, weight in trained.items())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_each_file_for_several_gpus(path):
    config = load_config_from_file(str(path))
    assert config.num_processes == 2
    kinds = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero3": "DEEPSPEED"}
    assert config.distributed_type == kinds[path.stem]
    assert f"`{path.name}`" in SOURCE


def test_the_lesson_quotes_the_file_for_fsdp2():
    said = yaml.safe_load((ROOT / "configs/accelerate/fsdp2.yaml").read_text(encoding="utf-8"))
    said |= said.pop("fsdp_config")
    quoted = re.findall(r"^#  +(\w+): (\w+)", SOURCE, flags=re.M)
    assert len(quoted) >= 4
    assert all(str(said[name]).lower() == value.lower() for name, value in quoted)


def test_the_grid_has_every_run_that_the_lesson_reads():
    path = data_path("grids/adapters.csv")
    head = path.read_text(encoding="utf-8").splitlines()[0]
    assert all(word in head for word in ("adapters.py", "torch=", "one thread"))
    grid = pandas.read_csv(path, comment="#")
    asked = set(re.findall(r'gap\("([^"]+)", "([^"]+)"', SOURCE))
    names = {name for pair in asked for name in pair}
    methods = re.search(r"METHODS = (\[.*?\])", SOURCE)[1]
    assert names | set(re.findall(r'"([^"]+)"', methods)) <= set(grid.name)
    for column, count in (("f1_items", 50), ("general_items", 16)):
        assert {len(text.split()) for text in grid[column]} == {count}
    nums, dens = zip(*(map(float, p.split("/")) for p in grid.f1_items[0].split()), strict=True)
    assert sum(nums) / sum(dens) == pytest.approx(grid.f1[0], abs=1e-4)
    layers = pandas.read_csv(data_path("grids/adapters_layers.csv"), comment="#")
    assert {"full", "lora", "lora, 30 layers"} <= set(layers.name)


def test_lines_show_every_point_and_the_levels_across():
    picture = plots_weights.lines(
        {"full": {1: 2.0, 8: 1.0}, "LoRA": {1: 3.0, 8: 1.5}},
        title="Rank", xlabel="rank", ylabel="nats", log="x", across={"base": 4.0},
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[2.0, 1.0], [3.0, 1.5]]
    assert axes.get_xscale() == "log" and axes.get_yscale() == "linear"
    assert picture.alt == (
        "Lines over rank, nats: full: 1 2, 8 1; LoRA: 1 3, 8 1.5; base: 4 across."
    )
    assert picture.png().startswith(b"\x89PNG")


def test_levels_say_where_the_weights_are():
    picture = plots_weights.levels(
        [-1.0, -0.1, 0.0, 0.2], {"even": [-1, 0, 1], "NF4": [-1, -0.1, 0.1, 1]}, title="Levels"
    )
    (axes,) = picture.figure.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[-1, 0, 1], [-1, -0.1, 0.1, 1]]
    assert "75% lie nearer to 0" in picture.alt and "4 levels of NF4" in picture.alt
    assert picture.png()


def test_stacked_parts_begin_where_the_part_before_ends():
    picture = plots_weights.stacked(
        {"full": {"weights": 3.0, "optimiser": 6.0}, "lora": {"weights": 3.5, "optimiser": 0.5}},
        title="Memory", xlabel="MB",
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [bar.get_x() for bar in axes.containers[1]] == [3.0, 3.5]
    assert "full 9 (weights 3, optimiser 6)" in picture.alt
    assert picture.png()
