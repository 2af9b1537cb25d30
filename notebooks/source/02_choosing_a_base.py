# %% [markdown]
# # 02 Model selection: which base?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/02_choosing_a_base.ipynb)
#
# **What you will build**: a shortlist of open models that meet your demands, a healthy
# distrust of their benchmarks, and a bake-off that decides between bases by tuning them.
#
# **Prerequisites**: lesson 00.
#
# | where | reading, doing and running | of it, training |
# |---|---|---|
# | a laptop or server, CPU only | about an hour | two to three minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# Write down what you expect before you run a cell that asks for it.

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
# `MINE` is a text of your own, as your users would write it. `HUB` may hold names of models
# on the hub, such as `"Qwen/Qwen2.5-0.5B"`, if you are connected: their tokenizers join in.

# %%
import ftlab
from ftlab import data, hardware

SEED = 0
MINE = "Hi, my café order #4711 hasn't arrived. Könnt ihr bitte nachsehen? 🙏"
HUB = ()
TINY = "ftlab-1m"
PROFILE = ftlab.profile()
# Records of the bake-off in section 5, and held-out ones.
RECORDS, TEST = 12 * PROFILE.records // 100, 50

hardware.seed_everything(SEED)
hardware.versions()

# %% [markdown]
# ## 2. A shortlist by facts
#
# Hundreds of thousands of models can be had. Most fall away by facts that you can look up:
# size, context, licence, format of the weights. The course has a catalogue of them.
#
# **Predict.** A free GPU has about 15 GB. Of the models in the catalogue, which share can
# be fully fine-tuned on it?

# %% tags=["nbval-check-output"]
from ftlab.catalogue import ROOM, catalogue, choose, held

everything = catalogue()
T4 = 15e9 - ROOM  # a part stays free for activations
print(len(everything.models), "models")
for method in ("inference", "full", "lora", "qlora"):
    print(
        f"{method:10} {len(choose(everything.models, memory=T4, method=method)):3} fit"
    )

# %% [markdown]
# To *run* a model takes two bytes for each weight. To train all of them takes sixteen.
#
# **Exercise 02.1.** In float32, every weight is four bytes. Each weight that *moves* takes a
# gradient and two averages of the optimiser, four bytes each. How many GB are held?

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def gigabytes(weights, moving):
    """What training holds, in 10^9 bytes; `moving` of the `weights` are trained."""
    # solution:
    return (4 * weights + 12 * moving) / 1e9
    # stub:
    # ...
    # end


check("02.1", gigabytes)

# %% [markdown]
# Here is a shortlist by demands. Change them to yours, and run the cell again.

# %% tags=["nbval-check-output"]
from ftlab.catalogue import billions

DEMANDS = {"commercial": True, "max_parameters": 4e9, "min_context": 8000, "safe": True}
for model in choose(everything.models, memory=T4, method="qlora", **DEMANDS):
    gb, size = held(model, "qlora") / 1e9, billions(model.size)
    print(f"{size:>7}  {model.name:34} {model.licence.value:11} {gb:4.1f} GB")

# %% [markdown]
# The list is short, also because a blank in the catalogue meets no demand: what nobody read
# is not guessed. The same from a shell, where `15` is the whole memory in GB:
#
# ```text
# ftlab models --open --commercial --max-parameters 4e9 --min-context 8000 --safe \
#     --fits 15 --method qlora
# ```
#
# ### The licence
#
# “Open” says that you may download the weights. What you may do with them is another matter.
#
# **Predict.** One maker, one family: three sizes, plain or tuned for chat. Do all of them
# have the same licence?

# %% tags=["nbval-check-output"]
for model in everything.models:
    if model.family == "Qwen2.5":
        licence = everything.licences[model.licence.value]
        print(f"{model.name:28} {licence.name:24} commercial: {licence.commercial}")

# %% [markdown]
# What do the licences ask, in short?

# %% tags=["nbval-check-output"]
for key in ("apache-2.0", "llama3.2", "gemma", "qwen-research"):
    licence = everything.licences[key]
    print(f"{licence.name} (commercial: {licence.commercial})")
    for condition in licence.conditions:
        print("  -", condition)

