"""Rows of the conversational form: what they say, what is refused, and the files that hold them."""

import gzip
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.data import (
    answer,
    check,
    columns,
    conversation,
    example,
    fingerprint,
    learned,
    meta,
    prompt,
    read,
    read_table,
    write,
)
from ftlab.errors import ConfigError, DataError
from ftlab.formats import FORMATS, KEYS, UPLOADS, examine, extra_keys, format_of, line_of

OWN = [format for format in FORMATS if format not in UPLOADS]
SYSTEM = {"role": "system", "content": "Be brief."}
HI, HELLO = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}
BYE, GONE = (
    {"role": "user", "content": "Bye\u2028now"},
    {"role": "assistant", "content": "日本 🙂.\n"},
)
TALK = [SYSTEM, HI, HELLO, BYE, GONE]
META = {"id": 7, "slice": "greetings", "nested": {"a": [1, None, 2.5]}}
PLAIN = example("Capital of France?", "Paris.")
USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CALL = {"type": "function", "function": {"name": "tide", "arguments": {"harbour": "Grauwik"}}}
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}
AGENT = {
    "messages": [
        {"role": "user", "content": "High water?", "name": "deckhand"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "14:20", "tool_call_id": "call_0"},
        {"role": "assistant", "content": "At 14:20.", "reasoning_content": "The table says so."},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "Bye.", "weight": 0},
    ],
    "tools": [TOOL],
}


def lines(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return path


# Rows.


def test_a_row_and_its_parts():
    row = example("q", "a", system="s", id=3)
    assert row == {
        "prompt": [{"role": "system", "content": "s"}, USER], "completion": [ANSWER],
        "meta": {"id": 3},
    }  # fmt: skip
    assert (prompt(row), answer(row), meta(row)) == (row["prompt"], "a", {"id": 3})
    assert conversation(row) == [*row["prompt"], ANSWER]
    assert meta(example("q", "a")) == {} and "meta" not in example("q", "a")


def test_which_answers_are_learned():
    assert learned({"messages": TALK}) == [2, 4]
    assert learned({"messages": [HI, {**HELLO, "weight": 0}, BYE, {**GONE, "weight": 1}]}) == [3]
    assert learned({"prompt": TALK[:4], "completion": TALK[4:]}) == [4]
    assert learned(AGENT) == [1, 3]
    steps = {"prompt": AGENT["messages"][:1], "completion": AGENT["messages"][1:4]}
    assert learned(check(steps)) == [1, 3]
    assert answer({"messages": AGENT["messages"][:2]}) == "", "it only calls a tool"


def test_a_prompt_is_what_a_model_is_given():
    assert prompt({"messages": TALK}) == TALK[:4] and answer({"messages": TALK}) == GONE["content"]
    weighed = {"messages": [HI, {**HELLO, "weight": 0}, BYE, GONE]}
    assert prompt(weighed) == [HI, HELLO, BYE], "weights are for training alone"
    given = prompt(PLAIN)
    given[0]["content"] = "changed"
    assert prompt(PLAIN)[0]["content"] == "Capital of France?", "the row's messages are its own"
    with pytest.raises(DataError, match="a row needs messages, or prompt and completion; got text"):
        prompt({"text": "q"})
    with pytest.raises(DataError, match="without an answer"):
        answer({"messages": [USER]})


def test_rows_of_a_data_set_serve_with_their_nulls():
    import datasets

    all = [PLAIN, {"messages": TALK, "meta": {"id": 1}}, AGENT]
    keys = ("prompt", "completion", "messages", "tools", "meta")
    table = datasets.Dataset.from_dict({key: [row.get(key) for row in all] for key in keys})
    assert table[0]["messages"] is None and None in table[2]["messages"][0].values()
    assert [check(row) for row in table] == [check(row) for row in all]
    assert [prompt(row) for row in table] == [prompt(row) for row in all]
    assert [learned(row) for row in table] == [learned(row) for row in all]


def test_a_fingerprint_covers_everything_in_order():
    talk = {"messages": TALK, "meta": META}
    weighed = [SYSTEM, HI, {**HELLO, "weight": 0}, BYE, GONE]
    different = [
        [talk, PLAIN], [PLAIN, talk], [talk], [{**talk, "meta": {**META, "id": 8}}, PLAIN],
        [example("Capital of France?", "Paris")], [], [{"messages": weighed, "meta": META}],
        [{**talk, "tools": [TOOL]}], [AGENT], [{**AGENT, "messages": AGENT["messages"][:4]}],
        [{**AGENT, "messages": AGENT["messages"][:2]}],
    ]  # fmt: skip
    figures = {fingerprint(rows) for rows in different}
    assert len(figures) == len(different) and all(len(figure) == 64 for figure in figures)
    turned = {**talk, "meta": dict(reversed(META.items()))}
    assert fingerprint([turned, PLAIN]) == fingerprint([talk, PLAIN]), "order of keys says nothing"
    as_prompt = {"prompt": TALK[:4], "completion": TALK[4:], "meta": META}
    assert fingerprint([as_prompt]) == fingerprint([{"messages": weighed, "meta": META}])
    assert fingerprint([PLAIN]) == (
        "e5abee2c76ef36ba34db5f1ec2d27a605eb340745c774a1f43b622d26c8bbfa5"
    ), "figures in old verdicts would no longer match"


# Reading.


@pytest.mark.parametrize(
    "line",
    [
        {"messages": [USER, ANSWER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ANSWER]},
        {"messages": [USER, {**ANSWER, "refusal": None, "annotations": [], "tool_calls": None}]},
        {"prompt": "q", "completion": "a"},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": [USER], "completion": "a", "meta": None, "label": None},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversations": [{**USER, "weight": None}, ANSWER], "system": None, "tools": None},
        {"instruction": "q", "output": "a"},
        {"instruction": "q", "input": "", "output": "a", "history": []},
        {"contents": [{"parts": [{"text": "q"}]},
                      {"role": "model", "parts": [{"text": ""}, {"text": "a"}]}]},
        {"schemaVersion": "x", "messages": [{"role": "user", "content": [{"text": "q"}]},
                                            {"role": "assistant", "content": [{"text": "a"}]}]},
    ],
)  # fmt: skip
def test_every_format_reads_as_the_same_row(tmp_path, line):
    (row,) = read(lines(tmp_path / "a.jsonl", line))
    assert fingerprint([row]) == fingerprint([example("q", "a")])
    assert set(row) == (
        {"prompt", "completion"} if line.keys() & {"prompt", "output"} else {"messages"}
    )
    assert conversation(row) == [USER, ANSWER] and not extra_keys(line) - {"label"}


