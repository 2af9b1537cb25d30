import random
import re

import pytest

from ftlab import tasks
from ftlab.errors import ConfigError, DataError
from ftlab.records import Record
from ftlab.tasks import Ratio, drawing, translate
from ftlab.tasks.translate import parse, prompt, score
from ftlab.tasks.translate_formats import FORMATS, Look, leaves, read, same, write
from ftlab.tasks.translate_words import TRAPS, pool

TRAIN = translate.examples(1000, seed=1)
TEST = translate.examples(300, seed=1, split="test")
DATA = {
    "crate": {
        "@id": "07", "full": False, "open": "no", "since": "2024-03-09", "sizes": [1, 2.0, None],
        "label": {"@lang": "en", "#text": 'say "it\'s" <b> & co: #1'}, "empty": "", "none": {},
        "rows": [], "deep": {"list": [{"a": 1}, ["x"]]}, "lines": "one\ntwo",
    }
}  # fmt: skip


def record(completion):
    return Record.of("translate", completion)


def test_one_shape():
    assert tasks.get("translate") is translate.TASK
    assert translate.TASK.headline in score(TRAIN[0], "")


@pytest.mark.parametrize("form", FORMATS)
def test_the_house_style_reads_back(form):
    assert same(read(write(DATA, form), form), DATA)


@pytest.mark.parametrize("form", FORMATS)
def test_every_look_reads_back(form):
    rng = random.Random(0)
    for _ in range(40):
        new = rng.random() < 0.5
        text = write(DATA, form, translate._look(form, rng, new))
        assert same(read(text, form), DATA), text


@pytest.mark.parametrize("new", [False, True])
def test_traps_stay_strings_in_every_format(new):
    for trap in pool(TRAPS, new):
        for form in FORMATS:
            data = {"a": {"@b": trap, "c": trap, "d": [trap]}}
            assert same(read(write(data, form), form), data)


def test_yaml_falls_into_the_traps_that_bare_words_are():
    text = "no: on\nday: 2024-03-09\ncode: 012\ntime: 12:30\nversion: 1.10\nid: 1_000\n"
    assert list(read(text, "yaml")) == [False, "day", "code", "time", "version", "id"]
    assert [v for k, v in read(text, "yaml").items() if isinstance(v, str)] == []


