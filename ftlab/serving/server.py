"""`ftlab serve`: the service's process, and the worker beside it."""

import ipaddress
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, ModelError
from ftlab.serving.app import make_app
from ftlab.serving.service import Limits, Service
from ftlab.serving.store import Store


class Running:
    """An application that answers in a thread of this process until `close()`."""

    def __init__(self, app: Any, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen at an address; port 0 takes a free one, which `url` tells.

        Raises:
            ConfigError: the address cannot be listened at.
            ModelError: the server does not start.
        """
        import uvicorn

        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((host, port))
            self._listener.listen(1024)
        except OSError as error:
            self._listener.close()
            raise ConfigError(
                f"{host}:{port} cannot be listened at: {error.strerror}. Take another --port."
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(
            app, log_level="error", access_log=False, timeout_graceful_shutdown=3
        ))  # fmt: skip
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise ModelError("The endpoint did not start within 20 seconds. Try again.")
            time.sleep(0.01)

    def wait(self) -> None:
        """Return when it does not answer any more; Ctrl-C interrupts it, on Windows too."""
        while self._thread.is_alive():
            self._thread.join(1)

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._thread.join(5)
        self._listener.close()


def worker_command(data: str | os.PathLike[str]) -> list[str]:
    """Return the command that trains the jobs of a folder."""
    return [sys.executable, "-m", "ftlab.serving.worker", "--data", str(Path(data).resolve())]


class Worker:
    """The worker's process, started again whenever it ends, until `close()`."""

    def __init__(self, data: str | os.PathLike[str]) -> None:
        self._command = [*worker_command(data), "--child"]
        self._over = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            # Its stdin ends when this process does, and the worker with it. What it prints of the
            # rows that it trains on goes nowhere.
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            self.process.wait()
            if time.monotonic() - begun < 5:  # it cannot even start
                self._over.wait(2)

    def close(self) -> None:
        """End the process; what it trained goes on when the service is started again."""
        self._over.set()
        if self.process is not None:
            self.process.kill()
        self._thread.join(10)


def run(
    data: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 8000,
    keys: Sequence[str] = (), model: str = "smollm2-135m", worker: bool = True,
    limits: Limits | None = None, trace: bool = False,
) -> None:  # fmt: skip
    """Serve until Ctrl-C.

    Args:
        data: the folder that holds everything.
        host: the address to listen at; without a key only this machine's own.
        port: the port; 0 takes a free one.
        keys: who may ask; without one, anybody on this machine.
        model: the base that is tuned and asked.
        worker: start the process that trains; else start it yourself, by the command printed.
        limits: what a key may do.
        trace: store every completion, whether it is asked or not.

    Raises:
        ConfigError: a host that is open to others without a key, or a key that is too short.
        ModelError: the base cannot be had.
        DataError: the folder cannot be written.
    """
    from ftlab import models
    from ftlab.serving.engine import Engine

    if not keys and not _is_loopback(host):
        raise ConfigError(
            f"--host {host} lets others in, and there is no key. Give one with --api-key, or in "
            "FTLAB_API_KEY; without a key only 127.0.0.1 is served."
        )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for client in ("httpx", "httpx2"):  # huggingface_hub has the one or the other
        logging.getLogger(client).setLevel(logging.WARNING)
    store = Store(data)
    service = Service(store, model, tuple(keys), limits or Limits(), trace=trace)
    models.get(model)
    service.engine = Engine(model)
    running = Running(make_app(service), host, port)
    own = Worker(data) if worker else None
    print(f"base_url  {running.url}/v1\npage      {running.url}/")
    print(f"worker    {shlex.join(worker_command(data))}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        running.wait()
    except KeyboardInterrupt:
        running.close()
    finally:
        if own is not None:
            own.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