def test_formats_may_be_mixed_and_unknown_keys_are_kept(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"prompt": "q", "completion": "a", "id": 1, "meta": {"slice": "x"}},
        "",
        {"instruction": "Add.", "input": "1 2", "output": "3", "system": "s"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
         "system": "s", "tools": json.dumps([TOOL])},
        {"system": "s", "messages": [USER, ANSWER], "parallel_tool_calls": False},
        "   ",
    )  # fmt: skip
    one, two, three, four = read(path)
    assert one == example("q", "a", id=1, slice="x")
    assert conversation(two) == conversation(example("Add.\n\n1 2", "3", system="s"))
    assert prompt(three) == prompt(four) == prompt(example("q", "a", system="s"))
    assert three["tools"] == [TOOL], "tools never go to the meta"
    assert meta(four) == {"parallel_tool_calls": False}


def test_tools_calls_and_weights_are_kept(tmp_path):
    asked = json.loads(json.dumps(AGENT))
    asked["messages"][1]["tool_calls"][0]["function"]["arguments"] = '{"harbour": "Grauwik"}'
    del asked["messages"][1]["content"]
    (row,) = read(lines(tmp_path / "a.jsonl", asked))
    assert row == AGENT, "arguments are an object, as templates want them"
    assert read(write(tmp_path / "b.jsonl", [row])) == [row]
    theirs = read(write(tmp_path / "c.jsonl", [row], format="openai"))[0]
    assert theirs["messages"][1]["tool_calls"] == [{"id": "call_0", **CALL}]
    stored = json.loads((tmp_path / "c.jsonl").read_text())["messages"]
    assert stored[1]["tool_calls"][0]["function"]["arguments"] == '{"harbour": "Grauwik"}'
    assert "reasoning_content" not in stored[3]


