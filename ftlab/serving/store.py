"""What the service keeps: a SQLite file, and beside it files by their hash.

    DIR/objects.db               files, jobs, events, checkpoints, models, stored completions
    DIR/files/SHA256             what was uploaded, and results
    DIR/models/JOB               a tuned model; DIR/models/JOB-checkpoints while it is trained
    DIR/models/JOB-step-12       a checkpoint that can be asked

An object is one row: `body` is what a client gets, in OpenAI's form, and `own` what it does not
get, such as a file's hash or a job's plan. A change is one transaction, and files are whole before
their row is there, so that a kill at any moment leaves the state before or after it. An event's id
follows from its job and what it tells: a job that goes on from a checkpoint tells of a step again,
and nothing is doubled.
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
from typing import Any, Literal, NamedTuple

from openai import BaseModel
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJobEvent

from ftlab.errors import DataError
from ftlab.files import sha256
from ftlab.serving.protocol import fields, plain

__all__ = ["OF_MODEL", "OPEN", "ORGANIZATION", "STATUS", "UNDER_WAY", "Store", "Stored", "new_id",
           "now"]  # fmt: skip

ORGANIZATION = "ftlab"
OPEN = ("validating_files", "queued", "running")  # the states of a job that is not over
STATUS = "json_extract(body, '$.status')"  # of a job, in SQL
UNDER_WAY = f"{STATUS} in ('queued', 'running')"
OF_MODEL = "json_extract(body, '$.model') = ?"  # of a stored completion
SCHEMA = """
pragma journal_mode = wal;
create table if not exists objects (
    seq integer primary key, id text not null unique, kind text not null, owner text not null,
    job text, body text not null, own text not null);
