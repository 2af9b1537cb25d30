"""A server of the protocol with a writer whose answers are scripted by the name of the function."""

import re

import openai
import pytest
from openai_server import KEY


def module(name, value=4, tests=("typical",)):
    """Return an answer as a model gives it: the tests of `name(2)`."""
    body = "".join(
        f"    def test_{test}(self):\n        self.assertEqual({name}(2), {value!r})\n\n"
        for test in tests
    )
    return (
        f"Here are the tests:\n\n```python\nimport unittest\n\nfrom target import {name}\n\n\n"
        f"class TestIt(unittest.TestCase):\n{body}```\nI hope this helps!"
    )


def asked_for(messages):
    """Return the name of the function that the last of the prompts with a function asks for."""
    asked = [m["content"] for m in messages if m["content"].startswith("Write ")]
    return re.findall(r"^def (\w+)", asked[-1], re.MULTILINE)[-1]


@pytest.fixture
def server(served):
    served.reset(lambda messages: module(asked_for(messages)))
    return served


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        yield client
