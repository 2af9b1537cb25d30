import json
import random
import re

import pytest
from pydantic import ValidationError

from ftlab import data, tasks
from ftlab.errors import ConfigError
from ftlab.tasks import Ratio, drawing, extraction, messages
from ftlab.tasks.extraction import CUE, FIELDS, Request, parse, prompt, score

MESSAGE = "Ann Ode, Glasswren Dental: twelve oak ladders by 4 March 2028, call 07700 900123."
ANSWER = {
    "action": "order", "item": "oak ladders", "quantity": 12, "due": "2028-03-04",
    "contact": "Ann Ode", "company": "Glasswren Dental", "phone": "07700900123", "urgent": False,
}  # fmt: skip


def record(message=MESSAGE, **changes):
    return data.example(CUE + message, json.dumps({**ANSWER, **changes}))


def answer(**changes):
    return json.dumps({**ANSWER, **changes})


def test_the_task_is_known():
    assert tasks.get("extraction") is extraction.TASK
    assert extraction.TASK.headline in score(record(), "")


# Marking.


def test_perfect_answer():
    marks = score(record(), answer())
    assert marks["exact"] == marks["valid_json"] == marks["valid_schema"] == Ratio(1, 1)
    assert marks["fields"] == Ratio(8, 8)
    assert marks["not_invented"] == Ratio(6, 6)


@pytest.mark.parametrize("text", ["", "  \n", "no braces", "[1, 2]", '"text"', '{"action": "or'])
def test_an_answer_without_an_object_scores_nothing(text):
    assert {ratio.num for ratio in score(record(), text).values()} == {0}


def test_one_wrong_field_costs_that_field():
    marks = score(record(), answer(quantity=20))
    assert marks["exact"] == Ratio(0, 1)
    assert marks["fields"] == Ratio(7, 8)
    assert marks["field_quantity"] == Ratio(0, 1)
    assert marks["not_invented"] == Ratio(6, 6)  # wrong, but the message has a quantity


def test_capitals_and_blanks_in_texts_do_not_matter():
    marks = score(record(), answer(item="Oak  Ladders", contact="ann ode"))
    assert marks["exact"] == Ratio(1, 1)


@pytest.mark.parametrize("value", ["12", 12.0, True, None])
def test_types_matter(value):
    assert score(record(quantity=12), answer(quantity=value))["field_quantity"].num == 0
    assert score(record(quantity=1), answer(quantity=True))["field_quantity"].num == 0
    assert score(record(), answer(urgent=0))["field_urgent"].num == 0


def test_a_missing_key_is_not_a_null():
    short = {key: value for key, value in ANSWER.items() if key != "due"}
    marks = score(record(due=None), json.dumps(short))
    assert marks["valid_schema"].num == marks["field_due"].num == marks["exact"].num == 0
    assert marks["valid_json"].num == 1


def test_a_value_out_of_nothing_is_invented():
    marks = score(record(due=None, phone=None), answer(phone=None))
    assert marks["not_invented"] == Ratio(5, 6)
    marks = score(record(), answer(contact="Bo Lind", phone="07700900124"))
    assert marks["not_invented"] == Ratio(4, 6)
    marks = score(record(), answer(colour="red", size=3))
    assert marks["not_invented"] == Ratio(6, 8)
    assert marks["exact"].num == marks["valid_schema"].num == 0


def test_a_phone_is_found_in_spite_of_its_blanks():
    assert score(record(), answer(phone="07700900123"))["not_invented"] == Ratio(6, 6)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"action": "buy"}, "action"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "12"}, "quantity"),
        ({"due": "4 March 2028"}, "due"),
        ({"due": "2028-02-30"}, "due"),
        ({"due": 1}, "due"),
        ({"phone": "07700 900123"}, "phone"),
        ({"item": ""}, "item"),
        ({"item": None}, "item"),
        ({"urgent": "no"}, "urgent"),
        ({"more": 1}, "more"),
    ],
)
def test_schema_refuses(change, why):
    with pytest.raises(ValidationError, match=why):
        Request.model_validate_json(answer(**change))
    assert score(record(), answer(**change))["valid_schema"].num == 0


