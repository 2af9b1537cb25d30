"""All methods side by side: the same data for each, rows that are kept, and reasons for gaps."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ftlab import cli, tasks
from ftlab.errors import ConfigError, DataError, ModelError, TrainingError
from ftlab.evaluation import one_method, side_by_side
from ftlab.teaching import plots_methods

TASK = tasks.get("punctuation")
TRAIN = TASK.examples(8, 0)
HELD = TASK.examples(3, 0, split="test")
FAST = {"epochs": 1, "batch_size": 4, "rank": 2, "max_new_tokens": 3}


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")


@pytest.fixture(scope="module")
def base(save_model):
    return str(save_model(max_position_embeddings=2048))


@pytest.fixture
def here(monkeypatch):
    """Work the rows out in this process, which is quicker; what it returns says which."""
    asked = []

    class Here:
        stdout = None

        def __init__(self, command, **_):
            asked.append(command[-1])
            one_method.main(side_by_side.Path(command[-2]), command[-1])

        def wait(self):
            return 0

        def poll(self):
            return 0

    start_with(monkeypatch, Here)
    return asked


def start_with(monkeypatch, popen):
    """Let side_by_side alone start processes another way."""
    stand_in = SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE)
    monkeypatch.setattr(side_by_side, "subprocess", stand_in)


def run(base, out, **more):
    return side_by_side.side_by_side(TASK, base, TRAIN, HELD, out, **{**FAST, **more})


def test_a_row_is_worked_out_in_a_process_of_its_own_and_kept(base, here, tmp_path, monkeypatch):
    told, quick = [], side_by_side.subprocess.Popen
    start_with(
        monkeypatch,
        lambda command, **how: (quick if command[-1] == "base" else subprocess.Popen)(
            command, **how
        ),
    )
    data = run(base, tmp_path, methods=["lora"], say=told.append)
    assert any("step 1 of 2" in line for line in told)
    _, row = data["rows"]
    assert row["memory"]["growth"] > row["memory"]["weights"] > 0
    assert (tmp_path / "models" / "lora" / "adapter_model.safetensors").exists()
    told.clear()
    assert run(base, tmp_path, methods=["lora"], say=told.append) == data
    assert [line.split(": ")[1] for line in told] == ["done already"] * 2


def test_methods_read_the_same_tokens_and_one_that_cannot_run_loses_no_other(
    base, here, tmp_path, monkeypatch
):
    monkeypatch.setattr("ftlab.hardware.four_bit_works", lambda device: (False, "no kernel"))
    chosen = ["full", "frozen", "dora", "qlora"]
    data = run(base, tmp_path, methods=chosen)
    assert here == ["base", *chosen]
    rows = {row["method"]: row for row in data["rows"]}
    assert "no kernel" in rows["qlora"]["why"]
    ran = [rows[name] for name in chosen[:3]]
    assert len({row["total_tokens"] for row in ran}) == 1 and data["differences_from"] == "full"
    assert rows["full"]["trainable_share"] == 1 > rows["frozen"]["trainable_share"]
    assert rows["dora"]["saved_bytes"] < rows["full"]["saved_bytes"]
    assert rows["frozen"]["change"]["0"] == 0 < rows["frozen"]["change"]["1"]
    assert rows["frozen"]["upper_share"] == 1
    assert 0 < rows["full"]["upper_share"] < 1
    assert rows["dora"]["change"]["embeddings"] == 0 < rows["dora"]["change"]["0"]
    assert rows["full"]["forgotten"]["low"] <= rows["full"]["forgotten"]["high"]
    page = (tmp_path / "methods.md").read_text()
    assert "qlora did not run: 4-bit weights do not work" in page and "| frozen | " in page
    assert json.loads((tmp_path / "methods.json").read_text()) == data
    assert "no kernel" in side_by_side.table(data).caption

    here.clear()  # what failed is tried again, what is done is not
    again = run(base, tmp_path, methods=["lora", "qlora"])
    assert here == ["lora", "qlora"]
    assert [row["method"] for row in again["rows"]] == ["base", "full", "frozen", "lora", "dora",
                                                        "qlora"]  # fmt: skip

    picture = plots_methods.overview(again)
    assert "full minutes" in picture.alt and "base score" in picture.alt
    assert "qlora" not in picture.alt
    lines = plots_methods.layers(again).figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["full", "frozen", "lora", "dora"]


def test_a_process_that_dies_is_a_reason_too(base, tmp_path, monkeypatch):
    def dying(command, **how):
        if command[-1] != "full":
            return subprocess.Popen(command, **how)
        code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        return subprocess.Popen([command[0], "-c", code], **how)

    (tmp_path / "rows").mkdir()
    card = {"model": base, "settings": {}}
    (tmp_path / "run.json").write_text(json.dumps(card))
    start_with(monkeypatch, dying)
    row = side_by_side._row(tmp_path, "full", "full", lambda line: None)
    assert "want of memory" in row["why"]
    monkeypatch.setattr(side_by_side, "_row", lambda folder, name, *_: {"method": name, "why": "x"})
    with pytest.raises(ModelError, match="cannot answer: x"):
        run(base, tmp_path / "b")
    monkeypatch.setattr(
        side_by_side, "_row",
        lambda folder, name, *_: {"method": name} | ({} if name == "base" else {"why": "x"}),
    )  # fmt: skip
    with pytest.raises(TrainingError, match="full: x; lora: x"):
        run(base, tmp_path / "b", methods=["lora", "full"])


def test_what_cannot_be_is_refused_at_once(base, here, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'dora'"):
        run(base, tmp_path, methods=["doora"])
    with pytest.raises(ConfigError, match="rate must be positive"):
        run(base, tmp_path, rate=0)
    with pytest.raises(ModelError, match="Unknown model"):
        run("none-such", tmp_path / "x")
    run(base, tmp_path / "out", methods=["full"])
    with pytest.raises(ConfigError, match="epochs, seed differ"):
        run(base, tmp_path / "out", methods=["full"], epochs=2, seed=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(DataError, match="not an empty folder"):
        run(base, tmp_path / "full")


def test_the_command_goes_on_from_there_and_draws(base, here, tmp_path, monkeypatch, capsys):
    run(base, tmp_path, methods=["full"])
    monkeypatch.setenv("COLUMNS", "200")
    line = f"ftlab methods --task punctuation --model {base} --out {tmp_path} --method full"
    line += " --examples 8 --held-out 3 --epochs 1 --batch-size 4 --rank 2 --max-new-tokens 3"
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit) as told:
        cli.main()
    shown = capsys.readouterr()
    assert told.value.code == 0, shown.err
    assert "full (1 of 1): done already" in shown.out and "forgotten" in shown.out
    for name in ("methods.png", "layers.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
