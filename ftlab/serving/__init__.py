"""A fine-tuning service on one's own machine, behind the protocol of OpenAI's client.

protocol.py       what it is asked with, and how it refuses
store.py          files, jobs, events, models, traces: SQLite, and files by their hash
service.py        whose a request is, and what one key may do
jobs.py           files and jobs are examined first; worker.py, the process that trains
engine.py         many answers at once, from one base and its adapters; chat.py, completions
app.py            the routes; page.py, the page at /; server.py, the processes

loop.py           from labelled traces to the next model in service; reviews.py, drift.py
gguf.py           a tuned model for llama.cpp
"""
