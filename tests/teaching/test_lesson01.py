"""Lesson 01's orders follow their patterns, and its facts can be told and asked."""

import pytest

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.teaching import invented
from ftlab.teaching.exercises import find
from ftlab.teaching.orders import LEVELS, TICKET, elsewhere, in_form, kept, orders


@pytest.mark.parametrize("level", LEVELS)
def test_every_wanted_answer_is_in_its_pattern_and_in_no_other(level):
    for record in orders(level, 200, seed=0):
        assert [name for name in LEVELS if in_form(name, data.answer(record))] == [level]
        assert not in_form(level, data.prompt(record)[0]["content"])


def test_the_orders_are_the_same_at_every_level():
    asked = [[data.prompt(r) for r in orders(level, 60, seed=3)] for level in LEVELS]
    assert all(each == asked[0] for each in asked)


def test_orders_are_different_repeatable_and_apart():
    first = orders("style", 200, seed=0)
    assert first == orders("style", 200, seed=0)
    other = orders("style", 200, seed=1, apart_from=first)
    assert len({data.prompt(r)[0]["content"] for r in [*first, *other]}) == 400


def test_all_of_an_order_but_the_ticket_can_be_read_off_it():
    for record in orders("structure", 100, seed=0):
        text = data.prompt(record)[0]["content"]
        assert all(str(value) in text for value in data.meta(record).values())
        assert TICKET.search(data.answer(record))[1] not in text
    assert kept(orders("structure", 9, 0), [data.answer(r) for r in orders("structure", 9, 0)]) == 1


@pytest.mark.parametrize(
    ("level", "answer"),
    [
        ("structure", "name: Anna\ncount: 2\nitem: red hats\nday: Friday"),
        ("structure", "name: Anna\ncount: 2\nitem: red hats\nday: Friday\nticket: none"),
        ("paragraph", "Dear Anna, all is well. Kind regards, The shop"),
        ("sentence", "Friday it is, Friday."),
        ("sentence", "Friday it is, MONDAY."),
        ("style", "We will gladly send you the hats. On Friday. Done."),
        ("style", "Done."),
    ],
)
def test_what_is_nearly_in_the_pattern_is_not(level, answer):
    assert not in_form(level, answer)


def test_the_exercise_checks_as_the_package_does():
    answers = [data.answer(r) for level in LEVELS[2:] for r in orders(level, 40, seed=0)]
    solution = find("01.1").solution
    assert [solution(text) for text in answers] == [in_form("sentence", text) for text in answers]


def test_messages_that_are_no_orders():
    strange = elsewhere(40, seed=0)
    assert len({data.prompt(r)[0]["content"] for r in strange}) == 40
    known = {data.prompt(r)[0]["content"] for r in orders("style", 500, seed=0)}
    assert not known & {data.prompt(r)[0]["content"] for r in strange}


@pytest.mark.parametrize(
    "call",
    [
        lambda: orders("tone", 3, 0), lambda: orders("style", 0, 0),
        lambda: in_form("tone", ""), lambda: elsewhere(0, 0),
        lambda: invented.facts(0, 0), lambda: invented.facts(100_000, 0),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(call):
    with pytest.raises(ConfigError):
        call()


def test_facts_are_apart_and_neither_place_nor_thing_tells_them():
    known = invented.facts(50, seed=0)
    others = invented.facts(280, seed=1, apart_from=known)
    assert not {f.place for f in known} & {f.place for f in others}
    assert len({(f.place, f.thing) for f in known}) == 50
    assert len({f.place for f in known}) == 25


def test_every_fact_is_said_and_asked_in_wordings_that_differ():
    for fact in invented.facts(20, seed=0):
        asked = [fact.asked(wording) for wording in range(invented.WORDINGS)]
        assert len(set(asked)) == invented.WORDINGS
        assert all(fact.place in text and fact.thing in text for text in asked)
        assert all(fact.number not in text for text in asked)
        assert fact.place not in fact.backwards
        assert invented.right(fact, fact.said)


def test_the_number_is_right_as_in_the_exercise():
    fact = invented.Fact("Marley", "bridge", "472")
    for answer in ("It is 472.", "1472", "318, or 472", "none", ""):
        assert invented.right(fact, answer) == find("01.2").solution("472", answer)


def test_the_open_book_holds_the_fact_or_another():
    known = invented.facts(6, seed=0)
    for fact, record in zip(known, invented.open_book(known, (2,)), strict=True):
        assert data.prompt(record)[0]["content"] == f"{fact.said}\n{fact.asked(2)}"
    wrong = invented.open_book(known, given=known[::-1])
    assert data.prompt(wrong[0])[0]["content"].startswith(known[-1].said)


def test_the_retriever_finds_every_fact_in_every_wording():
    known = invented.facts(50, seed=0)
    nearest = invented.retriever(known)
    for wording in range(invented.WORDINGS):
        assert [nearest(fact.asked(wording)) for fact in known] == known
