"""The endpoint of recorded replies, through the official client, with a tiny model behind it."""

import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from ftlab import models
from ftlab.errors import DataError
from ftlab.files import data_path
from ftlab.generation import generate
from ftlab.recorded import RECORDED, read_recorded, request_hash, serve


@pytest.fixture(scope="module")
def tiny():
    return models.load("ftlab-1m")


@pytest.fixture(scope="module")
def endpoint(tiny):
    with serve(*tiny, name="tiny") as running:
        yield running


def client(endpoint):
    return openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0)


def ask(endpoint, text, model=RECORDED, **options):
    messages = [{"role": "user", "content": text}]
    return client(endpoint).chat.completions.create(model=model, messages=messages, **options)


def test_a_recorded_request_gets_its_reply_as_it_was_kept(endpoint):
    row = read_recorded(data_path("recorded/teacher.jsonl"))[0]
    reply = ask(endpoint, row["messages"][-1]["content"])
    assert reply.choices[0].message.content == row["reply"]
    assert (reply.model, reply.system_fingerprint) == (RECORDED, f"recorded {row['date']}")


def test_any_other_request_goes_to_the_model_at_hand_which_says_so(endpoint, tiny):
    reply = ask(endpoint, "Restore: hello there", max_tokens=8)
    (known,) = generate(
        *tiny, [[{"role": "user", "content": "Restore: hello there"}]], max_new_tokens=8
    )
    assert reply.choices[0].message.content == known
    assert (reply.model, reply.system_fingerprint) == ("tiny", None)


def test_requests_that_come_together_are_answered_as_alone(endpoint):
    texts = [f"Say {word}." for word in ("one", "two", "three", "four", "five", "six")]
    alone = [ask(endpoint, t, "tiny", max_tokens=6).choices[0].message.content for t in texts]
    with ThreadPoolExecutor(6) as pool:
        replies = pool.map(lambda t: ask(endpoint, t, "tiny", max_tokens=6), texts)
        assert [reply.choices[0].message.content for reply in replies] == alone


def test_what_is_not_there_is_refused_in_the_protocols_shape(endpoint):
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        ask(endpoint, "Hi", "gpt")
    assert [model.id for model in client(endpoint).models.list()] == [RECORDED, "tiny"]
    with serve() as bare, pytest.raises(openai.NotFoundError, match="not recorded"):
        ask(bare, "Hi")


def test_a_changed_record_is_found(tmp_path):
    row = read_recorded(data_path("recorded/teacher.jsonl"))[0]
    row["messages"][0]["content"] += " "
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match="line 1"):
        read_recorded(tmp_path / "t.jsonl")


def test_the_name_of_a_request_is_its_roles_and_words_alone():
    one = [{"role": "user", "content": "Hi"}]
    assert request_hash(one) == request_hash([{"content": "Hi", "role": "user", "name": "x"}])
    assert request_hash(one) != request_hash([{"role": "system", "content": "Hi"}])
