"""The endpoint of recorded replies, through the official client, with a tiny model behind it."""

import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from ftlab import models
from ftlab.endpoint import request_hash
from ftlab.errors import DataError
from ftlab.files import data_path
from ftlab.generation import generate
from ftlab.recorded import RECORDED, read_recorded, serve
from ftlab.templates import prompt_ids


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


def test_a_tuned_model_answers_as_it_does_alone(tiny):
    from peft import LoraConfig, get_peft_model

    model, tokenizer = models.load("ftlab-1m")
    tuned = get_peft_model(model, LoraConfig(target_modules="all-linear", init_lora_weights=False))
    asked = [{"role": "user", "content": "Tell me."}]
    options = {"max_new_tokens": 8, "temperature": 1.5}
    with serve(tuned.train(), tokenizer, name="tuned", files=()) as running:
        replies = [ask(running, "Tell me.", "tuned", max_tokens=8, temperature=1.5).choices[0]
                   for _ in range(2)]  # fmt: skip
    known = generate(tuned, tokenizer, [asked, asked], seed=[0, 1], **options)
    assert [reply.message.content for reply in replies] == known
    assert known != generate(*tiny, [asked, asked], seed=[0, 1], **options)


def test_the_same_question_sampled_again_gets_another_answer(endpoint):
    replies = [ask(endpoint, "Tell me.", "tiny", max_tokens=8, temperature=1.5) for _ in range(4)]
    assert len({reply.choices[0].message.content for reply in replies}) == 4


def test_a_cut_off_answer_says_so_and_tokens_are_the_models_own(endpoint, tiny):
    reply = ask(endpoint, "Restore: hello there", "tiny", max_tokens=2)
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 2
    asked = [{"role": "user", "content": "Restore: hello there"}]
    assert reply.usage.prompt_tokens == len(prompt_ids(tiny[1], asked))


def test_a_recorded_reply_is_whole_and_messages_are_wanted(endpoint):
    text = read_recorded(data_path("recorded/teacher.jsonl"))[0]["messages"][-1]["content"]
    for option in ({"stream": True}, {"n": 2}):
        with pytest.raises(openai.BadRequestError, match="neither streamed"):
            ask(endpoint, text, **option)
    with pytest.raises(openai.BadRequestError, match="messages"):
        client(endpoint).chat.completions.create(model="tiny", messages=[])


def test_one_request_too_many_does_not_spoil_those_beside_it(endpoint):
    def length(text):
        try:
            return ask(endpoint, text, "tiny", max_tokens=4).usage.completion_tokens
        except openai.BadRequestError as error:
            return "context" in str(error)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(length, ["Hi.", "so long " * 5000, "Say one.", "Say two."]))
    assert found[1] is True and all(0 < count <= 4 for count in (found[0], *found[2:]))


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
