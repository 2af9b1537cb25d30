"""Train one base model: Llama architecture, Muon on the matrices, warm-up, stable, decay.

The data order is a pure function of the seed and the position, so a run that was stopped goes on
as if it had not been. Windows are 256 tokens long while the rate is stable (attention is cheap)
and 512 in the decay. The budget is in minutes of training, or in tokens.

Sources: Jordan et al. 2024 (Muon); Hu et al. 2024 (warm-up-stable-decay); Zhao et al. 2024 on
packing. The model runs through `torch.compile`; in bf16 autocast where the machine is fast at it
(`ftlab.hardware.profile` measures that: some CPUs are a hundred times slower), else in float32.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ftlab.errors import TrainingError
from ftlab.files import write_text, writing

BALANCED = {"prose": 0.58, "speeches": 0.02, "python": 0.20, "docs": 0.09, "structured": 0.11}
LONG = 512  # tokens in a stored window


@dataclass(frozen=True)
class Recipe:
    """One base model: its shape, what it reads, and how it is trained."""

    hidden: int
    layers: int
    heads: int
    inner: int
    mixture: dict[str, float] = field(default_factory=lambda: dict(BALANCED))
    keep: tuple[float, ...] = ()  # shares of the budget at which to keep a checkpoint
    batch: int = 8192  # tokens per step
    matrix_lr: float = 8e-3  # Muon, matched to AdamW's root mean square
    vector_lr: float = 3e-3  # AdamW: embeddings and norms
    weight_decay: float = 0.1
    warmup: int = 60  # steps
    decay: float = 0.3  # last share of the budget


SMALL: dict[str, Any] = {"hidden": 192, "layers": 4, "heads": 3, "inner": 704}
LAST: dict[str, Any] = {"batch": 4096, "warmup": 20, "decay": 1.0}
FAMILY = {
    "ftlab-7m": Recipe(320, 5, 5, 864),
    "ftlab-3m": Recipe(**SMALL, keep=(0.05, 0.25, 0.7), batch=4096),
    "ftlab-1m": Recipe(96, 5, 3, 256),
    # The specialists start from ftlab-3m where its rate begins to fall, and differ in what they
    # read from there on: `--start …/ftlab-3m-step70pct --seed 1`.
    "ftlab-3m-prose": Recipe(
        **SMALL, **LAST, mixture={"prose": 0.84, "speeches": 0.06, "docs": 0.10}
    ),
    "ftlab-3m-code": Recipe(**SMALL, **LAST, mixture={"python": 0.84, "structured": 0.16}),
}


def build(recipe: Recipe, tokenizer: Any, *, seed: int, attention: str = "eager") -> Any:
    """Return a freshly initialised LlamaForCausalLM in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftlab.pretrain.vocabulary import END

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = attention
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():  # residual outputs start small (GPT-2)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.data.mul_(1 / math.sqrt(2 * recipe.layers))
    end = tokenizer.convert_tokens_to_ids(END)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, end]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


