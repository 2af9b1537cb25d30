"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Model = Annotated[str, Option(help="A shipped name, a folder, or a hub id.")]
Records = Annotated[Path, Argument(help="Records, as JSONL.")]
HeldOut = Annotated[Path | None, Option(help="Held-out JSONL; else the task's own.")]
MaxNewTokens = Annotated[int, Option(min=1)]
Seed = Annotated[int, Option(help="Of the data, the training and the bootstrap.")]
# Of teachers.
ModelName = Annotated[str | None, Option(help="The teacher's name at the endpoint.")]
Local = Annotated[str | None, Option(help="A model on this machine as teacher.")]
BaseUrl = Annotated[str | None, Option(help="The endpoint; else OPENAI_BASE_URL.")]
Concurrency = Annotated[int, Option(min=1, help="Most requests at one time.")]
MaxRequests = Annotated[int | None, Option(min=0, help="Cap, earlier runs included.")]
AnswerTokens = Annotated[int, Option(min=1, help="Most tokens in an answer.")]
Temperature = Annotated[float | None, Option(min=0, help="By default the endpoint's own.")]
