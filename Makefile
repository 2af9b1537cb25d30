# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Two test processes at a time, each with half of the cores: two notebooks share a machine well.
THREADS = $(shell $(PYTHON) -c 'import os; print(max(1, (os.cpu_count() or 2) // 2))')

.PHONY: help setup demo test lab notebooks site slides lint matrix bench clean

help:
	@echo "make demo    set up, fine-tune, print base vs tuned"
	@echo "             (SENTENCE='...' shows a sentence of yours)"
	@echo "make test    set up, run every test and every notebook"
	@echo "make lab     open JupyterLab at lesson 00"
	@echo "make site    the course as a site, in build/site (Python 3.11 or newer)"
	@echo "make slides  the lessons as slides that need no network, in build/slides (likewise)"
	@echo "make setup   the set-up alone; leaves .venv/bin/ftlab"

setup: .venv/ready
	@$(BIN)/ftlab models get smollm2-135m > /dev/null

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "ftlab needs Python 3.10 or newer. Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "This Python has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	@# What is given to make is in the environment, so no quote in a sentence is the shell's.
	$(BIN)/ftlab demo $(if $(SENTENCE),--sentence "$$SENTENCE")

test: setup
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile
	@# In their own order: the first lesson trains longest, and as the last it would run alone.
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile \
	  --no-loadscope-reorder --nbval-lax --nbval-sanitize-with=tests/nbval.cfg \
	  --nbval-cell-timeout=600 notebooks/*.ipynb

lab: setup
	@# The root is the repository, so that the links to docs/ open; terminals and !ftlab find ftlab.
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --ServerApp.root_dir=. notebooks/00_first_fine_tune.ipynb

notebooks: setup
	$(BIN)/python scripts/build_lessons.py --execute
	$(BIN)/python scripts/claims_page.py

site: .venv/site
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -c docs -d build/doctrees . build/site
	$(BIN)/python docs/check.py build/site

slides: .venv/site
	$(BIN)/python scripts/slides.py build/slides

.venv/site: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[site]'
	@touch $@

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy ftlab

matrix: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tests/matrix.py $(MATRIX)

bench: setup
	$(BIN)/python benchmarks/sft.py

clean:
	rm -rf .venv runs build dist
