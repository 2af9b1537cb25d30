import json
import shutil

import pytest

from ftlab import models
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.records import Record, fingerprint
from ftlab.training import rounds, sft

OLD = [Record.of(f"Say {w}!", f"the {w}") for w in ("fox", "dog", "capital", "Paris", "hi", "lazy")]
NEW = [Record.of(f"Name {w}!", f"a {w} {w}") for w in ("user", "system", "model", "quick")]
FAST = {"epochs": 1, "batch_size": 2, "seed": 3}


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)


@pytest.fixture(scope="module")
def home(make_model, tmp_path_factory):
    """A tiny base, and what a first round on OLD made of it: an adapter and a whole model."""
    folder = tmp_path_factory.mktemp("rounds")
    model, tokenizer = make_model("chatml")
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    for method in ("lora", "full"):
        run = sft.train(
            *models.load(folder / "base", dtype="float32"), OLD, method=method, rank=4, alpha=6,
            targets=["q_proj", "v_proj"], **FAST,
        )  # fmt: skip
        run.save(folder / method)
    shutil.copytree(folder / "lora", folder / "rslora")
    file = folder / "rslora" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_rslora": True}))
    return folder


def weights(model):
    import torch

    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_replay_takes_its_share_without_replacement_by_the_seed():
    old = [Record.of(f"old {i}", "y") for i in range(40)]
    new = [Record.of(f"new {i}", "x") for i in range(12)]
    mixed = rounds.replayed(new, [*old, new[0]], 0.25, seed=1)
    taken = [r for r in mixed.records if r not in new]
    assert len(mixed.records) == 16 and len(taken) == 4
    assert len({fingerprint([r]) for r in mixed.records}) == 16
    assert all(r in mixed.records for r in new)
    assert mixed.records == rounds.replayed(new, old, 0.25, seed=1).records
    assert taken != [r for r in rounds.replayed(new, old, 0.25, seed=2).records if r not in new]
    assert sorted(r.completion for r in rounds.replayed(new, old, 0).records) == ["x"] * 12


def test_a_share_that_cannot_be_is_told():
    with pytest.raises(ConfigError, match="not including, 1"):
        rounds.replayed(NEW, OLD, 1.0)
    with pytest.raises(ConfigError, match=r"-0\.1"):
        rounds.replayed(NEW, OLD, -0.1)
    with pytest.raises(DataError, match=r"takes 16 old ones, and there are 6 .* at most 0.6"):
        rounds.replayed(NEW, OLD, 0.8)
    with pytest.raises(DataError, match="there are 0 that are not among the new"):
        rounds.replayed(NEW, NEW)
    with pytest.raises(DataError, match="no new records"):
        rounds.replayed([], OLD)


def test_an_adapter_goes_on_from_where_it_was(home, tmp_path):
    import torch

    first, _ = models.load(home / "lora", dtype="float32")
    run = rounds.train(home / "lora", NEW, learning_rate=1e-9, **FAST)
    assert run.steps == 2 and torch.allclose(weights(run.model), weights(first), atol=1e-6)
    run = rounds.train(home / "lora", NEW, **FAST)
    moved = {n for n, p in run.model.named_parameters() if p.requires_grad}
    assert moved and all("lora_" in name for name in moved)
    for (name, a), b in zip(
        run.model.named_parameters(), first.parameters(), strict=True
    ):  # fmt: skip
        assert torch.equal(a, b) == ("lora_" not in name), name
    assert (run.settings["rank"], run.settings["alpha"]) == (4, 6)
    again, _ = models.load(run.save(tmp_path / "second"), dtype="float32")
    assert torch.allclose(weights(again), weights(run.model), atol=1e-6)
    shape = again.active_peft_config
    assert (shape.r, shape.lora_alpha, shape.target_modules) == (4, 6, {"q_proj", "v_proj"})


def test_the_second_round_learns_the_new_and_the_first_stays(home):
    before = (home / "full" / "model.safetensors").read_bytes()
    run = rounds.train(home / "full", NEW[:2], epochs=8, batch_size=2, learning_rate=1e-2)
    assert run.history[-1]["loss"] < run.history[0]["loss"] - 2
    assert run.settings["method"] == "full" and run.trainable == run.parameters
    assert (home / "full" / "model.safetensors").read_bytes() == before


def test_training_json_names_every_parent_with_its_data(home, tmp_path):
    told = []
    second = rounds.train(
        home / "full", NEW, replay=OLD, share=0.2, on_start=told.append, **FAST
    ).save(tmp_path / "second")
    third = rounds.train(second, OLD, **FAST).save(tmp_path / "third")
    assert "1 of 6 once" in told[0]
    about = json.loads((third / "training.json").read_text())["about"]
    one, two = about["parents"]
    assert one == {
        "folder": "full",
        "base": "base",
        "method": "full",
        "records": 6,
        "data": fingerprint(OLD),
    }
    assert two["folder"] == "second" and two["records"] == 5
    assert two["replay"] == {"records": 1, "share": 0.2, "data": fingerprint(OLD)} | {
        "new": fingerprint(NEW)
    }
    assert "replay" not in about
    assert rounds.lineage(third) == [one, two, rounds.lineage(third)[-1]]


def test_an_adapter_that_was_to_be_another_is_refused(home):
    go = lambda folder="lora", **asked: rounds.train(home / folder, NEW, **FAST, **asked)
    with pytest.raises(ConfigError, match=r"rank 8 \(it has 4\); alpha 16 \(it has 6\).*merge"):
        go(rank=8, alpha=16)
    with pytest.raises(ConfigError, match=r"targets k_proj \(it has q_proj, v_proj\)"):
        go(targets=["k_proj"])
    with pytest.raises(ConfigError, match=r"method full \(it is lora\)"):
        go(method="full")
    with pytest.raises(ConfigError, match=r"method lora \(it is rslora\)"):
        go("rslora", method="lora")
    run = go(rank=4, alpha=6.0, targets=["v_proj", "q_proj"], method="lora")
    assert run.settings["method"] == "lora"
    assert go("rslora").settings["method"] == "rslora"


def test_what_cannot_go_on_is_told(home, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        rounds.train(tmp_path / "none", NEW)
    with pytest.raises(ModelError, match="on the hub, not the folder"):
        rounds.train("someone/theirs", NEW)
    model, tokenizer = models.load(home / "lora")
    for method in ("lora", "full"):
        with pytest.raises(ConfigError, match="--continue-from"):
            sft.train(model, tokenizer, NEW, method=method)


def test_a_round_that_was_stopped_goes_on_to_the_same_weights(home, tmp_path):
    import torch

    from ftlab.errors import TrainingError

    how = FAST | {"replay": OLD, "share": 0.4, "epochs": 2}

    def stop(step, *_):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="goes on from there"):
        rounds.train(
            home / "lora", NEW, checkpoints=tmp_path / "kept", save_every=2, on_step=stop, **how
        )
    again = rounds.train(home / "lora", NEW, checkpoints=tmp_path / "kept", save_every=2, **how)
    assert torch.equal(weights(again.model), weights(rounds.train(home / "lora", NEW, **how).model))
