"""The arithmetic of mixtures holds for any numbers, and only what was asked for changes."""

import itertools
import json
import random
from collections import Counter

import pytest

from ftlab import data
from ftlab.curation.splits import mix, shuffled, table
from ftlab.errors import ConfigError, DataError


def some(n, name="r", **meta):
    return [data.example(f"{name} {i}", "x", n=i, **meta) for i in range(n)]


SENIOR, JUNIOR = some(100, "s", reviewer="senior"), some(900, "j", reviewer="junior")
REVIEWS = SENIOR + JUNIOR


def times(mixture, name="s"):
    """How often each record of a source is read, as {times: records}."""
    read = Counter(data.prompt(r)[0]["content"] for r in mixture.records)
    return Counter(count for text, count in read.items() if text.startswith(name))


# Any numbers.


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_the_weights_times_the_records(seed):
    rng = random.Random(seed)
    sources = {name: some(rng.randrange(1, 60), name) for name in "abcd"[: rng.randrange(1, 5)]}
    weights = {name: rng.choice([0.3, 1, 1.7, 4, rng.random() * 3 + 0.1]) for name in sources}
    size = rng.choice([None, rng.randrange(1, 300)])
    total = sum(weights[name] * len(sources[name]) for name in sources)
    if round(total) < 1:
        return
    result = mix(sources, weights, size=size, seed=seed)
    scale = 1 if size is None else size / total
    assert len(result.records) == (round(total) if size is None else size)
    assert sum(result.counts.values()) == len(result.records)
    for name, source in sources.items():
        assert abs(result.counts[name] - weights[name] * len(source) * scale) < 1
        read = times(result, name)
        assert not read or max(read) - min(read) <= 1  # no record is favoured
        if result.counts[name] >= len(source):
            assert sum(read.values()) == len(source)  # and none is left out


@pytest.mark.parametrize("seed", range(5))
def test_order_of_input_does_not_matter_but_the_seed_does(seed):
    mixed = random.Random(seed).sample(SENIOR, len(SENIOR))
    first = mix({"s": SENIOR}, {"s": 1.5}, seed=seed).records
    assert first == mix({"s": mixed}, {"s": 1.5}, seed=seed).records
    assert first != mix({"s": mixed}, {"s": 1.5}, seed=seed + 1).records


def test_a_larger_weight_takes_the_same_and_more():
    taken = [
        Counter(data.meta(r)["n"] for r in mix({"a": some(50)}, {"a": weight}).records)
        for weight in (0.2, 0.5, 1.3, 2)
    ]
    assert all(less <= more for less, more in itertools.pairwise(taken))


def test_records_come_out_as_they_went_in():
    before = [json.dumps(data.meta(r)) for r in SENIOR]
    result = mix({"s": SENIOR}, {"s": 2})
    assert [json.dumps(data.meta(r)) for r in SENIOR] == before
    assert {id(r) for r in result.records} == {id(r) for r in SENIOR}
    assert [data.meta(r)["n"] for r in result.records] != sorted(
        data.meta(r)["n"] for r in result.records
    )


def test_a_weight_of_zero_leaves_a_source_out():
    assert mix({"a": some(3), "b": some(3)}, {"a": 0, "b": 1}).counts == {"a": 0, "b": 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(({"a": some(2)}, {"a": -1}), "-1"), (({"a": some(2)}, {"a": float("nan")}), "nan"),
     (({"a": some(2)}, {"a": 0}), "empty"), (({"a": []}, {"a": 1}), "no records"),
     (({}, {}), "empty")],
)  # fmt: skip
def test_mixtures_that_make_no_sense(arguments, said):
    with pytest.raises((ConfigError, DataError), match=said):
        mix(*arguments)


def test_shuffled_tells_copies_apart():
    copies = some(1) * 5 + some(3)
    assert sorted(shuffled(copies, 0)) == list(range(8))
    assert shuffled(copies, 0) != shuffled(copies, 0, "else")


def test_table():
    assert table(["a", "bb"], [["long", 1], ["x", 100]]) == "a      bb\nlong    1\nx     100"


def test_mix_and_split_from_a_shell(command, tmp_path):
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "out.jsonl"
    data.write(a, SENIOR)
    data.write(b, JUNIOR)
    before = a.read_bytes() + b.read_bytes()
    code, told, err = command("mix", a, b, "--weights", "9,1", "--out", out)
    assert code == 0, err
    assert len(data.read(out)) == 1800 and "1,800 records, 1,000 of them different" in told
    code, told, err = command("split", b, "--out", tmp_path / "s", "--by", "n")
    assert code == 0 and "linked by the field n" not in told, err
    assert len(data.read(tmp_path / "s/val.jsonl")) == 90
    assert a.read_bytes() + b.read_bytes() == before


def test_mistakes_from_a_shell(command, tmp_path):
    a, new = tmp_path / "a.jsonl", tmp_path / "new"
    data.write(a, SENIOR)
    cases = {
        ("mix", a, "--out", a): "exists already",
        ("mix", a, "--out", new, "--weights", "1,2"): "2 weights were given for 1 files",
        ("mix", a, "--out", new, "--weights", "1,x"): "no list of numbers",
        ("mix", a, a, "--out", new): "named twice",
        ("mix", tmp_path / "none", "--out", new): "does not exist",
        ("split", a, "--out", tmp_path): "not an empty folder",
        ("split", a, "--out", new, "--sizes", "0.5,0.4"): "add up to 1",
        ("split", a, "--out", new, "--label", "revewer"): "Did you mean 'reviewer'",
    }
    for arguments, expected in cases.items():
        code, _, err = command(*arguments)
        assert code == 2 and expected in err, (arguments, err)
        assert not new.exists(), arguments
