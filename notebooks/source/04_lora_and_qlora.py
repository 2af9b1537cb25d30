# %% [markdown]
# # 04 LoRA and QLoRA: how little has to change?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/04_lora_and_qlora.ipynb)
#
# **What you will build**: an adapter for a real model, in peft and in ten lines of your own that
# agree with it; a base in 4 bits; two adapters on one base; a merged model that you have checked;
# and a recipe that is right for a free Colab GPU.
#
# **Prerequisites**: lessons 00 and 03. You should have seen a matrix multiplied.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour and a half | four to six minutes |
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
# `MICROSCOPE` is a tiny model of the course with its original weights. One picture needs it.

# %%
import warnings

import datasets
import ftlab
import torch
import transformers
from ftlab import check, data, hardware

SEED, BASE, MICROSCOPE = 0, "smollm2-135m", "ftlab-1m"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS, BATCH = 50, 50, 2, 4
FEW = 24  # rows of the two short runs

hardware.seed_everything(SEED)
warnings.filterwarnings("ignore", ".*gradient_checkpointing|Merge lora module")
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()
FOUR_BIT, why = hardware.four_bit_works(PROFILE.device)
print("4-bit layers:", "work here" if FOUR_BIT else f"do not work here, {why}")

# %% [markdown]
# ## 2. An adapter in a minute
#
# The task is that of lesson 00: capitals and punctuation back into English sentences. Here are
# the model, the rows to train on, and the rows that are held out.

# %%
from datasets import Dataset
from ftlab import models
from ftlab.tasks import punctuation
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)


def fresh(**options):
    """The base as it was downloaded."""
    options = {"dtype": torch.float32, "device_map": {"": PROFILE.device}} | options
    return AutoModelForCausalLM.from_pretrained(folder, **options)


train_rows = punctuation.rows(TRAIN, seed=SEED)
held_out = punctuation.rows(TEST, seed=SEED, split="test")
asked = [row["prompt"] for row in held_out]

# %% [markdown]
# A **full fine-tune** changes every weight. **LoRA**, low-rank adaptation (Hu et al. 2021), leaves
# them as they are. Beside each chosen weight matrix it adds two thin matrices and trains those
# alone: an **adapter**. In peft an adapter is described by a `LoraConfig`, and `get_peft_model`
# puts it on a model.
#
# - `r` is the **rank**, the inner size of the two matrices.
# - `lora_alpha` scales what they add, by alpha divided by rank.
# - `target_modules` are the matrices that get an adapter, `layers_to_transform` the layers. The
#   course takes every linear layer of the upper half: `ftlab.upper_half` returns both arguments.
#
# **Predict.** What share of the weights will be trained?

# %%
from peft import LoraConfig, get_peft_model, inject_adapter_in_model

base = fresh()
marks = LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", **ftlab.upper_half(base))
model = get_peft_model(base, marks, adapter_name="marks")
trained, total = model.get_nb_trainable_parameters()
print(f"trained: {trained:,} of {total:,} weights, {trained / total:.1%}")

# %% [markdown]
# A trainer takes such a model like any other. One function serves all trainings of this lesson.

# %%
from ftlab.training.callbacks import quiet
from trl import SFTTrainer

RATE = ftlab.learning_rate("lora", base.num_parameters()).high


def trainer_for(model, rows, epochs=EPOCHS, rate=RATE):
    """An SFTTrainer with this lesson's settings; what is trained is in float32."""
    args = ftlab.sft_config(
        num_train_epochs=epochs, learning_rate=rate, per_device_train_batch_size=BATCH
    )
    rows = Dataset.from_list(rows).select_columns(["prompt", "completion"])
    trainer = SFTTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.add_callback(ftlab.LiveCurve())
    for weight in trainer.model.parameters():
        weight.data = weight.data.float() if weight.requires_grad else weight.data
    quiet(trainer)
    return ftlab.faster_on_cpu(trainer)


# %%
from ftlab.evaluation.intervals import Interval, bootstrap, paired_bootstrap
from ftlab.generation import generate


