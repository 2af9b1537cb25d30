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


# The exercises.


def _shipped() -> Any:
    """Return a tokenizer as some are shipped: what fills up a batch is what ends a turn."""
    tokenizer = with_bos()
    others = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": others})
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    return tokenizer


def _own_pad(tokenizer: Any) -> Any:
    tokenizer.pad_token = "<|endoftext|>"
    return tokenizer


def _what_ends_and_fills(tokenizer: Any) -> dict[str, Any]:
    return {
        "end": tokenizer.eos_token,
        "pad is the end": tokenizer.pad_token == tokenizer.eos_token,
        "pad": None if tokenizer.pad_token is None else "given",
        "pad is a turn's mark": tokenizer.pad_token == "<|im_start|>",
        "tokens": len(tokenizer),
    }


def _prompt(tokenizer: Any, messages: Any) -> Any:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _settings(rate: float) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        learning_rate=rate, max_length=None, assistant_only_loss=True, bf16=False,
        output_dir="runs/sft",
    )  # fmt: skip


def _treat_a(patient: dict[str, Any]) -> dict[str, Any]:
    patient["settings"]["max_length"] = None
    return patient


def _treat_b(patient: dict[str, Any]) -> dict[str, Any]:
    bad = leaks(patient["train"], patient["test"])
    patient["train"] = [row for i, row in enumerate(patient["train"]) if i not in bad]
    return patient


def _treat_c(patient: dict[str, Any]) -> dict[str, Any]:
    patient["asked"] = [data.prompt(row) for row in patient["test"]]
    return patient


def _other(patient: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a project with other settings; the mistakes in `data/exercises/12.yaml` call it."""
    return patient | {"settings": patient["settings"] | settings}


def _state(project: dict[str, Any]) -> Any:
    """What counts of a treated project: its faults; while there are some, what was touched too."""
    found = faults(project)
    touched = {"settings": project["settings"], "max_new_tokens": project["max_new_tokens"]}
    return {"faults": found, **(touched if found else {})}


HELLO = [{"role": "user", "content": "hello there"}]
TALK = [*HELLO, {"role": "assistant", "content": "good day"}, *HELLO]
HELPFUL = {"role": "system", "content": "You are a helpful assistant."}

EXERCISES = (
    exercise("12.1", _own_pad, cases=((_shipped(),),), view=_what_ends_and_fills),
    exercise("12.2", _prompt, cases=((with_bos(), HELLO), (with_bos(), TALK))),
    exercise(
        "12.3",
        _settings,
        view=("learning_rate", "max_length", "assistant_only_loss", "packing"),
    ),
    *(
        exercise(id, treat, cases=((patient(name),), (patient(name, 1),)), view=_state)
        for id, name, treat in (
            ("12.4", "A", _treat_a), ("12.5", "B", _treat_b), ("12.6", "C", _treat_c)
        )
    ),
)  # fmt: skip
