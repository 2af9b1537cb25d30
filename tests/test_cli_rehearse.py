import sys

import pytest

from ftlab import cli
from ftlab.teaching import rehearsal

TOLD = {
    "lesson": "05", "on": "2026-11-21 14:03", "seconds": 130.0, "errors": [], "new": True,
    "cells": [{"cell": 9, "heading": "6. Which settings?", "seconds": 70.4, "first_line": "x"}],
}  # fmt: skip


@pytest.fixture
def ftlab(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("05_one.ipynb", "06_two.ipynb"):
        (tmp_path / name).write_text("{}")

    def run(answers, *arguments):
        def rehearse(path, out, again, say):
            if isinstance(answers[path.name[:2]], BaseException):
                raise answers[path.name[:2]]
            return answers[path.name[:2]]

        monkeypatch.setattr(rehearsal, "rehearse", rehearse)
        monkeypatch.setattr(
            sys, "argv", ["ftlab", "rehearse", "--notebooks", str(tmp_path), *arguments]
        )
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        told = capsys.readouterr()
        return exit_info.value.code, told.out + told.err

    return run


def test_a_table_and_the_way_out(ftlab):
    code, out = ftlab({"05": TOLD}, "--only", "05", "--minutes", "2")
    assert code == 0
    for wanted in ("2:10", "70 s, cell 9, 6. Which settings?", "too long"):
        assert wanted in out


def test_an_error_is_told_in_full(ftlab):
    wrong = {"cell": 9, "heading": "6. Which settings?", "error": "ValueError: no such [thing]"}
    code, out = ftlab({"05": TOLD, "06": TOLD | {"lesson": "06", "errors": [wrong]}})
    assert code == 1
    assert "06, cell 9 (6. Which settings?): ValueError: no such [thing]" in out


def test_ctrl_c_keeps_what_is_done(ftlab):
    code, out = ftlab({"05": TOLD, "06": KeyboardInterrupt()})
    assert code == 130 and "2:10" in out and "Stopped by you." in out


def test_an_unknown_lesson_is_named(ftlab):
    code, out = ftlab({}, "--only", "5")
    assert code == 2 and "05" in out
