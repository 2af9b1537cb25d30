# %% [markdown]
# # 01 Prompt, retrieve, tune, or neither?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/01_prompt_retrieve_tune_or_neither.ipynb)
#
# **What you will build**: one task, done in five ways on the same hundred questions: with an
# instruction, with solved examples, with a search in a handbook, with a fine-tune, and with both.
# You compare quality and cost. Then you train facts into a model and see which of them come out.
# At the end, ten questions lead to a recommendation for a request of your own.
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
# section 9 are read, and `PLANS` how many rows teach the pattern at its end.

# %%
import math
import random
import re

import datasets
import ftlab
import numpy as np
import pandas
import transformers
from ftlab import check, data, files, hardware, models
from ftlab.display import wrap
from ftlab.teaching.exercises import hint

SEED, BASE, PROFILE = 0, "smollm2-135m", ftlab.profile()
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
#
# A hundred questions are held out: two for each of forty entries, and twenty whose answer is in no
# entry (`None`). Training will ask about the *other* twenty entries only.

# %% tags=["nbval-check-output"]
shop = files.read_data("lessons/shop.yaml")
handbook = shop["handbook"]
for entry in handbook[:2]:
    print(f"{entry['id']}: {entry['text']}\n   ", " / ".join(entry["ask"]))

asks = [(m, e) for e in handbook if e["split"] == "test" for m in e["ask"]]
held_out = [(message, entry["topic"], entry["fact"]) for message, entry in asks]
held_out += [(message, topic, None) for topic, message in shop["nothing"]]
random.Random(SEED).shuffle(held_out)
messages, topics, wanted = zip(*held_out[:TEST])
for case in held_out[:4]:
    print(case)

# %% [markdown]
# The base is the small instruct model of lesson 00. Give it one message, as it is. **Predict.** What
# will it answer?

# %%
from ftlab.generation import generate
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = models.get(BASE)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(PROFILE.device)
turn = {"role": "user", "content": "how long does a new bike take to reach me"}
print(wrap(generate(model, tokenizer, [[turn]], max_new_tokens=50)[0]))

# %% [markdown]
# It cannot know this shop. An answer that is made up and sounds right is called a
# **hallucination**. So two things are wanted here, and this lesson keeps them apart:
#
# - a **pattern**: how to answer. The shop wants two lines, `topic: …` and `answer: …`, the second in
#   the handbook's own words.
# - a **fact**: what to answer. It stands in the handbook and may change next week.
#
# And where the handbook has no answer, the shop wants one fixed sentence: "I do not know. A
# colleague will write to you." To decline an answer in this way is to **abstain**.
#
# How do you score an answer? The topic is easy to compare. The fact is a few words such as "5
# days", which must stand in the answer as whole words: "15 days" is wrong.


# %%
def score(answer, topic, fact):
    """What is right about an answer; None where a question does not arise."""
    form = re.fullmatch(r"topic: (\w+)\nanswer: (.+)", answer.strip())
    named, text = form.groups() if form else (None, answer)
    abstains = text.startswith("I do not know")
    states = bool(re.search(rf"\b{re.escape(fact)}\b", text, re.I)) if fact else None
    content = states if fact else abstains
    return {
        "in form": bool(form), "topic right": named == topic, "fact right": states,
        "abstains wrongly": abstains if fact else None,
        "abstains rightly": None if fact else abstains,
        "all right": bool(form) and named == topic and content,
        "content right": content,
    }  # fmt: skip


# %% [markdown]
# ## 3. First, the prompt
#
# The simplest prompt is an **instruction**: a system message that describes the two lines and names
# the topics. The usual next step is **few-shot**: solved examples as earlier turns. They are about
# entries that no held-out question asks for.


# %%
def ask(message, texts=(), system="described"):
    """The messages of a prompt, with texts of the handbook above the message."""
    listed = "Handbook:\n- " + "\n- ".join(texts) + "\n\n" if texts else ""
    return data.prompt(data.example(listed + message, "", system=shop[system]))


def row(message, topic, answer, texts=()):
    """A training row: a prompt, and the shop's two lines."""
    reply = {"role": "assistant", "content": f"topic: {topic}\nanswer: {answer}"}
    return {"prompt": ask(message, texts, system="system"), "completion": [reply]}


