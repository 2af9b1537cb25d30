"""Files of rows, and jobs on them: both are examined before anything is kept.

{"messages": [...]}                                                          supervised
{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}   dpo
"""

import os
from pathlib import Path
from typing import Any

from openai.types.fine_tuning import FineTuningJob

from ftlab import data
from ftlab.curation.doctor import examine
from ftlab.curation.findings import SHOWN
from ftlab.errors import DataError
from ftlab.serving.protocol import Dpo, JobRequest, Method, Refused, Supervised, too_many
from ftlab.serving.service import Service
from ftlab.serving.store import ORGANIZATION, UNDER_WAY, new_id, now

PREFERENCE = {"preferred_output": "chosen", "non_preferred_output": "rejected"}


def examined(path: Path) -> str:
    """Return what kind of training file this is: sft or dpo.

    Raises:
        DataError: it is not fit to be trained on; the text has the number of each bad line.
    """
    report = examine(path)
    bad = [found for found in report.findings if found.severity == "error"]
    checks = [found.check for found in bad]
    if "unknown_format" in checks and '"preferred_output"' in next(data.lines(path))[1]:
        preferences(path)
        return "dpo"
    faults = []
    for found in bad:
        lines = ", ".join(map(str, found.lines[:SHOWN]))
        more = f" and {len(found.lines) - SHOWN} more" if len(found.lines) > SHOWN else ""
        where = f"Line{'s' * (found.count > 1)} {lines}{more}: " if lines else ""
        detail = f" {found.detail}" if found.detail else ""
        faults.append(f"{where}{found.what}.{detail} {found.mend}")
    if faults:
        raise DataError("\n".join(["Invalid file format.", *faults]))
    return "sft"


def preferences(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read preferences in OpenAI's form as rows of prompt, chosen and rejected.

    Raises:
        DataError: lines are none; the text has their numbers.
    """
    return data.gather(path, data.lines(path), _preference)


def _preference(row: Any) -> dict[str, Any]:
    wanted = ("input", *PREFERENCE)
    if not isinstance(row, dict) or set(wanted) - set(row):
        raise DataError(f"an object with {', '.join(wanted)} is wanted")
    given = row["input"]
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        raise DataError("input needs messages, a list")
    if given.get("tools"):
        raise DataError("tools are not supported in preferences")
    made: dict[str, Any] = {}
    for name, answer in PREFERENCE.items():
        if not isinstance(row[name], list):
            raise DataError(f"{name} must be a list of messages")
        checked = data.check({"prompt": given["messages"], "completion": row[name]})
        made |= {"prompt": checked["prompt"], answer: checked["completion"]}
    if made["chosen"] == made["rejected"]:
        raise DataError("both answers are the same, so that nothing is preferred")
    return made


def create(service: Service, owner: str, asked: JobRequest) -> dict[str, Any]:
    """Queue a job, with the events that say so; return it in the protocol's form.

    Raises:
        Refused: a model, file or setting is not there, or does not fit; too many jobs are open.
    """
    store = service.store
    tuned = service.model(owner, asked.model)
    method = asked.method or Method(type="supervised")
    dpo = method.type == "dpo"
    if (method.supervised if dpo else method.dpo) is not None:
        raise Refused(400, f"The method is {method.type}.", param="method")
    if asked.hyperparameters is not None and asked.method is not None:
        raise Refused(400, "Give hyperparameters or method, not both.", param="hyperparameters")
    paths = []
    for param in ("training_file", "validation_file"):
        if (file := getattr(asked, param)) is None:
            continue
        kind = service.get("file", file, owner, param).own["kind"]
        if kind != ("dpo" if dpo else "sft"):
            raise Refused(
                400, f"{file} holds {'preferences' if kind == 'dpo' else 'no preferences'}, and "
                f"the method is {method.type}.", param=param, code="invalid_file_format",
            )  # fmt: skip
        paths.append(store.path_of(file))
    if len(set(paths)) < len(paths):
        raise Refused(400, "The validation file is the training file.", param="validation_file")
    with paths[0].open("rb") as stream:
        rows = sum(bool(line.strip()) for line in stream)
    usual = {
        "batch_size": max(1, min(8, rows)), "learning_rate_multiplier": 1.0, "beta": 0.1,
        "n_epochs": 3 if rows <= 300 else 2 if rows <= 1000 else 1,
    }  # fmt: skip
    given = (method.dpo if dpo else method.supervised) or (Dpo() if dpo else Supervised())
    settings = (asked.hyperparameters or given.hyperparameters).model_dump()
    settings = {k: usual[k] if v == "auto" else v for k, v in settings.items()}
    id = new_id("ftjob")
    job = FineTuningJob.model_validate({
        "id": id, "object": "fine_tuning.job", "created_at": now(), "status": "queued",
        "model": service.named(owner, asked.model), "organization_id": ORGANIZATION,
        "seed": int.from_bytes(os.urandom(4), "big") >> 1 if asked.seed is None else asked.seed,
        "training_file": asked.training_file, "validation_file": asked.validation_file,
        "result_files": [], "integrations": [], "metadata": asked.metadata,
        "hyperparameters": {k: v for k, v in settings.items() if k != "beta"},
        "method": {"type": method.type, method.type: {"hyperparameters": settings}},
    })  # fmt: skip
    plan: dict[str, Any] = {  # what the worker needs beside it
        "base": service.base, "folder": tuned and tuned.own["folder"], "starts": 0,
        "name": f"ft:{service.base}:{ORGANIZATION}:{asked.suffix or ''}:{id[-8:]}",
    }  # fmt: skip
    with store.transaction():
        most = service.limits.jobs
        if len(store.find("job", owner, UNDER_WAY)) >= most:
            raise too_many(f"{most} of your jobs wait or run. Cancel one, or wait.", 30)
        body = store.add("job", owner, job, **plan)
        store.tell(id, "created", f"Created fine-tuning job: {id}")
        store.tell(id, "validating", f"Validating training file: {asked.training_file}")
        if rows < 10:
            text = f"{rows} examples: a provider wants at least 10."
            store.tell(id, "warning", text, level="warn")
        store.tell(id, "queued", "Files validated, moving job to queued state")
    return body
