import random
import re
import sys

import pytest

from ftlab import data, tasks
from ftlab.errors import ConfigError, DataError, MissingExtraError
from ftlab.tasks import Ratio, drawing, style, style_lines, style_marks
from ftlab.tasks.style import parse, prompt, score
from ftlab.tasks.style_lines import FORMS, ordinal
from ftlab.tasks.style_marks import bare, invented, kept, mask, voice_of

TRAIN = style.examples(1000, seed=1)
TEST = style.examples(400, seed=1, split="test")
FACTS = {"names": ["Varga", "Okafor", "the Old Quay"], "numbers": ["12", "3", "1.4"]}


def record(voice="dry", facts=FACTS):
    people = ["Ines Varga", "Tom Okafor"]
    return data.example("tell", "x", voice=voice, facts=facts, people=people)


def test_one_shape():
    assert tasks.get("style") is style.TASK
    assert style.TASK.headline in score(TRAIN[0], "")


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Lap 12: Varga passes Okafor at the Old Quay for P3, by 1.4 seconds.", 6),
        ("Lap twelve: VARGA passes Okafor, 1.4 s up, third, at Old Quay.", 6),
        ("On the 12th lap Varga is 3rd.", 3),
        ("Varga's lap 12.0, Vargas, 13 and 1.45", 2),
        ("", 0),
    ],
)
def test_facts_are_found_however_they_are_said(line, count):
    assert len(kept(line, FACTS)) == count


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("Lap 12: Varga passes Okafor at the Old Quay for third, by 1.4 seconds.", []),
        ("Oh my word! Ines VARGA flies past Tom Okafor. Old Quay ROARS! I am shaking.", []),
        ("Varga leads, one second up, and Okafor's team is first to react.", []),
        ("Varga passes Okafor on lap 13.", ["13"]),
        ("Varga is seventh after twenty-four laps.", ["seventh", "twenty-four"]),
        ("Varga passes Moretti at Mill Bend.", ["Mill Bend", "Moretti"]),
        ("MORETTI leads!", ["MORETTI"]),
        ("Astrid Varga leads.", ["Astrid"]),
        ("And past the great Wellington goes Varga.", ["Wellington"]),
    ],
)
def test_what_is_invented_is_seen(line, wrong):
    assert sorted(invented(line, FACTS, "Ines Varga", "Tom Okafor")) == sorted(wrong)


def test_ordinals():
    assert [ordinal(n) for n in (1, 2, 3, 5, 8, 9, 12, 14, 21, 30, 99)] == [
        "first", "second", "third", "fifth", "eighth", "ninth", "twelfth", "fourteenth",
        "twenty-first", "thirtieth", "ninety-ninth",
    ]  # fmt: skip


def test_a_line_is_marked_by_voice_and_facts():
    dry = "Lap 12: Varga passes Okafor at the Old Quay for P3. The gap is 1.4 seconds. Noted."
    assert {m.value for m in score(record("dry"), dry).values()} == {1}
    wrong_voice = score(record("exuberant"), dry)
    assert wrong_voice["voice"] == wrong_voice["both"] == Ratio(0, 1)
    assert wrong_voice["facts_right"] == Ratio(1, 1)
    short = score(record("dry"), "Varga passes Okafor at the Old Quay. Noted.")
    assert short["facts_kept"] == Ratio(3, 6)
    assert short["facts_right"] == short["both"] == Ratio(0, 1)
    added = score(record("dry"), dry + " Moretti is fifth.")
    assert added["nothing_invented"] == added["both"] == Ratio(0, 1)
    assert added["facts_kept"] == Ratio(6, 6)


def test_an_empty_or_copied_answer_wins_nothing():
    for example in TRAIN[:100]:
        assert all(m.num == 0 for m in score(example, " \n").values())
        copied = data.prompt(example)[0]["content"].split("\n", 1)[1].replace("\n", " ")
        assert score(example, copied)["both"] == Ratio(0, 1)


def test_a_record_without_its_facts_is_refused():
    with pytest.raises(DataError, match="no 'voice'"):
        score(data.example("a", "b"), "c")


def test_references_are_right():
    marks = [score(example, data.answer(example)) for example in (*TRAIN[:500], *TEST)]
    assert all(m["facts_right"] == Ratio(1, 1) for m in marks)
    assert tasks.total(m["facts_kept"] for m in marks).value == 1
    assert tasks.total(m["voice"] for m in marks).value > 0.98  # measured: 0.997


