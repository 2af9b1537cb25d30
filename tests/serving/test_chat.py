"""Chat completions through the official client: as `generate` answers, alone or together."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from peft import LoraConfig, get_peft_model

from ftlab import models
from ftlab.generation import generate
from ftlab.serving.app import make_app
from ftlab.serving.chat import _Answer
from ftlab.serving.engine import Ask, Engine, Token
from ftlab.serving.protocol import IDLE, REFUSED, ChatRequest
from ftlab.serving.server import Running
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store

from .conftest import KEYS, MODEL, connect, upload

QUESTION = [{"role": "user", "content": "Say one."}]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TOOL = {"type": "function", "function": {
    "name": "add", "description": "Adds.", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}}  # fmt: skip


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Two adapters, each of which says another thing, by their model's name in the service."""
    import torch

    folder = tmp_path_factory.mktemp("adapters")
    for number in (1, 2):
        model, _ = models.load(MODEL, device="cpu")
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
        torch.manual_seed(number)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
        adapted.save_pretrained(folder / f"a{number}")
    return folder


@pytest.fixture(scope="module")
def url(tiny, tuned, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("chat") / "data")
    for number in (1, 2):
        (store.folder / "models" / f"a{number}").symlink_to(tuned / f"a{number}")
        store.add("model", "local", {"id": f"ft:a{number}"}, folder=f"a{number}")
    engine = Engine(MODEL)
    running = Running(make_app(Service(store, MODEL, (), Limits(requests=100_000), engine)))
    yield running.url
    running.close()
    engine.close()


@pytest.fixture
def client(url):
    return connect(url)


def ask(client, messages=QUESTION, **options):
    given = {"model": MODEL, "temperature": 0, "max_tokens": 12} | options
    return client.chat.completions.create(messages=messages, **given)


def text_of(stream):
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks


def test_a_greedy_answer_is_that_of_generate(client, tiny):
    reply = ask(client)
    (known,) = generate(*tiny, [QUESTION], max_new_tokens=12)
    choice = reply.choices[0]
    assert (choice.message.content, choice.finish_reason) == (known, "length")
    assert reply.usage.completion_tokens == 12
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 12
    parts = [{"role": "user", "content": [{"type": "text", "text": "Say one."}]}]
    assert ask(client, parts, max_completion_tokens=12).choices[0].message.content == known


def test_a_stream_is_the_same_text_in_pieces(client):
    whole = ask(client, max_tokens=30)
    text, chunks = text_of(
        ask(client, max_tokens=30, stream=True, stream_options={"include_usage": True})
    )
    assert text == whole.choices[0].message.content and len(chunks) > 10
    assert chunks[-2].choices[0].finish_reason == "length" and chunks[-1].usage == whole.usage


def test_sampling_follows_from_the_seed(client):
    options = {"temperature": 1, "top_p": 0.9, "n": 3, "seed": 4}
    one, again, other = (
        [c.message.content for c in ask(client, **options | more).choices]
        for more in ({}, {}, {"seed": 9})
    )
    assert one == again != other and len(set(one)) == 3
    narrow = ask(client, temperature=2, top_p=1e-9)
    assert narrow.choices[0].message.content == ask(client).choices[0].message.content


def test_answers_together_are_as_alone_from_the_base_and_from_adapters(client):
    asked = [
        {"messages": [{"role": "user", "content": f"Say {word}. " * (1 + i % 3)}],
         "model": (MODEL, "ft:a1", "ft:a2")[i % 3], "max_tokens": 6 + 3 * (i % 4),
         "temperature": i % 2, "seed": i}
        for i, word in enumerate(NUMBERS * 5)
    ]  # fmt: skip
    alone = [ask(client, **one).choices[0].message.content for one in asked[:9]]
    with ThreadPoolExecutor(45) as pool:
        replies = list(pool.map(lambda one: text_of(ask(client, stream=True, **one))[0], asked))
    together = [ask(client, **one).choices[0].message.content for one in asked[9:18]]
    assert replies[:9] == alone and replies[9:18] == together
    by_model = {ask(client, model=m).choices[0].message.content for m in (MODEL, "ft:a1", "ft:a2")}
    assert len(by_model) == 3


