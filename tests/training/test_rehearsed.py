"""A kept model takes the place of training, exactly, and never without a word."""

import pytest
import torch

from ftlab import models
from ftlab.records import Record
from ftlab.training import rehearsed, sft

RECORDS = [Record.of(f"Say {w}!", f"the {w} {w}") for w in ("fox", "dog", "capital", "hi")]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return `mode(what)`: keep runs, take them, or neither; and the folder of the kept."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    folder = tmp_path / "runs" / "rehearsal" / "05" / "models"
    folder.mkdir(parents=True)

    def mode(what):
        monkeypatch.setenv(rehearsed.KEEP, str(folder) if what == "keep" else "")
        monkeypatch.setenv(rehearsed.FLAG, "1" if what == "take" else "")
        monkeypatch.chdir(tmp_path)

    return mode, folder


def no_training(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("it trains")

    monkeypatch.setattr("trl.SFTTrainer.train", fail)


def train(make_model, **options):
    model, tokenizer = make_model("chatml")
    return sft.train(model, tokenizer, RECORDS, **{"epochs": 2, "batch_size": 2, **options})


def weights(run):
    return {name: w.detach().clone() for name, w in run.model.named_parameters()}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_kept_run_comes_back_whole(kept, make_model, monkeypatch, capsys, method):
    mode, _ = kept
    mode("keep")
    options = {"method": method, "eval_records": RECORDS[:2], "early_stopping": 1, "epochs": 3}
    first = train(make_model, **options)
    assert capsys.readouterr().out == ""
    mode("take")
    no_training(monkeypatch)
    steps = []
    again = train(make_model, **options, on_step=lambda *told: steps.append(told))
    told = capsys.readouterr().out
    assert told.startswith("rehearsed on 20") and "s there; not trained now." in told
    assert weights(again).keys() == weights(first).keys()
    assert all(torch.equal(w, weights(first)[name]) for name, w in weights(again).items())
    for what in ("history", "evals", "eval_loss", "steps", "seconds", "trainable"):
        assert getattr(again, what) == getattr(first, what), what
    assert [step for step, *_ in steps] == [entry["step"] for entry in first.history]
    assert again.about["rehearsed"]["on"] in told


def test_what_was_trained_on_can_be_trained_on_again(kept, make_model, monkeypatch, capsys):
    mode, _ = kept
    mode("keep")
    first = train(make_model)
    second = sft.train(first.model, first.tokenizer, RECORDS[:2], epochs=1, batch_size=2)
    after = weights(second)
    mode("take")
    no_training(monkeypatch)
    first = train(make_model)
    second = sft.train(first.model, first.tokenizer, RECORDS[:2], epochs=1, batch_size=2)
    assert all(torch.equal(w, after[name]) for name, w in weights(second).items())
    assert capsys.readouterr().out.count("not trained now") == 2


@pytest.mark.parametrize(
    "other", [{"seed": 1, "epochs": 1}, {"epochs": 2, "eval_records": RECORDS[:1]}]
)
def test_another_run_is_trained_and_says_so(kept, make_model, capsys, other):
    mode, folder = kept
    mode("keep")
    train(make_model)
    mode("take")
    run = train(make_model, **other)
    assert capsys.readouterr().out == (
        "FTLAB_REHEARSED: this run was not rehearsed. Training now.\n"
    )
    assert "rehearsed" not in run.about
    assert len(list(folder.iterdir())) == 1, "in class nothing is kept"


def test_a_run_with_weights_frozen_by_hand_is_another(kept, make_model, capsys):
    mode, _ = kept
    mode("keep")
    train(make_model)
    mode("take")
    model, tokenizer = make_model("chatml")
    model.model.layers[0].requires_grad_(False)
    sft.train(model, tokenizer, RECORDS, epochs=2, batch_size=2)
    assert "this run was not rehearsed" in capsys.readouterr().out


def test_a_run_that_is_looked_at_on_its_way_is_trained(kept, make_model, capsys):
    mode, _ = kept
    model, tokenizer = make_model("chatml")
    ids = torch.tensor([[1, 2, 3]])

    def look(*_):
        with torch.no_grad():
            model(input_ids=ids)

    mode("keep")
    sft.train(model, tokenizer, RECORDS, epochs=1, batch_size=2, on_step=look)
    mode("take")
    run = train(make_model, epochs=1)
    told = capsys.readouterr().out
    assert "trained now all the same: a cell looks at the model on its way." in told
    assert "rehearsed" not in run.about


def test_nothing_is_kept_or_taken_unasked(kept, make_model, capsys):
    mode, folder = kept
    mode("neither")
    train(make_model, epochs=1)
    assert capsys.readouterr().out == "" and not list(folder.iterdir())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("nowhere", "there is no folder nowhere"),
        ("1", "there is no runs/rehearsal here or above; `ftlab rehearse` makes it"),
    ],
)
def test_a_missing_folder_is_named(tmp_path, monkeypatch, capsys, value, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(rehearsed.KEEP, "")
    monkeypatch.setenv(rehearsed.FLAG, value)
    assert rehearsed.find("0" * 16) is None
    assert told in capsys.readouterr().out


# A loop of a lesson's own.


def pad(rows):
    """Make a batch of rows, which are all of one length."""
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def shuffled(rows):
    """Make a batch in which the same rows have other labels."""
    return pad(rows) | {"labels": pad(rows)["labels"].flip(0)}


@pytest.fixture
def loop(make_model, monkeypatch):
    """Return `make(seed)`, which makes a loop, and the list of its calls."""
    monkeypatch.setattr(models, "load", lambda name: make_model("chatml"))
    calls = []

    def make(seed=0):
        @rehearsed.rehearsable("tiny", seed=seed)
        def fit(rows, epochs=2, rate=1e-2, collate=pad, model=None, after=None):
            """Train on rows as they are."""
            calls.append(len(rows))
            model = models.load("tiny")[0] if model is None else model
            optimizer, losses = torch.optim.SGD(model.parameters(), lr=rate), []
            for epoch in range(epochs):
                loss = model(**collate(rows)).loss
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.item())
                if after:
                    after(model, epoch)
            return model.eval(), losses

        return fit

    return make, calls


