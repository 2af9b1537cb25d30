"""The page at /: jobs with their curves, models, and two of them side by side.

It is rendered here and asks for nothing outside. Its script asks for it again, with what the
filter of traces says, and puts the new lists of jobs and traces in their places.
"""

import functools
import secrets
from importlib.resources import files
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse

from ftlab import data
from ftlab.errors import DataError
from ftlab.serving.drift import drift
from ftlab.serving.loop import question
from ftlab.serving.store import OF_MODEL, OPEN, Store, Stored, now

SHOWN = 20  # the newest jobs, and traces
WIDE, HIGH = 600, 105


@functools.cache
def _template() -> Any:
    import jinja2

    text = files("ftlab.serving").joinpath("page.html").read_text("utf-8")
    return jinja2.Environment(autoescape=True).from_string(text)


def page(
    store: Store, owner: str, base: str, url: str, model: str = "", label: str = "", text: str = ""
) -> Response:
    """Return the page of one owner, with the traces that model, label and text leave."""
    nonce = secrets.token_hex(16)
    tuned = [one.id for one in store.find("model", owner)]
    steps = [one.body["fine_tuned_model_checkpoint"] for one in store.find("checkpoint", owner)]
    history = store.live(owner)
    live = history[-1]["model"] if history else base
    shown = _template().render(
        base=base, url=url, nonce=nonce, models=[base, *tuned], choices=[base, *steps, *tuned],
        jobs=[_job(store, job) for job in store.find("job", owner, limit=SHOWN, newest=True)],
        traces=_traces(store, owner, model, label, text), live=live,
        drift=_drift(store, owner, live) if history else "",
    )  # fmt: skip
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    return HTMLResponse(shown, headers={
        "content-security-policy": policy, "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    })  # fmt: skip


def _job(store: Store, job: Stored) -> dict[str, Any]:
    """Return what the page shows of a job."""
    body = job.body
    told = [event.body["data"] for event in store.find("event", job=job.id)]
    steps = [one for one in told if "train_loss" in one]
    valid = [one for one in told if "full_valid_loss" in one]
    losses = [one["train_loss"] for one in steps] + [one["full_valid_loss"] for one in valid]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    last, end = steps[-1] if steps else {}, body["estimated_finish"]
    return {
        "id": job.id, "name": body["fine_tuned_model"] or f"{body['model']} → {job.id}",
        "status": body["status"], "open": body["status"] in OPEN, "low": low, "high": high,
        "left": max(0, end - now()) if end and body["status"] == "running" else None,
        "step": last.get("step"), "total": last.get("total_steps"),
        "loss": last.get("train_loss"), "first": steps[0]["train_loss"] if steps else None,
        "error": (body["error"] or {}).get("message"),
        "path": _path(steps, "train_loss", low, high),
        "valid": _path(valid, "full_valid_loss", low, high),
    }  # fmt: skip


def _traces(store: Store, owner: str, model: str, label: str, text: str) -> list[dict[str, Any]]:
    """Return what the page shows of the newest traces."""
    asked = {
        OF_MODEL: model,
        "coalesce(json_extract(body, '$.metadata.label'), 'none') = ?": label,
        "exists (select 1 from json_tree(json_array(json(body), json(own))) "
        "where instr(lower(atom), lower(?)))": text,
    }
    given = {where: value for where, value in asked.items() if value}
    where = " and ".join(["1", *given])
    return [
        {"id": one.id, "model": one.body["model"], "user": question(one.own["messages"]),
         "answer": one.body["choices"][0]["message"]["content"] or "(a call of a tool)",
         "metadata": one.body["metadata"] or {}}
        for one in store.find("trace", owner, where, *given.values(), limit=SHOWN, newest=True)
    ]  # fmt: skip


def _drift(store: Store, owner: str, model: str) -> str:
    """Say whether what a model is asked is still like what it was trained on."""
    tuned = store.model(owner, model)
    job = store.get("job", tuned.job or "") if tuned is not None else None
    file = store.get("file", job.body["training_file"]) if job is not None else None
    newest = store.find("trace", owner, OF_MODEL, model, limit=1, newest=True)
    if file is None:
        return ""
    return _compared(store, owner, model, file.own["sha256"], newest[0].id if newest else "")


@functools.lru_cache(64)
def _compared(store: Store, owner: str, model: str, file: str, newest: str) -> str:
    """Compare up to 1,000 traces with a file; done once for each `newest` trace."""
    found = store.find("trace", owner, OF_MODEL, model, limit=1000, newest=True)
    texts = [question(trace.own["messages"]) for trace in found[::-1]]
    try:
        rows = data.read(store.folder / "files" / file)
        return str(drift([question(data.prompt(row)) for row in rows], texts))
    except DataError as error:  # too few, or preferences
        return str(error)


def _path(points: list[dict[str, Any]], name: str, low: float, high: float) -> str:
    """Return a curve as an SVG path; one point is a short line."""
    made = []
    for one in points[:: max(1, len(points) // WIDE)]:
        x = WIDE * one["step"] / max(1, one["total_steps"])
        y = 5 + (HIGH - 5) * (high - one[name]) / max(1e-9, high - low)
        made.append(f"{x:.1f},{y:.1f}")
    return f"M{' L'.join(made)} h1" if made else ""
