"""Masks are checked token by token, on the families' own ways to write a conversation.

`test_templates_trl.py` compares them with what TRL marks and trains on.
"""

import json

import pytest

from ftlab.data import example
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.templates import (
    Encoded,
    empty_thought,
    encode,
    end_of_turn_ids,
    mask_html,
    opens_thought,
    problems,
    prompt_ids,
    prompt_text,
    removes_thoughts,
    show_mask,
    takes_system,
    tokenizer_problems,
)

SHORT = example("Say hi", "Hello, there.")
LONG = {
    "prompt": [
        {"role": "user", "content": "Say hi"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Paris?"},
    ],
    "completion": [{"role": "assistant", "content": "Hello."}],
}
FAMILIES = ("chatml", "qwen2.5", "llama3", "gemma", "mistral")
# The family, the words of the prompt, and the words that carry loss: the whole of a short record.
WORDS = [
    ("chatml", "<|im_start|>user\nSay hi<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
    (
        "qwen2.5",
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n<|im_start|>user\nSay hi<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
    (
        "llama3",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nSay hi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
    (
        "gemma",
        "<bos><start_of_turn>user\nSay hi<end_of_turn>\n<start_of_turn>model\n",
        "<end_of_turn>",
    ),
    ("mistral", "<s>[INST] Say hi[/INST]", "</s>"),
]


def decode(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def spelled(tokenizer, text):
    """The tokens of a text, as strings."""
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize(("family", "prompt", "end"), WORDS)
def test_each_token_has_the_right_mask(make_tokenizer, family, prompt, end):
    tokenizer = make_tokenizer(family)
    made = encode(tokenizer, SHORT)
    tokens = tokenizer.convert_ids_to_tokens(made.input_ids)
    answer = " Hello, there." if family == "mistral" else "Hello, there."
    # The answer's tokens are what follows the prompt's in the whole text, so they are found there.
    whole = spelled(tokenizer, prompt + answer + end)
    start = len(spelled(tokenizer, prompt))
    assert tokens == whole
    assert made.loss_mask == [0] * start + [1] * (len(whole) - start)
    assert tokens[-1] == end
    assert not made.truncated
    carried = [t for t, m in zip(made.input_ids, made.loss_mask, strict=True) if m]
    assert decode(tokenizer, carried).strip() == f"Hello, there.{end}"
    assert made.supervised == len(carried) > 2


def test_a_mask_counted_by_hand(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    made = encode(tokenizer, example("a", "b"))
    rows = list(zip(tokenizer.convert_ids_to_tokens(made.input_ids), made.loss_mask, strict=True))
    assert rows == [
        ("<|im_start|>", 0), ("user", 0), ("Ċ", 0), ("a", 0), ("<|im_end|>", 0), ("Ċ", 0),
        ("<|im_start|>", 0), ("assistant", 0), ("Ċ", 0), ("b", 1), ("<|im_end|>", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("record", [SHORT, LONG, example("é\n", "日本 🙂\n\ndone")])
def test_training_and_generation_see_one_prompt(make_tokenizer, family, record):
    tokenizer = make_tokenizer(family)
    made = encode(tokenizer, record)
    prompt = prompt_ids(tokenizer, record["prompt"])
    assert made.input_ids[: len(prompt)] == prompt
    assert made.loss_mask[: len(prompt)] == [0] * len(prompt)
    assert made.input_ids[-1] == end_of_turn_ids(tokenizer)[0]
    assert set(made.loss_mask[len(prompt) :]) == {1}


@pytest.mark.parametrize("family", ["llama3", "gemma", "mistral"])
def test_there_is_one_bos(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    assert encode(tokenizer, SHORT).input_ids.count(tokenizer.bos_token_id) == 1
    assert prompt_ids(tokenizer, SHORT["prompt"]).count(tokenizer.bos_token_id) == 1


def test_only_the_last_answer_carries_loss(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    made = encode(tokenizer, LONG)
    carried = [t for t, m in zip(made.input_ids, made.loss_mask, strict=True) if m]
    assert decode(tokenizer, carried) == "Hello.<|im_end|>"


def test_an_answer_that_would_merge_with_the_prompt(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    record = example("a", "\n    return a")  # "\n\n   " is one token where it stands together
    made = encode(tokenizer, record)
    prompt = prompt_ids(tokenizer, record["prompt"])
    joined = tokenizer(
        prompt_text(tokenizer, record["prompt"]) + record["completion"][0]["content"]
    )["input_ids"]
    assert joined[: len(prompt)] != prompt, "the tokenizer no longer merges here"
    assert made.input_ids[: len(prompt)] == prompt
    assert decode(tokenizer, made.input_ids[len(prompt) :]) == "\n    return a<|im_end|>"


def test_too_long_a_record_says_that_it_was_cut(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    whole = encode(tokenizer, SHORT)
    n = len(whole.input_ids)
    assert encode(tokenizer, SHORT, max_length=n) == whole
    cut = encode(tokenizer, SHORT, max_length=n - 1)
    assert cut.truncated and cut.input_ids == whole.input_ids[:-1]
    assert cut.supervised == whole.supervised - 1
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        encode(tokenizer, SHORT, max_length=0)


def test_end_of_turn_comes_first_then_eos(make_tokenizer):
    ends = {
        family: make_tokenizer(family).convert_ids_to_tokens(
            end_of_turn_ids(make_tokenizer(family))
        )
        for family in FAMILIES
    }
    assert ends == {
        "chatml": ["<|im_end|>"],
        "qwen2.5": ["<|im_end|>"],
        "llama3": ["<|eot_id|>"],
        "gemma": ["<end_of_turn>", "<eos>"],
        "mistral": ["</s>"],
    }


def test_another_template_is_noticed(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    assert tokenizer.convert_ids_to_tokens(end_of_turn_ids(tokenizer)) == ["<|im_end|>"]
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "<|endoftext|>")
    ends = tokenizer.convert_ids_to_tokens(end_of_turn_ids(tokenizer))
    assert ends == ["<|endoftext|>", "<|im_end|>"]


def test_an_end_of_turn_followed_by_eos(make_tokenizer):
    """Phi-3 writes <|end|>, a newline and <|endoftext|>: the turn ends at the first."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
        "{% endfor %}{{ '<|im_start|>assistant\n' if add_generation_prompt else '<|endoftext|>' }}"
    )
    tokenizer = make_tokenizer("chatml", chat_template=template, eos_token="<|endoftext|>")
    made = encode(tokenizer, SHORT)
    assert tokenizer.convert_ids_to_tokens(made.input_ids)[-1] == "<|im_end|>"
    assert made.input_ids.count(tokenizer.eos_token_id) == 0


def test_a_template_without_an_end_gets_eos(make_tokenizer):
    template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
        "{{ 'assistant:' if add_generation_prompt }}"
    )
    tokenizer = make_tokenizer("chatml", chat_template=template)
    made = encode(tokenizer, SHORT)
    assert decode(tokenizer, made.input_ids) == (
        "user: Say hi\nassistant: Hello, there.\n<|im_end|>"
    )
    assert made.loss_mask[-1] == 1
    assert any("no special token" in problem for problem in tokenizer_problems(tokenizer).values())
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="Nothing ends a turn"):
        end_of_turn_ids(tokenizer)


def test_a_refused_message_says_why_and_what_to_do(make_tokenizer):
    told = example("Say hi", "Hi.", system="Be brief.")
    with pytest.raises(DataError, match=r"System role not supported.*first user message"):
        encode(make_tokenizer("gemma"), told)


def test_a_prompt_that_is_rewritten_is_refused(make_tokenizer):
    told = example("Say hi", "Hi.", system="Be brief.")
    with pytest.raises(DataError, match=r"writes the prompt otherwise.*Be brief"):
        encode(make_tokenizer("mistral"), told)


def test_without_a_template(make_tokenizer):
    tokenizer = make_tokenizer("chatml", chat_template=None)
    for call in (
        lambda: encode(tokenizer, SHORT),
        lambda: prompt_ids(tokenizer, SHORT["prompt"]),
    ):
        with pytest.raises(ModelError, match="no chat template"):
            call()
    assert end_of_turn_ids(tokenizer) == [tokenizer.eos_token_id]
    assert any("no chat template" in problem for problem in tokenizer_problems(tokenizer).values())


def test_problems_in_plain_words(make_tokenizer):
    found = {
        family: " ".join(tokenizer_problems(make_tokenizer(family)).values()) for family in FAMILIES
    }
    assert found["chatml"] == found["qwen2.5"] == ""  # TRL has a twin with markers
    assert "no {% generation %} markers" in found["mistral"]
    assert "tokenizer adds another" in found["llama3"]
    takes = {family: takes_system(make_tokenizer(family)) for family in FAMILIES}
    assert takes == {name: name not in ("gemma", "mistral") for name in FAMILIES}
    assert "ends with <end_of_turn>, but eos is <eos>" in found["gemma"]
    same = make_tokenizer("chatml", pad_token="<|im_end|>")
    assert "never stops" in tokenizer_problems(same)["pad_is_eos"]
    none = make_tokenizer("chatml", pad_token=None, eos_token=None)
    assert len(tokenizer_problems(none)) == 3  # no pad, no eos, and an end that is not eos


def test_the_terminal_view_marks_what_carries_loss(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    made = encode(tokenizer, example("日本", "🙂 é\nhi"))
    shown = show_mask(tokenizer, made)
    bold = "".join(
        shown.plain[span.start : span.end] for span in shown.spans if "bold" in str(span.style)
    )
    assert bold == "🙂 é↵\nhi<|im_end|>"
    assert "日本" in shown.plain and "\N{REPLACEMENT CHARACTER}" not in shown.plain
    assert f"{made.supervised} of {len(made.input_ids)} tokens carry loss." in shown.plain


@pytest.mark.parametrize("family", FAMILIES)
def test_the_view_loses_no_text(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    made = encode(tokenizer, LONG)
    shown = show_mask(tokenizer, made).plain.rpartition("\n")[0].replace("↵\n", "\n")
    assert shown == decode(tokenizer, made.input_ids)


def test_the_page_view_is_whole_and_escaped(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    made = encode(tokenizer, example("<script>", "<b>\nhi"))
    page = mask_html(tokenizer, made)
    assert "<script>" not in page and "<b>" not in page and "src=" not in page
    assert page.count("text-decoration:underline") >= made.supervised  # the legend has one more
    assert "↵" in page and "carries loss" in page and "dashed" in page
    assert "currentColor" not in page  # a Lab that does not trust the notebook drops it
    cut = mask_html(tokenizer, Encoded(made.input_ids, made.loss_mask, True))
    assert "Cut at max_length" in cut and "Cut at max_length" not in page


def test_a_prompt_that_opens_a_thought_is_the_same_in_training(make_tokenizer, thinking_template):
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = thinking_template
    ask = [{"role": "user", "content": "Is it odd?"}]
    for answer, options, empty in (
        ("Yes.", {}, True), ("Yes.", {"enable_thinking": False}, False),
        ("<think>\nNo two halves.\n</think>\n\nYes.", {}, None),
    ):  # fmt: skip
        row = {"prompt": ask, "completion": [{"role": "assistant", "content": answer}]}
        row |= {"chat_template_kwargs": options}
        prompt, made = prompt_ids(tokenizer, ask, **options), encode(tokenizer, row)
        assert made.input_ids[: len(prompt)] == prompt
        assert made.loss_mask == [0] * len(prompt) + [1] * (len(made.input_ids) - len(prompt))
        assert empty_thought(tokenizer, row) is empty
        said = " ".join(problems(tokenizer, row))
        assert ("carries loss" in said, "without loss" in said) == (empty is True, empty is False)
    assert opens_thought(tokenizer) and not opens_thought(tokenizer, ask, enable_thinking=False)
    assert removes_thoughts(tokenizer) and not removes_thoughts(make_tokenizer("chatml"))


def test_show_colours_a_row_and_says_what_the_template_drops(command, model_folder, tmp_path):
    call = {"type": "function", "function": {"name": "lookup", "arguments": {}}}
    turns = [
        {"role": "user", "content": "Paris?\r\n"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "A city."},
        {"role": "assistant", "content": "Big.\rVery."},
    ]
    file = tmp_path / "rows.jsonl"
    tools = [{"type": "function", "function": {"name": "lookup", "parameters": {}}}]
    rows = [{"messages": turns, "tools": tools}, SHORT]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, out, _ = command("show", file, "--model", model_folder)
    assert code == 0 and "Paris?␍↵" in out and "Big.␍Very.<|im_end|>" in out
    assert "drops the tool lookup, a call of a tool" in " ".join(out.split())
    code, out, _ = command("show", file, "--record", 2, "--model", model_folder)
    assert code == 0 and "drops" not in out