# %% [markdown]
# Look at what binds a *fine-tune*: a name that must begin with Llama, rules that must be
# passed on, a model that learned from another's answers. In short and in our words: before
# you ship, read the text itself.
#
# ### The format of the weights
#
# Weights are numbers. Old formats are Python's **pickle**, which can hold any object, and an
# object may say what is to be *done* when it is loaded. Here are such “weights”, harmless
# ones.
#
# **Predict.** The next cell only reads a file. What will be in the folder afterwards?

# %% tags=["nbval-check-output"]
import pickle
import tempfile
from pathlib import Path

from ftlab.teaching.lesson02 import Surprise

FOLDER = Path(tempfile.mkdtemp())
weights = FOLDER / "pytorch_model.bin"
weights.write_bytes(pickle.dumps(Surprise(FOLDER / "note.txt")))
print("before:", sorted(file.name for file in FOLDER.iterdir()))
with weights.open("rb") as stream:
    pickle.load(stream)
print("after: ", sorted(file.name for file in FOLDER.iterdir()))
print((FOLDER / "note.txt").read_text())

# %% [markdown]
# Reading wrote a file. It could have sent your keys away. **Safetensors** holds names,
# shapes and numbers, and nothing that runs. This course reads nothing else:

# %% tags=["nbval-check-output"]
from ftlab import models
from ftlab.display import wrap
from ftlab.errors import ModelError

(FOLDER / "note.txt").unlink()
(FOLDER / "config.json").write_text('{"model_type": "llama"}')
try:
    models.load(FOLDER)
except ModelError as error:
    print(wrap(str(error).replace(str(FOLDER), "the folder")))
print("note written:", (FOLDER / "note.txt").exists())

# %% [markdown]
# A tally of the whole catalogue, for the ledger of claims that the course keeps:

# %% tags=["nbval-check-output"]
from ftlab.teaching import ledger

terms = [everything.licences[m.licence.value].commercial for m in everything.models]
bound, unread = terms.count("limited") + terms.count("no"), terms.count("unread")
known = [m for m in everything.models if m.weights]
pickled = [m.name for m in known if not m.safe]
print("pickled weights only:", pickled)
assert bound and pickled
ledger.record(
    16, "holds" if bound and pickled else "not seen here",
    f"Of {len(terms)} open models {bound} have a licence that limits or forbids "
    f"earning money ({unread} other licences were not read). The format of the "
    f"weights was looked up for {len(known)}: pickles alone {len(pickled)}, "
    f"safetensors {len(known) - len(pickled)}.",
    bound,
)  # fmt: skip

# %% [markdown]
# ## 3. Benchmarks, and how they mislead
#
# A published figure looks like a property of the model. It is a property of the model, the
# prompt, the number of examples in it and the way of scoring. One model, one benchmark:

# %% tags=["nbval-check-output"]
for model in everything.models:
    figures = [b for b in model.benchmarks if b.name == "HellaSwag"]
    if len(figures) > 1:
        print(model.name)
        for found in figures:
            print(f"  {found.value:.1f}   {found.setting}, read from page {found.page}")

# %% [markdown]
# So compare figures of *one* page, measured alike. Three bases on one page:

# %% tags=["nbval-check-output"]
table = {}
for model in everything.models:
    for found in model.benchmarks:
        if found.page == "opensci":
            table.setdefault(model.name, {})[found.name] = found.value
for name in sorted(table, key=lambda name: -table[name]["MMLU"]):
    print(f"{name:28} MMLU {table[name]['MMLU']:.1f}", end="   ")
    print(f"HellaSwag {table[name]['HellaSwag']:.1f}")

# %% [markdown]
# Sorted by one, they are not sorted by the other. Which is better depends on which of the two
# is nearer to *your* task.
#
# ### Contamination
#
# Benchmarks are published, and bases read the web. What does it do to a score if the test was
# among the training texts? We can find out, for we may cheat on purpose. The task: say what a
# short ticket wants, in one word.

# %% tags=["nbval-check-output"]
from ftlab.teaching.tickets import short_tickets

