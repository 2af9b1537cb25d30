"""One run in two processes (gloo, on a CPU) is the run of one, and its ends are met together."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

from ftlab import models
from ftlab.errors import TrainingError
from ftlab.records import Record, write
from ftlab.training import processes, sft, survival

CONFIGS = Path(__file__).parents[2] / "configs" / "accelerate"
WORDS = ("fox", "dog", "capital", "Paris", "hi", "lazy", "brown")
RECORDS = [Record.of(f"Say {w}!", f"the {w} " * (1 + i % 3)) for i, w in enumerate(WORDS)]
HELD_OUT = [Record.of(f"Say {w}!", f"the {w}" * n) for n, w in enumerate(("jumps", "over", "I"), 1)]
SETTINGS = {"epochs": 3, "batch_size": 4, "seed": 3, "learning_rate": 5e-3}
STEPS = 6
CLOSE = {"rel": 1e-5}  # sums of float32 in another order, over six steps of Adam

# What each of the two does; every scenario leaves what it saw in a file of its own.
CHILD = """
import json, os, signal, sys
from pathlib import Path
import ftlab.hardware
ftlab.hardware.bf16_speedup = lambda **_: 1.0
import torch
from ftlab import cli, models
from ftlab.errors import ConfigError, TrainingError
from ftlab.training import processes, sft
from ftlab.training.trainer import sum_losses
sys.path.insert(0, sys.argv[1])
from test_processes import HELD_OUT, RECORDS, SETTINGS
base, home = sys.argv[2], Path(sys.argv[3])

def go(**settings):
    told = []
    run = sft.train(*models.load(base, dtype="float32"), RECORDS, eval_records=HELD_OUT,
                    on_step=lambda step, *_: told.append(step),
                    on_start=lambda line: line.startswith("predicted:") or told.append(line),
                    **(SETTINGS | settings))
    return run, told

tokenizer = models.tokenizer(base)

def note(name, **seen):
    (home / f"{name}-{processes.rank()}.json").write_text(json.dumps(seen))

def fails(name, **settings):
    try:
        go(**settings)
    except (ConfigError, TrainingError) as error:
        note(name, error=str(error))

processes.join()
run, told = go(gradient_accumulation=2)
run.save(home / "whole")
note("whole", history=run.history, evals=run.evals, told=told)

fails("uneven", batch_size=3)

loss, calls = torch.nn.functional.cross_entropy, []
def interrupted(*args, **kwargs):  # one of the two is told to stop, in the third step
    calls.append(1)
    if len(calls) == 4 and processes.rank() == 1:  # one was the held-out loss
        os.kill(os.getpid(), signal.SIGINT)
    return loss(*args, **kwargs)
torch.nn.functional.cross_entropy = interrupted
fails("stopped", checkpoints=home / "kept")
torch.nn.functional.cross_entropy = loss

save = torch.save
def full(what, path, *args, **kwargs):  # the disk of one of the two is full
    if "rng_state_1" in str(path):
        raise OSError(28, "No space left on device")
    return save(what, path, *args, **kwargs)
torch.save = full
fails("full", checkpoints=home / "kept")
torch.save = save

run, told = go(checkpoints=home / "kept")
note("resumed", history=run.history, evals=run.evals, told=[t for t in told if t != 1])

run, _ = go(early_stopping=1, epochs=9, learning_rate=5e-2)
note("early", steps=run.steps, evals=run.evals, eval_loss=run.eval_loss,
     total=sum(p.double().sum().item() for p in run.model.parameters()))

from torch.distributed.fsdp import fully_shard
batch = sft.prepare(tokenizer, RECORDS[:1], max_length=512)[0]
ids, labels = (torch.tensor([batch[key]]) for key in ("input_ids", "labels"))
found = []
for parts in (False, True):
    model, _ = models.load(base, dtype="float32")
    sum_losses(model)
    for layer in [*model.model.layers, model] if parts else []:
        fully_shard(layer, mesh=torch.distributed.init_device_mesh("cpu", (2,)))
    total = model(input_ids=ids, summed_loss_of=labels)
    total.backward()
    grads = [p.grad.full_tensor() if parts else p.grad for p in model.parameters()]
    found.append([total.item(), sum(g.square().sum().item() for g in grads)])
note("sharded", found=found)

sys.argv = ["ftlab", "train", str(home / "data.jsonl"), "--out", str(home / "cli"), "--model", base,
            "--epochs", "1", "--batch-size", "4", "--keep", "1"]
for _ in range(2):  # the second time its folder is there: an error that both meet, and one tells
    try:
        cli.main()
    except SystemExit:
        pass
"""


@pytest.fixture(scope="module")
def base(save_model):
    return save_model()


def launch(base, home, script):
    """Run a script in two processes, as torchrun does; return what they printed."""
    environment = os.environ | {
        "FTLAB_PROFILE": "cpu", "OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": "",
        "PYTHONPATH": str(Path(sft.__file__).parents[2]),
    }  # fmt: skip
    (home / "child.py").write_text(script)
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(home / "child.py"), str(Path(__file__).parent), str(base), str(home),
        ],
        capture_output=True, text=True, env=environment, timeout=900,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(base, tmp_path_factory):
    """Return the folder in which two processes left what they saw."""
    if Version(metadata.version("transformers")) < Version("5.18"):
        pytest.skip("transformers reads no optimiser on cpu:0 before 5.18")
    home = tmp_path_factory.mktemp("two")
    write(home / "data.jsonl", RECORDS)
    ended = launch(base, home, CHILD)
    (home / "printed").write_text(ended.stdout)
    (home / "errors").write_text(ended.stderr)
    assert (home / "early-1.json").exists(), ended.stderr[-4000:]
    return home


@pytest.fixture(scope="module")
def alone(base):
    """Return the same run in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTLAB_PROFILE", "cpu")
        patch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)
        patch.setattr("ftlab.hardware._found", {})
        loaded = models.load(base, dtype="float32")
        return sft.train(*loaded, RECORDS, eval_records=HELD_OUT, **SETTINGS)


