"""Teachers of all kinds; tests/test_endpoint.py has what can happen at an endpoint."""

import pytest
from openai_server import KEY, model_writes, serving

from ftlab.curation import teachers
from ftlab.curation.cleaning import KINDS, clean
from ftlab.curation.teachers import Request
from ftlab.errors import ConfigError

ASK = Request("00ff", ({"role": "user", "content": "Capital of France?"},), known="Paris.")


def test_local_models_answer_in_batches_as_through_an_endpoint(make_model):
    model, tokenizer = make_model("chatml")
    teacher = teachers.get("local", (model, tokenizer), answer_tokens=8, together=2)
    other = Request("0a", ({"role": "user", "content": "Hi"},))
    two = teacher.ask([ASK, other])
    assert teacher.at_once == 1 and all(a.tokens_in > 5 for a in two)
    assert teacher.ask([other])[0].text == two[1].text
    with serving(model_writes(model, tokenizer, most=8)) as real:
        through = teachers.get("openai", "tiny", base_url=real.url, api_key=KEY)
        assert through.ask([ASK])[0].text == two[0].text


def test_unknown_kinds_and_values():
    with pytest.raises(ConfigError, match="'openai'"):
        teachers.get("open-ai")
    with pytest.raises(ConfigError, match="--model"):
        teachers.get("local")
    with pytest.raises(ConfigError, match="share"):
        teachers.get("program", flaws=2)
    with pytest.raises(ConfigError, match="retries"):
        teachers.get("openai", "tiny", retries=-1)


def test_flaws_are_cleaned_or_cut():
    requests = [Request(f"{i:x}", ASK.messages, known="x = 1\ny = 2") for i in range(300)]
    answers = teachers.get("program", flaws=0.5).ask(requests)
    spoilt = [a.text for a in answers if a.text != "x = 1\ny = 2"]
    assert 110 < len(spoilt) < 190
    whole = {clean(text)[0] for text in spoilt}
    assert whole == {"x = 1\ny = 2", "x = 1"}


@pytest.mark.parametrize(
    "text, left, found",
    [
        ("plain", "plain", ()),
        ("Sure! Here is the test:\n\nx", "x", ("preamble",)),
        ("Certainly, here's the YAML document you asked for:\nx: 1", "x: 1", ("preamble",)),
        ("```python\nx\n```", "x", ("code fence",)),
        ("Text\n```\nx\n\ny\n```\nThis works because.", "x\n\ny",
         ("preamble", "code fence", "trailing chatter")),
        ("```json\n{\"a\": 1", '{"a": 1', ("code fence",)),
        ("x\n\nNote: a\n\ny", "x\n\nNote: a\n\ny", ()),
        ("x\n\nI hope this helps!\n\nLet me know!", "x", ("trailing chatter",)),
        ("<think>hm\nhm</think>\nx", "x", ("thinking",)),
        ("items:\n- Sure\n- Here is: it", "items:\n- Sure\n- Here is: it", ()),
        ("Sure enough, the door opened.", "Sure enough, the door opened.", ()),
        ("", "", ()),
    ],
)  # fmt: skip
def test_cleaning(text, left, found):
    assert clean(text) == (left, found)
    assert clean(left)[0] == left and set(found) <= set(KINDS)
