"""Stored completions, which people label, and `live`, the name of the model in service.

A trace is what the protocol calls a stored completion: a request with its answer, kept without
secrets and personal data. Labels are its metadata: label (good, bad), correction, reviewer.
`live` stands for one model at a time, the base at first; each key has its own.
"""

import json
import time
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage
from pydantic import Field

from ftlab.curation.checks_private import redacted
from ftlab.serving.protocol import Closed, Limit, Metadata, Refused, json_of, list_of, plain
from ftlab.serving.store import ORGANIZATION, Store

LIVE = "live"  # the name of the model in service


class Update(Closed):
    """What may be changed of a stored completion."""

    metadata: Metadata


class Promotion(Closed):
    """Which model is to be in service, and why."""

    model: str
    note: Annotated[str, Field(max_length=2000)] = ""


def _redacted(value: Any) -> Any:
    """Return JSON data with every text redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _dumped(value: Any) -> str:
    return str(plain(json.dumps(value, ensure_ascii=False)))


def keep(
    store: Store, owner: str, asked: Any, most: int, answer: ChatCompletion, messages: Any
) -> None:
    """Store the answer to a request; beyond `most` the oldest without a label go."""
    body: dict[str, Any] = answer.to_dict(mode="json", exclude_unset=False)
    for choice in body["choices"]:
        choice["logprobs"] = None  # their tokens would spell what is redacted
    body |= {"tools": asked.tools} if asked.tools else {}
    said = ("choices", "metadata", "tools")  # an id may look like a number of somebody's
    body |= {name: _redacted(body[name]) for name in said if name in body}
    row = {"id": answer.id, "owner": owner, "model": answer.model, "body": _dumped(body),
           "created_at": answer.created, "messages": _dumped(_redacted(messages))}  # fmt: skip
    with store.transaction() as db:
        store.insert(db, "traces", **row)
        db.execute(
            "delete from traces where owner = ? and seq <= (select seq from traces where owner = ? "
            "order by seq desc limit 1 offset ?) and json_extract(body, '$.metadata.label') is "
            "null", (owner, owner, most),
        )  # fmt: skip


def where_metadata(request: Request) -> tuple[str, list[str]]:
    """Return the condition on objects that a query's metadata[name]=value is, with its values."""
    where, values = "", []
    for name, value in request.query_params.items():
        if name.startswith("metadata[") and name.endswith("]"):
            where += (
                " and exists (select 1 from json_each(body, '$.metadata') "
                "where key = ? and value = ?)"
            )
            values += [name[9:-1], value]
    if request.query_params.get("metadata") == "null":
        where += " and json_extract(body, '$.metadata') is null"
    return where, values


def trace_of(row: Any) -> ChatCompletion:
    """Return a row of `traces` as the protocol's object."""
    return ChatCompletion.model_validate_json(row["body"])


def routes(app: FastAPI, service: Any, Owner: Any) -> None:
    """Add the routes of stored completions, and of `live`."""
    store: Store = service.store
    path = "/v1/chat/completions"

    def own(owner: str, name: str) -> Any:
        found = store.row("select * from traces where id = ? and owner = ?", name, owner)
        if found is None:
            text = f"No stored completion: {name[:80]}"
            raise Refused(404, text, param="completion_id", code="not_found")
        return found

    @app.get(path)
    def list_traces(
        request: Request, owner: Owner, after: str | None = None, limit: Limit = 20,
        order: Literal["asc", "desc"] = "asc", model: str | None = None,
    ) -> Response:  # fmt: skip
        where, values = where_metadata(request)
        if model is not None:
            where, values = f"{where} and model = ?", [*values, service.named(owner, model)]
        where, given = "owner = ?" + where, (owner, *values)
        found, more = store.page("traces", where, given, after, limit, order == "desc")
        return list_of([trace_of(row) for row in found], more)

    @app.get(path + "/{completion_id}")
    def retrieve_trace(owner: Owner, completion_id: str) -> Response:
        return json_of(trace_of(own(owner, completion_id)))

    @app.get(path + "/{completion_id}/messages")
    def list_messages(
        owner: Owner, completion_id: str, after: str | None = None, limit: Limit = 20,
        order: Literal["asc", "desc"] = "asc",
    ) -> Response:  # fmt: skip
        told = json.loads(own(owner, completion_id)["messages"])
        held = [ChatCompletionStoreMessage.construct(
                    **{"content": None, "content_parts": None, "refusal": None} | message,
                    id=f"{completion_id}-{number}")
                for number, message in enumerate(told)]  # fmt: skip
        held = held[:: 1 if order == "asc" else -1]
        first = next((i for i, one in enumerate(held, 1) if one.id == after), 0)
        return list_of(held[first : first + limit], len(held) > first + limit)

    @app.post(path + "/{completion_id}")
    def update_trace(owner: Owner, completion_id: str, asked: Update) -> Response:
        metadata = _dumped(_redacted(asked.metadata))
        own(owner, completion_id)
        with store.transaction() as db:
            sql = "update traces set body = json_set(body, '$.metadata', json(?)) where id = ?"
            db.execute(sql, (metadata, completion_id))
        return json_of(trace_of(own(owner, completion_id)))

    @app.delete(path + "/{completion_id}")
    def delete_trace(owner: Owner, completion_id: str) -> Response:
        own(owner, completion_id)
        with store.transaction() as db:
            db.execute("delete from traces where id = ? and owner = ?", (completion_id, owner))
        return json_of(ChatCompletionDeleted(id=completion_id, deleted=True,
                                             object="chat.completion.deleted"))  # fmt: skip

    def live(owner: str) -> Response:
        history = [{key: row[key] for key in ("model", "note", "created_at")}
                   for row in store.live(owner)]  # fmt: skip
        return json_of(Model.construct(
            id=LIVE, object="model", created=history[-1]["created_at"] if history else 0,
            owned_by=ORGANIZATION, model=service.named(owner, LIVE), history=history,
        ))  # fmt: skip

    @app.get(f"/v1/models/{LIVE}")
    def retrieve_live(owner: Owner) -> Response:
        return live(owner)

    @app.post(f"/v1/models/{LIVE}")
    def promote(owner: Owner, asked: Promotion) -> Response:
        if service.folder_of(owner, asked.model) is None:
            raise Refused(400, "The base is in service where nothing else is: roll back.",
                          param="model")  # fmt: skip
        with store.transaction() as db:
            if service.named(owner, LIVE) != asked.model:  # asked twice, it is done once
                store.insert(db, "live", owner=owner, model=asked.model, note=plain(asked.note),
                             created_at=int(time.time()))  # fmt: skip
        return live(owner)

    @app.post(f"/v1/models/{LIVE}/rollback")
    def rollback(owner: Owner) -> Response:
        with store.transaction() as db:
            history = store.live(owner)
            if not history:
                raise Refused(409, "Nothing was promoted: the base is in service.")
            sql = "update live set withdrawn_at = ? where seq = ?"
            db.execute(sql, (int(time.time()), history[-1]["seq"]))
        return live(owner)
