"""A real server of the protocol, asked with the official client."""

import socket

import pytest
from openai_server import KEY

from ftlab.endpoint import NoAnswer, connect, request_hash
from ftlab.errors import ConfigError, ModelError, OfflineError

ASK = [{"role": "user", "content": "Capital of France?"}]


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server(served):
    served.reset(lambda messages: "Paris.")
    return served


def test_an_endpoint_answers_and_counts_tokens(server):
    teacher = connect("tiny", base_url=server.url)
    answer = teacher.ask(ASK)
    assert (answer.text, answer.finished, answer.model) == ("Paris.", True, "tiny")
    assert answer.tokens_in == len("Capital of France?") // 4 and answer.tokens_out == 1
    assert server.asked == [request_hash(ASK, **teacher.settings())]
    teacher.ask(ASK, sample=3)
    assert server.bodies[-1]["seed"] == 3 and len(set(server.asked)) == 2


def test_model_and_url_come_from_the_usual_variables(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_MODEL", "tiny-instruct")
    assert connect().model == "tiny-instruct"


@pytest.mark.parametrize("fate", ["429", "500", "503"])
def test_what_passes_is_tried_again(server, fate):
    teacher = connect("tiny", base_url=server.url, retries=2)
    server.plan([fate])
    answer = teacher.ask(ASK)
    assert answer.text == "Paris." and len(server.asked) == 2


@pytest.mark.parametrize(("fate", "tries"), [("429", 2), ("500", 2), ("truncated", 1)])
def test_what_stays_is_given_up(server, fate, tries):
    teacher = connect("tiny", base_url=server.url, retries=1)
    server.plan([fate] * 9)
    with pytest.raises(NoAnswer) as told:
        teacher.ask(ASK)
    assert not told.value.lasting and len(server.asked) == tries


def test_a_slow_answer_is_not_waited_for_longer_than_asked(server):
    teacher = connect("tiny", base_url=server.url, retries=0, timeout=0.3)
    server.plan(["slow"])
    with pytest.raises(NoAnswer, match="in time"):
        teacher.ask(ASK)


def test_a_bad_request_is_not_asked_twice(server):
    teacher = connect("tiny", base_url=server.url)
    server.plan(["400"])
    with pytest.raises(NoAnswer, match="told to fail") as told:
        teacher.ask(ASK)
    assert told.value.lasting and len(server.asked) == 1


def test_the_newer_name_of_the_limit_is_found_out(server):
    teacher = connect("tiny", base_url=server.url, answer_tokens=7)
    server.plan(["new name"])
    assert teacher.ask(ASK).text == "Paris."
    assert server.bodies[-1]["max_completion_tokens"] == 7


def test_an_unknown_model_is_told_with_those_there_are(server):
    with pytest.raises(ModelError, match=r"'tinny'.*'tiny'.*It offers: tiny, tiny-instruct"):
        connect("tinny", base_url=server.url)
    with pytest.raises(ConfigError, match=r"--model.*OPENAI_MODEL.*tiny-instruct"):
        connect(base_url=server.url)
    server.lists_models = False
    teacher = connect("tinny", base_url=server.url)
    with pytest.raises(ModelError, match="tinny"):
        teacher.ask(ASK)


def test_keys_missing_and_wrong(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ConfigError, match=r"refused the key.*OPENAI_API_KEY") as told:
        connect("tiny", base_url=server.url)
    assert "sk-wrong" not in str(told.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        connect("tiny", base_url="https://api.example.invalid/v1")


def test_no_money_left_is_an_error_to_mend(server):
    teacher = connect("tiny", base_url=server.url)
    server.plan(["quota"])
    with pytest.raises(ConfigError, match="nothing left to spend"):
        teacher.ask(ASK)


def test_a_refused_connection_says_what_to_set():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(OfflineError, match=r"cannot be reached.*--base-url"):
        connect("tiny", base_url=url, retries=0)