def f1(model, n=TEST):
    """The F1 of the first held-out sentences: a part and a whole for each."""
    texts = generate(model, tokenizer, asked[:n], max_new_tokens=80)
    return [punctuation.score(row, text)["f1"] for row, text in zip(held_out, texts)]


trainer = trainer_for(model, train_rows)
ftlab.preflight(trainer)
trainer.train()
scores = f1(model)
print("F1 on the held-out sentences:", bootstrap(*zip(*scores)))

# %% [markdown]
# With a small share of the weights, trained for a minute, the model does another task. The rest
# of this lesson asks how that works, what it costs, and what it saves.
#
# ## 3. LoRA in ten lines
#
# A matrix that is a column times a row needs few numbers: a column of 576 and a row of 576 make
# 331,776 products. Such a matrix has **rank one**; the sum of r of them has rank r. LoRA's bet is
# that the *change* of a weight can be written like this: the columns are the matrix `B`, the rows
# the matrix `A`, and
#
#     output = W x + (alpha / r) · B A x
#
# **Exercise 04.1.** Write the adapted layer for plain matrices. (They are NumPy arrays: `@`, `.T`
# and `len` work on them as on tensors.)


# %% tags=["exercise", "nbval-check-output"]
def adapted(x, W, A, B, alpha):
    """What a layer gives for x (n, in): W is (out, in), A (rank, in), B (out, rank)."""
    # solution:
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)
    # stub:
    # ...
    # end


check("04.1", adapted)

# %% [markdown]
# The same as a module that can be trained. `A` begins at random and `B` at zero. **Predict.** What
# does the adapted layer give before the first step?
#
# And is it what peft does? Both go beside the same layer of the real model, with the same `A` and
# the same `B`.


# %%
class LoRALinear(torch.nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / rank
        self.A = torch.nn.Parameter(torch.randn(rank, base.in_features) / rank)
        self.B = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)


# %% tags=["nbval-check-output"]
import copy

layer = copy.deepcopy(base.model.layers[0].self_attn.q_proj).cpu()
ours, x = LoRALinear(layer, rank=8, alpha=16), torch.randn(64, layer.in_features)
print("before the first step, as the frozen layer:", torch.equal(ours(x), layer(x)))
lora = LoraConfig(r=8, lora_alpha=16, target_modules="q_proj", init_lora_weights=False)
theirs = inject_adapter_in_model(lora, torch.nn.ModuleDict({"q_proj": layer})).q_proj
ours.A, ours.B = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
print("peft's, with the same A and B:", torch.allclose(ours(x), theirs(x), atol=1e-5))

# %% [markdown]
# Ten lines, and the library's numbers. Two relatives are switches of `LoraConfig`. **rsLoRA**
# (`use_rslora=True`) divides alpha by the *root* of the rank, so that a high rank is not scaled
# down as much. **DoRA** (`use_dora=True`) trains the length of each output's weights apart from
# their direction.
#
# ## 4. How little is it?
#
# A matrix grows in two directions, its adapter in one. So the share depends on the width. We build
# models of known shapes without any weights (torch's device `meta`) and let peft count.

# %% tags=["nbval-check-output"]
from ftlab.training.shapes import SHAPES
from transformers import AutoConfig

for name, shape in SHAPES.items():
    with torch.device("meta"):
        large = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape))
        every = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
        part, whole = get_peft_model(large, every).get_nb_trainable_parameters()
    print(f"{name:13} {part:11,} of {whole:14,} weights: {part / whole:.2%}")

# %% [markdown]
# Practitioners speak of 0.1 to 3 % of the weights. Section 11 comes back to that claim.
#
# **Exercise 04.2.** Write a `LoraConfig` under a budget. `shapes` holds the targets with their
# sizes, such as `{"q_proj": (576, 576), "v_proj": (576, 192)}` (inputs, outputs). Take the largest
# rank that is a power of two and trains at most `budget` weights over all layers; alpha is twice
# the rank.


# %% tags=["exercise", "nbval-check-output"]
def within(budget, layers, shapes):
    """The LoraConfig with the largest rank that the budget allows."""
    # solution:
    from peft import LoraConfig

    each = layers * sum(inputs + outputs for inputs, outputs in shapes.values())
    rank = 1
    while 2 * rank * each <= budget:
        rank *= 2
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(shapes))
    # stub:
    # ...
    # end


