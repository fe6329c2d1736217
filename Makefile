PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# One worker a core, four at most: more only wait for each other's servers and browsers.
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 4 ? cores : 4)))
# In the order of the folders, so that the files of one find its servers running; sorted by size they would start them anew.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25

.PHONY: run setup test check lock format migration bench clean

run: $(VENV)/.run
	@$(BIN)/python -m app serve

setup: $(VENV)/.dev

test: $(VENV)/.dev
	$(PYTEST)

# Tests are collected once before they run: a name that a test imports in vain is told in seconds, not after all else ran.
check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --collect-only -qq >/dev/null || $(BIN)/python -m pytest --collect-only -q
	$(PYTEST)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Rewrites both lock files from pyproject.toml: hashes, no addresses.
lock: $(VENV)/.dev
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements-dev.lock
	$(BIN)/uv pip compile -q pyproject.toml --generate-hashes --no-header --no-annotate --no-emit-index-url -c requirements-dev.lock -o requirements.lock

# The lock names every package, so nothing is resolved here: --no-deps installs exactly what it lists.
$(VENV)/.run: requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
