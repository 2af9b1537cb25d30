"""A whole comparison: load each model once, let its systems answer, and write the verdict.

This is `ftlab compare`. Answers are kept in the folder as they come (`answers/`), under the hash of
the model's weights, the prompts and the limit: a comparison that was broken off, or gets one more
system, goes on from there. Behind an endpoint each answer is kept under the hash of its request.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import AnswerCache
from ftlab.endpoint import connect
from ftlab.errors import ConfigError
from ftlab.evaluation import forgetting, words
from ftlab.evaluation import systems as ways
from ftlab.evaluation.compare import NO_RECORDS, Verdict, compare
from ftlab.evaluation.costs import Prices, costs, prices
from ftlab.evaluation.systems import Answers, System
from ftlab.files import write_text
from ftlab.tasks import Task


def contest(
    task: Task, records: "Sequence[data.Row]", systems: Sequence[System], *,
    train_records: "Sequence[data.Row]" = (), table: Prices | None = None,
    max_new_tokens: int = 256, batch_size: int = 32, seed: int = 0,
    folder: str | os.PathLike[str] | None = None, say: Callable[[str], None] = lambda line: None,
) -> Verdict:  # fmt: skip
    """Let every system answer the same held-out records, and compare them.

    Args:
        task: what is asked, and how an answer is marked.
        records: the held-out records.
        systems: who answers, the baseline of all comparisons first (see `lineup`).
        train_records: what a baseline without a language model learns from.
        table: prices; by default the examples in `prices.json`.
        max_new_tokens: most tokens in an answer.
        batch_size: prompts per batch.
        seed: of the bootstrap.
        folder: where answers are kept, to go on from if it is broken off; None keeps none.
        say: called with each line of progress.

    Raises:
        ConfigError: two systems have one name, or a prompt does not fit a model.
        ModelError: a model cannot be found or read, or an endpoint does not answer.
        OfflineError: an endpoint cannot be reached.
    """
    from ftlab import models

    names = [system.name for system in systems]
    if len(set(names)) < len(names) or not names:
        raise ConfigError(f"Systems with a name of their own are wanted, got {names}.")
    if not records:
        raise ConfigError(NO_RECORDS)
    given: dict[str, Answers] = {}
    general: dict[str, Any] = {}
    made: dict[str, str] = {}
    device = ""
    told = lambda done, total, left: say(f"  {done} of {total}, {left:.0f} s left")
    for name in dict.fromkeys(system.model for system in systems):
        mine = [system for system in systems if system.model == name]
        if name is None:
            for system in mine:
                say(f"{system.name} learns from {len(train_records)} records")
                given[system.name] = ways.answer_baseline(system, task, train_records, records)
            continue
        if place := ways.at_endpoint(name):
            url, model_name = place
            teacher = connect(model_name, base_url=url, answer_tokens=max_new_tokens, temperature=0)
            made[name] = f"{model_name} at {url}"
            label = hashlib.sha256(url.encode()).hexdigest()[:8]
            path = Path(folder, "answers", f"endpoint-{label}.jsonl") if folder else None
            for system in mine:
                say(f"{system.name} answers {len(records)} records")
                given[system.name] = ways.answer_at_endpoint(
                    system, teacher, records, cache=AnswerCache(path) if path else None,
                    progress=told,
                )  # fmt: skip
            continue
        made[name] = _identity(name)
        model, tokenizer = models.load(name)
        device = f"{model.device}, {str(model.dtype).removeprefix('torch.')}"

        def ask(system: System, rows: "Sequence[data.Row]") -> Answers:
            say(f"{system.name} answers {len(rows)} records")
            return ways.answer(
                system, model, tokenizer, rows, max_new_tokens=max_new_tokens,  # noqa: B023
                batch_size=batch_size, progress=told,
            )  # fmt: skip

        for system in mine:
            given[system.name] = _kept(folder, system, records, made[name], max_new_tokens, ask)
        general[name] = forgetting.bits_per_character(
            model, tokenizer, [text for _, text in forgetting.general_text()]
        )
    given = {name: given[name] for name in names}
    table = table or prices()
    lost = {"general": forgetting.forgotten(general, seed=seed)} if general else {}
    verdict = compare(
        task, records, {name: answers.texts for name, answers in given.items()}, seed=seed,
        provenance={
            "models": made, "asked": {c.name: _asked(c) for c in systems}, "device": device,
            "generation": {"max_new_tokens": max_new_tokens, "batch_size": batch_size,
                           "decoding": "greedy"},
        },
        costs={"prices": table.model_dump(mode="json"), "systems": costs(given, table)},
        forgetting=lost,
    )  # fmt: skip
    return replace(verdict, remarks=[*words.unfinished(given), *verdict.remarks])


def _identity(name: str) -> str:
    """Return what tells a model's weights from others: the folder's SHA-256, or the hub id."""
    from ftlab import models
    from ftlab.files import sha256

    place = models.locate(name)
    if isinstance(place, Path):  # a card tells of the model, and is written to after a verdict
        return f"sha256 {sha256(place, skip=('README.md',))}"
    return f"{place} on the hub"


def _asked(system: System) -> dict[str, Any]:
    """Return how a system was asked, for the provenance."""
    told: dict[str, Any] = {"model": system.model or "none", "kind": system.kind}
    if system.instructions:
        told["instructions"] = system.instructions
    if system.few_shot_examples:
        pairs = [(data.prompt(shot)[-1], data.answer(shot)) for shot in system.few_shot_examples]
        told["examples"] = [f"{asked['content']} -> {answer}" for asked, answer in pairs]
    return told


def _kept(
    folder: str | os.PathLike[str] | None, system: System, rows: "Sequence[data.Row]",
    identity: str, max_new_tokens: int, ask: "Callable[[System, Sequence[data.Row]], Answers]",
) -> Answers:  # fmt: skip
    """Return the answers from the folder if they are there; else ask, and keep them."""
    if folder is None:
        return ask(system, rows)
    prompts = [system.asks(data.prompt(row)) for row in rows]
    more = [{k: row[k] for k in ("tools", ways.OPTIONS) if row.get(k)} for row in rows]
    key = json.dumps([identity, prompts, max_new_tokens, *([more] if any(more) else [])])
    path = Path(folder, "answers", hashlib.sha256(key.encode()).hexdigest()[:16] + ".json")
    fields = ("texts", "tokens_in", "tokens_out", "seconds", "cut")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Answers(system, *(kept[field] for field in fields))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not ours: ask
    found = ask(system, rows)
    text = json.dumps({field: getattr(found, field) for field in fields}, ensure_ascii=False)
    write_text(path, text + "\n", overwrite=True)
    return found
