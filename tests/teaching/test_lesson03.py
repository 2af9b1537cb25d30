"""Lesson 03's bookings have the range they say, and its pictures show what they are given."""

import importlib.resources

import pytest

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.teaching import plots_training
from ftlab.teaching.exercises import find, judge
from ftlab.teaching.lesson03 import (
    BESIDE,
    RANGE,
    as_messages,
    as_pair,
    bookings,
    crossing,
    in_form,
    probe,
    share_right,
)
from ftlab.training import sft


def parts(record):
    name, people, time = data.answer(record).split()
    return name, int(people.removeprefix("x")), int(time[:2]), time


@pytest.mark.parametrize(("beside", "wanted"), [(False, RANGE), (True, BESIDE)])
def test_bookings_fill_their_range_and_no_more(beside, wanted):
    records = bookings(200, seed=0, beside=beside)
    assert {parts(r)[1] for r in records} == set(wanted[0])
    assert {parts(r)[2] for r in records} == set(wanted[1])


def test_a_booking_can_be_read_off_its_message():
    for record in bookings(200, seed=1):
        text = data.prompt(record)[0]["content"]
        name, people, _, time = parts(record)
        assert name in text and time in text
        assert str(people) in text.replace(time, "")
        assert in_form(data.answer(record))


def test_bookings_are_different_repeatable_and_apart():
    first = bookings(300, seed=0)
    assert first == bookings(300, seed=0)
    assert first[:50] == bookings(50, seed=0)
    other = bookings(300, seed=1, apart_from=first)
    texts = [data.prompt(r)[0]["content"] for r in [*first, *other]]
    assert len(set(texts)) == 600
    shared = {data.prompt(r)[0]["content"] for r in bookings(300, seed=1)} & set(texts[:300])
    assert shared, "without apart_from some messages would have come again"


@pytest.mark.parametrize("n", [0, 1001])
def test_too_few_and_too_many_bookings_are_refused(n):
    with pytest.raises(ConfigError, match=f"not {n}"):
        bookings(n, seed=0)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("Weber x4 19:30", True), (" Weber x4 19:30\n", True), ("Weber x9 01:99", True),
        ("weber x4 19:30", False), ("Weber x4 19:30.", False), ("Weber x4", False),
        ("A table for Weber x4 19:30", False), ("", False),
    ],
)  # fmt: skip
def test_in_form_looks_at_the_form_alone(answer, wanted):
    assert in_form(answer) is wanted


def test_share_right_wants_the_very_line():
    records = [data.example("a", "Weber x4 19:30"), data.example("b", "Rossi x2 18:00")]
    assert share_right(records, ["Weber x4 19:30 ", "Rossi x2 18:15"]) == 0.5
    with pytest.raises(ValueError, match="shorter"):
        share_right(records, ["Weber x4 19:30"])


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


def test_the_merged_weight_is_peft_s(make_model):
    import torch
    from peft import LoraConfig, get_peft_model

    model, _ = make_model("chatml")
    torch.manual_seed(0)
    tuned = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False)
    )
    layer = tuned.base_model.model.model.layers[0].self_attn.q_proj
    weight = layer.base_layer.weight[3, 5].item()
    b, a = layer.lora_B["default"].weight[3].tolist(), layer.lora_A["default"].weight[:, 5].tolist()
    merged = tuned.merge_and_unload().model.layers[0].self_attn.q_proj.weight[3, 5].item()
    assert find("03.5").solution(weight, b, a, 6, 2) == pytest.approx(merged, rel=1e-4)


def test_early_stopping_keeps_what_the_trainer_keeps():
    from ftlab.training.run import best

    losses = [2.0, 1.2, 1.0, 1.1, 1.3]
    evals = [{"step": i + 1, "eval_loss": loss} for i, loss in enumerate(losses)]
    assert find("03.4").solution(losses, 2) == best(evals) - 1


def test_stubs_are_met_kindly():
    for number in range(1, 6):
        outcome = judge(find(f"05.{number}"), lambda *_: ...)
        assert outcome.kind == "unwritten"
        assert "Hint 1" in outcome.message