BAD = [
    ('{"messages": [', "not JSON"),
    ('{"prompt": "q", "completion": "a"}\r{"prompt": "q", "completion": "a"}', "a carriage ret"),
    (str({"prompt": "q", "completion": None}), "Python's repr, not JSON: write json.dumps"),
    ({"messages": str([USER, ANSWER])}, "got str: the list itself, not its text"),
    ("[" * 100_000, "nested too deeply|not JSON"),
    ("3", "a JSON object is wanted, got int"),
    ('{"prompt": "q", "completion": "a", "quality": NaN}', "NaN is no JSON number"),
    ('{"prompt": "q", "completion": "a", "meta": {"a": [-Infinity]}}', "-Infinity is no JSON"),
    ('{"prompt": "q", "completion": "a", "quality": 1e400}', "1e400 is no JSON number"),
    ('{"prompt": "q", "completion": "a", "completion": "b"}', "'completion' stands twice"),
    ({"text": "q"}, r"no known format \(keys: text\)"),
    ({}, "no keys"),
    ({"messages": "q"}, "the messages must be a list, got str"),
    ({"messages": []}, "the last message must be the assistant's"),
    ({"messages": [USER]}, "the last message must be the assistant's"),
    ({"messages": [ANSWER]}, "the user first.*; got assistant"),
    ({"messages": ["q", ANSWER]}, "message 1 must be an object, got str"),
    ({"messages": [{"role": "critic", "content": "q"}, ANSWER]}, "message 1 has the role 'critic'"),
    ({"messages": [{"role": ["user"], "content": "q"}, ANSWER]}, "has the role"),
    ({"messages": [{"role": "user"}, ANSWER]}, "content of message 1 must be a string"),
    ({"messages": [USER, USER, ANSWER]}, "got user, user"),
    ({"messages": [USER, {"role": "system", "content": "s"}, ANSWER]}, "got user, system"),
    ({"messages": [{"role": "system", "content": "s"}, ANSWER]}, "got system"),
    ({"system": "s", "messages": TALK}, "at most one system message"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWER]}, "not text"),
    ({"messages": [USER, {"role": "assistant", "content": " \n"}]}, "the assistant's, is empty"),
    ({"messages": [USER, {**ANSWER, "weight": 0.5}]}, "message 2 has the weight 0.5; wanted 0 or"),
    ({"messages": [USER, {**ANSWER, "weight": 0}]}, "every answer has weight 0"),
    ({"messages": [USER, {**ANSWER, "tool_calls": [{}]}]}, "message 2 has a tool call without a"),
    ({"messages": [USER, {**ANSWER, "tool_calls": [{"name": "f", "arguments": "{"}]}]}, "are not"),
    ({"messages": [USER, {**ANSWER, "tool_calls": [{"name": "f", "arguments": 3}]}]}, "object"),
    ({"messages": [USER, AGENT["messages"][1], USER, ANSWER]}, "results follow its call"),
    ({"messages": [USER, {"role": "tool", "content": "x"}, ANSWER]}, "got user, tool"),
    ({"messages": [USER, ANSWER], "tools": [{"functionDeclarations": []}]}, "tools must be a list"),
    ({"messages": [USER, ANSWER], "tools": "[{"}, "tools are not JSON"),
    ({"prompt": "q", "completion": None}, "content of message|completion must be .* got null"),
    ({"prompt": [USER], "completion": [USER, ANSWER]}, "got user, user|begin with the assistant"),
    ({"prompt": [USER, ANSWER], "completion": [HI, HELLO]}, "must begin with the assistant"),
    ({"instruction": "q", "output": 3}, "content of message 2 must be a string, got int"),
    ({"instruction": "q", "output": "a", "history": ["x"]}, "message 1 must be a string"),
    ({"instruction": "q", "output": "a", "history": 3}, "content of message 1 must be a string"),
    ({"prompt": "q", "completion": "a", "meta": 3}, "meta must be an object, got int"),
    ({"prompt": "q", "completion": "\ud800"}, "half of a surrogate pair"),
    ({"contents": "q"}, "the messages must be a list, got str"),
    ({"contents": ["q"]}, "message 1 must be an object"),
    ({"contents": [{"role": "user", "parts": [{"fileData": {}}]}]}, "not text: .'fileData'"),
    ({"contents": [{"role": "user", "parts": None}]}, "must be a string, got null: it has no"),
    ({"schemaVersion": "x", "messages": [{"role": "user", "content": [{"image": {}}]}]},
     "not text: .'image'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_named_with_its_reason(tmp_path, line, reason):
    good = {"prompt": "q", "completion": "a"}
    path = lines(tmp_path / "a.jsonl", good, "", line, good)
    with pytest.raises(DataError, match=rf"has 1 bad line of 3(.|\n)*  line 3: .*({reason})"):
        read(path)


def test_all_bad_lines_are_listed_once_ten_at_most(tmp_path):
    path = lines(tmp_path / "a.jsonl", *["bad"] * 13, {"prompt": "q", "completion": "a"})
    with pytest.raises(DataError) as caught:
        read(path)
    shown = str(caught.value).split("\n")
    assert "13 bad lines of 14" in shown[0]
    assert [line.split(":")[0].strip() for line in shown[1:11]] == [
        f"line {number}" for number in range(1, 11)
    ]
    assert shown[11:] == ["  and 3 more"]


def test_files_that_are_no_jsonl(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.jsonl")
    for name in ("a.jsonl", "a.gz", "a.parquet"):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x00")
        with pytest.raises(DataError, match=r"binary|no gzip|no Parquet"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="holds no records"):
        read(lines(tmp_path / "b.jsonl", "", " "))
    with pytest.raises(DataError, match="one JSON array"):
        read(lines(tmp_path / "c.jsonl", [{"prompt": "q", "completion": "a"}]))


def test_gzip_and_parquet_read_as_jsonl(tmp_path):
    import datasets

    rows = [{"messages": TALK, "meta": {"id": 1}}, AGENT]
    plain = write(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    table = {key: [row.get(key) for row in rows] for key in ("messages", "tools", "meta")}
    datasets.Dataset.from_dict(table).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.jsonl.gz") == read(tmp_path / "a.parquet") == read(plain)


values = st.sampled_from([None, 3, "", "q", [], {}, "user", "model", "assistant", "tool", ["q"]])
turns = st.dictionaries(
    st.sampled_from(["role", "parts", "content", "from", "value", "weight", "tool_calls"]),
    values
    | st.lists(st.dictionaries(st.sampled_from(["text", "type", "name"]), values), max_size=2),
)
keys = ["messages", "contents", "system", "systemInstruction", "schemaVersion", "meta", "prompt",
        "completion", "conversations", "instruction", "output", "history", "tools"]  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.dictionaries(st.sampled_from(keys), values | st.lists(turns, max_size=3), max_size=4))
def test_whatever_a_line_holds_it_is_a_row_or_one_data_error(line):
    extra_keys(line)
    try:
        row = check(line)
    except DataError as error:
        assert str(error)
    else:
        assert check(row) == row and learned(row)


# Writing.


@pytest.mark.parametrize("format", OWN)
def test_a_file_holds_what_was_written(tmp_path, format):
    talk = {"messages": TALK, "meta": META}
    if format == "prompt_completion":
        talk = {"prompt": TALK[:4], "completion": TALK[4:], "meta": META}
    rows = [talk, PLAIN, example("q", "a", system="s")]
    path = write(tmp_path / "a.jsonl", rows, format=format)
    assert fingerprint(read(path)) == fingerprint(rows)
    assert len(path.read_text("utf-8").strip("\n").split("\n")) == 3
    assert format_of(json.loads(path.read_text("utf-8").split("\n")[0])) == format


WEIGHED = [SYSTEM, HI, {**HELLO, "weight": 0}, BYE, GONE]
BYE_TEXT, GONE_TEXT = BYE["content"], GONE["content"]
DOCUMENTED = {
    "messages": {"messages": TALK},
    "openai": {"messages": TALK},
    "sharegpt": {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello."},
            {"from": "human", "value": BYE_TEXT},
            {"from": "gpt", "value": GONE_TEXT},
        ]
    },
    "alpaca": {
        "instruction": BYE_TEXT, "input": "", "output": GONE_TEXT, "system": "Be brief.",
        "history": [["Hi", "Hello."]],
    },
    "vertex": {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": BYE_TEXT}]},
            {"role": "model", "parts": [{"text": GONE_TEXT}]},
        ],
    },
    "bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Hello."}]},
            {"role": "user", "content": [{"text": BYE_TEXT}]},
            {"role": "assistant", "content": [{"text": GONE_TEXT}]},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("format", DOCUMENTED)