check("04.2", within)

# %% [markdown]
# ## 5. One task, six methods
#
# Which method is best? One run of each proves little, so they were run beforehand, most with two
# seeds, every run in a process of its own: `experiments/adapters.py`, 50 rows read twice, 50
# sentences held out. **Frozen** means a full fine-tune of the upper half only: embeddings and
# lower layers stay. **QLoRA** is LoRA beside a base that is held in 4 bits; section 8 makes one.
#
# **Predict.** Write down an order of the six by F1, and one by memory.

# %%
import pandas
from ftlab.files import data_path, read_data

grid = pandas.read_csv(data_path("grids/adapters.csv"), comment="#")
METHODS = ["base", "full", "frozen", "lora", "rslora, rank 64", "dora", "qlora"]
COLUMNS = ["f1", "words_kept", "trained", "seconds", "peak_mb", "disk_mb"]
print(grid.groupby("name")[COLUMNS].mean().loc[METHODS].round(2).to_string())

# %% [markdown]
# `peak_mb` is the most memory that the process held while it trained, Python and its libraries
# included. `disk_mb` is what was saved: an adapter alone, or a whole model in float32. Seconds are
# those of one thread on a busy machine; read them as an order.
#
# Are the differences in F1 more than chance? The items of every run are in the table, so the
# differences can be paired, sentence by sentence. A claim belongs here, too: *freezing the lower
# layers is enough for many tasks*. The course keeps such claims in a list, each with a rule that
# reads an interval; here it is that of frozen minus full.

# %%
from ftlab.teaching import claims, plots
from ftlab.teaching.lesson04 import gap, items

sizes = [n for n in grid.name.unique() if n.startswith("lora,") and "rate" not in n]
rows = {name: gap("lora", name)[:3] for name in METHODS[1:] + sizes if name != "lora"}
print("F1 of lora in the grid:", bootstrap(*items("lora")))
claims.record(34, gap("full", "frozen"))
plots.gaps(rows, title="Better than LoRA?", xlabel="minus LoRA, in F1")

# %% [markdown]
# Each row is a method, or another rank or number of upper layers, minus the LoRA that you
# trained (rank 16, upper 15 of 30 layers). A grey circle means that these sentences show no
# difference. Where all are grey, choose by the other columns: seconds, memory, size on disk. Your
# adapter had the same rows and the same settings as `lora`, so their intervals should overlap.
#
# ## 6. Where does the change sit?
#
# Nobody forces a *full* fine-tune to make a change of a low rank. So LoRA's bet can be tested: tune
# all weights on a few rows, and ask how much of a matrix's change lies in its 16 heaviest products
# of a column and a row (by its **singular values**). The more it is above random numbers, the
# nearer a thin adapter can come to it.
#
# *Tuning touches only the last layers*, it is also said. The grid has the length of the change as a
# part of the length of the weights, ‖ΔW‖ / ‖W‖, layer by layer. **Predict.** Draw the curve.

# %%
full = fresh()
matrix = full.model.layers[0].self_attn.o_proj.weight
old, usual = matrix.detach().clone(), ftlab.learning_rate("full", total).usual
trainer_for(full, train_rows[:FEW], epochs=1, rate=2 * usual).train()
change = matrix.detach() - old
for label, one in {"change": change, "random": torch.randn_like(change)}.items():
    values = torch.linalg.svdvals(one).square()
    print(f"{label}: {values[:16].sum() / values.sum():.0%} in 16 of {len(values)}")

# %%
from ftlab.teaching import plots_weights

layers = pandas.read_csv(data_path("grids/adapters_layers.csv"), comment="#")
layers = layers[layers.layer != "embedding"].astype({"layer": int})
squares = (
    layers[layers.name == "full"].pivot(index="layer", columns="seed")["change"] ** 2
)
lower = squares.loc[:14].sum() / squares.sum()
claims.record(2, Interval(lower.mean(), lower.min(), lower.max()))
means = 100 * layers[layers.change > 0].groupby(["name", "layer"]).change.mean()
plots_weights.lines(
    {name: means[name].to_dict() for name in ("full", "lora, 30 layers", "lora")},
    title="Where the change sits", xlabel="layer, 0 is the lowest",
    ylabel="change, % of the weights",
)  # fmt: skip

