"""The battery: the same prompts to many models or checkpoints, to see when a behaviour appears.

Each answer is checked for the format that its prompt asks for, as a program that reads answers
would do it (`ftlab.evaluation.battery_prompts`). Beside that stand the bits per character that the
model needs for the reference, which fall before the answers change, and the answer's length. Asked
many times at a temperature, the battery says how sure a format is on a model that a prompt is to be
moved to.

>>> prompts = read_prompts()
>>> len(prompts), len({prompt.kind for prompt in prompts})
(60, 10)
"""

import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError, DataError
from ftlab.evaluation.battery_prompts import ALL, Prompt, check, read_prompts
from ftlab.evaluation.generate import Progress, generate
from ftlab.evaluation.intervals import Interval, wilson
from ftlab.files import read_text, sha256, write_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Prompt", "ask", "battery", "failures", "read_prompts", "table"]

IDENTITY = ("*.safetensors", "*config.json", "tokenizer*", "*.jinja")


# Asking.


def ask(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    times: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 200,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Let one model answer.

    Returns:
        The id of each prompt -> `texts` (the answers, `times` of them) and `bits` (that the model
        needs for the reference, None where there is none or the template cannot be masked).

    Raises:
        ConfigError: a value out of range, or many times the same greedy answer.
    """
    _sensible(times, temperature)
    messages = [[{"role": "user", "content": prompt.prompt}] for prompt in prompts]
    texts = generate(
        model, tokenizer, [turns for turns in messages for _ in range(times)],
        max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, progress=progress,
    )  # fmt: skip
    return {
        prompt.id: {
            "texts": texts[i * times : (i + 1) * times],
            "bits": _bits(model, tokenizer, prompt),
        }
        for i, prompt in enumerate(prompts)
    }


def _sensible(times: int, temperature: float) -> None:
    if times < 1:
        raise ConfigError(f"times must be at least 1, got {times}.")
    if times > 1 and not temperature > 0:
        raise ConfigError(
            f"{times} greedy answers to a prompt would all be the same. Ask once, or give a "
            "temperature above 0, such as the one that the prompt will be used with."
        )


def _bits(model: Any, tokenizer: Any, prompt: Prompt) -> float | None:
    """Return -log2 of the reference's probability after the prompt, the end of turn left out.

    Left out, because the reference's characters are what the bits are divided by.
    """
    import torch

    from ftlab.records import Record
    from ftlab.templates import encode, end_of_turn_ids

    if not prompt.reference:
        return None
    try:
        encoded = encode(tokenizer, Record.of(prompt.prompt, prompt.reference))
    except DataError:
        return None
    ids, begin = encoded.input_ids, encoded.loss_mask.index(1)
    ids = ids[:-1] if ids[-1] in end_of_turn_ids(tokenizer) else ids
    if len(ids) > (getattr(model.config, "max_position_embeddings", None) or len(ids)):
        return None
    with torch.inference_mode():
        row = torch.tensor([ids], device=model.device)
        logits = model(input_ids=row).logits[0, begin - 1 : -1].float()
        nats = torch.nn.functional.cross_entropy(logits, row[0, begin:], reduction="sum")
    return float(nats) / math.log(2)


def battery(
    names: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    prompts: str | os.PathLike[str] | None = None,
    times: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 200,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Ask every model, and write `battery.json` and `battery.html` after each.

    A model that is in `battery.json` already, with the same files, is not asked again. A folder
    that holds folders checkpoint-N stands for these, by number, and then itself if it is a model.

    Args:
        names: folders, shipped names or hub ids, in the order in which the page shows them.
        folder: where the two files go.
        prompts: a file of prompts; None for the starter set.
        times: answers to each prompt.
        temperature: 0 is greedy.
        seed: of the sampling.
        max_new_tokens: most tokens in an answer.
        say: is told what happens.

    Returns:
        What `battery.json` holds.

    Raises:
        ModelError: a model cannot be had; all folders are looked at before the first is asked.
        ConfigError: a value out of range, or the folder holds answers to something else.
        DataError: the prompts or an earlier `battery.json` cannot be read.
    """
    from ftlab import models

    _sensible(times, temperature)
    wanted = read_prompts(prompts)
    names = _checkpoints(names)
    here = {name: _identity(models.locate(name)) for name in names}
    asked = [[p.id, p.prompt, p.reference] for p in wanted]
    settings = {
        "times": times, "temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens,
        "prompts": hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
    }  # fmt: skip
    known = _known(Path(folder, "battery.json"), settings)
    for name in names:
        if known.get(name, {}).get("files") == here[name]:
            say(f"{name} has answered already")
            continue
        say(f"{name} answers {len(wanted)} prompts" + (f", {times} times" if times > 1 else ""))
        known[name] = _asked(name, here[name], wanted, settings, say)
        _save(folder, settings, wanted, known, names)
    return _save(folder, settings, wanted, known, names)


def _checkpoints(names: Sequence[str]) -> list[str]:
    """Put the checkpoints of a training run in the place of its folder."""
    found = []
    for name in names:
        folder = Path(name).expanduser()
        steps = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdigit()]
        found += [str(path) for path in sorted(steps, key=lambda path: int(path.name[11:]))]
        itself = any((folder / f"{kind}.json").exists() for kind in ("config", "adapter_config"))
        if itself or not steps:
            found.append(str(name))
    if not found:
        raise ConfigError("There are no models to ask. Name at least one.")
    return list(dict.fromkeys(found))