def test_the_stated_mapping_of_xml():
    text = """<?xml version="1.0"?><!-- a --><box id="7"><w type="float">2.0</w><n/>
    <k unit="m" type="int"> 3 </k><l type="list"><x>a</x><y type="null"/></l>
    <m type="map"/><only at="5"/><raw><![CDATA[<&>]]></raw><u>&#233;</u></box>"""
    wanted = {
        "@id": "7", "w": 2.0, "n": "", "k": {"@unit": "m", "#text": 3}, "l": ["a", None],
        "m": {}, "only": {"@at": "5"}, "raw": "<&>", "u": "é",
    }  # fmt: skip
    assert same(read(text, "xml"), {"box": wanted})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", ""), ("json", "{'a': 1}"), ("json", '{"a": 1, "a": 2}'), ("json", "[NaN]"),
        ("json", '{"a": 1} and more'), ("json", "[" * 100_000),
        ("yaml", ""), ("yaml", '{"a": 1}'), ("yaml", "a: 1\na: 2"), ("yaml", "a: &x 1\nb: *x"),
        ("yaml", "a: b: c"), ("yaml", "d: 2024-13-45"), ("yaml", "? [a]\n: b"),
        ("yaml", "!!python/object/apply:os.system ['true']"), ("yaml", "a: 1\n---\nb: 2"),
        ("xml", ""), ("xml", "<a>"), ("xml", "<a/><b/>"), ("xml", "<a><b/><b/></a>"),
        ("xml", "<a>text<b/></a>"), ("xml", '<a type="date">x</a>'), ("xml", '<a type="int">x</a>'),
        ("xml", '<a type="int"><b/></a>'), ("xml", '<a type="list" id="1"/>'),
        ("xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'), ("xml", '<a type="bool">True</a>'),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(form, text):
    with pytest.raises(DataError, match=f"^not {form.upper()}: "):
        read(text, form)


def test_what_xml_cannot_hold_is_refused():
    for data in ([1], {"a": 1, "b": 2}, {"a b": 1}, {"a": {"@type": "x"}}):
        with pytest.raises(DataError, match="XML"):
            write(data, "xml")
    with pytest.raises(ConfigError, match="Valid: json, xml, yaml"):
        read("", "toml")
    with pytest.raises(ConfigError, match="Valid: json, xml, yaml"):
        write({}, "toml")


def test_same_and_leaves():
    assert not same({"a": 1}, {"a": "1"})
    assert not same([1, 2], [2, 1])
    assert not same({"a": None}, {})
    assert list(leaves({})) == [("", {})]
    assert list(leaves("x")) == [("", "x")]


def test_any_layout_of_the_same_data_is_right():
    for form in FORMATS:
        house = record(write(DATA, form))
        for look in (Look(indent=4), Look(quote="'", cdata=True, closed=False)):
            assert score(house, write(DATA, form, look))["same"] == Ratio(1, 1)


def test_hand_counted_mistakes():
    wanted = record("a: 'no'\nb: 2\nc:\n- x\n- y\n")
    marks = score(wanted, "a: no\nb: 2\nc:\n- x\n")  # a is false; one item is missing
    assert marks["same"] == Ratio(0, 1)
    assert marks["parses"] == Ratio(1, 1)
    assert marks["values_f1"] == Ratio(4, 7)  # b and x of 4 and 3
    assert marks["keys_f1"] == Ratio(6, 7)
    assert marks["strings_kept"] == Ratio(0, 1)
    assert score(wanted, "a: 'no'\n")["strings_kept"] == Ratio(1, 1)


@pytest.mark.parametrize("answer", ["", "  \n", "what?", "a: b: c", "<a>", "- " * 3000 + "x"])
def test_an_answer_that_is_no_such_document_scores_nothing(answer):
    for example in TRAIN[:12]:
        marks = score(example, answer)
        assert marks["same"] == Ratio(0, 1)
        assert marks["values_f1"].num == 0
    for form in ("json", "xml"):
        assert score(record(write(DATA, form)), answer)["parses"] == Ratio(0, 1)


def test_json_copied_is_no_yaml():
    copied = [r for r in TRAIN if r.meta["direction"] == "json>yaml"][:20]
    for example in copied:
        source = example.messages[0]["content"].split("\n\n", 1)[1]
        assert score(example, source)["parses"] == Ratio(0, 1)


def test_parse_takes_fences_and_preambles_off():
    assert parse("Here is the YAML:\n\n```yaml\na: 1\n```\nDone.") == "a: 1"
    assert parse("Sure, as JSON:\n{}\n") == "{}"
    assert parse("server:\n  a: 1\n") == "server:\n  a: 1"
    assert parse("```\n<a/>") == "<a/>"
    for example in TRAIN[:50]:
        assert parse(example.completion) == example.completion
        once = parse("Here you go:\n```\n" + example.completion + "\n```\nBye")
        assert once == parse(once) == example.completion


def test_prompt():
    (message,) = prompt("XML to json:\n<a/>\n")
    assert message == {"role": "user", "content": "Translate from XML to JSON.\n\n<a/>"}
    assert prompt("Make JSON of this: a=1")[0]["content"] == "Make JSON of this: a=1"
    with pytest.raises(ConfigError, match="Cannot translate xml to toml"):
        prompt("xml to toml\n<a/>")


def test_references_are_right_and_sources_hold_their_data():
    for example in (*TRAIN[:300], *TEST):
        marks = score(example, example.completion)
        assert marks["same"] == marks["parses"] == Ratio(1, 1)
        assert marks["values_f1"].value == marks["keys_f1"].value == 1
        assert marks["strings_kept"].num == marks["strings_kept"].den
        source, to = example.meta["direction"].split(">")
        document = example.messages[0]["content"].split("\n\n", 1)[1]
        assert same(read(document, source), read(example.completion, to))


def test_records_carry_what_is_needed():
    for example in (*TRAIN, *TEST):
        assert set(example.meta) == {"id", "slice", "difficulty", "group", "direction"}
        assert example.meta["slice"] in (example.meta["direction"], drawing.NEW)
        assert len(example.messages[0]["content"] + example.completion) <= translate.LONGEST
        assert translate.format_of(example.completion) == example.meta["direction"].split(">")[1]
    assert {e.meta["slice"] for e in TRAIN} == set(translate.DIRECTIONS)
    assert {e.meta["slice"] for e in TEST} == {*translate.DIRECTIONS, drawing.NEW}
    assert {e.meta["difficulty"] for e in TRAIN} == {1, 2, 3, 4}
    assert sum(score(e, "")["strings_kept"].den for e in TRAIN[:300]) > 200


def test_variety():
    def bare(example):
        text = re.sub(r"[^\W\d_]+", "w", example.messages[0]["content"])
        return re.sub(r"\d+", "0", text)

    assert len({bare(e) for e in TRAIN}) >= 950  # measured: 1,000 of 1,000
    asks = {e.messages[0]["content"].split("\n")[0] for e in TRAIN}
    assert len(asks) >= 120


def test_what_is_held_out_stays_out():
    other = translate.examples(300, seed=99)
    assert not {e.meta["group"] for e in other} & {e.meta["group"] for e in TEST}
    new = [e for e in TEST if e.meta["slice"] == drawing.NEW]
    roots = {next(iter(read(e.completion, translate.format_of(e.completion)))) for e in new}
    assert len(new) > 100
    seen = [line.split("|")[0].split() for line in translate.SUBJECTS if not line.startswith("~")]
    assert not roots & {root for line in seen for root in line}


@pytest.mark.parametrize(
    ("n", "split", "message"), [(0, "train", "Ask for 1 or more"), (5, "dev", "Valid: test, train")]
)
def test_examples_refuse_what_they_cannot_give(n, split, message):
    with pytest.raises(ConfigError, match=message):
        translate.examples(n, seed=0, split=split)
