# %% [markdown]
# # 01 Prompt, retrieve, tune, or neither?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/01_prompt_retrieve_tune_or_neither.ipynb)
#
# **What you will build**: one task, done in five ways on the same hundred questions: with an
# instruction, with solved examples, with a search in a handbook, with a fine-tune, and with both.
# You compare quality and cost. Then you train facts into a model and see which of them come out.
#
# **Prerequisites**: lesson 00.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about 75 minutes | four to seven minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# The cheapest fine-tune is the one that you do not need. This lesson is about how to find that out
# before you pay for it.

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
# `TRAIN` rows for the shop's task, `TEST` held-out questions. `PASSES` is how often the facts of
# section 8 are read, `PLANS` how many rows teach the pattern of section 9.

# %%
import random
import re

import datasets
import ftlab
import transformers
from ftlab import files, hardware, models

SEED = 0
BASE = "smollm2-135m"
PROFILE = ftlab.profile()
TRAIN, TEST, EPOCHS = PROFILE.examples, 100, 2
PASSES, PLANS = 8, 34

hardware.seed_everything(SEED)
datasets.disable_progress_bars()
transformers.utils.logging.disable_progress_bar()

# %% [markdown]
# ## 2. A shop's messages
#
# A bicycle shop gets messages. Its handbook has sixty short entries, written for this course, each
# with one fact. Many entries resemble each other.

# %% tags=["nbval-check-output"]
shop = files.read_data("lessons/shop.yaml")
handbook = shop["handbook"]
for entry in handbook[:3]:
    print(f"{entry['id']}: {entry['text']}")
    print("   ", " / ".join(entry["ask"]))

# %% [markdown]
# Give one message to the model, as it is. **Predict.** What will it answer?

# %%
from ftlab import data
from ftlab.display import wrap
from ftlab.generation import generate
from transformers import AutoModelForCausalLM, AutoTokenizer

my_guess = "..."
folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(PROFILE.device)


def replies(model, questions, system=None, tokens=24):
    """A model's answers to questions, with or without a system message."""
    prompts = [data.prompt(data.example(q, "", system=system)) for q in questions]
    return generate(model, tokenizer, prompts, max_new_tokens=tokens)


message = handbook[1]["ask"][0]
print("you expected:", my_guess)
print(wrap(replies(model, [message], tokens=50)[0], f"{message}: "))

# %% [markdown]
# It cannot know this shop. An answer that is made up and sounds right is called a
# **hallucination**. So two things are wanted here, and this lesson keeps them apart:
#
# - a **pattern**: how to answer. The shop wants two lines: a topic, and the handbook's own words.
# - a **fact**: what to answer. It stands in the handbook and may change next week.
#
# And where the handbook has no answer, the shop wants one fixed sentence. To decline an answer
# in this way is to **abstain**.
#
# A hundred questions are held out: two for each of forty entries, and twenty whose answer is in no
# entry. Training will ask about the *other* entries only.

# %% tags=["nbval-check-output"]
held_out = [
    (message, entry["topic"], entry["fact"])
    for entry in handbook
    if entry["split"] == "test"
    for message in entry["ask"]
]
held_out += [(message, topic, None) for topic, message in shop["nothing"]]
random.Random(SEED).shuffle(held_out)
held_out = held_out[:TEST]
print(f"topic: {handbook[1]['topic']}\nanswer: {handbook[1]['text']}\n")
print(f"topic: payment\nanswer: {shop['abstain']}\n")
for case in held_out[:4]:
    print(case)

# %% [markdown]
# How do you score an answer? The topic is easy to compare. The fact is a few words such as "5
# days", which must stand in the answer as whole words: "15 days" is wrong. An answer is `right`
# when it is in form, has the right topic, and has the right fact, or abstains where the handbook
# says nothing.


