"""The service as users have it: a process of its own, asked through the official client."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from ftlab import models
from ftlab.serving.app import make_app
from ftlab.serving.engine import Engine
from ftlab.serving.server import Running
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store

WORDS = [
    "fox", "dog", "cat", "Paris", "France", "user", "model", "quick", "lazy", "brown", "over", "the"
]  # fmt: skip
MODEL = "ftlab-1m"
KEYS = ("key-of-ada-0123456789", "key-of-ben-0123456789")


_open: list[openai.OpenAI] = []


def connect(url: str, key: str = "none") -> openai.OpenAI:
    """Return a client of the service at an address; it is closed when the test is over."""
    base = url if url.endswith("/v1") else f"{url}/v1"
    _open.append(openai.OpenAI(base_url=base, api_key=key, max_retries=0))
    return _open[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def lines(words=WORDS, **more: Any) -> bytes:
    """Return a training file of one short row for each word."""
    rows = [
        {"messages": [{"role": "user", "content": f"Say {word}!"},
                      {"role": "assistant", "content": f"the {word}"}], **more}
        for word in words
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pairs(words=WORDS) -> bytes:
    """Return a file of preferences."""
    rows = [
        {"input": {"messages": [{"role": "user", "content": f"Say {word}!"}]},
         "preferred_output": [{"role": "assistant", "content": f"the {word}"}],
         "non_preferred_output": [{"role": "assistant", "content": "no"}]}
        for word in words
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(client: openai.OpenAI, content: bytes | None = None) -> str:
    """Upload a training file; return its id."""
    content = lines() if content is None else content
    return client.files.create(file=("rows.jsonl", content), purpose="fine-tune").id


def until(condition: Callable[[], Any], seconds: float = 240) -> Any:
    """Wait until something is so; return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def ended(client: openai.OpenAI, job: str) -> Any:
    """Wait until a job is over; return it."""
    over = ("succeeded", "failed", "cancelled")
    return until(lambda: (j := client.fine_tuning.jobs.retrieve(job)).status in over and j)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


class Process:
    """`ftlab serve` in a process, started and killed at will over one folder."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.options = data, ("--rate", "100000", *options)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "ftlab.cli", "serve", "--port", "0", "--data",
                   str(self.data), "--model", MODEL, *self.options]  # fmt: skip
        with (self.data.parent / "log.txt").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1]
        self.store = Store(self.data)

    def client(self, key: str = "none") -> openai.OpenAI:
        return connect(self.url, key)

    def workers(self) -> list[int]:
        """The process that takes jobs, and the one that trains if there is one."""
        return [found for parent in _children(self.process.pid)
                for found in (parent, *_children(parent))]  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("served") / "data")
    yield process
    assert process.close() == 0


@pytest.fixture
def client(served: Process) -> openai.OpenAI:
    return served.client()


@pytest.fixture(scope="session")
def tiny() -> tuple[Any, Any]:
    """Return the small model and its tokenizer."""
    return models.load(MODEL, device="cpu")


@pytest.fixture(scope="session")
def engine(tiny: tuple[Any, Any]) -> Iterator[Engine]:
    engine = Engine(model=tiny[0], tokenizer=tiny[1])
    yield engine
    engine.close()


@pytest.fixture
def routes(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return `routes(keys=…, limits=…) -> url`: the routes without a worker, in this process."""
    running = []

    def start(keys=(), limits: Limits | None = None, engine: Any = None, trace=False) -> str:
        store = Store(tmp_path / "data")
        service = Service(store, MODEL, tuple(keys), limits or Limits(), engine, trace)
        running.append(Running(make_app(service)))
        return running[-1].url

    yield start
    for one in running:
        one.close()
