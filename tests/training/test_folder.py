import json
import shutil
from pathlib import Path

import pytest
import yaml

from ftlab import data, models, tasks
from ftlab.errors import DataError, ModelError
from ftlab.evaluation.compare import compare
from ftlab.training import folder
from ftlab.training.finetune import finetune

RECORDS = [data.example(f"Say {w}!", f"the {w}") for w in ("fox", "dog", "capital", "Paris")]
HELD_OUT = [data.example("Say hi!", "the hi")]


@pytest.fixture(scope="module")
def run(model_folder, tmp_path_factory):
    """A short LoRA run on a base with a licence: its folder, of which each test has a copy."""
    place = tmp_path_factory.mktemp("card")
    shutil.copytree(model_folder, place / "tiny")
    (place / "tiny" / "README.md").write_text("---\nlicense: mit\n---\n")
    finetune(RECORDS, place / "mine", model=place / "tiny", rank=4, epochs=1, batch_size=2,
             eval_rows=HELD_OUT)  # fmt: skip
    return place / "mine"


@pytest.fixture
def mine(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "mine"))


def verdict(task="triage", gain=True, names=("tiny", "runs/mine")):
    chosen = tasks.get(task)
    rows = chosen.examples(12, seed=0, split="test")
    right = [data.answer(row) for row in rows]
    answers = dict(zip(names, ([""] * 12, right if gain else [""] * 12), strict=False))
    return compare(chosen, rows, answers).to_json()


def test_the_card_tells_what_the_run_knows_and_not_what_peft_supposes(mine, tmp_path):
    text = (mine / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["library_name"] == "peft" and told["base_model"] == "tiny"
    assert told["base_model_relation"] == "adapter" and told["license"] == "mit"
    assert told["tags"] == ["ftlab", "lora"]
    assert "More Information Needed" not in text and str(tmp_path) not in text
    for part in (
        "# mine", "lora, rank 4, alpha 8", f"4 records, SHA-256 `{data.fingerprint(RECORDS)}`",
        "1 epochs, batches of 2", f"held-out {folder.summary_of(mine)['eval_loss']:.3f}",
        "No verdict yet", "## Limits",
        'models.load("mine")', "seed 0",
    ):  # fmt: skip
        assert part in body, part


def test_a_card_without_a_known_run_says_nothing_of_it():
    text = folder.card("theirs", {}, adapter=False)
    assert yaml.safe_load(text.split("---\n")[1]) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["ftlab"]
    }  # fmt: skip
    assert "None" not in text and "seed" not in text


def test_verdicts_come_into_the_card_task_by_task_and_leave_the_rest(mine, tmp_path):
    path = mine / "README.md"
    path.write_text(path.read_text() + "\nMy own words.\n")
    assert folder.add_verdict(mine, verdict()) == path
    assert folder.add_verdict(mine, verdict("kindness")) == path
    first = path.read_text()
    assert "better by 1.000" in first and "| helpful | " in first and "No verdict yet" not in first
    assert "1.000 [0.515, 1.000]" in first and "12 held-out examples" in first
    folder.add_verdict(mine, verdict(gain=False))
    second = path.read_text()
    assert second.count("### triage") == second.count("### kindness") == 1
    assert "better by 1.000" not in second.split("### triage")[1].split("## Limits")[0]
    assert second.endswith("\nMy own words.\n") and "## Limits" in second
    path.write_text("# A card of mine\n")
    assert folder.add_verdict(mine, verdict()) is None
    assert path.read_text() == "# A card of mine\n"
    assert folder.add_verdict(tmp_path, verdict()) is None


def test_only_the_figures_of_this_folder_are_shown(mine):
    told = verdict(names=("tiny", str(mine)))
    other = json.loads(json.dumps(told).replace(json.dumps(str(mine)), '"runs/other"'))
    for part in ("systems", "differences"):
        told[part] |= other[part]
    told["provenance"]["asked"] = {
        str(mine): {"model": str(mine)}, "runs/other": {"model": "runs/other"}
    }  # fmt: skip
    assert folder.systems_of(told, str(mine)) == [str(mine)]
    text = folder.add_verdict(mine, told).read_text()
    assert "runs/other" not in text


def test_a_base_from_the_hub_goes_by_its_name_there(run, tmp_path):
    model, tokenizer = models.load(run)
    cache = tmp_path / "models--Owner--Model-1B" / "snapshots" / "0123"
    base = model.get_base_model()
    base.config.save_pretrained(cache)
    base.name_or_path = model.active_peft_config.base_model_name_or_path = str(cache)
    mine = folder.save(tmp_path / "mine", model, tokenizer, {})
    config = json.loads((mine / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "Owner/Model-1B"
    assert "base_model: Owner/Model-1B" in (mine / "README.md").read_text()


def test_a_verdict_leaves_the_identity_of_the_model_alone(mine):
    from ftlab.evaluation.systems import _identity

    before = _identity(str(mine))
    folder.add_verdict(mine, verdict())
    assert _identity(str(mine)) == before
    (mine / "training.json").write_text("{}")
    assert _identity(str(mine)) != before


def test_what_cannot_be_saved_or_read_is_told(mine, tmp_path):
    assert folder.summary_of(mine)["about"]["base"] == "tiny"
    with pytest.raises(DataError, match="not empty"):
        folder.save(mine, None, None, {})
    (mine / "training.json").write_text("{")
    with pytest.raises(ModelError, match=r"training\.json cannot be read"):
        folder.summary_of(mine)
    assert folder.summary_of(tmp_path) == {}
