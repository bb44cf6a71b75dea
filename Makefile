# The commands of this project, for people and for CI alike.
#
#   make demo                         build the default bundle and ask it a few questions
#   make test                         run the tests, in two processes; WORKERS=1 takes half the memory
#   make test-device                  run the tests that boot an emulated ARM board (QEMU; root for the first time)
#   make demo PIP_ARGS="--pre …"      anything pip should know; PYTHON=python3.12 picks the interpreter
#
# A torch that is installed already, in .venv or for $(PYTHON), is kept.

PYTHON ?= python3
PIP_ARGS ?=
# Each takes a gigabyte and builds the small bundles that it needs; a file's tests stay together, as its fixtures do.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
BUNDLE := build/python-library/bundle

# The newest torch that this project was tested with, for a machine that has none.
TORCH := torch<2.14
HAS_TORCH = $(1) -c 'import importlib.util as u; raise SystemExit(u.find_spec("torch") is None)' 2>/dev/null

.PHONY: help demo test test-device check format bench clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.build
	$(BIN)/edge-build build bundles/python-library.yaml
	@printf '%s\n' \
	    "delete a whole directory tree" \
	    "parse a date out of a string" \
	    "run another program and capture its output" \
	    "wait until a thread has finished" \
	    "find files by wildcard pattern" \
	    "compress a file" \
	  | $(BIN)/edge-runtime search $(BUNDLE) -k 3

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered

test-device: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -rs -m "device and not long"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: demo
	$(BIN)/python benchmarks/latency.py $(BUNDLE)

clean:
	rm -rf $(VENV) build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $$($(call HAS_TORCH,$(PYTHON)) && echo --system-site-packages) $(VENV)

$(VENV)/.build $(VENV)/.dev: $(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) \
	    $$($(call HAS_TORCH,$(BIN)/python) || echo '$(TORCH)') -e '.[$*]'
	@touch $@
