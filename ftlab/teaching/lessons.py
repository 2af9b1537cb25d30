"""The exercises of the lessons whose notebooks need nothing else from here: 00, 01, 02, 11, 13.

>>> len(EXERCISES)
20
"""

import json
import math
import os
import re
from collections.abc import Sequence
from typing import Any

import ftlab
from ftlab.files import data_path
from ftlab.tasks.punctuation import SYSTEM, strip
from ftlab.teaching.exercises import Client, exercise

Row = dict[str, Any]

# 00, Your first fine-tune.


def _row(sentence: str) -> Row:
    return {
        "prompt": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": strip(sentence)},
        ],
        "completion": [{"role": "assistant", "content": sentence}],
    }


def _with_examples(question: list[Row], solved: list[Row]) -> list[Row]:
    turns = [turn for row in solved for turn in (row["prompt"][1], row["completion"][0])]
    return [question[0], *turns, question[1]]


def _adapter(layers: int) -> Any:
    from peft import LoraConfig

    upper = list(range(layers // 2, layers))
    return LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], layers_to_transform=upper
    )


def _read_interval(low: float, high: float) -> str:
    return "tuned" if low > 0 else "base" if high < 0 else "cannot tell"


_SOLVED = [_row("Who is she?"), _row("No, thank you.")]

# 01, Prompt, retrieve, tune, or neither? The recommendation and its panels are in `decide`.


def _word_score(count: float, length: float, average: float, n: int, N: int) -> float:
    rare = math.log(1 + (N - n + 0.5) / (n + 0.5))
    size = 0.25 + 0.75 * length / average
    return rare * count * 2.5 / (count + 1.5 * size)


def _or_abstain(message: str, texts: Sequence[str], fact: str, answer: str) -> Row:
    known = any(fact in text for text in texts)
    said = answer if known else "I do not know."
    return {
        "prompt": [{"role": "user", "content": "\n".join([*texts, message])}],
        "completion": [{"role": "assistant", "content": said}],
    }