# %% [markdown]
# If only the last layers changed, the curve of the full fine-tune would be flat at zero and rise
# at the right end. Read off where it is high. LoRA sits where we put it: in all layers, or in the
# upper half. The claim is decided by the share of the squared change in the lower half of the
# layers, over the runs of the grid.
#
# ## 7. What was forgotten?
#
# A fine-tune may damage what it does not train: **catastrophic forgetting**. The measure is **bits
# per character** on sixteen passages of general text: how many bits the model needs, on average,
# to predict a character. Lower is better, and a rise is forgetting. Beside it, the share of twenty
# ordinary questions that are answered right.
#
# **Predict.** What does a learning rate ten times as high do?

# %%
from ftlab.evaluation import forgetting

passages = [text for _, text in forgetting.general_text()]
mine = forgetting.bits_per_character(model, tokenizer, passages)
rise = paired_bootstrap(*items("base", "general_items"), *zip(*mine))
print("bits per character, your adapter minus the base:", rise)
claims.record(37, gap("base", "full, rate 1e-3", "general_items"))
runs = grid[grid.name.str.fullmatch("(full|lora)(, rate.*)?")]
runs = runs.assign(method=runs.name.str[:4], rise=runs.bits_after - runs.bits_before)
means = runs.groupby(["method", "rate"])[["f1", "questions", "rise"]].mean().round(3)
print(means)
plots_weights.lines(
    {method: means.rise[method].to_dict() for method in ("full", "lora")}, log="x",
    title="Forgetting", xlabel="learning rate (log scale)",
    ylabel="rise in bits per character",
)  # fmt: skip

# %% [markdown]
# `rise` is that of the bits per character. A rate may still give a good F1 when the general text has
# become harder to predict and fewer questions are answered. The task's own score does not show it. To
# compare full tuning and LoRA, look at rates with about the same F1, not at the same rate.
#
# *Tuning hard makes a model forget*, says the claim; it is decided by the hardest run of the grid.
# With an adapter the way back is short: take it off, and the base is as it was.
#
# ## 8. Four bits
#
# The adapter is small, but the frozen base still takes 4 bytes a weight, or 2 in half precision.
# **QLoRA** (Dettmers et al. 2023) holds it in half a byte. With four bits there are sixteen levels.
# Where should they lie? Look at real weights first: a matrix of the microscope, in **blocks** of
# 64, each divided by its largest weight.

# %% tags=["nbval-check-output"]
from statistics import NormalDist

small, small_tokenizer = models.load(MICROSCOPE)
weight = small.model.layers[0].mlp.up_proj.weight.data
blocks = weight.reshape(-1, 64)
scaled = blocks / blocks.abs().amax(1, keepdim=True)
bell = NormalDist().inv_cdf
edge = 1 - (1 / 30 + 1 / 32) / 2  # the last quantile of a bell curve is infinite
above = [bell(0.5 + (edge - 0.5) * k / 8) for k in range(1, 9)]
below = [-bell(0.5 + (edge - 0.5) * k / 7) for k in range(7, 0, -1)]
NF4 = torch.tensor([x / above[-1] for x in [*below, 0.0, *above]]).to(weight.device)
print(NF4.cpu())
rows = {"NF4": NF4.tolist(), "evenly spaced": torch.linspace(-1, 1, 16).tolist()}
plots_weights.levels(scaled.flatten().tolist(), rows, title="Sixteen levels")

# %% [markdown]
# Most weights lie near zero, along a bell curve. **NF4** (four-bit NormalFloat) puts the levels at
# the quantiles of a bell curve, so that each is used about equally often: seven below zero, zero,
# and eight above.
#
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
# The same for a whole matrix, and what **bitsandbytes** makes of it, the library behind QLoRA. One
# large weight spoils the scale of its block, and of its block only. But scales take memory as well:
# a float32 for 64 weights makes 4 + 32/64 = 4.5 bits a weight. **Double quantisation** keeps the
# scales in 8 bits, in blocks of 256 of their own: 4 + 8/64 + 32/(64 × 256), about 4.13.