def few_shot(prompt, rows):
    """The prompt with solved rows as earlier turns."""
    turns = [turn for r in rows for turn in (r["prompt"][1], *r["completion"])]
    return [prompt[0], *turns, prompt[1]]


learn = [(m, e) for e in handbook if e["split"] == "train" for m in e["ask"]]
random.Random(SEED).shuffle(learn)


# %% [markdown]
# `measure` answers the hundred questions and keeps prompts, answers and scores. `gap` will compare
# two systems on the same questions, with an interval.

# %%
from ftlab.evaluation.intervals import paired_bootstrap, wilson_interval

asked, answers, marks = {}, {}, {}


def measure(name, model, prompts):
    """Answer the held-out questions with a system; show the shares of what is right."""
    texts = generate(model, tokenizer, prompts, max_new_tokens=32)
    found = [score(*case) for case in zip(texts, topics, wanted)]
    asked[name], answers[name] = prompts, texts
    marks[name] = pandas.DataFrame(found, dtype=float)
    return pandas.DataFrame(
        {name: found.mean() for name, found in marks.items()}
    ).round(2)


def gap(a, b, part="all right"):
    """System b minus system a, as a difference of shares."""
    one = [1] * TEST
    return paired_bootstrap(marks[a][part], one, marks[b][part], one, seed=SEED)


# %% [markdown]
# **Predict.** Of a hundred answers, how many are in form, with and without examples? And how many
# have the right content?

# %%
without_text = [row(m, e["topic"], e["text"]) for m, e in learn]
solved = without_text[:4]
measure("instruction", model, [ask(m) for m in messages])
shares = measure("4 examples", model, [few_shot(ask(m), solved) for m in messages])
print(f"{messages[0]}\n  " + "\n  ".join(f"{n}: {a[0]!r}" for n, a in answers.items()))
shares

# %% [markdown]
# Examples in the prompt can show the form. They cannot show facts about other entries. For those
# the handbook has to be in the prompt, and sixty entries in every prompt would be expensive. So we
# search for the entries that matter.
#
# ## 4. Retrieval
#
# To search for texts and put them into the prompt is called **retrieval**, and the whole is known
# as **RAG**, retrieval-augmented generation. The search here is **BM25**, which is old and a
# strong baseline on short texts. Each word of the question adds to the score of an entry:
#
# - a word in few entries counts more: `log(1 + (N - n + 0.5) / (n + 0.5))`, where `n` of `N`
#   entries have it;
# - a word that stands there `count` times adds `count * 2.5 / (count + 1.5 * L)`, so that the
#   second time adds less than the first;
# - long entries count less: `L = 0.25 + 0.75 * length / average length`.
#
# **Exercise 01.1.** Write what one word adds: the product of the first two lines.


# %% tags=["exercise", "nbval-check-output"]
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

# %% [markdown]
# scikit-learn's `CountVectorizer` counts the words of all entries: a table with a line for each
# entry and a column for each word. The three formulas then take three lines for the whole table.
#
# Is the right entry among the best ones? That share is the **recall** of the search. A fact that
# it does not find cannot be copied from the prompt, however good the model. **Predict** the recall
# of the best one, and of the best two.

# %%
from sklearn.feature_extraction.text import CountVectorizer


def indexed(texts):
    """Return a BM25 search in texts."""
    counter = CountVectorizer(token_pattern=r"[a-z0-9]+")
    counts = counter.fit_transform(texts).toarray()
    n, length = (counts > 0).sum(axis=0), counts.sum(axis=1, keepdims=True)
    rare = np.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
    size = 0.25 + 0.75 * length / length.mean()
    weights = rare * counts * 2.5 / (counts + 1.5 * size)

    def search(message, k=2):
        """The k texts that fit a message best."""
        scores = weights @ (counter.transform([message]).toarray()[0] > 0)
        return [texts[i] for i in np.argsort(-scores, kind="stable")[:k]]

    return search


# %% tags=["nbval-check-output"]
my_guess = "... and ..."
search = indexed([entry["text"] for entry in handbook])
for k in (1, 2, 5):
    hits = sum(entry["text"] in search(message, k) for message, entry in asks)
    print(f"in the best {k}: {hits / len(asks):.2f} of the right entries")
missed = next(m for m, e in asks if e["text"] not in search(m))
print("missed:", missed, "->", search(missed))

