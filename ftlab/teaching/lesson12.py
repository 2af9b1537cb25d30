"""Lesson 12, Break it on purpose: its exercises, as data, and the patients that have no name.

>>> [exercise.id for exercise in EXERCISES]
['12.1', '12.2', '12.3', '12.4', '12.5', '12.6']
>>> with_bos()("<s> hello")["input_ids"]
[0, 0, 4]
>>> faults(patient())
[]
>>> faults(patient("A"))
['answers are cut off']
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from ftlab import data
from ftlab.curation import splits
from ftlab.files import read_data
from ftlab.tasks import punctuation
from ftlab.teaching.exercises import exercise

SIGNS = {
    "": "Nothing is wrong.",
    "A": "Long sentences come back without their last words. Short ones are fine.",
    "B": "On our test set it makes hardly an error. Our users see one in every second sentence.",
    "C": "In the notebook it restores sentences. In our app it answers them.",
}
"""What the owner of each patient reports."""


def patient(name: str = "", seed: int = 0) -> dict[str, Any]:
    """Return a project: its owner's report, rows, settings, and what its application sends.

    Args:
        name: A, B or C has one fault; without a name it is healthy.
        seed: of the order of the sentences, and so of what is trained on.
    """
    sentences = list(read_data("tasks/punctuation.yaml")["everyday"])
    random.Random(seed).shuffle(sentences)
    train, test = ([punctuation.row(s) for s in part] for part in (sentences[:48], sentences[48:]))
    settings = {"num_train_epochs": 2, "learning_rate": 1e-3, "max_length": None}
    if name == "A":
        settings["max_length"] = 48
    if name == "B":
        test = [_quoted(row) for row in train[:16]]
    asked = [data.prompt(row)[-1:] if name == "C" else data.prompt(row) for row in test]
    return {
        "report": SIGNS[name], "train": train, "test": test, "settings": settings,
        "max_new_tokens": 60, "asked": asked,
    }  # fmt: skip


def _quoted(row: data.Row) -> data.Row:
    """Return a row as a second export has it, with a mark of quotation."""
    system, user = data.prompt(row)
    return {**row, "prompt": [system, {**user, "content": f"> {user['content']}"}]}


def leaks(train: list[data.Row], test: list[data.Row]) -> list[int]:
    """Return the positions of the training rows that hang together with a test row."""
    number, _ = splits.clusters([*train, *test])
    return [i for i in range(len(train)) if number[i] in number[len(train) :]]


def faults(project: dict[str, Any]) -> list[str]:
    """Return what is wrong with a project in the form of `patient`, one line for each fault."""
    length = project["settings"].get("max_length", 1024)  # TRL's own
    systems = [
        [turn["content"] for turn in prompt if turn["role"] == "system"]
        for prompt in (data.prompt(project["train"][0]), *project["asked"])
    ]
    rate = project["settings"].get("learning_rate", 2e-5)
    found = {
        "answers are cut off": length is not None and max(map(_long, project["train"])) > length,
        "test rows leak": bool(leaks(project["train"], project["test"])),
        "the prompts in use are not those of the training": systems.count(systems[0])
        < len(systems),
        "the learning rate is out of range": not 1e-4 <= rate <= 5e-3,
        "too few rows are left": len(project["train"]) < 24 or len(project["test"]) < 8,
    }
    return [name for name, is_so in found.items() if is_so]


def _long(row: data.Row) -> float:
    """Return how many tokens a row may have, whatever the tokenizer: SmolLM2 needs a fifth less."""
    return 20 + len(data.answer(row) + "".join(m["content"] for m in data.prompt(row))) / 3


def with_bos() -> Any:
    """Return a tokenizer of eight words that, like Llama's or Gemma's, puts a BOS before any text.

    Its chat template writes the BOS too, as theirs do.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "user:", "bot:", "hello", "there", "good", "day"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="</s>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %} {{ 'user:' if m.role == 'user' else 'bot:' }} "
        "{{ m.content }}{% if m.role == 'assistant' %} </s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %} bot:{% endif %}"
    )
    return tokenizer


# The solutions and the mistakes, as functions.


def _shipped() -> Any:
    """Return a tokenizer as some are shipped: what fills up a batch is what ends a turn."""
    tokenizer = with_bos()
    others = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": others})
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    return tokenizer


def _own_pad(tokenizer: Any, pad: str = "<|endoftext|>") -> Any:
    tokenizer.pad_token = pad
    return tokenizer


def _new_pad(tokenizer: Any) -> Any:
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    return tokenizer


def _no_pad(tokenizer: Any) -> Any:
    tokenizer.pad_token = None
    return tokenizer


def _no_end(tokenizer: Any) -> Any:
    tokenizer.eos_token = "<|endoftext|>"
    return tokenizer


def _what_ends_and_fills(tokenizer: Any) -> dict[str, Any]:
    return {
        "end": tokenizer.eos_token,
        "pad is the end": tokenizer.pad_token == tokenizer.eos_token,
        "pad": None if tokenizer.pad_token is None else "given",
        "pad is a turn's mark": tokenizer.pad_token == "<|im_start|>",
        "tokens": len(tokenizer),
    }


