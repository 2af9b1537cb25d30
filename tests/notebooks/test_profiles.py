"""Every lesson runs with a hub model of another family, as the t4 and gpu profiles choose one.

The models are tiny and random, with the families' real chat templates, and lie in a download cache
like a hub model that was fetched before. Sizes are cut to a handful of records. What a random model
cannot do is to be better than another: an `assert` on what is more or less may fail here, and is
listed when it does. Anything else that goes wrong is a bug, in the lesson or under it.
"""

import ast
import dataclasses
import importlib.resources
import shutil
import tempfile
from pathlib import Path

import build_lessons as build
import pytest

from ftlab import generation, hardware
from ftlab.models import folders

SOURCES = build.sources(Path(__file__).parents[2] / "notebooks")
FEW = 8  # records trained on, and prompts answered, at a time
SHIPPED = ("smollm2-135m", "ftlab-1m")
FAMILY = {  # hub id, and the file of its chat template in TRL
    "qwen2.5": (hardware.DEFAULTS["t4"].model, "qwen2_5"),
    "qwen3": ("Qwen/Qwen3-0.6B", "qwen3"),
    "llama3": ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3"),
    "gemma": ("google/gemma-2b-it", "gemma"),
}
# On a family whose template can think.
REBUILT = ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13")
PLAN = [
    (path, family)
    for path in SOURCES
    for family in ("llama3", "qwen3" if path.name[:2] in REBUILT else "qwen2.5")
]
SIZES = {
    "00": {"TRAIN": 8, "TEST": 3, "EPOCHS": 1},
    "01": {"TRAIN": 10, "TEST": 20, "EPOCHS": 1, "PASSES": 1, "PLANS": 4},
    "02": {"TRAIN": 6, "TEST": 3, "EPOCHS": 1, "STEPS": 1},
    "05": {"TEST": 20, "STEPS": 2, "CALL_STEPS": 2, "SMALL": 1},
    "06": {"TRAIN": 6, "EPOCHS": 1, "SENTENCES": 3},
    "03": {"TRAIN": 16, "EPOCHS": 2, "TEST": 12, "FEW": 5, "FEW_EPOCHS": 2, "WATCHED": 2,
           "TRIALS": 2},
    "07": {"TRAIN": 8, "TEST": 6, "EPOCHS": 1, "SHOTS": 1, "STEP": 20},
    "04": {"TRAIN": 6, "TEST": 3, "EPOCHS": 1, "FEW": 4},
    "08": {"MADE": 3, "EPOCHS": 1, "USED": 10, "REPLAY": 3, "HELD_OUT": 2},
    "09": {"GOLD": 4, "FIRST": 1, "NEW": 3, "STEPS": 1, "TEST": 3},
    "10": {"RECORDS": 6, "TEST": 3, "ANSWERS": 4, "GROUP": 4, "TOKENS": 6, "STEPS": 1, "HACK": 2},
    "13": {"TRAIN": 16, "TEST": 8, "EPOCHS": 1, "SHOTS": 2, "FEW": 8, "FEW_TEST": 4},
    "11": {"TRAIN": 6, "TEST": 3, "EPOCHS": 1, "LENGTH": 6},
    "12": {"TRAIN": 10, "FEW": 4, "TEST": 8, "DEEDS": 4, "PROBES": 4, "LIMIT": 4000,
           "UNNAMED": "B"},
}  # fmt: skip

# Lesson 04 halves the layers of its base, and holds it in 4 bits.
LAYERS = {"04": 4}


class Small(ast.NodeTransformer):
    """Change what a cell assigns: the base, and the sizes; and forgive what only training earns."""

    def __init__(self, base, sizes):
        self.base, self.sizes, self.changed = base, sizes, set()

    def visit_Assign(self, node):
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        values = [self.chosen(name, old) for name, old in pairs]
        if isinstance(value, ast.Tuple) and len(pairs) > 1:
            value.elts = values
        else:
            node.value = values[0]
        return node

    def chosen(self, name, value):
        if isinstance(name, ast.Name) and name.id in self.sizes:
            self.changed.add(name.id)
            return ast.parse(repr(self.sizes[name.id]), mode="eval").body
        if isinstance(value, ast.Constant) and value.value in SHIPPED:
            return ast.Constant(self.base)
        return value

    def visit_Assert(self, node):
        ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
        if not any(isinstance(part, ordered) for part in ast.walk(node.test)):
            return node
        caught = f"except AssertionError: MISSED.append({ast.unparse(node.test)!r})"
        made = ast.parse(f"try: pass\n{caught}").body[0]
        made.body = [node]
        return made


