"""What the service keeps: a SQLite file, and beside it files by their hash.

    DIR/service.db               files, jobs, events, models, stored completions
    DIR/files/SHA256             what was uploaded, and results
    DIR/models/JOB               a tuned model; DIR/models/JOB-checkpoints while it is trained
    DIR/models/JOB-step-12       a checkpoint that can be asked

A change is one transaction, and files are whole before their row is there, so that a kill at any
moment leaves the state before or after it. An event's id follows from its job and what it tells:
a job that goes on from a checkpoint tells of a step again, and nothing is doubled.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from openai.types import FileObject, Model
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

from ftlab.errors import DataError
from ftlab.files import sha256

__all__ = ["OPEN", "ORGANIZATION", "Store", "new_id"]

ORGANIZATION = "ftlab"
OPEN = ("validating_files", "queued", "running")  # the states of a job that is not over
SCHEMA = """
pragma journal_mode = wal;
create table if not exists facts (name text primary key, value text not null);
create table if not exists files (
    seq integer primary key, id text not null unique, owner text not null, sha256 text not null,
    filename text not null, bytes integer not null, purpose text not null, kind text,
    created_at integer not null);
create table if not exists jobs (
    seq integer primary key, id text not null unique, owner text not null, status text not null,
    body text not null, plan text not null, starts integer not null default 0, launch text);
create table if not exists events (
    seq integer primary key, id text not null unique, job text not null, body text not null);
create index if not exists events_of on events (job, seq);
create table if not exists models (
    seq integer primary key, id text not null unique, owner text not null, job text not null,
    folder text not null, created_at integer not null, step integer, metrics text);
create table if not exists traces (
    seq integer primary key, id text not null unique, owner text not null, model text not null,
    created_at integer not null, body text not null, messages text not null);
create index if not exists traces_of on traces (owner, seq);
create table if not exists live (
    seq integer primary key, owner text not null, model text not null, note text not null,
    created_at integer not null, withdrawn_at integer);
"""


def new_id(kind: str) -> str:
    """Return an id that nobody guesses: file-…, ftjob-…"""
    return f"{kind}-{secrets.token_hex(12)}"


class _Connection(sqlite3.Connection):
    """One thread's own; closed with the thread, of which Python 3.13 would complain otherwise."""

    def __del__(self) -> None:
        self.close()


