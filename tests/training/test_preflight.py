"""One fault is planted in a real trainer on a tiny random model; the table must name that one."""

import dataclasses
import math

import pytest
import torch
import transformers
from datasets import Dataset
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.chat_template_utils import qwen2_5_chat_template, qwen3_chat_template

from ftlab.errors import ConfigError, DataError, FtlabError
from ftlab.hardware import profile
from ftlab.training import preflight as room
from ftlab.training.preflight import preflight

WORDS = ("fox", "dog", "capital", "Paris", "jumps", "lazy", "brown", "quick")
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


ROWS = [{"prompt": [user(f"Say {w}!")], "completion": [assistant(f"the {w} {w}")]} for w in WORDS]
CHATS = [{"messages": row["prompt"] + row["completion"]} for row in ROWS]
HELD = [{"prompt": [user(f"Say a {w}.")], "completion": [assistant(f"a {w}")]} for w in WORDS[:3]]


def settings(tmp_path, config=SFTConfig, **changed):
    """This machine's clean settings, as keywords of `config`."""
    kept = {
        "output_dir": str(tmp_path / "run"), "report_to": "none", "disable_tqdm": True,
        "use_cpu": True, "bf16": profile().dtype == "bfloat16", "learning_rate": 1e-4,
        "gradient_checkpointing": False, "per_device_train_batch_size": 2, "num_train_epochs": 1,
        "save_strategy": "no",
    }  # fmt: skip
    return config(**kept | changed)


@pytest.fixture
def build(make_model, tmp_path):
    """Return `build(rows, …)`: an SFTTrainer; keywords of SFTConfig, but for those named here."""

    def make(rows=ROWS, *, family="chatml", change=None, template=None, peft=None, eval_rows=None,
             collator=None, **changed):  # fmt: skip
        model, tokenizer = make_model(family)
        tokenizer.chat_template = template or tokenizer.chat_template
        if change is not None:
            model = change(model, tokenizer) or model
        return SFTTrainer(
            model,
            args=settings(tmp_path, **changed),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=None if eval_rows is None else Dataset.from_list(eval_rows),
            processing_class=tokenizer,
            peft_config=peft,
            data_collator=None if collator is None else collator(tokenizer),
        )

    return make


def faults(trainer, **given):
    """Return {what: finding} of all that is not ok."""
    report = preflight(trainer, strict=False, **given)
    return {f.what: f for f in report.findings if f.status != "ok"}


@pytest.mark.parametrize(
    ("rows", "changed"),
    [
        (ROWS, {}),
        (CHATS, {"assistant_only_loss": True}),
        (ROWS, {"packing": True, "max_length": 64}),
        (ROWS, {"padding_free": True, "max_length": None}),
        ([{"text": f"the {w} fox"} for w in WORDS], {}),
    ],
)
def test_a_clean_trainer_has_no_fault(build, rows, changed):
    held = HELD if rows is ROWS else None
    assert not faults(build(rows, eval_rows=held, **changed))


def pad_is_eos(model, tokenizer):
    tokenizer.pad_token = tokenizer.eos_token


def two_messages_only(model, tokenizer):
    tokenizer.chat_template = "{%- set messages = messages[-2:] -%}" + tokenizer.chat_template


def talks(*before):
    """The conversations, each behind some earlier messages."""
    return {"rows": [{"messages": [*before, *chat["messages"]]} for chat in CHATS],
            "assistant_only_loss": True}  # fmt: skip


