"""No sibling crosses, whatever the records; sizes and labels come near what was asked."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from ftlab import data
from ftlab import data as files
from ftlab.curation.doctor import examine
from ftlab.curation.splits import NONE, _strata, clusters, split, values
from ftlab.errors import ConfigError, DataError

WORDS = [f"w{i}" for i in range(2000)]


def sentence(rng, n=14):
    return " ".join(rng.choices(WORDS, k=n))


def pool(seed, n=None):
    """Records with groups, labels, and copies that differ in one word or in marks alone."""
    rng = random.Random(seed)
    made = []
    for i in range(n or rng.randrange(60, 200)):
        text = sentence(rng, 40)
        if made and rng.random() < 0.25:
            other = data.prompt(rng.choice(made))[-1]["content"]
            text = rng.choice([other, other.upper() + "!", other + " and"])
            text = sentence(rng) if "and and" in text else text
        meta = {"n": i, "slice": rng.choice("aaab")}
        if rng.random() < 0.5:
            meta["group"] = f"g{rng.randrange(30)}"
        made.append(data.example(text, rng.choice(["yes", "no"]), **meta))
    return made


def bare(record):
    return data.prompt(record)[-1]["content"].lower().strip("!").removesuffix(" and")


def where(result):
    return {data.meta(r)["n"]: name for name, part in result.parts.items() for r in part}


def test_values():
    record = data.example("a", " b ", level=3, tags=["x", "y"], none=None)
    assert [values([record], f)[0] for f in ("completion", "level", "tags")] == [
        "b", "3", '["x", "y"]',
    ]  # fmt: skip
    assert values([record, data.example("a", "b", level="4")], "level") == ["3", "4"]


def test_strata_take_what_serves():
    both = [data.example(f"{i}", "x", slice="one", difficulty=i % 3) for i in range(60)]
    assert _strata(both, None)[0] == "difficulty"  # all are of one slice
    assert _strata(both, "") == (None, [NONE] * 60)
    assert _strata(both[:20], None)[0] is None  # fewer than ten for each
    assert _strata([*both, data.example("a", "b")], "slice")[1][-1] == NONE
    answers = [data.example(f"{i}", "yes" if i % 2 else "no") for i in range(40)]
    assert _strata(answers, None)[0] == "completion"


@pytest.mark.parametrize("seed", range(12))
def test_no_sibling_crosses_and_nothing_is_lost(seed):
    made = pool(seed)
    result = split(made, [0.6, 0.2, 0.2], seed=seed)
    part_of = where(result)
    assert sorted(part_of) == list(range(len(made)))
    groups, texts = {}, {}
    for record in made:
        part = part_of[data.meta(record)["n"]]
        assert (
            groups.setdefault(data.meta(record).get("group", data.meta(record)["n"]), part) == part
        )
        assert texts.setdefault(bare(record), part) == part
    for part in result.parts.values():  # in the order of the input
        assert [data.meta(r)["n"] for r in part] == sorted(data.meta(r)["n"] for r in part)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_the_input_does_not_matter(seed):
    made = pool(seed)
    mixed = random.Random(seed).sample(made, len(made))
    assert where(split(made, [0.8, 0.1, 0.1])) == where(split(mixed, [0.8, 0.1, 0.1]))


def test_the_seed_matters():
    made = pool(0)
    assert where(split(made, [0.5, 0.5], seed=1)) == where(split(made, [0.5, 0.5], seed=1))
    assert where(split(made, [0.5, 0.5], seed=1)) != where(split(made, [0.5, 0.5], seed=2))


def singles(n, labels):
    rng = random.Random(5)
    return [data.example(sentence(rng), "x", slice=labels[i % len(labels)]) for i in range(n)]


@pytest.mark.parametrize(
    ("n", "sizes", "wanted"),
    [(100, [0.8, 0.1, 0.1], [80, 10, 10]), (7, [0.5, 0.5], [4, 3]), (3, [0.8, 0.1, 0.1], [1] * 3),
     (101, [0.9, 0.1], [91, 10])],
)  # fmt: skip
def test_records_without_siblings_give_exact_sizes(n, sizes, wanted):
    assert [len(p) for p in split(singles(n, "ab"), sizes).parts.values()] == wanted


@pytest.mark.parametrize("seed", range(5))
def test_every_label_has_its_share_to_within_one(seed):
    made = singles(400, ["a"] * 5 + ["b"] * 3 + ["c"] * 2)
    for name, share in zip(("train", "val", "test"), (0.7, 0.2, 0.1), strict=True):
        part = split(made, [0.7, 0.2, 0.1], seed=seed)[name]
        counts = Counter(data.meta(r)["slice"] for r in part)
        for label, all_of_it in {"a": 200, "b": 120, "c": 80}.items():
            assert abs(counts[label] - share * all_of_it) <= 1


def test_labels_of_groups_are_balanced_better_than_by_chance():
    rng = random.Random(0)
    made = [
        data.example(sentence(rng), rng.choice([label, label, "x"]), group=f"{g}", slice=label)
        for g in range(80)
        for label in ["rare" if g % 8 == 0 else "common"]
        for _ in range(rng.randrange(1, 9))
    ]

    def gap(label):
        result = split(made, [0.8, 0.2], label=label)
        share = [
            sum(data.meta(r)["slice"] == "rare" for r in p) / len(p) for p in result.parts.values()
        ]
        assert abs(len(result["test"]) / len(made) - 0.2) < 0.02
        return abs(share[0] - share[1])

    assert gap("slice") < 0.02 < gap("")


def test_the_fields_are_found_and_can_be_named_or_left():
    rng = random.Random(3)
    made = [
        data.example(sentence(rng), "x", group=f"{i // 4}", author=f"{i % 5}", slice="ab"[i % 2])
        for i in range(60)
    ]
    assert "linked by the field group" in str(split(made, [0.5, 0.5]))
    assert "stratified by slice" in str(split(made, [0.5, 0.5]))
    assert "linked" not in str(split(made, [0.5, 0.5], by=[]))
    result = split(made, [0.6, 0.4], by=["author"], label="")
    assert result.clusters == {"train": 3, "test": 2} and "not stratified" in str(result)
    with pytest.raises(DataError, match=r"empty: the 60 records hang together in 1 clusters"):
        split(made, [0.5, 0.5], by=["author", "group"])  # each links what the other does not


def test_equal_inputs_stay_together_without_near():
    made = [data.example(text, "x") for text in ("hi", " Hi! ", "ho", "?", "!")]
    found, steps = clusters(made, near=False)
    assert found[0] == found[1] and len(set(found)) == 4
    assert steps == ["5 records", "- 1  linked by equal words", "= 4  clusters, the largest of 2"]
    assert clusters([]) == ([], ["0 records", "= 0  clusters, the largest of 0"])


def test_chains_of_likeness_are_one_cluster():
    rng = random.Random(1)
    words = sentence(rng, 40).split()
    made = []
    for step in range(6):  # the first and the last are no longer alike
        words[step * 6] = f"new{step}"
        made.append(data.example(" ".join(words), "x"))
    made.append(data.example(sentence(rng, 40), "x"))
    assert len(set(clusters(made)[0][:6])) == 1 and len(set(clusters(made)[0])) == 2


def test_the_doctor_finds_no_leak(tmp_path):
    result = split(pool(4, n=400), [0.8, 0.2])
    result.save(tmp_path / "parts")
    report = examine(tmp_path / "parts/train.jsonl", eval_path=tmp_path / "parts/test.jsonl")
    assert not [f.check for f in report.findings if f.check.startswith("leak")]


def test_arithmetic_adds_up():
    made = pool(2)
    result = split(made, [0.7, 0.2, 0.1])
    lines = str(result).splitlines()
    linked = sum(int(line.split()[1]) for line in lines if line.startswith("- "))
    whole = int(next(line for line in lines if line.startswith("= ")).split()[1])
    rows = [line.split() for line in lines]
    at = next(i for i, row in enumerate(rows) if row[0] == "part")
    assert whole == len(made) - linked == sum(int(row[-1]) for row in rows[at + 1 : at + 4])


@pytest.mark.parametrize(
    ("sizes", "said"),
    [([1.0], "two"), ([0.5, 0.6], "add up to 1"), ([0.9, 0.1, 0], "above 0"),
     ([float("nan"), 0.5], "above 0"), ([-1, 2], "above 0")],
)  # fmt: skip
def test_sizes_that_make_no_sense(sizes, said):
    with pytest.raises(ConfigError, match=said):
        split(singles(100, "ab"), sizes)


def test_what_cannot_be_divided():
    with pytest.raises(DataError, match="no records"):
        split([], [0.5, 0.5])
    with pytest.raises(DataError, match="2 records cannot make 3 parts"):
        split(singles(2, "a"), [0.8, 0.1, 0.1])
    with pytest.raises(ConfigError, match="Did you mean 'slice'"):
        split(singles(20, "ab"), [0.5, 0.5], label="slices")


def test_save_writes_all_or_nothing(tmp_path):
    result = split(singles(20, "ab"), [0.5, 0.5])
    names = [file.name for file in result.save(tmp_path / "new/s")]
    assert names == ["split.txt", "test.jsonl", "train.jsonl"]
    assert files.read(tmp_path / "new/s/test.jsonl") == result["test"]
    assert (tmp_path / "new/s/split.txt").read_text() == f"{result}\n"
    with pytest.raises(DataError, match="not an empty folder"):
        result.save(tmp_path / "new/s")
    (tmp_path / "empty").mkdir()
    result.save(tmp_path / "empty")
    with pytest.raises(DataError, match="cannot be written"):
        unwritable = [data.example("a", "b", no_json={1})]
        replace(result, parts={"train": unwritable}).save(tmp_path / "bad")
    assert {p.name for p in tmp_path.iterdir()} == {"new", "empty"}
