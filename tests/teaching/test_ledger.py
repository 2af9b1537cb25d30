"""The claims ledger is made of what the notebooks recorded."""

from pathlib import Path

import claims_page
import nbformat
import pytest

from ftlab.errors import ConfigError, DataError
from ftlab.teaching import ledger

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
    assert list(ledger.claims()) == list(range(1, 49))
    for claim in ledger.claims().values():
        assert claim.lesson in {f"{n:02}" for n in range(14)} and claim.said_by and claim.claim


def test_in_a_terminal_a_record_is_two_lines(capsys):
    ledger.record(24, "holds", "F1 without capitals", 0.1634, interval=(0.12, 0.2))
    assert capsys.readouterr().out.splitlines()[1] == (
        "Holds. F1 without capitals: 0.163 [0.12, 0.2]"
    )


def test_a_sentence_is_shown_as_it_was_written(capsys):
    ledger.record(24, "holds", "F1 fell to 0.16 [0.12, 0.20].", 0.1634, interval=(0.12, 0.2))
    assert capsys.readouterr().out.splitlines()[1] == "Holds. F1 fell to 0.16 [0.12, 0.20]."


@pytest.mark.parametrize(
    "wrong", [(49, "holds", "x"), (1, "true", "x"), (1, "holds", " ")], ids=["claim", "verdict", ""]
)
def test_what_is_unknown_is_refused(wrong):
    with pytest.raises(ConfigError):
        ledger.record(*wrong)


def test_what_a_notebook_records_is_on_the_page(tmp_path):
    path = notebook(
        tmp_path,
        "md:# 05\n\n## 3. The run | its curve",
        "from ftlab.teaching import ledger\n"
        "ledger.record(7, 'depends', 'share of steps', 0.25, interval=(0.2, 0.3))",
    )
    (entry,) = claims_page.read(path)
    assert (entry.value, entry.interval, entry.lesson) == (0.25, (0.2, 0.3), "05_x")
    assert entry.section == "3. The run | its curve"
    page = claims_page.page([path])
    assert "| Share of steps: 0.25 [0.2, 0.3]. | **depends** |" in page
    assert "[05](05_x.ipynb), 3. The run \\| its curve" in page
    assert "1 of 48 claims are measured." in page


def test_a_claim_measured_twice_has_two_rows_and_is_counted_once(tmp_path):
    told = ["Half of it, 0.50, was kept.", "All of it, 1.00, was kept."]
    paths = [
        notebook(
            tmp_path,
            f"from ftlab.teaching import ledger\nledger.record(7, 'holds', {sentence!r}, 0.5)",
            name=f"0{number}_x.ipynb",
        )
        for number, sentence in enumerate(told)
    ]
    rows = [line for line in claims_page.page(paths).splitlines() if "was kept" in line]
    assert rows[0].startswith("| 7 | The base can do it") and rows[1].startswith("| | | | [01]")
    assert [row.split(" | ")[-2] for row in rows] == told
    assert "1 of 48 claims are measured." in claims_page.page(paths)


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