LONG = [{"prompt": [user("Hi")], "completion": [assistant("fox " * 40)]}]
EMPTY = [row | {"completion": [assistant("")]} for row in ROWS]
NAMED = [row | {"prompt": [user(f"Say {n}!") | {"name": "Zoe"}]} for n, row in enumerate(ROWS)]
THOUGHT = assistant("<think>\nquick brown\n</think>\n\nfox")
LAZY = assistant("<think>\nlazy\n</think>\n\ndog")
EARLIER = [user("Hi"), THOUGHT, user("dog?")]
PACKED = {"rows": ROWS + LONG, "packing": True, "max_length": 40}
QWEN3 = {"template": qwen3_chat_template}
ONE_FAULT = {  # what is built, and the row of the table: what, its status, and words in it
    "empty answers": ({"rows": EMPTY}, "loss", "error", "nothing but the end"),
    "some empty answers": ({"rows": ROWS + EMPTY[:2]}, "loss", "warning", "2 of 10 rows"),
    "pad is eos": ({"change": pad_is_eos}, "pad token", "warning", "also ends the turn"),
    # Qwen3's own template drops the reasoning of earlier turns, the training twin keeps it.
    "a twin that writes other text": (
        {"rows": [{"messages": [*EARLIER, THOUGHT]}], "assistant_only_loss": True, **QWEN3},
        "template", "warning", "other text"),
    "reasoning is dropped": (
        {"rows": [{"prompt": EARLIER, "completion": [LAZY]}], **QWEN3},
        "thinking", "warning", "1 of 1 rows have reasoning"),
    "names are dropped": ({"rows": NAMED}, "names", "warning", "names of speakers"),
    "messages are dropped": (
        talks(user("Hello, dog"), assistant("jumps over")) | {"change": two_messages_only},
        "messages", "error", "the template drops"),
    "weight 0 is learned": (
        talks(user("Hi"), assistant("quick brown", weight=0)), "weight", "warning", "weight 0"),
    "float16": ({"change": lambda model, _: model.half()}, "dtype", "error", "are float16"),
    "bfloat16": (
        {"change": lambda model, _: model.to(torch.bfloat16)}, "dtype", "warning", "are bfloat16"),
    "checkpointing": (
        {"gradient_checkpointing": True}, "checkpointing", "warning", "checkpointing=False"),
    "packs are cut": (PACKED, "max_length", "warning", "probably cut"),
    "packs are split": (
        PACKED | {"packing_strategy": "bfd_split"}, "max_length", "warning", "probably cut"),
}  # fmt: skip


