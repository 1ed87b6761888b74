# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 3000
# Many tests wait for a server or for another process, so there are more jobs than cores. Files are
# begun in order, because the long ones have few tests, and would all be left for the end.
JOBS ?= 3
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo ui test check bench fuzz midi soak clean

help:
	@echo "make demo   build a small research PACS and process a manifest against it"
	@echo "make ui     open Dagster's UI on what the demo did (PORT=3000)"
	@echo "make test   install what the tests need, and run them"
	@echo "make check  ruff, mypy and the import rules alone"
	@echo "make bench  measure; figures go to bench-results/"
	@echo "make fuzz   damage real files at random for some minutes, and see that nothing gives way"
	@echo "make soak   the tests that take minutes: every file of the corpus against the validator"
	@echo "make midi   plant identifiers in real files, de-identify them, and score the result"

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/locutus demo

ui: $(VENV)/.installed
	@test -d demo/home || { echo "Nothing to show yet: run 'make demo' first."; exit 1; }
	LOCUTUS_HOME="$(CURDIR)/demo/home" DAGSTER_HOME="$(CURDIR)/demo/home/dagster" $(BIN)/locutus ui --port $(PORT)

test: $(VENV)/.installed-test
	sh scripts/install-test-servers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.run

midi: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.midi

fuzz: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.fuzz

soak: $(VENV)/.installed-test
	sh scripts/install-test-servers
	$(BIN)/python -m pytest -m soak

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
