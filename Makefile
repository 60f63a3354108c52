# Each target sets up what it needs: a .venv with the command `zhengzhao` in it.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup programs demo test test-fast test-soak lint lock schemas soak clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready ## .venv with the command zhengzhao

.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; hint: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

programs: ## looks for the browser and other programs of the system that the tests use
	@.ci/programs

demo: setup ## the main job told: a day of applications, lives of licences, a registration, a draw
	$(BIN)/zhengzhao demo

test: programs setup lint ## everything: lint, types, import contracts, all tests with real servers and a real browser
	$(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder

test-fast: setup lint ## without servers and slow tests
	$(BIN)/python -m pytest -m "not servers and not slow and not soak" -n 2 --dist loadfile

test-soak: setup ## the long tests that `make test` leaves out
	$(BIN)/python -m pytest -m soak

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

schemas: setup ## writes schemas/exported anew
	$(BIN)/zhengzhao schema export schemas/exported

soak: setup ## long runs with kills at random; writes docs/soak.md
	PYTHONPATH=.:tests/support $(BIN)/python -m tests.soak --kafka

lock: ## writes requirements.txt anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev pyproject.toml requirements-build.in -o requirements.txt

clean: ## removes what make made, never your data
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
