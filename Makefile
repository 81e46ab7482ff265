# make demo    install, then the main job on built-in data; results in runs/demo
# make test    install, then lint, types, tests, notebooks and documentation: what continuous integration runs
# make dist    wheel and source archive, in dist
# make check-dist    builds both, installs each into an empty environment, and uses it
# make docs    install, then build the documentation, warnings being errors; start page docs/_build/index.html
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= runs/demo
# A file stays in one process, so that its tests share compiled programs.
PYTEST_ARGS ?= -n auto --maxprocesses=4 --dist=loadfile
BIN    := $(VENV)/bin

.PHONY: demo test lint type unit dist check-dist docs install install-test clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make /make /p' Makefile

# The stamps make installation happen once, and again when the metadata changes.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nasjax needs Python >= 3.11, and $(PYTHON) is older. Do: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/install.stamp: setup.py pyproject.toml | $(VENV)/python.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: setup.py pyproject.toml | $(VENV)/python.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,docs]'
	@touch $@ $(VENV)/install.stamp

install: $(VENV)/install.stamp
install-test: $(VENV)/test.stamp

demo: install
	$(BIN)/python -m nasjax.cli.demo --workdir=$(DEMO)

lint: install-test
	$(BIN)/ruff check .

type: install-test
	$(BIN)/mypy

unit: install-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Lint, types and documentation need a core each; tests take all there are.
test: install-test
	$(MAKE) -j2 lint type docs
	$(MAKE) unit

dist: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build

check-dist:
	PYTHON=$(PYTHON) scripts/check_dist.sh

docs: install-test
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

clean:
	rm -rf $(VENV) docs/_build docs/proxy docs/reference docs/searching.md .cache .pytest_cache .mypy_cache .ruff_cache build dist nasjax.egg-info
