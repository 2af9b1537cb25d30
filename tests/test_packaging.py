"""The files that say what to install agree: pyproject, constraints, conda, Binder, Colab's list."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = SpecifierSet(PROJECT["requires-python"])
EXTRAS = PROJECT["optional-dependencies"]


def lines(path):
    """The lines of a requirements file that ask for something."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def asked_extras(text):
    """The extras in `.[a,b]`."""
    return set(text.partition("[")[2].rstrip("]").split(",")) - {""}


@pytest.mark.parametrize("path", ["constraints.txt", "tests/colab.txt"])
def test_pinned_versions_are_within_the_ranges(path):
    pins = [Requirement(line) for line in lines(path)]  # some twice, for two Pythons
    ranges = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    checked = 0
    for text in ranges:
        wanted = Requirement(text)
        for pin in (pin for pin in pins if pin.name.lower() == wanted.name.lower()):
            (version,) = (spec.version for spec in pin.specifier)
            assert wanted.specifier.contains(version), f"{path}: {pin} is not within {text}"
            checked += 1
    assert checked > 10


def test_every_dependency_is_pinned():
    pinned = {Requirement(line).name.lower() for line in lines("constraints.txt")}
    assert {Requirement(text).name.lower() for text in PROJECT["dependencies"]} <= pinned


def test_conda_installs_what_pip_does():
    parts = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = (p for p in parts if isinstance(p, str) and p.startswith("python="))
    assert PYTHONS.contains(python.removeprefix("python="))
    (pip,) = (part["pip"] for part in parts if isinstance(part, dict))
    (editable,) = (line for line in pip if line.startswith("--editable"))
    assert "--constraint constraints.txt" in pip
    assert asked_extras(editable) == {"dev"}


def test_binder_installs_what_pip_does():
    found = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))
    (python,) = (p for p in found["dependencies"] if p.startswith("python="))
    assert PYTHONS.contains(python.removeprefix("python="))
    assert "pytorch-cpu" in found["dependencies"]  # pip's would bring CUDA
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    (line,) = (line for line in lines("binder/postBuild") if " -e " in line)
    assert asked_extras(shlex.split(line)[-1]) <= set(EXTRAS)
    assert "torch==" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_no_file_names_a_registry():
    names = r"index-url|download\.pytorch\.org|pypi\.org|files\.pythonhosted"
    search = ["git", "grep", "-lE", names, "--", ":!tests/test_packaging.py"]
    found = subprocess.run(search, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1, found.stdout or found.stderr
