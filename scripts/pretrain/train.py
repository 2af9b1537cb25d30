"""Train ftlab-1m: Llama architecture, Muon on the matrices, warm-up, stable, decay.

    python scripts/pretrain/train.py --minutes 25 --out runs/pretrain/ftlab-1m

reads what `corpus.py` wrote. Windows are 256 tokens long while the rate is stable (attention is
cheap) and 512 in the decay; their order depends on the seed alone. In bf16 autocast where
`ftlab.hardware` found this machine fast at it, else in float32.

Sources: Jordan et al. 2024 (Muon and its coefficients); Liu et al. 2025, arXiv 2502.16982 (the
factor that gives a step the root mean square of AdamW's); Hu et al. 2024 (warm-up-stable-decay).
"""

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ftlab.hardware import profile, reuse_memory

HIDDEN, LAYERS, HEADS, INNER = 96, 5, 3, 256
MIXTURE = {"prose": 0.58, "speeches": 0.02, "python": 0.20, "docs": 0.09, "structured": 0.11}
LONG = 512  # tokens in a stored window
BATCH = 8192  # tokens in a step
MATRIX_LR, VECTOR_LR = 8e-3, 3e-3  # Muon in the layers; AdamW on embeddings and norms
WARMUP = 60  # steps
DECAY = 0.3  # last share of the budget


class Muon(torch.optim.Optimizer):
    """Steps along orthogonalised momentum, with Nesterov momentum and decoupled weight decay.

    As `torch.optim.Muon`, which always iterates in bf16: a hundred times slower than float32 on a
    CPU without units for it. This one iterates in `dtype`.
    """

    def __init__(self, params: Iterable[torch.Tensor], *, lr: float, dtype: torch.dtype):
        super().__init__(params, {"lr": lr, "momentum": 0.95, "weight_decay": 0.1})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients at hand."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(state["momentum"], group["momentum"])
                update = orthogonalise(update.to(self.dtype)).to(weight.dtype)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)


def orthogonalise(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return a matrix with its singular values brought near one, by Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def build(tokenizer: Any, *, seed: int) -> LlamaForCausalLM:
    """Return the model, freshly initialised, in float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=INNER,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config._attn_implementation = "eager"  # on a CPU its backward pass is the faster one
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():  # residual outputs start small (GPT-2)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.data.mul_(1 / math.sqrt(2 * LAYERS))
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, end]
    return model


class Windows:
    """Windows of `LONG` tokens of all sources, in an order fixed by the seed and the position."""

    def __init__(self, corpus: Path, seed: int):
        self.data, self.seed = [], seed
        for source in MIXTURE:
            tokens = np.load(corpus / f"{source}-train.npy", mmap_mode="r")
            self.data.append(tokens[: len(tokens) // LONG * LONG].reshape(-1, LONG))
        self.shares = np.cumsum(list(MIXTURE.values())) / sum(MIXTURE.values())
        self.taken = [0] * len(self.data)
        self.orders: dict[tuple[int, int], np.ndarray] = {}
        self.position = 0

    def next(self) -> np.ndarray:
        """Return the next window, an array of LONG token ids."""
        spread = (self.position * 0.6180339887498949) % 1  # the golden ratio mixes evenly
        source = int(np.searchsorted(self.shares, spread, side="right"))
        epoch, place = divmod(self.taken[source], len(self.data[source]))
        if (source, epoch) not in self.orders:
            rng = np.random.default_rng([self.seed, source, epoch])
            self.orders[source, epoch] = rng.permutation(len(self.data[source]))
        self.position += 1
        self.taken[source] += 1
        return self.data[source][self.orders[source, epoch][place]]


def bits_per_character(model: Any, tokenizer: Any, tokens: np.ndarray) -> float:
    """Return the model's bits per character on a held-out token stream, shape (n,).

    Windows of 512: `<|endoftext|>` and then 511 tokens, all of which are predicted.
    """
    windows = tokens[: len(tokens) // (LONG - 1) * (LONG - 1)].reshape(-1, LONG - 1)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    nats, characters = 0.0, 0
    for start in range(0, len(windows), 8):
        part = windows[start : start + 8].astype(np.int64)
        ids = torch.from_numpy(np.concatenate([np.full((len(part), 1), end), part], 1))
        with torch.no_grad():
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        nats += torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
        ).item()
        characters += sum(map(len, tokenizer.batch_decode(part, skip_special_tokens=True)))
    return nats / math.log(2) / max(characters, 1)


def train(corpus: Path, out: Path, *, minutes: float, seed: int, compiled: bool) -> dict:
    """Train until the minutes are spent; write the model's folder and return what is known of it.

    Args:
        corpus: the folder that `corpus.py` wrote.
        out: where the model goes; `training.json` in it holds what is returned.
        minutes: of training; what compiling takes is not counted.
        seed: of the weights and of the order of the windows.
        compiled: run the model through `torch.compile`.
    """
    bf16 = profile().dtype == "bfloat16"
    tokenizer = AutoTokenizer.from_pretrained(corpus / "tokenizer")
    model = build(tokenizer, seed=seed)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        Muon(matrices, lr=MATRIX_LR, dtype=torch.bfloat16 if bf16 else torch.float32),
        torch.optim.AdamW(others, lr=VECTOR_LR, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    forward, windows = torch.compile(model) if compiled else model, Windows(corpus, seed)
    step, seconds, progress, losses, curve = 0, 0.0, 0.0, [], []
    while progress < 1:
        begun = time.perf_counter()
        length = LONG if progress > 1 - DECAY else LONG // 2
        rows = np.stack([windows.next() for _ in range(BATCH // LONG)]).reshape(-1, length)
        ids = torch.from_numpy(rows.astype(np.int64))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        factor = min(1, (step + 1) / WARMUP, (1 - progress) / DECAY)
        for optimizer, rate in zip(optimizers, (MATRIX_LR, VECTOR_LR), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        seconds += time.perf_counter() - begun if step > 1 else 0
        progress = min(1.0, seconds / 60 / minutes)
        losses.append(loss.item())
        if step % 100 == 0 or progress == 1:
            curve.append([step * BATCH, round(sum(losses) / len(losses), 4)])
            print(f"step {step:,}, {progress:.0%}: loss {curve[-1][1]:.3f}", flush=True)
            losses = []
    model.eval()
    report = {
        "parameters": sum(p.numel() for p in model.parameters()), "tokens": step * BATCH,
        "steps": step, "minutes": round(seconds / 60, 1), "torch": torch.__version__, "seed": seed,
        "precision": "bf16 autocast" if bf16 else "float32", "curve": curve,
        "bits_per_character": {
            source: round(
                bits_per_character(model, tokenizer, np.load(corpus / f"{source}-heldout.npy")), 4
            )
            for source in MIXTURE
        },
    }  # fmt: skip
    model.config._attn_implementation = "sdpa"
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("runs/pretrain/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain/ftlab-1m"))
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", dest="compiled")
    args = vars(parser.parse_args())
    reuse_memory()
    print(train(args.pop("corpus"), args.pop("out"), **args))
