import sys

import pytest

from ftlab import cli
from ftlab.cli.tuning import _instructions


@pytest.fixture
def compare(monkeypatch, capsys, tmp_path):
    """Return `run(*arguments) -> stderr`, which must end in exit code 2."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")

    def run(*arguments):
        line = ["ftlab", "compare", "--base", "none-such", "--out", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, line)))
        with pytest.raises(SystemExit) as told:
            cli.main()
        assert told.value.code == 2
        return capsys.readouterr().err

    return run


def test_what_can_be_refused_is_refused_before_a_model_is_read(compare, tmp_path):
    told = compare("--task", "kindness", "--baseline", "--held-out", 3)
    assert "kindness has no baseline" in told
    assert "--few-shot" in compare("--task", "triage", "--few-shot", -1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "verdict.json").write_text("{}")
    assert "exists already" in compare("--task", "triage", "--held-out", 3)
    assert "none-such" in compare("--task", "triage", "--held-out", 3, "--overwrite")


def test_instructions_are_a_text_a_file_or_the_tasks_own(tmp_path):
    path = tmp_path / "how.txt"
    path.write_text("Be brief.\n")
    assert _instructions(str(path), "Sort.") == "Be brief."
    assert _instructions("task", "Sort.") == "Sort."
    assert _instructions("Be kind. " * 500, "Sort.") == "Be kind. " * 500
    assert _instructions("", "Sort.") == ""