# %% [markdown]
# What it misses shows how it works: it compares words, and knows nothing of their meaning. "Bike"
# is not "bicycle" to it. A search by **embeddings** (vectors that stand for meaning) can find some
# of these, but needs a second model. We put the best two entries into the prompt. At least one of
# them is a **distractor**: it resembles the question and does not answer it.
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
    known = any(fact in text for text in texts)
    said = answer if known else ABSTAIN
    return {
        "prompt": [{"role": "user", "content": "\n".join([*texts, message])}],
        "completion": [{"role": "assistant", "content": said}],
    }
    # stub:
    # ...
    # end


check("01.2", training_row)

# %% [markdown]
# There is one trap. Twenty entries can be learned by heart, and then nobody needs to read the text.
# So each row with a text gets a number of its own, in the text and in the answer. Only a model that
# reads can be right.
#
# Of ten rows, five have the right text and another one, three have two wrong ones, and two have no
# text. In the last kind the model is taught to state facts that it cannot know. Many real data
# sets do that. Watch what comes of it.

# %%
draw = random.Random(SEED)
with_text, abstain = [], []
train_texts = {entry["text"] for _, entry in learn}
for message, entry in learn * 2:
    others = [t for t in search(message, 60) if t in train_texts - {entry["text"]}]
    text = re.sub(r"\d+", str(draw.randint(2, 99)), entry["text"])
    texts = draw.sample([text, others[0]], 2)
    with_text.append(row(message, entry["topic"], text, texts))
    abstain.append(row(message, entry["topic"], shop["abstain"], others[:2]))
share = TRAIN // 10
rows = with_text[: 5 * share] + abstain[-3 * share :] + without_text[: 2 * share]

# %% [markdown]
# This lesson trains three times, so the pieces of lesson 00 go into one function.

# %%
from datasets import Dataset
from peft import LoraConfig
from transformers.trainer_callback import PrinterCallback
from trl import SFTTrainer


