"""What a job costs at a provider: counted tokens, and prices that say where they stand."""

import pytest

from ftlab import data, models
from ftlab.errors import ConfigError, DataError
from ftlab.templates import encode
from ftlab.training import hosted

ROWS = [data.example("Say hi!", "Hello, there."), data.example("What is the capital?", "Paris.")]


def test_money_follows_tokens_epochs_and_the_table():
    tokenizer = models.tokenizer("ftlab-1m")
    found = hosted.hosted(ROWS, tokenizer, epochs=4, validation=ROWS[:1])
    sizes = [len(encode(tokenizer, row).input_ids) for row in ROWS]
    assert (found.tokens, found.longest) == (sum(sizes), max(sizes))
    assert 0 < found.learned < found.tokens
    assert found.total == 4 * sum(sizes) + sizes[0]
    job = found.prices.jobs[0]
    assert found.cost(job) == pytest.approx(found.total * job.per_million / 1e6)
    assert f"{found.total:,} tokens are charged" in str(found) and job.source in str(found)
    with pytest.raises(ConfigError, match="0 rows and epochs=0"):
        hosted.hosted([], tokenizer, epochs=0)


def test_every_price_that_ships_has_its_page_and_day():
    prices = hosted.table()
    assert all(row.source and row.seen for row in [*prices.jobs, *prices.serving])
    assert all((row.per_million is None) != (row.per_hour is None) for row in prices.serving)


def test_the_command_reads_a_file_and_a_table_of_ones_own(command, tmp_path):
    file, prices = tmp_path / "mine.jsonl", tmp_path / "prices.yaml"
    data.write(file, ROWS)
    code, out, err = command("estimate", "ftlab-1m", "--hosted", file, "--epochs", 2)
    assert code == 0 and "2 rows" in out and "docs.ori.co" in out, err
    job = (
        "jobs: [{provider: X, models: all, per_million: 1000000, source: 'https://x', "
        "seen: 2026-01-02}]"
    )
    prices.write_text(job)
    code, out, _ = command("estimate", "ftlab-1m", "--hosted", file, "--table", prices)
    assert code == 0 and "1,000,000.00 a million, https://x, read 2026-01-02" in out
    prices.write_text(job.replace("1000000", "-1"))
    code, _, err = command("estimate", "ftlab-1m", "--hosted", file, "--table", prices)
    assert code == 2 and "jobs.0.per_million" in err
    with pytest.raises(DataError):
        hosted.table(prices)
    code, out, _ = command("estimate", "ftlab-1m")
    assert code == 0 and "512" in out