def test_parse_takes_fences_and_chatter_off():
    text = answer()
    for wrapped in (f"Here it is:\n```json\n{text}\n```\nAnything else?", f"{{oops {text} {text}"):
        assert parse(wrapped) == text
        assert parse(parse(wrapped)) == text
    assert parse("  nothing here ") == "nothing here"


def test_parse_survives_depth_and_huge_numbers():
    for text in ('{"a":' * 3000, '{"a": ' + "[" * 100_000, '{"a": ' + "9" * 6000 + "}"):
        assert score(record(), text)["exact"].num == 0


# Making.


@pytest.fixture(scope="module")
def train():
    return extraction.examples(1000, seed=0)


@pytest.fixture(scope="module")
def test():
    return extraction.examples(400, seed=1, split="test")


def text_of(example):
    return data.prompt(example)[-1]["content"].removeprefix(CUE)


def test_answers_are_right_and_come_from_the_message(train, test):
    for example in (*train, *test):
        assert data.prompt(example) == list(prompt(text_of(example)))
        marks = score(example, data.answer(example))
        assert all(ratio.value == 1 for ratio in marks.values()), example
        assert list(json.loads(data.answer(example))) == list(FIELDS)


def test_the_answer_is_not_urgent_unless_words_say_so(train):
    cues = r"urgent|hurry|asap|as soon|as fast|wait|priority|hour counts"
    for example in train:
        if (
            json.loads(data.answer(example))["urgent"]
            and "typos" not in data.meta(example)["traits"]
        ):
            assert re.search(cues, text_of(example), re.I), text_of(example)


def test_no_slot_or_choice_is_left_open(train, test):
    for example in (*train, *test):
        assert not re.search(r"[{}|]|,\.|  |\bzero\b", text_of(example)), text_of(example)


def test_records_say_what_they_are(train, test):
    for example in (*train, *test):
        assert set(data.meta(example)) == {
            "id", "slice", "difficulty", "group", "form", "traits"
        }  # fmt: skip
        assert len(data.prompt(example)[-1]["content"] + data.answer(example)) <= messages.LONGEST
    assert {data.meta(e)["difficulty"] for e in test} == {"easy", "medium", "hard"}
    assert {data.meta(e)["form"] for e in train} == {
        "email",
        "reply",
        "ticket",
        "call note",
        "chat",
    }


def blanked(example):
    """The message without its values: names, firms, numbers, days and things."""
    found = json.loads(data.answer(example))
    text = text_of(example).casefold()
    for name in ("item", "contact", "company"):
        if found[name]:
            text = text.replace(found[name].casefold(), "_")
    number_words = "|".join((*messages.LISTS.units, *messages.LISTS.tens, "dozen", "hundred"))
    months = "|".join(month[:3] + "[a-z]*" for month in messages.LISTS.months).casefold()
    return re.sub(rf"\b(?:{number_words}|{months})\b|\d", "_", text)


def test_messages_differ_beyond_their_values(train):
    assert len({blanked(example) for example in train}) >= 980
    # Not only as wholes: the first five words after the values are gone differ as well.
    starts = {" ".join(re.findall(r"[a-z']+", blanked(e))[:5]) for e in train}
    assert len(starts) >= 700
    assert len({data.meta(example)["group"] for example in train}) >= 980


def test_every_kind_of_trouble_occurs(train):
    seen = [trait for example in train for trait in data.meta(example)["traits"]]
    for trait in (
        "quoted", "corrected", "second name", "second date", "number in words", *messages.ROUGH,
        *(f"no {name}" for name in extraction.OPTIONAL),
    ):  # fmt: skip
        assert seen.count(trait) >= 25, trait
    due = [e for e in train if json.loads(data.answer(e))["due"]]
    patterns = {
        "iso": r"\d{4}-\d\d-\d\d", "slashes": r"\d\d/\d\d/\d{4}", "dots": r"\d+\.\d+\.\d{4}",
        "day month": r"\d (?:march|june|july)", "month day": r"(?:march|june|july) \d+, ",
        "ordinal": r"the \d+(?:st|nd|rd|th) of ", "short": r"\d (?:mar|jun|jul) \d{4}",
    }  # fmt: skip
    for name, pattern in patterns.items():
        assert sum(bool(re.search(pattern, text_of(e).casefold())) for e in due) >= 20, name


