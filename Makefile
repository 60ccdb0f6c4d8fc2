# Everything a person types; see README.md. Needs Python >= 3.11 and make, no root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where it is set, every process compiles torch and Prefect anew: ten CPU-seconds a start, or twenty.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test accept audit check bench chaos stack setup services clean
.DEFAULT_GOAL := demo

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; run: make PYTHON=python3.12")'
	@echo "Setting up $(VENV) (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

services: setup
	@$(BIN)/python infra/minio.py
	@$(BIN)/python infra/wheels.py

demo: setup
	@$(BIN)/inception-loop demo

test: setup services
	@$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

accept: setup services
	@$(BIN)/pytest -m acceptance

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest --quiet --doctest-modules src flows

audit: setup
	@$(BIN)/python infra/audit.py

bench: setup
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

chaos: setup services
	@$(BIN)/pytest tests/chaos --campaign long --timeout 3600

stack: setup services
	@$(BIN)/python infra/stack.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
