"""Lesson 12: its unnamed patients have one fault each."""

import json

import pytest

from ftlab import data, templates
from ftlab.teaching.lesson12 import faults, leaks, patient, with_bos


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_patient_has_the_fault_that_its_owner_reports(seed):
    found = {name: faults(patient(name, seed)) for name in ("", "A", "B", "C")}
    assert found == {
        "": [],
        "A": ["answers are cut off"],
        "B": ["test rows leak"],
        "C": ["the prompts in use are not those of the training"],
    }


def test_the_report_of_a_patient_does_not_name_its_fault():
    words = ("max_length", "trunc", "leak", "system message", "prompt")
    for name in "ABC":
        assert not any(word in patient(name)["report"].lower() for word in words)


def test_other_faults_are_seen_too():
    slow, few, late = patient(), patient(), patient()
    slow["settings"]["learning_rate"] = 1e-6
    few["train"] = few["train"][:10]
    del late["settings"]["max_length"]  # then TRL's own holds, which is long enough here
    assert faults(slow) == ["the learning rate is out of range"]
    assert faults(few) == ["too few rows are left"]
    assert faults(late) == []
    late["train"][0]["completion"][0]["content"] *= 100
    assert faults(late) == ["answers are cut off"]


def test_a_project_survives_a_file():
    assert faults(json.loads(json.dumps(patient("B")))) == ["test rows leak"]


def test_none_of_the_leaked_sentences_is_equal():
    one = patient("B")
    known = [data.prompt(row) for row in one["train"]]
    assert not any(data.prompt(row) in known for row in one["test"])
    assert len(leaks(one["train"], one["test"])) == len(one["test"])


def test_a_served_prompt_has_the_bos_twice_and_a_training_one_once():
    tokenizer = with_bos()
    hello = [{"role": "user", "content": "hello there"}]
    served = tokenizer(templates.prompt_text(tokenizer, hello))["input_ids"]
    assert served[:2] == [tokenizer.bos_token_id] * 2
    assert templates.prompt_ids(tokenizer, hello) == served[1:]