def trainer_for(rows, epochs):
    """A trainer with a fresh copy of the base and an adapter on its upper half."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    rate = ftlab.learning_rate("lora", base.num_parameters()).high
    args = ftlab.sft_config(num_train_epochs=epochs, learning_rate=rate, seed=SEED,
                            per_device_train_batch_size=4)  # fmt: skip
    adapter = LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(base))
    trainer = SFTTrainer(
        base.to(PROFILE.device), args=args, train_dataset=Dataset.from_list(rows),
        peft_config=adapter, processing_class=tokenizer, callbacks=[ftlab.LiveCurve()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # it prints each loss
    return ftlab.faster_on_cpu(trainer)


# %%
shop_trainer = trainer_for(rows, EPOCHS)
ftlab.preflight(shop_trainer)
result = shop_trainer.train()
tuned = shop_trainer.model

# %% [markdown]
# The last line of the check shows what carries loss: the two lines, and the end of the turn. The
# handbook's texts are read and not learned.
#
# Now the three systems that are left. The best prompt deserves the handbook as well: four solved
# examples *with* texts, one of which abstains, and the texts of the search. The tuned model has
# learned the topics, so its system message is shorter.
#
# **Predict.** Which of the five is right most often? And what will the tuned model answer without a
# text?
#
# ## 6. Five ways, one picture
#
# Shares of the answers, with intervals. The instruction alone is left out: none of its answers was
# in form. "Fact right" and "abstains wrongly" are about the questions that the handbook answers,
# "abstains rightly" about the others.

# %%
from ftlab.teaching import claims, plots

solved = [*with_text[:3], abstain[3]]
prompts = [few_shot(ask(m, search(m)), solved) for m in messages]
measure("4 examples + retrieval", model, prompts)
measure("tuned", tuned, [ask(m, system="system") for m in messages])
measure("tuned + retrieval", tuned, [ask(m, search(m), "system") for m in messages])
systems = {}
for name in list(marks)[1:]:
    counts = {
        part: (column.sum(), column.count()) for part, column in marks[name].items()
    }
    systems[name] = {part: wilson_interval(*c)._asdict() for part, c in counts.items()}
plots.interval_bars({"n": TEST, "systems": systems}, metrics=list(counts)[:6])

# %% [markdown]
# Read it group by group:
#
# - **In form**: four examples are enough. This form needs no fine-tune.
# - **Topic right**: the tuned bars are far above the others. Topics are a pattern, which many rows
#   show better than four examples.
# - **Fact right**: the high bars have a text in the prompt. Training without one did not help.
# - **Abstaining**: a model that abstains often is right where nothing is there, and wrong where
#   something is. So read both groups together. No system here does it well.
#
# The search finds the right entry more often than any model here uses it: compare its recall of two
# with the bars of the facts.
#
# Averages hide what answers look like, so read some. Then four claims of practitioners meet these
# answers; each is decided by a rule in `data/claims.yaml`.

# %%
for number, message in enumerate(messages[:3]):
    told = [f"\n  {name}: {answers[name][number]!r}" for name in list(answers)[2:]]
    print(f"{message}\n  wanted: {wanted[number]}", *told)
claims.record(4, gap("tuned", "tuned + retrieval", "content right"))
claims.record(6, gap("4 examples + retrieval", "tuned + retrieval"))
claims.record(9, gap("4 examples", "tuned", "in form"))
claims.record(11, gap("4 examples + retrieval", "tuned + retrieval"))

# %% [markdown]
# The tuned model without a text abstains or states something, and what it states is invented: the
# fact is in no prompt and in no row. Rows whose answer does not follow from their prompt teach just
# that. A row is an equation: on the left what goes in, on the right what goes out. Before you train,
# ask of every row: could *I* write the right side, seeing only the left?
#
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

# %% [markdown]
# Two of them: one learns from the messages that the tuned model has read, the other also from the
# handbook, whose entries stand under topics already. **Predict.** How many of a hundred topics does
# each name rightly, and how does that compare with the tuned model's bar?

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
plain = make_pipeline(pieces, LogisticRegression(C=10))
messages_only = [(message, entry["topic"]) for message, entry in learn]
both = messages_only + [(entry["text"], entry["topic"]) for entry in handbook]
for name, examples in {"messages": messages_only, "with handbook": both}.items():
    named = plain.fit(*zip(*examples)).predict(messages)
    marks[name] = pandas.DataFrame({"topic right": named == topics}, dtype=float)
    print(f"{name}: {sum(named == topics)} topics right; minus tuned:",
          gap("tuned", name, "topic right"))  # fmt: skip
claims.record(13, gap("tuned", "messages", "topic right"))

# %% [markdown]
# The first comparison is the fair one: both have learned from the same messages. The second says
# something else: labels that lie about already are worth using, and a classifier takes them in a
# moment. (The tuned model was not given them.) Where zero is in the interval, no difference is
# shown, and then the cheaper of the two is the first choice for *sorting*. Use a language model
# where text has to be written.
#
# ## 8. What does an answer cost?
#
# A service charges by the token, for what is read and what is written. The prices below are
# examples to show the arithmetic, not a provider's offer.

# %%
from ftlab.teaching.decide import PRICES

tokens, costs = {}, {}
for name, prompts in asked.items():
    price = PRICES["tuned" if "tuned" in name else "base"]
    chats = tokenizer.apply_chat_template(prompts, add_generation_prompt=True)
    tokens[name] = [len(ids) for ids in chats["input_ids"]]
    read = np.mean(tokens[name])
    written = np.mean([len(ids) for ids in tokenizer(answers[name])["input_ids"]])
    dollars = 1000 * (read * price.input + written * price.output) / 1_000_000
    costs[name] = {"read": read, "written": written, "USD per 1,000 answers": dollars}
pandas.DataFrame(costs).T.round(4)

# %% [markdown]
# The tuned model needs no examples in its prompt, but each of its tokens is more expensive, and
# training was paid for. After how long is that paid back? The time is the **break-even**.
#
# **Exercise 01.4.** The model is asked `calls` times a month. The long prompt has `before` tokens,
# the short one `after`; a million tokens cost `price`, the same for both, and `training` is paid
# once. Return the months until the training is paid back. Do not round. Never is `math.inf`.


# %% tags=["exercise", "nbval-check-output"]
def months(calls, before, after, price, training):
    """Months until the training is paid back."""
    # solution:
    saved = calls * (before - after) * price / 1_000_000
    return training / saved if saved > 0 else math.inf
    # stub:
    # ...
    # end


check("01.4", months)

# %% [markdown]
# Our own prompts, with two hundred thousand calls a month. A tuned model's token costs twice a
# base's in the panel, and four times in the line above it. **Predict.** Does it pay in both?

# %%
from ftlab.teaching.decide import Calculator

long, short = tokens["4 examples + retrieval"], tokens["tuned + retrieval"]
lengths = {"long_prompt": sum(long) // TEST, "short_prompt": sum(short) // TEST}
panel = Calculator(calls=200_000, **lengths, answer=20, training=20.0)
print("four times the price:", panel.priced(panel.base.input, 4).bill())
claims.record(8, paired_bootstrap([0] * TEST, long, np.subtract(long, short), long))
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
def replies(model, questions, system=None, tokens=24):
    """A model's answers to questions, with or without a system message."""
    prompts = [data.prompt(data.example(q, "", system=system)) for q in questions]
    return generate(model, tokenizer, prompts, max_new_tokens=tokens)


