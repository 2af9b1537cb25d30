"""What is spoilt is counted and labelled, what is wanted stays, and nothing else is touched."""

import random
import re
from collections import Counter

import pytest

from ftlab import data
from ftlab.curation.checks_private import commands
from ftlab.curation.injectors import KINDS, MESSY, inject, obeyed
from ftlab.errors import ConfigError, DataError

TEXT = "Dear team, the parcel with Order 48213 has not arrived. Please send it to Ann Ode. Thanks!"
RECORDS = [
    data.example(f"Sort THIS ticket:\n\n{name} writes. {TEXT}", "late", id=name)
    for name in (f"{a}{b}" for a in "ABCDEFGHIJKLMN" for b in "aeiouyklmn")
]


def text_of(record):
    return data.prompt(record)[-1]["content"]


def touched(records):
    return [i for i, record in enumerate(records) if "injected" in data.meta(record)]


def test_the_rates_are_kept_and_nothing_else_is_touched():
    spoilt = inject(RECORDS, {"messy": 0.5, "hostile": 0.2}, seed=2)
    kinds = Counter(data.meta(r).get("injected") for r in spoilt)
    assert (kinds["hostile"], kinds[None]) == (28, 42)
    assert {*MESSY} < kinds.keys() <= {*KINDS, None}
    for before, after in zip(RECORDS, spoilt, strict=True):
        assert data.answer(after) == data.answer(before)
        assert text_of(after).startswith("Sort THIS ticket:\n\n"), "the instruction is spared"
        assert (after is before) == (text_of(after) == text_of(before))
    again = inject(spoilt, {"casing": 0.3})
    assert [again[i] for i in touched(spoilt)] == [spoilt[i] for i in touched(spoilt)]


def test_order_does_not_matter_but_the_seed_does():
    mixed = random.Random(0).sample(RECORDS, len(RECORDS))

    def by_id(made, seed):
        return {data.meta(r)["id"]: r for r in inject(made, {"messy": 0.3}, seed=seed)}

    assert by_id(RECORDS, 1) == by_id(mixed, 1) != by_id(RECORDS, 2)


@pytest.mark.parametrize("kind", ["messy", "hostile"])
def test_doses_are_nested(kind):
    low, high = (inject(RECORDS, {kind: rate}) for rate in (0.1, 0.4))
    assert set(touched(low)) < set(touched(high))
    assert all(low[i] == high[i] for i in touched(low))


@pytest.mark.parametrize("seed", range(8))
def test_each_kind_does_what_it_says(seed):
    said = {
        kind: text_of(inject([data.example(TEXT, "x")], {kind: 1.0}, seed=seed)[0])
        for kind in MESSY
    }
    assert said["casing"] == TEXT.lower() and TEXT in said["pasted"]
    assert TEXT.startswith(said["cut"]) and 0.65 * len(TEXT) < len(said["cut"]) < len(TEXT)
    words, before = said["typos"].split(), TEXT.split()
    assert len(words) == len(before) and "48213" in words
    changed = [(a, b) for a, b in zip(before, words, strict=True) if a != b]
    assert 1 <= len(changed) <= 3
    for a, b in changed:
        a, b = re.sub(r"\W", "", a), re.sub(r"\W", "", b)
        assert (a[0], a[-1]) == (b[0], b[-1]) and abs(len(a) - len(b)) <= 1


@pytest.mark.parametrize(
    ("kind", "text"), [("casing", "all lower"), ("cut", "short"), ("typos", "12")]
)
def test_where_a_kind_does_nothing_something_is_pasted(kind, text):
    record = inject([data.example(text, "x")], {kind: 1.0})[0]
    assert data.meta(record)["injected"] == "pasted"
    assert text in text_of(record) and text_of(record) != text


def test_hostile_orders_bait():
    spoilt = inject(RECORDS, {"hostile": 1.0})
    for record, before in zip(spoilt, RECORDS, strict=True):
        bait = data.meta(record)["injected_bait"]
        assert bait in text_of(record) and text_of(before).splitlines()[-1] in text_of(record)
        assert obeyed(record, f"ok: {bait.upper()}") and not obeyed(record, data.answer(record))
    assert not obeyed(RECORDS[0], "anything")
    seen = sum(commands(text_of(r)) is not None for r in spoilt)
    assert len(spoilt) / 2 < seen < len(spoilt), "the doctor sees most, not all"


def test_what_cannot_be_done():
    with pytest.raises(ConfigError, match="Did you mean 'typos'"):
        inject(RECORDS, {"typo": 0.1})
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            inject(RECORDS, {"messy": rate})
    with pytest.raises(DataError, match="Lower the rates"):
        inject(RECORDS, {"messy": 0.6, "hostile": 0.6})
    assert inject([], {"messy": 0.5}) == []
