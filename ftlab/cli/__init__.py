"""`ftlab …`: the package's functions from a shell.

An error that the user can mend is one message on stderr and exit code 2, never a traceback.
"""

import os
import sys
import time

import typer

from ftlab.cli import data, generate, models, models_list, progress, rehearse, train, verdict
from ftlab.errors import FtlabError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fine-tune language models, and prove that it helped.",
)
for module in (verdict, train, models, models_list, generate, data, progress, rehearse):
    module.add_to(app)


def main() -> None:
    """Run the command line; turn the errors a user can mend into one message."""
    if sys.argv[1:2] in (["demo"], ["train"]):
        from ftlab.hardware import huge_pages

        huge_pages()
    try:
        app()
    except FtlabError as error:
        rank = os.environ.get("RANK", "0")  # set by accelerate launch and torchrun
        if rank != "0":
            time.sleep(2)  # the launcher ends all with the first that ends: let number 0 speak
        print(f"ftlab{f', process {rank}' * (rank != '0')}: {error}", file=sys.stderr)
        sys.exit(2)
