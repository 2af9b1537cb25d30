"""The profile: each choice with its reason, on this machine and on ones described to it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ftlab import hardware
from ftlab.errors import ConfigError


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No profile remembered, none asked for, no timing: bf16 is four times as fast."""
    monkeypatch.setattr(hardware, "_found", {})
    monkeypatch.setattr(hardware, "_time_matmuls", lambda: (4.0, 1.0, 2e9))
    monkeypatch.delenv("FTLAB_PROFILE", raising=False)
    monkeypatch.delenv("FTLAB_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says what torch finds: a GPU, Metal or neither."""
    import torch

    def be(gpu=None, *, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        if gpu:
            name, major, minor, memory = gpu
            found = SimpleNamespace(name=name, major=major, minor=minor, total_memory=memory)
            monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)

    return be


T4, A100 = ("Tesla T4", 7, 5, 15_800_000_000), ("A100", 8, 0, 42_400_000_000)
P100, A2000 = ("Tesla P100", 6, 0, 17_000_000_000), ("RTX A2000", 8, 6, 6_000_000_000)


@pytest.mark.parametrize(
    ("gpu", "name", "dtype"),
    [
        (T4, "t4", "float16"),
        (A100, "gpu", "bfloat16"),
        (P100, "t4", "float32"),
        (A2000, "t4", "bfloat16"),
    ],
)
def test_a_gpu_is_judged_by_its_capability(machine, gpu, name, dtype):
    machine(gpu)
    found = hardware.profile()
    assert (found.name, found.device, found.dtype, found.gpu) == (name, "cuda", dtype, gpu[0])
    assert found.memory_gb == round(gpu[3] / 1e9, 1)
    assert found.default_model == hardware.DEFAULTS[name].model
    assert f"{gpu[1]}.{gpu[2]}" in found.reasons["dtype"]


def test_metal_and_cpu(machine):
    machine(mps=True)
    found = hardware.profile()
    assert (found.name, found.device, found.dtype) == ("mps", "mps", "float32")
    machine()
    found = hardware.profile(refresh=True)
    assert (found.name, found.device, found.dtype) == ("cpu", "cpu", "bfloat16")
    assert found.gpu is None and found.threads >= 1 and found.memory_gb > 0.5
    assert (found.default_model, found.weights) == ("smollm2-135m", "float32")


def test_every_choice_has_a_reason(machine):
    for gpu, mps in ((None, False), (None, True), (T4, False), (A100, False)):
        machine(gpu, mps=mps)
        found = hardware.profile(refresh=True)
        for what, value, why in found.rows():
            assert value and why, f"{what} on {found.name}"
        assert set(found.reasons) == {what for what, _, _ in found.rows()}


@pytest.mark.parametrize(
    ("asked", "device", "dtype"),
    [("cpu", "cpu", "bfloat16"), ("t4", "cuda", "float16"), ("GPU ", "cuda", "bfloat16")],
)
def test_another_profile_can_be_rehearsed(machine, monkeypatch, asked, device, dtype):
    machine(A100)
    assert hardware.profile().name == "gpu"
    monkeypatch.setenv("FTLAB_PROFILE", asked)
    found = hardware.profile()
    assert (found.name, found.device, found.dtype) == (asked.strip().lower(), device, dtype)
    assert found.reasons["name"].startswith("FTLAB_PROFILE=")
    monkeypatch.delenv("FTLAB_PROFILE")
    assert hardware.profile().reasons["name"].startswith("compute capability")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("gpuu", "Did you mean 'gpu'.*Valid: cpu, gpu, mps, t4"),
        ("t4", "FTLAB_PROFILE=t4 needs a CUDA GPU"),
        ("gpu", "FTLAB_PROFILE=gpu needs a CUDA GPU"),
        ("mps", "FTLAB_PROFILE=mps needs Apple Metal"),
    ],
)
def test_a_profile_that_cannot_be(machine, monkeypatch, asked, message):
    machine()
    monkeypatch.setenv("FTLAB_PROFILE", asked)
    with pytest.raises(ConfigError, match=message):
        hardware.profile()


