"""The files that say what to install agree: pyproject, constraints, conda, Binder, Colab's list."""

import ast
import os
import shlex
import subprocess
import sys
from importlib import metadata
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
# Imported where they are there: lesson 03 does without, and who rehearses a lesson has Jupyter.
OPTIONAL = {"mlflow", "sqlalchemy", "optuna", "nbclient", "nbformat"}
OURS = {"ftlab", "linux"}  # linux: beside the sandbox's program, which imports it as a script


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


def brought_along(asked):
    """The names of all packages that come with these requirements, as they are installed here."""
    found, left = set(), [Requirement(text) for text in asked]
    while left:
        one = left.pop()
        name = one.name.lower().replace("_", "-")
        if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(name)
            left += [Requirement(text) for text in metadata.distribution(name).requires or ()]
    return found


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 cannot say who brought a module")
def test_what_is_imported_comes_with_the_package():
    """Not with what only its developers have: Jupyter brings much along."""
    come = brought_along([*PROJECT["dependencies"], *EXTRAS["ship"]])
    makers = metadata.packages_distributions()
    missing = {}
    for path in [*ROOT.glob("ftlab/**/*.py"), *ROOT.glob("notebooks/source/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for module in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                made_by = {name.lower().replace("_", "-") for name in makers.get(module, ())}
                if not made_by & come:
                    missing.setdefault(module, set()).add(path.name)
    assert not missing.keys() - OPTIONAL - OURS, missing


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
