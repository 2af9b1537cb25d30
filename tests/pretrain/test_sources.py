import json
import lzma

import pytest

from ftlab.errors import DataError
from ftlab.pretrain import sources
from ftlab.tasks import pydocs


def test_what_lessons_evaluate_on_is_left_out_of_the_corpus():
    assert "pydoc_data" in sources.LESSONS_ONLY
    assert set(pydocs.SET_ASIDE) <= set(sources.LESSONS_ONLY)


def test_python_files_are_permissive_and_skip_lessons_and_tests():
    files = []
    for document in sources.python_files():
        files.append(document)
        if len(files) == 800:
            break
    assert len(files) > 100
    titles = [f["title"] for f in files]
    assert not [t for t in titles if t.split("/")[0].removesuffix(".py") in sources.LESSONS_ONLY]
    assert not [t for t in titles if "/tests/" in t]
    assert all(f["licence"] for f in files)


def test_copyleft_is_not_read(monkeypatch):
    class Fake(dict):
        def get_all(self, name, default):
            return default

    metadata = {"a": Fake(License="MIT", Version="1"), "b": Fake(License="GPL-3.0", Version="1")}
    monkeypatch.setattr(
        sources.importlib.metadata, "packages_distributions", lambda: {"a": ["a"], "b": ["b"]}
    )
    monkeypatch.setattr(sources.importlib.metadata, "metadata", metadata.__getitem__)
    assert sources.licences() == {"a": ("a", "1", "MIT")}


def test_books_split_by_title_and_are_cleaned(tmp_path):
    path = tmp_path / "b.jsonl.xz"
    rows = [{"title": "X", "text": "“Hi” — _he_ said…"}, {"title": "The Awakening", "text": "A."}]
    with lzma.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    first, second = sources.books(path, "prose", sources.HELD_OUT_BOOKS)
    assert first["text"] == '"Hi" -- he said...'
    assert (first["split"], second["split"]) == ("train", "heldout")


def test_a_missing_corpus_is_one_clear_message(tmp_path):
    with pytest.raises(DataError, match="--prose"):
        list(sources.books(tmp_path / "none.xz", "prose", ()))


def test_a_copy_of_a_held_out_document_is_dropped_from_training():
    text = "\n".join(f"this is a fairly long line number {i}" for i in range(20))
    other = text.replace("line", "row")
    documents = [
        {"split": "heldout", "text": text},
        {"split": "train", "text": text + "\nand one more line at the very end"},
        {"split": "train", "text": other},
    ]
    kept = list(sources.deduplicated(documents))
    assert kept == [documents[0], documents[2]]


def test_docstrings_become_paragraphs_of_english():
    text = (
        "Read the whole file into\nmemory and give its lines back to the caller.\n\n"
        "    >>> read('x')\n\nArgs:\n    path: where"
    )
    assert sources.prose_paragraphs(text) == [
        "Read the whole file into memory and give its lines back to the caller."
    ]