def test_labels_are_spread(train):
    answers = [json.loads(data.answer(example)) for example in train]
    for action in drawing.word_lists("extraction").do:
        assert 140 <= sum(a["action"] == action for a in answers) <= 260
    assert 200 <= sum(a["urgent"] for a in answers) <= 400


def test_a_day_in_a_quote_is_never_left_open(train):
    replies = [e for e in train if data.meta(e)["form"] == "reply"]
    for example in replies:
        quote = "\n".join(li for li in text_of(example).split("\n") if li.startswith(">"))
        if json.loads(data.answer(example))["due"] is None and "message of" not in quote.casefold():
            assert not re.search(r"20[23]\d", quote), text_of(example)
    assert any(re.search(r"^>.*20[23]\d", text_of(e), re.M) for e in replies)


def test_people_in_one_message_are_told_apart(train):
    for example in train:
        signed = re.search(r"(?m)^(.+)$\n\n.*?(\1) wrote:", text_of(example))
        assert not signed, text_of(example)


def test_what_is_held_out_stays_out(train, test):
    known = [*train, *(e for e in test if data.meta(e)["slice"] == messages.KNOWN)]
    people = [json.loads(data.answer(e))["contact"] or "" for e in known]
    firms = [json.loads(data.answer(e))["company"] or "" for e in known]
    assert not {p.split()[0] for p in people if p} & set(
        drawing.open_to(messages.LISTS.given, True)
    )
    for coined in drawing.open_to(messages.LISTS.coined, True):
        assert not any(firm.startswith(coined) for firm in firms)
    numbers = {json.loads(data.answer(e))["quantity"] for e in known} - {None}
    assert not any(number % 7 == 3 for number in numbers)
    text = "\n".join(text_of(e) for e in known).casefold()
    for phrase in ("we wish to", "would you let", "keen to", "mission:", "revoke", "our intention"):
        assert phrase not in text
    new = "\n".join(text_of(e) for e in test if data.meta(e)["slice"] == drawing.NEW).casefold()
    assert "keen to" in new
    assert "our intention" in new


@pytest.mark.parametrize(("n", "split"), [(0, "train"), (5, "dev")])
def test_examples_refuse_what_they_cannot_give(n, split):
    with pytest.raises(ConfigError):
        extraction.examples(n, seed=0, split=split)


@pytest.mark.parametrize(
    ("number", "spelt"),
    [(1, "one"), (13, "thirteen"), (20, "twenty"), (87, "eighty-seven"), (100, "one hundred"),
     (101, "one hundred and one"), (140, "one hundred and forty")],
)  # fmt: skip
def test_spell(number, spelt):
    assert messages.spell(number) == spelt


@pytest.mark.parametrize(
    ("one", "many"), [("desk lamp", "desk lamps"), ("cool box", "cool boxes"), ("bench", "benches")]
)
def test_plural(one, many):
    assert messages.plural(one) == many


@pytest.mark.parametrize(
    ("day", "written"), [(1, "1st"), (2, "2nd"), (11, "11th"), (13, "13th"), (23, "23rd")]
)
def test_ordinal(day, written):
    assert messages.ordinal(day) == written


def test_roughness_leaves_slots_whole():
    skeleton = "Please deliver {quantity} {item}, to our office immediately."
    rough = {how: messages.roughen(random.Random(0), skeleton, how) for how in messages.ROUGH}
    assert rough["shouting"] == "PLEASE DELIVER {quantity} {item}, TO OUR OFFICE IMMEDIATELY."
    assert rough["no punctuation"] == "Please deliver {quantity} {item} to our office immediately"
    typos = messages.roughen(random.Random(0), skeleton, "typos", rate=1)
    assert "{quantity} {item}" in typos
    assert typos != skeleton
    with pytest.raises(ConfigError, match="Did you mean 'typos'"):
        messages.roughen(random.Random(0), skeleton, "typo")
