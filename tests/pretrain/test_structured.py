import csv
import json
import random
import xml.etree.ElementTree as ET

import yaml

from ftlab.pretrain import structured

WORDS = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)]
TEXT = [f"This is paragraph number {i} of a little story about rivers." for i in range(30)]


def make(kind, count=40):
    rng = random.Random(1)
    return [kind(rng, WORDS, TEXT) for _ in range(count)]


def test_json_parses():
    for text in make(structured.json_file):
        try:
            json.loads(text)
        except json.JSONDecodeError:
            assert [json.loads(line) for line in text.splitlines()]


def test_yaml_and_xml_parse_to_something_nested():
    assert all(isinstance(yaml.safe_load(text), dict) for text in make(structured.yaml_file))
    assert all(ET.fromstring(text) is not None for text in make(structured.xml_file))


def test_csv_rows_have_equal_length():
    for text in make(structured.csv_file):
        delimiter = csv.Sniffer().sniff(text, delimiters=",;|").delimiter if "," in text else ";"
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
        assert len(rows) >= 4


def test_turns_use_the_chat_templates_tokens():
    assert all(
        t.startswith("<|im_start|>user\n") and t.endswith("<|im_end|>\n")
        for t in make(structured.turns)
    )


def test_generation_is_fixed_by_the_seed():
    documents = [
        {"source": "prose", "text": "\n\n".join(f"{TEXT[0]} {w} {w}" for w in WORDS[i::10])}
        for i in range(10)
    ]
    once = structured.generate(documents, count=30, seed=3)
    assert once == structured.generate(documents, count=30, seed=3)
    assert once != structured.generate(documents, count=30, seed=4)
    assert len({d["text"] for d in once}) == 30
