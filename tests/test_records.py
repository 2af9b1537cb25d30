"""The record, and the files it is read from and written to."""

import json
import random
import re

import pytest

from ftlab.errors import ConfigError, DataError
from ftlab.formats import UPLOADS
from ftlab.records import (
    FORMATS,
    Record,
    columns,
    fingerprint,
    format_of,
    from_row,
    read,
    read_table,
    to_trl,
    write,
)

OWN = [format for format in FORMATS if format not in UPLOADS]

TALK = Record(
    (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye\u2028now"},
    ),
    "Bye, 日本 🙂.\n",
    {"id": 7, "slice": "greetings", "nested": {"a": [1, None, 2.5]}},
)
PLAIN = Record.of("Capital of France?", "Paris.")
USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def lines(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return path


def test_of_makes_one_turn():
    record = Record.of("q", "a", system="s", id=3)
    assert [m["role"] for m in record.messages] == ["system", "user"]
    assert (record.completion, record.meta) == ("a", {"id": 3})


@pytest.mark.parametrize("format", OWN)
def test_a_file_holds_what_was_written(tmp_path, format):
    records = [TALK, PLAIN, Record.of("q", "a", system="s")]
    path = write(tmp_path / "a.jsonl", records, format=format)
    assert read(path) == records
    assert fingerprint(read(path)) == fingerprint(records)
    assert len(path.read_text("utf-8").strip("\n").split("\n")) == 3


@pytest.mark.parametrize(
    ("format", "keys"),
    [
        ("messages", {"messages", "meta"}),
        ("prompt_completion", {"prompt", "completion", "meta"}),
        ("sharegpt", {"conversations", "meta"}),
        ("alpaca", {"instruction", "input", "output", "system", "history", "meta"}),
    ],
)
def test_each_format_is_the_one_that_others_read(tmp_path, format, keys):
    path = write(tmp_path / "a.jsonl", [TALK], format=format)
    assert set(json.loads(path.read_text("utf-8"))) == keys


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, ANSWER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ANSWER]},
        {"prompt": "q", "completion": "a"},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": [USER], "completion": "a"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversations": [USER, ANSWER]},
        {"instruction": "q", "output": "a"},
        {"instruction": "q", "input": "", "output": "a", "history": []},
    ],
)
def test_every_format_reads_as_the_same_record(tmp_path, row):
    assert read(lines(tmp_path / "a.jsonl", row)) == [Record.of("q", "a")]


def test_formats_may_be_mixed_and_unknown_keys_are_kept(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"prompt": "q", "completion": "a", "id": 1, "meta": {"slice": "x"}},
        "",
        {"instruction": "Add.", "input": "1 2", "output": "3", "system": "s"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
         "system": "s"},
        "   ",
    )  # fmt: skip
    one, two, three = read(path)
    assert one.meta == {"id": 1, "slice": "x"}
    assert two == Record.of("Add.\n\n1 2", "3", system="s")
    assert three == Record.of("q", "a", system="s")