def _classifier(texts: Sequence[str], labels: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
    return make_pipeline(pieces, LogisticRegression()).fit(texts, labels)


def _chances(made: Any) -> Any:
    """What counts of a classifier: its answers to new texts and to misspelt ones."""
    try:
        found = made.predict_proba(["where is my parcell", "brake repair please", "van", "tyres"])
    except Exception as error:  # it is none, or was not trained
        return type(error).__name__
    return [[round(float(chance), 3) for chance in row] for row in found]


def _months(calls: float, before: float, after: float, price: float, training: float) -> float:
    saved = calls * (before - after) * price / 1_000_000
    return training / saved if saved > 0 else math.inf


_TEXTS = [
    "when will my parcel come", "parcel not here yet", "the van did not come",
    "my brakes are broken", "can you mend a flat tyre", "the wheel needs repairing",
]  # fmt: skip
_LABELS = ["delivery"] * 3 + ["repairs"] * 3

# 02, Choosing a base.


def _file(shapes: dict[str, list[int]], **metadata: str) -> bytes:
    """Return the bytes of a safetensors file of zeros in bfloat16."""
    header: Row = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def _parameters(content: bytes) -> int:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return sum(
        math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
    )


def _chosen(models: Sequence[Row], language: str, context: int, gigabytes: float) -> list[str]:
    return [
        model["name"]
        for model in models
        if language in (model["languages"] or [])
        and (model["context"] or 0) >= context
        and 16 * (model["parameters"] or math.inf) <= gigabytes * 1e9
        and model["commercial"] != "no"
    ]


def _chatml(messages: list[dict[str, str]]) -> str:
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


def _random_model(folder: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _class_and_weights(model: Any) -> Row:
    """Return what the exercise asks of a model: its class, and that no weight was trained."""
    spread = model.get_input_embeddings().weight.float().std().item()
    random = abs(spread - model.config.initializer_range) < 1e-3
    return {"class": type(model).__name__, "weights": model.num_parameters(), "random": random}


def _entry(name: str, **facts: Any) -> Row:
    return {
        "name": name, "parameters": 0.5e9, "context": 32768, "languages": ["en", "de"],
        "commercial": "yes",
    } | facts  # fmt: skip


_MODELS = [
    _entry("good"), _entry("limited", commercial="limited"), _entry("research", commercial="no"),
    _entry("large", parameters=3e9), _entry("uncounted", parameters=None),
    _entry("short", context=2048), _entry("unread context", context=None),
    _entry("English", languages=["en"]), _entry("unread languages", languages=None),
    _entry("edge", parameters=1e9, context=8192),
]  # fmt: skip
_FILES = (
    _file({"embed": [100, 16], "q": [16, 16], "norm": [16]}),
    _file({"a": [3, 4, 5]}, format="pt"),
    _file({}),
)

# 11, Shipping.


def _endpoint(restored: str) -> Client:
    """Return a client whose model restores one sentence.

    Its answer depends on the temperature, on the limit, and on whether it sees the whole
    conversation.
    """

    def respond(model: str, messages: Any, options: Row) -> tuple[str, str]:
        limit = options.get("max_tokens", options.get("max_completion_tokens"))
        text = restored if len(messages) == len(_MESSAGES) else "I do not know the task."
        text = text if options.get("temperature") == 0 else f"{text} (one of many)"
        text = text if limit == 60 else f"{text} And so on, for {limit or 'as many as fit'} tokens."
        return text, "length" if len(restored) > 40 and limit == 60 else "stop"

    return Client(respond, f"client of {restored!r}")


def _eight_bits(block: list[float]) -> list[float]:
    scale = max(abs(x) for x in block) / 127
    return [round(x / scale) * scale for x in block]


def _ask(client: Any, model: str, messages: Any) -> tuple[str, str]:
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=60
    )
    choice = reply.choices[0]
    return choice.message.content, choice.finish_reason


def _cost(seconds: float, per_hour: float, share: float) -> float:
    return 1000 * seconds / 3600 * per_hour / share


def _modelfile(file: str, system: str, ends: list[str]) -> str:
    lines = [f"FROM {file}", f'SYSTEM "{system}"', "PARAMETER temperature 0"]
    return "\n".join(lines + [f'PARAMETER stop "{end}"' for end in ends])


def _directives(text: Any) -> Any:
    """Return a Modelfile's directives, sorted; their case and the quotes do not count."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [re.fullmatch(r"(FROM|SYSTEM|PARAMETER\s+\w+)\s+(.+)", line, re.I) for line in lines]
    return sorted(
        (re.sub(r"\s+", " ", part[1].lower()), re.sub(r'^"""|"""$|^"|"$', "", part[2].strip()))
        if part
        else ("not a directive", line)
        for part, line in zip(found, lines, strict=True)
    )


_MESSAGES = [
    {"role": "system", "content": "Restore the sentence."},
    {"role": "user", "content": "who is she"},
]
_ANSWERS = ("Who is she?", "Who is she, and who is he, and where are they going?")

# 13, Capstone.


def _within(rows: int, batch: int, epochs: int, seconds: float, minutes: float) -> Any:
    steps = min(math.ceil(rows / batch) * epochs, int(60 * minutes / seconds))
    return ftlab.sft_config(max_steps=max(1, steps), per_device_train_batch_size=batch)


def _written_by(customer: str, text: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": text}],
        "completion": [{"role": "assistant", "content": "login"}],
        "meta": {"customer": customer},
    }


def _leaked(train: list[Row], test: list[Row]) -> list[Row]:
    known = {row["meta"]["customer"] for row in train}
    return [row for row in test if row["meta"]["customer"] in known]


def _decision(low: float, high: float, least: float) -> str:
    return "ship" if low >= least else "stop" if high < least else "improve"


def _facts(base: str, licence: str) -> Any:
    from huggingface_hub import ModelCardData

    return ModelCardData(
        base_model=base, license=licence, library_name="peft", pipeline_tag="text-generation",
        tags=["lora", "ftlab"],
    )  # fmt: skip


def _fields(facts: Any) -> Any:
    """Return what the hub reads, in any order; what is no card's data stays as it is."""
    held = facts.to_dict()
    return {key: sorted(value) if isinstance(value, list) else value
            for key, value in held.items() if value}  # fmt: skip


_INBOX = (
    [_written_by(*row) for row in rows]
    for rows in (
        [("a", "I cannot log in."), ("b", "where is it"), ("a", "Hi.")],
        [("a", "No login again!"), ("c", "hello"), ("a", "I cannot log in.")],
        [("a", "one")],
        [("b", "one"), ("c", "two")],
    )
)

EXERCISES = (
    exercise("00.1", _row),
    exercise("00.2", _with_examples, cases=(
        (_row("Is it late?")["prompt"], _SOLVED), (_row("Come in!")["prompt"], _SOLVED[:1]),
    )),
    exercise("00.3", _adapter,
             view=("r", "lora_alpha", "target_modules", "layers_to_transform")),
    exercise("00.4", _read_interval),
    exercise("01.1", _word_score),
    exercise("01.2", _or_abstain),
    exercise("01.3", _classifier, view=_chances,
             cases=((_TEXTS, _LABELS), (_TEXTS[1:5], _LABELS[1:5]))),
    exercise("01.4", _months),
    exercise("02.1", _parameters, cases=tuple((content,) for content in _FILES)),
    exercise("02.2", _chosen, cases=(
        (_MODELS, "de", 8192, 16), (_MODELS, "en", 1024, 100), (_MODELS, "fr", 1, 1000),
    )),
    exercise("02.3", _chatml),
    exercise("02.4", _random_model, view=_class_and_weights,
             cases=((os.fspath(data_path("models/ftlab-1m")),),)),
    exercise("11.1", _eight_bits),
    exercise("11.2", _ask,
             cases=tuple((_endpoint(answer), "mine", _MESSAGES) for answer in _ANSWERS)),
    exercise("11.3", _cost),
    exercise("11.4", _modelfile, view=_directives),
    exercise("13.1", _within, view=("max_steps", "per_device_train_batch_size")),
    exercise("13.2", _leaked, cases=tuple(zip(_INBOX, _INBOX, strict=True))),
    exercise("13.3", _decision),
    exercise("13.4", _facts, view=_fields),
)  # fmt: skip
