"""The masks beside TRL's: what its training twins mark, and what its trainer trains on.

Two differences are meant: what stands behind the end of a turn carries no loss here, and of a
completion no message but the assistant's does.
"""

import importlib.resources
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ftlab.errors import DataError
from ftlab.rendering import facts, plain, render, talk
from ftlab.templates import encode, problems, prompt_ids, takes_system, tokenizer_problems

FOLDER = importlib.resources.files("trl") / "chat_templates"
FILES = [path.name for path in FOLDER.iterdir() if path.name.endswith(".jinja")]
NAMES = sorted(name.removesuffix(".jinja") for name in FILES if "_training" not in name)
PAIRS = [name for name in NAMES if f"{name}_training.jinja" in FILES]
SINGLE = [name for name in NAMES if name.startswith(("gemma4", "llama3_"))]  # without a twin
CALL = {"type": "function", "function": {"name": "lookup", "arguments": {"city": "Paris"}}}
CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "Where."}}}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "lookup", "description": "Look up.", "parameters": CITY},
    }
]


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


ROWS = {
    "one turn": {"messages": [user("Say hi"), assistant("Hello, there.")]},
    "several turns": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            user("Say hi"),
            assistant("Hi!"),
            user("Paris?"),
            assistant("A city.\nBig."),
        ]
    },
    "tools": {
        "messages": [
            user("Paris?"),
            assistant("", tool_calls=[CALL]),
            {"role": "tool", "name": "lookup", "content": "A city."},
            assistant("It is a city."),
        ],
        "tools": TOOLS,
    },
    "thinking": {
        "messages": [
            user("1+1"),
            assistant("2", reasoning_content="Easy one."),
            user("2+2"),
            assistant("4", reasoning_content="Harder."),
        ]
    },
    "thoughts in the text": {
        "messages": [
            user("1+1"),
            assistant("<think>\nEasy one.\n</think>\n\n2"),
            user("2+2"),
            assistant("<think>\nHarder.\n</think>\n\n4"),
        ]
    },
}


def split(row):
    """A row of messages as prompt and completion; the last answer is the completion."""
    rest = {key: value for key, value in row.items() if key != "messages"}
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:], **rest}


def learned(tokenizer, made):
    """The texts that carry loss, one for each run of tokens."""
    runs, before = [], 0
    for token, carries in zip(made.input_ids, made.loss_mask, strict=True):
        if carries:
            runs = [*runs[:-1], [*runs[-1], token]] if before else [*runs, [token]]
        before = carries
    return [tokenizer.decode(run) for run in runs]


def assert_same(tokenizer, made, ids, mask):
    """Both see the same tokens; TRL alone learns what stands behind the end of a turn."""
    n = len(made.input_ids)
    assert ids[:n] == made.input_ids
    ours = [*made.loss_mask, *[0] * (len(ids) - n)]
    assert sum(ours) > 1
    for i, (here, there) in enumerate(zip(ours, mask, strict=True)):
        if here != there:
            before = next(k for k in range(i - 1, -1, -1) if tokenizer.decode(ids[k]).strip())
            assert there and ours[before], tokenizer.decode(ids[: i + 1])
            assert ids[before] == tokenizer.eos_token_id
            assert tokenizer.decode(ids[i]).strip() in ("", tokenizer.eos_token)


@pytest.mark.parametrize("name", PAIRS)
def test_the_mask_is_what_the_training_twin_marks(shipped_tokenizer, name):
    tokenizer = shipped_tokenizer(name)
    twin = (FOLDER / f"{name}_training.jinja").read_text(encoding="utf-8")
    compared = 0
    for row in ROWS.values():
        messages = plain(row["messages"], dict, facts(tokenizer).blocks)
        try:
            theirs = tokenizer.apply_chat_template(
                messages, tools=row.get("tools"), chat_template=twin, tokenize=True,
                return_dict=True, return_assistant_tokens_mask=True,
            )  # fmt: skip
        except Exception as error:
            with pytest.raises(DataError, match=re.escape(str(error))):
                encode(tokenizer, row)
            continue
        assert_same(
            tokenizer, encode(tokenizer, row), theirs["input_ids"], theirs["assistant_masks"]
        )
        compared += 1
    assert compared >= 3  # the others are systems and tools that a template refuses


@pytest.mark.parametrize("name", NAMES)
def test_training_and_generation_see_one_prompt(shipped_tokenizer, name):
    tokenizer = shipped_tokenizer(name)
    for kind, messages_row in ROWS.items():
        row = split(messages_row)
        try:
            made = encode(tokenizer, row)
        except DataError as error:
            assert "refuses these messages" in str(error)
            continue
        prompt = prompt_ids(tokenizer, row["prompt"], row.get("tools"))
        begin = made.loss_mask.index(1)
        if made.input_ids[: len(prompt)] == prompt:
            assert begin == len(prompt)
        else:  # the template opens a turn with thoughts, or without, and this row does otherwise
            assert "think" in tokenizer.decode(prompt[begin - 1 :]), kind
            assert any("At generation" in line for line in problems(tokenizer, row))
        assert set(made.loss_mask[begin:]) == {1}
        assert made.input_ids[-1] == tokenizer.eos_token_id


