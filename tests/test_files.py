"""Files come whole or not at all, and nothing is overwritten unasked."""

import errno
import hashlib
import os

import pytest

from ftlab.errors import DataError
from ftlab.files import parse_yaml, read_data, read_text, sha256, write_text, writing


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    assert write_text(path, "é\r\n日本\n") == path
    assert read_text(path) == "é\r\n日本\n"
    assert os.listdir(path.parent) == ["a.txt"], "no temporary file is left"


def test_a_file_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "mine")
    with pytest.raises(DataError, match="exists already"):
        write_text(path, "theirs")
    assert read_text(path) == "mine"
    write_text(path, "theirs", overwrite=True)
    assert read_text(path) == "theirs"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, stop):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(stop), writing(path, overwrite=True) as temporary:
        temporary.write_text("ha")
        raise stop
    assert read_text(path) == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(DataError, match=r"No space left.*Nothing was changed"), writing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="Could not write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_text_that_is_no_text(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(DataError, match="Could not read"):
        read_text(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"\x89PNG\x00\x00")
    with pytest.raises(DataError, match="binary file"):
        read_text(tmp_path / "a.bin")
    (tmp_path / "latin.txt").write_bytes("one\ntwo\ncafé".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8.*line 3"):
        read_text(tmp_path / "latin.txt")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhi")
    assert read_text(tmp_path / "a.txt") == "hi"


def test_a_hash_covers_contents_and_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"1")
    assert sha256(tmp_path / "a" / "one") == hashlib.sha256(b"1").hexdigest()
    before = sha256(tmp_path / "a")
    assert sha256(tmp_path / "a") == before
    (tmp_path / "a" / "one").rename(tmp_path / "a" / "two")
    renamed = sha256(tmp_path / "a")
    (tmp_path / "a" / "two").write_bytes(b"2")
    assert len({before, renamed, sha256(tmp_path / "a")}) == 3


def test_data_files_are_read_once_and_shared_without_lists():
    (first, *_) = read_data("quizzes/00.yaml")
    assert isinstance(first["options"], tuple)
    assert read_data("quizzes/00.yaml")[0] is first


def test_a_data_file_that_is_missing_or_broken():
    with pytest.raises(DataError, match=r"99\.yaml is missing"):
        read_data("quizzes/99.yaml")
    with pytest.raises(DataError, match=r"a\.yaml is not YAML"):
        parse_yaml("a: [1", "a.yaml")
