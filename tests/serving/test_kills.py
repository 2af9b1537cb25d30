"""kill -9 of the server or the worker at any moment: as if nothing had been."""

import os
import random
import signal
import time

import pytest

from .conftest import MODEL, Process, ended, lines, upload

SETTINGS = {"n_epochs": 3, "batch_size": 2}  # 18 steps, four checkpoints
TOLD = 4 + 18 + 4 + 2  # events of such a job


def life(process, seed=5):
    """Run a job; return its id as soon as it is queued."""
    client = process.client()
    job = client.fine_tuning.jobs.create(
        model=MODEL, training_file=upload(client, lines()), seed=seed, hyperparameters=SETTINGS
    )
    return job.id


def story(process, job):
    """What a job's life was: all that does not hang on the clock or on names."""
    client = process.client()
    over = ended(client, job)
    events = [
        (event.type, event.level, event.message.replace(over.id, "JOB").replace(over.id[-8:], "ID")
         .replace(over.training_file, "FILE"),
         {k: v for k, v in event.data.items() if k != "eta_seconds"})
        for event in client.fine_tuning.jobs.list_events(job, limit=100)
    ]  # fmt: skip
    checkpoints = [(c.step_number, c.metrics.to_dict())
                   for c in client.fine_tuning.jobs.checkpoints.list(job)]  # fmt: skip
    models = [model.id for model in client.models.list()].count(over.fine_tuned_model)
    results = [client.files.content(file).text for file in over.result_files]
    return over.status, over.trained_tokens, events, checkpoints, models, results


def told(process, job):
    return len(process.store.find("event", job=job))


def wait_for_events(process, job, count):
    deadline = time.monotonic() + 240
    while told(process, job) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("whole") / "data")
    yield process, story(process, life(process))
    process.close()


def test_killed_in_every_phase_of_its_life(undisturbed):
    process, whole = undisturbed
    assert whole[0] == "succeeded" and len(whole[2]) == TOLD
    job = life(process)
    process.kill()  # queued, or just taken; the worker goes with the server
    process.start()
    wait_for_events(process, job, 8)  # between checkpoints
    os.kill(process.workers()[-1], signal.SIGKILL)
    wait_for_events(process, job, 14)
    os.kill(process.workers()[0], signal.SIGKILL)  # the one that takes jobs
    wait_for_events(process, job, 27)  # about to be saved
    os.kill(process.workers()[-1], signal.SIGKILL)
    assert story(process, job) == whole
    assert process.client().fine_tuning.jobs.list(limit=100).data[0].id == job
    assert len(process.client().fine_tuning.jobs.list(limit=100).data) == 2


@pytest.mark.parametrize("seed", range(int(os.environ.get("FTLAB_KILLS", "1"))))  # 20 by hand
def test_killed_at_a_random_moment(undisturbed, seed):
    process, whole = undisturbed
    moment = random.Random(seed)
    job = life(process)
    wait_for_events(process, job, moment.randint(3, TOLD - 1))
    time.sleep(moment.random() * 0.3)
    victim = moment.choice([process.process.pid, *process.workers()])
    os.kill(victim, signal.SIGKILL)
    if victim == process.process.pid:
        process.kill()
        process.start()
    assert story(process, job) == whole