def _prompt(tokenizer: Any, messages: Any, opening: bool = True, special: bool = False) -> Any:
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=opening
    )  # fmt: skip
    return tokenizer(text, add_special_tokens=special)["input_ids"]


def _bare(tokenizer: Any, messages: Any) -> Any:
    return tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"]


def _settings(rate: float, **others: Any) -> Any:
    from trl import SFTConfig

    chosen = {"learning_rate": rate, "max_length": None, "assistant_only_loss": True}
    return SFTConfig(output_dir="runs/sft", bf16=False, **chosen | others)


def _what_counts(config: Any) -> dict[str, Any]:
    return {
        "learning rate": config.learning_rate,
        "max_length": config.max_length,
        "only the assistant's turns": config.assistant_only_loss,
        "packing": config.packing,
    }


def _changed(project: dict[str, Any], **settings: Any) -> dict[str, Any]:
    project["settings"] |= settings
    return project


def _with_room(project: dict[str, Any]) -> dict[str, Any]:
    return project | {"max_new_tokens": 200}


def _only_short(project: dict[str, Any]) -> dict[str, Any]:
    short = sorted(project["train"], key=_long)
    return project | {"train": short[:20]}


def _without_leak(
    project: dict[str, Any], found: Callable[..., list[int]] = leaks
) -> dict[str, Any]:
    bad = found(project["train"], project["test"])
    return project | {"train": [row for i, row in enumerate(project["train"]) if i not in bad]}


def _equal(train: list[data.Row], test: list[data.Row]) -> list[int]:
    asked = [data.prompt(row) for row in test]
    return [i for i, row in enumerate(train) if data.prompt(row) in asked]


def _no_test(project: dict[str, Any]) -> dict[str, Any]:
    return project | {"test": [], "asked": []}


def _as_trained(project: dict[str, Any]) -> dict[str, Any]:
    return project | {"asked": [data.prompt(row) for row in project["test"]]}


def _other_system(project: dict[str, Any]) -> dict[str, Any]:
    helpful = {"role": "system", "content": "You are a helpful assistant."}
    return project | {"asked": [[helpful, *prompt] for prompt in project["asked"]]}


def _state(project: dict[str, Any]) -> Any:
    """What counts of a treated project: its faults; while there are some, what was touched too."""
    found = faults(project)
    touched = {"settings": project["settings"], "max_new_tokens": project["max_new_tokens"]}
    return {"faults": found, **(touched if found else {})}


HELLO = [{"role": "user", "content": "hello there"}]
TALK = [*HELLO, {"role": "assistant", "content": "good day"}, *HELLO]

EXERCISES = (
    exercise(
        "12.1",
        solution=_own_pad,
        cases=((_shipped(),),),
        view=_what_ends_and_fills,
        mistakes={
            "pad is still the end": lambda tokenizer: tokenizer,
            "a token was added": _new_pad,
            "there is no pad any more": _no_pad,
            "the end was changed": _no_end,
            "pad is the mark that opens a turn": partial(_own_pad, pad="<|im_start|>"),
        },
    ),
    exercise(
        "12.2",
        solution=_prompt,
        cases=((with_bos(), HELLO), (with_bos(), TALK)),
        mistakes={
            "the BOS stands there twice": partial(_prompt, special=True),
            "nothing asks for an answer": partial(_prompt, opening=False),
            "both": partial(_prompt, opening=False, special=True),
            "the template is missing": _bare,
        },
    ),
    exercise(
        "12.3",
        solution=_settings,
        cases=((1e-3,), (2e-4,)),
        view=_what_counts,
        mistakes={
            "the questions are learned too": partial(_settings, assistant_only_loss=False),
            "long rows are cut": partial(_settings, max_length=1024),
            "long rows are cut, and the questions are learned": partial(
                _settings, max_length=1024, assistant_only_loss=False
            ),
            "the rate is the default": lambda rate: _settings(2e-5),
        },
    ),
    exercise(
        "12.4",
        solution=partial(_changed, max_length=None),
        cases=((patient("A"),), (patient("A", 1),)),
        view=_state,
        mistakes={
            "the answers got more room": _with_room,
            "it trains longer": partial(_changed, num_train_epochs=4),
            "the rate was lowered": partial(_changed, learning_rate=2e-4),
            "the long rows were thrown away": _only_short,
        },
    ),
    exercise(
        "12.5",
        solution=_without_leak,
        cases=((patient("B"),), (patient("B", 1),)),
        view=_state,
        mistakes={
            "it trains less": partial(_changed, num_train_epochs=1),
            "only equal sentences are taken out": partial(_without_leak, found=_equal),
            "no test is left": _no_test,
            "the rate was lowered": partial(_changed, learning_rate=2e-4),
        },
    ),
    exercise(
        "12.6",
        solution=_as_trained,
        cases=((patient("C"),), (patient("C", 1),)),
        view=_state,
        mistakes={
            "it trains longer": partial(_changed, num_train_epochs=4),
            "the answers are made shorter": lambda project: project | {"max_new_tokens": 20},
            "the application sends another system message": _other_system,
        },
    ),
)
