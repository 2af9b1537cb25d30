"""From a few examples to many, and never a rewrite of a held-out one."""

import pytest
from openai_server import KEY, serving

from ftlab import data, tasks
from ftlab.curation.amplify import _Guard, amplify
from ftlab.endpoint import connect
from ftlab.errors import ConfigError, DataError

TRIAGE = tasks.get("triage")
CUE = "Sort the message:\n"
THINGS = (
    "the lamp in my kitchen flickers when it rains outside",
    "somebody charged my card twice for one monthly plan",
    "your parcel never came to our office on the hill",
    "I forgot the password of my old school account",
    "please close my membership at the end of summer",
    "could the calendar show weeks that start on Monday",
)
SEEDS = [data.example(CUE + text, f"topic: {i}", id=f"s{i}") for i, text in enumerate(THINGS)]


@pytest.fixture
def saying(served):
    """Return `saying(write)`: a teacher that answers a prompt about a text with `write(text)`."""

    def teacher(write):
        served.reset(lambda messages: write(messages[-1]["content"].partition("\n\n")[2]))
        return connect("tiny", base_url=served.url, api_key=KEY, retries=0)

    return teacher


def inputs(rows):
    return [data.prompt(row)[-1]["content"] for row in rows]


def go(tmp_path, teacher, n=4, seeds=SEEDS, held_out=(), **more):
    return amplify(
        seeds, n, teacher, tmp_path / "more.jsonl", held_out=held_out, progress=False, **more
    )


def test_twenty_examples_become_sixty(saying, served, tmp_path):
    seeds = TRIAGE.examples(20, seed=3)
    held_out = TRIAGE.examples(50, seed=4, split="test")
    number = iter(range(10**6))
    teacher = saying(lambda text: f"{text} Before {chr(97 + next(number) % 26)} leaves.")
    made = go(tmp_path, teacher, 60, seeds, held_out, concurrency=1)
    rows = data.read(tmp_path / "more.jsonl")
    assert made.stopped == "complete" and len(rows) == len(set(inputs(rows))) == 60
    assert not set(inputs(rows)) & set(inputs(seeds))
    assert {data.meta(row)["way"] for row in rows} == {"paraphrase", "back-translation"}
    by_id = {data.meta(row)["id"]: row for row in seeds}
    for row in rows:
        came = by_id[data.meta(row)["from"]]
        assert data.answer(row) == data.answer(came) and data.meta(row)["teacher"] == "tiny"
        assert data.meta(row)["group"] == data.meta(came)["group"]
        assert data.prompt(row)[0] == data.prompt(came)[0]  # the system message stays
    again = len(served.bodies)
    assert go(tmp_path, teacher, 60, seeds, held_out).accepted == made.accepted
    assert len(served.bodies) == again


def test_back_translation_asks_twice_and_the_second_time_about_the_first_answer(
    saying, served, tmp_path
):
    teacher = saying(lambda text: f"Here is the translation:\n\n{text} {'ja' * text.count('ja')}ja")
    made = go(tmp_path, teacher, 2, ways=["back-translation"], concurrency=1)
    first, second, *_ = (body["messages"][-1]["content"] for body in served.bodies)
    assert first.startswith("Translate to German") and first.endswith(THINGS[0])
    assert second.startswith("Translate to English") and second.endswith(f"{THINGS[0]} ja")
    assert inputs(made.accepted)[0] == f"{CUE}{THINGS[0]} ja jaja"
    assert made.tokens_in > len(first + second) // 4


def test_prompts_take_turns_and_then_are_sampled_again(saying, served, tmp_path):
    number = iter(range(10**6))
    teacher = saying(lambda text: f"{next(number)} {text}")
    seeds = [data.example("the cat is gone", "find it"), data.example("it rains again", "go in")]
    made = go(tmp_path, teacher, 5, seeds, ways=["paraphrase"], concurrency=1)
    assert made.reasons == {"a number was changed, lost or added": 20}
    asked = [(body["messages"][0]["content"][:40], body.get("seed", 0)) for body in served.bodies]
    assert asked[1][0] == asked[2][0] != asked[0][0]  # the example that comes next, the next prompt
    assert len(set(asked[:16:2])) == 8 and {seed for _, seed in asked[:16]} == {0}
    assert asked[16:18] == [(asked[0][0], 1), (asked[1][0], 1)]


def test_a_rewrite_of_a_held_out_example_never_gets_in(saying, tmp_path):
    held = data.example(
        CUE + "the lamp in my kitchen flickers whenever it rains", "topic: 9", id="h"
    )
    drawn = []

    def write(text):
        drawn.append(text)
        return f"Hello, {THINGS[0]}." if len(drawn) % 2 else f"{text} today"

    made = go(tmp_path, saying(write), 4, held_out=[held], ways=["paraphrase"])
    assert made.reasons["near a held-out record"] >= 3 and "1 of 6 examples were not used" in str(
        made
    )
    assert not [text for text in inputs(made.accepted) if "lamp" in text]
    assert len(made.accepted) == 4
    # The example near it was not rewritten.
    assert not [text for text in drawn if "lamp" in text]