# %%
def through(weight, levels=NF4, block=64):
    """The matrix as it comes back: each block has a scale of its own."""
    rows = weight.reshape(-1, block)
    top = rows.abs().amax(1, keepdim=True)
    nearest = (rows / top).unsqueeze(-1).sub(levels).abs().argmin(-1)
    return (levels[nearest] * top).reshape(weight.shape)


off = lambda matrix: f"{(matrix - weight).norm() / weight.norm():.2%}"
print("off by", off(through(weight)), "of its length")
if FOUR_BIT:
    from bitsandbytes import functional as bits

    for twice in (False, True):
        packed = bits.quantize_nf4(blocks, blocksize=64, compress_statistics=twice)
        back = bits.dequantize_nf4(*packed).reshape(weight.shape)
        print(f"bitsandbytes, double {twice}:", off(back))

# %% [markdown]
# The QLoRA paper measured little loss at 7 to 65 billion weights. Now the real thing on the real
# model. `BitsAndBytesConfig` says how the base is held, `bnb_4bit_compute_dtype` in which type its
# layers compute. `keep_unpacked` matters on newer CPUs only: there bitsandbytes would pack the
# weights for a faster kernel that has no backward pass.

# %%
if FOUR_BIT:
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, PROFILE.dtype),
    )  # fmt: skip
    four_bit = hardware.keep_unpacked(fresh(quantization_config=nf4))
    print("MB:", *(held.get_memory_footprint() // 10**6 for held in (full, four_bit)))
    qlora = get_peft_model(four_bit, marks, adapter_name="marks")
    trainer_for(qlora, train_rows[:FEW], epochs=1).train()
print("QLoRA minus LoRA in the grid, in F1:", gap("lora", "qlora"))

# %% [markdown]
# The embedding and the norms stay as they are, so the whole model shrinks by less than a factor of
# eight; in a small model the embedding is a large part. And it is not faster: each time a weight is
# used, it is unpacked first. Compare the seconds in the table of section 5.
#
# ## 9. What fits?
#
# In a training step memory goes to the **weights**, the **gradients**, the **optimiser** (AdamW
# keeps two numbers for each trained weight) and the **activations**, which the forward pass keeps
# for the backward pass. The course's `estimate` counts them without any weights, from shapes. Does
# it agree with what the grid's processes took?

# %%
from ftlab.training.estimate import estimate

turns = [row["prompt"] + row["completion"] for row in train_rows]
longest = max(map(len, tokenizer.apply_chat_template(turns)["input_ids"]))
parts = {}
for name, method in {"full": "full", "lora, 30 layers": "lora"}.items():
    plan = estimate(folder, method, length=longest, batch_size=BATCH, rank=16)
    parts[method] = {part: size / 1e6 for part, size in plan.parts.items()}
    rest = (plan.total - plan.parts["weights"]) / 1e6
    run = grid[grid.name == name].mean(numeric_only=True)
    print(f"{method}: {rest:.0f} MB, measured {run.peak_mb - run.before_mb:.0f} MB")
plots_weights.stacked(parts, title="One step, estimated", xlabel="MB")

# %% [markdown]
# LoRA takes away most of the gradients and of the optimiser. The activations stay. (The fullest
# moment of these steps is the loss, when no gradient is there yet.) The measured figure is what the
# operating system gave the process, so it also holds what the allocator keeps.
#
# **Predict.** How large a model can you tune with 16 GB, 24 GB and 80 GB: in full, with LoRA in
# bfloat16, with QLoRA? A method fits a card where its curve is below the card's line.
#
# Two claims are checked by arithmetic: *65 billion parameters on one card of 48 GB*, and *six
# billion parameters, 50,000 records, eight GPUs, under an hour, 30 dollars*. For the second:
# training takes about six operations per weight and token.

# %%
CARDS = {"T4": 15.8, "24 GB": 23.6, "H100": 85.0}
HELD = {"full": "float32", "lora": "bfloat16", "qlora": "float32"}
needs = {method: {} for method in HELD}
for name, size in {"Qwen2.5-1.5B": 1.5, "Llama-3-8B": 8.0, "LLaMA-65B": 65.0}.items():
    for method, dtype in HELD.items():
        plan = estimate(
            SHAPES[name], method, weights=dtype, length=512, batch_size=1, rank=16,
            gpu="H100", gradient_checkpointing=True,
        )  # fmt: skip
        needs[method][size] = plan.total / 1e9
print(f"QLoRA, 65 billion weights: {needs['qlora'][max(needs['qlora'])]:.0f} of 48 GB")
claims.record(33, gap("lora", "qlora"))
work = 6 * 6e9 * 50_000 * 200  # weights, records, tokens a record: assumed
slow, usual, fast = (work / (8 * 312e12 * share) / 3600 for share in (0.2, 0.35, 0.5))
print(f"eight A100: {fast:.2f} to {slow:.2f} h; at 2 dollars each {16 * slow:.0f}")
claims.record(39, Interval(usual, fast, slow))
plots_weights.lines(
    needs, title="What fits a card?", xlabel="billions of weights (log scale)",
    ylabel="GB (log scale)", log="xy", across=CARDS,
)  # fmt: skip

# %% [markdown]
# ## 10. Two adapters on one base
#
# A second small task, written for the course: a note becomes a polite request. It gets an adapter
# of its own on the *same* base, which is still there unchanged.
#
# *One narrow task at a time; mixed goals cost something*, it is said. The grid has adapters that
# learned both tasks at once (`both`). `requests` is the share of exactly right requests.

# %%
INSTRUCTION = "Make a polite request of this note."
pairs = read_data("lessons/requests.yaml")["pairs"]
request_rows = [data.example(a, b, system=INSTRUCTION) for a, b in pairs]
model.add_adapter("requests", marks)
model.set_adapter("requests")
trainer_for(model, request_rows[:40], epochs=1).train()
model.save_pretrained("runs/04")  # a folder for each adapter
several = grid[grid.name.isin(["lora", "requests", "both"])]
print(several.groupby("name")[["f1", "requests"]].mean().round(2))
claims.record(5, gap("lora", "both"))

# %% [markdown]
# Whatever the figures say, two adapters can be tested, mended and taken away one by one. And a
# service holds one base in memory and switches the adapter for each request. **Predict.** The
# same two questions are asked with each adapter on, and with none. Who answers what?

# %%
from pathlib import Path

from peft import PeftModel

served = PeftModel.from_pretrained(fresh(), "runs/04/marks", adapter_name="marks")
served.load_adapter("runs/04/requests", adapter_name="requests")
questions = [asked[0], request_rows[-1]["prompt"]]
answers = {}
for name in ("marks", "requests"):
    served.set_adapter(name)
    answers[name] = generate(served, tokenizer, questions, max_new_tokens=40)
with served.disable_adapter():
    answers["none"] = generate(served, tokenizer, questions, max_new_tokens=40)
for name, texts in answers.items():
    print(f"{name}:", *texts, sep="\n    ")
size = Path("runs/04/requests/adapter_model.safetensors").stat().st_size
whole_mb = 4 * (total - trained) / 1e6  # in float32
print(f"an adapter on disk: {size / 1e6:.1f} MB; the base: {whole_mb:.0f} MB")

# %% [markdown]
# ## 11. Merge, and check the folder
#
# When one task has all the traffic, its adapter can be added into the weights: W + (alpha / r) B A.
# **Merging** makes an ordinary model that every server can load. Check the folder that was *saved*,
# not only the model in memory: most faults of a merge happen on the way to the disk.

# %%
ids = torch.tensor([tokenizer(passages[0])["input_ids"][:64]], device=PROFILE.device)


@torch.no_grad()
def logits(model):
    """The scores of all tokens, at each position of a short text."""
    return model(input_ids=ids).logits.float()


served.set_adapter("marks")
beside, before = logits(served), f1(served, 10)
served.merge_and_unload(adapter_names=["marks"]).save_pretrained("runs/04/merged")
merged = AutoModelForCausalLM.from_pretrained("runs/04/merged").to(PROFILE.device)
apart = (logits(merged) - beside).abs().max() / beside.abs().max()
print("reloaded, apart by less than 0.1 % of the largest logit:", bool(apart < 1e-3))
print("F1 of 10 sentences:", bootstrap(*zip(*before)), bootstrap(*zip(*f1(merged, 10))))

# %% [markdown]
# Practitioners say: *LoRA trains 0.1 to 3 % of the parameters, costs no time once merged, and
# adapters can be exchanged*. The shares stand in section 4, the exchange in section 10. Now the
# time, by turns, in the processor's own seconds.

# %%
import time

beside = model.get_base_model()  # without the trainer's autocast
rivals = {"base": fresh(), "merged": merged, "adapter beside": beside}
spent = {name: [] for name in rivals}
for _ in range(8):
    for name, rival in rivals.items():
        begun = time.process_time()
        logits(rival)
        spent[name].append(time.process_time() - begun)
spent = pandas.DataFrame(spent) / min(spent["base"])
print(spent.min().round(2))
slower = paired_bootstrap(spent["base"], [1] * 8, spent["merged"], [1] * 8)
claims.record(32, Interval(*(value - 0.05 for value in slower[:3])))

# %% [markdown]
# Differences of a few hundredths may be the noise of the machine: read the interval. On so short a
# text the adapter beside the weights may not cost more than that. Where you serve, measure it again.
#
# One merge goes wrong often. A **QLoRA** adapter was trained beside the 4-bit base. Into which base
# is it merged? The measure is the F1 on ten held-out sentences.
#
# **Predict.** Which of the two merges is nearer to what was trained?

# %%
if FOUR_BIT:
    qlora.save_pretrained("runs/04/qlora")
    found = {"as trained, beside the 4-bit base": f1(qlora, 10)}
    with qlora.disable_adapter():
        found["the 4-bit base alone"] = f1(qlora, 10)
    whole = PeftModel.from_pretrained(fresh(), "runs/04/qlora/marks")
    found["merged into the 16-bit weights"] = f1(whole.merge_and_unload(), 10)
    found["merged into the 4-bit weights"] = f1(qlora.merge_and_unload(), 10)
    for name, pairs in found.items():
        print(f"{name:35} {bootstrap(*zip(*pairs))}")

# %% [markdown]
# Merged into the 16-bit weights, the adapter meets weights that it was not trained with; merged into
# 4 bits, its own change is rounded to sixteen levels. Neither is exactly what you trained and
# evaluated, and which is nearer depends on the model. So evaluate what you ship: the merged folder.
#
# ## 12. On a GPU
#
# A free Colab **T4** has 16 GB, fast float16 and no bfloat16. So: the base in 4 bits with float16
# compute, `fp16=True`, few rows at once and their gradients added up (**accumulation**), and
# **checkpointing**, which keeps only what enters each layer and computes the rest again.
#
# **Exercise 04.4.** Return both configurations for a step of `rows` rows, at most two in memory at
# once, with double quantisation.


# %% tags=["exercise", "nbval-check-output"]
def for_t4(rows):
    """A BitsAndBytesConfig and an SFTConfig that are right for a T4."""
    # solution:
    import ftlab
    from transformers import BitsAndBytesConfig

    four_bit = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype="float16",
    )
    args = ftlab.sft_config(
        fp16=True,
        gradient_checkpointing=True,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=rows // 2,
    )
    return four_bit, args
    # stub:
    # ...
    # end


check("04.4", for_t4)

# %% [markdown]
# The whole recipe, for a model of 1.5 billion weights. It is built everywhere, and trains where
# there is a CUDA GPU. The loop in `t4_trainer` cures a fault that stops many first runs: beside 4-bit
# weights TRL turns adapters into bfloat16, and torch's loss scaling for float16 refuses those
# (`"_amp_foreach_non_finite_check_and_unscale_cuda" not implemented for 'BFloat16'`).

# %%
T4_BASE = hardware.DEFAULTS["gpu"].model
T4_FOUR_BIT = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.float16,
)  # fmt: skip
T4_ARGS = ftlab.sft_config(
    output_dir="runs/04/t4", num_train_epochs=2, learning_rate=2e-4, max_length=1024,
    fp16=True, gradient_checkpointing=True,
    per_device_train_batch_size=2, gradient_accumulation_steps=8,
)  # fmt: skip


