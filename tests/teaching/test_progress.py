import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftlab import cli
from ftlab.errors import DataError
from ftlab.teaching import progress
from ftlab.teaching.exercises import check, find
from ftlab.teaching.quizzes import LETTERS, quiz


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_PROGRESS", str(tmp_path / "home" / "progress.json"))
    return tmp_path / "home" / "progress.json"


def exported(folder: Path, file: str, name: str, done: dict) -> None:
    told = {"kind": "ftlab progress", "name": name, "done": done}
    (folder / file).write_text(json.dumps(told), "utf-8")


def test_under_pytest_nothing_is_kept_unless_a_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("FTLAB_PROGRESS", raising=False)
    assert progress.path() is None
    progress.note("00.1", passed=True)
    assert not list(tmp_path.iterdir()) and progress.done() == {}
    code = (
        "from ftlab.teaching import progress; print(progress.path())"  # as a kernel that it starts
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "None"


@pytest.mark.skipif(sys.platform == "win32", reason="another folder")
def test_elsewhere_it_lies_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PYTEST_VERSION")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert progress.path() == tmp_path / "ftlab" / "progress.json"
    monkeypatch.setenv("FTLAB_PROGRESS", "off")
    assert progress.path() is None
    monkeypatch.setenv("FTLAB_PROGRESS", str(tmp_path / "mine.json"))
    assert progress.path() == tmp_path / "mine.json"


def test_quiz_answers_are_kept_from_text_and_from_widgets(file, capsys):
    one, two = quiz("00").questions[:2]
    quiz("00").answer(1, LETTERS[(one.right + 1) % len(one.options)])
    assert progress.done() == {"quiz 00.1": {"passed": False, "tries": 1}}
    quiz("00").answer(1, LETTERS[one.right])
    _, radio, button, _ = quiz("00").widget().children[2].children
    button.click()  # nothing chosen: no try
    radio.value = two.right
    button.click()
    assert progress.done() == {
        "quiz 00.1": {"passed": True, "tries": 2}, "quiz 00.2": {"passed": True, "tries": 1},
    }  # fmt: skip


def test_a_folder_that_cannot_be_written_does_not_stop_a_lesson(file, capsys):
    file.parent.write_text("a file where the folder should be")
    check("00.1", find("00.1").solution)
    assert "is right" in capsys.readouterr().out and progress.done() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"00.1": 3}', '{"00.1": {"tries": "x"}}', "[" * 9999]
)
def test_a_damaged_file_is_begun_anew(file, text, capsys):
    file.parent.mkdir()
    file.write_text(text)
    check("00.1", find("00.1").solution)
    assert progress.done()["00.1"] == {"passed": True, "tries": 1}


def test_a_file_that_another_notebook_holds_does_not_stop_a_lesson(file, monkeypatch, capsys):
    monkeypatch.setattr(progress, "WAIT", 0.01)
    with progress._alone(file):
        check("00.1", find("00.1").solution)
    assert "is right" in capsys.readouterr().out and progress.done() == {}


def test_items_are_all_exercises_and_questions():
    items = progress.items()
    assert {"00.1", "quiz 00.5"} <= set(items["00"]) and list(items) == sorted(items)
    assert all(name.removeprefix("quiz ").startswith(k) for k, row in items.items() for name in row)


@pytest.fixture
def command(monkeypatch, capsys):
    """Return `run(*arguments) -> (exit code, stdout, stderr)` of `ftlab progress`."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ftlab", "progress", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        told = capsys.readouterr()
        return exit_info.value.code, told.out, told.err

    return run


def test_a_learner_sees_and_exports_and_an_instructor_merges(file, command, tmp_path):
    code, _, err = command("--name", "Ada", "--export", tmp_path / "ada.json")
    assert code == 2 and "Nothing to export" in err
    progress.note("00.1", passed=True)
    progress.note("00.2", passed=False)
    progress.note("quiz 00.1", passed=True)
    code, out, _ = command()
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("00"))
    exercises = sum(not name.startswith("quiz") for name in progress.items()["00"])
    assert code == 0 and row[1:3] == [f"1/{exercises}", "1/5"] and "00.2," in row
    assert str(file) in out and "sent nowhere" in out
    folder = tmp_path / "class"
    assert command("--name", " Ada  L. ", "--export", folder / "ada.json")[0] == 0
    assert command("--name", "Ada", "--export", folder / "ada.json")[0] == 2  # not overwritten
    exported(folder, "bob.json", "Bob", {"00.3": {"passed": True, "tries": 1}})
    exported(folder, "evil.json", "=cmd()[red]", {"00.1": {"passed": "yes"}, "00.2": 7})
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text('{"name": "x"}')
    code, out, err = command("--merge", folder, "--csv", tmp_path / "class.csv")
    assert (code, err) == (0, "")
    assert "broken.json" in out and "other.json: it was not made by" in out and "[red]" in out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "class.csv").read_text("utf-8"))))
    assert [row["name"] for row in rows] == ["'=cmd()[red]", "Ada L.", "Bob"]
    assert [row["00.1"] for row in rows] == ["0", "1", ""]
    assert [row["00.2"] for row in rows] == ["", "0", ""] and rows[2]["00.3"] == "1"
    assert command("--csv", tmp_path / "x.csv")[0] == 2


def test_two_of_one_name_are_told_apart_and_an_empty_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no file"):
        progress.read_class(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        progress.read_class(tmp_path / "none")
    exported(tmp_path, "a.json", "Kim", {})
    exported(tmp_path, "b.json", "kim", {})
    learners, skipped = progress.read_class(tmp_path)
    assert [learner.name for learner in learners] == ["Kim (a.json)", "kim (b.json)"]
    assert skipped == []
