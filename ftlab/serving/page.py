"""The page at /: jobs with their curves, models, and two of them side by side.

It is rendered here and asks for nothing outside; its script redraws the jobs and streams answers.
"""

import functools
import json
import secrets
import time
from importlib.resources import files
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse

from ftlab import data
from ftlab.errors import DataError
from ftlab.serving.drift import drift
from ftlab.serving.loop import question
from ftlab.serving.store import OPEN, Store, job_of

SHOWN = 20  # the newest jobs
WIDE, HIGH = 600, 105


@functools.cache
def _template() -> Any:
    import jinja2

    text = files("ftlab.serving").joinpath("page.html").read_text("utf-8")
    return jinja2.Environment(autoescape=True).from_string(text)


def whole(store: Store, owner: str, base: str, url: str) -> Response:
    """Return the page of one owner."""
    nonce = secrets.token_hex(16)
    found = store.rows("select id, step from models where owner = ? order by seq", owner)
    tuned = [row["id"] for row in found if row["step"] is None]
    live = store.live(owner)
    text = _template().render(
        base=base, url=url, nonce=nonce, jobs=_jobs(store, owner), models=[base, *tuned],
        traces=_traces(store, owner), live=live[-1]["model"] if live else base,
        drift=_drift(store, owner, live[-1]["model"]) if live else "",
        choices=[base, *(row["id"] for row in found if row["step"] is not None), *tuned],
    )  # fmt: skip
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    return HTMLResponse(text, headers={"content-security-policy": policy} | _PRIVATE)


def jobs_part(store: Store, owner: str) -> Response:
    """Return the list of jobs alone, to be put in its place."""
    return _part("jobs", _jobs(store, owner))


def traces_part(store: Store, owner: str, model: str, label: str, text: str) -> Response:
    """Return the list of the traces that a filter leaves."""
    return _part("traces", _traces(store, owner, model, label, text))


def _part(name: str, shown: Any) -> Response:
    template = _template()
    context = template.new_context({name: shown})
    return HTMLResponse("".join(template.blocks[name](context)), headers=_PRIVATE)


_PRIVATE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


def _jobs(store: Store, owner: str) -> list[dict[str, Any]]:
    """Return what the page shows of each job."""
    shown = []
    for row in store.page("jobs", "owner = ?", (owner,), None, SHOWN)[0]:
        job = job_of(row)
        told = [json.loads(one["body"])["data"] for one in store.rows(
            "select body from events where job = ? order by seq", job.id)]  # fmt: skip
        steps = [one for one in told if "train_loss" in one]
        valid = [one for one in told if "full_valid_loss" in one]
        last = steps[-1] if steps else {}
        losses = [one["train_loss"] for one in steps] + [one["full_valid_loss"] for one in valid]
        low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
        end = job.estimated_finish
        shown.append({
            "id": job.id, "name": job.fine_tuned_model or f"{job.model} → {job.id}",
            "status": job.status, "open": job.status in OPEN, "low": low, "high": high,
            "left": max(0, end - int(time.time())) if end and job.status == "running" else None,
            "step": last.get("step"), "total": last.get("total_steps"),
            "loss": last.get("train_loss"), "first": steps[0]["train_loss"] if steps else None,
            "error": job.error.message if job.error else "",
            "path": _path(steps, "train_loss", low, high),
            "valid": _path(valid, "full_valid_loss", low, high),
        })  # fmt: skip
    return shown


def _traces(
    store: Store, owner: str, model: str = "", label: str = "", text: str = ""
) -> list[dict[str, Any]]:
    """Return what the page shows of the newest traces."""
    where, values = "owner = ?", [owner]
    if model:
        where, values = where + " and model = ?", [*values, model]
    if label:
        where += " and coalesce(json_extract(body, '$.metadata.label'), 'none') = ?"
        values.append(label)
    if text:
        within = "exists (select 1 from json_tree({}) where instr(lower(atom), lower(?)))"
        where += f" and ({within.format('messages')} or {within.format('body')})"
        values += [text, text]
    return [
        {"id": row["id"], "model": row["model"], "user": question(json.loads(row["messages"])),
         "answer": body["choices"][0]["message"]["content"] or "(a call of a tool)",
         "metadata": body.get("metadata") or {}}
        for row in store.page("traces", where, tuple(values), None, SHOWN)[0]
        for body in [json.loads(row["body"])]
    ]  # fmt: skip


def _drift(store: Store, owner: str, model: str) -> str:
    """Say whether what a model is asked is still like what it was trained on."""
    job = store.row("select jobs.body from jobs join models on models.job = jobs.id "
                    "where models.id = ?", model)  # fmt: skip
    file = job and json.loads(job["body"])["training_file"]
    place = store.row("select sha256 from files where id = ?", file)
    seen = store.row("select max(seq) as n from traces where owner = ? and model = ?", owner, model)
    if place is None or seen is None:
        return ""
    return _compared(store, owner, model, place["sha256"], seen["n"])


@functools.lru_cache(64)
def _compared(store: Store, owner: str, model: str, file: str, seen: int) -> str:
    sql = "select messages from traces where owner = ? and model = ? order by seq desc limit 1000"
    asked = [question(json.loads(row["messages"])) for row in store.rows(sql, owner, model)][::-1]
    try:
        rows = data.read(store.folder / "files" / file)
        return str(drift([question(data.prompt(row)) for row in rows], asked))
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