KINDS = ("login", "delivery", "outage", "privacy", "feature", "refund")
pool = short_tickets(2500, seed=SEED, kinds=KINDS)
drawn = short_tickets(2500, "test", seed=SEED, kinds=KINDS)
test = [record for record in drawn if data.meta(record)["slice"] == "known phrasing"]
leaked, fresh = test[:70], test[70:140]
print(f"{len(pool)} to train on, {len(leaked)} that leak, {len(fresh)} that do not")
print(f"{data.prompt(leaked[0])[0]['content']}\n  -> {data.answer(leaked[0])}")

# %% [markdown]
# **Exercise 02.2.** First, a detective's tool: which share of the test texts stands in the
# training texts too? Capitals and blanks do not make a text new.


# %% tags=["exercise", "nbval-check-output"]
def share_read(test, train):
    """The share of test texts that are in train, whatever their capitals and blanks."""
    # solution:
    known = {" ".join(text.lower().split()) for text in train}
    return sum(" ".join(text.lower().split()) in known for text in test) / len(test)
    # stub:
    # ...
    # end


check("02.2", share_read)

# %% [markdown]
# Two tiny models, as many records and steps for each. The honest one reads training tickets;
# for the other, seventy of its tickets are the first half of the test.
#
# **Predict.** Its share of right answers on the half that leaked, and on the half that did
# not?

# %%
from ftlab.generation import generate
from ftlab.training import sft


def ask(model, tokenizer, questions):
    """Ask every question; return 1 for each right answer, and 0 for each wrong one."""
    said = generate(
        model, tokenizer, [data.prompt(r) for r in questions], max_new_tokens=6
    )
    return [int(a.strip() == data.answer(r)) for a, r in zip(said, questions)]


def share(hits):
    """The mean of zeros and ones."""
    return sum(hits) / len(hits)


halves, hits = {}, {}
for who, records in {"honest": pool[:160], "contaminated": pool[:90] + leaked}.items():
    model, tokenizer = models.load(TINY)
    run = sft.train(model, tokenizer, records, epochs=8, seed=SEED)
    hits[who] = ask(run.model, tokenizer, leaked + fresh)
    parts = hits[who][: len(leaked)], hits[who][len(leaked) :]
    halves[who] = {"leaked half": share(parts[0]), "fresh half": share(parts[1])}
    print(f"{who}: {run.steps} steps, {run.seconds:.0f} s", flush=True)

# %% [markdown]
# How much better does either do on the half that leaked?

# %%
from ftlab.teaching import plots_data

lead = {who: row["leaked half"] - row["fresh half"] for who, row in halves.items()}
for who, gap in lead.items():
    print(f"{who:13} {gap:+.2f} better on the half that leaked")
assert lead["contaminated"] > lead["honest"] + 0.05
plots_data.groups(halves, title="Who has read the test?")

# %% [markdown]
# On the leaked half, the cheat looks brilliant. What it can do with *new* questions of the
# same kind, the fresh half says. That is the test for contamination: *ask something that was
# never published*.
#
# ### Averages
#
# A toy you can do by hand. Ada knows more than Bob of the easy questions **and** of the hard
# ones. But Bob's test had ninety easy questions, and Ada's ninety hard ones.

# %% tags=["nbval-check-output"]
asked = {"Ada": {"easy": 10, "hard": 90}, "Bob": {"easy": 90, "hard": 10}}
right_of = {"Ada": {"easy": 9, "hard": 27}, "Bob": {"easy": 72, "hard": 2}}
for name in asked:
    parts = [
        f"{kind} {right_of[name][kind] / asked[name][kind]:.0%}" for kind in asked[name]
    ]
    print(name, *parts)

# %% [markdown]
# **Predict.** Who has the higher share of right answers over all their questions?
#
# **Exercise 02.3.** Work it out.


# %% tags=["exercise", "nbval-check-output"]
def overall(right_of, asked):
    """The share of right answers over all questions, from two dicts by kind."""
    # solution:
    return sum(right_of.values()) / sum(asked.values())
    # stub:
    # ...
    # end


check("02.3", overall)

# %% [markdown]
# Now by the whole:

# %% tags=["nbval-check-output"]
for name in asked:
    total = sum(right_of[name].values()) / sum(asked[name].values())
    print(f"{name}: {total:.0%} overall")

