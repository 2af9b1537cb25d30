import json

import pytest
from rich.console import Console

from ftlab.demo import demo
from ftlab.errors import DataError


@pytest.fixture
def run(save_model, tmp_path, monkeypatch):
    """Return `run(**options)`: a small demo with a tiny random model, and what it printed."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    # A tiny vocabulary spells words out, and eight examples stand in front of a question.
    model_folder = save_model(max_position_embeddings=4096)

    def small(**options):
        console = Console(record=True, width=100)
        verdict = demo(
            model=str(model_folder), examples=12, held_out=6, epochs=1, out=tmp_path / "runs",
            console=console, **options,
        )  # fmt: skip
        return verdict, console.export_text()

    return small


def test_the_demo_ends_in_a_verdict_and_restores_a_sentence(run, tmp_path, capsys):
    for _ in range(2):  # a second run replaces the verdict of the first
        verdict, printed = run(sentence="it's late, isn't it?")
    out = tmp_path / "runs"
    saved = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert saved["n"] == 6
    assert list(saved["systems"]) == ["base", "base + 8 examples", "tuned"]
    assert set(saved["systems"]["tuned"]["f1"]) >= {"value", "low", "high"}
    assert ("base + 8 examples", "tuned") in [(pair["a"], pair["b"]) for pair in saved["pairs"]]
    kept = saved["provenance"]
    assert len(kept["models"]["base sha256"]) == 64
    assert kept["training"]["seed"] == 0 and kept["training"]["records"] == 12
    assert {"torch", "trl", "transformers", "python"} <= set(kept["versions"])
    assert kept["device"] == "cpu" and kept["seconds"] > 0
    assert (out / "verdict.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert printed.count("written") >= 5
    assert "it's late isn't it" in printed
    assert verdict.sentence[:30] in printed
    assert "step 3" in capsys.readouterr().out


def test_nothing_to_restore_is_said_before_anything_is_trained(run):
    with pytest.raises(DataError, match="no words"):
        run(sentence="...")
