"""A fine-tuning service on one's own machine, behind the protocol of OpenAI's client.

store.py     files, jobs, events, models: SQLite, and files by their hash
uploads.py   what is uploaded is examined first
worker.py    the process that trains
engine.py    many answers at once, from one base and its adapters
chat.py      chat completions
app.py       the routes
page.py      the page at /
"""
