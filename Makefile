# `make help` lists the targets. A virtual environment is made once in .venv, and again only when the lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The name of a stamp holds the checksum of what it stands for, so a changed lock has no stamp yet.
RUN_STAMP := $(VENV)/run-$(firstword $(shell cksum < requirements.txt))
DEV_STAMP := $(VENV)/dev-$(firstword $(shell cksum < requirements-dev.txt))
NODE_STAMP := tests/js/node_modules/.done-$(firstword $(shell cksum < tests/js/package-lock.json))
# Some systems ship Python without ensurepip: then the pip outside installs into the environment.
PIP = $(shell $(BIN)/python -m pip --version >/dev/null 2>&1 && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
# Shows how far pip is, and its last lines if it fails.
INSTALL = $(BIN)/python -m pxbin_site.processes.install_progress $(PIP) install --progress-bar off --disable-pip-version-check --no-input --require-hashes
NPM = $(BIN)/python -m tests.support.npm
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --system-certs
# Else every process of the tests compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE
# A file's tests share one worker, and its gateway; files begin in the order of tests/support/marks.py.
PARALLEL = -n auto --dist loadfile --no-loadscope-reorder
# Without gateways to share, a worker that has nothing left takes tests of the other.
QUICK_PARALLEL = -n auto --dist worksteal
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test quick check proof bench audit dist lock format clean coverage

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

run: $(RUN_STAMP) ## Start the gateway (http://127.0.0.1:8080 unless PXBIN_LISTEN_ADDR says otherwise)
	@exec $(BIN)/python manage.py serve $(ARGS)

test: $(DEV_STAMP) $(NODE_STAMP) ## Run every test, small sizes (ARGS="tests/proxy -x" runs some)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

quick: $(DEV_STAMP) ## Run the tests that need no server, process or browser (about a minute)
	@$(BIN)/python -m pytest $(QUICK_PARALLEL) -m "not e2e and not slow" --ignore tests/e2e $(ARGS)

proof: $(DEV_STAMP) $(NODE_STAMP) ## Run the same tests in full sizes, one after the other
	@PXBIN_TEST_SIZE=proof $(BIN)/python -m pytest --timeout 3600 $(ARGS)

coverage: $(DEV_STAMP) ## Measure the coverage of the pure translation by its own tests; fails below the bound
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --cov=proxy.translation --cov-branch --cov-report=term:skip-covered --cov-fail-under=95 tests/proxy/translation

check: $(DEV_STAMP) ## Check style, types, imports, migrations and settings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.support.checks

bench: $(DEV_STAMP) ## Measure CPU time, throughput, latency and memory of the gateway
	@$(BIN)/python -m bench $(ARGS)

audit: $(DEV_STAMP) ## Compare the pinned packages with the advisories on PyPI (needs the network)
	@$(BIN)/uvx --quiet pip-audit --disable-pip --require-hashes --requirement requirements.txt
	@$(BIN)/uvx --quiet pip-audit --disable-pip --require-hashes --requirement requirements-dev.txt

format: $(DEV_STAMP) ## Put the code into the form that `make check` asks for
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: env-example
env-example: $(RUN_STAMP) ## Generate .env.example from the settings (pxbin_site/conf/config.py)
	@$(BIN)/python -m pxbin_site.conf.env_example

.PHONY: translation-table
translation-table: $(DEV_STAMP) ## Generate docs/translation.md from the SDKs' types and the code
	@$(BIN)/python -m tests.support.feature_table

dist: $(DEV_STAMP) ## Build dist/pxbin.pyz: the gateway in one file, for this platform and version of Python
	@$(BIN)/python .ci/single_file.py

lock: $(DEV_STAMP) ## Pin the newest allowed dependencies, with hashes and without host names
	@$(LOCK) --upgrade --output-file requirements.txt requirements.in
	@$(LOCK) --upgrade --output-file requirements-dev.txt --constraints requirements.txt requirements-dev.in

clean: ## Remove the virtual environment, the npm packages and the caches; the data stays
	@rm -rf $(VENV) tests/js/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=/path/to/it says where it is" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)

$(RUN_STAMP): | $(BIN)/python
	@echo "Installing what requirements.txt pins into $(VENV): once, one to three minutes"
	@$(INSTALL) -r requirements.txt
	@rm -f $(VENV)/run-* && touch $@

$(DEV_STAMP): | $(BIN)/python
	@echo "Installing what requirements-dev.txt pins into $(VENV): once, two to four minutes"
	@$(INSTALL) -r requirements-dev.txt
	@rm -f $(VENV)/dev-* $(RUN_STAMP) && touch $@ $(RUN_STAMP)

$(NODE_STAMP): | $(DEV_STAMP)
	@echo "Installing what tests/js/package-lock.json pins (once)"
	@$(NPM) --prefix tests/js ci --loglevel=error
	@touch $@