def test_a_thought_is_learned_behind_the_prompt_that_asks_for_one(shipped_tokenizer):
    tokenizer = shipped_tokenizer("deepseek_r1_distill")
    made = encode(tokenizer, split(ROWS["thoughts in the text"]))
    assert learned(tokenizer, made) == ["Harder.\n</think>\n\n4<｜end▁of▁sentence｜>"]
    assert "Easy" not in tokenizer.decode(made.input_ids)  # generation drops earlier thoughts too
    qwen = shipped_tokenizer("qwen3")
    assert learned(qwen, encode(qwen, ROWS["thinking"])) == [
        "<think>\nEasy one.\n</think>\n\n2<|im_end|>",
        "<think>\nHarder.\n</think>\n\n4<|im_end|>",
    ]
    plainly = {**split(ROWS["one turn"]), "chat_template_kwargs": {"enable_thinking": False}}
    assert learned(qwen, encode(qwen, plainly)) == ["Hello, there.<|im_end|>"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_template_without_a_twin(shipped_tokenizer, name):
    tokenizer = shipped_tokenizer(name)
    end = tokenizer.eos_token
    made = encode(tokenizer, ROWS["several turns"])
    assert learned(tokenizer, made) == [f"Hi!{end}", f"A city.\nBig.{end}"]
    call, answer = learned(tokenizer, encode(tokenizer, ROWS["tools"]))[-2:]
    assert "lookup" in call and "Paris" in call and answer.endswith(f"It is a city.{end}")


@pytest.mark.parametrize("name", sorted({*PAIRS} - {"gptoss"}))  # ends the last turn otherwise
def test_prompts_find_the_answers_that_markers_mark(shipped_tokenizer, name):
    marked, bare = shipped_tokenizer(name), shipped_tokenizer(name)
    marked.chat_template = (FOLDER / f"{name}_training.jinja").read_text(encoding="utf-8")
    bare.chat_template = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", marked.chat_template)
    assert facts(marked).marked == marked.chat_template and facts(bare).marked is None
    row = ROWS["several turns"] if name != "gemma" else ROWS["one turn"]
    theirs, ours = encode(marked, row), encode(bare, row)
    prompt = prompt_ids(marked, row["messages"][: talk(row).learned[0]])
    if theirs.loss_mask.index(1) == len(prompt):  # generation opens a turn as the markers do
        assert ours == theirs
    else:
        assert ours.input_ids == theirs.input_ids and ours.supervised > 2
        assert len(learned(bare, ours)) == len(learned(marked, theirs))


def test_a_weight_of_0_takes_an_answer_out(shipped_tokenizer, make_tokenizer):
    for tokenizer in (shipped_tokenizer("llama3"), make_tokenizer("mistral")):
        end = tokenizer.eos_token
        turns = [user("a"), assistant("one", weight=0), user("b"), assistant("two", weight=1)]
        made = encode(tokenizer, {"messages": turns})
        assert [text.strip() for text in learned(tokenizer, made)] == [f"two{end}"]
        turns[1]["weight"], turns[3]["weight"] = None, 0
        made = encode(tokenizer, {"messages": turns})
        assert [text.strip() for text in learned(tokenizer, made)] == [f"one{end}"]
        assert "two" in tokenizer.decode(made.input_ids)
        turns[1]["weight"] = 0
        assert encode(tokenizer, {"messages": turns}).supervised == 0


def test_a_completion_of_several_messages(shipped_tokenizer):
    tokenizer = shipped_tokenizer("qwen3")
    turns = ROWS["tools"]["messages"]
    made = encode(tokenizer, {"prompt": turns[:1], "completion": turns[1:], "tools": TOOLS})
    call, answer = learned(tokenizer, made)
    assert '"lookup"' in call and answer.endswith("It is a city.<|im_end|>")
    assert "A city." not in call + answer  # what the tool says is not learned
    prompt = prompt_ids(tokenizer, turns[:1], TOOLS)
    assert made.input_ids[: len(prompt)] == prompt


def test_calls_are_rendered_whether_their_arguments_are_json_or_not(shipped_tokenizer):
    call = {**CALL, "function": {"name": "lookup", "arguments": '{"city": "Paris"}'}}
    turns = [*ROWS["tools"]["messages"]]
    turns[1] = assistant(None, tool_calls=[call])
    for name in ("qwen3", "llama3_1", "glm4moe", "gemma4"):
        tokenizer = shipped_tokenizer(name)
        made = encode(tokenizer, {"messages": turns, "tools": TOOLS})
        assert made == encode(tokenizer, ROWS["tools"])


def test_markers_that_leave_out_the_end_of_the_turn(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    whole = encode(tokenizer, ROWS["several turns"])
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{- m.content + '<|im_end|>' -}}{%- endgeneration -%}",
        "{{- m.content -}}{%- endgeneration -%}{{- '<|im_end|>' -}}",
    )
    assert encode(tokenizer, ROWS["several turns"]) == whole
    assert "markers_without_end" in tokenizer_problems(tokenizer)


