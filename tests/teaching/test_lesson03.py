"""Lesson 03's bookings have the range they say, and its exercises and pictures say what is so."""

import csv
import importlib.resources
import json
from collections import Counter

import pytest

from ftlab import data, templates
from ftlab.errors import ConfigError
from ftlab.files import data_path
from ftlab.teaching import plots
from ftlab.teaching.exercises import find, judge
from ftlab.teaching.lesson03 import BESIDE, EXERCISES, RANGE, TOOL_ROW, bookings


def parts(row):
    name, people, times = data.answer(row).split()
    return name, int(people.removeprefix("x")), *times.split("-")


@pytest.mark.parametrize(("beside", "wanted"), [(False, RANGE), (True, BESIDE)])
def test_bookings_fill_their_range_and_no_more(beside, wanted):
    rows = bookings(200, seed=0, beside=beside)
    assert {parts(r)[1] for r in rows} == set(wanted[0])
    assert {int(parts(r)[2][:2]) for r in rows} == set(wanted[1])


def test_a_booking_can_be_read_off_its_message():
    for row in bookings(200, seed=1):
        text = data.prompt(row)[-1]["content"]
        name, people, start, end = parts(row)
        assert name in text and start in text
        assert str(people) in text.replace(start, "")
        assert (int(end[:2]) - int(start[:2]), end[2:]) == (2, start[2:])


def test_bookings_are_different_repeatable_and_apart():
    first = bookings(300, seed=0)
    assert first == bookings(300, seed=0)
    assert first[:50] == bookings(50, seed=0)
    other = bookings(300, seed=1, apart_from=first)
    texts = [data.prompt(r)[-1]["content"] for r in [*first, *other]]
    assert len(set(texts)) == 600
    shared = {data.prompt(r)[-1]["content"] for r in bookings(300, seed=1)} & set(texts[:300])
    assert shared, "without apart_from some messages would have come again"


@pytest.mark.parametrize("n", [0, 1001])
def test_too_few_and_too_many_bookings_are_refused(n):
    with pytest.raises(ConfigError, match=f"not {n}"):
        bookings(n, seed=0)


def test_the_pairs_of_the_shift_give_the_loss_that_the_model_gives(make_model):
    import torch

    model, tokenizer = make_model("chatml")
    ids = tokenizer("What is the capital of France? Paris.")["input_ids"]
    labels = [-100] * 3 + ids[3:]
    pairs = find("03.2").solution(labels)
    with torch.no_grad():
        row = torch.tensor([ids])
        logits = model(input_ids=row).logits[0].log_softmax(-1)
        wanted = model(input_ids=row, labels=torch.tensor([labels])).loss.item()
    got = -sum(logits[place, token].item() for place, token in pairs) / len(pairs)
    assert got == pytest.approx(wanted, rel=1e-4)


def test_of_the_tool_row_the_call_is_learned_and_the_result_is_not(make_tokenizer):
    original = importlib.resources.files("trl") / "chat_templates" / "qwen3.jinja"
    if not original.is_file():
        pytest.skip("the installed TRL carries no originals")
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = original.read_text(encoding="utf-8")
    encoded = templates.encode(tokenizer, TOOL_ROW)
    learned = tokenizer.decode(
        [t for t, on in zip(encoded.input_ids, encoded.loss_mask, strict=True) if on]
    )
    assert '"free_tables"' in learned and "three tables" in learned
    assert "tool_response" not in learned


def test_a_call_may_have_an_id_and_arguments_as_text():
    def with_id(question, time, result, reply, description):
        row = find("03.1").solution(question, time, result, reply, description)
        call = row["messages"][1]["tool_calls"][0]
        call["id"] = "1"
        call["function"]["arguments"] = json.dumps({"time": time})
        return row

    assert judge(find("03.1"), with_id).passed


def test_unwritten_stubs_get_a_hint():
    for exercise in EXERCISES:
        outcome = judge(exercise, lambda *_: ...)
        assert outcome.kind == "unwritten"
        assert "Hint 1" in outcome.message


def test_the_grid_of_rates_is_whole():
    lines = data_path("grids/learning_rates.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    counts = Counter(row["times"] for row in rows)
    assert set(counts) == {"0.02", "0.1", "1", "10", "100"}
    assert min(counts.values()) == max(counts.values()) >= 1
    assert {len(row["answers"]) for row in rows} == {61}


def test_lines_show_each_curve_and_say_where_it_is_lowest():
    picture = plots.lines(
        {"a": [(1, 2.0), (2, 0.5), (3, 1.0)], "b": [(1, 3.0), (3, 2.0)]},
        title="Two", xlabel="epoch", ylabel="loss", top=4,
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[2.0, 0.5, 1.0], [3.0, 2.0]]
    assert axes.get_ylim() == (0, 4)
    assert "a from 2.00 to 1.00, lowest 0.50 at 2" in picture.alt
    assert picture.png().startswith(b"\x89PNG")
