"""What is spoilt is counted and labelled, what is wanted stays, and nothing else is touched."""

import random
import re
from collections import Counter

import pytest

from ftlab import data, tasks
from ftlab.curation import injectors
from ftlab.curation.checks_private import commands
from ftlab.curation.injectors import HOSTILE, MESSY, inject, obeyed, parse_rates, tally
from ftlab.errors import ConfigError, DataError

TRIAGE = tasks.get("triage").examples(200, seed=3)
TEXT = "Dear team, the parcel with Order 48213 has not arrived. Please send it to Ann Ode. Thanks!"


def text_of(record):
    return data.prompt(record)[-1]["content"]


def touched(records):
    return [i for i, record in enumerate(records) if "injected" in data.meta(record)]


@pytest.mark.parametrize("task", sorted({*tasks.names()} - {"punctuation"}))
def test_every_task_can_be_spoilt(task):  # punctuation reads for long, and is no other
    made = tasks.get(task).examples(60, seed=1)
    spoilt = inject(made, {"messy": 0.5, "hostile": 0.25}, seed=2)
    assert Counter(data.meta(r).get("injected") for r in spoilt) == {
        "messy": 30,
        "hostile": 15,
        None: 15,
    }
    for before, after in zip(made, spoilt, strict=True):
        assert data.answer(after) == data.answer(before)
        assert data.prompt(after)[:-1] == data.prompt(before)[:-1]
        assert {**data.meta(after), **data.meta(before)} == data.meta(after)
        if "injected" in data.meta(after):
            assert text_of(after) != text_of(before)
            assert data.meta(after)["injected_how"] in (MESSY | HOSTILE)
            assert data.meta(after).get("injected_text", "") in text_of(after)
        else:
            assert after is before


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_the_rates(seed):
    rng = random.Random(seed)
    rates = {"messy": rng.random() * 0.5, "hostile": rng.random() * 0.4, "casing": 0.1}
    done = Counter()
    for record in inject(TRIAGE, rates, seed=seed):
        done[data.meta(record).get("injected")] += 1
    assert done["hostile"] == round(rates["hostile"] * 200)
    assert done["messy"] == round(rates["messy"] * 200) + 20


def test_order_does_not_matter_but_the_seed_does():
    mixed = random.Random(0).sample(TRIAGE, len(TRIAGE))

    def by_id(made, seed):
        return {
            data.meta(r)["id"]: r for r in inject(made, {"messy": 0.3, "hostile": 0.2}, seed=seed)
        }

    assert by_id(TRIAGE, 1) == by_id(mixed, 1)
    assert by_id(TRIAGE, 1) != by_id(TRIAGE, 2)


@pytest.mark.parametrize("kind", ["messy", "hostile", "typos"])
def test_doses_are_nested(kind):
    low, high = (inject(TRIAGE, {kind: rate}) for rate in (0.1, 0.4))
    assert set(touched(low)) < set(touched(high))
    assert all(low[i] == high[i] for i in touched(low))


def test_copies_are_spoilt_apart():
    copies = [data.example(TEXT, "x")] * 40
    spoilt = inject(copies, {"messy": 0.5})
    assert len(touched(spoilt)) == 20
    assert len({text_of(spoilt[i]) for i in touched(spoilt)}) > 5
    assert copies == [data.example(TEXT, "x")] * 40


def test_no_record_is_touched_twice():
    once = inject(TRIAGE, {"hostile": 0.6})
    twice = inject(once, {"messy": 0.4})
    assert Counter(data.meta(r)["injected"] for r in twice) == {"hostile": 120, "messy": 80}
    with pytest.raises(DataError, match="60 records were to be spoilt; 0 of 200"):
        inject(twice, {"messy": 0.3})


# One by one.


def one(kind, text=TEXT, seed=0):
    return text_of(inject([data.example(text, "x")], {kind: 1.0}, seed=seed)[0])


