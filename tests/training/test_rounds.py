import pytest

from ftlab import data
from ftlab.errors import ConfigError, DataError
from ftlab.training import rounds

OLD = [
    data.example(f"Say {w}!", f"the {w}") for w in ("fox", "dog", "capital", "Paris", "hi", "lazy")
]
NEW = [data.example(f"Name {w}!", f"a {w} {w}") for w in ("user", "system", "model", "quick")]


def test_replay_takes_its_share_without_replacement_by_the_seed():
    old = [data.example(f"old {i}", "y") for i in range(40)]
    new = [data.example(f"new {i}", "x") for i in range(12)]
    mixed = rounds.replayed(new, [*old, new[0]], 0.25, seed=1)
    taken = [r for r in mixed.records if r not in new]
    assert len(mixed.records) == 16 and len(taken) == 4
    assert len({data.fingerprint([r]) for r in mixed.records}) == 16
    assert all(r in mixed.records for r in new)
    assert mixed.records == rounds.replayed(new, old, 0.25, seed=1).records
    assert taken != [r for r in rounds.replayed(new, old, 0.25, seed=2).records if r not in new]
    assert sorted(data.answer(r) for r in rounds.replayed(new, old, 0).records) == ["x"] * 12


def test_a_share_that_cannot_be_is_told():
    with pytest.raises(ConfigError, match="not including, 1"):
        rounds.replayed(NEW, OLD, 1.0)
    with pytest.raises(ConfigError, match=r"-0\.1"):
        rounds.replayed(NEW, OLD, -0.1)
    with pytest.raises(DataError, match=r"takes 16 old ones, and there are 6 .* at most 0.6"):
        rounds.replayed(NEW, OLD, 0.8)
    with pytest.raises(DataError, match="there are 0 that are not among the new"):
        rounds.replayed(NEW, NEW)
    with pytest.raises(DataError, match="no new records"):
        rounds.replayed([], OLD)
