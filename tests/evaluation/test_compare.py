import dataclasses
import io
import json
import math

import numpy as np
import pytest

from ftlab import data, tasks
from ftlab.errors import ConfigError, DataError
from ftlab.evaluation.compare import compare
from ftlab.evaluation.intervals import (
    Interval,
    bootstrap,
    paired_bootstrap,
    wilson_interval,
    with_edges,
)
from ftlab.evaluation.power import pairs
from ftlab.tasks import Ratio, Task


def length_score(record, text):
    """Share of the reference's words in the text, and the share of "?" among wanted ones."""
    wanted = data.answer(record).split()
    return {
        "hit": Ratio(sum(word in text.split() for word in wanted), len(wanted)),
        "exact": Ratio(float(text == data.answer(record)), 1),
        "question": Ratio(0, data.answer(record).count("?")),
    }


TOY = Task(
    name="toy",
    describe="Say the words again.",
    headline="hit",
    licence="none",
    examples=lambda n, seed, split="train": [],
    prompt=lambda text: ({"role": "user", "content": text},),
    parse=lambda text: text.strip(),
    score=length_score,
)


def records(n=40):
    return [
        data.example(f"say {i}", f"a{i} b{i}", slice="even" if i % 2 == 0 else "odd")
        for i in range(n)
    ]


def outcome(verdict):
    pair = verdict.pairs[0]
    return pair.win, pair.tie, pair.loss


def right(rows):
    return [data.answer(record) for record in rows]


def test_value_is_the_ratio_of_sums_not_the_mean_of_ratios():
    assert bootstrap([1, 0], [1, 3]).value == 0.25


def test_interval_of_a_mean_agrees_with_the_normal_one():
    rng = np.random.default_rng(1)
    hits = (rng.random(400) < 0.3).astype(float)
    got = bootstrap(hits, np.ones(400), seed=5)
    half = 1.96 * math.sqrt(hits.mean() * (1 - hits.mean()) / 400)
    assert got.value == pytest.approx(hits.mean())
    assert got.low == pytest.approx(hits.mean() - half, abs=0.012)
    assert got.high == pytest.approx(hits.mean() + half, abs=0.012)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    # 200 worlds of 80 examples, true ratio 0.4: the ratio's denominators vary too.
    rng = np.random.default_rng(0)
    covered = 0
    for world in range(200):
        dens = rng.integers(1, 6, size=80)
        got = bootstrap(rng.binomial(dens, 0.4), dens, samples=400, seed=world)
        covered += got.low <= 0.4 <= got.high
    assert 0.90 <= covered / 200 <= 0.99


def test_paired_difference_of_identical_outputs_is_zero_and_nearly_sure():
    rng = np.random.default_rng(2)
    nums, dens = rng.random(333), rng.random(333) + 0.5
    assert paired_bootstrap(nums, dens, nums, dens) == Interval(0.0, 0.0, 0.0)  # no shares
    nums, dens = np.minimum(nums, dens), dens
    gap = paired_bootstrap(nums, dens, nums, dens)
    assert gap.value == 0 and gap.high == -gap.low == pytest.approx(0.0114, abs=1e-4)


def test_pairing_narrows_the_interval():
    # Examples differ much, systems little: about +0.02 on every example.
    rng = np.random.default_rng(3)
    level, ones = 0.9 * rng.random(100), np.ones(100)
    gap = paired_bootstrap(level, ones, level + 0.04 * rng.random(100), ones)
    assert gap.value == pytest.approx(0.02, abs=0.004) and gap.high - gap.low < 0.006
    alone = bootstrap(level, ones)
    assert alone.high - alone.low > 0.05


def test_paired_difference_has_a_direction():
    a, b, ones = [0.0] * 50, [1.0] * 50, [1.0] * 50
    up, down = paired_bootstrap(a, ones, b, ones), paired_bootstrap(b, ones, a, ones)
    assert up == (1.0, pytest.approx((50 - 3.8415) / (50 + 3.8415), abs=1e-4), 1.0, 0.95)
    assert down == (-1.0, -1.0, pytest.approx(-up.low), 0.95)


def test_bootstrap_depends_on_the_seed():
    nums, ones = np.arange(30.0), np.ones(30)
    assert bootstrap(nums, ones, seed=1) == bootstrap(nums, ones, seed=1)
    assert bootstrap(nums, ones, seed=1) != bootstrap(nums, ones, seed=2)


def test_no_case_at_all_is_not_a_number():
    got = bootstrap([0, 0], [0, 0])
    assert math.isnan(got.value) and str(got) == "–" and got.covers_zero


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap([], []),
        lambda: bootstrap([1], [1, 2]),
        lambda: paired_bootstrap([1, 2], [1, 2], [1], [1]),
        lambda: bootstrap([1], [1], samples=0),
    ],
)
def test_bootstrap_refuses_bad_input(call):
    with pytest.raises(ConfigError):
        call()