def test_the_wrong_voice_is_heard():
    rng = random.Random(5)
    other = {"dry": "exuberant", "exuberant": "dry"}
    said = []
    for _ in range(60):
        event = style_lines.event(rng)
        for voice in style_lines.VOICES:
            said.append(voice_of(style_lines.tell(event, voice, rng)) == other[voice])
    assert sum(said) <= 2


def test_the_classifier_is_right_on_held_out_phrasings():
    accuracy = style_marks.classifier_accuracy(n=400)
    assert accuracy["held_out"] > 0.95  # measured: 0.98
    assert accuracy["held_out_bare"] > 0.85  # the words alone; measured: 0.91
    assert accuracy["held_out"] > accuracy["exclamation_marks"]
    assert voice_of("") == "neither"


def test_a_missing_scikit_learn_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.pipeline", None)
    with pytest.raises(MissingExtraError, match="pip install scikit-learn"):
        style_marks.classifier.__wrapped__()


def test_mask_and_bare():
    assert mask("Ines VARGA at the Old Quay, 1:02.4!") == "N N at N, 0!"
    assert bare("Oh my! It's P0...") == "oh my it's p0"


def test_parse_takes_one_line():
    assert parse('\n "Varga leads."\nMore.') == "Varga leads."
    assert parse("Here is the line:\n\nVarga leads.") == "Varga leads."
    assert parse("") == parse('""') == ""
    for example in TRAIN[:200]:
        assert (
            parse(data.answer(example))
            == data.answer(example)
            == parse(parse(data.answer(example)))
        )


def test_prompt():
    assert prompt("exuberant: who=Ann")[0]["content"] == "Voice: exuberant.\nwho=Ann"
    assert prompt("Say it.")[0]["content"] == "Say it."


def test_every_fact_is_in_the_prompt():
    for example in (*TRAIN, *TEST):
        text = data.prompt(example)[0]["content"]
        facts = [v for group in data.meta(example)["facts"].values() for v in group]
        assert all(fact in text.replace("&apos;", "'") for fact in facts)
        assert all(person in text for person in data.meta(example)["people"])
        assert re.search(rf"\b{data.meta(example)['voice']}\b", text, re.IGNORECASE)


def test_records_carry_what_is_needed():
    slices = {f"{voice}/{kind}" for voice in style_lines.VOICES for kind in FORMS.kinds}
    for example in (*TRAIN, *TEST):
        assert {"id", "slice", "difficulty", "group", "voice", "kind"} <= set(data.meta(example))
        assert len(data.prompt(example)[0]["content"] + data.answer(example)) < 600
        assert "\n" not in data.answer(example)
        assert not re.search(r"[{}|()]|  ", data.answer(example))
        assert data.answer(example)[0].isupper()
        assert data.answer(example)[-1] in ".!?"
    assert {data.meta(e)["slice"] for e in TRAIN} == slices
    assert {data.meta(e)["difficulty"] for e in TRAIN} == {2, 3, 4, 5}
    assert sum(data.meta(e)["slice"] == drawing.NEW for e in TEST) > 150


def test_variety():
    assert len({mask(data.answer(e)) for e in TRAIN}) >= 950  # measured: 996 of 1,000
    bare_prompts = {re.sub(r"[A-Z]\w+|\d+", "_", data.prompt(e)[0]["content"]) for e in TRAIN}
    assert len(bare_prompts) >= 950
    for voice in style_lines.VOICES:
        assert set(FORMS.cores[voice]) == set(FORMS.kinds)
        for kind, forms in FORMS.cores[voice].items():
            assert sum(f.startswith("~") for f in forms) >= 2, kind


def test_what_is_held_out_stays_out():
    new = [e for e in TEST if data.meta(e)["slice"] == drawing.NEW]
    assert not {p for e in new for p in data.meta(e)["people"]} & {
        p for e in TRAIN for p in data.meta(e)["people"]
    }
    held_out = [f[1:] for f in FORMS.closings["dry"] + FORMS.closings["exuberant"] if f[0] == "~"]
    assert any(form in data.answer(e) for e in new for form in held_out)
    assert not any(form in data.answer(e) for e in TRAIN for form in held_out)


def test_what_cannot_be_given_is_refused():
    with pytest.raises(ConfigError, match="Ask for 1 or more"):
        style.examples(0, seed=0)
    with pytest.raises(ConfigError, match="Valid: test, train"):
        style.examples(5, seed=0, split="dev")
    with pytest.raises(ConfigError, match="Did you mean 'dry'"):
        style_lines.tell(style_lines.event(random.Random(0)), "drye", random.Random(0))
