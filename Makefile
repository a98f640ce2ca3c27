# Everything happens in .venv, which is made on first use and made again where a requirements file
# changes. People with an environment of their own run the commands behind these targets as they
# are: python -m moa_jax.train --config=configs/fusion.py, python -m pytest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests; `auto` would leave out every second core of most machines.
WORKERS ?= logical
CONFIG ?= configs/fusion.py
WORKDIR ?= runs/fusion

.DEFAULT_GOAL := help
.PHONY: help train test-fast test test-all lint format clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' Makefile

# Large arrays in large pages: networks map their buffers anew in every step (experiments/speed).
train: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
train: $(VENV)/.installed ## train the fusion model and score it beside the plain methods
	$(BIN)/python -m moa_jax.train --config=$(CONFIG) --workdir=$(WORKDIR)

# One thread a process: the tests fill the cores already.
test-fast test: export OPENBLAS_NUM_THREADS := 1
test-fast test: export OMP_NUM_THREADS := 1
test-fast: $(VENV)/.installed-dev ## run the quick tests, before a commit: three minutes on two cores
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test: $(VENV)/.installed-dev ## run all tests, on real data too where MOA_JAX_REAL_DATA names it
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.installed-dev ## check style, format and that nothing is left that nobody calls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 0 --noconftest tests/test_dead_code.py

format: $(VENV)/.installed-dev ## write the format that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and the caches; data/ and runs/ stay
	rm -rf $(VENV) .jax_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name another, such as make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# The stamps are written last, so that an interrupted installation is done again.
$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
