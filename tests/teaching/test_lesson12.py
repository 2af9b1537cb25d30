"""Lesson 12's tickets and its tokenizer are what the lesson says of them."""

import pytest

from ftlab import data, templates
from ftlab.errors import DataError
from ftlab.teaching.lesson12 import servers, tickets, with_bos


def test_tickets_are_balanced_short_and_grow_by_their_end():
    kinds = ("login", "outage")
    some, more = tickets(10, kinds, "test"), tickets(20, kinds, "test")
    assert more[:10] == some
    assert [data.answer(record) for record in some] == list(kinds) * 5
    assert all(len(data.prompt(record)[-1]["content"].split()) < 23 for record in more)
    assert all("Sort this ticket" not in data.prompt(record)[-1]["content"] for record in more)


def test_no_test_ticket_is_a_training_ticket():
    train, test = (
        {data.prompt(r)[-1]["content"] for r in tickets(90, ("login", "delivery", "outage"), split)}
        for split in ("train", "test")
    )
    assert len(train) == len(test) == 90
    assert not train & test


def test_more_tickets_than_there_are_is_said():
    with pytest.raises(DataError, match="fewer than 5000 short tickets of each of login"):
        tickets(5000, ("login",), "test")


def test_the_tokenizer_doubles_its_bos_and_nothing_else():
    tokenizer = with_bos()
    asked = [{"role": "user", "content": "good day"}]
    text = templates.prompt_text(tokenizer, asked)
    once = templates.prompt_ids(tokenizer, asked)
    assert text == "<s> user: good day bot:"
    assert tokenizer(text)["input_ids"] == [tokenizer.bos_token_id, *once]
    assert once.count(tokenizer.bos_token_id) == 1
    assert any("adds another" in line for line in templates.problems(tokenizer))


def test_servers_send_one_ticket_in_four_ways(make_model):
    asked = [{"role": "user", "content": "good day"}]
    for tokenizer in (with_bos(), make_model("chatml")[1]):
        made = servers(tokenizer)
        once = templates.prompt_ids(tokenizer, asked)
        sent = tokenizer(made["server A"](asked))["input_ids"]
        assert sent == [once[0], *once], "its first token is there twice"
    texts = {make(asked) for make in made.values()}
    assert list(made) == [f"server {letter}" for letter in "ABCD"] and len(texts) == 4
    assert made["server C"](asked) == "good day"