# %%
def score(answer, topic, fact):
    """What is right about an answer; `fact` is None where the handbook has none."""
    form = re.fullmatch(r"topic: (\w+)\nanswer: (.+)", answer.strip())
    named, text = form.groups() if form else (None, answer)
    abstains = text.startswith("I do not know")
    if fact is None:
        said = abstains
    else:
        said = bool(re.search(rf"\b{re.escape(fact)}\b", text, re.IGNORECASE))
    parts = {"form": bool(form), "topic": named == topic, "said": said}
    return parts | {"abstains": abstains, "right": all(parts.values())}


# %% [markdown]
# ## 3. First, the prompt
#
# Two prompts: an **instruction**, which describes the two lines and names the topics, and the same
# with four solved examples (**few-shot**). The examples are about entries that no held-out question
# asks for. A tuned model will have learned the topics, so its system message is shorter.


# %%
def ask(message, texts=None, system="system"):
    """The messages of a prompt, with texts of the handbook above the message."""
    listed = "" if texts is None else "Handbook:\n- " + "\n- ".join(texts) + "\n\n"
    return [
        {"role": "system", "content": shop[system]},
        {"role": "user", "content": listed + message},
    ]


def row(message, topic, answer, texts=None):
    """A training row: a prompt, and the shop's two lines."""
    lines = f"topic: {topic}\nanswer: {answer}"
    reply = [{"role": "assistant", "content": lines}]
    return {"prompt": ask(message, texts), "completion": reply}


def few_shot(prompt, rows):
    """The prompt with solved rows as earlier turns."""
    turns = [turn for r in rows for turn in (r["prompt"][1], *r["completion"])]
    return [prompt[0], *turns, prompt[1]]


# %% [markdown]
# **Predict.** Of a hundred answers, how many are in form, with and without examples? And how many
# facts are right?

# %%
my_guess = "in form: ... and ...; facts: ... and ..."
learn = [(m, e) for e in handbook if e["split"] == "train" for m in e["ask"]]
random.Random(SEED).shuffle(learn)
without_text = [row(m, e["topic"], e["text"]) for m, e in learn]
described = [ask(message, system="described") for message, _, _ in held_out]
asked = {
    "instruction": described,
    "4 examples": [few_shot(prompt, without_text[:4]) for prompt in described],
}
answers, marks = {}, {}
print("you expected:", my_guess)
for name, prompts in asked.items():
    answers[name] = generate(model, tokenizer, prompts, max_new_tokens=32)
    marks[name] = [score(t, *case[1:]) for t, case in zip(answers[name], held_out)]
    form, said = (sum(mark[part] for mark in marks[name]) for part in ("form", "said"))
    print(f"{name}: {form} of {len(prompts)} in form, {said} say what is wanted")
    print(wrap(answers[name][0].replace("\n", " | "), "  the first: "))

# %% [markdown]
# Examples in the prompt can show the form. They cannot show facts about other entries. For those
# the handbook has to be in the prompt, and sixty entries in every prompt would be expensive. So we
# search for the entries that matter.
#
# ## 4. Retrieval
#
# To search for texts and put them into the prompt is called **retrieval**, and the whole is known
# as **RAG**, retrieval-augmented generation. The search here is **BM25**, which is old and still
# hard to beat on short texts. Each word of the question adds to the score of an entry:
#
# - a word in few entries counts more: `log(1 + (N - n + 0.5) / (n + 0.5))`, where `n` of `N`
#   entries have it;
# - a word that stands there `count` times adds `count * 2.5 / (count + 1.5 * L)`, so that the
#   second time adds less than the first;
# - long entries count less: `L = 0.25 + 0.75 * length / average length`.
#
# **Exercise 01.1.** Write what one word adds: the product of the first two lines.

# %% tags=["exercise", "nbval-check-output"]
import math

from ftlab import check
from ftlab.teaching.exercises import hint


def word_score(count, length, average, n, N):
    """What a word adds to the BM25 score of an entry that has it `count` times."""
    # solution:
    rare = math.log(1 + (N - n + 0.5) / (n + 0.5))
    size = 0.25 + 0.75 * length / average
    return rare * count * 2.5 / (count + 1.5 * size)
    # stub:
    # ...
    # end


