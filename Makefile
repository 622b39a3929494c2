# What a person types here. Needs Python 3.11 to 3.13, git and make; everything else it fetches itself.
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
UV ?= $(BIN)/uv
PYTEST := $(BIN)/python -m pytest
# The tests start a thousand processes: each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help .venv demo test lint types simulate kills chaos planted check security bandit secrets sbom audit coverage bench fairness freshness recovery soak screenshots browser test.browser lock format clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z.]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv: $(READY) ## the virtual environment, from requirements.lock with hashes (redone when that changes)

$(READY): requirements.lock pyproject.toml scripts/make-venv
	@scripts/make-venv
	@touch $@

demo: $(READY) ## the whole product on this machine, against fake vendors
	@$(BIN)/crm-pipeline demo

# One more than there are processors: some tests wait for processes of theirs.
test: $(READY) ## every test but the browser's and the night's, on all processors; ARGS="-k plan" narrows
	@$(PYTEST) -n $$(($$(nproc) + 1)) --dist worksteal -m "not browser and not night" $(ARGS)

test.browser: $(READY) ## the Dagster UI in a real Chromium (make browser gets one): some minutes
	@$(PYTEST) -m browser crm_pipeline_tests/browser $(ARGS)

simulate: $(READY) ## histories of faults and kills, for the night: SEEDS=10000, FIRST=0; POINTS=1 kills everywhere instead
	@$(BIN)/python -m crm_pipeline_tests.simulation --seeds $(or $(SEEDS),500) --first $(or $(FIRST),0) $(if $(POINTS),--points)

kills: $(READY) ## kill -9 before every storage and network call of each command: under an hour; ARGS="--work pull" narrows
	@$(BIN)/python -m crm_pipeline_tests.faults.kills $(ARGS)

chaos: $(READY) ## the product as processes, killed at any moment, with failing disks and vendors; under ten minutes
	@$(PYTEST) -n $$((2 * $$(nproc))) --dist worksteal crm_pipeline_tests/acceptance/test_kills.py crm_pipeline_tests/faults crm_pipeline_tests/webhooks/test_processes.py $(ARGS)

night: $(READY) ## every case that make test leaves out
	@$(PYTEST) -n auto --dist worksteal -m night $(ARGS)

planted: $(READY) ## plant bugs one by one, see that the tests catch each: ARGS="--only 07" narrows; some minutes
	@$(BIN)/python -m crm_pipeline_tests.planted $(ARGS)

check: lint types security ## lint, types and security

lint: $(READY) ## ruff (rules and format) and the import rule
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## put the code into ruff's format
	@$(BIN)/ruff check --fix --select I .
	@$(BIN)/ruff format .

types: $(READY) ## mypy --strict on the package
	@$(BIN)/mypy

security: bandit secrets audit ## bandit, secrets in history, then the locked packages against known vulnerabilities

secrets: $(READY) ## every file of every commit, for what looks like a real secret
	@$(BIN)/python scripts/scan_secrets.py .

sbom: $(READY) ## build/sbom.json: what the product is made of, in CycloneDX, from the lock file
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.json 2>/dev/null
	@echo "build/sbom.json: $$($(BIN)/python -c 'import json; print(len(json.load(open("build/sbom.json"))["components"]))') components"

bandit: $(READY) ## our own code: findings of medium and up fail
	@$(BIN)/bandit --quiet -ll --configfile pyproject.toml --recursive crm_pipeline

audit: $(READY) ## known vulnerabilities; fails as NOT AUDITED when the database is out of reach
	@$(BIN)/python scripts/audit.py requirements.lock

coverage: $(READY) ## branch coverage: 95 % overall, 100 % in core
	@$(BIN)/coverage erase
	@$(PYTEST) -n auto --dist worksteal -m "not browser and not night" --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --fail-under=95
	@$(BIN)/coverage report --include='crm_pipeline/core/*' --fail-under=100

bench: $(READY) ## the measurements of docs and PERFORMANCE; ARGS names one
	@$(BIN)/python -m crm_pipeline_tests.benchmarks $(ARGS)

fairness: $(READY) ## how much later one organisation is served beside another in trouble: some minutes
	@$(BIN)/python -m crm_pipeline_tests.benchmarks.fairness $(ARGS)

freshness: $(READY) ## how long changes take into the CRM while processes are killed; ARGS="--dagster" or "--outage 10000"; ten minutes
	@$(BIN)/python -m crm_pipeline_tests.benchmarks.freshness $(ARGS)

soak: $(READY) ## many simulated days: memory, handles, sizes and times must not grow; ARGS="--days 60"
	@$(BIN)/python -m crm_pipeline_tests.benchmarks.soak $(ARGS)

recovery: $(READY) ## a host dies in the middle of a sync: how long until all is right again; some minutes; ARGS="--times 1"
	@$(BIN)/python -m crm_pipeline_tests.benchmarks.recovery $(ARGS)

screenshots: $(READY) ## take the pictures of the Dagster UI anew
	@$(BIN)/python -m crm_pipeline_tests.browser.screenshots

browser: ## Chromium, for the browser tests
	@scripts/install-browser

lock: ## write requirements.lock anew from pyproject.toml; ARGS="--upgrade" takes newer versions
	@command -v $(UV) >/dev/null || { echo "uv is missing: run 'make .venv' first, or name yours: make lock UV=uv" >&2; exit 1; }
	@$(UV) --no-config pip compile pyproject.toml --extra dev --output-file requirements.lock --quiet \
		--universal --python-version 3.11 --generate-hashes --only-binary :all: \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-build-options $(ARGS)
	@! grep -nE '://|^--|^ *-[a-z]| @ ' requirements.lock || { echo "requirements.lock names a place to fetch from" >&2; exit 1; }
	@echo "requirements.lock: $$(grep -c '==' requirements.lock) packages"

clean: ## remove what the tools left (not .venv, not your data)
	@rm -rf build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find crm_pipeline crm_pipeline_tests -type d -name __pycache__ -prune -exec rm -rf {} +