def _identity(place: Path | str) -> str:
    """Return a hash of what makes the answers of a folder; a hub id stands for itself."""
    if isinstance(place, str):
        return place
    files = {file for pattern in IDENTITY for file in place.glob(pattern) if file.is_file()}
    parts = "".join(f"{file.name} {sha256(file)}\n" for file in sorted(files))
    return hashlib.sha256(parts.encode()).hexdigest()


def _known(path: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the models of an earlier battery with the same settings."""
    if not path.exists():
        return {}
    try:
        held = json.loads(read_text(path))
        before, models = held["settings"], {model["name"]: model for model in held["models"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a battery's file ({error}). Choose another folder."
        ) from None
    if differs := [key for key in settings if before.get(key) != settings[key]]:
        raise ConfigError(
            f"{path} holds answers to another battery ({', '.join(differs)} differ). Choose "
            "another folder, or remove that file."
        )
    return models


def _asked(
    name: str, files: str, prompts: Sequence[Prompt], settings: dict[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Load one model, let it answer, and let go of it."""
    from ftlab import hardware, models

    model, tokenizer = models.load(name)
    begun = time.perf_counter()
    answers = ask(
        model, tokenizer, prompts, times=settings["times"], temperature=settings["temperature"],
        seed=settings["seed"], max_new_tokens=settings["max_new_tokens"],
        progress=lambda done, total, left: say(f"  {done} of {total}, {left:.0f} s left"),
    )  # fmt: skip
    return {
        "name": name, "files": files, "seconds": round(time.perf_counter() - begun, 2),
        "device": str(model.device), "dtype": str(model.dtype).removeprefix("torch."),
        "versions": hardware.versions(), "answers": answers,
    }  # fmt: skip


# Summing up.


def _save(
    folder: str | os.PathLike[str], settings: dict[str, Any], prompts: Sequence[Prompt],
    known: dict[str, dict[str, Any]], names: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Mark the answers and write both files; models of earlier calls stand first."""
    from ftlab.evaluation.battery_page import page

    order = [*(name for name in known if name not in names), *(n for n in names if n in known)]
    labels = [Path(name).name for name in order]
    models = []
    for name, label in zip(order, labels, strict=True):
        model = {**known[name], "label": label if labels.count(label) == 1 else name}
        for prompt in prompts:
            given = model["answers"][prompt.id]
            given["wrong"] = [_wrong(prompt, text) for text in given["texts"]]
            given["kept"] = _share(given["wrong"].count(""), len(given["wrong"]), prompt)
        kinds = [*dict.fromkeys(prompt.kind for prompt in prompts), ALL]
        model["kinds"] = {
            kind: _kind([p for p in prompts if kind in (p.kind, ALL)], model["answers"])
            for kind in kinds
        }
        models.append(model)
    rows = [{**asdict(prompt), "format": list(prompt.format)} for prompt in prompts]
    data = {"settings": settings, "prompts": rows, "models": models}
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(Path(folder, "battery.json"), text, overwrite=True)
    write_text(Path(folder, "battery.html"), page(data), overwrite=True)
    return data


def _wrong(prompt: Prompt, text: str) -> str:
    """Return why an answer does not keep the formats, "" if it does."""
    return next((why for name in prompt.format if (why := check(name, text))), "")


def _share(kept: int, n: int, prompt: Prompt) -> dict[str, Any] | None:
    return _figure(wilson(kept, n), kept, n) if prompt.format else None


def _figure(share: Interval, kept: int, of: int) -> dict[str, Any]:
    return {"kept": kept, "of": of, **share._asdict()}


def _kind(prompts: Sequence[Prompt], answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sum up the prompts of a kind.

    The interval of the share counts each prompt once, however often it was asked: answers to one
    prompt resemble each other, and further prompts are what it speaks of.
    """
    shares = [answers[p.id]["kept"] for p in prompts if p.format]
    costs = [(answers[p.id]["bits"], len(p.reference or "")) for p in prompts]
    known = [(bits, n) for bits, n in costs if bits is not None]
    bits = sum(bits for bits, _ in known)
    words = [len(text.split()) for p in prompts for text in answers[p.id]["texts"]]
    kept = sum(share["kept"] for share in shares)
    of = sum(share["of"] for share in shares)
    interval = wilson(kept / of * len(shares), len(shares)) if shares else None
    return {
        "prompts": len(prompts),
        "format": _figure(interval, kept, of) if interval else None,
        "bits_per_character": bits / sum(n for _, n in known) if known else None,
        "words": sum(words) / len(words),
    }  # fmt: skip


def table(data: dict[str, Any]) -> "Table":
    """Return the figures by kind as a rich table, models across."""
    from rich import box
    from rich.table import Table

    made = Table(
        caption="Answers that kept the format [95 % interval];\nbits per character of the "
        "reference, lower is better; words in an answer.",
        box=box.SIMPLE, caption_justify="left", padding=(0, 1, 0, 0),
    )  # fmt: skip
    made.add_column("kind")
    for model in data["models"]:
        made.add_column(model["label"], justify="right")
    for kind in data["models"][0]["kinds"]:
        cells = []
        for model in data["models"]:
            row = model["kinds"][kind]
            share, bits = row["format"], row["bits_per_character"]
            kept = f"{share['kept']} of {share['of']}" if share else "–"
            span = f" [{share['low']:.2f}–{share['high']:.2f}]" if share else ""
            shown = "–" if bits is None else f"{bits:.2f}"
            cells.append(f"{kept}{span}\n{shown} bits, {row['words']:.0f} words")
        made.add_row(kind, *cells, style="bold" if kind == ALL else None)
    return made


def failures(data: dict[str, Any]) -> list[str]:
    """Return a line for each prompt and model of which an answer broke the format, worst first."""
    found = []
    for model in data["models"]:
        for prompt in data["prompts"]:
            given = model["answers"][prompt["id"]]
            share = given["kept"]
            if share and share["kept"] < share["of"]:
                why, n = Counter(filter(None, given["wrong"])).most_common(1)[0]
                most = f"{n} × " if share["of"] > 1 else ""
                found.append((share["value"], (
                    f"{model['label']}, {prompt['id']}: {share['kept']} of {share['of']} "
                    f"[{share['low']:.2f}, {share['high']:.2f}]: {most}{why}"
                )))  # fmt: skip
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]