# %%
def t4_trainer(name, rows, args):
    """QLoRA on a T4: a trainer that is ready to run."""
    model = AutoModelForCausalLM.from_pretrained(
        name, quantization_config=T4_FOUR_BIT, device_map={"": PROFILE.device},
        dtype=torch.float32,
    )  # fmt: skip
    adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    trainer = SFTTrainer(
        hardware.keep_unpacked(model), args, train_dataset=rows, peft_config=adapter
    )
    for weight in trainer.model.parameters():  # float32 under float16 autocast
        if weight.requires_grad:
            weight.data = weight.data.float()
    return trainer


if PROFILE.device == "cuda":
    rows = Dataset.from_list(request_rows).select_columns(["prompt", "completion"])
    print(t4_trainer(T4_BASE, rows, T4_ARGS).train().metrics)

# %% [markdown]
# Several GPUs: `accelerate launch` starts one process for each. A file says how they share the
# work, and the script stays the same:
#
#     accelerate launch --config_file configs/accelerate/fsdp2.yaml -m ftlab.cli train mine.jsonl --out runs/mine
#
# | file | each GPU holds | take it when |
# |---|---|---|
# | `ddp.yaml` | the whole model | it fits on one GPU; any adapter, QLoRA too |
# | `fsdp2.yaml` | a part of the weights, gradients and optimiser | a full fine-tune does not fit on one |
# | `zero3.yaml` | the same, by DeepSpeed | DeepSpeed is in use already |
#
# `fsdp2.yaml` says, among other things:
#
#     distributed_type: FSDP
#     num_processes: 2                                 one for each GPU
#     fsdp_config:
#       fsdp_version: 2
#       fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP  one layer is whole at a time
#       fsdp_reshard_after_forward: true               and is divided again after its forward pass
#
# Batch sizes are for each process: two GPUs with 4 rows are a step of 8.
#
# ## 13. Your turn
#
# A plan for your own fine-tune. Give your file, the shape nearest to your model, your card and a
# method. The tool says what it takes, and what would make it fit.