def seen(home, name):
    """Return what each of the two left."""
    return [json.loads((home / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]


def losses(entries, key="loss"):
    return [entry[key] for entry in entries]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(home, alone):
    import torch

    first, second = seen(home, "whole")
    assert alone.steps == STEPS and len(alone.evals) == 3
    assert losses(first["history"]) == pytest.approx(losses(alone.history), **CLOSE)
    assert losses(first["evals"], "eval_loss") == pytest.approx(
        losses(alone.evals, "eval_loss"), **CLOSE
    )
    assert first["history"] == second["history"] and first["evals"] == second["evals"]
    tuned, _ = models.load(home / "whole", dtype="float32")
    for mine, theirs in zip(tuned.parameters(), alone.model.cpu().parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.slow
def test_one_of_them_speaks(home):
    first, second = seen(home, "whole")
    assert first["told"][1:] == list(range(1, STEPS + 1)) and second["told"] == []
    assert "2 process(es) × 2 part(s) of 1" in first["told"][0]
    printed = (home / "printed").read_text()
    assert printed.count("Trained") == printed.count("step 1 of 2") == 1
    assert models.load(home / "cli")[1]
    assert (home / "cli-checkpoints" / "checkpoint-2" / "rng_state_1.pth").exists()
    assert (home / "errors").read_text().count("is not an empty folder") == 1


@pytest.mark.slow
def test_what_one_of_them_meets_ends_both(home):
    for told in seen(home, "uneven"):
        assert "2 process(es)" in told["error"] and "a multiple of 2" in told["error"]
    for told in seen(home, "stopped"):
        assert "Stopped by you at step 3 of 6" in told["error"]
        assert "checkpoint-3 is whole" in told["error"]
    first, second = seen(home, "full")
    assert "another process says why" in first["error"]
    assert "checkpoint of step 4" in second["error"] and "No space left" in second["error"]


@pytest.mark.slow
def test_two_processes_go_on_where_two_were_stopped(home, alone):
    first, second = seen(home, "resumed")
    assert first["told"][1:] == [f"going on from {home / 'kept' / 'checkpoint-3'}", 4, 5, 6]
    assert losses(first["history"]) == pytest.approx(losses(alone.history), **CLOSE)
    assert first["history"] == second["history"]
    kept = survival.newest(home / "kept")
    assert kept.name == "checkpoint-6" and not (home / "kept" / ".part").exists()
    assert models.load(kept)[1]


@pytest.mark.slow
def test_one_process_goes_on_where_two_were(home, base, alone, tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)
    monkeypatch.setattr("ftlab.hardware._found", {})
    shutil.copytree(home / "kept", tmp_path / "kept")
    shutil.rmtree(tmp_path / "kept" / "checkpoint-6")
    told = []
    run = sft.train(
        *models.load(base, dtype="float32"), RECORDS, eval_records=HELD_OUT, on_start=told.append,
        checkpoints=tmp_path / "kept", **SETTINGS,
    )  # fmt: skip
    assert any(line.endswith("checkpoint-4") for line in told) and run.steps == STEPS
    assert losses(run.history) == pytest.approx(losses(alone.history), **CLOSE)


@pytest.mark.slow
def test_the_loss_goes_through_weights_that_are_held_in_parts(home):
    for told in seen(home, "sharded"):
        whole, parts = told["found"]
        assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.slow
def test_both_stop_early_with_the_best_weights(home):
    first, second = seen(home, "early")
    assert first == second and first["steps"] < 18
    assert first["eval_loss"] == min(losses(first["evals"], "eval_loss"))


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero3"])
def test_accelerate_reads_the_configurations_and_knows_every_key(name):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))  # unknown keys are errors
    flags = {action.dest for action in launch_command_parser()._actions}
    kind, inner = {
        "ddp": ("MULTI_GPU", {}),
        "fsdp2": ("FSDP", config.fsdp_config),
        "zero3": ("DEEPSPEED", config.deepspeed_config),
    }[name]
    assert config.distributed_type.value == kind and config.num_processes > 1
    assert set(inner) <= flags and bool(inner) == (name != "ddp")
    if name == "fsdp2":
        from accelerate.utils import FullyShardedDataParallelPlugin

        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=inner["fsdp_version"], state_dict_type=inner["fsdp_state_dict_type"],
            reshard_after_forward=inner["fsdp_reshard_after_forward"],
            cpu_ram_efficient_loading=inner["fsdp_cpu_ram_efficient_loading"],
            auto_wrap_policy=inner["fsdp_auto_wrap_policy"],
        )  # fmt: skip
        assert plugin.fsdp_version == 2 and plugin.state_dict_type.name == "FULL_STATE_DICT"
    if name == "zero3":
        assert inner["zero_stage"] == 3 and inner["zero3_save_16bit_model"]


def test_a_process_that_is_gone_is_one_message(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    watch = survival.watch({})
    with (
        pytest.raises(TrainingError, match="Another process of this run ended at step 1"),
        survival.explained(watch, None, survival.Plan("full", 8, 1)),
    ):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]")


def test_one_process_asks_nobody(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")  # a scheduler's, with no launcher behind it
    assert processes.count() == 1 and processes.first() and not processes.sharded()
    assert processes.any_of(True) and not processes.any_of(False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert processes.count() == 8 and not processes.first() and processes.sharded()