def test_verdict_better():
    rows = records()
    verdict = compare(TOY, rows, {"base": [""] * 40, "tuned": right(rows)})
    assert verdict.baseline == "base" and verdict.n == 40
    assert verdict.systems["tuned"]["hit"] == pytest.approx(wilson_interval(40, 40))
    sure = with_edges(Interval(1.0, 1.0, 1.0), 40, least=-1)
    assert verdict.differences == {"tuned": {"hit": sure, "exact": sure}}
    assert outcome(verdict) == (40, 0, 0)
    assert "better by 1.000 (95 % interval 0.825 to 1.000)" in verdict.sentence


def test_verdict_worse_tells_the_interval_in_its_direction():
    rows = records()
    texts = [data.answer(r).split()[0] if i % 4 else data.answer(r) for i, r in enumerate(rows)]
    verdict = compare(TOY, rows, {"base": right(rows), "tuned": texts})
    gap = verdict.differences["tuned"]["hit"]
    assert gap.value == -0.375 and gap.low < -0.375 < gap.high < 0
    assert f"worse by 0.375 (95 % interval {-gap.high:.3f} to {-gap.low:.3f})" in verdict.sentence
    assert outcome(verdict) == (0, 10, 30)


def test_verdict_without_a_difference():
    rows = records()
    mixed = [data.answer(r) if i % 2 else "" for i, r in enumerate(rows)]
    other = [data.answer(r) if i % 2 == 0 else "" for i, r in enumerate(rows)]
    for texts in (mixed, other):
        verdict = compare(TOY, rows, {"base": mixed, "tuned": texts})
        assert "no difference shown" in verdict.sentence
        assert "better" not in verdict.sentence and "worse" not in verdict.sentence
    assert outcome(verdict) == (20, 0, 20)


def test_few_examples_are_said_to_be_few():
    rows = records(3)
    assert "few" in compare(TOY, rows, {"base": right(rows)}).sentence
    rows = records(40)
    assert "few" not in compare(TOY, rows, {"base": right(rows)}).sentence


def test_one_system_has_figures_and_no_differences():
    verdict = compare(TOY, records(), {"base": [""] * 40})
    assert verdict.differences == {} and not verdict.pairs
    assert "hit is 0.000 for base" in verdict.sentence


def test_slices_have_their_own_figures():
    rows = records()
    tuned = [data.answer(r) if i % 2 == 0 else "" for i, r in enumerate(rows)]
    slices = compare(TOY, rows, {"base": [""] * 40, "tuned": tuned}).slices
    assert list(slices) == ["even", "odd"] and slices["even"]["n"] == 20
    assert slices["even"]["systems"]["tuned"].value == 1
    assert slices["even"]["differences"]["tuned"].value == 1
    assert slices["odd"]["differences"]["tuned"] == with_edges(Interval(0, 0, 0), 20, least=-1)


def test_a_metric_without_a_case_is_left_out_and_one_with_a_case_kept():
    rows = records()
    assert "question" not in compare(TOY, rows, {"base": right(rows)}).systems["base"]
    rows[0] = data.example("say", "a?")
    assert compare(TOY, rows, {"base": right(rows)}).systems["base"]["question"].value == 0


def test_a_slice_without_a_case_of_the_headline_is_unknown():
    rows = records()
    rows[0] = data.example("say", "", slice="empty")
    figure = compare(TOY, rows, {"base": right(rows)}).slices["empty"]["systems"]["base"]
    assert math.isnan(figure.value)


def test_examples_keep_the_raw_text_only_where_parsing_took_something():
    task = dataclasses.replace(TOY, parse=lambda text: text.split("\n")[0])
    rows = records(2)
    outputs = {"base": ["a0 b0\nand on", "a1"]}
    first, second = compare(task, rows, outputs).examples
    assert first["outputs"]["base"]["text"] == "a0 b0"
    assert first["outputs"]["base"]["raw"] == "a0 b0\nand on"
    assert "raw" not in second["outputs"]["base"]
    assert second["outputs"]["base"]["scores"]["hit"] == 0.5
    assert (second["input"], second["reference"]) == ("say 1", "a1 b1")


@pytest.mark.parametrize(
    ("rows", "outputs", "message"),
    [
        ([], {"base": []}, "no records"),
        (records(2), {}, "no systems"),
        (records(2), {"base": ["x", "y"], "tuned": ["x"]}, "'tuned' has 1"),
    ],
)
def test_compare_refuses_bad_input(rows, outputs, message):
    with pytest.raises(ConfigError, match=message):
        compare(TOY, rows, outputs)


