"""An agent that writes unit tests: a model proposes, the sandbox disposes, nothing is replaced.

report = agents.write_tests(["shop/"], client=openai.OpenAI(), model="my-tuned-model")
print(report)                                   # what passes, and what is not tested
agents.compare(report_of_the_base, report)      # the verdict, a line for each figure
"""

from ftlab.agents.functions import Function, functions_of
from ftlab.agents.report import Outcome, Report, compare
from ftlab.agents.standards import Standards, read_standards
from ftlab.agents.writer import calls_prompt, write_tests

__all__ = [
    "Function", "Outcome", "Report", "Standards", "calls_prompt", "compare", "functions_of",
    "read_standards", "write_tests",
]  # fmt: skip
