"""Lesson 01's handbook can be scored, and its invented facts and plans are whole."""

import re

from ftlab.files import read_data

SHOP = read_data("lessons/shop.yaml")
LISTS = read_data("lessons/patterns_and_facts.yaml")


def test_every_entry_has_one_fact_that_stands_in_its_text():
    assert len(SHOP["handbook"]) == 60
    assert len({entry["id"] for entry in SHOP["handbook"]}) == 60
    for entry in SHOP["handbook"]:
        pattern = rf"\b{re.escape(entry['fact'])}\b"
        assert re.search(pattern, entry["text"])
        assert len(entry["text"].split()) <= 30
        assert entry["topic"] in SHOP["described"]


def test_a_hundred_messages_are_held_out_and_none_is_trained_on():
    asked = {
        split: [m for e in SHOP["handbook"] if e["split"] == split for m in e["ask"]]
        for split in ("train", "test")
    }
    held_out = {*asked["test"], *(message for _, message in SHOP["nothing"])}
    assert not held_out & set(asked["train"])
    assert len(held_out) == 100


def test_no_fact_of_a_held_out_entry_is_taught_by_a_training_answer():
    taught = " ".join(e["text"] for e in SHOP["handbook"] if e["split"] == "train")
    for entry in SHOP["handbook"]:
        if entry["split"] == "test":
            assert not re.search(rf"\b{re.escape(entry['fact'])}\b", taught), entry["id"]


def test_invented_facts_terms_and_plans():
    facts, terms, plans = (LISTS[name] for name in ("facts", "terms", "analysis"))
    assert len(facts["places"]) * len(facts["things"]) == 30
    assert not set(facts["places"]) & set(facts["strangers"])
    assert all(key in meaning for _, meaning, key in terms["meanings"])
    assert len(terms["asked"]) == 5 and terms["new"] not in terms["asked"]
    assert all(len(texts) == len(plans["steps"]) for _, *texts in plans["trained"])
    assert len(plans["trained"]) * len(plans["asked"]) >= 100
    assert not {plan for plan, *_ in plans["trained"]} & set(plans["new"])