def test_a_held_out_record_with_more_around_it_is_near():
    text = "the lamp in my kitchen flickers whenever it rains"
    held = [data.example(text, "a")]
    long = (
        f"Dear all, I hope you are well after the holidays. It is this: {text}. "
        "I thought you should know, and wish you a good week. Yours, Ann"
    )
    assert _Guard([], held).leaks(data.example(long, "b"))
    assert not _Guard([], held).leaks(data.example("the lamp in my hall is new", "b"))


def test_examples_that_are_held_out_themselves_are_refused(saying, tmp_path):
    with pytest.raises(DataError, match="None of the 6"):
        go(tmp_path, saying(str), held_out=SEEDS, ways=["paraphrase"])
    advice = "Tell them that you are there, and carry one bag."
    seeds = [data.example("How do I help a neighbour who moves?", advice), SEEDS[1]]
    made = go(
        tmp_path, saying(lambda text: text + " please"), 1, seeds,
        [data.example("A friend next door packs boxes, what now?", advice)], ways=["paraphrase"],
    )  # fmt: skip
    assert [data.answer(row) for row in made.accepted] == ["topic: 1"]  # the same advice is a leak


@pytest.mark.parametrize(
    "answer, reason",
    [
        ("Here is the text:\nPay 12 euros before May 5", "a number was changed, lost or added"),
        ("pay 12 euros, before May 4!", "nothing was changed"),
        ("give 12 coins to her by 4", "lost what the completion takes from it: May"),
        ("", "empty"),
    ],
)
def test_rewrites_that_change_what_matters_are_turned_down(saying, tmp_path, answer, reason):
    seeds = [data.example("Pay 12 euros before May 4", "due: May")]
    made = go(tmp_path, saying(lambda m: answer), 1, seeds, ways=["paraphrase"])
    assert made.reasons == {reason: 4} and not made.accepted


def test_copies_are_kept_once(saying, tmp_path):
    made = go(tmp_path, saying(lambda m: "all of them say this to you"), 3, ways=["paraphrase"])
    assert len(made.accepted) == 1 and set(made.reasons) == {"a copy of an example that is there"}
    again = go(tmp_path, saying(lambda m: 1 / 0), 3, ways=["paraphrase"])
    assert len(again.accepted) == 1 and again.requests == made.requests


def test_inputs_that_the_completion_repeats_are_not_reworded(saying, tmp_path):
    seeds = [data.example(f"Restore:\n{text}", text.capitalize() + ".") for text in THINGS]
    with pytest.raises(DataError, match="repeat their inputs"):
        go(tmp_path, saying(str), 4, seeds, ways=["paraphrase"])


def test_the_instruction_is_not_reworded(saying, tmp_path):
    told = []

    def write(text):
        told.append(text)
        return text + " please"

    made = go(tmp_path, saying(write), 6, ways=["paraphrase"])
    assert set(told) <= set(THINGS) and all(t.startswith(CUE) for t in inputs(made.accepted))


def test_an_instruction_before_every_text_does_not_make_them_near():
    texts = [f"Sort this ticket by intent and priority please: {w} {w}{w}" for w in "abcdefghijklm"]
    rows = [data.example(text, "x") for text in texts]
    assert _Guard(rows[1:2], rows[:1]).leaks(rows[1])
    assert not _Guard(rows[1:], rows[:1]).leaks(rows[1])


def test_bad_arguments(saying, tmp_path):
    with pytest.raises(ConfigError, match="'paraphrase'"):
        go(tmp_path, saying(str), ways=["parafrase"])
    with pytest.raises(DataError, match="one turn"):
        turns = [("user", "a"), ("assistant", "b"), ("user", "c")]
        talk = data.example([{"role": r, "content": c} for r, c in turns], "d")
        go(tmp_path, saying(str), seeds=[talk])
    assert not list(tmp_path.iterdir())


def test_from_the_command_line_through_an_endpoint(tmp_path, monkeypatch, command):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    seeds, out = data.write(tmp_path / "seeds.jsonl", SEEDS), tmp_path / "more.jsonl"
    with serving(lambda messages: messages[-1]["content"] + " if you can") as server:
        code, told, err = command(
            "amplify", seeds, "--no-held-out", "--out", out, "-n", "5", "--ways", "paraphrase",
            "--model", "tiny", "--base-url", server.url,
        )  # fmt: skip
    assert code == 0 and "5 accepted" in told, err
    assert len(data.read(out)) == 5
