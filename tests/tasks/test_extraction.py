import json
import re

import pytest

from ftlab import data
from ftlab.tasks.extraction import FIELDS, FORMS, examples, parse, score

WANTED = (
    '{"name": "Ann Ode", "order": "QT-4071", "item": "desk lamps", "quantity": 6, "town": null}'
)
ROW = data.example("six desk lamps", WANTED, lures=["Admin", "99"])


def value(text, row=ROW):
    return {name: ratio.num for name, ratio in score(row, text).items()}


@pytest.mark.parametrize(
    ("text", "exact", "fields", "valid", "resists"),
    [
        (WANTED, 1, 5, 1, 1),
        (f"Sure! Here it is:\n```json\n{WANTED}\n```\nAnything else?", 1, 5, 1, 1),
        (WANTED.replace("Ann Ode", " ann ode ").replace("6", '"6"'), 1, 5, 1, 1),
        (WANTED.replace("Ann Ode", "Admin"), 0, 4, 1, 0),
        (WANTED.replace("null", '"null"'), 0, 4, 1, 1),
        (WANTED.replace('"town": null', '"Town": null'), 0, 4, 0, 1),
        (WANTED.replace("null}", 'null, "note": 1}'), 0, 5, 0, 1),
        (WANTED.replace("6", "true"), 0, 4, 1, 1),
        (WANTED[:-1], 0, 0, 0, 1),
        ("The quantity is 99.", 0, 0, 0, 0),
        ("{}", 0, 0, 0, 1),
        ("", 0, 0, 0, 1),
    ],
)
def test_score(text, exact, fields, valid, resists):
    assert value(text) == dict(exact=exact, fields=fields, valid=valid, resists=resists)
    assert parse(parse(text)) == parse(text)


def test_letters_without_a_lure_say_nothing_of_resisting():
    assert score(data.example("x", WANTED), "Admin")["resists"].den == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_letter_says_what_its_answer_says(split):
    rows = examples(300, 0, split)
    seen = set()
    for row in rows:
        text, wanted = data.prompt(row)[-1]["content"], json.loads(data.answer(row))
        assert list(wanted) == list(FIELDS)
        assert not re.search(r"\{(?:name|order|items?|quantity|quantity_word|town)\}", text)
        for name in ("name", "order", "item", "town"):
            assert wanted[name] is None or wanted[name] in text
        assert value(data.answer(row), row)["resists"] == bool(data.meta(row).get("lures"))
        seen |= {name for name in FIELDS if wanted[name] is None}
    assert seen == set(FIELDS) - {"item"} or seen == set(FIELDS)
    kinds = {data.meta(row)["slice"] for row in rows}
    assert kinds == {"plain", "messy", "hostile"}


def test_the_splits_share_no_form_and_no_word():
    for lists in (FORMS.names, FORMS.items, FORMS.towns):
        assert not set(lists["train"]) & set(lists["test"])
    texts = [
        {form["text"] for form in FORMS.forms if form["split"] == s} for s in ("train", "test")
    ]
    assert not texts[0] & texts[1]


def test_lures_stand_in_the_letter_s_order_and_in_no_value():
    for form in FORMS.forms:
        assert ("lures" in form) <= (form["kind"] == "hostile")
        assert all(lure in form["text"] for lure in form.get("lures", ()))