create index if not exists objects_of on objects (kind, owner, job, seq);
create index if not exists objects_of_job on objects (job, kind, seq);
"""


class Stored(NamedTuple):
    """An object that is kept."""

    id: str
    owner: str
    job: str | None  # that it belongs to
    body: dict[str, Any]
    own: dict[str, Any]


def new_id(kind: str) -> str:
    """Return an id that nobody guesses: file-…, ftjob-…"""
    return f"{kind}-{secrets.token_hex(12)}"


def now() -> int:
    """Return the time as the protocol tells it, in whole seconds."""
    return int(time.time())


def _text(value: Mapping[str, Any]) -> str:
    return str(plain(json.dumps(value, ensure_ascii=False)))


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
                self.folder / "objects.db", timeout=30, isolation_level=None,
                check_same_thread=False, factory=_Connection,
            )  # fmt: skip
            db.execute("pragma synchronous = full")
            self._local.db = db
        return self._local.db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of this thread in the block, or none of them if it raises."""
        db = self._connection()
        if db.in_transaction:  # a part of a larger one
            yield
            return
        db.execute("begin immediate")
        try:
            yield
        except BaseException:
            db.rollback()
            raise
        db.commit()

    # Any object.

    def sql(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        return self._connection().execute(sql, values).fetchall()

    def find(
        self, kind: str, owner: str | None = None, where: str = "1", *values: Any,
        job: str | None = None, after: str | None = None, limit: int = -1, newest: bool = False,
    ) -> list[Stored]:  # fmt: skip
        """Return objects, the oldest or the newest first.

        Args:
            kind: file, job, event, checkpoint, model, trace and the like.
            owner: whose; None for everybody's.
            where, values: a further condition in SQL, with the values of its question marks.
            job: the job that they belong to, if to one.
            after: the id of the object behind which they begin.
            limit: most of them; -1 for all.
            newest: the newest first.
        """
        order, sign = ("desc", "<") if newest else ("asc", ">")
        asked: dict[str, Any] = {"kind = ?": kind}
        asked |= {"owner = ?": owner} if owner is not None else {}
        asked |= {"job = ?": job} if job is not None else {}
        if after is not None:
            asked[f"seq {sign} (select seq from objects where id = ?)"] = after
        found = self.sql(
            f"select id, owner, job, body, own from objects where {' and '.join(asked)} "
            f"and {where} order by seq {order} limit ?", *asked.values(), *values, limit,
        )  # fmt: skip
        return [Stored(*row[:3], *map(json.loads, row[3:])) for row in found]

    def get(self, kind: str, id: str, owner: str | None = None) -> Stored | None:
        """Return the object of an id, None if there is none or it is another owner's."""
        return next(iter(self.find(kind, owner, "id = ?", id)), None)

    def add(
        self, kind: str, owner: str, body: BaseModel | Mapping[str, Any],
        job: str | None = None, /, **own: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Keep an object, unless one of its id is kept; return its body."""
        held = fields(body) if isinstance(body, BaseModel) else dict(body)
        sql = "insert or ignore into objects (id, kind, owner, job, body, own) values (?,?,?,?,?,?)"
        self.sql(sql, held["id"], kind, owner, job, _text(held), _text(own))
        return held

    def change(self, kept: Stored, *, own: Mapping[str, Any] | None = None, **body: Any) -> None:
        """Change fields of an object that was read in the same transaction."""
        sql = "update objects set body = ?, own = ? where id = ?"
        self.sql(sql, _text(kept.body | body), _text(kept.own | dict(own or {})), kept.id)

    def drop(self, id: str) -> None:
        """Forget an object."""
        self.sql("delete from objects where id = ?", id)

    # Files.

    def add_file(
        self, owner: str, source: Path, filename: str,
        purpose: Literal["fine-tune", "fine-tune-results"], kind: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Keep a file of the same file system, which is moved; `kind` is sft or dpo, if rows."""
        with source.open("rb+") as stream:
            os.fsync(stream.fileno())
        digest = sha256(source)
        made = FileObject(
            id=new_id("file"), bytes=source.stat().st_size, created_at=now(), filename=filename,
            object="file", purpose=purpose, status="processed",
        )  # fmt: skip
        with self.transaction():  # so that nobody removes the same file at this moment
            os.replace(source, self.folder / "files" / digest)
            return self.add("file", owner, made, sha256=digest, kind=kind)

    def delete_file(self, file: Stored) -> None:
        """Forget a file, and remove it from the disk when nobody has the same."""
        self.drop(file.id)
        with self.transaction():  # a kill before it leaves a file that is nobody's, not the reverse
            same = "json_extract(own, '$.sha256') = ?"
            if not self.find("file", None, same, file.own["sha256"]):
                (self.folder / "files" / file.own["sha256"]).unlink(missing_ok=True)

    def path_of(self, file: str) -> Path:
        """Return where a file lies."""
        found = self.get("file", file)
        if found is None:
            raise DataError(f"The file {file} was deleted.")
        return self.folder / "files" / str(found.own["sha256"])

    # Jobs.

    def tell(
        self, job: str, key: str, message: str, *,
        level: Literal["info", "warn", "error"] = "info", data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Add an event to a job, unless it has one of this key."""
        name = hashlib.sha256(f"{job} {key}".encode()).hexdigest()[:24]
        event = FineTuningJobEvent(
            id=f"ftevent-{name}", object="fine_tuning.job.event", created_at=now(), level=level,
            message=message, data=data if data is not None else {},
            type="metrics" if data is not None else "message",
        )  # fmt: skip
        self.add("event", "", event, job)

    def running(self, job: str) -> Stored | None:
        """Return a job that is running, None if it is not, as when it was cancelled."""
        found = self.get("job", job)
        return found if found is not None and found.body["status"] == "running" else None

    def end_job(
        self, job: str, status: str, message: str, *, level: Literal["info", "error"] = "info",
        error: dict[str, Any] | None = None,
    ) -> bool:  # fmt: skip
        """End a job that is not over, without a model; say whether that was so."""
        with self.transaction():
            found = self.get("job", job)
            if found is None or found.body["status"] not in OPEN:
                return False
            self.change(found, status=status, finished_at=now(), estimated_finish=None, error=error)
            self.tell(job, "end", message, level=level)
        return True

    # Models.

    def model(self, owner: str, name: str) -> Stored | None:
        """Return an owner's tuned model, or the checkpoint that is asked by this name."""
        asked = "json_extract(body, '$.fine_tuned_model_checkpoint') = ?"
        return self.get("model", name, owner) or next(
            iter(self.find("checkpoint", owner, asked, name)), None
        )

    def folder_of(self, model: Stored) -> Path:
        """Return where a tuned model lies."""
        return self.folder / "models" / str(model.own["folder"])

    def live(self, owner: str) -> list[dict[str, Any]]:
        """Return what `live` has stood for (model, note, created_at), what is in service last."""
        promoted = (one.body for one in self.find("live", owner))
        return [one for one in promoted if self.model(owner, one["model"])]

    def delete_model(self, model: Stored) -> None:
        """Forget a tuned model and remove its folder."""
        self.drop(model.id)
        shutil.rmtree(self.folder_of(model), ignore_errors=True)
