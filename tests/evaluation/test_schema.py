import json

import pytest

from ftlab import tasks
from ftlab.errors import DataError
from ftlab.evaluation.compare import compare
from ftlab.evaluation.report import page
from ftlab.evaluation.schema import VerdictFile, read
from ftlab.records import Record


@pytest.fixture
def saved(tmp_path):
    task = tasks.get("triage")
    rows = [*task.examples(6, 0, split="test"), Record.of("?", "intent: bug\npriority: low")]
    right = [record.completion for record in rows]
    return compare(task, rows, {"base": [""] * 7, "tuned": right, "same": right}).save(tmp_path)


def test_a_real_file_is_what_the_schema_says_and_makes_the_page_again(saved):
    data = read(saved.with_name("verdict.json"))
    assert set(data) == set(VerdictFile.model_fields)
    assert page(data) == saved.read_text("utf-8")


def test_every_field_says_what_it_is_or_is_plain():
    described = VerdictFile.model_json_schema()["properties"]
    plain = {"task", "outcomes", "slices", "examples", "pairs", "costs"}
    assert all("description" in field for name, field in described.items() if name not in plain)


def test_another_file_is_refused_with_its_faults(saved, tmp_path):
    path = saved.with_name("verdict.json")
    data = json.loads(path.read_text("utf-8"))
    data["n"] = "many"
    data["pairs"][0]["p"] = None
    data["surprise"] = 1
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DataError) as told:
        read(path)
    assert all(name in str(told.value) for name in ("n:", "pairs.0.p", "surprise"))