def test_an_adapter_answers_as_when_it_is_loaded_alone(client, tuned):
    model, tokenizer = models.load(tuned / "a2", device="cpu")
    (known,) = generate(model, tokenizer, [QUESTION], max_new_tokens=12)
    assert ask(client, model="ft:a2").choices[0].message.content == known


def test_more_adapters_than_are_kept_take_turns(client, monkeypatch):
    monkeypatch.setattr("ftlab.serving.engine.ADAPTERS", 1)
    asked = [{"model": ("ft:a1", "ft:a2", MODEL)[i % 3], "max_tokens": 2 + i} for i in range(12)]
    alone = [ask(client, **one).choices[0].message.content for one in asked]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda one: ask(client, **one).choices[0].message.content, asked)
    assert list(together) == alone


def test_an_answer_ends_before_a_stop_text_and_none_of_it_is_streamed(client):
    whole = ask(client, max_tokens=40).choices[0].message.content
    stop = whole[len(whole) // 2 :][:6]
    before = whole[: whole.index(stop)]
    for options in ({"stop": stop}, {"stop": ["never", stop]}):
        reply = ask(client, max_tokens=40, **options).choices[0]
        assert (reply.message.content, reply.finish_reason) == (before, "stop")
        text, chunks = text_of(ask(client, max_tokens=40, stream=True, **options))
        assert text == before and chunks[-1].choices[0].finish_reason == "stop"


def test_log_probabilities_are_those_of_the_model(client, tiny):
    import torch

    model, tokenizer = tiny
    reply = ask(client, logprobs=True, top_logprobs=3).choices[0]
    logs = reply.logprobs.content
    assert len(logs) == 12 and "".join(one.token for one in logs) == reply.message.content
    ids = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        first = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
    best = first.topk(3)
    assert [top.logprob for top in logs[0].top_logprobs] == pytest.approx(
        best.values.tolist(), abs=1e-3
    )
    assert logs[0].token == tokenizer.decode([int(best.indices[0])])
    _, chunks = text_of(ask(client, logprobs=True, stream=True))
    streamed = [one for c in chunks if c.choices and c.choices[0].logprobs
                for one in c.choices[0].logprobs.content]  # fmt: skip
    assert [one.token for one in streamed] == [one.token for one in logs]


def test_biases_and_penalties_change_the_choice(client, tiny):
    _, tokenizer = tiny
    dog = tokenizer(" dog", add_special_tokens=False)["input_ids"][0]
    text = ask(client, logit_bias={str(dog): 100}).choices[0].message.content
    assert text == tokenizer.decode([dog]) * 12
    mixed = ask(client, logit_bias={str(dog): 20}, frequency_penalty=2, max_tokens=20)
    assert mixed.choices[0].message.content != tokenizer.decode([dog]) * 20
    plain, *others = (
        ask(client, max_tokens=60, **more).choices[0].message.content
        for more in ({}, {"presence_penalty": 2}, {"frequency_penalty": 2})
    )
    assert plain not in others


def test_a_schema_is_kept_to_whatever_the_model_would_say(client):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"},
              "kind": {"enum": ["bug", "refund"]}}, "required": ["ok", "kind"],
              "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    for seed in range(4):
        reply = ask(client, response_format=form, temperature=1.5, seed=seed, max_tokens=60)
        found = json.loads(reply.choices[0].message.content)
        assert isinstance(found["ok"], bool) and found["kind"] in ("bug", "refund")
        assert reply.choices[0].finish_reason == "stop"
    text, _ = text_of(ask(client, response_format=form, stream=True, max_tokens=60))
    assert set(json.loads(text)) == {"ok", "kind"}
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError, match="schema"):
        ask(client, response_format=bad)


def test_tools_go_through_the_template_that_has_them(client, make_model, routes):
    with pytest.raises(openai.BadRequestError, match="no place for tools"):
        ask(client, tools=[TOOL])
    assert ask(client, tools=[TOOL], tool_choice="none").choices[0].message.content
    model, tokenizer = make_model("qwen2.5", max_position_embeddings=4096)
    engine = Engine(model=model, tokenizer=tokenizer)
    local = connect(routes(engine=engine))
    with_tool, without = ask(local, tools=[TOOL]).usage, ask(local).usage
    assert with_tool.prompt_tokens > without.prompt_tokens
    history = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add",
             "arguments": '{"a": 3}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]  # fmt: skip
    assert ask(local, history, tools=[TOOL]).choices[0].message.content is not None
    engine.close()


