"""Commands that let a model answer: serve, generate."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ftlab.cli.options import MaxNewTokens, Model, Seed


def serve(
    host: Annotated[str, typer.Option(help="Others are let in only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    data: Annotated[Path, typer.Option(help="Folder of files, jobs and models.")] = Path(
        "runs/service"
    ),
    api_key: Annotated[
        list[str] | None,
        typer.Option(envvar="FTLAB_API_KEY", help="One per user; each sees only its own."),
    ] = None,
    model: Model = "smollm2-135m",
    worker: Annotated[
        bool, typer.Option(help="Start the process that trains; its command is printed.")
    ] = True,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute for each key.")] = 1200,
    trace: Annotated[
        bool, typer.Option("--trace", help="Store every completion, to be labelled.")
    ] = False,
) -> None:
    """Serve fine-tuning jobs and chat to the openai client: files, jobs, models, completions."""
    from ftlab.serving.app import Limits
    from ftlab.serving.server import run

    run(
        data, host=host, port=port, keys=api_key or (), model=model, worker=worker,
        limits=Limits(requests=rate), trace=trace,
    )  # fmt: skip


def generate(
    prompt: Annotated[str, typer.Argument(help="What to say to the model.")],
    model: Model = "smollm2-135m",
    max_new_tokens: MaxNewTokens = 128,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Seed = 0,
    raw: Annotated[
        bool, typer.Option(help="Continue the text, without the chat template.")
    ] = False,
    thinking: Annotated[
        bool | None,
        typer.Option("--thinking/--no-thinking", help="Of a model whose template knows both."),
    ] = None,
) -> None:
    """Print a model's answer to one prompt."""
    from ftlab import generation, models

    loaded, tokenizer = models.load(model)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    options["seed"] = seed
    if raw:
        print(prompt + generation.continue_text(loaded, tokenizer, prompt, **options))
    else:
        message = {"role": "user", "content": prompt}
        if thinking is not None:
            options["rows"] = [{"chat_template_kwargs": {"enable_thinking": thinking}}]
        (text,) = generation.generate(loaded, tokenizer, [[message]], thoughts=True, **options)
        thought, answer = generation.split_thought(text)
        print(answer)
        if thought is not None:
            words = f"A thought of {len(thought.split())} words was cut off before the answer."
            ended = "</think>" in text
            print(
                words if ended else "The thought did not end, so there is no answer: raise "
                "--max-new-tokens.", file=sys.stderr,
            )  # fmt: skip
