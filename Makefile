# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes, of which each takes neighbours: fixtures of a file cost whole runs.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-all check

# Trains a teacher, distils a student, compares it with the same student alone.
demo: $(VENV)/installed-report
	$(BIN)/python -m trainer run --config=configs/demo.toml --workdir=runs/demo

# Everything but kills and other long runs.
test: $(VENV)/installed-dev
	$(PYTEST)

test-all: check
	$(PYTEST) -m ""

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or later is needed, got {sys.version}; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# One stamp an extra: pip runs again when pyproject.toml has changed.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
