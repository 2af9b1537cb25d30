"""Chat by the service: requests that wait answered in one batch, against one at a time.

    python benchmarks/serving.py --model smollm2-135m --requests 32
    python benchmarks/serving.py --seconds 60 --clients 30      # streams while a job trains

Both sides in one run, through the official client. The second mode uploads rows, starts a job and
streams from many clients until the time is over; it prints errors, torn streams, p50 and p95.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import openai


def started(model: str) -> tuple[subprocess.Popen[str], str]:
    """Start the service over an empty folder."""
    command = [sys.executable, "-m", "ftlab.cli", "serve", "--port", "0", "--model", model]
    command += ["--rate", "1000000", "--data", tempfile.mkdtemp()]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[1]


def batched(client: openai.OpenAI, model: str, requests: int, tokens: int) -> None:
    """Print tokens a second, alone and together."""

    def one(number: int) -> int:
        messages = [{"role": "user", "content": f"Tell me about the number {number}."}]
        reply = client.chat.completions.create(
            model=model, messages=messages, max_tokens=tokens, temperature=0
        )
        return reply.usage.completion_tokens

    one(0)  # the model is loaded
    begun = time.monotonic()
    alone = sum(one(n) for n in range(requests)) / (time.monotonic() - begun)
    begun = time.monotonic()
    with ThreadPoolExecutor(requests) as pool:
        together = sum(pool.map(one, range(requests))) / (time.monotonic() - begun)
    print(f"{model}: {requests} requests of up to {tokens} tokens: one at a time {alone:.1f} "
          f"tokens/s, together {together:.1f}: {together / alone:.2f} times")  # fmt: skip


def streams(client: openai.OpenAI, model: str, clients: int, seconds: float, tokens: int) -> None:
    """Print what streaming clients meet while a job trains."""
    row = {"messages": [{"role": "user", "content": "Say it."},
                        {"role": "assistant", "content": "It is said, it is."}]}  # fmt: skip
    rows = "".join(
        json.dumps(row).replace("it", f"the number {n}") + "\n" for n in range(200)
    ).encode()
    file = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model=model, training_file=file.id, hyperparameters={"n_epochs": 50, "batch_size": 1}
    )
    while client.fine_tuning.jobs.retrieve(job.id).estimated_finish is None:
        time.sleep(0.2)
    over, took, first, faults = time.monotonic() + seconds, [], [], []
    lock = threading.Lock()

    def run(number: int) -> None:
        while time.monotonic() < over:
            begun, finish, heard = time.monotonic(), None, None
            try:
                for chunk in client.chat.completions.create(
                    model=model, stream=True, max_tokens=tokens, temperature=1,
                    messages=[{"role": "user", "content": f"Tell me about the number {number}."}],
                ):  # fmt: skip
                    heard = heard or time.monotonic() - begun
                    finish = chunk.choices[0].finish_reason or finish
            except openai.OpenAIError as error:
                finish = f"error: {type(error).__name__}"
            with lock:
                took.append(time.monotonic() - begun)
                first.append(heard or 0.0)
                if finish not in ("stop", "length"):
                    faults.append(finish or "torn")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(run, range(clients)))
    state = client.fine_tuning.jobs.retrieve(job.id).status
    told = len(client.fine_tuning.jobs.list_events(job.id, limit=100).data)
    client.fine_tuning.jobs.cancel(job.id)
    p50, p95 = numpy.percentile(took, [50, 95])
    print(f"{model}: {clients} clients, {seconds:.0f} s, job {state} with {told} events or more: "
          f"{len(took)} streams, {len(faults)} faults {sorted(set(faults))}, p50 {p50:.2f} s, "
          f"p95 {p95:.2f} s, first piece p95 {numpy.percentile(first, 95):.2f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ftlab-1m")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    process, url = started(options.model)
    try:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
        if options.clients:
            streams(client, options.model, options.clients, options.seconds, options.tokens)
        else:
            batched(client, options.model, options.requests, options.tokens)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
