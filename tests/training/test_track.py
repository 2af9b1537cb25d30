import json
import logging
import sys

import pytest

from ftlab.errors import MissingExtraError, TrainingError
from ftlab.training import track
from ftlab.training.sft import Run

HISTORY = [{"step": s, "loss": 3.0 - s / 10, "learning_rate": 1e-3} for s in range(1, 6)]
RUN = Run(
    model=None, tokenizer=None, settings={"method": "lora", "rank": 4, "data": "ab" * 32},
    history=HISTORY, steps=5, seconds=1.0, parameters=100, trainable=10, supervised_tokens=20,
    total_tokens=40, eval_loss=2.4, evals=[{"step": 5, "eval_loss": 2.4}],
)  # fmt: skip
FIGURE = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95}
VERDICT = {
    "task": "triage", "sentence": "Better.", "provenance": {},
    "contestants": {"tiny": {"both": FIGURE}, "mine": {"both": FIGURE}},
    "differences": {"mine": {"both": FIGURE | {"low": None}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of a file for all tests here: making the tables takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/deep/mlflow.db"


@pytest.fixture
def uri(store, monkeypatch):
    """A store, and no trace of it in the process."""
    for name in (*track.QUIET, "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, track.QUIET.get(name, ""))
    return store


@pytest.fixture
def saved(tmp_path):
    """A folder as a run leaves it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "README.md").write_text("# mine\n")
    return folder


def tell(folder, tracked):
    (folder / "training.json").write_text(
        json.dumps({"about": {"base": "tiny", "track": tracked.about}})
    )


def test_a_run_and_its_verdict_are_in_the_store(uri, saved, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setattr(track, "SECONDS", 0.0)
    with track.tracking("mine", uri) as tracked:
        for step in (4, 5):  # those before were in a part of the run that was stopped
            tracked.on_step(step, 5, HISTORY[step - 1]["loss"], 0.0)
        tell(saved, tracked)
        said = tracked.finish(RUN, saved)
    assert tracked.run_id in said and uri in said
    page = saved / "verdict.html"
    page.write_text("<p>")
    assert "has joined" in track.add_verdict(saved, VERDICT, [page])
    client = MlflowClient(tracking_uri=uri)
    found = client.get_run(tracked.run_id)
    assert found.info.status == "FINISHED" and found.info.run_name == "mine"
    assert found.data.params["data"] == "ab" * 32 and found.data.params["base"] == "tiny"
    losses = {m.step: m.value for m in client.get_metric_history(tracked.run_id, "loss")}
    assert losses == {h["step"]: h["loss"] for h in HISTORY}
    assert len(client.get_metric_history(tracked.run_id, "loss")) == 5
    assert found.data.metrics["eval_loss"] == 2.4 and found.data.metrics["trainable"] == 10
    assert found.data.metrics["triage.both.value"] == 0.5
    assert found.data.metrics["triage.both.gain.high"] == 0.6
    assert "triage.both.gain.low" not in found.data.metrics
    assert found.data.tags["verdict.triage"] == "Better."
    names = {a.path for a in client.list_artifacts(tracked.run_id)}
    assert names == {"training.json", "README.md", "adapter", "verdict"}


def test_a_run_that_fails_is_marked_so(uri):
    from mlflow import MlflowClient

    with pytest.raises(ZeroDivisionError), track.tracking("mine", uri) as tracked:
        raise ZeroDivisionError
    assert MlflowClient(tracking_uri=uri).get_run(tracked.run_id).info.status == "FAILED"


def test_a_store_that_goes_away_does_not_stop_the_training(uri, saved, monkeypatch, caplog):
    monkeypatch.setattr(track, "SECONDS", 0.0)
    with track.tracking("mine", uri) as tracked:
        tell(saved, tracked)

        def gone(*args, **kwargs):
            raise ConnectionError("https://me:secret@server is gone\nand more")

        monkeypatch.setattr(tracked.client, "log_batch", gone)
        with caplog.at_level(logging.WARNING, logger="ftlab"):
            for step in range(1, 6):
                tracked.on_step(step, 5, 1.0, 0.0)
        assert caplog.text.count("Training goes on") == 1
        said = tracked.finish(RUN, saved)
    assert "https://server is gone" in said and "holds everything" in said
    assert "secret" not in said + caplog.text


def test_a_store_that_is_not_there_is_told_before_the_training(uri, monkeypatch):
    for wrong in ("http://me:secret@127.0.0.1:9", "nonsense://x"):
        with (
            pytest.raises(TrainingError, match="Nothing was trained") as told,
            track.tracking("mine", wrong),
        ):
            raise AssertionError
        assert "secret" not in str(told.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://y")
    with pytest.raises(TrainingError, match="nonsense://y"), track.tracking("mine"):
        raise AssertionError


def test_without_mlflow_the_extra_is_named(uri, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"ftlab\[track\]"), track.tracking("mine", uri):
        raise AssertionError


def test_a_verdict_without_a_run_to_join_is_told(uri, saved, tmp_path):
    assert "not trained with --track" in track.add_verdict(saved, VERDICT)
    about = {"uri": "http://127.0.0.1:9", "run": "0" * 32, "experiment": "ftlab"}
    (saved / "training.json").write_text(json.dumps({"about": {"track": about}}))
    assert "could not be recorded" in track.add_verdict(saved, VERDICT)