check("01.1", word_score)


# %%
def words(text):
    """The words of a text, in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


pages = [words(entry["text"]) for entry in handbook]
average = sum(map(len, pages)) / len(pages)


def bm25(message, page):
    """How well an entry's words fit a message."""
    total = 0.0
    for word in set(words(message)):
        count, n = page.count(word), sum(word in other for other in pages)
        rare = math.log(1 + (len(pages) - n + 0.5) / (n + 0.5))
        size = 0.25 + 0.75 * len(page) / average
        total += rare * count * 2.5 / (count + 1.5 * size)
    return total


# %% [markdown]
# `search` returns the best entries. Is the right one among them? That share is the **recall** of
# the search. A fact that it does not find cannot be copied from the prompt, however good the model.
#
# **Predict.** The recall of the best one, and of the best two.

# %% tags=["nbval-check-output"]
my_guess = "... and ..."


def search(message, k=2):
    """The k entries that fit a message best."""
    order = sorted(range(len(pages)), key=lambda i: -bm25(message, pages[i]))
    return [handbook[i] for i in order[:k]]


asks = [(m, e) for e in handbook if e["split"] == "test" for m in e["ask"]]
for k in (1, 2, 5):
    hits = sum(entry in search(message, k) for message, entry in asks)
    print(f"in the best {k}: {hits / len(asks):.2f} of the right entries")
missed = next(m for m, e in asks if e not in search(m))
print("missed:", missed, "->", [entry["text"] for entry in search(missed)])

# %% [markdown]
# What it misses shows how it works: it compares words, and knows nothing of their meaning. "Bike"
# is not "bicycle" to it. A search by **embeddings** (vectors that stand for meaning) can find some
# of these, but needs a second model. The second entry in each prompt is a **distractor**: it
# resembles the question and does not answer it.
#
# ## 5. The fine-tune: teach what to do with a text
#
# Training rows shall teach three things: the form without a text, an answer *from* a text, and to
# abstain when the texts are about something else. The last one needs rows of its own.
#
# **Exercise 01.2.** Return a row (`prompt` and `completion`) for a message with texts. If the fact
# stands in none of them, the answer is `ABSTAIN`. The user's turn is the texts, a line each, then
# the message.


# %% tags=["exercise", "nbval-check-output"]
def training_row(message, texts, fact, answer):
    """A row that teaches to answer from the texts, or to abstain."""
    ABSTAIN = "I do not know."
    # solution:
    there = any(fact in text for text in texts)
    user = "\n".join([*texts, message])
    return {
        "prompt": [{"role": "user", "content": user}],
        "completion": [{"role": "assistant", "content": answer if there else ABSTAIN}],
    }
    # stub:
    # ...
    # end


check("01.2", training_row)


# %% [markdown]
# The lesson's rows: of a hundred, fifty with the right text and another, thirty with two wrong ones,
# and twenty without a text. In the last kind the model is taught to state facts that it cannot
# know. Many real data sets do that. Watch what comes of it.
#
# There is one trap. Twenty entries can be learned by heart, and then nobody needs to read the text.
# So each row with a text gets a number of its own, in the text and in the answer. Only a model that
# reads can be right.

# %%
draw = random.Random(SEED)
with_text, abstain = [], []
for message, entry in learn:
    others = [e["text"] for e in search(message, 60) if e["split"] == "train"]
    others.remove(entry["text"])
    text = re.sub(r"\d+", str(draw.randint(2, 99)), entry["text"])
    texts = draw.sample([text, others[0]], 2)
    with_text.append(row(message, entry["topic"], text, texts))
    abstain.append(row(message, entry["topic"], shop["abstain"], others[:2]))

share = TRAIN // 10
rows = with_text[: 5 * share] + abstain[-3 * share :] + without_text[: 2 * share]
print(len(rows), "rows")
print(wrap(with_text[0]["prompt"][1]["content"], "user: "))
print(wrap(with_text[0]["completion"][0]["content"], "assistant: "))

