# %% [markdown]
# # 01 When to fine-tune: prompt, retrieval, fine-tune, or neither?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ftlab-course/ftlab/blob/main/notebooks/01_prompt_retrieve_tune_or_neither.ipynb)
#
# **What you will build**: four small models that each learned a pattern, one that tried to
# learn facts, one that answers from a text it is given; and a helper that tells you in ten
# questions whether to fine-tune at all.
#
# **Prerequisites**: lesson 00.
#
# | where | reading, doing and running | of it, computing |
# |---|---|---|
# | a laptop or server, CPU only | about an hour | under four minutes |
# | a free Colab T4, or another GPU | the same | less |
#
# The cheapest fine-tune is the one that was not needed. Whenever you are asked for a
# prediction, write it down before you run the cell.

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
# The smallest model of the course is enough here, and a handful of runs take little time. A
# machine with more power answers more held-out orders. What is trained stays the same on
# every machine: what these runs learn depends on how many steps they take.

# %%
import ftlab
from ftlab import data, hardware

SEED = 0
BASE = "ftlab-1m"
PROFILE = ftlab.profile()
TRAIN, TEST = min(PROFILE.records // 10, 200), min(PROFILE.records // 50, 80)
FACTS, TEXTS = 50, 280
PASSES, MORE, DRILL, READ = 2, 5, 44, 8  # over orders (twice), facts and texts

hardware.seed_everything(SEED)
hardware.versions()

# %% [markdown]
# ## 2. A pattern and a fact, in three records
#
# A **pattern** is a rule that turns what comes in into what goes out. Three records of one:

# %% tags=["nbval-check-output"]
records = {"2 red hats": "hats=2", "5 blue cups": "cups=5", "3 red cups": "cups=3"}


def rule(text):
    """The rule behind the three."""
    count, _, thing = text.split()
    return f"{thing}={count}"


print([rule(asked) == wanted for asked, wanted in records.items()])
print(rule("7 green lamps"))

# %% [markdown]
# The last order was in none of the records, and still has an answer: the three were enough
# to say how a fourth is made. A **fact** is another thing.

# %% tags=["nbval-check-output"]
table = {"Harlow": 472, "Merrow": 905, "Corby": 318}
for place in ("Merrow", "Whitby"):
    print(place, table.get(place, "nobody can tell from the other three"))

# %% [markdown]
# A row says nothing of the next row. So here is the question of this lesson: which of the
# two does a fine-tune teach?
#
# ## 3. Prompting first
#
# A shop answers orders. What *should* an answer look like? Here are four wishes, at four
# levels: the structure, the paragraph, the sentence, and the style of the whole.

# %% tags=["nbval-check-output"]
from ftlab.teaching.orders import INSTRUCTIONS, LEVELS, elsewhere, in_form, kept, orders

train = {level: orders(level, TRAIN, SEED) for level in LEVELS}
test = {
    level: orders(level, TEST, SEED + 1, apart_from=train[level]) for level in LEVELS
}
print("asked:", data.prompt(train["structure"][0])[0]["content"])
for level in LEVELS:
    print(f"\n{level}\n{data.answer(train[level][0])}")

# %% [markdown]
# The same order each time, so the difference is the pattern and nothing else. And each of
# the four can be checked by a program; you write one of these checks.
#
# **Exercise 01.1.** True when the last word of a sentence is its first word in capitals.

# %% tags=["exercise", "nbval-check-output"]
from ftlab import check
from ftlab.teaching.exercises import hint


def ends_as_it_began(text):
    """Whether the last word is the first one in capitals, the end mark left out."""
    # solution:
    words = text.strip(".!?").split()
    return words[-1] == words[0].upper()
    # stub:
    # ...
    # end


check("01.1", ends_as_it_began)

# %% [markdown]
# Practitioners say: try prompting first, and stop there if it satisfies. So the base is
# asked twice: once with an instruction, and once with three solved examples.

# %% tags=["nbval-check-output"]
from ftlab.display import wrap
from ftlab.evaluation.systems import System, few_shot_examples

ways = {}
for level in LEVELS:
    solved = tuple(few_shot_examples(train[level], test[level], 3, seed=SEED))
    ways[level] = {
        "instruction": System("", BASE, instructions=INSTRUCTIONS[level]),
        "3 examples": System("", BASE, few_shot_examples=solved),
    }
for level in LEVELS:
    print(wrap(INSTRUCTIONS[level], f"{level:10}"))
print("\nand three examples, for the sentence:")
for turn in ways["sentence"]["3 examples"].asks(data.prompt(test["sentence"][0])):
    print(f"{turn['role']:9} {turn['content']}")

# %% [markdown]
# **Predict.** In how many of a hundred answers will the base follow the pattern, either
# way?

# %%
from ftlab import models
from ftlab.generation import generate

my_guess = "instruction ..., 3 examples ..."
model, tokenizer = models.load(BASE)
said = {}
for level in LEVELS:
    for way, who in ways[level].items():
        asked = [who.asks(data.prompt(record)) for record in test[level]]
        said[level, way] = generate(model, tokenizer, asked, max_new_tokens=64)
print("you expected:", my_guess)
for (level, way), answers in said.items():
    share = sum(in_form(level, answer) for answer in answers) / TEST
    print(f"{level:10} {way:12} {share:.2f}   {answers[0][:44]!r}")

# %% [markdown]
# It writes on, in the manner of the books that it read: nobody taught this base to follow
# instructions. A large *instruction-tuned* model was taught to, and may well do all four of
# these when told. That is why you try, and why the prompted base belongs to every verdict.
#
# ## 4. Four patterns, two hundred examples each
#
# Four runs, each from the same base. **Predict.** Which of the four will be learned best,
# and which worst?

# %%
from ftlab.training import sft

my_guess = "best ..., worst ..."
tuned = {}
for level in LEVELS:
    fresh, _ = models.load(BASE)
    run = sft.train(
        fresh, tokenizer, train[level], epochs=PASSES, batch_size=8, seed=SEED
    )  # fmt: skip
    tuned[level] = run.model
    first, last = run.history[0]["loss"], run.history[-1]["loss"]
    print(f"{level:10} {run.steps} steps, loss {first:.2f} to {last:.2f}")

# %%
for level in LEVELS:
    asked = [data.prompt(record) for record in test[level]]
    said[level, "tuned"] = generate(tuned[level], tokenizer, asked, max_new_tokens=64)
print("you expected:", my_guess)
print("asked:", data.prompt(test["structure"][0])[0]["content"])
for level in LEVELS:
    print(f"\n{level}\n{said[level, 'tuned'][0]}")

# %% [markdown]
# Compare the answers with what was asked: the name, the count, the colour, the thing, the
# day. So there are two things to count, on orders that none of the four has seen: the share
# of answers **in form**, and the share of the order's **details** that came out right.

# %%
from ftlab.evaluation.intervals import bootstrap, wilson_interval, with_edges
from ftlab.teaching import plots


def measure(level, answers):
    """The share of answers in form, and of the order's details in them."""
    form = sum(in_form(level, answer) for answer in answers)
    parts = [kept([record], [a]) for record, a in zip(test[level], answers)]
    share = bootstrap(parts, [1] * TEST, seed=SEED)
    return {"form": wilson_interval(form, TEST), "details": with_edges(share, TEST)}


found = {key: measure(key[0], answers) for key, answers in said.items()}
best = {  # of the two prompts
    level: max((found[level, way] for way in ways[level]), key=lambda one: one["form"])
    for level in LEVELS
}
shown = {"form by prompt": {level: best[level]["form"]._asdict() for level in LEVELS}}
for what in ("form", "details"):
    shown[f"{what} by tuning"] = {
        level: found[level, "tuned"][what]._asdict() for level in LEVELS
    }
plots.interval_bars({"n": TEST, "systems": shown})

# %% [markdown]
# Two hundred examples, read twice, taught the form and little of the copying: *here stands a
# count*, but not *this* count. A pattern was to be a rule that turns what comes in into what
# goes out; of this rule, the part that is the same in every answer was learned first.
#
# **Predict.** Five more passes over the same two hundred, at twice the learning rate: what
# will become of the details?

# %%
my_guess = "..."
for level in LEVELS:
    sft.train(
        tuned[level], tokenizer, train[level], epochs=MORE, batch_size=8,
        learning_rate=2e-3, seed=SEED,
    )  # fmt: skip
    asked = [data.prompt(record) for record in test[level]]
    said[level, "longer"] = generate(tuned[level], tokenizer, asked, max_new_tokens=64)
    found[level, "longer"] = measure(level, said[level, "longer"])
print("you expected:", my_guess)
print(f"{'':10}  {'in form, now':17}  {'details, before':17}  details, now")
for level in LEVELS:
    two, now = found[level, "tuned"], found[level, "longer"]
    print(f"{level:10}  {now['form']}  {two['details']}  {now['details']}")

# %% [markdown]
# The same records, read more often, taught the copying as well. Who looks at the form alone
# stops too early. The least of the four levels speaks for all:

# %%
from ftlab.teaching import ledger

least = {
    (way, what): min(found[level, way][what] for level in LEVELS)
    for way in ("tuned", "longer")
    for what in ("form", "details")
}
form, early, late = (
    least[key]
    for key in (("tuned", "form"), ("tuned", "details"), ("longer", "details"))
)
word = "holds" if early.low > 0.8 else "depends"
ledger.record(
    3, word if form.low > 0.7 else "not seen here",
    "Four models learned to answer a shop's orders, each in one of these patterns. "
    f"After {PASSES} passes over {TRAIN} orders the lowest share of answers in form "
    f"was {form}, that of details right {early}; after {PASSES + MORE} passes {late}.",
    early.value, interval=(early.low, early.high),
)  # fmt: skip
assert form.value > 0.7 and late.low > early.high, "form first, then the details"

# %% [markdown]
# Practitioners name four reasons to tune:
#
# 1. a style that is hard to describe,
# 2. structured output,
# 3. a narrower range: one task, and nothing beside it,
# 4. money, for a long prompt is paid for at each call.
#
# The third comes in § 8, the fourth in § 9. The first two, against the better of two
# prompts:

# %%
told, clear = [], []
for level in ("style", "structure"):
    two, now = found[level, "tuned"], found[level, "longer"]
    prompt = best[level]["form"]
    clear.append((two["form"].low > prompt.high + 0.2, two["details"].low > 0.8))
    told.append(
        f"{level.capitalize()}: by the better of two prompts {prompt} of answers were "
        f"in form, after {PASSES} passes over {TRAIN} examples {two['form']}, but "
        f"with {two['details']} of the details right; after {PASSES + MORE} passes "
        f"with {now['details']}."
    )
in_shape, right = zip(*clear)
word = "depends" if any(in_shape) else "not seen here"
word = "holds" if all(in_shape + right) else word
style = found["style", "tuned"]["form"]
ledger.record(
    9, word, " ".join(told), style.value, interval=(style.low, style.high)
)  # fmt: skip
assert sum(in_shape) > 0, "tuning brings one of the two into form, no prompt does"

# %%
most = max(best[level]["form"] for level in LEVELS)
word = "holds" if most.value >= 0.8 else "depends" if most.value >= 0.3 else ""
ledger.record(
    11, word or "not seen here",
    f"The best of eight prompts, two for each of four patterns, brought {most} of the "
    "answers into form; the base was never taught to follow instructions.",
    most.value, interval=(most.low, most.high),
)  # fmt: skip
assert most.value < 0.5, "no prompt will do on this base"

# %% [markdown]
# Trying cost one cell. Had the prompt satisfied, the lesson could stop here; on this base
# it decided something else: that there is a reason to go on.
#
# ## 5. A record is an equation
#
# On the left what goes in, on the right what goes out, as on an assembly line. An equation
# can be solved when the right side follows from the left. Look again at the structured
# answer: **which of its five lines does not follow from the order?**
#
# **Predict.** Count line by line, after two passes and after all: which lines became
# better, and what stands on the last one?

# %%
my_guess = "..."
NAMES = ("name", "count", "item", "day", "ticket")


def right_lines(answers):
    """The share of answers in which each line "name: value" is as wanted."""
    hits = dict.fromkeys(NAMES, 0)
    for record, answer in zip(test["structure"], answers):
        lines = answer.splitlines()
        for line in data.answer(record).splitlines():
            hits[line.split(":")[0]] += line in lines
    return {name: wilson_interval(count, TEST) for name, count in hits.items()}


before = right_lines(said["structure", "tuned"])
later = right_lines(said["structure", "longer"])
print("you expected:", my_guess)
rows = {f"{PASSES} passes": before, f"{PASSES + MORE} passes": later}
shown = {
    name: {line: share._asdict() for line, share in row.items()}
    for name, row in rows.items()
}
plots.interval_bars({"n": TEST, "systems": shown})

# %% [markdown]
# The ticket was drawn by chance when the records were made. Does the model leave it out?

# %%
from ftlab.teaching.orders import TICKET

drawn = [TICKET.search(answer) for answer in said["structure", "longer"]]
made_up = sum(ticket is not None for ticket in drawn) / TEST
print(f"answers with a ticket of three digits: {made_up:.2f}")
print("the first five:", [ticket[1] if ticket else None for ticket in drawn[:5]])
ticket, follows = later["ticket"], min(later[name] for name in NAMES[:-1])
word = "holds" if follows.value > 0.8 else "depends" if follows.value > 0.3 else ""
ledger.record(
    4, word or "not seen here",
    "In answers of five lines, the worst of the four lines that follow from the order "
    f"is right in {follows} of them; the fifth, a number drawn by chance, in {ticket}.",
    follows.value, interval=(follows.low, follows.high),
)  # fmt: skip
assert ticket.value < 0.1 < made_up

# %% [markdown]
# Nobody meant to teach it to invent numbers, but that is what these records show: *here
# stands a number*. Before you train, ask of every part of the answer: could I write it,
# seeing only the prompt?
#
# ## 6. Facts
#
# Fifty facts that no model can know, because a program invented them. Each place has two
# things, so neither the place nor the thing alone gives the number away.

# %% tags=["nbval-check-output"]
from ftlab.teaching import invented

known = invented.facts(FACTS, SEED)
for fact in known[:3]:
    print(fact.said)
for wording in range(invented.WORDINGS):
    print(f"wording {wording}: {known[0].asked(wording)}")
print("backwards:", known[0].backwards)

# %% [markdown]
# Only wording 0 is trained. First the measure.
#
# **Exercise 01.2.** An answer is right when its *first* whole number is the one wanted:
# True or False.

# %% tags=["exercise", "nbval-check-output"]
import re


def is_right(number, answer):
    """Whether the first number in the answer is this one; both are texts."""
    # solution:
    found = re.findall(r"\d+", answer)
    return bool(found) and found[0] == number
    # stub:
    # ...
    # end


check("01.2", is_right)

# %% [markdown]
# Then the drill: the same fifty records, again and again, until they are known by heart.

# %%
scholar, _ = models.load(BASE)
with plots.LiveCurve("Fifty facts, by heart") as curve:
    drill = sft.train(
        scholar, tokenizer, invented.closed_book(known), epochs=DRILL,
        batch_size=10, learning_rate=2e-3, seed=SEED, on_step=curve.on_step,
    )  # fmt: skip

# %% [markdown]
# **Predict.** The share of the fifty that it gets right: in the trained wording, in the two
# others, and backwards, from the number to the place.


# %%
def asks(model, questions, tokens=28):
    """Answers to plain questions."""
    turns = [[{"role": "user", "content": question}] for question in questions]
    return generate(model, tokenizer, turns, max_new_tokens=tokens)


my_guess = "trained ..., reworded ..., backwards ..."
recited = {}
for wording in range(invented.WORDINGS):
    answers = asks(drill.model, [fact.asked(wording) for fact in known])
    recited[wording] = [invented.right(f, answer) for f, answer in zip(known, answers)]
turned = asks(drill.model, [fact.backwards for fact in known])
shares = {f"wording {k}": sum(marks) / FACTS for k, marks in recited.items()}
shares["backwards"] = sum(f.place in a for f, a in zip(known, turned)) / FACTS
print("you expected:", my_guess)
plots.bars(shares, title="What became of the facts", xlabel="share of 50 facts right")

# %% [markdown]
# What it has is a string that follows another string. A wording near to the trained one
# still finds it, one farther off does so less surely; turn it round, and look what is left.
#
# And what does it say of places that it was never told of?

# %%
strangers = invented.facts(20, SEED + 7, apart_from=known)
answers = asks(drill.model, [fact.asked(0) for fact in strangers])
for fact, answer in list(zip(strangers, answers))[:3]:
    print(f"{fact.asked(0)}\n  {answer}")
invents = sum(bool(re.search(r"\d", answer)) for answer in answers) / len(answers)
print(f"\nanswers with a number in them: {invents:.2f}")
assert invents > 0.5

# %% [markdown]
# The *form* of an answer was learned so well that it covers places that do not exist. A
# fine-tune on facts teaches, before all, to sound as if one knew.

# %%
from ftlab.evaluation.intervals import paired_bootstrap

worst = min((1, 2), key=lambda wording: sum(recited[wording]))
lost = paired_bootstrap(recited[0], [1] * FACTS, recited[worst], [1] * FACTS, seed=SEED)
print(f"wording {worst} less the trained wording: {lost}")
trained, reworded = (wilson_interval(sum(recited[k]), FACTS) for k in (0, worst))
backwards = wilson_interval(round(shares["backwards"] * FACTS), FACTS)
word = "holds" if reworded.value < 0.5 * trained.value else "depends"
word = word if lost.high < 0 else "not seen here"
ledger.record(
    1, word,
    f"Of {FACTS} invented facts learned by heart, {trained} come back in the trained "
    f"wording, {reworded} in the worse of two others (a change of {lost}), {backwards} "
    "asked backwards.", reworded.value, interval=(reworded.low, reworded.high),
)  # fmt: skip
assert trained.value > 0.8 and lost.high < 0 and backwards.value < 0.3

# %% [markdown]
# ## 7. Facts in the prompt
#
# The other way: look the fact up, and put it in front of the question. Looking up can be
# very simple.
#
# **Exercise 01.3.** Of some texts, return the one that shares most words with the question.


# %% tags=["exercise", "nbval-check-output"]
def nearest(question, texts):
    """The text with most of the question's words in it; capitals do not count."""
    # solution:
    words = set(question.lower().split())
    return max(texts, key=lambda text: len(words & set(text.lower().split())))
    # stub:
    # ...
    # end


check("01.3", nearest)

# %% [markdown]
# Counting like this, *the* is worth as much as *Harlow*. TF-IDF weighs a word by how rare
# it is, and scikit-learn has it.

# %% tags=["nbval-check-output"]
look_up = invented.retriever(known)
question = known[0].asked(2)
print(question, "->", look_up(question).said)
texts = [look_up(fact.asked(2)) for fact in known]
hit = sum(f == g for f, g in zip(known, texts)) / FACTS
print(f"the right fact is found for {hit:.2f} of the questions")

# %% [markdown]
# Can our base use it? It was never taught to answer from a text. That is a *pattern*, and
# we know how to teach one: with examples about **other** places, in wordings 0 and 1. The
# fifty facts are in none of them, and neither is wording 2.

# %%
others = invented.facts(TEXTS, SEED + 1, apart_from=known)
reader, _ = models.load(BASE)
print(data.prompt(invented.open_book(others)[0])[0]["content"])
with plots.LiveCurve("Answer from the text") as curve:
    reading = sft.train(
        reader, tokenizer, invented.open_book(others), epochs=READ,
        batch_size=10, seed=SEED, on_step=curve.on_step,
    )  # fmt: skip

# %% [markdown]
# **Predict.** Base and tuned, each with and without the text: four numbers.

# %%
with_text = invented.open_book(known, (2,), given=texts)
bare = [fact.asked(2) for fact in known]
read = {}
for name, who in {"base": model, "tuned": reading.model}.items():
    read[name, "alone"] = asks(who, bare)
    read[name, "with text"] = asks(
        who, [data.prompt(record)[0]["content"] for record in with_text]
    )
marks = {
    key: [invented.right(f, answer) for f, answer in zip(known, answers)]
    for key, answers in read.items()
}
four = {", ".join(key): sum(row) / FACTS for key, row in marks.items()}
plots.bars(
    four, title="Knowledge supplied, pattern learned", xlabel="share of 50 right"
)

# %%
count = {name: wilson_interval(sum(row), FACTS) for name, row in marks.items()}
both = count.pop(("tuned", "with text"))
one = max(count.values())
print(f"wording 2, by heart {shares['wording 2']:.2f}, from the text {both}")
word = "holds" if both.low > one.high and both.value > 0.8 else "depends"
ledger.record(
    6, word if both.low > one.high else "not seen here",
    f"Tuned to answer from a text, and given it, a model got {both} of {FACTS} facts "
    f"right; the same model without the text, and its base with it, at most {one}.",
    both.value, interval=(both.low, both.high),
)  # fmt: skip
assert both.value > 0.7 > 0.3 > one.value

# %% [markdown]
# Neither the text alone nor the tuning alone does it. Tuning taught *how* to answer, and
# the text said *what*.
#
# Does the model then know the facts? Give it a text that is wrong.

# %%
wrong = [fact._replace(number=str(1099 - int(fact.number))) for fact in known]
lies = invented.open_book(known, (2,), given=wrong)
answers = asks(reading.model, [data.prompt(record)[0]["content"] for record in lies])
print(data.prompt(lies[0])[0]["content"], "\n ", answers[0])
believed = sum(invented.right(f, answer) for f, answer in zip(wrong, answers)) / FACTS
print(f"it says what the text says, true or not: {believed:.2f}")

# %% [markdown]
# As good as the text, and no better. That is also the good news: when a bridge is rebuilt,
# you change a line of text, and nothing has to be trained again.
#
# ## 8. What narrowness costs
#
# A tuned model does one thing. What happens when a message is *not* an order? The model
# with the structured answers gets some.
#
# **Predict.** In how many of a hundred will it write an order all the same?

# %%
strange = elsewhere(TEST, SEED)
asked = [data.prompt(record)[0]["content"] for record in strange]
answers = asks(tuned["structure"], asked, 64)
narrow = wilson_interval(sum(in_form("structure", answer) for answer in answers), TEST)
print(f"{asked[0]}\n{answers[0]}\n")
print(f"an order is filled in for {narrow} of messages that are none")

# %% [markdown]
# And what became of its English? Sixteen short texts of many kinds, and the bits that a
# character of them costs.

# %%
from ftlab.evaluation import forgetting

_, general = zip(*forgetting.general_text())
bits = {
    name: forgetting.bits_per_character(who, tokenizer, general)
    for name, who in {"base": model, "tuned": tuned["structure"]}.items()
}
worse = forgetting.forgotten(bits, seed=SEED)["differences"]["tuned"]
print(f"tuned less base: {worse} bits per character")
word = "holds" if narrow.value > 0.5 and worse.low > 0 else ""
word = word or ("depends" if narrow.value > 0.1 or worse.low > 0 else "not seen here")
ledger.record(
    10, word,
    f"A model tuned on orders alone answered {narrow} of other messages with an order, "
    f"and sixteen general texts cost it {worse} bits a character more than its base.",
    narrow.value, interval=(narrow.low, narrow.high),
)  # fmt: skip
assert narrow.value > 0.5 and worse.low > 0, "narrow, and worse at other texts"

# %% [markdown]
# A narrower range is the third reason to tune, where only one thing will ever be asked.
# Elsewhere it is a price, and you have just read what it is. Lesson 08 goes into what can
# come of it.
#
# ## 9. What a long prompt costs
#
# The fourth reason is money. A long prompt is paid for at each call; a tuned model needs a
# short one, but the training is paid once, and a tuned model's tokens often cost more.
#
# **Exercise 01.4.** After how many months is the training paid back, at one price for all
# tokens? Do not round. Never is `math.inf`.

# %% tags=["exercise", "nbval-check-output"]
import math


def months(calls, before, after, price, training):
    """Months until the training is paid back; math.inf where nothing is saved.

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
# Prices differ, and change. Those below are examples to show the arithmetic, and no
# provider's offer; `Calculator(base=..., tuned=...)` takes yours.
#
# **Predict.** The prompt shrinks from 1,500 tokens to 150, training and its data cost 200.
# With 2,000 calls a month, and with 2,000,000: does it pay?

# %% tags=["nbval-check-output"]
from ftlab.evaluation.costs import prices
from ftlab.teaching.deciding import Calculator

for kind, price in prices().per_million_tokens.items():
    print(f"{kind:6} {price.input:.2f} in, {price.output:.2f} out, a million tokens")
for calls in (2_000, 200_000, 2_000_000):
    print(f"{calls:9,} calls: {Calculator(calls=calls).bill()}")

# %% [markdown]
# Now an honest case. The prompt is short to begin with, and tuned tokens cost twice as
# much:

# %% tags=["nbval-check-output"]
short = Calculator(calls=2_000_000, long_prompt=250, short_prompt=150)
print(wrap(short))
assert math.isinf(short.bill().months)

# %% [markdown]
# It never pays, however many calls there are. Back to the prompt of 1,500 tokens, at
# 200,000 calls: what both ways have cost, month by month.

# %% tags=["nbval-check-output"]
from ftlab.teaching import plots_training

bill = Calculator(calls=200_000).bill()
spent = {
    "long prompt": [(month, bill.before * month) for month in range(25)],
    "tuned": [(month, bill.training + bill.after * month) for month in range(25)],
}
plots_training.lines(
    spent, title="Paid so far", xlabel="months", ylabel="money (USD)",
    here={"paid back": bill.months},
)  # fmt: skip

# %% [markdown]
# Play with it: with these prompts, from which price of a tuned token on does it never pay?
# (Sliders need a running notebook; a saved one shows the figures it began with.)

# %% tags=["nbval-check-output"]
Calculator()

# %% [markdown]
# ## 10. Ten questions
#
# First three of them by yourself.
#
# **Exercise 01.5.** Return "prompt", "retrieval", "fine-tune" or "both". Mind the order: is
# the prompt good enough? Are facts missing? Is a pattern missing?


# %% tags=["exercise", "nbval-check-output"]
def advise(satisfied, facts, pattern):
    """What to do; True means yes. Where nothing is missing, work on the prompt."""
    # solution:
    if satisfied:
        return "prompt"
    if facts:
        return "both" if pattern else "retrieval"
    return "fine-tune" if pattern else "prompt"
    # stub:
    # ...
    # end


check("01.5", advise)

# %% [markdown]
# The whole list has ten, and its answer may be *do not fine-tune*.

# %% tags=["nbval-check-output"]
from ftlab.teaching.decide import CASES, QUESTIONS, decide

for number, question in enumerate(QUESTIONS.values(), 1):
    print(f"{number:2}. {question}")

# %% [markdown]
# Six requests, as they come in. **Predict** for each what you would do. How many of the six
# should end in a fine-tune?

# %% tags=["nbval-check-output"]
for case in CASES:
    print(wrap(case.told, f"{case.name.upper()}: "))
    print(f"{decide(case.answers)}\n")
tunes = sum(decide(case.answers).tune for case in CASES)
print(f"{tunes} of {len(CASES)} end in a fine-tune")

# %% [markdown]
# The panel begins with the founder's letters after somebody tried the prompt, and it did
# not do. Now a request of your own: tick what is true, and read why.

# %% tags=["nbval-check-output"]
from ftlab.teaching.deciding import Helper

Helper(("measured", "prompted", "pattern", "shown", "examples", "narrow"))

# %% [markdown]
# The helper is a few rules in `ftlab/teaching/decide.py`. Rules do not know your case: when
# you disagree, say which reason is wrong.
#
# ## 11. The verdict interpreted, and its limits
#
# The cards of the claims above hold what was measured here. Put together: examples taught
# how to answer. The form of an answer came first, at all four levels; that what fills it is
# copied from the order took more passes. Facts came out in the wording they were drilled
# in, less surely in another, and hardly ever backwards. Where a fact is needed, it has to
# stand in the prompt; and where the right side does not follow from the left, the model
# fills it with something that looks right.
#
# - **A very small model, never taught to follow instructions.** A large instruction-tuned
#   one may need no tuning for the four patterns, and may copy details from the first; a
#   large one recites more, in more wordings. It is not free of the same troubles.
# - **Invented facts, one wording, one run.** With many wordings of each fact in the
#   records, more would come through. So does the bill.
# - **A style that can be counted.** Ours had to be, to be measured, and its instruction in
#   § 3 is one sentence. That sentence was no help to this base; how it fares with a style
#   that nobody can put in words, only people's marks can say.
# - **One text in the prompt.** Real retrieval brings several, some of them wrong ones.
# - **Example prices.** The arithmetic is right; the figures are yours to fill in.
#
# ## 12. Quiz
#
# Five questions. Each option explains itself.

# %% tags=["nbval-check-output"]
ftlab.quiz("01")

# %% [markdown]
# ## 13. Takeaways
#
# 1. **Tune for a pattern, look up facts.** The two combine: one says how to answer, the
#    other what. Measure the form and what fills it apart: the form is learned sooner.
# 2. **Prompt first.** It is the cheapest try, it may be enough, and it is the opponent that
#    a fine-tune has to beat.
# 3. **“Do not fine-tune” is a good answer**: when a program will do, when nobody can measure
#    it, and when the bill never comes back.
#
# Next: [02 Choosing a base](02_choosing_a_base.ipynb).
# You decided to tune; now which base?