@pytest.mark.parametrize("seed", range(20))
def test_typos_are_small_and_spare_figures(seed):
    found = one("typos", seed=seed)
    words, before = found.split(), TEXT.split()
    assert len(words) == len(before) and "48213" in words
    changed = [(a, b) for a, b in zip(before, words, strict=True) if a != b]
    assert 1 <= len(changed) <= 3
    for a, b in changed:
        a, b = re.sub(r"\W", "", a), re.sub(r"\W", "", b)
        assert (a[0], a[-1]) == (b[0], b[-1]) and abs(len(a) - len(b)) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_each_way_does_what_it_says(seed):
    assert one("casing", seed=seed) == TEXT.lower()
    cut = one("cut", seed=seed)
    assert TEXT.startswith(cut) and 0.65 * len(TEXT) < len(cut) < len(TEXT)
    assert TEXT in one("pasted", seed=seed)
    words = set(one("languages", seed=seed).split())
    assert words - set(TEXT.split()) and {"48213", "Ode."} <= words


@pytest.mark.parametrize(
    ("kind", "text"), [("casing", "all lower"), ("cut", "short"), ("typos", "12 34"), ("cut", "")]
)
def test_where_a_way_does_nothing_something_is_pasted(kind, text):
    record = inject([data.example(text, "x")], {kind: 1.0})[0]
    assert data.meta(record)["injected_how"] == "pasted"
    assert text in text_of(record) and text_of(record) != text


def test_the_instruction_that_all_share_is_spared():
    cue = "Sort THIS ticket:\n\n"
    made = [data.example(f"{cue}{letter} parcel is late", "x") for letter in "ABCDEFGH"]
    for kind in ("casing", "typos", "hostile", "pasted"):
        assert all(text_of(r).startswith(cue) for r in inject(made, {kind: 1.0}))
    assert [text_of(r) for r in inject(made, {"casing": 1.0})] == [
        f"{cue}{letter} parcel is late" for letter in "abcdefgh"
    ]


def test_only_the_last_turn_is_changed():
    talk = data.example(
        [
            {"role": "system", "content": "Be KIND."},
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "SECOND."},
        ],
        "Done.",
    )
    spoilt = inject([talk], {"casing": 1.0})[0]
    assert [m["content"] for m in data.prompt(spoilt)] == ["Be KIND.", "First.", "Yes?", "second."]


def test_hostile_orders_hide_everywhere_and_bait():
    spoilt = inject(TRIAGE, {"hostile": 1.0})
    assert {data.meta(r)["injected_how"] for r in spoilt} == set(HOSTILE)
    for record, before in zip(spoilt, TRIAGE, strict=True):
        bait = data.meta(record)["injected_bait"]
        assert bait in data.meta(record)["injected_text"] and bait not in text_of(before)
        assert text_of(before).splitlines()[-1] in text_of(record)
        assert obeyed(record, f"ok: {bait.upper()}") and not obeyed(record, data.answer(record))
    assert not obeyed(TRIAGE[0], "anything")
    assert len({data.meta(r)["injected_bait"] for r in spoilt}) > 190
    seen = sum(commands(text_of(r)) is not None for r in spoilt)
    assert seen > 100  # the doctor sees most of them, and not all: a pattern is no defence


def test_every_piece_is_reached():
    spoilt = [r for seed in range(5) for r in inject(TRIAGE, {"pasted": 1.0}, seed=seed)]
    pieces = {re.sub(r"\d+", "", data.meta(r)["injected_text"]) for r in spoilt}
    assert len(pieces) == len(injectors._LISTS.pasted)
    assert not any(re.search(r"[{}]", piece) for piece in pieces)


# Asking.


def test_tally():
    told = tally(inject(TRIAGE, {"casing": 0.2, "hostile": 0.1}))
    assert re.search(r"untouched +140  70.0%", told)
    assert sum(int(line.split()[-2]) for line in told.splitlines()[1:]) == 200


def test_what_cannot_be_done():
    with pytest.raises(ConfigError, match="Did you mean 'typos'"):
        inject(TRIAGE, {"typo": 0.1})
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            inject(TRIAGE, {"messy": rate})
    with pytest.raises(DataError, match="Lower the rates"):
        inject(TRIAGE, {"messy": 0.6, "hostile": 0.6})
    assert inject([], {"messy": 0.5}) == []
    for text in ("messy", "messy:", "messy:lots", ""):
        with pytest.raises(ConfigError, match=r"messy:0\.2"):
            parse_rates(text)
