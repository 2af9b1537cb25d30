"""Pairs out of a user's own text: what the teacher says is checked, and nothing is paid twice."""

import pytest
from openai_server import KEY, serving

from ftlab import data
from ftlab.curation.synthesis import fault, pairs
from ftlab.endpoint import connect
from ftlab.errors import DataError

BOOK = """CHAPTER I

It was upon a Tuesday that Mr. Penrose, who had never in his life been punctual, came early.
Nobody could account for it.

The parish of Little Hexham, which numbered 300 souls, talked of nothing else until Michaelmas;
and his aunt was of opinion that he must be unwell. She sent for the apothecary without delay,
and for a pie, in case the former should be of no use.
"""
PLAIN = {
    "Penrose": "Mr Penrose, who was always late, came early on Tuesday.",
    "Hexham": "People in the village talked about it for months.",  # its names are lost
    "apothecary": "She called a doctor and ordered a pie.",
}
VOICED = "It was Karen, and no other, who with the best of grace parted with 3 pounds that day."


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda messages: next(
        said for key, said in PLAIN.items() if key in messages[-1]["content"]
    )) as server:  # fmt: skip
        yield server


def test_a_book_becomes_checked_pairs_once(server, tmp_path):
    book, out = tmp_path / "book.txt", tmp_path / "pairs.jsonl"
    book.write_text(BOOK)
    for _ in range(2):
        made = pairs(book, 9, connect("tiny", base_url=server.url), out, progress=False)
    rows = data.read(out)
    assert len(server.charged) == 3 == made.requests and made.paid == 0
    assert [data.prompt(row)[-1]["content"] for row in rows] == [
        PLAIN["Penrose"], PLAIN["apothecary"]
    ]  # fmt: skip
    assert data.answer(rows[0]).startswith("It was upon a Tuesday that Mr. Penrose,")
    assert made.reasons == {"a name or a number is lost": 1}
    groups = [data.meta(row)["group"] for row in rows]
    assert len(set(groups)) == 2 and data.meta(rows[0])["source"] == "book.txt"


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        ("Karen paid 3 pounds.", ""),
        ("Karen paid.", "too short"),
        ("Karen paid 3 pounds. " * 6, "too long"),
        (VOICED, "a copy"),
        ("Karen paid some money.", "a name or a number is lost"),
        ("Karen paid Derek 3 pounds.", "a name or a number is invented"),
        ("Karen, with scarcely a regret, was so obliging as to part with 3 pounds; which, indeed, "
         "was much.", "still in an old voice"),
    ],
)  # fmt: skip
def test_each_fault(plain, why):
    assert fault(plain, VOICED) == why


def test_what_has_no_sentences_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("CHAPTER ONE\n\nno sentence here")
    with pytest.raises(DataError, match="no sentence of 8 to 45 words"):
        pairs(tmp_path / "a.txt", 3, None, tmp_path / "b.jsonl")


def test_the_command_asks_for_a_teacher_and_for_style(command, tmp_path):
    (tmp_path / "a.txt").write_text(BOOK)
    for options in (("triage", "--local", "ftlab-1m"), ("style",)):
        code, _, err = command(
            "synth", *options, "--book", tmp_path / "a.txt", "--out", tmp_path / "b.jsonl"
        )
        assert code == 2 and "--book makes pairs for the task style" in err
