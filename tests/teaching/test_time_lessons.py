"""A rehearsal times cells, keeps what was made, and gives errors in their own words."""

import sys

import nbformat
import pytest

from ftlab import cli
from ftlab.cli.course import rehearse
from ftlab.errors import DataError
from ftlab.teaching import time_lessons

CELLS = [
    "# 07 A lesson",
    "import time\nx = 1",
    "## 1. Settings",
    "time.sleep(0.3)",
    "## 2. What fails",
    "assert x == 2, 'x is not [two]'",
    "print('after it')",
]


@pytest.fixture
def lesson(tmp_path):
    make = {True: nbformat.v4.new_markdown_cell, False: nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[text[0] == "#"](text) for text in CELLS])
    path = tmp_path / "notebooks" / "07_lesson.ipynb"
    path.parent.mkdir()
    path.write_text(nbformat.writes(notebook))
    return path


def test_each_cell_is_timed_and_its_error_shown(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    arguments = ["ftlab", "rehearse", "--notebooks", str(lesson.parent), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    out = capsys.readouterr().out
    assert exit_info.value.code == 1
    assert "cell 6 (2. What fails): AssertionError: x is not [two]" in out
    assert "s, cell 4, 1. Settings" in out and ": 2. What fails" in out
    ran = nbformat.read(tmp_path / "07_lesson.ipynb", as_version=4)
    assert ran.cells[-1].outputs[0].text == "after it\n"
    assert nbformat.read(lesson, as_version=4).cells[-1].outputs == [], "it stays as it is"


def test_the_slowest_cells_come_first():
    cells = [
        {"cell": n, "heading": "", "seconds": s, "error": ""}
        for n, s in enumerate((1.0, 70.4, 58.6, 0.0), 1)
    ]
    shown = time_lessons.table({"07": cells})
    row = [next(iter(column.cells)) for column in shown.columns]
    assert row[:2] == ["07", "0:02:10"] and row[3] == "none"
    assert [line.split(",")[0] for line in row[2].splitlines()] == ["70 s", "59 s", "1 s"]


def test_a_lesson_that_is_not_there(lesson):
    with pytest.raises(DataError, match="No such lesson"):
        rehearse(["70"], notebooks=lesson.parent)
