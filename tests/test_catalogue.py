"""The catalogue of open models: every fact has a page and a day, and the facts agree."""

import re
from pathlib import Path

import pytest
import yaml

from ftlab import catalogue as room
from ftlab.errors import ConfigError, DataError

WHOLE = room.catalogue()
ROOT = Path(__file__).parents[1]
OF_EACH = pytest.mark.parametrize("model", WHOLE.models, ids=lambda model: model.name)


def test_there_are_enough_models_of_enough_families():
    assert len(WHOLE.models) >= 25
    assert len({model.family for model in WHOLE.models}) >= 12


@OF_EACH
def test_every_fact_names_a_page_and_its_day(model):
    assert model.pages()
    for name in model.pages():
        assert WHOLE.pages[name].read.year >= 2026
    assert all(found.page in WHOLE.pages and found.setting for found in model.benchmarks)


@OF_EACH
def test_the_licence_is_known_with_what_it_permits(model):
    licence = WHOLE.licences[model.licence.value]
    assert licence.commercial in ("yes", "limited", "no", "unread")
    assert licence.conditions and licence.pages


@OF_EACH
def test_the_count_from_the_shape_agrees_with_what_is_stated(model):
    if model.shape is None or model.shape.tied is None:
        return
    counted = model.shape.parameters()
    if model.parameters:
        assert counted == pytest.approx(model.parameters.value, rel=0.04)
    if model.weights and model.weights.gigabytes:
        widths = [model.weights.gigabytes * 1e9 / counted / width for width in (2, 4)]
        assert any(abs(width - 1) < 0.03 for width in widths), widths


def test_a_wrong_tie_or_a_wrong_dimension_would_be_noticed():
    small = next(model for model in WHOLE.models if model.name.endswith("SmolLM2-135M"))
    for change in ({"tied": False}, {"inner": 2048}, {"layers": 24}):
        spoilt = small.shape.model_copy(update=change)
        assert spoilt.parameters() != pytest.approx(small.parameters.value, rel=0.04)


def test_memory_by_method_is_what_the_formula_says():
    model = next(model for model in WHOLE.models if model.name == "meta-llama/Llama-3.2-1B")
    weights, linear = model.size, model.shape.linear_parameters()
    assert room.held(model, "inference") == 2 * weights
    assert room.held(model, "full") == 16 * weights
    sides = 2 * (2048 + 2048) + 2 * (2048 + 512) + 3 * (2048 + 8192)  # in + out of seven layers
    adapters = 16 * 32 * sides
    assert room.held(model, "lora") == 2 * weights + 16 * adapters
    assert room.held(model, "qlora") == pytest.approx(
        2 * (weights - linear) + 0.516 * linear + 16 * adapters, rel=0.001
    )
    with pytest.raises(ConfigError, match="qlora"):
        room.held(model, "qlroa")


def test_what_is_not_known_meets_no_demand():
    blank = next(model for model in WHOLE.models if model.name == "tiiuae/Falcon3-1B-Base")
    assert blank.size is None and all(room.held(blank, m) is None for m in room.METHODS)
    assert blank in room.choose(WHOLE.models)
    assert blank not in room.choose(WHOLE.models, max_parameters=1e12)
    assert blank not in room.choose(WHOLE.models, memory=1e15)
    assert blank not in room.choose(WHOLE.models, commercial=True)


def test_choosing_by_licence_size_context_kind_format_and_memory():
    names = lambda **demand: [model.name for model in room.choose(WHOLE.models, **demand)]
    assert "Qwen/Qwen2.5-3B" not in names(commercial=True)
    assert "databricks/dolly-v2-3b" not in names(safe=True)
    assert set(names(licences=["mit"])) == {
        "databricks/dolly-v2-3b", "databricks/dolly-v2-12b", "microsoft/Phi-3.5-mini-instruct",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    }  # fmt: skip
    assert names(max_parameters=0.1e9) == ["EleutherAI/pythia-70m"]
    assert all(m.context.value >= 1e5 for m in room.choose(WHOLE.models, min_context=100_000))
    assert {m.kind for m in room.choose(WHOLE.models, kind="chat")} == {"chat"}
    t4 = 15.8e9 - room.ROOM
    assert set(names(memory=t4, method="full")) < set(names(memory=t4, method="lora"))
    assert set(names(memory=t4, method="lora")) < set(names(memory=t4, method="qlora"))
    sizes = [model.size for model in room.choose(WHOLE.models) if model.size]
    assert sizes == sorted(sizes)


def test_bad_demands_are_named():
    with pytest.raises(ConfigError, match=r"Did you mean 'apache-2\.0'"):
        room.choose(WHOLE.models, licences=["apache-2"])
    with pytest.raises(ConfigError, match="base"):
        room.choose(WHOLE.models, kind="basic")


def spoil(tmp_path, old, new):
    text = (ROOT / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "catalogue.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value: 135.0e+6, page: smollm2-card", "value: 135.0e+6", "page"),
        ("value: 135.0e+6, page: smollm2-card", "value: -1, page: smollm2-card", "greater than 0"),
        ("page: smollm2-card}", "page: smollm3-card}", "smollm3-card is not listed"),
        ("value: mit, page", "value: bsd, page", "licence bsd is not listed"),
        ("template: chatml", "template: chatlm", "chatml"),
        (", read: 2026-11-21}", "}", "read"),
        ("  - name: EleutherAI/pythia-160m", "  - name: EleutherAI/pythia-70m", "twice"),
        ("models:", "models: [", "not YAML"),
    ],
)
def test_a_spoilt_file_says_what_is_wrong(tmp_path, old, new, told):
    with pytest.raises(DataError, match=re.escape(told)):
        room.catalogue(spoil(tmp_path, old, new))


def test_the_page_is_what_the_file_says(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import catalogue_page

    written = (ROOT / "data" / "catalogue.md").read_text(encoding="utf-8")
    assert written == catalogue_page.page(WHOLE), "run: python scripts/catalogue_page.py"
    twice = [b for m in WHOLE.models for b in m.benchmarks if m.name.endswith("SmolLM2-1.7B")]
    assert len([found for found in twice if found.name == "HellaSwag"]) == 2


def test_the_file_has_no_key_twice():
    class Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    text = (ROOT / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    assert yaml.load(text, Strict)["models"]
    with pytest.raises(AssertionError):
        yaml.load(text + "\npages: {}\n", Strict)
