"""The page of claims is made of what the notebooks recorded."""

from pathlib import Path

import claims_page
import nbformat
import pytest

from ftlab.errors import ConfigError, DataError
from ftlab.evaluation.intervals import Interval
from ftlab.teaching import claims

ROOT = Path(__file__).parents[2] / "notebooks"


def notebook(folder, *cells, name="05_x.ipynb"):
    from nbclient import NotebookClient

    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(text[3:])
            if text.startswith("md:")
            else nbformat.v4.new_code_cell(text)
            for text in cells
        ]
    )
    NotebookClient(made, kernel_name="python3").execute()
    path = folder / name
    nbformat.write(made, path)
    return path


def test_claims_are_numbered_without_gaps_and_each_has_a_lesson():
    assert list(claims.all_claims()) == list(range(1, 49))
    for claim in claims.all_claims().values():
        assert claim.lesson in {f"{n:02}" for n in range(14)} and claim.said_by and claim.claim


def test_in_a_terminal_a_record_is_two_lines(capsys):
    claims.record(24, Interval(0.1634, 0.12, 0.2))
    rule = claims.all_claims()[24].rule
    told = capsys.readouterr().out.splitlines()[1]
    assert told.endswith(f"{rule['of']}: 0.163 [0.12, 0.2]")


@pytest.mark.parametrize("number", [28, 49])
def test_a_claim_without_a_rule_is_refused(number):
    with pytest.raises(ConfigError, match="has no rule"):
        claims.record(number, Interval(0.1, 0.0, 0.2))


RECORD = """\
from ftlab.evaluation.intervals import Interval
from ftlab.teaching import claims
claims.record(7, Interval({}, 0.2, 0.9))"""


def test_what_notebooks_record_is_on_the_page(tmp_path):
    paths = [
        notebook(tmp_path, "md:# 05\n\n## 3. The run | its curve", RECORD.format(value),
                 name=f"0{number}_x.ipynb") for number, value in enumerate((0.25, 0.5))
    ]  # fmt: skip
    (entry,) = claims_page.read(paths[0])
    assert (entry.value, entry.interval, entry.lesson) == (0.25, (0.2, 0.9), "00_x")
    assert entry.section == "3. The run | its curve"
    page = claims_page.page(paths)
    rows = [line for line in page.splitlines() if "[0.2, 0.9]" in line]
    assert rows[0].startswith("| 7 | The base can do it") and rows[1].startswith("| | | | [01]")
    assert "0.25 [0.2, 0.9]. | **" in rows[0] and "[00](00_x.ipynb), 3. The run \\| its" in rows[0]
    assert "1 of 48 claims are measured." in page


def test_a_stale_page_is_found(tmp_path, capsys):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "01_x.ipynb")
    assert claims_page.main(["--root", str(tmp_path), "--check"]) == 1
    assert claims_page.main(["--root", str(tmp_path)]) == 0
    assert claims_page.main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "02_y.ipynb").write_text("no notebook")
    with pytest.raises(DataError, match="02_y"):
        claims_page.page([tmp_path / "02_y.ipynb"])


def test_the_committed_page_is_what_the_lessons_recorded():
    assert claims_page.main(["--root", str(ROOT), "--check"]) == 0
