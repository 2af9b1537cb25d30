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