@pytest.mark.parametrize(
    ("seconds", "dtype"), [((3.0, 2.0), "bfloat16"), ((2.9, 2.0), "float32"), ((1, 9), "float32")]
)
def test_bf16_must_be_worth_it(machine, monkeypatch, seconds, dtype):
    machine()
    monkeypatch.setattr(hardware, "_time_matmuls", lambda: (*seconds, 2e9))
    assert hardware.profile().dtype == dtype


@pytest.mark.parametrize(("seconds", "examples"), [((4.0, 0.004), 150), ((0.04, 0.06), 100)])
def test_a_slow_processor_takes_fewer_examples(machine, monkeypatch, seconds, examples):
    machine()
    monkeypatch.setattr(hardware, "_time_matmuls", lambda: (*seconds, 2e9))
    found = hardware.profile()
    assert found.examples == examples
    assert "GFLOP/s" in found.reasons["examples"]


def test_the_processor_is_timed_once(monkeypatch, tmp_path):
    calls = []

    def timer():
        calls.append(1)
        return 6.0 * len(calls), 2.0, 2e9

    monkeypatch.setattr(hardware, "_time_matmuls", timer)
    assert hardware.matmuls() == hardware.matmuls() == (3.0, 1.0)
    assert len(calls) == 1
    assert hardware.matmuls(refresh=True) == hardware.matmuls() == (6.0, 1.0)
    assert len(calls) == 2
    with monkeypatch.context() as other:
        other.setattr("torch.get_num_threads", lambda: 63)
        assert hardware.matmuls() == (9.0, 1.0)
    assert hardware.matmuls() == (6.0, 1.0)  # kept beside those of another number of threads
    assert all("torch" in key for key in json.loads((tmp_path / "ftlab/matmuls.json").read_text()))


@pytest.mark.parametrize("held", ["{", "[]", '{"other": 9}', '{"KEY": "x"}', '{"KEY": 3}', "\0"])
def test_a_spoilt_cache_is_written_anew(tmp_path, held):
    hardware.matmuls()
    cache = tmp_path / "ftlab" / "matmuls.json"
    (key,) = json.loads(cache.read_text())
    cache.write_text(held.replace("KEY", key.replace("\\", "\\\\")))
    assert hardware.matmuls() == (4.0, 2.0)
    assert json.loads(cache.read_text()) == {key: [4.0, 2.0]}


def test_a_home_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FTLAB_HOME", str(tmp_path / "file"))
    assert hardware.matmuls() == (4.0, 2.0)


def test_the_cache_goes_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("FTLAB_HOME", "~/mine")
    assert hardware.cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("FTLAB_HOME")
    assert hardware.cache_folder() == tmp_path / "ftlab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/a")
    assert hardware.cache_folder().as_posix() == "/home/a/.cache/ftlab"


def test_the_real_timing_ends_soon():
    script = (
        "import time, ftlab.hardware as h; b = time.time(); s = h._time_matmuls(2);"
        "print(min(s) > 0, time.time() - b < 30)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True"]


def test_it_shows_in_a_terminal_and_in_a_notebook(machine):
    machine(T4)
    found = hardware.profile()
    for shown in (str(found), found._repr_html_()):
        for text in ("Tesla T4", "float16", "15.8 GB", "Qwen/Qwen2.5-0.5B-Instruct"):
            assert text in shown


def test_versions_import_nothing_heavy():
    script = (
        "import sys, json; from ftlab.hardware import versions; v = versions();"
        "print(json.dumps(v), 'torch' in sys.modules or 'transformers' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    told, heavy = run.stdout.rsplit(maxsplit=1)
    assert heavy == "False"
    assert {"python", "torch", "transformers", "trl", "peft", "datasets"} <= set(json.loads(told))


def test_a_seed_repeats_every_generator():
    import random

    import numpy
    import torch

    def draw():
        return random.random(), float(numpy.random.rand()), float(torch.rand(1))

    assert hardware.seed_everything(3) == 3
    first = draw()
    assert draw() != first
    hardware.seed_everything(3)
    assert draw() == first


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "3", True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ConfigError, match="whole number"):
        hardware.seed_everything(seed)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_the_allocator_can_be_told():
    script = "import platform, ftlab.hardware as h; print(platform.libc_ver()[0], h.reuse_memory())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == str(run.stdout.startswith("glibc"))
