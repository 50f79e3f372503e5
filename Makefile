# hrm-console. Two commands matter: `make demo` and `make test`. Both make .venv and install what they need on first use.
# Needs python3 >= 3.11 with venv; another one: `make test PYTHON=python3.12`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
TEST_STAMP := $(VENV)/.installed-test
PYTEST_ARGS ?=
# Two processes, a test file each at a time, the longest first (tests/conftest.py). No speed is measured beside another
# test.
TEST_JOBS ?= 2
PARALLEL := -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder --benchmark-disable

# Compiled once, not at the start of every `hrm` of a test (a second each), even where the surroundings say so.
unexport PYTHONDONTWRITEBYTECODE

# $(call step,NAME,COMMAND): runs a command and prints how long it took.
define step
@begin=$$(date +%s.%N); printf '== %s\n' '$(1)'; $(2); \
 awk -v a="$$begin" -v b="$$(date +%s.%N)" 'BEGIN { printf "== %s: %.1f s\n", "$(1)", b - a }'
endef

.PHONY: help install demo console test check format lint types imports pytest slow gpu bench torture audit wheel clean

help:
	@echo 'make demo      build the data, train a small model on ARC-AGI-1, watch it (about 5 minutes)'
	@echo 'make test      format, lint, types, import contracts and tests'
	@echo 'make slow      the slow tests'
	@echo 'make check     everything but the tests'
	@echo 'make install   make .venv and install, nothing else'
	@echo 'make torture   kill, damage and fuzz runs of its own: what survives'
	@echo 'make audit     bandit over the source, pip-audit over what is installed (needs the network)'
	@echo 'make format    rewrite files in the house format'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "error: Python %d.%d found, 3.11 to 3.13 needed; try: make PYTHON=python3.12" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV) || { echo 'error: python3 cannot make a virtual environment; install python3-venv' >&2; exit 1; }

$(RUN_STAMP): pyproject.toml | $(BIN)/python
	$(call step,install (a minute or two),$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .)
	@touch $@

$(TEST_STAMP): pyproject.toml | $(BIN)/python
	$(call step,install (a minute or two),$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]')
	@touch $@ $(RUN_STAMP)

install: $(RUN_STAMP)

demo: $(RUN_STAMP)
	@$(BIN)/hrm demo

console: $(RUN_STAMP)
	@$(BIN)/hrm-console

test: check pytest

check: lint types imports

format: $(TEST_STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(TEST_STAMP)
	$(call step,format,$(BIN)/ruff format --check --quiet .)
	$(call step,lint,$(BIN)/ruff check --quiet .)

types: $(TEST_STAMP)
	$(call step,types,$(BIN)/mypy)

imports: $(TEST_STAMP)
	$(call step,import contracts,$(BIN)/lint-imports --no-logo)

pytest: $(TEST_STAMP)
	$(call step,tests,$(BIN)/python -m pytest -q $(PARALLEL) $(PYTEST_ARGS))

slow: $(TEST_STAMP)
	$(call step,slow tests,$(BIN)/python -m pytest -q -m 'slow and not gpu and not alone' --timeout 1200 $(PARALLEL) $(PYTEST_ARGS))
	$(call step,slow tests that need all cores,$(BIN)/python -m pytest -q -m 'slow and alone' --timeout 1400 $(PYTEST_ARGS))

gpu: $(TEST_STAMP)
	$(call step,gpu tests,$(BIN)/python -m pytest -q -m gpu --timeout 600 $(PYTEST_ARGS))

bench: $(TEST_STAMP)
	$(call step,bench,$(BIN)/python -m pytest -q -m bench --timeout 1200 $(PYTEST_ARGS))

torture: $(RUN_STAMP)
	@$(BIN)/hrm torture

audit: $(TEST_STAMP)
	$(call step,install,$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[audit]')
	$(call step,bandit,$(BIN)/bandit -q -r -c pyproject.toml hrm_core hrm_console triton_kernels scripts)
	@$(BIN)/python -m pip list --format=freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audit.txt
	$(call step,pip-audit,$(BIN)/pip-audit --progress-spinner off --strict --no-deps --disable-pip -r $(VENV)/audit.txt)

wheel: $(TEST_STAMP)
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find hrm_core hrm_console triton_kernels tests -name __pycache__ -type d -prune -exec rm -rf {} +