BAD = [
    ('{"messages": [', "not JSON"),
    ("[" * 100_000, "nested too deeply|not JSON"),
    ("3", "a JSON object is wanted, got int"),
    ({"text": "q"}, r"no known format \(keys: text\)"),
    ({}, "no keys"),
    ({"messages": "q"}, "messages must be a list of messages, got str"),
    ({"messages": []}, "the last message must be the assistant's"),
    ({"messages": [USER]}, "the last message must be the assistant's"),
    ({"messages": [ANSWER]}, "no messages"),
    ({"messages": ["q", ANSWER]}, "message 1 must be an object, got str"),
    ({"messages": [{"role": "tool", "content": "q"}, ANSWER]}, "message 1 has the role 'tool'"),
    ({"messages": [{"role": ["user"], "content": "q"}, ANSWER]}, "has the role"),
    ({"messages": [{"role": "user"}, ANSWER]}, "content of message 1 must be a string"),
    ({"messages": [USER, {**ANSWER, "tool_calls": [{}]}]}, "message 2 calls a tool"),
    ({"messages": [USER, USER, ANSWER]}, "got user, user"),
    ({"messages": [USER, {"role": "system", "content": "s"}, ANSWER]}, "got user, system"),
    ({"messages": [{"role": "system", "content": "s"}, ANSWER]}, "got system"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWER]}, "not text"),
    ({"messages": [USER, {"role": "assistant", "content": " \n"}]}, "assistant's text is empty"),
    ({"prompt": "q", "completion": None}, "completion must be a string, got NoneType"),
    ({"instruction": "q", "output": 3}, "output must be a string, got int"),
    ({"instruction": "q", "output": "a", "history": ["x"]}, "history must be a list of"),
    ({"instruction": "q", "output": "a", "history": 3}, "history must be a list of"),
    ({"prompt": "q", "completion": "a", "meta": 3}, "meta must be an object, got int"),
    ({"prompt": "q", "completion": "\ud800"}, "half of a surrogate pair"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_bad_line_is_named_with_its_reason(tmp_path, row, reason):
    good = {"prompt": "q", "completion": "a"}
    path = lines(tmp_path / "a.jsonl", good, "", row, good)
    with pytest.raises(DataError, match=rf"has 1 bad line of 3(.|\n)*  line 3: .*({reason})"):
        read(path)


def test_all_bad_lines_are_listed_once_ten_at_most(tmp_path):
    path = lines(tmp_path / "a.jsonl", *["bad"] * 13, {"prompt": "q", "completion": "a"})
    with pytest.raises(DataError) as caught:
        read(path)
    told = str(caught.value).split("\n")
    assert "13 bad lines of 14" in told[0]
    assert [line.split(":")[0].strip() for line in told[1:11]] == [
        f"line {number}" for number in range(1, 11)
    ]
    assert told[11:] == ["  and 3 more"]


def test_files_that_are_no_jsonl(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(DataError, match="binary"):
        read(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="holds no records"):
        read(lines(tmp_path / "b.jsonl", "", " "))
    with pytest.raises(DataError, match="one JSON array"):
        read(lines(tmp_path / "c.jsonl", [{"prompt": "q", "completion": "a"}]))


def test_noise_is_never_a_crash(tmp_path):
    """Whatever lines hold, the answer is records or one DataError."""
    rng = random.Random(0)
    values = [None, 3, "", "q", [], [USER], [USER, ANSWER], {}, [[]], [None], True, {"a": 1}]
    keys = ["messages", "prompt", "completion", "conversations", "instruction", "input", "output",
            "history", "system", "meta", "role"]  # fmt: skip
    rows = [
        {key: rng.choice(values) for key in rng.sample(keys, rng.randint(0, 5))}
        for _ in range(3000)
    ]
    with pytest.raises(DataError) as caught:
        read(lines(tmp_path / "a.jsonl", *rows))
    bad = int(re.search(r"has (\d+) bad lines of 3000", str(caught.value))[1])
    assert 1000 < bad < 3000, "some lines are good"


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(DataError, match="meta of record 2 cannot be written"):
        write(path, [PLAIN, Record.of("q", "a", thing=object())])
    assert list(tmp_path.iterdir()) == []
    write(path, [PLAIN])
    with pytest.raises(DataError, match="exists already"):
        write(path, [TALK])
    assert read(write(path, [TALK], overwrite=True)) == [TALK]
    with pytest.raises(ConfigError, match="Did you mean 'alpaca'"):
        write(tmp_path / "b.jsonl", [PLAIN], format="alpacca")
    assert read(write(tmp_path / "c.jsonl", [TALK], format="prompt-completion")) == [TALK]


def test_a_record_cannot_be_made_wrong():
    with pytest.raises(DataError, match="completion must be a string, got int"):
        Record.of("q", 3)
    with pytest.raises(DataError, match="no messages"):
        Record((), "a")
    with pytest.raises(DataError, match="user, assistant"):
        Record((USER, ANSWER), "a")


def test_a_record_keeps_its_own_messages():
    given = {"role": "user", "content": "q"}
    record = Record((given,), "a")
    given["content"] = "changed"
    to_trl(record)["prompt"][0]["content"] = "changed"
    assert record == Record.of("q", "a")


def test_trl_gets_prompt_and_completion_apart():
    made = to_trl(TALK)
    assert made["prompt"] == list(TALK.messages)
    assert made["completion"] == [{"role": "assistant", "content": TALK.completion}]


def test_a_fingerprint_covers_everything_in_order():
    records = [TALK, PLAIN]
    figures = {
        fingerprint(records),
        fingerprint(records[::-1]),
        fingerprint([TALK]),
        fingerprint([Record(TALK.messages, TALK.completion, {**TALK.meta, "id": 8}), PLAIN]),
        fingerprint([Record.of("Capital of France?", "Paris")]),
        fingerprint([]),
    }
    assert len(figures) == 6 and all(len(figure) == 64 for figure in figures)
    turned = Record(TALK.messages, TALK.completion, dict(reversed(TALK.meta.items())))
    assert fingerprint([turned, PLAIN]) == fingerprint(records), "the order of keys says nothing"
    assert fingerprint([PLAIN]) == (
        "e5abee2c76ef36ba34db5f1ec2d27a605eb340745c774a1f43b622d26c8bbfa5"
    ), "figures in old verdicts would no longer match"


@pytest.mark.parametrize("format", OWN)
def test_a_line_alone_says_its_format_and_its_record(tmp_path, format):
    row = json.loads(write(tmp_path / "a.jsonl", [TALK], format=format).read_text("utf-8"))
    assert (format_of(row), from_row(row)) == (format, TALK)


def test_a_line_of_no_format_says_so():
    assert format_of({"prompt": "q", "answer": "a"}) is None
    with pytest.raises(DataError, match="no known format"):
        from_row({"prompt": "q", "answer": "a"})


CSV = 'text,label,lang\n"Where, is it?",lost,en\n\n"Two\nlines ""here""",found,en\n'


def test_chosen_columns_of_a_table_are_records(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + CSV, "utf-8")
    assert columns(path) == ["text", "label", "lang"]
    assert read_table(path, input="text", output="label") == [
        Record.of("Where, is it?", "lost", lang="en"),
        Record.of('Two\nlines "here"', "found", lang="en"),
    ]
    told = read_table(path, input="lang", output="text", system="Write it.")
    assert told[0] == Record.of("en", "Where, is it?", system="Write it.", label="lost")
    path.write_bytes(b"a\tb\r\n1\t2,3\r\n")
    tabs = path.rename(tmp_path / "a.TSV")
    assert read_table(tabs, input="a", output="b") == [Record.of("1", "2,3")]


def test_values_that_are_no_text_become_json(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"text": "Zoë at 9", "slots": {"name": "Zoë"}, "id": 1},
        {"text": "None", "slots": {}, "id": 2},
    )  # fmt: skip
    assert read_table(path, input="text", output="slots") == [
        Record.of("Zoë at 9", '{"name": "Zoë"}', id=1),
        Record.of("None", "{}", id=2),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("text,label\na\n", "line 2: a row with all columns.*; got 1 cells"),
        ("text,label\na,b,c\n", "line 2: .*; got 3 cells"),
        ("text,label\na, \n", "line 2: the column 'label' is empty"),
        ("text,labels\na,b\n", "line 2: there is no column 'label'; the columns: text, labels"),
        ('text,label\na,"b\n', "is no CSV from line 2 on"),
        ("text,text\na,b\n", "names two columns alike"),
        ("text,label\n", "holds no records"),
        ("", "holds no records"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(tmp_path, text, reason):
    path = tmp_path / "a.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=reason):
        read_table(path, input="text", output="label")


def test_a_table_s_bad_lines_are_listed_once(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"q": "1", "a": None}, {"q": "1"}, 3, "x", {"q": "1", "a": 2}
    )
    with pytest.raises(DataError) as caught:
        read_table(path, input="q", output="a")
    assert re.findall(r"line \d+: \S+ \S+ \S+", str(caught.value)) == [
        "line 1: the column 'a'", "line 2: there is no", "line 3: a row with",
        "line 4: not JSON: Expecting",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="the same column, 'q'"):
        read_table(path, input="q", output="q")
