# Weft: `make demo` runs everything on a small web, `make test` runs the tests, `make help` lists all targets.
SHELL := /bin/bash
PYTHON ?= python3
DATA ?= ../shared/data
RUN ?= runs/demo
STUDY ?= runs/study
VENV := .venv
BIN := $(VENV)/bin
BENCHES := extract fetch filters score lookalikes dedup train eval scale

# Every Spark worker imports torch: keep Python's compiled files.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-storage check format docs package gate bench study content-weights clip-sample clean $(BENCHES:%=bench-%)

help:  ## list all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.done  ## create .venv with pinned dependencies

$(VENV)/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Weft needs Python 3.11 or newer. On Debian: apt install python3; or choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' || { echo "Python's venv module is missing. On Debian: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,train,dev]'
	@touch $@

demo: setup  ## run all steps on the sample web, train a small decoder on the shards; RUN=DIR is the output
	$(BIN)/python -m tests.sampleweb.demo $(RUN)

test: setup  ## run the tests that are not slow
	$(BIN)/python -m pytest -m 'not slow'

test-all: setup  ## run all tests
	$(BIN)/python -m pytest

test-storage: setup  ## run the tests on S3, HDFS and other stores; needs Maven and npm, downloads 1 GB once
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[pipeline,train,dev,storage]'
	$(BIN)/python -m pytest tests/storage

check: setup  ## check format, lint, types and the import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## format the code, apply lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: setup  ## build dist/: the wheel, and environment.tar.gz for cluster nodes; LEAN=1 omits torch
	rm -rf build dist
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	$(BIN)/uv venv --quiet --relocatable --python $(BIN)/python build/environment
	$(BIN)/uv pip install --python build/environment/bin/python --constraint constraints.txt "$$(echo dist/*.whl)[$(if $(LEAN),lean,pipeline)]"
	tar --create --file - --directory build/environment --sort=name --owner=0 --group=0 --numeric-owner \
		--exclude 'pyspark/jars' --exclude __pycache__ . | gzip --no-name > dist/environment.tar.gz
	rm -rf build
	@ls -sh dist

docs: setup  ## generate docs/commands.md, recipes.md and tables.md from the code
	$(BIN)/python -m tools.reference docs

gate: setup  ## check quality against minimum values; DATA=DIR adds pages of the real web
	$(BIN)/python -m benchmarks.gate $(DATA)

bench: $(BENCHES:%=bench-%)  ## run all benchmarks, Weft and its peers in turn

$(BENCHES:%=bench-%): bench-%: setup
	$(BIN)/python -m benchmarks.$* $(DATA)

study: setup  ## measure whether filtering improves a decoder; an hour on two cores, resumes from STUDY=DIR
	$(BIN)/python -m benchmarks.study $(STUDY)

content-weights: setup  ## retrain the weights of the main content model on DATA=DIR
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt '.[tune]'
	$(BIN)/python -m benchmarks.content_training $(DATA) --write
	$(BIN)/python -m benchmarks.picture_training $(DATA) --write

clip-sample: setup  ## retrain the small CLIP of the sample web
	$(BIN)/python -m tests.sampleweb.clip_training tests/sampleweb/clip

clean:  ## remove everything that make created
	rm -rf $(VENV) $(VENV)-datatrove* runs build dist *.egg-info
