import subprocess
import sys

import pytest

from ftlab.teaching import progress
from ftlab.teaching.exercises import check, find
from ftlab.teaching.quizzes import LETTERS, quiz


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


def test_quiz_answers_are_kept_from_text_and_from_widgets(progress_file, capsys):
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


def test_a_folder_that_cannot_be_written_does_not_stop_a_lesson(progress_file, capsys):
    progress_file.parent.write_text("a file where the folder should be")
    check("00.1", find("00.1").solution)
    assert "is right" in capsys.readouterr().out and progress.done() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"00.1": 3}', '{"00.1": {"tries": "x"}}', "[" * 9999]
)
def test_a_damaged_file_is_begun_anew(progress_file, text, capsys):
    progress_file.parent.mkdir()
    progress_file.write_text(text)
    check("00.1", find("00.1").solution)
    assert progress.done()["00.1"] == {"passed": True, "tries": 1}


def test_a_file_that_another_notebook_holds_does_not_stop_a_lesson(
    progress_file, monkeypatch, capsys
):
    monkeypatch.setattr(progress, "WAIT", 0.01)
    with progress._alone(progress_file):
        check("00.1", find("00.1").solution)
    assert "is right" in capsys.readouterr().out and progress.done() == {}