class Store:
    """The service's memory, safe for threads and for several processes on one machine."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        self._local = threading.local()
        try:
            for name in ("files", "models"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self._connection().executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"{folder} cannot hold the service's data: {error}.") from error

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "db"):
            db = sqlite3.connect(
                self.folder / "service.db", timeout=30, isolation_level=None,
                check_same_thread=False, factory=_Connection,
            )  # fmt: skip
            db.row_factory = sqlite3.Row
            db.execute("pragma synchronous = full")
            self._local.db = db
        return self._local.db

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self._connection().execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row of a query, None if there is none."""
        return self._connection().execute(sql, values).fetchone()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change several things, or none of them if the block raises."""
        db = self._connection()
        db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            db.rollback()
            raise
        db.commit()

    def fact(self, name: str, value: str) -> str:
        """Return what is kept under a name; the value given is kept if nothing is yet."""
        with self.transaction() as db:
            db.execute("insert or ignore into facts values (?, ?)", (name, value))
        found = self.row("select value from facts where name = ?", name)
        assert found is not None
        return str(found["value"])

    def forget(self, name: str) -> None:
        """Keep nothing more under a name."""
        with self.transaction() as db:
            db.execute("delete from facts where name = ?", (name,))

    def insert(self, db: sqlite3.Connection, table: str, **row: Any) -> None:
        """Add a row, unless one of its id is there."""
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        db.execute(f"insert into {table} ({names}) values ({places}) on conflict do nothing", row)

    def page(
        self, table: str, where: str, values: tuple[Any, ...], after: str | None, limit: int,
        newest_first: bool = True,
    ) -> tuple[list[sqlite3.Row], bool]:  # fmt: skip
        """Return a page of rows behind the one of id `after`, and whether there are more."""
        order, sign = ("desc", "<") if newest_first else ("asc", ">")
        if after is not None:
            where += f" and seq {sign} (select seq from {table} where id = ?)"
            values = (*values, after)
        sql = f"select * from {table} where {where} order by seq {order} limit ?"
        found = self.rows(sql, *values, limit + 1)
        return found[:limit], len(found) > limit

    def live(self, owner: str) -> list[sqlite3.Row]:
        """Return which models `live` has stood for, the one in service last."""
        return self.rows(
            "select live.* from live join models on models.id = live.model and models.owner = "
            "live.owner where live.owner = ? and withdrawn_at is null order by live.seq", owner
        )  # fmt: skip

    # Files.

    def add_file(
        self, owner: str, source: Path, filename: str, purpose: str, kind: str | None,
        db: sqlite3.Connection | None = None,
    ) -> FileObject:  # fmt: skip
        """Keep a file of the same file system; `source` is moved.

        `kind` is sft or dpo, if it is rows to learn; `db` a transaction to be part of.
        """
        with source.open("rb+") as stream:
            os.fsync(stream.fileno())
        size, name = source.stat().st_size, sha256(source)
        made = new_id("file")
        row = {"id": made, "owner": owner, "sha256": name, "filename": filename, "bytes": size,
               "purpose": purpose, "kind": kind, "created_at": int(time.time())}  # fmt: skip
        with contextlib.nullcontext(db) if db is not None else self.transaction() as held:
            # Within the transaction, so that nobody removes the same file at this moment.
            os.replace(source, self.folder / "files" / name)
            self.insert(held, "files", **row)
        return file_of(row)

    def delete_file(self, owner: str, file: str) -> None:
        """Forget a file, and remove it from the disk when nobody has the same."""
        found = self.row("select sha256 from files where id = ? and owner = ?", file, owner)
        if found is None:
            return
        with self.transaction() as db:
            db.execute("delete from files where id = ?", (file,))
        with self.transaction():  # a kill before it leaves a file that is nobody's, not the reverse
            if not self.row("select 1 from files where sha256 = ?", found["sha256"]):
                (self.folder / "files" / found["sha256"]).unlink(missing_ok=True)

    def path_of(self, file: str) -> Path:
        """Return where a file lies."""
        found = self.row("select sha256 from files where id = ?", file)
        if found is None:
            raise DataError(f"The file {file} was deleted.")
        return self.folder / "files" / found["sha256"]

    # Jobs.

    def add_job(
        self, job: FineTuningJob, owner: str, plan: dict[str, Any], most: int, warning: str = ""
    ) -> bool:
        """Queue a job, with the events that say so; False if the owner has `most` open ones.

        `plan` is what the worker needs beside it: base, folder, name. `warning` is one event more.
        """
        with self.transaction() as db:
            sql = "select count(*) from jobs where owner = ? and status in ('queued', 'running')"
            if db.execute(sql, (owner,)).fetchone()[0] >= most:
                return False
            body = job.to_json(indent=None, exclude_unset=False)
            self.insert(db, "jobs", id=job.id, owner=owner, status=job.status, body=body,
                        plan=json.dumps(plan))  # fmt: skip
            self.tell(db, job.id, "created", f"Created fine-tuning job: {job.id}")
            self.tell(db, job.id, "validating", f"Validating training file: {job.training_file}")
            if warning:
                self.tell(db, job.id, "warning", warning, level="warn")
            self.tell(db, job.id, "queued", "Files validated, moving job to queued state")
        return True

    def tell(
        self, db: sqlite3.Connection, job: str, key: str, message: str, *,
        level: Literal["info", "warn", "error"] = "info", data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Add an event to a job, unless it has one of this key."""
        name = hashlib.sha256(f"{job} {key}".encode()).hexdigest()[:24]
        event = FineTuningJobEvent(
            id=f"ftevent-{name}", object="fine_tuning.job.event", created_at=int(time.time()),
            level=level, message=message, data=data if data is not None else {},
            type="metrics" if data is not None else "message",
        )  # fmt: skip
        body = event.to_json(indent=None, exclude_unset=False)
        self.insert(db, "events", id=event.id, job=job, body=body)

    def job(self, name: str, owner: str | None = None) -> FineTuningJob | None:
        """Return a job, None if there is none or it is another owner's."""
        found = self.row("select * from jobs where id = ?", name)
        if found is None or owner not in (None, found["owner"]):
            return None
        return job_of(found)

    def runs(self, name: str) -> str | None:
        """Return the owner of a job that is running, None if it is not, as when cancelled."""
        found = self.row("select owner from jobs where id = ? and status = 'running'", name)
        return None if found is None else found["owner"]

    def change_job(self, db: sqlite3.Connection, name: str, **changes: Any) -> None:
        """Change fields of a job within a transaction."""
        found = self.row("select * from jobs where id = ?", name)
        assert found is not None
        body = json.loads(found["body"]) | changes
        sql = "update jobs set status = ?, body = ? where id = ?"
        db.execute(sql, (changes.get("status", found["status"]), json.dumps(body), name))

    def end_job(
        self, name: str, status: str, message: str, *, level: Literal["info", "error"] = "info",
        error: dict[str, Any] | None = None,
    ) -> bool:  # fmt: skip
        """End a job that is not over, without a model; say whether that was so."""
        with self.transaction() as db:
            found = self.row("select status from jobs where id = ?", name)
            if found is None or found["status"] not in OPEN:
                return False
            now = int(time.time())
            changes = {"status": status, "finished_at": now, "estimated_finish": None}
            self.change_job(db, name, error=error, **changes)
            self.tell(db, name, "end", message, level=level)
        return True

    # Models.

    def delete_model(self, owner: str, name: str) -> None:
        """Forget a tuned model and remove its folder."""
        with self.transaction() as db:
            found = self.row("select folder from models where id = ? and owner = ?", name, owner)
            db.execute("delete from models where id = ? and owner = ?", (name, owner))
        if found is not None:
            shutil.rmtree(self.folder / "models" / found["folder"], ignore_errors=True)


