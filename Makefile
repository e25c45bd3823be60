# The set-up contract: `make setup`, `make demo`, `make test`. Everything lives in .venv, ui/node_modules and data/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PAGE := src/laotie/web/page/index.html
MAKEFLAGS += --jobs=2  # the environment and the page do not wait for each other

.PHONY: help setup page demo serve test lint types unit races ui-test browser wheel prove bench clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.product $(PAGE) ## The environment in .venv and the built page

demo: setup ## A market with a running show, on http://127.0.0.1:8000
	@$(BIN)/laotie demo

serve: setup ## The empty product
	@$(BIN)/laotie serve

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Laotie needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@echo "· making the environment"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'

$(VENV)/.product: $(BIN)/uv pyproject.toml uv.lock
	@echo "· installing what Laotie runs on"
	@$(BIN)/uv sync --quiet --locked --inexact --compile-bytecode
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.develop: $(VENV)/.product
	@echo "· installing what the tests need"
	@$(BIN)/uv sync --quiet --locked --inexact --compile-bytecode --group dev
	@touch $@

ui/node_modules/.installed: ui/package.json ui/package-lock.json
	@command -v node >/dev/null && node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||a===20&&b>=19?0:1)' || { echo "Building the page needs Node 20.19 or newer." >&2; exit 1; }
	@echo "· installing what the page is built with"
	@cd ui && npm ci --silent --no-audit --no-fund
	@touch $@

page: $(PAGE) ## The viewer's page and the console, built

$(PAGE): ui/node_modules/.installed $(shell find ui/src ui/*.html ui/*.ts ui/public -type f 2>/dev/null | grep -v node_modules) openapi.json
	@echo "· building the page"
	@cd ui && npm run --silent build

test: $(VENV)/.develop $(PAGE) ## Everything, the browser included
	@bin/test

lint: $(VENV)/.develop ## Style, layers, types
	@bin/test lint

unit: $(VENV)/.develop ## The rooms and doors alone
	@bin/test unit

prove: $(VENV)/.develop $(PAGE) ## Longer proofs: races many times over, PostgreSQL 16, big imports
	@bin/prove

wheel: $(VENV)/.product $(PAGE) ## dist/laotie-*.whl, with the page inside
	@$(BIN)/uv build --quiet --wheel

bench: $(VENV)/.product ## The benchmarks, minutes each
	@$(BIN)/laotie bench sale --json
	@$(BIN)/laotie bench fanout --json

clean: ## Remove what was built (not data/)
	rm -rf $(VENV) ui/node_modules src/laotie/web/page dist build
