import pytest

from ftlab import data, tasks
from ftlab.errors import ConfigError, DataError
from ftlab.evaluation.systems import (
    System,
    answer,
    few_shot_examples,
    lineup,
)
from ftlab.generation import generate
from ftlab.templates import prompt_ids

SHOT = data.example("Say hi!", "hi", system="Be kind.")
RECORDS = [data.example(f"Say {word}!", word) for word in ("fox", "dog", "the lazy dog")]


def test_asking_changes_nothing_of_the_record_and_keeps_the_system_turn_first():
    messages = data.prompt(data.example("Say fox!", "fox", system="Be quick."))
    asked = System("x", "m", instructions="Short.", few_shot_examples=(SHOT,)).asks(messages)
    assert [(turn["role"], turn["content"]) for turn in asked] == [
        ("system", "Be quick."), ("user", "Short.\n\nSay hi!"), ("assistant", "hi"),
        ("user", "Say fox!"),
    ]  # fmt: skip
    assert messages[-1]["content"] == "Say fox!" and data.prompt(SHOT)[-1]["content"] == "Say hi!"
    assert list(System("x", "m").asks(messages)) == messages


def test_the_whole_line_up_in_order():
    found = lineup(
        "b", ["t", "u", "t"], instructions="Think.", examples=[SHOT, SHOT],
        baseline=tasks.get("triage"),
    )  # fmt: skip
    assert [(c.name, c.model) for c in found] == [
        ("b", "b"), ("b + instructions", "b"), ("b + 2 examples", "b"), ("t", "t"),
        ("t + instructions", "t"), ("u", "u"), ("u + instructions", "u"), ("triage baseline", None),
    ]  # fmt: skip
    assert found[2].few_shot_examples == (SHOT, SHOT) and not found[1].few_shot_examples


def test_a_model_behind_an_endpoint_has_a_label_and_gets_examples_too():
    found = lineup("b", ["http://a.example/v1#x/y", "big=https://b.example#z"], examples=[SHOT])
    assert [(c.name, c.model) for c in found] == [
        ("b", "b"), ("b + 1 example", "b"), ("x/y", "http://a.example/v1#x/y"),
        ("x/y + 1 example", "http://a.example/v1#x/y"), ("big", "https://b.example#z"),
        ("big + 1 example", "https://b.example#z"),
    ]  # fmt: skip
    assert lineup("b", ["runs/a=b#c"])[1].model == "runs/a=b#c"


def test_a_task_without_a_baseline_says_so():
    with pytest.raises(ConfigError, match="kindness has no baseline"):
        lineup("b", baseline=tasks.get("kindness"))


def test_examples_are_drawn_with_a_seed_and_never_from_the_held_out_records():
    train = [data.example(f"q{i}", f"a{i}") for i in range(50)]
    one, again, other = (few_shot_examples(train, RECORDS, 3, seed=seed) for seed in (1, 1, 2))
    assert one == again and one != other
    with pytest.raises(DataError, match="held-out record"):
        few_shot_examples(RECORDS, [data.example("Say fox!", "other")], 3)
    with pytest.raises(ConfigError, match="51 examples"):
        few_shot_examples(train, RECORDS, 51)


@pytest.mark.parametrize("family", ["chatml", "gemma"])  # gemma's template refuses a system turn
def test_answers_are_those_of_generate_with_their_tokens_counted(make_model, family):
    model, tokenizer = make_model(family)
    system = System("x", "m", instructions="Be quick.", few_shot_examples=(RECORDS[2],))
    got = answer(system, model, tokenizer, RECORDS[:2], max_new_tokens=5)
    prompts = [system.asks(data.prompt(record)) for record in RECORDS[:2]]
    assert got.texts == generate(model, tokenizer, prompts, max_new_tokens=5)
    assert got.tokens_in == [len(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    plain = answer(System("y", "m"), model, tokenizer, RECORDS[:2], max_new_tokens=5)
    assert all(a > b for a, b in zip(got.tokens_in, plain.tokens_in, strict=True))
    assert len(got.tokens_out) == 2 and max(got.tokens_out) > 0 and got.seconds > 0


def test_examples_that_do_not_fit_are_told_before_anything_is_generated(make_model):
    model, tokenizer = make_model("chatml")
    many = System("base + 40 examples", "m", few_shot_examples=(RECORDS[2],) * 40)
    with pytest.raises(ConfigError, match=r"base \+ 40 examples.*context holds 512"):
        answer(many, model, tokenizer, RECORDS)
