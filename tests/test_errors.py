"""The error tree is what its docstring draws, and a wrong name gets a useful answer."""

import re

import pytest

from ftlab import errors


def test_the_tree_is_the_one_that_is_drawn():
    drawn = set(re.findall(r"\b[A-Z]\w*Error\b", errors.__doc__)) - {"ValueError", "ImportError"}
    made = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert set(made) == drawn
    assert all(issubclass(error, errors.FtlabError) for error in made.values())


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (errors.DataError, ValueError),
        (errors.ConfigError, ValueError),
        (errors.OfflineError, errors.ModelError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_errors_are_also_what_python_calls_them(error, also):
    with pytest.raises(also, match="why"):
        raise error("why")


def test_the_nearest_name_is_suggested():
    with pytest.raises(errors.ConfigError) as caught:
        errors.raise_unknown("method", "lroa", ["lora", "full"])
    assert str(caught.value) == ("Unknown method 'lroa'. Did you mean 'lora'? Valid: full, lora.")


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(errors.ConfigError) as caught:
        errors.raise_unknown("method", "zzz", ["lora", "full"])
    assert str(caught.value) == "Unknown method 'zzz'. Valid: full, lora."


def test_a_notebook_shows_the_line_and_the_message_alone(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_cell("import ftlab.errors as e\n1 + 1\ne.raise_unknown('x', 'a', ['ab'])")
    shown = capsys.readouterr().out
    assert "line 3 of the cell: e.raise_unknown('x', 'a', ['ab'])" in shown
    assert "ConfigError: Unknown x 'a'. Did you mean 'ab'?" in shown
    assert "errors.py" not in shown
