import functools
import json
from pathlib import Path

import pytest

from ftlab.errors import DataError
from ftlab.teaching import board, progress


def exported(folder: Path, file: str, name: str, done: dict) -> None:
    told = {"kind": "ftlab progress", "name": name, "done": done}
    (folder / file).write_text(json.dumps(told), "utf-8")


def test_items_are_all_exercises_and_questions():
    items = board.items()
    assert {"00.1", "quiz 00.5"} <= set(items["00"]) and list(items) == sorted(items)
    assert all(name.removeprefix("quiz ").startswith(k) for k, row in items.items() for name in row)


def test_a_learner_sees_and_exports_and_the_board_shows_it(
    progress_file, command, monkeypatch, tmp_path
):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "50")  # without it rich takes 80 columns where TERM is dumb
    show = functools.partial(command, "progress")
    code, _, err = show("--name", "Ada", "--export", tmp_path / "ada.json")
    assert code == 2 and "Nothing to export" in err
    progress.note("00.1", passed=True)
    progress.note("00.2", passed=False)
    progress.note("quiz 00.1", passed=True)
    code, out, _ = show()
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("00"))
    exercises = sum(not name.startswith("quiz") for name in board.items()["00"])
    assert code == 0 and row[1:3] == [f"1/{exercises}", "1/5"] and "00.2," in row
    assert str(progress_file) in out and "sent nowhere" in out
    folder = tmp_path / "class"
    assert show("--name", " Ada  L. ", "--export", folder / "ada.json")[0] == 0
    assert show("--name", "Ada", "--export", folder / "ada.json")[0] == 2  # not overwritten
    exported(folder, "evil.json", "<b>x", {"00.1": {"passed": "yes"}, "00.2": 7})
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text('{"name": "x"}')
    learners, _ = board.read_class(folder)
    assert [(name, one["00.1"]["passed"]) for name, one in learners] == [
        ("<b>x", False), ("Ada L.", True),
    ]  # fmt: skip
    code, out, _ = command("board", folder, "--out", tmp_path / "board.html")
    page = (tmp_path / "board.html").read_text("utf-8")
    assert code == 0 and "Ada L." in page and "&lt;b&gt;x" in page
    assert "broken.json" in out and "other.json: it was not made by" in out


def test_two_of_one_name_are_told_apart_and_an_empty_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no file"):
        board.read_class(tmp_path)
    exported(tmp_path, "a.json", "Kim", {})
    exported(tmp_path, "b.json", "kim", {})
    learners, skipped = board.read_class(tmp_path)
    assert [name for name, _ in learners] == ["Kim (a.json)", "kim (b.json)"] and skipped == []
