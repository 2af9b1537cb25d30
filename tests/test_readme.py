"""The README's picture says what lesson 00 printed when it ran."""

import pytest
import readme_picture

from ftlab.errors import DataError


def test_the_picture_is_of_the_lesson_as_it_ran(tmp_path):
    assert readme_picture.main(["--check"]) == 0
    told = readme_picture.found(readme_picture.ROOT / "notebooks" / "00_first_fine_tune.ipynb")
    assert told["before"] != told["after"] and told["f1"]["tuned"][0] > told["f1"]["base"][0]
    readme_picture.draw(told, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_a_lesson_without_outputs_is_an_error(tmp_path):
    (tmp_path / "00.ipynb").write_text('{"cells": []}')
    with pytest.raises(DataError, match="Execute it"):
        readme_picture.found(tmp_path / "00.ipynb")
