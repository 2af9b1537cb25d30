"""The search's rules on a stand-in for training; `ftlab sweep` is run whole in test_cli_sweep."""

import inspect
import json
import math
import os
import signal
import types

import pytest

pytest.importorskip("optuna")

from ftlab.errors import ConfigError, DataError, TrainingError
from ftlab.records import Record
from ftlab.training import held_out, sft, sweep
from ftlab.training.study import Study
from ftlab.training.sweep import Space, defaults

WORDS = ("fox", "dog", "capital", "Paris", "hi", "cat", "old", "day")
RECORDS = [Record.of(f"Say {w}!", f"the {w} {w}") for w in WORDS]
SMALL = Space(max_epochs=3)


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Return `go(**changes) -> Sweep`: the loss is the distance from the best rate, 4e-3."""

    def train(model, tokenizer, records, *, on_step, seed, **params):
        model.loss = 1 + abs(math.log(params["learning_rate"] / 4e-3)) + 0.01 * seed
        model.seed, call.trained = seed, [*call.trained, (params, seed)]
        steps = 8 * params["epochs"]
        for step in range(1, steps + 1):
            call.at(len(call.trained), step)
            on_step(step, steps, 1.0, call.left)
        save = lambda place: place.mkdir(parents=True)
        return types.SimpleNamespace(model=model, tokenizer=tokenizer, save=save)

    def call(**changes):
        parts = changes.pop("parts", (RECORDS[:4], RECORDS[4:6], RECORDS[6:]))
        how = {"minutes": 30, "model": "tiny", "task": "say", "space": SMALL, "trials": 3,
               "finalists": 1, "seeds": 2} | changes  # fmt: skip
        load = lambda: (types.SimpleNamespace(named_parameters=lambda: []), None)
        return sweep.sweep(load, tmp_path / "study", *parts, **how)

    call.trained, call.at, call.left = [], lambda run, step: None, 0.0
    monkeypatch.setattr(sft, "train", train)
    monkeypatch.setattr(held_out, "loss", lambda model, tokenizer, records: model.loss)
    return call


def test_the_defaults_are_those_of_train():
    known = inspect.signature(sft.train).parameters
    default = defaults("lora")
    for name in ("rank", "epochs", "batch_size"):
        assert default[name] == known[name].default
    assert "rank" not in defaults("full")


def test_the_loss_is_the_same_in_any_batches_and_changes_nothing(make_model):
    model, tokenizer = make_model("chatml")
    model.train()
    one = held_out.loss(model, tokenizer, RECORDS, batch_size=1)
    assert held_out.loss(model, tokenizer, RECORDS, batch_size=8) == pytest.approx(one, rel=1e-5)
    assert model.training
    each = [held_out.loss(model, tokenizer, [record]) for record in RECORDS]
    sizes = [
        sum(t != -100 for t in row["labels"])
        for row in sft.prepare(tokenizer, RECORDS, max_length=512)
    ]
    mean = sum(x * n for x, n in zip(each, sizes, strict=True)) / sum(sizes)
    assert one == pytest.approx(mean, rel=1e-5)
    gemma, its = make_model("gemma", final_logit_softcapping=5.0)  # the way without a shortcut
    assert math.isfinite(held_out.loss(gemma, its, RECORDS[:2]))


def test_default_first_then_search_then_repeats_and_again_costs_nothing(go, tmp_path):
    found = go()
    assert found.stopped == "complete" and [t.state for t in found.trials] == ["complete"] * 3
    assert found.trials[0].params == defaults("lora") and found.default.number == 0
    assert max(found.default.quarters) == 4 and found.default.quarters[4] == found.default.loss
    rates = [t.params["learning_rate"] for t in found.trials]
    assert len(set(rates)) == 3 and all(2e-4 <= rate <= 2e-2 for rate in rates)
    assert [(r.number, r.seed) for r in found.repeats] == [
        (t.number, seed) for seed in (1, 2) for t in found.finalists
    ]
    assert all(seed == 0 for _, seed in go.trained[:3])
    assert {path.name for path in (tmp_path / "study" / "models").iterdir()} == {
        f"trial-{trial.number}" for trial in found.finalists
    }
    json.dumps(found.to_json(), allow_nan=False)
    assert go() == found and len(go.trained) == 7  # nothing was left to do


def test_a_sweep_that_was_interrupted_draws_what_it_would_have_drawn(go, tmp_path):
    def interrupt(run, step):
        if (run, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)

    go.at = interrupt
    first = go()
    assert first.stopped == "interrupted"
    assert [t.state for t in first.trials] == ["complete", "stopped"]
    found = go()
    assert [t.state for t in found.trials] == ["complete", "stopped", "complete", "complete"]
    asked = [params for params, seed in go.trained if seed == 0]
    assert asked[1] == asked[2]  # the one that was cut off came again, and not the default
    (tmp_path / "study").rename(tmp_path / "other")
    go.trained, go.at = [], lambda run, step: None
    go()
    assert [params for params, seed in go.trained if seed == 0] == [asked[0], *asked[2:]]


def test_a_trial_that_a_kill_left_running_comes_again(tmp_path):
    study = Study(tmp_path, {"default": defaults("full")}, 60, print)
    with study.opened():
        picked = SMALL.suggest(study.optuna.ask(), "full")
        assert picked == defaults("full")
    with study.opened():
        assert [t.state for t in study.trials()] == ["stopped"] and study.ended() == 0
        assert SMALL.suggest(study.optuna.ask(), "full") == picked


def test_another_study_is_refused_by_name(go, tmp_path):
    go(trials=1, seeds=1)
    with pytest.raises(ConfigError, match="model was tiny, is other"):
        go(model="other")
    with pytest.raises(ConfigError, match="task was say, is sing"):
        go(task="sing")
    with pytest.raises(ConfigError, match=r"training data was \w{8}…, is"):
        go(parts=(RECORDS[:3], RECORDS[4:6], RECORDS[6:]))
    (tmp_path / "study" / "study.db").write_bytes(b"no database at all" * 99)
    with pytest.raises(DataError, match="cannot be read"):
        go()
    (tmp_path / "study" / "study.db").unlink()
    with pytest.raises(DataError, match="nor one of a sweep"):
        go()


def test_one_process_at_a_time(go, tmp_path):
    study = Study(tmp_path / "study", {"default": defaults("lora")}, 60, print)
    with study.opened(), pytest.raises(ConfigError, match="Another sweep is running"):
        go()


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(go, monkeypatch):
    def fail(run, step):
        if run == 2:
            raise TrainingError("The loss is nan at step 1.")
        if run == 6:
            raise TrainingError("Out of memory.")

    go.at = fail  # the third trial's loss is no number on the held-out records alone
    bad = lambda model, *_: math.nan if len(go.trained) == 3 else model.loss
    monkeypatch.setattr(held_out, "loss", bad)
    found = go(trials=4)
    assert [t.state for t in found.trials] == ["complete", "failed", "failed", "complete"]
    assert "nan" in found.trials[1].why and found.trials[1].loss is None
    assert [r.loss is None for r in found.repeats] == [False, True, False, False]


def test_the_default_that_fails_ends_the_sweep(go):
    def fail(run, step):
        raise TrainingError("The loss is nan at step 1.")

    go.at = fail
    with pytest.raises(TrainingError, match=r"default configuration itself fails: .* nan"):
        go()
    go.at = lambda run, step: None
    assert go().default.loss is not None  # mended: it comes first again


def test_a_bad_trial_is_pruned_at_half_of_its_run(go, monkeypatch):
    monkeypatch.setattr("ftlab.training.study.UNPRUNED", 1)
    monkeypatch.setattr(held_out, "loss", lambda model, *_: 1.0 + 10 * (len(go.trained) == 2))
    found = go(trials=2)
    assert [t.state for t in found.trials] == ["complete", "pruned"]
    assert len(found.trials[1].quarters) == 2 and found.finalists == [found.default]


def test_a_trial_that_cannot_end_in_time_gives_way_to_the_repeats(go):
    def slow(run, step):
        go.left = 1e6 if run == 2 else 0.0

    go.at = slow
    found = go(trials=None, minutes=1)
    assert [t.state for t in found.trials] == ["complete", "stopped"]
    assert {r.number for r in found.repeats} == {0}


def test_a_budget_that_is_too_short_is_told_with_one_that_is_not(go):
    go.left = 120
    with pytest.raises(ConfigError, match=r"default alone takes about 2.. min.* --minutes 2\d"):
        go(minutes=2)
    go.left = 0.0
    assert go().default.number == 1  # the first was stopped
    with pytest.raises(ConfigError, match="minutes must be positive"):
        go(minutes=0)
    with pytest.raises(ConfigError, match="must hold the default 32"):
        Space(ranks=(8, 16))
