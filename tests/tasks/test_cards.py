from pathlib import Path

import pytest

from ftlab import tasks
from ftlab.tasks import cards

FOLDER = Path(__file__).parents[2] / "data" / "tasks"


@pytest.mark.parametrize("name", ["triage", "kindness"])  # the same on every Python
def test_a_card_is_what_the_task_says_today(name):
    shipped = (FOLDER / f"{name}.md").read_text("utf-8")
    assert shipped == cards.card(name), "run: python -m ftlab.tasks.cards"


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_a_card_with_its_metric_and_licence(name):
    task, shipped = tasks.get(name), (FOLDER / f"{name}.md").read_text("utf-8")
    assert task.describe in shipped and task.licence in shipped and f"`{task.headline}`" in shipped
    assert "0 share an input" in shipped
