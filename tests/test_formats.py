"""The providers' formats: what each schema asks for, and that nothing is lost on the way."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.curation.checks_structure import diagnose, extra_keys
from ftlab.errors import ConfigError, DataError
from ftlab.formats import FORMATS, KEYS, UPLOADS, format_of, plain, row_of, turns_of
from ftlab.records import Record, from_row, read, write

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "Bye."},
]
FIRST = {
    "openai": {
        "messages": [TALK[0], TALK[1], {**TALK[2], "weight": 0}, TALK[3], TALK[4]],
    },
    "vertex": {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
            {"role": "model", "parts": [{"text": "Bye."}]},
        ],
    },
    "bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Hello."}]},
            {"role": "user", "content": [{"text": "Bye"}]},
            {"role": "assistant", "content": [{"text": "Bye."}]},
        ],
    },
    "cohere": {
        "messages": [
            {"role": "System", "content": "Be brief."},
            {"role": "User", "content": "Hi"},
            {"role": "Chatbot", "content": "Hello."},
            {"role": "User", "content": "Bye"},
            {"role": "Chatbot", "content": "Bye."},
        ]
    },
    "sharegpt": {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello."},
            {"from": "human", "value": "Bye"},
            {"from": "gpt", "value": "Bye."},
        ]
    },
    "alpaca": {
        "instruction": "Bye", "input": "", "output": "Bye.", "system": "Be brief.",
        "history": [["Hi", "Hello."]],
    },
    "prompt_completion": {"prompt": TALK[:4], "completion": [TALK[4]]},
    "messages": {"messages": TALK},
}  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


metas = st.dictionaries(texts, json_values, max_size=3)


@st.composite
def records(draw, metas=metas):
    system = draw(st.lists(texts, max_size=1))
    said = draw(st.lists(texts, min_size=2, max_size=8).filter(lambda all: len(all) % 2 == 0))
    turns = [{"role": "system", "content": text} for text in system]
    for number, text in enumerate(said[:-1]):
        turns.append({"role": ("user", "assistant")[number % 2], "content": text})
    return Record(tuple(turns), said[-1], draw(metas))


def through_json(row):
    return json.loads(json.dumps(row))


@pytest.mark.parametrize("format", FORMATS)
@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(record=records(st.just({})))
def test_nothing_of_a_conversation_is_lost_in_any_format(format, record):
    turns = [*record.messages, {"role": "assistant", "content": record.completion}]
    row = through_json(row_of(turns, format))
    assert from_row(row) == record
    assert row.keys() <= KEYS["messages" if format == "openai" else format]
    assert diagnose(row) == set() and extra_keys(row) == set(), "the doctor knows it too"


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in UPLOADS])
@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(record=records())
def test_meta_travels_in_our_own_formats(format, record):
    turns = [*record.messages, {"role": "assistant", "content": record.completion}]
    row = {**row_of(turns, format), **({"meta": record.meta} if record.meta else {})}
    assert from_row(through_json(row)) == record


@settings(derandomize=True, deadline=None, max_examples=15, database=None)
@given(all=st.lists(records(st.just({})), min_size=1, max_size=4), data=st.data())
def test_a_file_goes_through_any_chain_of_formats(tmp_path_factory, all, data):
    folder = tmp_path_factory.mktemp("chain")
    here = all
    for number, format in enumerate(data.draw(st.lists(st.sampled_from(FORMATS), max_size=4))):
        here = read(write(folder / f"{number}.jsonl", here, format=format))
    assert here == all


values = st.sampled_from([None, 3, "", "q", [], {}, "user", "model", "Chatbot", "User", ["q"]])
turns = st.dictionaries(
    st.sampled_from(["role", "parts", "content", "from", "value", "weight"]),
    values
    | st.lists(st.dictionaries(st.sampled_from(["text", "type", "fileData"]), values), max_size=2),
)
keys = ["messages", "contents", "system", "systemInstruction", "schemaVersion", "meta", "prompt"]


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(st.dictionaries(st.sampled_from(keys), values | st.lists(turns, max_size=3), max_size=4))
def test_whatever_a_line_holds_it_is_a_record_or_one_data_error(row):
    diagnose(row)
    try:
        from_row(row)
    except DataError as error:
        assert str(error)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_what_its_provider_documents(format):
    row = row_of(TALK, format)
    assert row == FIRST[format]
    assert turns_of(through_json(row)) == (TALK, {})
    assert format_of(row) == ("messages" if format == "openai" else format)


@pytest.mark.parametrize("format", ["openai", "vertex", "bedrock", "cohere"])
def test_one_turn_has_no_key_to_spare(format):
    """A provider that checks its keys takes a file with none but its own."""
    row = row_of([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], format)
    keys = {
        "openai": {"messages"},
        "vertex": {"contents"},
        "bedrock": {"schemaVersion", "messages"},
        "cohere": {"messages"},
    }
    assert row.keys() == keys[format]
    assert "weight" not in json.dumps(row)


def test_forms_that_others_write():
    wanted = Record.of("q", "a", system="s")
    parts = [{"text": "q"}]
    rows = [
        {"systemInstruction": {"parts": [{"text": "s"}]},
         "contents": [{"parts": parts}, {"role": "model", "parts": [{"text": "a"}]}]},
        {"systemInstruction": {"parts": [{"text": "s"}]},
         "contents": [{"role": "user", "parts": parts},
                      {"role": "model", "parts": [{"text": ""}, {"text": "a"}]}]},
        # Claude on Bedrock, by its older form
        {"system": "s", "messages": [{"role": "user", "content": "q"},
                                     {"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                      {"role": "chatbot", "content": "a"}]},
    ]  # fmt: skip
    for row in rows:
        assert from_row(row) == wanted
        assert diagnose(row) == set() and extra_keys(row) == set()
    assert from_row({**rows[0], "id": 3}).meta == {"id": 3}
    assert from_row({**row_of(TALK, "bedrock"), "id": 3, "meta": {"a": 1}}).meta == {
        "id": 3, "a": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"contents": "q"}, "must be a list"),
        ({"contents": ["q"]}, "message 1 must be an object"),
        ({"contents": [{"role": "function", "parts": []}]}, "the role 'function'"),
        ({"contents": [{"role": "user", "parts": [{"fileData": {}}]}]}, "not text: .'fileData'"),
        ({"contents": [{"role": "user", "parts": None}]}, "must be a string, got NoneType"),
        ({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}, "last message must be"),
        ({"schemaVersion": "x", "messages": [{"role": "user", "content": [{"image": {}}]}]},
         "not text: .'image'"),
        ({"messages": [{"role": "Tool", "content": "q"}, {"role": "Chatbot", "content": "a"}]},
         "the role 'Tool'"),
        ({"messages": [{"role": "user", "content": "q"},
                       {"role": "assistant", "content": "a", "weight": 0}]}, "weight 0"),
        ({"system": "s", "messages": [*TALK]}, "at most one system message"),
    ],
)  # fmt: skip
def test_what_a_record_cannot_hold_is_refused_with_the_reason(row, reason):
    with pytest.raises(DataError, match=reason):
        from_row(row)


@pytest.mark.parametrize("format", UPLOADS)
def test_a_provider_s_format_refuses_meta_by_record_and_reason(tmp_path, format):
    path = tmp_path / "a.jsonl"
    all = [Record.of("q", "a"), Record.of("q", "a", id=7, slice="x")]
    with pytest.raises(DataError, match=rf"Record 2 has meta \(id, slice\).*{format}.*--drop-meta"):
        write(path, all, format=format)
    assert not path.exists()
    write(path, all, format=format, drop_meta=True)
    assert read(path) == [Record.of("q", "a")] * 2


@pytest.mark.parametrize("format", UPLOADS)
def test_a_provider_s_format_refuses_empty_texts(tmp_path, format):
    with pytest.raises(DataError, match=r"Record 1 cannot be .*: message 2, the assistant's, is"):
        write(tmp_path / "a.jsonl", [Record.of("q", " ")], format=format)
    assert list(tmp_path.iterdir()) == []


def test_names():
    with pytest.raises(ConfigError, match="Did you mean 'bedrock'"):
        row_of(TALK, "bedrok")
    assert plain({"text": "q"}) == {"text": "q"}


def test_the_command_converts_files_and_tables(tmp_path):
    from typer.testing import CliRunner

    from ftlab.cli import app

    def run(*words):
        return CliRunner().invoke(app, ["convert", *map(str, words)])

    table, ours, theirs = (tmp_path / name for name in ("a.csv", "b.jsonl", "c.jsonl"))
    table.write_text("text,label,lang\nWhere is it?,lost,en\n", "utf-8")
    columns = ("--input", "text", "--output", "label")
    assert "1 records in" in run(table, ours, *columns, "--system", "Name it.").output
    assert read(ours) == [Record.of("Where is it?", "lost", system="Name it.", lang="en")]
    assert isinstance(run(ours, theirs, "--to", "vertex").exception, DataError)
    assert run(ours, theirs, "--to", "vertex", "--drop-meta").exit_code == 0
    assert read(theirs) == [Record.of("Where is it?", "lost", system="Name it.")]
    assert "text, label, lang" in str(run(table, tmp_path / "d.jsonl").exception)
    for half in (("--input", "text"), ("--system", "s")):
        assert isinstance(run(ours, tmp_path / "d.jsonl", *half).exception, ConfigError)