def test_thoughts_that_are_dropped_later_are_refused_where_no_twin_keeps_them(shipped_tokenizer):
    with pytest.raises(DataError, match=r"Easy one.*earlier thoughts.*--unroll"):
        encode(shipped_tokenizer("gemma4_v5"), ROWS["thinking"])


@pytest.mark.parametrize(
    ("name", "kind", "lost"),
    [
        ("llama3", "tools", "the tool lookup, a call of a tool"),
        ("phi3", "tools", "a tool's result"),
        ("llama3", "thinking", "the thoughts before an answer"),
        ("deepseekv3", "thoughts in the text", "the thoughts before an answer"),
        ("qwen3_8", "tools", ""),
        ("qwen3", "thinking", ""),
    ],
)
def test_what_a_template_drops_of_a_row(shipped_tokenizer, name, kind, lost):
    found = [line for line in problems(shipped_tokenizer(name), ROWS[kind]) if "drops" in line]
    assert bool(found) == bool(lost) and all(lost in line for line in found)


def test_a_system_message_that_is_dropped_or_refused(make_tokenizer):
    row = ROWS["several turns"]
    tokenizer = make_tokenizer("chatml")
    assert problems(tokenizer, row) == []
    kept = tokenizer.chat_template
    tokenizer.chat_template = kept.replace(
        "in messages -%}", "in messages if m.role != 'system' %}"
    )
    assert "drops the system message" in problems(tokenizer, row)[0]
    assert not takes_system(tokenizer)
    assert "refuses these messages" in problems(make_tokenizer("gemma"), row)[-1]


def test_a_row_is_rendered_twice_at_most(shipped_tokenizer, monkeypatch):
    tokenizer = shipped_tokenizer("qwen3")
    encode(tokenizer, ROWS["one turn"])
    rendered = []
    monkeypatch.setattr(
        "ftlab.rendering.render", lambda *a, **k: rendered.append(1) or render(*a, **k)
    )
    encode(tokenizer, ROWS["several turns"])
    assert len(rendered) == 1
    encode(tokenizer, split(ROWS["several turns"]))
    assert len(rendered) == 3


@pytest.mark.parametrize(
    ("name", "kind", "form"),
    [
        (name, kind, form)
        for name, kind in [
            ("qwen3", "thinking"), ("qwen3", "tools"), ("llama3", "several turns"),
            ("gemma3", "several turns"), ("phi3", "several turns"), ("lfm2_2_5", "tools"),
            ("deepseek_r1_distill", "thoughts in the text"),
        ]
        for form in ("messages", "completion")
        if (name, form) != ("deepseek_r1_distill", "completion")  # there TRL drops the thoughts
    ],
)  # fmt: skip
def test_trl_trains_on_the_same_tokens(shipped_tokenizer, tmp_path, name, kind, form):
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = shipped_tokenizer(name)
    tokenizer.pad_token = "<|pad|>"
    row = ROWS[kind] if form == "messages" else split(ROWS[kind])
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1,
    )  # fmt: skip
    trainer = SFTTrainer(
        LlamaForCausalLM(config),
        args=SFTConfig(
            str(tmp_path), max_length=None, assistant_only_loss=form == "messages", use_cpu=True,
            bf16=False, report_to="none",
        ),
        train_dataset=Dataset.from_list([row]),
        processing_class=tokenizer,
    )  # fmt: skip
    batch = next(iter(trainer.get_train_dataloader()))
    labels = [label != -100 for label in batch["labels"][0].tolist()]
    assert_same(tokenizer, encode(tokenizer, row), batch["input_ids"][0].tolist(), labels)


def test_a_row_from_a_table_has_keys_without_values(shipped_tokenizer):
    from datasets import Dataset

    tokenizer = shipped_tokenizer("qwen3")
    rows = Dataset.from_list([ROWS["tools"], ROWS["thinking"]])
    assert rows[1]["tools"] is None
    assert encode(tokenizer, rows[0]) == encode(tokenizer, ROWS["tools"])
    assert encode(tokenizer, rows[1]) == encode(tokenizer, ROWS["thinking"])


def test_threads_render_at_once(shipped_tokenizer):
    tokenizer, row = shipped_tokenizer("qwen3"), {"messages": [user("Hi"), assistant("Hello.")]}
    wanted, before = encode(tokenizer, row), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns in the middle of things
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(made == wanted for made in pool.map(encode, [tokenizer] * 200, [row] * 200))
    finally:
        sys.setswitchinterval(before)