def test_save_writes_both_files_and_no_file_twice(tmp_path):
    rows = records(4)
    verdict = compare(TOY, rows, {"base": right(rows)}, provenance={"device": "cpu"})
    shown = verdict.save(tmp_path / "run")
    assert shown == tmp_path / "run" / "verdict.html"
    data = json.loads((tmp_path / "run" / "verdict.json").read_text("utf-8"))
    assert data == verdict.to_json()
    assert data["provenance"]["device"] == "cpu"
    assert data["provenance"]["versions"]["ftlab"]
    assert len(data["provenance"]["data"]["fingerprint"]) >= 16
    assert data["examples"][0]["outputs"]["base"]["scores"]["question"] is None  # nan is no JSON
    shown.write_text("mine")
    (tmp_path / "run" / "verdict.json").unlink()
    with pytest.raises(DataError, match="exists already"):
        verdict.save(tmp_path / "run")
    assert shown.read_text() == "mine" and not (tmp_path / "run" / "verdict.json").exists()
    verdict.save(tmp_path / "run", overwrite=True)
    assert shown.read_text("utf-8").startswith("<!doctype html>")


def test_the_table_has_the_headline_of_each_system_and_its_difference():
    from rich.console import Console

    rows = records()
    outputs = {"base": [""] * 40, "tuned": right(rows)}
    table = compare(dataclasses.replace(TOY, headline="exact"), rows, outputs).table()
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "exact" in text and "hit" not in text and "less base" in text
    assert "1.00 [0.82, 1.00]" in text and "40/0/0" in text and "< 0.001" in text
    assert "…" not in text


def test_the_column_of_tokens_is_there_where_they_were_counted():
    rows = records()
    outputs = {"base": [""] * 40, "tuned": right(rows), "rules": right(rows)}

    def columns(tokens):
        costs = {name: {"tokens_in": tokens.get(name)} for name in outputs}
        verdict = dataclasses.replace(compare(TOY, rows, outputs), costs=costs)
        return {column.header: list(column.cells) for column in verdict.table().columns}

    assert "tokens in" not in columns({})
    assert columns({"base": 210.4, "tuned": 31.0})["tokens in"] == ["210", "31", ""]


def test_a_thought_is_cut_off_before_marking_and_one_without_an_end_is_no_answer():
    rows = records()
    plain = right(rows)
    thought = [f"<think>\nwell\n</think>\n\n{text}" for text in plain]
    thought[0] = f"<think>\n{plain[0]}"
    verdict = compare(TOY, rows, {"base": plain, "tuned": thought})
    assert outcome(verdict) == (0, 39, 1)
    shown = verdict.examples[1]["outputs"]["tuned"]
    assert (shown["text"], shown["raw"]) == (plain[1], thought[1])
    assert verdict.remarks[0] == (
        "What was not marked: tuned thought before 40 of 40 answers; 1 did not end, which is no "
        "answer."
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_three_of_three_and_one_of_one_are_no_verdict(n):
    records = tasks.get("triage").examples(n, seed=0, split="test")
    right = [data.answer(record) for record in records]
    verdict = compare(tasks.get("triage"), records, {"base": ["no"] * n, "tuned": right})
    assert "no difference shown" in verdict.sentence and not verdict.pairs[0].shown
    assert ("One example is no verdict" in verdict.sentence) == (n == 1)
    assert all(part["differences"]["tuned"].covers_zero for part in verdict.slices.values())


@pytest.mark.parametrize("n", [1, 2, 10, 200])
@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 1), (0.5, 0.5), (0.25, 0.5), (0, 0.3)])
def test_no_figure_and_no_difference_of_shares_is_plus_or_minus_nothing(n, a, b):
    ones = [1] * n
    alone = bootstrap([b] * n, ones)
    gap = paired_bootstrap([a] * n, ones, [b] * n, ones)
    rows = [Ratio(a, 1)] * n, [Ratio(b, 1)] * n
    (pair,) = pairs({"a": rows[0], "b": rows[1]})
    assert alone.low < alone.high and gap.low < gap.high and pair.difference == gap
    assert 0 <= alone.low <= alone.value <= alone.high <= 1 and -1 <= gap.low <= gap.high <= 1
    assert gap.covers_zero or n > 3


def test_no_part_of_a_verdict_is_plus_or_minus_nothing():
    rows = [{**row, "meta": {"slice": str(i % 3)}} for i, row in enumerate(records(9))]
    verdict = compare(TOY, rows, {"base": [""] * 9, "same": [""] * 9, "tuned": right(rows)})
    found = [*verdict.systems.values(), *verdict.differences.values()]
    found += [part for one in verdict.slices.values() for part in (one["systems"],
              one["differences"])]  # fmt: skip
    widths = [figure.high - figure.low for part in found for figure in part.values()]
    assert len(widths) > 20 and min(widths) > 0.01


def test_what_is_no_share_has_no_edge():
    assert bootstrap([2, 2, 2], [1, 1, 1]) == Interval(2.0, 2.0, 2.0)
    half = bootstrap([1, 1, 1], [2, 2, 2])
    assert half.low < 0.3 and half.high > 0.7