# %%
MINE = Path("runs/04/mine.jsonl")  # your file; until it is there, section 10's rows
MODEL, CARD, METHOD, AT_ONCE = "Llama-3-8B", "T4", "lora", 8

mine = data.read(MINE) if MINE.exists() else request_rows[:40]
ids = tokenizer.apply_chat_template([data.conversation(row) for row in mine])
plan = estimate(
    SHAPES[MODEL], METHOD, weights=HELD.get(METHOD, "float32"), batch_size=AT_ONCE,
    length=max(map(len, ids["input_ids"])), gpu=CARD, records=len(mine), epochs=3,
)  # fmt: skip
print(plan)

# %% [markdown]
# Change the plan until it fits with a tenth to spare, and note it: the capstone's proposal asks for
# it, under `machine`. The same from a shell, which reads the model's config on the hub:
# `ftlab estimate Qwen/Qwen2.5-1.5B-Instruct --method qlora --gpu T4`.
#
# ## 14. The limits of this lesson
#
# - **One small model, one narrow task, fifty rows.** On such a task little has to change. Large
#   data sets and new knowledge may need a higher rank, or a full fine-tune.
# - **Two seeds at most.** The intervals count the sentences as the source of chance, not the runs.
# - **One rate for each method**, from the published ranges. With other rates the order may change.
# - **The GPU recipe was built here, and not run on a T4**; its pieces are tested with a tiny model on
#   a CPU. `fsdp2.yaml` and `zero3.yaml` were read by accelerate, and not run on GPUs.
#
# ## 15. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("04")

# %% [markdown]
# ## 16. Takeaways
#
# 1. **The change of a weight can be thin.** Two small matrices beside a frozen weight; once merged,
#    an ordinary model again.
# 2. **Know which part you save.** Adapters save gradients and optimiser, four bits save weights,
#    checkpointing saves activations.
# 3. **Check what you ship.** Reload the saved folder, and evaluate the merged model.
#
# Next: [05 Making data](05_making_data.ipynb). Where do the examples come from?
