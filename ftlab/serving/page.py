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

from ftlab.serving.store import OPEN, Store, job_of

__all__ = ["jobs_part", "whole"]

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
    text = _template().render(
        base=base, url=url, nonce=nonce, jobs=_jobs(store, owner), models=[base, *tuned],
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
    template = _template()
    context = template.new_context({"jobs": _jobs(store, owner)})
    return HTMLResponse("".join(template.blocks["jobs"](context)), headers=_PRIVATE)


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


def _path(points: list[dict[str, Any]], name: str, low: float, high: float) -> str:
    """Return a curve as an SVG path; one point is a short line."""
    made = []
    for one in points[:: max(1, len(points) // WIDE)]:
        x = WIDE * one["step"] / max(1, one["total_steps"])
        y = 5 + (HIGH - 5) * (high - one[name]) / max(1e-9, high - low)
        made.append(f"{x:.1f},{y:.1f}")
    return f"M{' L'.join(made)} h1" if made else ""