def job_of(row: sqlite3.Row) -> FineTuningJob:
    """Return a row of `jobs` as the protocol's object."""
    return FineTuningJob.model_validate(json.loads(row["body"]) | {"status": row["status"]})


def event_of(row: sqlite3.Row) -> FineTuningJobEvent:
    """Return a row of `events` as the protocol's object."""
    return FineTuningJobEvent.model_validate_json(row["body"])


def file_of(row: Mapping[str, Any] | sqlite3.Row) -> FileObject:
    """Return a row of `files` as the protocol's object."""
    fields = {name: row[name] for name in ("id", "bytes", "created_at", "filename", "purpose")}
    return FileObject.model_validate(fields | {"object": "file", "status": "processed"})


def model_of(row: sqlite3.Row) -> Model:
    """Return a row of `models` as the protocol's object."""
    return Model(id=row["id"], object="model", created=row["created_at"], owned_by=ORGANIZATION)


def checkpoint_of(row: sqlite3.Row) -> FineTuningJobCheckpoint:
    """Return a row of `models` that is a checkpoint as the protocol's object."""
    name = hashlib.sha256(row["id"].encode()).hexdigest()[:24]
    return FineTuningJobCheckpoint(
        id=f"ftckpt_{name}", object="fine_tuning.job.checkpoint", created_at=row["created_at"],
        fine_tuned_model_checkpoint=row["id"], fine_tuning_job_id=row["job"],
        metrics=json.loads(row["metrics"]), step_number=row["step"],
    )  # fmt: skip
