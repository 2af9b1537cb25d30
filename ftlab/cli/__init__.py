"""`ftlab …`: the package's functions from a shell.

An error that the user can mend is one message on stderr and exit code 2, never a traceback.
"""

import io
import os
import sys
import time

import typer

from ftlab.cli.course import board, capstone, progress, rehearse
from ftlab.cli.data import (
    amplify,
    convert,
    diversity,
    doctor,
    mix,
    show,
    split,
    synth,
    tasks,
)
from ftlab.cli.models import estimate, get, merge, models, profile
from ftlab.cli.service import generate, loop, rollback, serve, traces, write_tests
from ftlab.cli.tuning import compare, demo, train
from ftlab.errors import FtlabError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fine-tune language models, and prove that it helped.",
)
for command in (
    demo, compare, train, profile, estimate, merge, generate, tasks, synth, amplify,
    convert, split, mix, doctor, diversity, show, progress, rehearse, serve, write_tests,
    loop, rollback, board,
):  # fmt: skip
    app.command()(command)
group = typer.Typer(invoke_without_command=True, callback=models, pretty_exceptions_enable=False)
group.command()(get)
app.add_typer(group, name="models")
app.add_typer(traces, name="traces")
app.add_typer(capstone, name="capstone")


def main() -> None:
    """Run the command line; turn the errors a user can mend into one message."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may not have every character
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FtlabError as error:
        rank = os.environ.get("RANK", "0")  # set by accelerate launch and torchrun
        if rank != "0":
            time.sleep(2)  # the launcher ends all with the first that ends: let number 0 speak
        print(f"ftlab{f', process {rank}' * (rank != '0')}: {error}", file=sys.stderr)
        sys.exit(2)