lists = files.read_data("lessons/patterns_and_facts.yaml")
facts = lists["facts"]
pairs = [(p, t) for p in facts["places"] for t in facts["things"]]
years = random.Random(SEED).sample(range(1500, 2000), len(pairs))
invented = [{"place": p, "thing": t, "year": y} for (p, t), y in zip(pairs, years)]
fact_rows = [
    data.example(
        facts["trained"].format(**fact), str(fact["year"]), system=facts["system"]
    )
    for fact in invented
]
fact_trainer = trainer_for(fact_rows, PASSES)
result = fact_trainer.train()

# %% [markdown]
# It is asked in the trained wording, reworded, oddly worded, backwards (the year is given, the place
# wanted), and with the fact in the prompt. **Predict** the share of right answers in each. And what
# will it say of places that were in no row?

# %%
ways = {way: facts[way] for way in ("trained", "reworded", "oddly", "backwards")}
ways["in the prompt"] = facts["said"] + " " + facts["oddly"]
recalled = {}
for way, wording in ways.items():
    questions = [wording.format(**fact) for fact in invented]
    texts = replies(fact_trainer.model, questions, facts["system"])
    key = "place" if way == "backwards" else "year"
    recalled[way] = [str(fact[key]) in text for fact, text in zip(invented, texts)]
    share = wilson_interval(sum(recalled[way]), len(texts))
    print(wrap(f"{questions[0]} {texts[0]}", f"{share} "))
unknown = [facts["trained"].format(place=p, thing="mill") for p in facts["strangers"]]
print("places in no row:", *replies(fact_trainer.model, unknown, facts["system"]))
one = [1] * len(invented)
new = np.mean([recalled[way] for way in ("reworded", "oddly", "backwards")], axis=0)
claims.record(1, paired_bootstrap(new, one, recalled["in the prompt"], one, seed=SEED))

# %% [markdown]
# A fact is learned with its wording: less comes out when the question is reworded, and nothing when
# it is turned around. (The system message asks for a year, which makes "backwards" harder still.)
# In the prompt a fact can be changed tomorrow; in the weights it cannot. And the places in no row
# got a year as well: nothing in the rows said "I do not know".
#
# Others report that **terms of a trade** are learned well. One difference is the number of
# wordings. `experiments/patterns.py` trained twelve invented terms, each in five rows: five times
# the same question, or five different ones.

# %% tags=["nbval-check-output"]
grid = pandas.read_csv(files.data_path("grids/patterns.csv"), comment="#")
sums = grid.groupby(["pattern", "rows", "asked"], sort=False)[["right", "of"]].sum()
sums["share"] = (sums["right"] / sums["of"]).round(2)
sums

# %% [markdown]
# Compare the two lines "in a new wording": with so few terms, five wordings are not shown to help.
# The new wording is nearer to the trained ones than the oddly worded question above, and more comes
# out.
#
# The last lines of the table are another kind of pattern: a way of **reasoning**. Any plan is to be
# analysed in four lines: gain, cost, risk, and a test. Here it is live, from `PLANS` examples. The
# base's prompt describes the four lines; the tuned model's does not. **Predict.** Of twenty new
# plans, how many does each analyse in four lines?

# %%
plans = lists["analysis"]
plan_rows = []
for plan, *texts in plans["trained"][:PLANS]:
    lines = [f"{step}: {text}" for step, text in zip(plans["steps"], texts)]
    plan_rows.append(data.example(plan, "\n".join(lines), system=plans["system"]))
plan_trainer = trainer_for(plan_rows, EPOCHS)
result = plan_trainer.train()

