"""The agent against a real server of the protocol, through the official client."""

import subprocess
import sys

import openai
from openai_server import KEY, serving

from ftlab import agents

SHOP = """class CartError(Exception):
    pass


def total(prices, off=0):
    if off > 100:
        raise CartError("too much")
    return sum(prices) * (100 - off) / 100
"""


def test_failures_are_shown_and_what_passes_is_written(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)

    def write(messages):
        value = 3 if "AssertionError: 3.0 != 4" in messages[-1]["content"] else 4
        return (
            "Here they are:\n\n```python\nfrom shop import total, CartError\n\n\n"
            f"def test_typical():\n    assert total([1]) == 1\n\n\nclass T:\n"
            f"    def test_edges(self):\n        self.assertEqual(total([1, 2]), {value})  # !\n```"
        )

    with serving(write) as server:
        client = openai.OpenAI(base_url=server.url, api_key=KEY)
        report = agents.write_tests(tmp_path, client=client, model="tiny", out=tmp_path / "tests")
    (one,) = report.functions
    assert (one.name, one.passed, one.repaired) == ("total", 2, 1)
    assert 0 < one.killed < one.mutants and "never run: `raise CartError" in one.untested[0]
    assert "shop.total" in str(report)
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "discover", "tests"], cwd=tmp_path, text=True,
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0 and "Ran 2 tests" in done.stderr, done.stderr
