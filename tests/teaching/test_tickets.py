"""The tickets written by hand fit the task that they are examples of."""

from collections import Counter

from ftlab import data, tasks
from ftlab.tasks.triage import INTENTS, PRIORITIES
from ftlab.teaching.tickets import TICKETS


def test_twenty_different_tickets_of_all_intents_and_priorities():
    assert len({text for text, _, _ in TICKETS}) == 20
    assert {intent for _, intent, _ in TICKETS} == set(INTENTS)
    assert Counter(priority for *_, priority in TICKETS).keys() == set(PRIORITIES)


def test_the_task_gives_their_answers_full_marks():
    task = tasks.get("triage")
    for text, intent, priority in TICKETS:
        record = data.example(task.prompt(text), f"intent: {intent}\npriority: {priority}")
        assert task.score(record, data.answer(record))["both"].value == 1
        assert task.parse(data.answer(record)) == data.answer(record)


def test_none_of_them_comes_from_the_program():
    drawn = tasks.get("triage").examples(500, seed=0)
    made = {data.prompt(record)[-1]["content"].partition("\n\n")[2] for record in drawn}
    assert not made & {text for text, _, _ in TICKETS}
