"""A rehearsal times cells, keeps what was made, and tells errors in their own words."""

import json

import nbformat
import pytest

from ftlab.errors import ConfigError, DataError
from ftlab.teaching import rehearsal

CELLS = [
    "# 07 A lesson",
    "import time\nx = 1",
    "## 1. Settings",
    "time.sleep(0.3)",
    "## 2. What fails",
    "assert x == 2, 'x is not two'",
    "print('after it')",
]


def write(path, cells):
    make = {True: nbformat.v4.new_markdown_cell, False: nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[text[0] == "#"](text) for text in cells])
    path.write_text(nbformat.writes(notebook))
    return path


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    (tmp_path / "notebooks").mkdir()
    return write(tmp_path / "notebooks" / "07_lesson.ipynb", CELLS)


def test_a_rehearsal_and_what_follows(lesson, tmp_path):
    out, said = tmp_path / "runs" / "rehearsal", []
    told = rehearsal.rehearse(lesson, out, say=said.append)
    assert told["new"] and [cell["cell"] for cell in told["cells"]] == [2, 4, 6, 7]
    slept = told["cells"][1]
    assert slept["heading"] == "1. Settings" and slept["seconds"] >= 0.3
    assert slept["first_line"] == "time.sleep(0.3)"
    assert rehearsal.error_lines([told]) == [
        "07, cell 6 (2. What fails): AssertionError: x is not two"
    ]
    assert any("cell 6 of 7" in line and "2. What fails" in line for line in said)
    assert json.loads((out / "07" / "cells.json").read_text())["seconds"] == told["seconds"]
    ran = nbformat.read(out / "07" / "07_lesson.ipynb", as_version=4)
    assert ran.cells[-1].outputs[0].text == "after it\n"
    assert nbformat.read(lesson, as_version=4).cells[-1].outputs == [], "it stays as it is"
    assert [path.name for path in out.iterdir()] == ["07"]

    # the same again is not run; --again is, and a Ctrl-C in it leaves what was there
    assert not rehearsal.rehearse(lesson, out, say=said.append)["new"]
    assert "nothing has changed since" in said[-1]

    def stop(line):
        if "2. What fails" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearsal.rehearse(lesson, out, again=True, say=stop)
    assert rehearsal.read(out / "07")["on"] == told["on"]
    assert [path.name for path in out.iterdir()] == ["07"]

    write(lesson, CELLS[:4])  # a changed lesson runs again
    told = rehearsal.rehearse(lesson, out, say=said.append)
    assert told["new"] and told["errors"] == []


def test_a_folder_of_something_else_stays(lesson, tmp_path):
    (tmp_path / "07").mkdir()
    with pytest.raises(DataError, match=r"07 is there and holds no rehearsal"):
        rehearsal.rehearse(lesson, tmp_path)


def told(seconds, errors=()):
    return {"lesson": "07", "seconds": seconds, "errors": errors}


def test_the_verdict_counts_the_cells_alone():
    assert rehearsal.verdict(told(59), 1) == "fits"
    assert rehearsal.verdict(told(61), 1) == "too long"
    assert rehearsal.verdict(told(9, errors=[{}]), 1) == "fails"


def test_lessons_are_found_by_number(lesson, tmp_path):
    root = lesson.parent
    assert rehearsal.lessons(root) == rehearsal.lessons(root, ["07"]) == [lesson]
    with pytest.raises(ConfigError, match="lesson"):
        rehearsal.lessons(root, ["70"])
    with pytest.raises(DataError, match="no lessons"):
        rehearsal.lessons(tmp_path)