def run(path, base, sizes):
    """Execute a lesson's code; return the assertions on measured figures that failed."""
    lesson = path.name[:2]
    notebook = build.make(path.read_text(encoding="utf-8"), lesson=lesson, solved=True)
    names = {"__name__": "__main__", "MISSED": [], "SHOW": show}
    changed = set()
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        small = Small(base, sizes)
        tree = small.visit(ast.parse(cell.source))
        changed |= small.changed
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body[-1]
            last.value = ast.Call(ast.Name("SHOW", ast.Load()), [last.value], [])
        code = compile(ast.fix_missing_locations(tree), f"lesson {lesson}, cell {number}", "exec")
        exec(code, names)
    assert changed == set(sizes), "the lesson has no such settings any more"
    return names["MISSED"]


def show(value):
    """Show what a cell ends with, as a notebook does."""
    from IPython.core.formatters import DisplayFormatter

    if value is not None:
        DisplayFormatter().format(value)


def sparingly(model, tokenizer, conversations, *, generate=generation.generate, **how):
    """Answer as `generate` does, but the first few alone; the others get one that rules flag."""
    said = generate(model, tokenizer, conversations[:FEW], **how)
    return said + ["Offer some tea."] * (len(conversations) - len(said))


@pytest.fixture
def hub(monkeypatch, tmp_path, make_model):
    """Put a family's tiny model into an empty download cache, offline; return its hub id."""
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))  # for the programs that a lesson starts
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def put(family, shape):
        name, template = FAMILY[family]
        entry = cache / f"models--{name.replace('/', '--')}"
        folder = entry / "snapshots" / ("0" * 40)
        model, tokenizer = make_model(family, max_position_embeddings=8192, **shape)
        tokenizer.model_max_length = 8192
        original = importlib.resources.files("trl").joinpath(f"chat_templates/{template}.jinja")
        if original.is_file():  # not all releases of TRL carry it
            tokenizer.chat_template = original.read_text(encoding="utf-8")
        # Some models name several ends; with every tenth token among them, few answers are long.
        model.generation_config.eos_token_id = [
            tokenizer.eos_token_id, *range(9, len(tokenizer), 10)
        ]  # fmt: skip
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (entry / "refs").mkdir()
        (entry / "refs" / "main").write_text("0" * 40)
        return name

    return put


@pytest.fixture
def ships(monkeypatch, tmp_path, save_model):
    """Ship two tiny models in place of the course's own, which nothing here may ask for."""
    for name, layers in (("tiny", 2), ("tinier", 1)):
        folder = tmp_path / "models" / name
        shutil.copytree(save_model(num_hidden_layers=layers), folder)
        (folder / "training.json").write_text('{"tokens": 1000000}')
    monkeypatch.setattr(folders, "roots", lambda: [tmp_path / "models"])


@pytest.mark.parametrize(("path", "family"), PLAN, ids=lambda value: getattr(value, "stem", value))
def test_a_lesson_runs_with_the_model_of_another_profile(
    path, family, hub, ships, packable, monkeypatch, tmp_path
):
    lesson = path.name[:2]
    shape = {"num_hidden_layers": LAYERS[lesson], **packable} if lesson in LAYERS else {}
    base = hub(family, shape)
    profile = dataclasses.replace(hardware.profile(), name="t4", default_model=base, batch_size=4)
    monkeypatch.delenv("FTLAB_PROFILE", raising=False)
    monkeypatch.setitem(hardware._found, "", profile)
    monkeypatch.setattr(generation, "generate", sparingly)
    monkeypatch.setenv("FTLAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for line in run(path, base, SIZES[lesson]):
        print("not with a random model:", line)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_cell_but_the_settings_names_a_model(path):
    notebook = build.make(path.read_text(encoding="utf-8"), lesson=path.name[:2])
    named = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and any(name in cell.source for name in SHIPPED)
    ]
    assert len(named) <= 1, named[1:]
    assert all("PROFILE" in source or "SEED" in source for source in named)  # the settings