def answered(tokenizer, text, **asked):
    """Return an answer that the model is said to have written to such a request."""
    request = ChatRequest(model="x", messages=QUESTION, tools=[TOOL], **asked)
    answer = _Answer(tokenizer, request, Ask([1], 99, tell=print))
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        assert answer.take(Token(token)) == ("", [])
    return answer, answer.take(None)[0]


@pytest.mark.parametrize(
    ("text", "calls", "left"),
    [
        ('Wait.\n<tool_call>\n{"name": "add", "arguments": {"a": 3}}\n</tool_call>',
         [{"name": "add", "arguments": '{"a": 3}'}], "Wait."),
        ('<tool_call>{"name": "add"}</tool_call><tool_call>{"name": "b"}</tool_call>',
         [{"name": "add", "arguments": "{}"}, {"name": "b", "arguments": "{}"}], ""),
        ("<tool_call>{broken}</tool_call>", [], "<tool_call>{broken}</tool_call>"),
        ("No call at all.", [], "No call at all."),
    ],
)  # fmt: skip
def test_a_call_of_a_tool_is_found_in_what_the_model_writes(tiny, text, calls, left):
    answer, shown = answered(tiny[1], text)
    assert [call["function"] for call in answer.calls] == calls and shown == left
    assert answer.finish == ("tool_calls" if calls else "stop")
    assert ("tool_calls" in answer.called()) == bool(calls)
    if calls:  # asked in the old form, it is answered in the old form
        answer, _ = answered(tiny[1], text, functions=[TOOL["function"]])
        assert answer.finish == "function_call" and answer.called() == {"function_call": calls[0]}


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"model": "ft:other"}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         "messages.0.content"),
        ({"messages": [{"role": "user", "content": "long " * 3000}]}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"9999999": 1}}, "logit_bias"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"extra_body": {"best_of": 3}}, "best_of"),
        *(({"extra_body": {name: {}}}, name) for name in REFUSED),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"functions": [TOOL["function"]], "tools": [TOOL]}, "functions"),
        ({"functions": [TOOL["function"]]}, "tools"),
        ({"modalities": ["text", "audio"]}, "modalities"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(client, options, param):
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client, **options, stream=stream)
        assert caught.value.status_code in (400, 404)
        assert caught.value.body["param"].startswith(param)


def test_what_only_steers_a_provider_has_no_effect(client):
    given = {name: True if name.startswith("parallel") else {} if name in (
        "metadata", "prediction", "prompt_cache_options") else "auto" for name in IDLE}  # fmt: skip
    assert ask(client, extra_body=given).choices[0].message == ask(client).choices[0].message


def test_who_hangs_up_is_not_written_for(url, client):
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 500, "stream": True,
            "temperature": 2, "logit_bias": {"2": -100}}  # fmt: skip
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    for _ in range(100):
        text = httpx.get(f"{url}/metrics").text
        if "ftlab_answers_open 0" in text and "ftlab_answers_total" in text:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("it writes on")
    assert ask(client).choices[0].message.content


def test_too_many_are_told_to_come_again(tiny, routes):
    engine = Engine(model=tiny[0], tokenizer=tiny[1], most=2)
    local = connect(routes(engine=engine))
    with pytest.raises(openai.RateLimitError):
        ask(local, n=3)
    assert len(ask(local, n=2).choices) == 2
    engine.close()


def test_no_other_keys_model_answers(engine, routes, tmp_path):
    url = routes(KEYS, engine=engine)
    store = Store(tmp_path / "data")
    ada = upload(connect(url, KEYS[0]))
    store.add("model", store.get("file", ada).owner, {"id": "ft:ada"}, folder="x")
    with pytest.raises(openai.NotFoundError) as caught:
        ask(connect(url, KEYS[1]), model="ft:ada")
    assert "ft:ada" not in caught.value.body["message"].partition("There are")[2]


def test_no_message_is_logged(client, caplog):
    with caplog.at_level("DEBUG", logger="ftlab.serving"):
        ask(client, [{"role": "user", "content": "secretword"}])
        with pytest.raises(openai.BadRequestError):
            ask(client, [{"role": "user", "content": "secretword"}], temperature=9)
    assert "POST /v1/chat/completions 200" in caplog.text and "secretword" not in caplog.text
