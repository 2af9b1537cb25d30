"""Notebooks are built whole, the same each time, with a stub or with the solution."""

import json

import build_lessons as build
import nbformat
import pytest

from ftlab.errors import DataError

SOURCE = """# %% [markdown]
# # 07 A lesson

# %% tags=["nbval-check-output"]
1 + 1

# %% [markdown]
# An exercise.

# %%
def double(x):
    # solution:
    return 2 * x
    # stub:
    # # one line
    # ...
    # end


print(double(2))

# %%
1 + 1

# %%
from ftlab.pictures import loss_curve
from ftlab.teaching.quizzes import quiz

losses = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
handle = display(loss_curve(losses[:1]), display_id=True)
handle.update(loss_curve(losses))
quiz("00")
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "07_lesson.py").write_text(SOURCE)
    return tmp_path


def run(root, *arguments):
    return build.main([*arguments, "--root", str(root)])


def read(path):
    return nbformat.read(path, as_version=4)


def test_one_source_gives_the_stub_and_the_solution(root):
    assert run(root) == 0
    stub = read(root / "07_lesson.ipynb").cells[3].source
    assert stub == "def double(x):\n    # one line\n    ...\n\n\nprint(double(2))"
    solved = read(root / "solutions" / "07_lesson.ipynb")
    assert solved.cells[4].source.startswith("def double(x):\n    return 2 * x")
    assert "with the solutions in" in solved.cells[1].source
    assert "solution" not in (root / "07_lesson.ipynb").read_text()


def test_the_same_source_gives_the_same_bytes(root):
    run(root)
    first = (root / "07_lesson.ipynb").read_bytes()
    run(root)
    assert (root / "07_lesson.ipynb").read_bytes() == first


def test_metadata_are_clean_ids_unique_and_tags_kept(root):
    run(root)
    notebook = read(root / "07_lesson.ipynb")
    assert notebook.metadata == build.METADATA
    assert notebook.cells[1].metadata == {"tags": ["nbval-check-output"]}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_what_is_left_of_a_progress_bar_is_taken_away():
    def shown(**data):
        return nbformat.v4.new_output("display_data", {k.replace("_", "/"): data[k] for k in data})

    cell = nbformat.v4.new_code_cell("run()")
    cell.outputs = [
        shown(text_plain="Output()"),
        shown(text_plain="", text_html="<pre></pre>"),
        shown(text_plain="Bars.", text_html="<img>"),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    build.clean(notebook)
    assert [output.data["text/plain"] for output in notebook.cells[0].outputs] == ["Bars."]


def test_an_id_stays_when_a_cell_is_added_before(root):
    before = build.make(SOURCE, lesson="07")
    after = build.make("# %%\nx = 0\n\n" + SOURCE, lesson="07")
    assert [cell.id for cell in after.cells[1:]] == [cell.id for cell in before.cells]


def test_check_tells_a_stale_notebook(root, capsys):
    assert run(root, "--check") == 1
    assert "missing" in capsys.readouterr().err
    run(root)
    assert run(root, "--check") == 0
    path = root / "07_lesson.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["source"] = "1 + 2"
    path.write_text(json.dumps(notebook))
    assert run(root, "--check") == 1
    assert "cell 2: source differs" in capsys.readouterr().err
    notebook["cells"].pop()
    path.write_text(json.dumps(notebook))
    run(root, "--check")
    assert "cells, where the source has" in capsys.readouterr().err


def test_outputs_stay_while_only_prose_changes(root):
    run(root)
    path, source = root / "07_lesson.ipynb", root / "source" / "07_lesson.py"
    notebook = read(path)
    notebook.cells[1].execution_count = 1
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="2\n")]
    nbformat.write(notebook, path)
    source.write_text(SOURCE.replace("An exercise.", "One exercise."))
    run(root)
    assert read(path).cells[1].outputs[0].text == "2\n"
    source.write_text(SOURCE.replace("2 * x", "x + x").replace("# one line", "# a line"))
    run(root)
    assert read(path).cells[1].outputs == []


def test_executing_leaves_one_picture_and_no_live_widget(root):
    assert run(root, "--execute") == 0
    notebook = read(root / "07_lesson.ipynb")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    picture, shown = code[-1].outputs
    assert picture.data["text/plain"] == "Loss curve over 2 steps, from 2.00 to 1.00."
    assert 'alt="Loss curve over 2 steps' in picture.data["text/html"]
    assert set(shown.data) == {"text/plain", "text/html"}
    assert shown.data["text/plain"].startswith("Quiz 00\n")
    assert notebook.metadata == build.METADATA
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    solved = read(root / "solutions" / "07_lesson.ipynb").cells
    solved = [cell for cell in solved if cell.cell_type == "code"]
    assert [cell.execution_count for cell in solved] == [1, 2, 3, 4]
    assert (code[1].outputs[0].text, solved[1].outputs[0].text) == ("None\n", "4\n")
    assert solved[3].outputs == code[3].outputs


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("# solution:\n1", "has no '# end'"),
        ("# stub:\n# ...\n# end", "line 1: '# stub:' is out of place"),
        ("# solution:\n1\n# end", "line 3: '# end' is out of place"),
        ("# solution:\n1\n# stub:\n...\n# end", "line 4: a line of a stub is a comment"),
    ],
)
def test_markers_out_of_order(code, message):
    with pytest.raises(DataError, match=message):
        build.choose(code, solved=False)


def test_bad_names_give_one_line_and_exit_code_2(root, tmp_path, capsys):
    assert run(root, "08") == 2
    assert capsys.readouterr().err == "Unknown lesson '08'. Did you mean '07'? Valid: 07.\n"
    assert run(tmp_path / "nowhere") == 2
    assert "No lesson sources" in capsys.readouterr().err
    (root / "07_lesson.ipynb").write_text("no notebook")
    assert run(root, "--check") == 2
    assert "is not a notebook" in capsys.readouterr().err


def test_links_out_of_the_folder_hold_in_the_solutions_too():
    source = "# %% [markdown]\n# [a](../docs/a.md) [b](claims.md) [c](01_c.ipynb)"
    told = [build.make(source, lesson="07", solved=solved).cells for solved in (False, True)]
    assert told[0][0].source == "[a](../docs/a.md) [b](claims.md) [c](01_c.ipynb)"
    assert "[a](../../docs/a.md) [b](../claims.md) [c](01_c.ipynb)" in {c.source for c in told[1]}