questions = [plans["asked"][1].format(plan=plan) for plan in plans["new"]]
in_form = []
for system, analyst in {"described": model, "system": plan_trainer.model}.items():
    texts = replies(analyst, questions, plans[system], tokens=64)
    labels = [re.findall(r"^(\w+): .", text, re.MULTILINE) for text in texts]
    in_form.append([steps == list(plans["steps"]) for steps in labels])
    print(f"{sum(in_form[-1])} in form; {questions[0]}\n{texts[0]}\n")
one = [1] * len(questions)
claims.record(3, paired_bootstrap(in_form[0], one, in_form[1], one))

# %% [markdown]
# A few dozen rows taught the structure of an analysis. Whether what stands in the lines is
# *sensible* is another question: read the answer. The form of a reasoning can be counted by a
# program. Its quality needs a reader.
#
# ## 10. What narrowness costs
#
# The shop's model answers customers. **Predict.** Of twenty ordinary questions, such as the capital
# of France, how many does the base get right, and how many the shop's model?

# %%
questions, keys = zip(*lists["ordinary"])
right = {}
for name, answerer in {"base": model, "tuned": tuned}.items():
    texts = replies(answerer, questions, tokens=32)
    right[name] = [bool(re.search(rf"\b({k})\b", t, re.I)) for k, t in zip(keys, texts)]
    shaped = sum(text.startswith("topic:") for text in texts)
    print(f"{name}: {sum(right[name])} right, {shaped} in the shop's form")
claims.record(10, paired_bootstrap(right["tuned"], [1] * 20, right["base"], [1] * 20))

# %% [markdown]
# Twenty questions show only large losses. A large one is called **catastrophic forgetting**; lesson
# 07 measures it better. What does show is the shop's form where nobody asked for it. With an
# adapter there is a simple cure: switch it on for this task only.
#
# ## 11. Ten questions
#
# Put together, the choice follows from ten questions. Its answer may be *do not fine-tune*. Here
# are six requests as they come in. **Predict** for each what you would do, before you read the line
# below it. Then tick what is true of a request of your own. The recommendation comes from a few
# rules in `ftlab/teaching/decide.py`, which do not know your case. If you disagree, say which reason
# is wrong.

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
# Beside each stands a question in words of your own and the fact it asks for. Leave one or two
# questions that nothing answers (`None`).

# %%
MINE = [
    ("The library opens at 8 in the morning.", "when do you open", "8 in the morning"),
    ("A book can be borrowed for 28 days.", "How long may I keep a book?", "28 days"),
    ("A lost card costs 11 euros.", "lost my card, what now? price?", "11 euros"),
    ("The reading room is on the third floor.", "where can I read", "third floor"),
    ("Ms Baptiste leads the book club.", "Who leads the book club?", "Baptiste"),
    ("Guests can park behind the house.", "do you lend films", None),
]

# %%
from ftlab.curation import doctor
from rich import print as show

my_rows = []
my_search = indexed([text for text, _, _ in MINE])
for _, message, fact in MINE:
    prompt = ask(message, my_search(message), "system")
    text = generate(tuned, tokenizer, [prompt], max_new_tokens=32)[0]
    fits = "right" if (fact or "I do not know") in text else "wrong"
    print(f"{message} {fits}: {text!r}\n  from {my_search(message)}")
    reply = {"role": "assistant", "content": fact or shop["abstain"]}
    my_rows.append({"prompt": prompt, "completion": [reply]})
path = data.write("runs/01/mine.jsonl", my_rows, overwrite=True)
show(doctor.examine(path).table())

# %% [markdown]
# The model never saw your handbook: where it is right, the pattern has moved to new facts. Where it
# is wrong, look first whether the search had found the text. If it had, the model took the wrong
# text, or abstained in vain: section 6 counted how often. The topics are still the shop's; to change
# them, you need rows of your own. The file `runs/01/mine.jsonl` holds a beginning, and the table is
# the doctor's report on it. Its answers are bare facts: before you train on them, write each in the
# form that you want, a topic and a sentence, or the training takes the form away again.
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
# 2. **Prompt first, and give the prompt the same texts.** A fine-tune has to beat that; for sorting
#    it has to beat a logistic regression too.
# 3. **"Do not fine-tune" is a good answer**: when a prompt will do, when nobody can measure it, and
#    when the bill never comes back.
#
# Next: [02 Choosing a base](02_choosing_a_base.ipynb).
# You decided to tune; now which base?