@pytest.mark.parametrize(("how", "what", "status", "words"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_one_fault_is_found_and_no_other(build, how, what, status, words):
    found = faults(build(**how))
    assert set(found) == {what} and found[what].status == status
    assert words in found[what].found + found[what].cure


@pytest.mark.parametrize("family", ["qwen2.5", "llama3", "gemma", "mistral"])
def test_a_clean_trainer_of_each_family(build, family):
    assert not faults(build(family=family))


def test_it_shows_what_is_to_come(build, capsys):
    trainer = build(
        per_device_train_batch_size=3, gradient_accumulation_steps=2, num_train_epochs=3
    )
    report = preflight(trainer)
    printed = capsys.readouterr().out
    ids, labels = trainer.train_dataset["input_ids"], trainer.train_dataset["labels"]
    tokens, learned = sum(map(len, ids)), sum(x != -100 for row in labels for x in row)
    assert f"8 rows, {tokens} tokens, {learned} of them supervised" in " ".join(printed.split())
    assert f"longest {max(map(len, ids))}" in printed
    example = report.findings[-1]
    assert example.found.endswith("⟦the fox fox<|im_end|>↵⟧") and "⟦" in printed
    assert repr(report) == "<Preflight: errors 0, warnings 0>"
    trainer.train()
    assert f"{trainer.state.max_steps} steps" in " ".join(printed.split())


def test_it_changes_nothing(build):
    """Weights, mode, random state and TRL's own figures are as before."""
    trainer = build(packing=True, max_length=64)
    trainer.model.train()
    before = {n: p.clone() for n, p in trainer.model.named_parameters()}
    state, figures = torch.random.get_rng_state(), {k: dict(v) for k, v in trainer._metrics.items()}
    preflight(trainer)
    assert trainer.model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert {k: dict(v) for k, v in trainer._metrics.items()} == figures
    assert all(torch.equal(before[n], p) for n, p in trainer.model.named_parameters())


def test_no_loss_at_all_stops(build):
    rows = [{"input_ids": [2, 266, 202, 3], "labels": [-100] * 4} for _ in range(4)]
    trainer = build(rows, max_length=None)
    assert faults(trainer)["loss"].status == "error"
    with pytest.raises(DataError, match=r"(?s)4 of 4 rows carry no loss.*strict=False"):
        preflight(trainer)


@pytest.mark.parametrize(
    ("rows", "changed", "cure"),
    [
        (CHATS, {}, "assistant_only_loss=True"),
        (ROWS, {"completion_only_loss": False}, "completion_only_loss at None"),
        ([{"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nfox"}], {}, "Make rows"),
    ],
)
def test_loss_on_the_prompt(build, rows, changed, cure):
    found = faults(build(rows, **changed))
    assert set(found) == {"prompt"} and cure in found["prompt"].cure


def test_loss_on_a_later_question(build, make_tokenizer):
    """The first question carries none, the second does."""
    text = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nfox<|im_end|>\n"
    ids = make_tokenizer()(text * 2)["input_ids"]
    rows = [{"input_ids": ids, "labels": [-100] * 9 + ids[9:]}]
    assert set(faults(build(rows))) == {"prompt"}


def test_the_end_of_the_turn_is_not_learned(build, make_tokenizer):
    own = make_tokenizer().chat_template
    bare = own.replace("m.content + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}",
                       "m.content -}}{%- endgeneration -%}{{- '<|im_end|>\\n' -}}")  # fmt: skip
    assert bare != own
    found = faults(build(CHATS, template=bare, assistant_only_loss=True))
    assert set(found) == {"end of turn"} and found["end of turn"].status == "error"
    assert "<|im_end|>" in found["end of turn"].cure


def test_pad_is_eos_and_masks_the_stop(build):
    rows = [{"input_ids": [291, 396, 224, 3]}] * 4
    found = faults(
        build(
            rows, change=pad_is_eos,
            collator=lambda t: transformers.DataCollatorForLanguageModeling(t, mlm=False),
        )
    )  # fmt: skip
    assert set(found) == {"pad token", "end of turn"}
    assert {f.status for f in found.values()} == {"error"}


def test_bos_twice(build, make_tokenizer):
    tokenizer = make_tokenizer("llama3")
    rows = [{"text": tokenizer.bos_token + "the fox"}]
    found = faults(build(rows, family="llama3"))
    assert set(found) == {"BOS"} and found["BOS"].status == "error"


HUGE = [{"prompt": [user("fox " * 40)], "completion": [assistant("fox")]}]


def test_rows_that_are_cut_and_left_out_are_counted(build):
    found = faults(build(ROWS + LONG + HUGE + HUGE, max_length=40))
    assert set(found) == {"max_length"} and found["max_length"].status == "warning"
    assert "1 of 9 rows are cut at 40 tokens" in found["max_length"].found
    assert "left out 2" in found["max_length"].found


def test_a_row_of_exactly_max_length_is_whole(build):
    longest = max(map(len, build().train_dataset["input_ids"]))
    assert not faults(build(max_length=longest))
    assert "max_length" in faults(build(max_length=longest - 1))


def test_all_rows_left_out_is_an_error(build):
    trainer = build(ROWS)
    trainer.train_dataset = trainer.train_dataset.select([])
    with pytest.raises(DataError, match="no row to train on"):
        preflight(trainer)


def test_assistant_only_loss_makes_no_mask_of_rows_that_are_tokenised(build, make_tokenizer):
    ids = [make_tokenizer().apply_chat_template(c["messages"], return_dict=True) for c in CHATS]
    rows = [{**c, "input_ids": i["input_ids"]} for c, i in zip(CHATS, ids, strict=True)]
    found = faults(build(rows, assistant_only_loss=True))
    assert set(found) == {"prompt"} and "input_ids" in found["prompt"].cure


def test_a_template_without_markers(build, make_tokenizer):
    """TRL trains with its twin of a template it knows, and refuses all others."""
    bare = make_tokenizer().chat_template.replace("{%- generation -%}", "")
    bare = bare.replace("{%- endgeneration -%}", "")
    with pytest.raises(ValueError, match="training-compatible"):
        build(CHATS, template=bare, assistant_only_loss=True)
    trainer = build(CHATS, template=qwen2_5_chat_template, assistant_only_loss=True)
    report = {f.what: f for f in preflight(trainer).findings}
    assert "twin" in report["template"].found and report["template"].status == "ok"
    packs = {"packing": True, "max_length": 64}
    assert not faults(
        build(CHATS, template=qwen2_5_chat_template, assistant_only_loss=True, **packs)
    )


def test_packing_where_examples_see_each_other(build):
    wrapped = faults(build(packing=True, packing_strategy="wrapped", max_length=40))
    assert set(wrapped) == {"packing"} and "wrapped" in wrapped["packing"].found

    def forgetful(model, tokenizer):
        """A model whose attention does not keep to position ids."""
        layers = model.model.forward

        def forward(*args, position_ids=None, **kwargs):
            return layers(*args, **kwargs)

        model.model.forward = forward

    found = faults(build(packing=True, max_length=64, change=forgetful))
    assert set(found) == {"packing"} and found["packing"].status == "error"
    assert "sees the one before it" in found["packing"].found


def test_bf16_that_a_cpu_only_emulates(build, monkeypatch):
    slow = dataclasses.replace(profile(), dtype="float32", reasons={"dtype": "0.1 times"})
    monkeypatch.setattr(room, "profile", lambda: slow)
    found = faults(build(bf16=True))
    assert set(found) == {"dtype"} and "emulates" in found["dtype"].found


@pytest.mark.parametrize(
    ("at", "changed", "found"),
    [
        ((7, 5), {"bf16": True}, "without bf16"),
        ((7, 5), {"bf16": False, "fp16": True}, None),
        ((8, 0), {"bf16": True}, None),
        ((8, 0), {"bf16": False}, "float32 on a GPU"),
    ],
)
def test_half_precision_on_a_gpu(build, monkeypatch, at, changed, found):
    """A T4 and an A100 cannot exist here: their capability is given, and the type of device."""
    trainer = build(bf16=False)
    device = torch.device("cuda", 0)
    monkeypatch.setattr(type(trainer.args), "device", property(lambda _: device))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: at)
    for name, value in changed.items():
        monkeypatch.setattr(trainer.args, name, value)
    got = faults(trainer)
    assert set(got) == ({"dtype"} if found else set())
    assert not found or found in got["dtype"].found


@pytest.mark.parametrize(("wrong", "said"), [(1e-2, "far above"), (1e-7, "far below")])
def test_a_rate_far_outside_the_table(build, wrong, said):
    found = faults(build(learning_rate=wrong))
    assert set(found) == {"learning rate"} and said in found["learning rate"].found
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    assert set(faults(build(peft=lora, learning_rate=1e-3))) == set()
    assert set(faults(build(peft=lora, learning_rate=2e-5))) == {"learning rate"}


def test_other_adapters_have_no_table(build):
    soft = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    assert "learning rate" not in faults(build(peft=soft, learning_rate=0.3))


def test_tools_that_the_template_drops(build):
    found = faults(build([{**row, "tools": [TOOL]} for row in ROWS]))
    assert set(found) == {"tools"} and found["tools"].status == "error"
    own = "{%- if tools -%}{{- tools | tojson -}}{%- endif -%}"

    def written(model, tokenizer):
        tokenizer.chat_template = own + tokenizer.chat_template

    assert not faults(build([{**row, "tools": [TOOL]} for row in ROWS], change=written))


def test_a_system_message_that_the_template_drops(build, make_tokenizer):
    own = make_tokenizer().chat_template
    rows = [{**row, "prompt": [system("Be quick and lazy."), *row["prompt"]]} for row in ROWS]
    trainer = build(rows, family="mistral")
    if len(trainer.train_dataset):
        found = faults(trainer)
        assert set(found) == {"system", "prompt"}  # and generation would write it
        assert "another prompt" in found["prompt"].found
    else:  # TRL 1.14 masks all of such rows, and leaves them out
        with pytest.raises(DataError, match="writes the prompt otherwise"):
            preflight(trainer)
    messages = [{"messages": r["prompt"] + r["completion"]} for r in rows]
    template = "{%- for m in messages if m.role != 'system' -%}" + own.partition("-%}")[2]
    dropped = faults(build(messages, template=template, assistant_only_loss=True))
    assert set(dropped) == {"system"}
    assert not faults(build(rows))


def test_rows_of_the_evaluation_that_are_trained_on(build):
    found = faults(build(eval_rows=[*HELD, ROWS[0]]))
    assert set(found) == {"evaluation"} and found["evaluation"].status == "warning"
    assert "1 of 4" in found["evaluation"].found
    assert faults(build(eval_rows=ROWS))["evaluation"].status == "error"
    packed = faults(build(eval_rows=[*HELD, ROWS[0]], packing=True, max_length=64))
    assert set(packed) == {"evaluation"}


def test_a_leak_is_found_outside_the_rows_looked_at(build):
    assert set(faults(build(eval_rows=[ROWS[1], *HELD]), limit=1)) == {"evaluation"}


def test_empty_thoughts_are_learned(build):
    rows = [{"prompt": r["prompt"], "completion": r["completion"]} for r in ROWS]
    found = faults(build(rows, template=qwen3_chat_template))
    assert set(found) == {"thinking"}
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    assert not faults(build([{**row, **off} for row in rows], template=qwen3_chat_template))


def test_nothing_is_trained(build, make_model, tmp_path):
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(make_model()[0], lora).save_pretrained(tmp_path / "adapter")

    def loaded(model, tokenizer):
        return PeftModel.from_pretrained(model, tmp_path / "adapter")

    trainer = build(change=loaded, learning_rate=1e-3)
    found = faults(trainer)
    assert set(found) == {"trainable"} and "is_trainable=True" in found["trainable"].cure
    frozen = faults(build(change=lambda model, _: model.requires_grad_(False)))
    assert set(frozen) == {"trainable"} and "requires_grad_" in frozen["trainable"].cure
    with pytest.raises(ConfigError, match="none of"):
        preflight(trainer)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers(build, value):
    def spoilt(model, tokenizer):
        with torch.no_grad():
            model.model.layers[1].mlp.up_proj.weight[3, 5] = value

    found = faults(build(change=spoilt))
    assert set(found) == {"weights"} and "layers.1.mlp.up_proj" in found["weights"].found


PAIRS = [
    {"prompt": r["prompt"], "chosen": r["completion"], "rejected": [assistant("no")]} for r in ROWS
]


@pytest.fixture
def build_dpo(make_model, tmp_path):
    def make(rows=PAIRS, eval_rows=None, **changed):
        model, tokenizer = make_model()
        return DPOTrainer(
            model,
            peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
            args=settings(tmp_path, DPOConfig, **{"learning_rate": 1e-5} | changed),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=None if eval_rows is None else Dataset.from_list(eval_rows),
            processing_class=tokenizer,
        )

    return make


def test_dpo(build_dpo):
    trainer = build_dpo()
    assert not faults(trainer)
    assert set(faults(build_dpo(learning_rate=1e-3))) == {"learning rate"}
    assert set(faults(build_dpo(eval_rows=PAIRS[:1]))) == {"evaluation"}
    long = {**PAIRS[0], "chosen": [assistant("fox " * 40)]}
    huge = {**PAIRS[0], "prompt": [user("fox " * 40)]}
    found = faults(build_dpo([*PAIRS, long, huge], max_length=40))
    assert set(found) == {"max_length"}
    assert "1 of 18 rows are cut" in found["max_length"].found
    assert "left out 1" in found["max_length"].found
    trainer.train()
    assert f"{trainer.state.max_steps} steps" in preflight(trainer).findings[0].found


@pytest.fixture
def build_grpo(make_model, tmp_path):
    def make(rows=None, **changed):
        model, tokenizer = make_model()
        args = {
            "learning_rate": 1e-6, "num_generations": 2, "max_completion_length": 4,
            "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
        }  # fmt: skip
        return GRPOTrainer(
            model,
            reward_funcs=lambda completions, **_: [float(len(str(c))) for c in completions],
            args=settings(tmp_path, GRPOConfig, **args | changed),
            train_dataset=Dataset.from_list(rows or [{"prompt": r["prompt"]} for r in ROWS]),
            processing_class=tokenizer,
        )

    return make


def test_grpo(build_grpo):
    trainer = build_grpo()
    assert not faults(trainer)
    assert set(faults(build_grpo(learning_rate=1e-2))) == {"learning rate"}
    slow = faults(build_grpo(gradient_checkpointing=True))
    assert set(slow) == {"checkpointing"} and "without a cache" in slow["checkpointing"].found
    found = faults(build_grpo([{"prompt": r["prompt"], "tools": [TOOL]} for r in ROWS]))
    assert set(found) == {"tools"}
    trainer.train()
    assert f"{trainer.state.max_steps} steps" in preflight(trainer).findings[0].found


def test_a_stream_is_looked_at_without_using_it_up(make_model, tmp_path):
    model, tokenizer = make_model()
    trainer = SFTTrainer(
        model, args=settings(tmp_path, max_steps=2),
        train_dataset=Dataset.from_list(ROWS).to_iterable_dataset(), processing_class=tokenizer,
    )  # fmt: skip
    report = preflight(trainer)
    assert "stream" in report.findings[0].found and not report.problems("error")
    trainer.train()
    assert trainer.state.global_step == 2


def test_what_is_no_trainer_is_refused(build):
    with pytest.raises(ConfigError, match="got dict"):
        preflight({})
    with pytest.raises(ConfigError, match="limit"):
        preflight(build(), limit=0)


def test_the_table_in_a_notebook(build):
    report = preflight(build(CHATS, learning_rate=1.0), strict=False)
    page = report.html()
    assert page.count("<tr>") == len(report.findings) + 1
    assert "! warning" in page and "<|im_start|>" not in page and "&lt;|im_start|&gt;" in page
    assert "far above" in str(report) and all(len(line) <= 100 for line in str(report).split("\n"))
    assert issubclass(DataError, FtlabError)