# %% [markdown]
# Better on each part, worse on the whole: the whole compared two different exams. Does it
# happen to real models? Take our two, kind by kind, and let the one that is ahead on two
# kinds have mostly the hard one, the other mostly the easy one.

# %%
from ftlab.teaching.lesson02 import by_kind, cloze, flip, picked

labels = [data.answer(record) for record in leaked + fresh]
parts = {who: by_kind(row, labels) for who, row in hits.items()}
for ahead, behind in (("contaminated", "honest"), ("honest", "contaminated")):
    turned = flip(parts[ahead], parts[behind])
    if turned is None:
        print(f"no two kinds on which {ahead} is ahead turn the order")
        continue
    easy, hard, a, b = turned
    print(f"{ahead} is ahead on {easy} and on {hard}, but overall:")
    print(f"  {a:.2f} of mostly {hard}, {behind} {b:.2f} of mostly {easy}")
plots_data.groups(parts, title="Right answers by kind")

# %% [markdown]
# Whoever chooses what an average is taken over can often choose the winner.
#
# ## 4. Tokenizers, on your text
#
# A model reads tokens, and you pay by the token. How many there are depends on what the
# tokenizer was trained on. Five ways to cut, two of them trained here on our tickets.

# %%
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer


def train_bpe(texts, vocabulary):
    """Train a byte-level BPE: join the commonest neighbours, up to so many tokens."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        show_progress=False,
        initial_alphabet=ByteLevel.alphabet(),
    )
    made.train_from_iterator(texts, trainer)
    return made


ticket_texts = [data.prompt(record)[0]["content"] for record in pool]
small, large = train_bpe(ticket_texts, 400), train_bpe(ticket_texts, 1500)
ours = models.tokenizer(TINY)

# %% [markdown]
# Our own tokenizer joins them, and any that you named in `HUB`.

# %%
from ftlab.teaching import plots

cutters = {
    "characters": list,
    "bytes": lambda text: text.encode("utf-8"),
    "tickets, 400": lambda text: small.encode(text).ids,
    "tickets, 1500": lambda text: large.encode(text).ids,
    "ftlab, 4096": lambda text: ours(text)["input_ids"],
}
for name in HUB:
    made = models.tokenizer(name)
    cutters[name] = lambda text, made=made: made(text)["input_ids"]
TEXTS = {
    "a ticket": data.prompt(test[0])[0]["content"],
    "Python": "for name, row in table.items():\n    print(name, sum(row) / len(row))",
    "German": "Könnt ihr bitte nachsehen, wo mein Paket geblieben ist?",
    "mine": MINE,
}

# %% [markdown]
# **Predict.** Which cuts the ticket into the fewest tokens, and which the German sentence?

# %%
print(f"{'tokens per 100 characters':26}", *(f"{name:>9}" for name in TEXTS))
rate = {}
for name, cut in cutters.items():
    rate[name] = {
        kind: 100 * len(cut(text)) / len(text) for kind, text in TEXTS.items()
    }
    print(f"{name:26}", *(f"{value:9.0f}" for value in rate[name].values()))
assert rate["tickets, 1500"]["a ticket"] < rate["ftlab, 4096"]["a ticket"]
assert rate["ftlab, 4096"]["Python"] < rate["tickets, 1500"]["Python"]
mine = {name: row["mine"] for name, row in rate.items()}
plots.bars(mine, title="Your text", xlabel="tokens per 100 characters")

# %% [markdown]
# Whoever trained the tokenizer chose whose text is cheap. A small vocabulary that knows your
# texts can beat a large one that does not. And this is money: a bill by the token is
# proportional to the row above, as is how much of a document fits the context.

# %%
PRICE = 1.0  # for a million tokens; made up
for name, row in rate.items():
    print(f"{name:26} {row['mine'] / 100 * PRICE:.2f} for a million characters")

# %% [markdown]
# ### Turns
#
# A chat is written down with marks for who speaks, and each family has its own. TRL ships
# the chat templates of many. One conversation in four of them:

# %% tags=["nbval-check-output"]
from ftlab.teaching.lesson02 import FAMILIES, written

turns = [
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "assistant", "content": "delivery"},
]
texts = {family: written(family, turns)[0] for family in FAMILIES}
for family in ("qwen3", "llama3", "gemma", "glm4moe"):
    print(f"--- {family}\n{texts[family]}")

# %% [markdown]
# The marks count as tokens too. How many, if *our* tokenizer cuts each family's writing?

# %% tags=["nbval-check-output"]
lengths = {family: len(ours(text)["input_ids"]) for family, text in texts.items()}
print(wrap(lengths, "tokens of ours: "))
different = len(set(texts.values()))
assert different > 1
verdict = "holds" if different == len(FAMILIES) else "depends"
told = f"One conversation is written in {different} ways by {len(FAMILIES)} families."
ledger.record(17, verdict, told, different)

# %% [markdown]
# Our tokenizer knows the marks of `qwen3` as one token each; the others fall to pieces. A
# model that is given another family's marks reads noise where turns should be.
#
# ## 5. The bake-off
#
# Facts and benchmarks made the list short. What decides is your task: tune each candidate on
# the same records, in the same way, and ask the same held-out questions. The task is that of
# lesson 00: put back capitals and marks. The candidates are the bases that come with the
# course, whatever they are today.

# %%
import json

cards, read = models.shipped(), {}
print(f"{'':18} weights  tokens read")
for card in cards:
    told = json.loads((card.path / "training.json").read_text(encoding="utf-8"))
    read[card.name] = sum(run["tokens"] for run in [told, *told.get("earlier", [])])
    size, tokens = card.parameters / 1e6, read[card.name] / 1e6
    print(f"{card.name:18} {size:5.1f} M {tokens:8.1f} M   {card.description}")

# %% [markdown]
# Tuning many models costs. Is there a cheap signal beforehand? **Bits per character**: how
# well does the untuned base predict texts of your kind?
#
# **Exercise 02.4.** A model's loss comes in nats, one for each token. Turn it into bits per
# character, which can be compared between any two tokenizers.

# %% tags=["exercise", "nbval-check-output"]
import math


def bits_per_character(nats, text):
    """From the nats of each token of a text, the bits that one character costs."""
    # solution:
    return sum(nats) / math.log(2) / len(text)
    # stub:
    # ...
    # end


check("02.4", bits_per_character)

# %% [markdown]
# Two such signals for each base, a near one and a far one: prose of documentation, of the
# kind that our task is made of, and Python code. The prose comes from other files than the
# questions that are asked later, for the loss of one text before and after a training would
# agree with itself. And two scores after the tuning: **F1** of the capitals and marks, which
# is what a user gets, and **nats**, what a token of the right answer costs (lower is better),
# which still tells two models apart where neither gets a mark right. For the largest base
# there is also a little benchmark, *which sentence goes on?*, before and after.
#
# **Predict.** How will the bases rank after tuning? Does the larger one win?

# %%
import inspect
import textwrap

from ftlab import tasks
from ftlab.evaluation import forgetting
from ftlab.training.held_out import nats

task = tasks.get("punctuation")
train_records = task.examples(RECORDS, seed=SEED)
passages = task.examples(6 * TEST, seed=SEED, split="test")
held_out, others = passages[:TEST], passages[TEST:]
questions = [data.prompt(record) for record in held_out]
files = {data.meta(record)["source"] for record in held_out}
near = [data.answer(r) for r in others if data.meta(r)["source"] not in files][:TEST]
far = [inspect.getsource(f) for f in (textwrap.dedent, textwrap.shorten, textwrap.fill)]
items = cloze(SEED)
print(f"{len(near)} passages for the near signal, none from a file that is asked about")


# %%
def bits(model, tokenizer, texts):
    """Bits per character of all the texts together."""
    parts = forgetting.bits_per_character(model, tokenizer, texts)
    return sum(part.num for part in parts) / sum(part.den for part in parts)


def marks(model, tokenizer):
    """Answer the held-out questions; return the F1 of each answer, as a ratio."""
    said = generate(model, tokenizer, questions, max_new_tokens=80)
    return [task.score(r, text)["f1"] for r, text in zip(held_out, said)]


# %% [markdown]
# Now the bake-off itself: for each base the signals first, then the training, then the
# questions.

# %%
baked, quiz_before, quiz_after = {}, [], []
for card in cards:
    model, tokenizer = models.load(card.name)
    row = {"prose": bits(model, tokenizer, near), "python": bits(model, tokenizer, far)}
    if card is cards[0]:
        base_marks, quiz_before = (
            marks(model, tokenizer),
            picked(model, tokenizer, items),
        )
    run = sft.train(model, tokenizer, train_records, epochs=1, seed=SEED)
    row["marks"] = marks(run.model, tokenizer)
    row["nats"] = nats(run.model, tokenizer, held_out)
    if card is cards[0]:
        quiz_after = picked(run.model, tokenizer, items)
    baked[card.name] = row
    print(f"{card.name}: {run.steps} steps, {run.seconds:.0f} s", flush=True)

# %% [markdown]
# Each row of the table is a base: two signals from before the training on the left, two
# scores from after it on the right. The last row is the floor: what the largest base scores
# untuned.

# %%
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap


def sides(ratios):
    """What is above and what is below the line of each ratio."""
    return [r.num for r in ratios], [r.den for r in ratios]


score, cost = (
    {name: bootstrap(*sides(row[key]), seed=SEED) for name, row in baked.items()}
    for key in ("marks", "nats")
)
print(f"{'':18} bits: prose  python    tuned: nats   F1")
for name, row in baked.items():
    told = f"{row['prose']:11.2f} {row['python']:7.2f} {cost[name].value:14.2f}"
    print(f"{name:18} {told}   {score[name]}")
floor = bootstrap(*sides(base_marks), seed=SEED)
print(f"{cards[0].name + ', untuned':55} {floor}")
above = [
    name for name, row in baked.items()
    if paired_bootstrap(*sides(base_marks), *sides(row["marks"]), seed=SEED).low > 0
]  # fmt: skip
print(f"surely above the floor by F1: {len(above)} of {len(baked)}:", *above)

# %% [markdown]
# After so short a training, a base that is not surely above the floor puts back next to
# nothing, and the order of such bases by F1 is luck. Their nats may differ all the same: the
# loss moves long before an answer comes out right.
#
# *Claim: a bigger base gives a better tune, most probably.* Each base against the smallest,
# on the same questions:

# %%
from ftlab.teaching import plots_evaluation

first, last = cards[0].name, cards[-1].name
lead = {key: {} for key in ("marks", "nats")}
for name in [card.name for card in cards[:-1]]:
    for key, found in lead.items():
        pair = sides(baked[last][key]), sides(baked[name][key])
        pair = pair if key == "marks" else pair[::-1]  # of nats, fewer are better
        found[name] = paired_bootstrap(*pair[0], *pair[1], seed=SEED)
rows = {name: tuple(f[:3]) for name, f in lead["nats"].items()}
plots_evaluation.gaps(rows, xlabel="nats saved", title=f"Each base against {last}")

# %%
gain, rivals = lead["marks"][first], len(cards) - 1
sure = {key: {n for n, f in found.items() if f.low > 0} for key, found in lead.items()}
# Those that read about as much as the smallest are a comparison of sizes alone.
alike = {n for n in lead["nats"] if 0.8 < read[n] / read[last] < 1.25}
print(f"surely better than {last} by nats:", *sorted(sure["nats"]) or ["none"])
print(f"had read about as much as {last}: ", *sorted(alike) or ["none"])
assert lead["nats"][first].low > 0
verdict = "holds" if len(sure["nats"]) == rivals else "depends"
verdict = verdict if sure["nats"] else "not seen here"
ledger.record(
    15, verdict,
    f"Surely better than {last} after the same short tuning: {len(sure['nats'])} of "
    f"{rivals} bigger bases by nats, {len(sure['marks'])} of {rivals} by F1; of "
    f"{len(alike)} that had read about as much text, {len(sure['nats'] & alike)} by "
    f"nats. {first} saves {lead['nats'][first]} nats and gains {gain} of F1, but it "
    f"had read {read[first] / 1e6:.1f} M tokens, {last} {read[last] / 1e6:.1f} M.",
    gain.value, interval=(gain.low, gain.high),
)  # fmt: skip

# %% [markdown]
# An interval that stays clear of zero says so for these questions and this training. “Most
# probably” is the right word: another task, or another base of the same size, may differ.
#
# Nor is it size alone. Look at the tokens that each base read, in the list above: the largest
# read by far the most. The bases of one size differ only in what they read. Fair comparisons
# of size are those with bases that had read about as much as the smallest: their rows in the
# picture say what size alone did here.
#
# **Exercise 02.5.** Does the cheap signal rank the models as the dear one does? Take all
# pairs of models. In which share of them has the model with fewer bits the higher score?


# %% tags=["exercise", "nbval-check-output"]
def pairs_that_agree(bits, scores):
    """The share of pairs that both lists order alike; fewer bits are better."""
    # solution:
    pairs = [(i, j) for i in range(len(bits)) for j in range(i)]
    alike = [(bits[i] - bits[j]) * (scores[i] - scores[j]) < 0 for i, j in pairs]
    return sum(alike) / len(pairs)
    # stub:
    # ...
    # end


check("02.5", pairs_that_agree)

# %% [markdown]
# Both signals against both scores, by all pairs of bases, with 95 % intervals over the
# questions (a tie counts half). Then only the pairs that F1 tells apart surely:

# %%
from itertools import combinations

from ftlab.teaching.lesson02 import agreement

agree = {}
for signal in ("prose", "python"):
    cheap = [row[signal] for row in baked.values()]
    for key, label in (("nats", "the loss"), ("marks", "F1")):
        dear = [row[key] for row in baked.values()]
        found = agreement(cheap, dear, more_is_better=key == "marks", seed=SEED)
        agree[signal, key] = found
        print(f"bits on {signal:6} order {found} of the pairs as {label} does")
clear = {}
for a, b in combinations(baked, 2):
    pair = sides(baked[a]["marks"]), sides(baked[b]["marks"])
    gap = paired_bootstrap(*pair[0], *pair[1], seed=SEED)
    if not gap.covers_zero:  # b's F1 less a's
        clear[a, b] = (baked[a]["prose"] - baked[b]["prose"]) * gap.value > 0
ties = sum(score[a].value == score[b].value for a, b in combinations(baked, 2))
pairs = len(baked) * (len(baked) - 1) // 2
print(f"{pairs} pairs, {ties} tied by F1, {len(clear)} told apart surely by F1;")
print(f"of these, bits on prose order {sum(clear.values())} as F1 does")

# %%
good = [agree["prose", key].low > 0.5 for key in ("nats", "marks")]
nearer = agree["prose", "nats"].value >= agree["python", "nats"].value
verdict = (
    "holds" if all(good) and nearer else "depends" if any(good) else "not seen here"
)
assert agree["prose", "nats"].value > 0.5
found = agree["prose", "marks"]
ledger.record(
    14, verdict,
    f"Of {pairs} pairs of {len(baked)} bases, bits on prose of the task's kind before "
    f"the tuning put {agree['prose', 'nats']} in the order of the tuned loss and "
    f"{found} in that of the F1 of capitals and marks; bits on Python "
    f"{agree['python', 'nats']} and {agree['python', 'marks']}. F1 tells {len(clear)} "
    f"pairs apart surely, and the prose orders {sum(clear.values())} of them right.",
    found.value, interval=(found.low, found.high),
)  # fmt: skip

# %% [markdown]
# Read the four lines apart. A loss before the training foretells a loss after it, and among
# these bases the far text does so as well: one that reads a kind of text well mostly reads
# the other well. What a user gets, the F1, is another matter. An interval that reaches below
# a half allows that a coin would do as well, for pairs on the floor are ordered by luck. With
# few bases all of it may be luck. Use a cheap signal to drop the worst candidates, not to
# crown the best.
#
# *Claim: a family in several sizes lets one ask when a behaviour appears.* Ours: that after
# so short a training the F1 of marks and capitals reaches 0.25. It is there if the whole
# interval lies above, and not there if it lies below.

# %%
there = {}
for card in reversed(cards):
    found = score[card.name]
    there[card.name] = (
        "yes" if found.low >= 0.25 else "no" if found.high < 0.25 else "cannot be told"
    )
    size, tokens = card.parameters / 1e6, read[card.name] / 1e6
    print(f"{card.name:18} {size:4.1f} M, read {tokens:4.1f} M: {there[card.name]}")
assert score[first].value > score[last].value
answers = list(there.values())
seen = [name for name in there if there[name] == "yes"]
verdict = "holds" if seen and "no" in answers else "not seen here"
best = max(score.values())
ledger.record(
    18, verdict,
    f"After the same short tuning the F1 of capitals and marks is surely 0.25 or "
    f"more for {len(seen)} of {len(cards)} sizes and checkpoints "
    f"({', '.join(seen) or 'none'}), surely less for {answers.count('no')}; the best "
    f"has {best}.",
    best.value, interval=(best.low, best.high),
)  # fmt: skip

# %% [markdown]
# *Claim: benchmarks hardly move when a base is tuned, though its behaviour changes greatly.*
# It was said of Dolly, and the catalogue has the figures. Then our own largest base:

# %%
mean = {m.name: b.value for m in everything.models for b in m.benchmarks
        if b.name == "mean of seven"}  # fmt: skip
for name in ("EleutherAI/pythia-12b", "databricks/dolly-v2-12b"):
    print(f"{name:24} mean of seven benchmarks {mean[name]:.1f}")
ones = [1] * len(items)
before, after = bootstrap(quiz_before, ones), bootstrap(quiz_after, ones)
moved = paired_bootstrap(quiz_before, ones, quiz_after, ones, seed=SEED)
changed = paired_bootstrap(*sides(base_marks), *sides(baked[first]["marks"]), seed=SEED)
print(f"{first}: which sentence goes on? {before} -> {after} of {len(items)}")
print(f"{first}: capitals and marks, F1  {floor} -> {score[first]}")

# %%
guessing = before.low <= 1 / 4  # one of four sentences is right
verdict = "holds" if moved.covers_zero else "depends"
verdict = "not seen here" if guessing or changed.low <= 0 else verdict
assert changed.value > 0.1
told = (
    f"Tuning {first} moved its F1 of capitals and marks by {changed}, and its share "
    f"right of {len(items)} four-way questions by {moved}."
)
told += (
    f" But before the tuning the share was {before}, not told apart from a guess "
    "(0.25), so that it could hardly fall: the benchmark says nothing here."
    if guessing else ""
)  # fmt: skip
ledger.record(19, verdict, told, moved.value, interval=(moved.low, moved.high))

# %% [markdown]
# A guess finds one sentence of four. A small base is hardly above that, and what lies at
# chance cannot fall; the verdict is computed with that in mind. Dolly's figures weigh more.
# Either way, a benchmark of general text says little about whether a model does *your* task.
# Ask it your task.
#
# ## 6. The verdict, and its limits
#
# - **One task, one budget, one seed.** The bake-off ranks these bases for capitals and marks,
#   after a short training. Lesson 07 has the tools for more.
# - **Size and reading are mixed.** The largest base also read by far the most tokens, so that
#   its lead is not that of size. To part the two, bases of several sizes must have read
#   alike.
# - **A short training.** Most bases are still on the floor of F1 when it ends. A longer one
#   may order them in another way: raise `RECORDS`, and be patient.
# - **Small bases of one maker.** They show the method. With models from the hub the steps are
#   the same, and slower.
# - **The catalogue ages.** Each fact has a page and a day; look again before you decide.
# - **Our words on licences** are no legal advice.
#
# ## 7. Quiz
#
# Five questions. Each option, right or wrong, explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("02")

# %% [markdown]
# ## 8. Takeaways
#
# 1. **Facts first**: licence, format of the weights, memory, context. They are free to look
#    up, and a wrong one is dear to find out late.
# 2. **A benchmark is an exam that others sat.** Compare within one page, distrust averages,
#    and ask questions that were never published.
# 3. **Tune the shortlist and ask it your task.** A cheap signal helps to drop candidates; the
#    bake-off decides.
#
# Next: [03 What the trainer does](03_what_the_trainer_does.ipynb).
# The base is chosen; now what happens when it is trained?
