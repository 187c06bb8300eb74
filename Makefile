# Weft: `make demo` shows the whole way, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
DATA ?= ../shared/data
RUN ?= runs/demo
STUDY ?= runs/study
VENV := .venv
BIN := $(VENV)/bin
BENCHES := extract fetch filters score lookalikes dedup train eval scale

# Every Spark worker imports torch: let Python keep what it compiles.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format docs package gate bench study content-weights clip-sample clean $(BENCHES:%=bench-%)

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.done  ## make .venv with the pinned dependencies

$(VENV)/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Weft needs Python 3.11 or newer. On Debian: apt install python3; or name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' || { echo "Python's venv module is missing. On Debian: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,train,dev]'
	@touch $@

demo: setup  ## run the whole way on the sample web: archives, shards, a decoder that learns
	$(BIN)/python -m tests.sampleweb.demo $(RUN)

test: setup  ## run the tests
	$(BIN)/python -m pytest -m 'not slow'

test-all: setup  ## run the slow tests too
	$(BIN)/python -m pytest

check: setup  ## format, lint, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: setup  ## make dist/: the wheel, and environment.tar.gz for the nodes of a cluster; LEAN=1 leaves torch out
	rm -rf build dist
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	$(BIN)/uv venv --quiet --relocatable --python $(BIN)/python build/environment
	$(BIN)/uv pip install --python build/environment/bin/python --constraint constraints.txt "$$(echo dist/*.whl)[$(if $(LEAN),lean,pipeline)]"
	tar --create --file - --directory build/environment --sort=name --owner=0 --group=0 --numeric-owner \
		--exclude 'pyspark/jars' --exclude __pycache__ . | gzip --no-name > dist/environment.tar.gz
	rm -rf build
	@ls -sh dist

docs: setup  ## write docs/commands.md, recipes.md and tables.md anew from the code
	$(BIN)/python -m tools.reference docs

gate: setup  ## measure quality against floors that only rise; DATA=DIR adds pages of the real web
	$(BIN)/python -m benchmarks.gate $(DATA)

bench: $(BENCHES:%=bench-%)  ## run every benchmark, ours and the peer in turn

$(BENCHES:%=bench-%): bench-%: setup
	$(BIN)/python -m benchmarks.$* $(DATA)

study: setup  ## does the data teach? an hour on two cores; what is in STUDY is not done again
	$(BIN)/python -m benchmarks.study $(STUDY)

content-weights: setup  ## train the weights that tell main content anew, on DATA
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt '.[tune]'
	$(BIN)/python -m benchmarks.content_training $(DATA) --write
	$(BIN)/python -m benchmarks.picture_training $(DATA) --write

clip-sample: setup  ## train the sample's small CLIP anew
	$(BIN)/python -m tests.sampleweb.clip_training tests/sampleweb/clip

clean:  ## remove what make made
	rm -rf $(VENV) $(VENV)-datatrove* runs build dist *.egg-info