def test_each_format_is_what_its_provider_documents(format):
    line = line_of({"messages": TALK}, format)
    assert line == DOCUMENTED[format]
    assert check(line) == {"messages": TALK}
    assert format_of(line) == ("messages" if format == "openai" else format)


def test_an_answer_that_is_not_learned_stays_so_or_is_refused():
    row = {"prompt": TALK[:4], "completion": TALK[4:]}
    for format in ("messages", "openai"):
        assert line_of(row, format) == {"messages": WEIGHED}
    assert line_of({"messages": WEIGHED}, "prompt_completion") == row
    line = line_of(row, "sharegpt")
    assert line["conversations"][2] == {"from": "gpt", "value": "Hello.", "weight": 0}
    assert fingerprint([check(line)]) == fingerprint([row])
    for format in ("alpaca", "vertex", "bedrock"):
        with pytest.raises(DataError, match=f"{format} cannot say .* not learned"):
            line_of(row, format)
    with pytest.raises(DataError, match="one learned answer"):
        line_of({"messages": TALK}, "prompt_completion")
    for format in ("sharegpt", "alpaca", "vertex", "bedrock"):
        with pytest.raises(DataError, match=f"{format} has no place for tools"):
            line_of(AGENT, format)


def test_several_turns_of_a_completion_stay_there(tmp_path):
    row = check({"prompt": AGENT["messages"][:1], "completion": AGENT["messages"][1:4],
                 "tools": [TOOL]})  # fmt: skip
    path = write(tmp_path / "a.jsonl", [row], format="prompt_completion")
    assert read(path) == [row]
    assert fingerprint(read(write(tmp_path / "b.jsonl", [row]))) == fingerprint([row])


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@st.composite
def rows_of(draw):
    system = draw(st.lists(texts, max_size=1))
    said = draw(st.lists(texts, min_size=2, max_size=8).filter(lambda all: len(all) % 2 == 0))
    made = [{"role": "system", "content": text} for text in system]
    return {"messages": made + [
        {"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)
    ]}  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=25, database=None)
