# %% [markdown]
# # 04 LoRA and QLoRA: how little has to move?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/04_lora_and_qlora.ipynb)
#
# **What you will build**: LoRA in ten lines, which agrees with the library; adapters that you
# switch; a 4-bit weight made by hand; and a table of what each of them saves, and
# what it costs.
#
# **Prerequisites**: lesson 00. Lesson 07 explains the intervals. You should have seen a matrix
# multiplied.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | under four minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Whenever you are asked for a prediction, write it down before you run the cell.

# %%
# On Colab this installs the course; anywhere else it does nothing.
import subprocess
import sys

REPOSITORY = "https://github.com/ftlab-course/ftlab"

if "google.colab" in sys.modules:
    wanted = f"ftlab @ git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)

# %% [markdown]
# ## 1. Settings
#
# Many small trainings on the smallest base, so that each takes seconds. The adapters get a
# higher learning rate than the full fine-tune, as is usual; lesson 03 looks for such rates.

# %%
import tempfile
from pathlib import Path

import ftlab
from ftlab import data, hardware

SEED = 0
BASE, LARGER = "ftlab-1m", "ftlab-7m"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS = min(PROFILE.records // 10, 200), 48, 2
ADAPTER_RATE = 1e-2
FOLDER = Path(tempfile.mkdtemp())  # name one of your own to keep the adapters

hardware.seed_everything(SEED)
hardware.versions()

# %% [markdown]
# Five claims are on trial in this lesson:
#
# - Tuning touches only the last layers.
# - LoRA trains 0.1 to 3 % of the parameters, costs no time once merged, and adapters swap
#   like lenses.
# - Freezing the lower layers is enough for many tasks.
# - QLoRA keeps weights in 4 bits at little loss, and 65 billion of them fit one 48 GB card.
# - One narrow task at a time.
#
# ## 2. What is low rank?
#
# A multiplication table has nine numbers. How many do you need to write it down? Its margins
# will do: a column of three, and a row of three.

# %% tags=["nbval-check-output"]
import torch

column = torch.tensor([[1.0], [2.0], [3.0]])
row = torch.tensor([[2.0, 0.0, -1.0]])
print(column @ row)

# %% [markdown]
# That is a matrix of **rank one**. Add a second column times a second row, and it has rank
# two. Any matrix is a sum of such products, and the *singular value decomposition* (SVD)
# finds them, the heaviest first.
#
# **Predict.** Here is a ring in 24 × 24 points. How many products does it take until you can
# recognise it?

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots_weights

side = torch.linspace(-1, 1, 24)
distance = (side[:, None] ** 2 + side[None, :] ** 2).sqrt()
ring = (distance - 0.65).abs().lt(0.2).float()
U, S, V = torch.linalg.svd(ring)
shown = {"the ring": ring}
for rank in (1, 2, 4):
    shown[f"rank {rank}"] = U[:, :rank] @ torch.diag(S[:rank]) @ V[:rank]
plots_weights.matrices(shown, title="A ring, and the heaviest of its products")

# %% [markdown]
# **LoRA** (low-rank adaptation, Hu et al. 2021) bets that the *change* which a fine-tune makes
# to a weight can be written in this way: `B` is the columns, `A` the rows, their number is the
# **rank** r, and only they are trained. The weight itself stays.
#
# **Exercise 04.1.** How many numbers do `B` (rows × rank) and `A` (rank × columns) hold?

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def numbers(rows, columns, rank):
    """How many numbers an adapter of this rank has, for a matrix of this size."""
    # solution:
    return rank * (rows + columns)
    # stub:
    # ...
    # end


check("04.1", numbers)

# %% [markdown]
# A matrix grows in two directions, its adapter in one. So what share of a model is an adapter
# of rank 8? The published shapes of real models tell, without their weights.
#
# **Predict.** The share, for a model of 8 billion: 10 %, 1 %, 0.1 %?

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson04 import SHAPES, counted, shipped

shares, adapter = {}, {}
ours = {name: shipped(name) for name in (BASE, LARGER)}
for name, config in {**ours, **SHAPES}.items():
    whole, linear = counted(config)
    adapter[name] = sum(8 * (a + b) for a, b in linear)
    shares[name] = (config["hidden_size"], adapter[name] / whole)
shares = dict(sorted(shares.items(), key=lambda pair: pair[1][0]))
for name, (hidden, share) in shares.items():
    print(f"{name:13} hidden {hidden:5}   {adapter[name]:12,} numbers   {share:6.2%}")
plots_weights.lines(
    {"rank 8, beside every linear layer": {h: 100 * s for h, s in shares.values()}},
    title="The wider the model, the smaller the share",
    xlabel="hidden size (log scale)",
    ylabel="% of the parameters (log)",
    log="xy",
    across={"3 %": 3, "0.1 %": 0.1},
)

# %% [markdown]
# Between the two lines is where practitioners say LoRA lives. Our own models are too narrow
# for it, and we should keep that in mind: what is cheap at 8 billion is less so here.
#
# ## 3. LoRA in ten lines
#
# `A` begins at random and `B` at zero. **Predict.** What does the adapted layer give before
# the first step of training?


# %%
class LoRALinear(torch.nn.Module):
    """A frozen linear layer, and two thin matrices beside it."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / rank
        self.A = torch.nn.Parameter(torch.randn(rank, base.in_features) / rank)
        self.B = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)


layer = torch.nn.Linear(96, 256, bias=False)
x = torch.randn(5, 96)
assert torch.equal(LoRALinear(layer, 8, 16)(x), layer(x))
print("before the first step it gives what the frozen layer gives, exactly")

# %% [markdown]
# **Exercise 04.2.** The same as one function of plain matrices. The scale is alpha divided by
# the rank, so that with the same alpha a higher rank is no louder. (The matrices that come in
# are NumPy arrays: `@`, `.T` and `len` work on them as on torch's.)


# %% tags=["exercise", "nbval-check-output"]
def adapted(x, W, A, B, alpha):
    """What a layer gives for x (n, in): W is (out, in), A (rank, in), B (out, rank)."""
    # solution:
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)
    # stub:
    # ...
    # end


check("04.2", adapted)

# %% [markdown]
# Is it the real thing? We put **peft**, the library that everybody uses, beside one layer of
# our base, and our own class beside the same layer, with the same `A`. Both train.

# %%
from ftlab import models
from peft import LoraConfig, inject_adapter_in_model

model, tokenizer = models.load(BASE, device="cpu")
base_layer = model.model.layers[0].self_attn.q_proj
ours = LoRALinear(base_layer, rank=8, alpha=16)
options = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj"])
theirs = inject_adapter_in_model(options, model).model.layers[0].self_attn.q_proj
ours.A.data = theirs.lora_A["default"].weight.data.clone()

x = torch.randn(64, base_layer.in_features)
wanted = torch.randn(64, base_layer.out_features)
for mine in (ours, theirs):
    weights = [w for w in mine.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        (mine(x) - wanted).square().mean().backward()
        optimizer.step()
apart = (ours(x) - theirs(x)).abs().max().item()
print(f"after 20 steps they differ by {apart:.0e} at most")
assert apart < 1e-5

# %% [markdown]
# Ten lines, and the library's numbers. The rest of this lesson uses peft through
# `ftlab.training.methods`, which also knows two relatives: `rslora`, whose scale is divided by
# the *root* of the rank, and `dora`, which trains the length of each row apart from its
# direction.
#
# ## 4. The real thing: full against LoRA
#
# The task: answer an everyday problem with the smallest kind action, in a fixed form. Two or
# three whole sentences, the first of them an imperative.

# %% tags=["nbval-check-output"]
from ftlab import tasks
from ftlab.display import wrap

task = tasks.get("kindness")
lessons = task.examples(TRAIN, seed=SEED)
exam = task.examples(TEST, seed=SEED, split="test")
for record in exam[:2]:
    print(wrap(data.prompt(record)[-1]["content"]))
    print(wrap(data.answer(record), "  -> ") + "\n")

# %% [markdown]
# Two figures for each model. **Form**: the share of held-out answers that have it. And
# **nats**: what a token of the right answer costs, lower is better. Nats are the finer of the
# two.

# %%
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.generation import generate
from ftlab.training import sft
from ftlab.training.held_out import nats

form, cost = {}, {}


def examine(name, model, tokenizer):
    """Keep a model's form and nats under a name, and print both."""
    asked = [data.prompt(record) for record in exam]
    said = generate(model, tokenizer, asked, max_new_tokens=60)
    form[name] = [task.score(r, s)["form"].num for r, s in zip(exam, said)]
    cost[name] = nats(model, tokenizer, exam)
    mean = sum(c.num for c in cost[name]) / sum(c.den for c in cost[name])
    print(f"{name:22} form {sum(form[name]) / TEST:4.0%}   nats {mean:.2f}", flush=True)
    return mean


# %%
def tune(method="lora", records=lessons, bits=None, save=None, still=None, **how):
    """Tune a fresh base, save it if asked to; return the model and its tokenizer."""
    model, tokenizer = models.load(BASE, bits=bits)
    for part in still(model) if still else ():
        part.requires_grad_(False)  # it stays as it is
    rate = None if method in ("full", "frozen") else ADAPTER_RATE
    run = sft.train(
        model, tokenizer, records, method=method, learning_rate=rate, epochs=EPOCHS,
        seed=SEED, **how,
    )  # fmt: skip
    if save:
        run.save(FOLDER / save)
    print(f"{run.trainable:,} of {run.parameters:,} moved ({run.seconds:.0f} s)")
    return run.model, run.tokenizer


# %% [markdown]
# **Predict.** The base, the full fine-tune, LoRA of rank 8: form and order of nats?

# %%
my_guess = "form: base ..., full ..., LoRA ..."
mean = {"base": examine("base", *models.load(BASE))}
full, tokenizer = tune("full")
mean["full"] = examine("full", full, tokenizer)
lora, _ = tune("lora", rank=8, save="kindness")
mean["LoRA, rank 8"] = examine("LoRA, rank 8", lora, tokenizer)
print("you expected:", my_guess)
assert mean["full"] < mean["base"] > mean["LoRA, rank 8"]

# %% [markdown]
# Both learn. How much of the gain does LoRA keep, with a fraction of the numbers? A function
# puts it in figures: the nats that it won, as a part of those that full tuning won. The two
# measures need not agree on who is ahead: form looks at the manner of an answer alone, nats
# at the price of each word of the right one. *Behind* means nats from here on.


# %%
def kept(name):
    """The part of the full fine-tune's gain that another one has."""
    return (mean["base"] - mean[name]) / (mean["base"] - mean["full"])


def behind(name, other="full"):
    """By how many nats a token a model is behind another, with its interval."""
    a, b = cost[other], cost[name]
    return paired_bootstrap(
        [c.num for c in a], [c.den for c in a], [c.num for c in b], [c.den for c in b]
    )


print(f"LoRA of rank 8 kept {kept('LoRA, rank 8'):.0%} of the gain")
print("behind the full fine-tune, in nats:", behind("LoRA, rank 8"))
ones = [1] * TEST
by_form = paired_bootstrap(form["full"], ones, form["LoRA, rank 8"], ones)
word = "behind" if by_form.high < 0 else "ahead" if by_form.low > 0 else "not shown"
print(f"its share in form, less the full fine-tune's: {word}, {by_form}")

# %% [markdown]
# ## 5. Where does the change sit?
#
# *Tuning touches only the last layers*, it is said. We have the weights before and after, so
# we can look: the length of the change as a part of the length of the weight, ‖ΔW‖ / ‖W‖,
# layer by layer.
#
# **Predict.** Draw the curve over the five layers, for the full fine-tune.

# %%
before = {n: w.detach().cpu() for n, w in models.load(BASE)[0].named_parameters()}
after = {n: w.detach().cpu() for n, w in full.named_parameters()}
delta = {n: after[n] - before[n] for n in before if n.endswith("_proj.weight")}
delta_lora = {
    n.removeprefix("base_model.model.") + ".weight": m.get_delta_weight("default").cpu()
    for n, m in lora.named_modules()
    if hasattr(m, "get_delta_weight")
}
moved = {}
for name, changes in {"full": delta, "LoRA, rank 8": delta_lora}.items():
    moved[name] = {}
    for number in range(len(full.model.layers)):
        mine = [n for n in delta if f"layers.{number}." in n]
        change = sum(changes[n].square().sum() for n in mine)
        weight = sum(before[n].square().sum() for n in mine)
        moved[name][number] = (change / weight).item() ** 0.5
plots_weights.lines(
    moved, title="Where the change sits", xlabel="layer, 0 is the lowest",
    ylabel="‖ΔW‖ / ‖W‖",
)  # fmt: skip

# %%
from ftlab.teaching import ledger

ratio = {name: row[0] / row[max(row)] for name, row in moved.items()}
words = after["model.embed_tokens.weight"] - before["model.embed_tokens.weight"]
embedded = float(words.norm() / before["model.embed_tokens.weight"].norm())
print("the lowest layer moved, as a part of the highest's way:")
print({name: round(part, 2) for name, part in ratio.items()})
tied = full.get_output_embeddings().weight is full.get_input_embeddings().weight
also = ", which are the output layer as well," if tied else ""
print(f"the embeddings{also} moved by {embedded:.2f} of their length")
verdict = "holds" if ratio["full"] < 0.1 else "not seen here"
verdict = "depends" if 0.1 <= ratio["full"] < 0.33 else verdict
told = f"In a full fine-tune the lowest layer moves {ratio['full']:.2f} times as far as"
ledger.record(
    2, verdict, f"{told} the highest, as parts of their lengths.", ratio["full"]
)
assert set(delta) == set(delta_lora) and ratio["full"] > 0.33

# %% [markdown]
# And the bet of LoRA itself: is the change of a *full* fine-tune, which nobody forced to be
# low in rank, low in rank? Take it apart by SVD: what part of its square lies in the heaviest
# r products? Beside it a change of random numbers, and the weight itself.

# %%
name = "model.layers.2.self_attn.q_proj.weight"
noise = torch.randn(delta[name].shape)
held = {}
for label, matrix in {
    "the change": delta[name], "the weight": before[name], "random numbers": noise,
}.items():  # fmt: skip
    S = torch.linalg.svdvals(matrix.float())
    part = S.square().cumsum(0) / S.square().sum()
    held[label] = {r: 100 * float(part[r - 1]) for r in range(1, len(S) + 1)}
print(
    f"in the heaviest 8 of {len(S)}:", {k: f"{row[8]:.0f} %" for k, row in held.items()}
)
assert held["the change"][8] > held["random numbers"][8]
plots_weights.lines(
    held, title="Is the change low in rank?", xlabel="rank", ylabel="% of the square"
)

# %% [markdown]
# Steeper than random is the bet won in part: a few products carry much of the change, and the
# rest is spread over all the others. Whether that rest matters, only training tells.
#
# ## 6. Which rank, and beside which layers?
#
# Alpha stays at 16 here, so that nothing but the rank is set anew. (The package's habit is
# alpha at twice the rank: then the scale stays, and a higher rank is a louder one too.)
#
# **Predict.** From rank 1 to rank 32, what happens to the nats?

# %%
for rank in (1, 32):
    who = f"LoRA, rank {rank}"
    mean[who] = examine(who, *tune("lora", rank=rank, alpha=16))
by_rank = {r: mean[f"LoRA, rank {r}"] for r in (1, 8, 32)}
assert by_rank[1] < mean["base"]
for low, high in ((1, 8), (8, 32)):
    gain = behind(f"LoRA, rank {high}", f"LoRA, rank {low}")
    word = "better" if gain.high < 0 else "worse" if gain.low > 0 else "not shown"
    print(f"rank {high} against rank {low}: {word}, nats {gain}")
print("of the gain:", {r: f"{kept(f'LoRA, rank {r}'):.0%}" for r in by_rank})
plots_weights.lines(
    {"LoRA": by_rank},
    title="Rank",
    xlabel="rank (log scale)",
    ylabel="held-out nats per token",
    log="x",
    across={"base": mean["base"], "full": mean["full"]},
)

# %% [markdown]
# Each step multiplies the numbers that move; read off what it buys, here and at this rate.
# Dividing by the rank takes back a part of it, which is why `rslora` divides by the root.
#
# A layer of this family has seven matrices: four of attention (`q k v o`) and three of the
# feed-forward part (`gate up down`). The first LoRA paper put adapters beside `q` and `v`
# only; QLoRA's authors found that all of them are needed.

# %%
attention = ["q_proj", "v_proj"]
forward = ["gate_proj", "up_proj", "down_proj"]
for who, targets in {"q and v only": attention, "feed-forward only": forward}.items():
    mean[who] = examine(who, *tune("lora", rank=8, targets=targets))
for who in ("q and v only", "feed-forward only"):
    print(f"{who}: {kept(who):.0%} of the gain; all: {kept('LoRA, rank 8'):.0%}")
    print("   behind all, in nats:", behind(who, "LoRA, rank 8"))

# %% [markdown]
# The three do not move equally many numbers, so the best is not the most clever by itself:
# look at the lines “moved” as well.
#
# ## 7. Freezing, and checkpointing
#
# An older way to move less: **freeze** the lower half of the layers, and train the rest as
# usual. Often the embeddings are frozen with them. But in a small model the table of the
# embeddings is mostly **tied**: it is the output layer as well, so that whoever freezes it
# also fixes how the model turns its last thought into words. One by one, then:

# %%
half, layers = len(full.model.layers) // 2, len(full.model.layers)
stays = {
    f"{half} layers frozen": lambda m: m.model.layers[:half],
    "embeddings frozen": lambda m: [m.get_input_embeddings()],
}
for who, still in stays.items():
    mean[who] = examine(who, *tune("full", still=still))
mean["both frozen"] = examine("both frozen", *tune("frozen"))
parts = {who: kept(who) for who in (*stays, "both frozen")}
for who, part in parts.items():
    print(f"{who}: {part:.0%} of the gain; behind full: {behind(who)}")
lower, table, both = parts.values()
gap, verdict = behind(f"{half} layers frozen"), "not seen here"
if gap.low <= 0 or lower > 0.95:
    verdict = "holds"
elif lower > 0.5:
    verdict = "depends"
told = f"With the lower {half} of {layers} layers frozen, {lower:.0%} of full tuning's"
told += f" gain is kept, {gap} nats a token behind it; with the embeddings{also}"
told += f" frozen {table:.0%}, with both {both:.0%}."
ledger.record(34, verdict, told, gap.value, interval=(gap.low, gap.high))
assert 0 < both < lower and lower > 0.7

# %% [markdown]
# The claim speaks of layers, so the run with the layers alone decides it. What the other two
# rows lose beyond it is the table's share: tied, it also sets how likely each word is at the
# end. So see what a library freezes before you blame the layers.
#
# Training keeps what the forward pass computed, since the backward pass needs it: the
# **activations**. *Checkpointing* keeps only what enters each layer, and computes the rest
# once more.
#
# **Predict.** It saves memory and costs time. What does it do to the gradient?

# %%
import time
from functools import partial

from ftlab.teaching.lesson04 import batch_of, kept_for_backward
from torch.utils.checkpoint import checkpoint

batch, grads = batch_of(lessons[:8], tokenizer), {}
for way in ("kept", "checkpointed"):
    model, _ = models.load(BASE, device="cpu")
    model.train()
    if way == "checkpointed":
        for layer in model.model.layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    begun = time.perf_counter()
    plain = {**batch, "use_cache": False}
    size, _ = kept_for_backward(model, plain, words=model.config.vocab_size)
    seconds = time.perf_counter() - begun
    grads[way] = model.model.layers[0].mlp.up_proj.weight.grad
    size = size["activations"] / 1e6
    print(f"{way:13} {size:6.1f} MB of activations   {seconds:.2f} s")
apart = (grads["kept"] - grads["checkpointed"]).abs().max() / grads["kept"].abs().max()
print(f"the gradients differ by {apart:.0e} of the largest")
assert apart < 1e-4

# %% [markdown]
# The same gradient, so the same training: only time is traded for memory.
#
# ## 8. Four bits
#
# The adapter is small, but the frozen base still takes 4 bytes a weight, or 2 in half
# precision. **QLoRA** (Dettmers et al. 2023) holds it in half a byte. With four bits there are
# sixteen levels: where to put them? Look at real weights first.

# %%
weight = models.load(LARGER, device="cpu")[0].model.layers[2].mlp.up_proj.weight.data
blocks = weight.reshape(-1, 64)
scaled = blocks / blocks.abs().amax(1, keepdim=True)
print(f"{weight.numel():,} weights in {len(blocks):,} blocks of 64")
print(f"half of them are below {scaled.abs().median():.2f} of their block's largest")

# %% [markdown]
# Most weights lie near zero, along a bell curve; at the ends are those that are the largest of
# their block. Sixteen evenly spaced levels would spend many
# of their number where hardly a weight is. **NF4** puts the levels so that a bell curve fills
# all of them alike: at its quantiles, seven below zero, zero itself, and eight above.

# %% tags=["nbval-check-output"]
from statistics import NormalDist

bell = NormalDist().inv_cdf
# The outermost quantile is not 1, which lies at infinity.
edge = 1 - (1 / 30 + 1 / 32) / 2
above = [bell(0.5 + (edge - 0.5) * k / 8) for k in range(1, 9)]
below = [-bell(0.5 + (edge - 0.5) * k / 7) for k in range(7, 0, -1)]
NF4 = torch.tensor([x / above[-1] for x in [*below, 0.0, *above]])
EVEN = torch.linspace(-1, 1, 16)
print(wrap([round(x, 3) for x in NF4.tolist()]))
plots_weights.levels(
    scaled.flatten().tolist(),
    {"NF4": NF4.tolist(), "evenly spaced": EVEN.tolist()},
    title="Real weights, and sixteen levels",
)

# %% [markdown]
# **Exercise 04.3.** Send a block through the levels and back: divide by its largest absolute
# value, take the nearest level, multiply again.


# %% tags=["exercise", "nbval-check-output"]
def coarse(weights, levels):
    """The block as it comes back from 4 bits: lists of numbers in, a list out."""
    # solution:
    top = max(abs(weight) for weight in weights)
    return [top * min(levels, key=lambda level: abs(w / top - level)) for w in weights]
    # stub:
    # ...
    # end


check("04.3", coarse)

# %% [markdown]
# The same for a whole matrix at once. **Predict.** How far off is a weight after that, as a
# part of its length: 1 %, 10 %, 50 %? And which matters more, the levels or the blocks?


# %%
def through(weight, levels, block=64):
    """The matrix as it comes back: each block has a scale of its own."""
    rows = weight.reshape(-1, block)
    top = rows.abs().amax(1, keepdim=True)
    nearest = (rows / top).unsqueeze(-1).sub(levels).abs().argmin(-1)
    return (levels[nearest] * top).reshape(weight.shape)


off = {}
for label, levels, block in (
    ("NF4, blocks of 64", NF4, 64), ("even levels, blocks of 64", EVEN, 64),
    ("NF4, one scale for all", NF4, weight.numel()),
):  # fmt: skip
    error = through(weight, levels, block) - weight
    off[label] = float(error.norm() / weight.norm())
    print(f"{label:28} off by {off[label]:.1%} of the weight's length")
assert off["NF4, blocks of 64"] < min(list(off.values())[1:])

# %% [markdown]
# For these weights the bell's levels gain a little, and the blocks more: one large weight spoils
# the scale for sixty-three others, and not for all.
#
# Does **bitsandbytes**, which QLoRA uses, do the same? Not by its word but by its behaviour:
# give it a fine grid, and see which sixteen numbers come back; then the real matrix.

# %%
works, why = hardware.four_bit_works(PROFILE.device)
if works:
    from bitsandbytes import functional as bits

    def roundtrip(tensor):
        """Through bitsandbytes' NF4 and back, in blocks of 64."""
        packed, state = bits.quantize_4bit(
            tensor.to(PROFILE.device), blocksize=64, quant_type="nf4"
        )
        return bits.dequantize_4bit(packed, state).cpu(), packed

    grid = torch.cat([torch.linspace(-1, 1, 63), torch.tensor([1.0])])
    found = roundtrip(grid)[0].unique()
    back, packed = roundtrip(weight)
    print("levels differ by", f"{(found - NF4).abs().max():.0e}", "at most")
    same = (back - through(weight, NF4)).abs() < 1e-5
    print(
        f"{same.float().mean():.2%} of {weight.numel():,} weights come back as by hand"
    )
    print(f"{packed.numel():,} bytes hold them")
    assert (found - NF4).abs().max() < 1e-4 and same.float().mean() > 0.99
else:
    print("bitsandbytes does not run here:", why)

# %% [markdown]
# The scales want room as well: one float32 a block.
#
# **Exercise 04.4.** How many bytes do `weights` weights take in 4 bits, with a scale of 4 bytes
# for each block?


# %% tags=["exercise", "nbval-check-output"]
def bytes_in_4_bits(weights, block):
    """Bytes of the levels' numbers and of the scales."""
    # solution:
    return weights / 2 + 4 * weights / block
    # stub:
    # ...
    # end


check("04.4", bytes_in_4_bits)

# %% [markdown]
# QLoRA holds the scales themselves in 8 bits, in blocks of 256 (*double quantisation*), and
# comes from 4.5 down to about 4.13 bits a weight.
#
# What does the coarseness cost? Two tests: the 7M base on general text, and our task, learned
# beside 4-bit weights. Look at the seconds too: whenever a weight is used, it is unpacked first.

# %%
from ftlab.evaluation import forgetting

lost = None
if works:
    texts = [text for _, text in forgetting.general_text()]
    whole = forgetting.bits_per_character(*models.load(LARGER), texts)
    four = forgetting.bits_per_character(*models.load(LARGER, bits=4), texts)
    lost = paired_bootstrap(
        [r.num for r in whole], [r.den for r in whole], [r.num for r in four],
        [r.den for r in four],
    )  # fmt: skip
    general = sum(r.num for r in whole) / sum(r.den for r in whole)
    print(f"{LARGER}: {general:.2f} bits a character; in 4 bits {lost.value:+.4f}")
    qlora, _ = tune("qlora", rank=8, bits=4)
    mean["QLoRA, rank 8"] = examine("QLoRA, rank 8", qlora, tokenizer)
    print("behind LoRA, in nats:", behind("QLoRA, rank 8", "LoRA, rank 8"))
    assert mean["QLoRA, rank 8"] < mean["base"]
else:
    print("bitsandbytes does not run here, so this stays unmeasured:", why)

# %% [markdown]
# ## 9. Memory by part
#
# What takes the room in a training step? The weights; the optimiser, which for Adam keeps two
# numbers for each number that moves; the gradients; the activations; the logits. We count on
# the tensors themselves, and ask the course's **estimate**, which reads no weights at all.
# The moment that counts is the fullest one. In a small model it is the loss: all activations
# are there, and no gradient yet, so that gradients have no bar.
#
# **Predict.** LoRA of rank 8 instead of full tuning: which of the parts shrinks, and which
# does not?


# %%
from ftlab.training.estimate import estimate


def measured(model):
    """Bytes by part of one step, counted on the tensors; nothing is moved."""
    model.train()
    model.set_attn_implementation("eager")  # as the trainer does on a CPU
    held = sum(w.untyped_storage().nbytes() for w in model.parameters())
    batch = batch_of(lessons[:8], tokenizer, model.device)
    step, _ = kept_for_backward(model, batch, words=model.config.vocab_size)
    moving = [w for w in model.parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=0.0)
    optimizer.step()
    states = [t for s in optimizer.state.values() for t in s.values() if t.dim()]
    model.zero_grad()
    model.eval()
    moments = sum(tensor.nbytes for tensor in states)
    return {"weights": held, "optimiser": moments, **step}


# %%
megabytes, length = {}, batch["input_ids"].shape[1]
tuned = {"full": full, "lora": lora} | ({"qlora": qlora} if works else {})
for method, model in tuned.items():
    found = measured(model)
    parts = estimate(BASE, method, length=length, batch_size=8, rank=8).parts
    guess = dict.fromkeys(found, 0.0)
    for part, size in parts.items():  # those without a row are there at the peak
        kind = "weights" if part in ("quantised", "adapters") else part
        guess[kind if kind in guess else "activations"] += size
    for name, row in {"measured": found, "estimate": guess}.items():
        megabytes[f"{method}, {name}"] = {part: row[part] / 1e6 for part in row}
    off_by = {part: guess[part] / found[part] - 1 for part in found}
    print(f"{method:6} estimate less measured:", end=" ")
    print(", ".join(f"{part} {share:+.1%}" for part, share in off_by.items()))
    assert method == "qlora" or abs(off_by["weights"]) < 0.05 > abs(off_by["optimiser"])
plots_weights.stacked(megabytes, title="One step of eight records", xlabel="MB")

# %% [markdown]
# The optimiser all but vanishes; the activations hardly change, since the forward pass is the
# same. In so small a model they are nearly everything, and LoRA saves little. One part differs:
# the estimate counts every copy of the logits that lives at the peak, and autograd keeps one.
#
# In a large model the weights weigh most, and the fullest moment is the last gradient, so
# gradients have a bar too. *65 billion parameters on one 48 GB card*, says the paper. Each
# method is counted in the number format that is usual for it: full tuning in float32, since
# what moves must be fine; LoRA's frozen weights in bf16, two bytes, and its adapters in
# float32; QLoRA's weights in 4 bits, its adapters in bf16. *Fragmentation* is an allowance
# for the gaps that a GPU's memory gets between tensors, and for CUDA itself.
#
# **Predict.** How many GB would full tuning take? And which part is the largest in QLoRA?

# %%
from ftlab.training.gpus import Gpu, table

known = table()
card = {"48 GB": Gpu(memory_gb=48, tflops=150, per_hour=0.8)}
cards = known.model_copy(update={"gpus": known.gpus | card})
gigabytes = {}
held_in = {"full": "float32", "lora": "bfloat16", "qlora": "float32"}
for method, weights in held_in.items():
    made = estimate(
        SHAPES["LLaMA-65B"], method, length=512, batch_size=1, rank=64, gpu="48 GB",
        gpus=cards, gradient_checkpointing=True, weights=weights,
    )  # fmt: skip
    gigabytes[method] = {p: b / 1e9 for p, b in made.parts.items() if b > 1e8}
    fits = "fits" if made.fits else "does not fit"
    print(f"{method:6} {made.total / 1e9:7.1f} GB   {fits} 48 GB")
qlora_total = made.total / 1e9
finer = sum(made.parts[p] for p in ("adapters", "gradients", "optimiser")) / 1e9
verdict = "would still fit" if qlora_total + finer < 48 else "would not fit"
print(f"with QLoRA's adapters in float32, {finer:.1f} GB more: it {verdict}")
del gigabytes["full"]
plots_weights.stacked(gigabytes, title="65 billion parameters", xlabel="GB")

# %%
if works:
    loss = behind("QLoRA, rank 8", "LoRA, rank 8")
    little = lost.value < 0.05 * general
    little = little and kept("QLoRA, rank 8") > 0.9 * kept("LoRA, rank 8")
    verdict = "holds" if little else "depends"
    verdict = verdict if qlora_total < 48 else "not seen here"
    told = (
        f"In 4 bits {LARGER} costs {lost.value:.3f} [{lost.low:.3f}, {lost.high:.3f}]"
    )
    told += (
        f" more bits a character; QLoRA is {loss} nats a token behind LoRA on a task"
    )
    assert lost.value < 0.1 * general and abs(loss.value) < 0.3
else:
    verdict = "depends"
    told = "bitsandbytes does not run here, so the loss is not known"
told += (
    f"; by an estimate, 65 billion weights take {qlora_total:.1f} GB with adapters in"
)
told += f" bf16, {qlora_total + finer:.1f} with adapters in float32."
ledger.record(33, verdict, told, qlora_total)
assert 35 < qlora_total < 55

# %% [markdown]
# ## 10. Switching adapters
#
# One base, and a second adapter, for another task: restore capitals and punctuation.

# %%
other = tasks.get("punctuation")
other_lessons = other.examples(TRAIN, seed=SEED)
other_exam = other.examples(TEST, seed=SEED, split="test")
other_base = nats(*models.load(BASE), other_exam)
punctuation, _ = tune("lora", records=other_lessons, rank=8, save="punctuation")
other_own = nats(punctuation, tokenizer, other_exam)
for name, row in {"base": other_base, "punctuation": other_own}.items():
    print(f"{name}: nats {sum(r.num for r in row) / sum(r.den for r in row):.2f}")
size = {
    name: sum(f.stat().st_size for f in (FOLDER / name).glob("*.safetensors"))
    for name in ("kindness", "punctuation")
}
print(f"bytes on disk: {size}, the base in float32: {4 * counted(shipped(BASE))[0]:,}")

# %% [markdown]
# **Predict.** The same two questions, with each adapter on and with none. Who answers
# what? Look at the manner, not at the sense: so small a base, after so few records, restores
# nothing yet.

# %%
from ftlab.training.adapters import Adapters, merge

adapters = Adapters(BASE, {name: FOLDER / name for name in size})
asked = [data.prompt(exam[0]), data.prompt(other_exam[0])]
for question in asked:
    print(f"asked: {question[-1]['content'][:75]!r}")
    for which in (None, *size):
        with adapters(which) as model:
            said = generate(model, tokenizer, [question], max_new_tokens=30)[0]
        print(f"  {which or 'no adapter':12} {said[:70]!r}")
begun = time.perf_counter()
for _ in range(10):
    with adapters("punctuation"):
        pass
switch = (time.perf_counter() - begun) / 10
print(f"to put an adapter on and take it off: {1000 * switch:.1f} ms")

# %%
with adapters("kindness") as model:
    again = nats(model, tokenizer, exam)
with adapters(None) as model:
    bare = nats(model, tokenizer, exam)
with_adapter = max(abs(a.num - b.num) for a, b in zip(again, cost["LoRA, rank 8"]))
with_none = max(abs(a.num - b.num) for a, b in zip(bare, cost["base"]))
print(f"nats as from the tuned model, to {with_adapter:.0e}")
print(f"and with none as from the base, to {with_none:.0e}")
assert with_none < 0.5 > with_adapter

# %% [markdown]
# *One narrow task at a time*, it is said. Here is one adapter of the same rank, trained on
# both files together. It reads all that the two have read.
#
# **Predict.** Against the two narrow ones: better or worse, on which task?

# %%
both, _ = tune("lora", records=[*lessons, *other_lessons], rank=8)
pairs = {
    "kindness": (cost["LoRA, rank 8"], nats(both, tokenizer, exam)),
    "punctuation": (other_own, nats(both, tokenizer, other_exam)),
}
gaps = {}
for name, (own, mixed) in pairs.items():
    gaps[name] = paired_bootstrap(
        [r.num for r in own], [r.den for r in own], [r.num for r in mixed],
        [r.den for r in mixed],
    )  # fmt: skip
    print(f"{name:12} the mixed adapter costs more nats by {gaps[name]}")
worse = sum(gap.low > 0 for gap in gaps.values())
verdict = ("not seen here", "depends", "holds")[worse]
told = " and ".join(f"{gap} on {name}" for name, gap in gaps.items())
told = f"One adapter for two tasks costs more nats a token than one for each: {told}."
ledger.record(5, verdict, told)
assert all(abs(gap.value) < 0.5 for gap in gaps.values())

# %% [markdown]
# Two tasks, one draw of the records, one seed: take it as a hint. What does not depend on the
# figures: two narrow adapters can be tested, mended and taken away one by one.
#
# ## 11. Merge
#
# When a task has all the traffic to itself, its adapter can be folded into the weight, once:
# W + scale · B A. Then nothing stands beside it any more.

# %%
model, _ = models.load(FOLDER / "kindness", device="cpu")
spot = model.get_base_model().model.layers[0].self_attn.q_proj
W = spot.base_layer.weight.data.clone()
A, B = spot.lora_A["default"].weight.data, spot.lora_B["default"].weight.data
by_hand = W + 16 / 8 * (B @ A)  # alpha is twice the rank
merged, agreement = merge(model, tokenizer)
theirs = merged.model.layers[0].self_attn.q_proj.weight.data
print(f"merged and by hand differ by {(theirs - by_hand).abs().max():.0e} at most")
print(agreement)
assert torch.allclose(theirs, by_hand, atol=1e-6) and agreement

# %% [markdown]
# **Exercise 04.5.** And back: the base out of a merged weight, if you still have the adapter.
# (NumPy arrays again: `@`, `.T` and `len`.)


# %% tags=["exercise", "nbval-check-output"]
def unmerge(merged, A, B, alpha):
    """The base's weight (out, in), from a merged one, A (rank, in), B (out, rank)."""
    # solution:
    return merged - alpha / len(A) * (B @ A)
    # stub:
    # ...
    # end


check("04.5", unmerge)

# %% [markdown]
# **Predict.** The time for a short prompt: the base, the base with its adapter beside it, and
# the merged model?

# %%
rivals = {
    "base": models.load(BASE, device="cpu")[0],
    "adapter beside": models.load(FOLDER / "kindness", device="cpu")[0],
    "merged": merged,
}
best = dict.fromkeys(rivals, float("inf"))
with torch.inference_mode():
    for _ in range(60):  # by turns, the best of each, in the processor's own time
        for name, model in rivals.items():
            begun = time.process_time()
            model(input_ids=batch["input_ids"][:1, :16])
            best[name] = min(best[name], time.process_time() - begun)
for name, model in rivals.items():
    layers = sum(isinstance(m, torch.nn.Linear) for m in model.modules())
    print(f"{name:15} {best[name] / best['base']:.2f} times the base's time,", end=" ")
    print(f"{layers} linear layers")
assert best["merged"] < 1.3 * best["adapter beside"]  # a loaded machine is noisy

# %% [markdown]
# Merged, it is a model like its base: the same layers, so the same work. Now all three parts of
# the claim, in one line.

# %%
free = best["merged"] / best["base"]
large = [share for hidden, share in shares.values() if hidden > 512]
in_range = all(0.001 <= share <= 0.03 for share in large)
verdict = "holds" if in_range and free < 1.25 else "not seen here"
if verdict == "holds" and shares[BASE][1] > 0.03:
    verdict = "depends"
told = (
    f"Rank 8 trains {100 * min(large):.2f} to {100 * max(large):.2f} % from 0.5B up, "
)
told += (
    f"{shares[BASE][1]:.1%} of {BASE}; merged, it takes {free:.2f} of the base's time."
)
ledger.record(32, verdict, told, free)
assert in_range and free < 1.5  # a loaded machine is noisy

# %% [markdown]
# ## 12. The verdict, and its limits
#
# All systems of this lesson on one picture, by what they learned.

# %%
from ftlab.teaching import plots

ranking = dict(sorted(mean.items(), key=lambda pair: pair[1]))
plots.bars(
    ranking, title="Who learned how much?", highlight=("base", "full"),
    xlabel="held-out nats per token, lower is better",
)  # fmt: skip

# %% [markdown]
# The same from a shell: `ftlab train mine.jsonl --method lora --rank 8 --out runs/mine`,
# `ftlab merge runs/mine --out runs/merged`, and `ftlab estimate` before you rent anything.
#
# - **A tiny model.** It is narrow, so its adapters are a large share of it, and its weights
#   leave little room to move. What a large base knows already need not be learned by ΔW.
# - **One rate and one alpha for all adapters**, one rate for the others. Nobody searched for
#   the best of each system; with other rates the order may change.
# - **One seed** for each system: the intervals know of other questions, not of other runs.
# - **Nats and form** say that the manner was learned, not that the advice is good. Read some
#   answers.
#
# ## 13. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("04")

# %% [markdown]
# ## 14. Takeaways
#
# 1. **The change of a weight can be thin.** Two small matrices beside a frozen one, and after
#    merging nobody can tell.
# 2. **Know which part you save.** LoRA shrinks the optimiser, four bits shrink the weights,
#    checkpointing shrinks the activations.
# 3. **Rank, layers and rate are settings, not laws.** Measure on your own task; it takes
#    minutes.
#
# Next: [05 Making data](05_making_data.ipynb).
# Where do the examples come from?
