import json
import sys

import pytest

pytest.importorskip("optuna")

from ftlab import cli, records
from ftlab.records import Record


@pytest.fixture
def sweep(monkeypatch, capsys, model_folder, tmp_path):
    """Return `run(*arguments) -> (exit code, stdout, stderr)` of `ftlab sweep`."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("ftlab.hardware.huge_pages", lambda: None)
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)

    def run(*arguments):
        line = ["ftlab", "sweep", "--model", model_folder, "--out", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, line)))
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        told = capsys.readouterr()
        return exit_info.value.code, told.out, told.err

    return run


def test_a_sweep_ends_with_a_verdict_two_pictures_and_a_page(sweep, tmp_path):
    asked = ("--task", "kindness", "--records", 8, "--held-out", 4, "--trials", 2, "--max-epochs",
             3, "--finalists", 1, "--seeds", 1)  # fmt: skip
    code, out, err = sweep(*asked)
    assert (code, err) == (0, "")
    assert "8 records to train on · 4 records to search by · 4 records to check on" in out
    folder = tmp_path / "out"
    told = json.loads((folder / "sweep.json").read_text())
    assert len(told["repeats"]) == 2 and len(told["judgement"]) == 2
    assert json.loads((folder / "check" / "verdict.json").read_text())["task"] == "kindness"
    page = (folder / "sweep.md").read_text()
    assert "0 (default)" in page and "](parallel.png)" in page and "held-out examples" in page
    for name in ("parallel.png", "minutes.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    code, out, _ = sweep(*asked)  # again: the same words, and no training
    assert code == 0 and "trial" not in out.split("Search:")[0] and told["judgement"][0] in out
    code, _, err = sweep(*asked, "--seed", 1)
    assert code == 2 and "is of something else" in err and "seed was 0, is 1" in err


def test_what_is_missing_is_told(sweep, tmp_path):
    code, _, err = sweep()
    assert code == 2 and "Give records, or a task" in err
    data = tmp_path / "data.jsonl"
    records.write(data, [Record.of(f"Say {i}!", f"{i} is said") for i in range(20)])
    code, _, err = sweep(data, "--method", "lorra")
    assert code == 2 and "lorra" in err