@given(rows=st.lists(rows_of(), min_size=1, max_size=4), data=st.data())
def test_a_file_goes_through_any_chain_of_formats(tmp_path_factory, rows, data):
    folder = tmp_path_factory.mktemp("chain")
    here = rows
    formats = [format for format in FORMATS if format != "prompt_completion"]
    for number, format in enumerate(data.draw(st.lists(st.sampled_from(formats), max_size=4))):
        path = write(folder / f"{number}.jsonl", here, format=format)
        here = read(path)
        for line in path.read_text("utf-8").strip("\n").split("\n"):
            line = json.loads(line)
            assert line.keys() <= KEYS["messages" if format == "openai" else format]
            assert examine(line)[1] == [] and extra_keys(line) == set(), "the doctor knows it too"
    assert fingerprint(here) == fingerprint(rows)


@pytest.mark.parametrize("format", UPLOADS)
def test_a_provider_s_format_refuses_meta_by_record_and_reason(tmp_path, format):
    path = tmp_path / "a.jsonl"
    rows = [example("q", "a"), example("q", "a", id=7, slice="x")]
    with pytest.raises(
        DataError, match=rf"2 cannot.* {format}: it has meta \(id, slice\).*--drop-meta"
    ):
        write(path, rows, format=format)
    assert not path.exists()
    write(path, rows, format=format, drop_meta=True)
    assert fingerprint(read(path)) == fingerprint([example("q", "a")] * 2)
    keys = {"vertex": {"contents"}, "bedrock": {"schemaVersion", "messages"}}
    assert json.loads(path.read_text().split("\n")[0]).keys() == keys.get(format, {"messages"})


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.jsonl"
    for thing in (object(), math.nan, {"a": [-math.inf]}):
        with pytest.raises(DataError, match=r"Record 2 cannot be written .*: .* JSON"):
            write(path, [PLAIN, example("q", "a", thing=thing)])
    with pytest.raises(DataError, match=r"Record 1 cannot be .*: message 2, the assistant's, is"):
        write(path, [example("q", " ")])
    assert list(tmp_path.iterdir()) == []
    write(path, [PLAIN])
    with pytest.raises(DataError, match="exists already"):
        write(path, [PLAIN])
    talk = {"messages": TALK, "meta": META}
    assert read(write(path, [talk], overwrite=True)) == [talk]
    assert read(write(path, [PLAIN], overwrite=True)) == [PLAIN]
    assert all("messages" in row for row in read(write(path, [PLAIN, talk], overwrite=True)))
    with pytest.raises(ConfigError, match="Did you mean 'alpaca'"):
        write(tmp_path / "b.jsonl", [PLAIN], format="alpacca")
    with pytest.raises(ConfigError, match="Did you mean 'bedrock'"):
        line_of(PLAIN, "bedrok")
    assert read(write(tmp_path / "c.jsonl", [PLAIN], format="prompt-completion")) == [PLAIN]


