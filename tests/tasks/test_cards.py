from pathlib import Path

import pytest

from ftlab import tasks

FOLDER = Path(__file__).parents[2] / "data" / "tasks"


@pytest.mark.parametrize("name", ["extraction", "kindness"])  # the same on every Python
def test_a_card_is_what_the_task_says_today(name, monkeypatch):
    shipped = (FOLDER / f"{name}.md").read_text("utf-8")
    monkeypatch.syspath_prepend("scripts")
    import task_cards

    assert shipped == task_cards.card(name), "run: python scripts/task_cards.py"


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_a_card_with_its_metric_and_licence(name):
    task, shipped = tasks.get(name), (FOLDER / f"{name}.md").read_text("utf-8")
    assert task.describe in shipped and task.licence in shipped and f"`{task.headline}`" in shipped
    assert "0 share an input" in shipped


def test_a_card_takes_whatever_runs_there_are(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend("scripts")
    import task_cards

    monkeypatch.setattr(task_cards, "GRID", tmp_path / "tasks.csv")
    assert task_cards.measured("extraction") == ""
    lines = ["# made so", "task,system,records,seed,n,totals,marks,minutes,date"]
    for system, records, seed, right in (
        ("tuned", 50, 0, 1),
        ("base", 0, 0, 0),
        ("tuned", 50, 1, 0),
    ):
        totals = f'"{{""exact"": [{right}, 2], ""valid"": [1, 2], ""resists"": [0, 0]}}"'
        lines.append(f"extraction,{system},{records},{seed},2,{totals},{right}/1 0/1,1.0,today")
    task_cards.GRID.write_text("\n".join(lines) + "\n")
    table = [line for line in task_cards.measured("extraction").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0][:3] == ["", "seeds", "exact"] and cells[0][-2:] == ["valid", "resists"]
    assert [row[:2] for row in cells[2:]] == [["base", "1"], ["tuned on 50", "2"]]
    assert cells[3][2].startswith("0.25 [") and cells[3][-2:] == ["0.50", ""]
