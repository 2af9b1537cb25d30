"""The catalogue of open models: every fact has a page and a day, and the facts agree."""

import re
from pathlib import Path

import pytest
import yaml

from ftlab import catalogue as room
from ftlab.errors import ConfigError
from ftlab.hardware import DEFAULTS

WHOLE = room.catalogue()
ROOT = Path(__file__).parents[1]
NAMED = {model.name: model for model in WHOLE.models}


def test_there_are_enough_models_of_enough_families():
    assert len(WHOLE.models) >= 15
    assert len({model.family for model in WHOLE.models}) >= 10


def test_every_entry_names_its_pages_and_their_day():
    entries = [*WHOLE.models, *WHOLE.licences.values(), *WHOLE.history]
    assert all(entry.source and entry.seen.year >= 2026 for entry in entries)
    assert all(page.startswith("https://") for entry in entries for page in entry.source)


def test_the_models_of_the_gpu_profiles_are_of_a_listed_family():
    families = {model.name.split("-")[0] for model in WHOLE.models}
    assert all(DEFAULTS[name].model.split("-")[0] in families for name in ("t4", "gpu"))


def test_memory_follows_from_the_size_and_a_blank_stays_one():
    small, blank = NAMED["Qwen/Qwen3-0.6B"], NAMED["ibm-granite/granite-4.0-1b"]
    assert room.held(small, "inference") == 2 * small.parameters
    assert room.held(small, "full") == 16 * small.parameters
    assert room.held(small, "qlora") < room.held(small, "inference") < room.held(small, "lora")
    assert blank.parameters is None and room.held(blank, "full") is None
    with pytest.raises(ConfigError, match="qlora"):
        room.held(small, "qlroa")


def test_what_is_not_known_meets_no_demand():
    unsized, plain = NAMED["ibm-granite/granite-4.0-1b"], NAMED["ibm-granite/granite-4.1-3b"]
    assert room.misses(plain) == []
    assert room.misses(unsized, memory=1e15) == ["memory for lora"]
    assert room.misses(plain, min_context=1) == ["context"]
    assert room.misses(plain, languages=["de", "en"]) == ["languages de, en"]
    assert room.misses(plain, safe=True) == ["safe weights"]


def test_choosing_by_licence_context_language_format_and_memory():
    names = lambda **demand: [model.name for model in room.choose(WHOLE.models, **demand)]
    assert names() == [model.name for model in room.choose(WHOLE.models)]
    assert set(names()) - set(names(commercial=True)) == {"Qwen/Qwen2.5-3B"}
    assert "LiquidAI/LFM3-1.7B" not in names(safe=True)  # its own code would have to run
    assert names(memory=0.4e9, method="inference") == ["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert "meta-llama/Llama-3.2-1B-Instruct" in names(languages=["hi", "th"])
    assert all(m.context >= 1e5 for m in room.choose(WHOLE.models, min_context=100_000))
    t4 = 15.8e9 - room.ROOM
    fits = [set(names(memory=t4, method=method)) for method in ("full", "lora", "qlora")]
    assert fits[0] < fits[1] < fits[2]
    sizes = [model.parameters for model in room.choose(WHOLE.models) if model.parameters]
    assert sizes == sorted(sizes)


def test_the_facts_of_the_file_are_of_their_kind_and_agree():
    allowed = {
        "kind": {"base", "chat"}, "template": {"chatml", "llama3", "harmony", None},
        "thinking": {"never", "switch", "always", None}, "licence": set(WHOLE.licences),
    }  # fmt: skip
    for model in WHOLE.models:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.name)
        assert {name: getattr(model, name) in known for name, known in allowed.items()} == (
            dict.fromkeys(allowed, True)
        ), model.name
        assert set(model.formats or ()) <= {"safetensors", "pickle"}
        sizes = (model.parameters, model.context, model.language_count)
        assert all(size is None or size > 0 for size in sizes)
    assert len(NAMED) == len(WHOLE.models), "a model is listed twice"
    assert {one.commercial for one in WHOLE.licences.values()} <= {"yes", "limited", "no"}
    assert all(one.conditions for one in WHOLE.licences.values())


def test_the_page_is_what_the_file_says(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import catalogue_page

    written = (ROOT / "data" / "catalogue.md").read_text(encoding="utf-8")
    assert written == catalogue_page.page(WHOLE), "run: python scripts/catalogue_page.py"


def test_the_file_has_no_key_twice():
    class Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    text = (ROOT / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    assert yaml.load(text, Strict)["models"]
    with pytest.raises(AssertionError):
        yaml.load(text + "\nmodels: []\n", Strict)