def test_lines_show_each_curve_and_say_where_it_is_lowest():
    picture = plots_training.lines(
        {"a": [(1, 2.0), (2, 0.5), (3, 1.0)], "b": [(1, 3.0), (3, 2.0)]},
        title="Two", xlabel="epoch", ylabel="loss", top=4, here={"stopped": 2},
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[2.0, 0.5, 1.0], [3.0, 2.0]]
    assert axes.get_ylim() == (0, 4)
    assert "a from 2.00 to 1.00, lowest 0.50 at 2" in picture.alt
    assert "stopped at 2" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_pairs_share_a_colour_and_differ_in_their_dash():
    points = [(0, 1.0), (1, 0.5)]
    curves = {name: points for name in "abcd"}
    picture = plots_training.lines(curves, title="", xlabel="x", ylabel="y", pairs=True)
    a, b, c, _ = picture.figure.axes[0].lines
    assert a.get_color() == b.get_color() != c.get_color()
    assert a.get_linestyle() != b.get_linestyle()


def test_smoothed_lines_start_at_the_first_loss_and_move_less():
    points = [(i, 1.0 + i % 2) for i in range(10)]
    picture = plots_training.lines({"a": points}, title="", xlabel="x", ylabel="y", smooth=True)
    heights = list(picture.figure.axes[0].lines[0].get_ydata())
    assert heights[0] == 1.0
    assert max(heights) - min(heights[2:]) < 1


def test_the_two_forms_hold_the_record_and_no_more():
    record = bookings(1, seed=0)[0]
    pair = as_pair(record)
    assert as_messages(record)["messages"] == pair["prompt"] + pair["completion"]
    assert [turn["role"] for turn in as_messages(record)["messages"]] == ["user", "assistant"]


def test_a_probe_gives_the_loss_of_the_answers_and_leaves_the_model_as_it_was(make_model):
    import torch

    model, tokenizer = make_model("chatml")
    model.train()
    records = bookings(3, seed=0)
    found = probe(model, tokenizer, records)
    assert model.training
    rows = sft.prepare(tokenizer, records, max_length=512)
    total = count = 0
    for row in rows:
        kept = sum(label != -100 for label in row["labels"])
        batch = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels")}
        with torch.no_grad():
            total += model(**batch).loss.item() * kept
        count += kept
    assert found.loss == pytest.approx(total / count, rel=1e-4)
    assert (found.form, found.right) == (0, 0)


@pytest.mark.parametrize(("level", "wanted"), [(0.1, 12), (0.5, 20), (0.9, 35)])
def test_crossing_is_between_the_points(level, wanted):
    points = [(0, 0.0), (10, 0.0), (20, 0.4), (40, 0.8), (60, 0.6)]
    assert crossing(points, level) == pytest.approx(wanted, abs=1)


def test_a_curve_that_never_rises_crosses_at_its_start():
    assert crossing([(0, 0.0), (10, 0.0)], 0.9) == 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*pin_memory.*:UserWarning")
@pytest.mark.parametrize("assistant_only", [True, False])
def test_on_an_instruct_template_trl_masks_as_the_lesson_says(make_model, tmp_path, assistant_only):
    """The GPU profiles take Qwen2.5, whose template has no generation marks of its own."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    original = importlib.resources.files("trl").joinpath("chat_templates/qwen2_5.jinja")
    if not original.is_file():
        pytest.skip("the installed TRL carries no originals")
    model, tokenizer = make_model("qwen2.5")
    tokenizer.chat_template = original.read_text(encoding="utf-8")
    record = bookings(1, seed=0)[0]
    row = as_messages(record) if assistant_only else as_pair(record)
    arguments = SFTConfig(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", assistant_only_loss=assistant_only
    )
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_list([row])
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=data, processing_class=tokenizer
    )
    theirs = [label for label in trainer.train_dataset[0]["labels"] if label != -100]
    (prepared,) = sft.prepare(tokenizer, [record], max_length=512)
    ours = [label for label in prepared["labels"] if label != -100]
    before, after = tokenizer.decode(theirs).split(tokenizer.decode(ours))
    assert not before.strip() and not after.strip()
    assert ours in [theirs[i : i + len(ours)] for i in range(len(theirs))]
