# maskmill's development commands. `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 4200
HEALTHY = import urllib.request; urllib.request.urlopen('$(PREFECT_API_URL)/health', timeout=5)
DETACHED = import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])
export MASKMILL_HOME := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-pythons lint docs serve clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install maskmill into it

# Created again only if the dependencies change.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("maskmill needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 $(or $(MAKECMDGOALS),setup)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Build 256 image/mask pairs with the pocket backbone, and write the report
	$(BIN)/maskmill build --config configs/pocket.yaml --count 256 --out data/demo
	@echo "Open $(CURDIR)/data/demo/report/index.html in a browser."

# Two processes; all tests of a file run in one of them, so that their shared fixtures are built once.
test: $(STAMP) ## Run all tests except the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP) ## Run the slow tests
	$(BIN)/python -m pytest -m slow

# Each in an environment of its own, .venv-3.12 for example, which a later call uses again.
test-pythons: ## Run `make test` on the other versions of Python that maskmill supports, where they are installed
	@for python in python3.12 python3.13; do \
	  if $$python -c '' 2>/dev/null; then $(MAKE) PYTHON=$$python VENV=.venv-$${python#python} test || exit 1; \
	  else echo "skipped: no $$python on the PATH"; fi; done

lint: $(STAMP) ## Check style, formatting, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy flows tasks analysis storage models benchmarks maskmill tests
	$(BIN)/codespell

docs: $(STAMP) ## Build the documentation site into site/ and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The server runs in a separate session, so that Ctrl-C reaches the worker first, which needs the server to stop.
# Not `server start --background`: that server dies at its first log line, since nothing reads it (prefect 3.8.8).
serve: export PREFECT_API_URL := http://127.0.0.1:$(PORT)/api
serve: export PREFECT_LOGGING_EXTRA_LOGGERS := models,storage,analysis
serve: $(STAMP) ## Run a Prefect server, a worker and the deployments on this machine until Ctrl-C
	@mkdir -p runs; \
	$(BIN)/python -c "$(DETACHED)" $(BIN)/prefect server start --port $(PORT) > runs/server.log 2>&1 & server=$$!; \
	trap 'kill $$server 2>/dev/null; wait $$server' EXIT; trap 'exit 0' HUP INT TERM; \
	for second in $$(seq 60); do $(BIN)/python -c "$(HEALTHY)" 2>/dev/null && break; sleep 1; done; \
	$(BIN)/prefect work-pool create local --type process --overwrite > runs/deploy.log && \
	$(BIN)/prefect --no-prompt deploy --all >> runs/deploy.log && \
	echo "Open http://127.0.0.1:$(PORT)/deployments in a browser and start a build there. Ctrl-C stops everything." && \
	$(BIN)/prefect worker start --pool local

clean: ## Remove the environment and caches; data/ and runs/ stay
	rm -rf .venv .venv-3.* site .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