# %% [markdown]
# This lesson trains three times, so the pieces of lesson 00 go into one function: a fresh copy of
# the base, an `SFTConfig`, a `LoraConfig`, an `SFTTrainer`, and the check before the first step.

# %%
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer


def fine_tune(rows, epochs):
    """A trainer with a fresh copy of the base and an adapter on its upper half."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    rate = ftlab.learning_rate("lora", base.num_parameters()).high
    args = ftlab.sft_config(
        num_train_epochs=epochs, learning_rate=rate, seed=SEED,
        per_device_train_batch_size=4,
    )  # fmt: skip
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base))
    trainer = SFTTrainer(
        base.to(PROFILE.device), args=args, train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer, peft_config=adapter, callbacks=[ftlab.LiveCurve()],
    )  # fmt: skip
    ftlab.preflight(ftlab.faster_on_cpu(trainer))
    return trainer


# %%
shop_trainer = fine_tune(rows, EPOCHS)
result = shop_trainer.train()
tuned = shop_trainer.model
print(f"{result.metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# The last line of the check shows what carries loss: the two lines, and the end of the turn. The
# handbook's texts are read and not learned.
#
# Now the three systems that are left. The best prompt deserves the handbook as well: four solved
# examples *with* texts, one of which abstains, and the texts of the search.
#
# **Predict.** Which of the five is right most often? And what will the tuned model answer without a
# text?

# %%
my_guess = "..."
found = [(m, [entry["text"] for entry in search(m)]) for m, _, _ in held_out]
solved = [*with_text[:3], abstain[3]]
asked["4 examples + retrieval"] = [
    few_shot(ask(*pair, system="described"), solved) for pair in found
]
asked["tuned"] = [ask(message) for message, _ in found]
asked["tuned + retrieval"] = [ask(*pair) for pair in found]
for name in ("4 examples + retrieval", "tuned", "tuned + retrieval"):
    who = tuned if "tuned" in name else model
    answers[name] = generate(who, tokenizer, asked[name], max_new_tokens=32)
    marks[name] = [score(t, *case[1:]) for t, case in zip(answers[name], held_out)]
for number in range(3):
    print(f"{held_out[number][0]}\n  wanted: {held_out[number][2]}")
    for name in list(answers)[2:]:
        print(f"  {name}: {answers[name][number]!r}")

# %% [markdown]
# ## 6. Five ways, one picture
#
# Shares of the answers. A fact can be right where the handbook has one; abstaining is right where it
# has none, and wrong where it has one.

# %%
from ftlab.evaluation.intervals import paired_bootstrap, wilson_interval
from ftlab.teaching import plots

known = [fact is not None for _, _, fact in held_out]
columns = {  # which part of the score, and of which questions
    "in form": ("form", (True, False)), "topic right": ("topic", (True, False)),
    "fact right": ("said", (True,)), "abstains wrongly": ("abstains", (True,)),
    "abstains rightly": ("abstains", (False,)), "all right": ("right", (True, False)),
}  # fmt: skip
shown = {}
for name in list(marks)[1:]:
    for column, (part, which) in columns.items():
        values = [mark[part] for mark, k in zip(marks[name], known) if k in which]
        interval = wilson_interval(sum(values), len(values))
        shown.setdefault(name, {})[column] = interval._asdict()
print("you expected:", my_guess)
plots.interval_bars({"n": len(held_out), "systems": shown})

# %% [markdown]
# Form and topic are pattern: compare the tuned bars with those of the base. Then the fact: did it
# rise by training, or by the text? Two columns are about abstaining. A model that abstains often is
# right where nothing is there, and wrong where something is: read both.
#
# Now look again at the answers above of the model that was tuned and is asked *without* a text. A
# fact that is in no prompt and in no row can only be invented. Rows whose answer does not follow
# from their prompt teach just that. A row is an equation: on the left what goes in, on the right
# what goes out. Before you train, ask of every row: could *I* write the right side, seeing only
# the left?
#
# Four claims of practitioners meet these answers. Each is decided by a rule in `data/claims.yaml`:
# 4, a row is an equation; 6, retrieval for facts and tuning for manner combine; 9, form is a reason
# to tune; 11, try the prompt first and stop if it is enough.


# %%
from ftlab.teaching import claims


def gap(a, b, part="right"):
    """System b minus system a on the same questions, with its interval."""
    one = [1] * len(held_out)
    left, right = ([s[part] for s in marks[name]] for name in (a, b))
    return paired_bootstrap(left, one, right, one, seed=SEED)


claims.record(4, gap("tuned", "tuned + retrieval", "said"))
claims.record(6, gap("4 examples + retrieval", "tuned + retrieval"))
claims.record(9, gap("4 examples", "tuned", "form"))
claims.record(11, gap("4 examples + retrieval", "tuned + retrieval"))

# %% [markdown]
# ## 7. Do you need a language model for this?
#
# The topic alone is a **classification**: one of six labels. For that there are classifiers that
# train in a moment. TF-IDF turns a text into numbers, one for each word or piece of a word, higher
# for rare ones. Logistic regression weighs them.
#
# **Exercise 01.3.** Return a scikit-learn pipeline of a `TfidfVectorizer` on pieces of three to
# five characters (`analyzer="char_wb"`) and a `LogisticRegression`, trained on the texts.


# %% tags=["exercise", "nbval-check-output"]
def classifier(texts, labels):
    """A trained pipeline whose `predict` takes texts."""
    # solution:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
    return make_pipeline(pieces, LogisticRegression()).fit(texts, labels)
    # stub:
    # ...
    # end


check("01.3", classifier)

# %%
import time

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

start = time.perf_counter()
pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
examples = [(message, entry["topic"]) for message, entry in learn]
examples += [(entry["text"], entry["topic"]) for entry in handbook]
plain = make_pipeline(pieces, LogisticRegression(C=10)).fit(*zip(*examples))
named = plain.predict([message for message, _, _ in held_out])
print(f"{len(examples)} texts learned in {time.perf_counter() - start:.2f} seconds")
marks["logistic regression"] = [
    {"topic": name == topic} for name, (_, topic, _) in zip(named, held_out)
]
difference = gap("tuned", "logistic regression", "topic")
print(f"topics right: {sum(s['topic'] for s in marks['logistic regression'])}")
print("logistic regression minus tuned:", difference)
claims.record(13, difference)

# %% [markdown]
# If zero is in that interval, or all of it lies above zero, then *sorting* needs no fine-tune: the
# classifier costs nearly nothing to run. Use a language model where text has to be written.
#
# ## 8. What does an answer cost?
#
# A service charges by the token, for what is read and what is written. The prices below are
# examples to show the arithmetic, not a provider's offer.

# %%
from ftlab import templates
from ftlab.evaluation.costs import prices

read = {
    name: [len(templates.prompt_ids(tokenizer, prompt)) for prompt in prompts]
    for name, prompts in asked.items()
}
for name, counts in read.items():
    price = prices().per_million_tokens["tuned" if "tuned" in name else "base"]
    written = sum(len(tokenizer(text)["input_ids"]) for text in answers[name])
    money = (sum(counts) * price.input + written * price.output) / 1e6
    n = len(counts)
    print(f"{name:24} {sum(counts) / n:4.0f} read, {written / n:3.0f} written, "
          f"{1000 * money / n:.4f} USD per 1,000 answers")  # fmt: skip

# %% [markdown]
# The tuned model needs no examples in its prompt, but each of its tokens is more expensive, and
# training was paid for. After how long is that paid back? The time is the **break-even**.
#
# **Exercise 01.4.** Return the months until the training is paid back, at one price for all
# tokens. Do not round. Never is `math.inf`.


# %% tags=["exercise", "nbval-check-output"]
def months(calls, before, after, price, training):
    """Months until the training is paid back.

    Args:
        calls: how often the model is asked in a month.
        before: tokens of the long prompt.
        after: tokens of the short prompt.
        price: of a million tokens, the same for both prompts.
        training: what the fine-tune costs, paid once.
    """
    # solution:
    saved = calls * (before - after) * price / 1_000_000
    return training / saved if saved > 0 else math.inf
    # stub:
    # ...
    # end


check("01.4", months)

# %% [markdown]
# Our own prompts, with two hundred thousand calls a month. Then the honest case: the same prompts,
# where a tuned model's token costs four times a base's. **Predict.** Does it pay in both?

# %%
from ftlab.teaching.decide import Calculator

sides = ("4 examples + retrieval", "tuned + retrieval")
long, short = (sum(read[name]) // len(held_out) for name in sides)
panel = Calculator(
    calls=200_000, long_prompt=long, short_prompt=short, answer=20, training=20.0
)
print(f"prompts of {long} and {short} tokens: {panel.bill()}")
print("four times the price:", panel.priced(panel.base.input, 4).bill())
saved = [a - b for a, b in zip(*(read[name] for name in sides))]
shorter = paired_bootstrap([0] * len(saved), read[sides[0]], saved, read[sides[0]])
print(f"the prompt is shorter by this share: {shorter}")
claims.record(8, shorter)
panel

# %% [markdown]
# Where each call costs more than before, more calls lose more: it never pays. Move the sliders.
# From which price of a tuned token on does it never pay? (Sliders need a running notebook.)
#
# Money is not the only reason. Three more, in short:
#
# - **Privacy.** Some data must not leave the house. Then the choice is between models that you run
#   yourself, and a small tuned one is often the only one that fits. Remember that an adapter keeps
#   parts of its training data: section 9 shows how well.
# - **Latency.** A shorter prompt is read sooner, and a smaller model writes faster. Retrieval adds
#   the time of the search.
# - **What changes often.** Prices, or the newest version of a library that your model writes code
#   for: put its documentation into the prompt. A fine-tune on it is out of date with the next
#   release.
#
# ## 9. Patterns and facts
#
# Can facts not be trained? Thirty facts that nobody can know, because a program draws the years.
# Each is trained in one wording, and the model reads all of them `PASSES` times.

# %%
lists = files.read_data("lessons/patterns_and_facts.yaml")
facts = lists["facts"]
pairs = [(p, t) for p in facts["places"] for t in facts["things"]]
years = random.Random(SEED).sample(range(1500, 2000), len(pairs))
invented = [{"place": p, "thing": t, "year": y} for (p, t), y in zip(pairs, years)]
for wording in ("trained", "reworded", "oddly", "backwards", "said"):
    print(f"{wording}: {facts[wording].format(**invented[0])}")
fact_rows = [
    data.example(facts["trained"].format(**f), str(f["year"]), system=facts["system"])
    for f in invented
]
fact_trainer = fine_tune(fact_rows, PASSES)
result = fact_trainer.train()
print(f"{result.metrics['train_runtime']:.0f} seconds")

# %% [markdown]
# **Predict.** The share of right answers: in the trained wording, reworded, oddly worded,
# backwards, and with the fact in the prompt. And what will it say of places that were in no row?

# %%
my_guess = "trained ..., reworded ..., oddly ..., backwards ..., in the prompt ..."
ways = {way: facts[way] for way in ("trained", "reworded", "oddly", "backwards")}
ways["in the prompt"] = facts["said"] + " " + facts["oddly"]
recalled = {}
for way, wording in ways.items():
    questions = [wording.format(**f) for f in invented]
    texts = replies(fact_trainer.model, questions, facts["system"])
    key = "place" if way == "backwards" else "year"
    recalled[way] = [str(f[key]) in text for f, text in zip(invented, texts)]
    print(f"{way:14} {wilson_interval(sum(recalled[way]), len(texts))}  {texts[0]!r}")
unknown = [facts["trained"].format(place=p, thing="mill") for p in facts["strangers"]]
print("in no row:", replies(fact_trainer.model, unknown, facts["system"]))
one = [1] * len(invented)
new = [sum(recalled[way][i] for way in list(ways)[1:4]) / 3 for i in range(len(one))]
claims.record(1, paired_bootstrap(new, one, recalled["in the prompt"], one, seed=SEED))

# %% [markdown]
# A fact is learned with its wording. See how much is left when the question is reworded, and when
# it is turned around. In the prompt a fact can be changed tomorrow; in the weights it cannot. And
# read what the model says of places in no row: it was shown a year each time, and nothing in its
# rows said "I do not know".
#
# Others report that **terms of a trade** are learned well. One difference is the number of
# wordings. `experiments/patterns.py` trained twelve invented terms, each in five rows: five times
# the same question, or five different ones.

# %% tags=["nbval-check-output"]
import pandas
from ftlab.files import data_path

grid = pandas.read_csv(data_path("grids/patterns.csv"), comment="#")
sums = grid.groupby(["pattern", "rows", "asked"], sort=False)[["right", "of"]].sum()
sums["share"] = (sums["right"] / sums["of"]).round(2)
sums

# %% [markdown]
# Compare the two lines "in a new wording": the same terms, the same number of rows, and only the
# wordings differ. With twelve terms, a difference of two or three may be chance. Compare them also
# with the facts above: how much comes out depends on how near the new question is to a trained one.
#
# The last lines of the table are another kind of pattern: a way of **reasoning**. Any plan is to be
# analysed in four lines: gain, cost, risk, and a test. The script learned it from 100 and from 34
# examples; here it is live, from `PLANS` of them.

# %%
plans = lists["analysis"]
plan_rows = [
    data.example(
        plan,
        "\n".join(map(": ".join, zip(plans["steps"], texts))),
        system=plans["system"],
    )
    for plan, *texts in plans["trained"]
]
plan_trainer = fine_tune(plan_rows[:PLANS], EPOCHS)
result = plan_trainer.train()
questions = [plans["asked"][1].format(plan=plan) for plan in plans["new"]]
in_form = {}
for system, who in {"described": model, "system": plan_trainer.model}.items():
    texts = replies(who, questions, plans[system], tokens=64)
    labels = [re.findall(r"^(\w+): .", text, re.MULTILINE) for text in texts]
    in_form[system] = [found == list(plans["steps"]) for found in labels]
    print(f"{sum(in_form[system])} in form; {questions[0]}\n{texts[0]}\n")
one = [1] * len(questions)
claims.record(3, paired_bootstrap(in_form["described"], one, in_form["system"], one))

# %% [markdown]
# The base's prompt describes the four lines; the tuned model's prompt does not. Whether what stands
# in the lines is *sensible* is another question: read the answers. The form of a reasoning can be
# counted by a program. Its quality needs a reader.
#
# ## 10. What narrowness costs
#
# The shop's model answers customers. **Predict.** Of twenty ordinary questions, such as the capital
# of France, how many does the base get right, and how many the shop's model?

# %%
my_guess = "base ..., tuned ..."
ordinary = lists["ordinary"]
correct = {}
for name, who in {"base": model, "tuned": tuned}.items():
    texts = replies(who, [question for question, _ in ordinary], tokens=32)
    correct[name] = [
        bool(re.search(rf"\b({wanted})\b", text, re.IGNORECASE))
        for (_, wanted), text in zip(ordinary, texts)
    ]
    shaped = sum(text.startswith("topic:") for text in texts)
    print(f"{name}: {sum(correct[name])} right, {shaped} in the shop's form")
print("you expected:", my_guess)
one = [1] * len(ordinary)
claims.record(10, paired_bootstrap(correct["tuned"], one, correct["base"], one))

# %% [markdown]
# What a model loses outside its task is called **catastrophic forgetting** when it is much. Lesson
# 07 measures it better. With an adapter there is a simple cure: switch it on for this task only.
#
# ## 11. Ten questions
#
# Put together, the choice follows from ten questions. Its answer may be *do not fine-tune*. Here
# are six requests as they come in. **Predict** for each what you would do. Then tick below what is
# true of a request of your own. The answer comes from a few rules in `ftlab/teaching/decide.py`,
# which do not know your case. If you disagree, say which reason is wrong.

# %% tags=["nbval-check-output"]
from ftlab.teaching.decide import CASES, Helper, decide

for case in CASES:
    print(wrap(case.request, f"{case.name.upper()}: "))
    print(f"{decide(case.answers)}\n")
Helper(("measured", "prompted", "pattern", "shown", "examples", "narrow"))

# %% [markdown]
# ## 12. Your turn
#
# Give the shop's model *your* handbook. Change the entries: a library, a club, your own project.
# Ask two questions of each in words of your own, and one or two that nothing answers (`None`).

# %%
MINE = [
    "The library opens at 8 in the morning.",
    "A book can be borrowed for 28 days.",
    "A lost card costs 11 euros.",
    "The reading room is on the third floor.",
    "Ms Baptiste leads the book club.",
]
ASKED = [
    ("when does the library open", "8 in the morning"),
    ("For how long may I keep a book?", "28 days"),
    ("lost my card, what now? price?", "11 euros"),
    ("where is the reading room", "third floor"),
    ("Who leads the book club?", "Baptiste"),
    ("do you lend films", None),
]

# %%
from ftlab.curation import doctor
from rich import print as show

handbook = [{"text": text} for text in MINE]
pages = [words(text) for text in MINE]
average = sum(map(len, pages)) / len(pages)
mine = [(m, [e["text"] for e in search(m)], fact) for m, fact in ASKED]
prompts = [ask(message, texts) for message, texts, _ in mine]
texts = generate(tuned, tokenizer, prompts, max_new_tokens=32)
for (message, listed, fact), text in zip(mine, texts):
    there = fact is not None and any(fact in one for one in listed)
    fits = fact in text if fact else "I do not know" in text
    print(f"{message} ({'in' if there else 'not in'} the texts that were found)")
    print(f"  {'right' if fits else 'wrong'}: {text!r}")
my_rows = [
    data.example(prompt[1:], fact or shop["abstain"], system=shop["system"])
    for prompt, (_, fact) in zip(prompts, ASKED)
]
path = data.write("runs/01/mine.jsonl", my_rows, overwrite=True)
show(doctor.examine(path).table())

# %% [markdown]
# The model never saw your handbook: where it is right, the pattern has moved to new facts. Where it
# is wrong, look first whether the search had found the text, and only then blame the model. The
# topics are still the shop's; to change them, you need rows of your own. The file
# `runs/01/mine.jsonl` holds a beginning, and the table is the doctor's report on it.
#
# ## 13. The limits of this verdict
#
# - **A very small model.** A large instruction-tuned one may need no tuning for the form, and copies
#   facts from a text more safely. Change `BASE` and see.
# - **Questions in pairs.** Two wordings of one entry resemble each other, so the intervals are a
#   little too narrow.
# - **A friendly search.** A handbook of sixty lines is not a company's archive. With more texts, the
#   recall falls and the prompt grows.
# - **One training each.** Another seed gives other figures. So do other prices.
#
# ## 14. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("01")

# %% [markdown]
# ## 15. Takeaways
#
# 1. **Train patterns, look up facts.** The two combine: rows that answer from a text, and abstain
#    when it says nothing, teach how to use a text that comes later.
# 2. **Prompt first, and give the prompt the same texts.** It is the opponent, and for sorting a
#    logistic regression is another.
# 3. **"Do not fine-tune" is a good answer**: when a prompt will do, when nobody can measure it, and
#    when the bill never comes back.
#
# Next: [02 Choosing a base](02_choosing_a_base.ipynb).
# You decided to tune; now which base?
