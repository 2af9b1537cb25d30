import json

from rich.console import Console

from ftlab.demo import demo


def test_the_demo_ends_in_a_verdict_and_restores_a_text(model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    text = tmp_path / "mine.txt"
    text.write_text("the quick brown fox\n\nsay hi", encoding="utf-8")
    out = tmp_path / "runs"
    console = Console(record=True, width=100)
    for _ in range(2):  # a second run replaces the verdict of the first
        verdict = demo(
            model=str(model_folder), method="lora", examples=24, held_out=6, epochs=1, text=text,
            out=out, console=console,
        )  # fmt: skip
    told = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    assert told["n"] == 6 and list(told["systems"]) == ["base", "tuned"]
    assert set(told["systems"]["tuned"]["f1"]) >= {"value", "low", "high"}
    assert "f1" in told["differences"]["tuned"]
    made = told["provenance"]
    assert len(made["models"]["base sha256"]) == 64
    assert made["training"]["seed"] == 0 and made["training"]["records"] == 24
    assert {"torch", "trl", "transformers", "python"} <= set(made["versions"])
    assert made["device"] == "cpu" and made["seconds"] > 0
    assert (out / "verdict.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (out / "mine.restored.txt").exists()
    printed = console.export_text()
    assert printed.count("written") >= 10  # five passages, twice
    assert "step 3 of 3" in printed and verdict.sentence[:30] in printed