class Windows:
    """Windows of `LONG` tokens, in an order fixed by (seed, position)."""

    def __init__(self, corpus: Path, mixture: dict[str, float], seed: int):
        self.data, self.seed = {}, seed
        for source in mixture:
            tokens = np.load(corpus / f"{source}-train.npy", mmap_mode="r")
            self.data[source] = tokens[: len(tokens) // LONG * LONG].reshape(-1, LONG)
        self.names = list(mixture)
        self.shares = np.cumsum(list(mixture.values())) / sum(mixture.values())
        self.orders: dict[tuple[int, int], np.ndarray] = {}
        self.sources = np.empty(0, np.int8)  # which source window number i comes from
        self.ranks = np.empty(0, np.int64)  # and how many of that source came before

    def plan(self, count: int) -> None:
        """Assign the first `count` positions to sources, evenly spread by the golden ratio."""
        spread = (np.arange(count) * 0.6180339887498949) % 1
        self.sources = np.searchsorted(self.shares, spread, side="right").astype(np.int8)
        self.ranks = np.empty(count, np.int64)
        for index in range(len(self.names)):
            here = self.sources == index
            self.ranks[here] = np.arange(here.sum())

    def at(self, position: int) -> np.ndarray:
        """Return window number `position`, an array of LONG token ids."""
        if position >= len(self.sources):
            self.plan(max(1 << 16, 2 * position))
        index = int(self.sources[position])
        windows = self.data[self.names[index]]
        epoch, place = divmod(int(self.ranks[position]), len(windows))
        if (index, epoch) not in self.orders:
            rng = np.random.default_rng([self.seed, index, epoch])
            self.orders[index, epoch] = rng.permutation(len(windows))
        return windows[self.orders[index, epoch][place]]


def rate(progress: float, step: int, recipe: Recipe) -> float:
    """Return the learning-rate factor: warm-up, stable, then linear to zero."""
    return min(1, (step + 1) / recipe.warmup, max(0.0, (1 - progress) / recipe.decay))


def optimizers(model: Any, recipe: Recipe) -> list[Any]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    import torch

    from ftlab.pretrain.muon import Muon

    fast = autocast(next(model.parameters()).device.type)._enabled
    dtype = torch.bfloat16 if fast else torch.float32
    inside = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        Muon(inside, lr=recipe.matrix_lr, dtype=dtype, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(
            rest, lr=recipe.vector_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        ),
    ]


def autocast(device: str) -> Any:
    """Return the context of the forward pass: bf16 where this machine is fast at it."""
    import torch

    from ftlab.hardware import profile

    fast = device != "cpu" or profile().dtype == "bfloat16"
    return torch.autocast(device, torch.bfloat16, enabled=fast)


def bits_per_character(
    model: Any, tokenizer: Any, tokens: np.ndarray, *, limit: int | None = None
) -> float:
    """Return the model's bits per character on a held-out token stream.

    Windows of 512: `<|endoftext|>` and then 511 tokens, all of which are predicted. The sum of
    their negative log-likelihoods, in bits, over the characters that they decode to.

    Args:
        tokens: shape (n,), the documents of one source end to end.
        limit: at most this many windows, evenly spread.
    """
    import torch

    from ftlab.pretrain.vocabulary import END

    windows = tokens[: len(tokens) // (LONG - 1) * (LONG - 1)].reshape(-1, LONG - 1)
    if limit and len(windows) > limit:
        windows = windows[np.linspace(0, len(windows) - 1, limit).astype(int)]
    end = tokenizer.convert_tokens_to_ids(END)
    device = next(model.parameters()).device
    nats, characters = 0.0, 0
    for start in range(0, len(windows), 8):
        part = windows[start : start + 8].astype(np.int64)
        ids = torch.from_numpy(np.concatenate([np.full((len(part), 1), end), part], 1)).to(device)
        with torch.no_grad(), autocast(device.type):
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        nats += torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
        ).item()
        characters += sum(map(len, tokenizer.batch_decode(part, skip_special_tokens=True)))
    return nats / math.log(2) / max(characters, 1)


def evaluate(model: Any, tokenizer: Any, corpus: Path, *, limit: int | None = None) -> dict:
    """Return bits per character for every held-out source."""
    return {
        file.stem.removesuffix("-heldout"): round(
            bits_per_character(model, tokenizer, np.load(file), limit=limit), 4
        )
        for file in sorted(corpus.glob("*-heldout.npy"))
    }


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save bf16 weights and tokenizer as a plain Hugging Face folder."""
    import copy

    import torch

    copied = copy.deepcopy(model).to("cpu", torch.bfloat16)
    copied.config._attn_implementation = "sdpa"
    copied.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def start_from(model: Any, folder: Path) -> list[dict]:
    """Load the weights of `folder` into `model`; return the logs of the stages behind them."""
    from transformers import AutoModelForCausalLM

    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"{folder} has another shape than the recipe: {error}") from error
    log = json.loads((folder / "training.json").read_text("utf-8"))
    return [*log.pop("earlier", []), log]


def steps(
    model: Any, forward: Callable, windows: Windows, recipe: Recipe, optims: list, state: dict
) -> Iterator[float]:
    """Train without end, yielding the loss in nats per token after each step.

    The caller sets `state["progress"]`; this advances `state["step"]` and `state["tokens"]`.
    """
    import torch

    device = next(model.parameters()).device
    base = [[group["lr"] for group in optim.param_groups] for optim in optims]
    while True:
        length = LONG if state["progress"] > 1 - recipe.decay else LONG // 2
        count = recipe.batch // LONG
        first = state["step"] * count
        rows = np.stack([windows.at(first + i) for i in range(count)]).reshape(-1, length)
        ids = torch.from_numpy(rows.astype(np.int64)).to(device)
        with autocast(device.type):
            loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        factor = rate(state["progress"], state["step"], recipe)
        for optim, rates in zip(optims, base, strict=True):
            for group, lr in zip(optim.param_groups, rates, strict=True):
                group["lr"] = lr * factor
            optim.step()
            optim.zero_grad(set_to_none=True)
        state["step"] += 1
        state["tokens"] += rows.size
        yield loss.item()


def run(
    name: str,
    recipe: Recipe,
    *,
    corpus: Path,
    out: Path,
    minutes: float | None = None,
    tokens: float | None = None,
    seed: int = 0,
    start: Path | None = None,
    compiled: bool = True,
    save_every: float = 240,
    say: Callable[[str], None] = print,
) -> dict:
    """Train `name` until its budget is spent; write `out/name` and return its log.

    Args:
        corpus: the folder that `python -m ftlab.pretrain corpus` wrote.
        out: where the model folder and the checkpoint go.
        minutes: budget of training time; or
        tokens: budget of tokens.
        start: go on from the weights of this model, as a further stage of its training: the rate
            warms up anew. Its own log is kept in the new one, under "earlier".
        save_every: seconds between checkpoints; a run that is stopped goes on from the last.

    Raises:
        TrainingError: no budget, or the loss is not a number.
    """
    import torch
    from transformers import AutoTokenizer

    if (minutes is None) == (tokens is None):
        raise TrainingError("Give a budget: either minutes or tokens.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(corpus / "tokenizer")
    model = build(recipe, tokenizer, seed=seed, attention="eager" if device == "cpu" else "sdpa")
    earlier = start_from(model, start) if start else []
    model.to(device)
    optims = optimizers(model, recipe)
    state: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0, "progress": 0.0, "curve": []}
    checkpoint = out / f"{name}.checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for optim, old in zip(optims, saved["optims"], strict=True):
            optim.load_state_dict(old)
            for group in optim.param_groups:
                group["lr"] = recipe.matrix_lr if "momentum" in group else recipe.vector_lr
        state = saved["state"]
        if tokens:  # a budget may have been changed between
            state["progress"] = min(1.0, state["tokens"] / tokens)
        say(f"{name}: going on from step {state['step']}")
    forward = torch.compile(model) if compiled else model
    windows = Windows(corpus, recipe.mixture, seed)
    kept = [share for share in recipe.keep if share > state["progress"]]
    parameters = sum(p.numel() for p in model.parameters())
    say(f"{name}: {parameters:,} parameters on {device}, {recipe}")
    out.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        optims_state = [optim.state_dict() for optim in optims]
        with writing(checkpoint, overwrite=True) as partial:
            torch.save(
                {"model": model.state_dict(), "optims": optims_state, "state": state}, partial
            )

    losses: list[float] = []
    last_saved = clock = time.perf_counter()
    for loss in steps(model, forward, windows, recipe, optims, state):
        now = time.perf_counter()
        first_ever = state["step"] == 1  # compilation is not training: it is not counted
        state["seconds"] += 0 if first_ever else now - clock
        clock = now
        spent = state["seconds"] / 60 / minutes if minutes else state["tokens"] / (tokens or 1)
        state["progress"] = min(1.0, spent)
        losses.append(loss)
        if not math.isfinite(loss):
            raise TrainingError(f"{name}: the loss is {loss} at step {state['step']}.")
        if kept and spent >= kept[0]:
            early = out / f"{name}-step{round(kept.pop(0) * 100)}pct"
            export(model, tokenizer, early)
            report = summary(name, recipe, state, parameters, device, seed, earlier)
            write_text(early / "training.json", json.dumps(report), overwrite=True)
        if state["step"] % 100 == 0 or spent >= 1:
            mean = sum(losses) / len(losses)
            losses = []
            state["curve"].append([state["tokens"], round(mean, 4)])
            left = (1 - spent) * state["seconds"] / max(spent, 1e-9)
            say(
                f"{name} step {state['step']:,} · {state['tokens'] / 1e6:.2f} M tokens · loss "
                f"{mean:.3f} · {state['tokens'] / state['seconds']:,.0f} tokens/s · "
                f"{left / 60:.0f} min left"
            )
        if now - last_saved >= save_every:
            save()
            last_saved = now
        if spent >= 1:
            break
    save()
    eager = model.eval()
    export(eager, tokenizer, out / name)
    report = summary(name, recipe, state, parameters, device, seed, earlier)
    report["bits_per_character"] = evaluate(eager, tokenizer, corpus)
    write_text(out / name / "training.json", json.dumps(report, indent=1), overwrite=True)
    say(f"{name}: {report['bits_per_character']}")
    return report


def summary(
    name: str,
    recipe: Recipe,
    state: dict,
    parameters: int,
    device: str,
    seed: int,
    earlier: list[dict],
) -> dict:
    """Return what the card needs to know of a run."""
    import torch

    return {
        "name": name,
        "parameters": parameters,
        "recipe": asdict(recipe),
        "tokens": state["tokens"],
        "steps": state["step"],
        "minutes": round(state["seconds"] / 60, 1),
        "device": device,
        "cores": os.cpu_count(),
        "precision": "bf16 autocast" if autocast(device)._enabled else "float32",
        "torch": torch.__version__,
        "seed": seed,
        "earlier": earlier,
        "curve": state["curve"],
    }
