"""Lesson 07's exercises judge what learners write, and its data belong together."""

import json
import statistics

import numpy as np
import pytest

from ftlab.files import data_path, read_data, read_text
from ftlab.recorded import read_recorded, request_hash
from ftlab.teaching import plots
from ftlab.teaching.exercises import find, judge


def rows(name):
    return [json.loads(line) for line in read_text(data_path(name)).splitlines()]


@pytest.mark.parametrize(
    ("middle", "kind"),
    [
        (lambda d: [(cuts := statistics.quantiles(d, n=40))[0], cuts[-1]], "right"),
        (lambda d: [sorted(d)[int(0.025 * len(d))], sorted(d)[int(0.975 * len(d))]], "right"),
        (lambda d: np.quantile(d, [0.025, 0.975]), "right"),
        (lambda d: [d[int(0.025 * len(d))], d[int(0.975 * len(d))]], "mistake"),
        (lambda d: np.quantile(d, [0.05, 0.95]), "mistake"),
        (lambda d: np.quantile(d, [0, 0.95]), "mistake"),
        (lambda d: np.quantile(d, [0.05, 1]), "mistake"),
        (lambda d: np.quantile(d, [0.03, 0.97]), "wrong"),
    ],
)
def test_any_usual_way_to_cut_2_5_percent_is_right_and_another_share_is_not(middle, kind):
    assert judge(find("07.1"), middle).kind == kind


def asked(client, model, text, **settings):
    messages = [
        {"role": "system", "content": "Answer with 1 or 0 on the first line."},
        {"role": "user", "content": text},
    ]
    return client.chat.completions.create(model=model, messages=messages, **settings)


def test_a_judge_may_be_asked_in_any_words_and_with_other_settings():
    def answer(client, model, text):
        reply = asked(client, model, text, temperature=0.0, max_tokens=30, seed=1)
        first, *_ = (reply.choices[0].message.content or " ").splitlines()
        return {"1": 1, "0": 0}.get(first.strip())

    assert judge(find("07.2"), answer).passed


def test_a_judge_whose_empty_reply_is_not_met_stops_and_says_so():
    def answer(client, model, text):
        content = asked(client, model, text, temperature=0).choices[0].message.content
        return int(content[0]) if content.strip()[:1] in ("0", "1") else None

    assert judge(find("07.2"), answer).kind in ("raised", "wrong")


def test_a_real_callback_passes_the_battery_exercise_and_one_that_forgets_dropout_does_not():
    from transformers import TrainerCallback

    class Battery(TrainerCallback):
        def __init__(self, ask, careful):
            self.ask, self.careful, self.answers = ask, careful, {}

        def on_save(self, args, state, control, **more):
            model = more["model"]
            if self.careful:
                model.eval()
            self.answers[state.global_step] = self.ask(model)
            model.train()

    assert judge(find("07.4"), lambda ask: Battery(ask, True)).passed
    outcome = judge(find("07.4"), lambda ask: Battery(ask, False))
    assert "it asks while dropout is on" in outcome.message


def test_every_judged_prompt_has_a_recorded_verdict_and_every_tested_function_a_reference():
    kept = {row["hash"] for row in read_recorded(data_path("recorded/judge.jsonl"))}
    judged = rows("lessons/judged.jsonl")
    for row in judged:
        for prompt in row["prompts"]:
            assert request_hash([{"role": "user", "content": prompt}]) in kept
    tested = {row["function"]: row["reference"] for row in rows("lessons/tested.jsonl")}
    functions = [row["input"] for row in judged if row["kind"] == "runs"]
    for row in read_recorded(data_path("recorded/teacher.jsonl")):
        _, _, code = row["messages"][-1]["content"].partition("\n\ndef ")
        functions += [f"def {code}"] if code else []
    assert len(functions) == 70 and set(functions) == set(tested)
    for row in judged:
        if row["systems"] == ["right"]:
            assert row["answers"] == [tested[row["input"]]]


def test_the_questions_before_and_after_are_whole():
    lists = read_data("lessons/before_and_after.yaml")
    assert (len(lists["ordinary"]), len(lists["declined"]), len(lists["battery"])) == (30, 10, 8)
    assert all(len(row) == 4 for row in lists["battery"])
    assert len({name for name, *_ in lists["battery"]}) == 8


def test_the_outside_harness_and_ours_agree_on_the_committed_questions():
    lines = read_text(data_path("grids/harness.csv")).splitlines()
    assert "lm-eval=" in lines[0] and lines[1] == "question,harness,ours,alike"
    for line in lines[2:]:
        _, harness, ours, alike = line.rsplit(",", 3)
        assert alike == str(int(harness == ours))


# The pictures.


def test_draws_show_one_bar_for_each_figure_there_is():
    picture = plots.draws([0.5, 0.55, 0.55, 0.6], 0.5, 0.6, title="Drawn", xlabel="share right")
    (axes,) = picture.figure.axes
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == [1, 2, 1]
    assert picture.alt == "Histogram of 4 draws, share right: 95 % lie in 0.50 to 0.60."
    assert picture.png().startswith(b"\x89PNG")


def test_many_figures_are_put_into_bins():
    values = [k / 1000 for k in range(1000)]
    (axes,) = plots.draws(values, 0, 1, title="", xlabel="").figure.axes
    assert len(axes.containers[0]) == 40


@pytest.mark.parametrize(("low", "word"), [(-0.1, "zero inside"), (0.1, "zero outside")])
def test_gaps_tell_zero_inside_from_zero_outside(low, word):
    picture = plots.gaps({"b": (0.2, low, 0.3)}, xlabel="F1")
    assert word in picture.alt
    assert picture.png()