# Tables.

CSV = 'text,label,lang\n"Where, is it?",lost,en\n\n"Two\nlines ""here""",found,en\n'


def test_chosen_columns_of_a_table_are_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + CSV, "utf-8")
    assert columns(path) == ["text", "label", "lang"]
    assert read_table(path, input="text", output="label") == [
        example("Where, is it?", "lost", lang="en"),
        example('Two\nlines "here"', "found", lang="en"),
    ]
    first = read_table(path, input="lang", output="text", system="Write it.")[0]
    assert first == example("en", "Where, is it?", system="Write it.", label="lost")
    path.write_bytes(b"a\tb\r\n1\t2,3\r\n")
    tabs = path.rename(tmp_path / "a.TSV")
    assert read_table(tabs, input="a", output="b") == [example("1", "2,3")]


def test_a_table_as_excel_writes_it_where_the_comma_is_decimal(tmp_path):
    path, text = tmp_path / "a.csv", 'frage;antwort;punkte\r\n"Heiß; oder?";Ja.;1,5\r\n'
    path.write_bytes(text.encode("cp1252"))
    for refused in (lambda: columns(path), lambda: read_table(path, input="a", output="b")):
        with pytest.raises(DataError, match=r"0xdf, which is 'ß' in Windows-1252.*iconv"):
            refused()
    with pytest.raises(DataError, match=r"is a table.*ftlab convert.*--input COLUMN"):
        read(path)
    path.write_text(text, "utf-8", newline="")
    assert read_table(path, input="frage", output="antwort") == [
        example("Heiß; oder?", "Ja.", punkte="1,5")
    ]


def test_values_that_are_no_text_become_json(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"text": "Zoë at 9", "slots": {"name": "Zoë"}, "id": 1},
        {"text": "None", "slots": {}, "id": 2},
    )  # fmt: skip
    assert read_table(path, input="text", output="slots") == [
        example("Zoë at 9", '{"name": "Zoë"}', id=1),
        example("None", "{}", id=2),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("text,label\na\n", "line 2: a row with all columns.*; got more or fewer cells"),
        ("text,label\na,b,c\n", "line 2: .*; got more or fewer cells"),
        ("text,label\na, \n", "line 2: the column 'label' is empty"),
        ("text,labels\na,b\n", "a.csv: there is no column 'label'; the columns: text, labels"),
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