ROWS = [{"input_ids": [i, 7, 8, 9], "labels": [-100, 7, 8, i]} for i in (5, 6)]


def test_a_loop_is_not_touched_unasked(kept, loop, capsys):
    mode, folder = kept
    make, calls = loop
    mode("neither")
    assert len(make()(ROWS)[1]) == 2 and calls == [2]
    assert capsys.readouterr().out == "" and not list(folder.iterdir())


def test_a_loops_model_comes_back_whole(kept, loop, capsys):
    mode, _ = kept
    make, calls = loop
    mode("keep")
    first, losses = make()(ROWS)
    second, more = make()(ROWS[:1], model=first)  # tuned again, from where it was
    after = {name: w.detach().clone() for name, w in second.named_parameters()}
    assert capsys.readouterr().out == ""
    mode("take")
    first, again = make()(ROWS)
    second, more_again = make()(ROWS[:1], model=first)
    assert calls == [2, 1], "neither was trained again"
    assert (again, more_again) == (losses, more)
    assert second is first and not second.training
    assert all(torch.equal(w, after[name]) for name, w in second.named_parameters())
    assert capsys.readouterr().out.count("s there; not trained now.") == 2


@pytest.mark.parametrize(
    "other",
    [
        {"epochs": 1},
        {"rate": 1e-3},
        {"collate": shuffled},
        {"rows": ROWS[:1]},
        {"seed": 1},
        {"model": "another"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_run_of_a_loop_is_trained_and_says_so(kept, loop, make_model, capsys, other):
    mode, _ = kept
    make, calls = loop
    mode("keep")
    make()(ROWS)
    mode("take")
    how = {"rows": ROWS} | {k: v for k, v in other.items() if k not in ("seed", "model")}
    if "model" in other:
        how["model"] = make_model("chatml")[0]
        torch.nn.init.ones_(next(how["model"].parameters()))
    make(other.get("seed", 0))(**how)
    assert len(calls) == 2
    assert "this run was not rehearsed. Training now." in capsys.readouterr().out


def test_another_loop_is_another_run(kept, loop, monkeypatch):
    mode, folder = kept
    make, _ = loop
    mode("keep")
    make()(ROWS)
    made = rehearsed.rehearsable("tiny")(
        lambda rows, collate=pad, model=None, after=None: (model, [0.0])
    )
    made(ROWS)
    assert len(list(folder.iterdir())) == 2


def test_a_loop_that_is_looked_at_on_its_way_is_trained(kept, loop, capsys):
    mode, _ = kept
    make, calls = loop
    seen = []
    mode("keep")
    make()(ROWS, after=lambda model, epoch: seen.append(epoch))
    mode("take")
    make()(ROWS, after=lambda model, epoch: seen.append(epoch))
    assert seen == [0, 1, 0, 1] and calls == [2, 2]
    assert "a cell looks at the model on its way." in capsys.readouterr().out
