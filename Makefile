# Targets for development; `make help` lists them.

PYTHON ?= python3.11
VENV := .venv
CHROMIUM ?= chromium
CHROMEDRIVER ?= chromedriver
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# One worker per core, each taking whole files in order: fixtures are made once per file, and slow files come first.
PYTEST := -m pytest -q --numprocesses logical --dist loadfile --no-loadscope-reorder

export DRAWDOWN_HOME ?= $(CURDIR)/data

.DEFAULT_GOAL := help
.PHONY: help demo run dev test test-rest test-all test-faults test-soak test-duckdb2 test-superset test-clients test-spark bench bench-forecast bench-peer bench-spark docs site lint types check wheel lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed; name another 3.11 or later with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED) ## Run the demo: sandbox vendors, weeks of polling, one refresh, the account table
	$(BIN)/drawdown demo

run: $(INSTALLED) ## Refresh your own accounts once (accounts.toml)
	$(BIN)/drawdown run

dev: $(INSTALLED) ## Start Dagster with its schedules on http://127.0.0.1:3000
	DAGSTER_HOME="$${DAGSTER_HOME:-$(DRAWDOWN_HOME)/dagster}" $(BIN)/drawdown init --dagster
	DAGSTER_HOME="$${DAGSTER_HOME:-$(DRAWDOWN_HOME)/dagster}" $(BIN)/python -m pipeline.orchestration.web_interface dev -w workspace.yaml -h 127.0.0.1

test: $(INSTALLED) ## Run the tests except the long ones, or those that TESTS=... names
	$(BIN)/python $(PYTEST) $(or $(TESTS),-m "not long")

test-rest: $(INSTALLED) ## Run the long tests, which `make test` leaves out
	$(BIN)/python $(PYTEST) -m long

test-all: test test-rest ## Run every test

test-faults: $(INSTALLED) ## Run the fault matrix, and list its passed rows
	$(BIN)/python $(PYTEST) -m faults

test-duckdb2: $(INSTALLED) ## Run the tests on DuckDB 2, in a separate environment
	$(PYTHON) -m venv $(VENV)-duckdb2
	$(VENV)-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(VENV)-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps duckdb==2.0.0
	$(VENV)-duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV)-duckdb2/bin/python $(PYTEST) $(TESTS)

test-superset: $(INSTALLED) ## Test the dashboard in a real Superset and Chromium (ten minutes; .venv-superset)
	@command -v $(CHROMIUM) >/dev/null && command -v $(CHROMEDRIVER) >/dev/null || { \
		echo "Chromium and its driver are needed: apt-get install chromium chromium-driver, or name them with CHROMIUM=... CHROMEDRIVER=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)-superset
	$(VENV)-superset/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r bi/superset/requirements.lock
	CHROMIUM="$$(command -v $(CHROMIUM))" CHROMEDRIVER="$$(command -v $(CHROMEDRIVER))" PICTURES="$(VENV)-superset/pictures" \
		$(VENV)-superset/bin/python -m pytest -q bi/superset/test_superset.py

test-clients: $(INSTALLED) ## Test that the vendors' own clients read the declared examples (a minute; .venv-clients)
	$(PYTHON) -m venv $(VENV)-clients
	$(VENV)-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/vendors/clients/requirements.lock
	DRAWDOWN_CLIENTS_PYTHON="$(CURDIR)/$(VENV)-clients/bin/python" $(BIN)/python -m pytest -q tests/vendors/clients

test-spark: $(INSTALLED) ## Test what needs drawdown[spark]: the lake, and a cluster with an S3 server (half an hour; .venv-spark)
	$(PYTHON) -m venv $(VENV)-spark
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.lock
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/lake/requirements.lock
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV)-spark/bin/python -m pytest -q $(or $(TESTS),tests/lake tests/cluster tests/distributed)

test-soak: $(INSTALLED) ## Run faults, kills, random bodies and readers at full length (two hours; writes docs/reliability.md)
	$(BIN)/python -m tests.soak --write

bench: $(INSTALLED) ## Measure speed and growth against their goals (an hour or two; writes docs/performance.md)
	$(BIN)/python -m benchmarks --write

bench-forecast: ## Compare the forecasts with other methods (half an hour; writes docs/forecast-results.md)
	$(PYTHON) -m venv $(VENV)-bench-forecast
	$(VENV)-bench-forecast/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/forecast/requirements.lock
	$(VENV)-bench-forecast/bin/python -m benchmarks.forecast --write

bench-peer: $(INSTALLED) ## Compare with dlt and dbt over the same landing (half an hour; writes docs/performance.md; ENTRIES=50000 only tries it)
	$(PYTHON) -m venv $(VENV)-bench-peer
	$(VENV)-bench-peer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/peer/requirements.lock
	$(BIN)/python -m benchmarks.peer --peer-python $(VENV)-bench-peer/bin/python $(if $(ENTRIES),--entries $(ENTRIES),--write)

bench-spark: ## Compare builds on a Spark cluster of this machine with DuckDB's (half an hour; needs Java; .venv-spark; writes docs/scale.md)
	$(PYTHON) -m venv $(VENV)-spark
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.lock
	$(VENV)-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV)-spark/bin/python -m benchmarks.spark_builds --write

docs: $(INSTALLED) ## Update the generated pages: vendors, dictionary, fault matrix, accounts.example.toml
	$(BIN)/python -m docs.generate

site: $(INSTALLED) ## Build the documentation site into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: $(INSTALLED) ## Check the style of Python and SQL, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/lint-imports --no-cache

types: $(INSTALLED) ## Check types
	$(BIN)/mypy

check: lint types site ## Run every check except the tests: style, types, the site, Dagster definitions
	$(BIN)/dagster definitions validate -w workspace.yaml
	$(BIN)/dg check defs

wheel: $(INSTALLED) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

lock: ## Update the pinned version of every dependency (needs uv)
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --no-strip-extras \
		--group dev --extra postgres --python-version 3.11 pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --no-strip-extras \
		--extra spark --extra postgres --python-version 3.11 --constraint requirements.lock \
		pyproject.toml --output-file requirements-spark.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--constraint requirements-spark.lock tests/lake/requirements.in --output-file tests/lake/requirements.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--constraint requirements.lock benchmarks/forecast/requirements.in --output-file benchmarks/forecast/requirements.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		benchmarks/peer/requirements.in --output-file benchmarks/peer/requirements.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		bi/superset/requirements.in --output-file bi/superset/requirements.lock
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		tests/vendors/clients/requirements.in --output-file tests/vendors/clients/requirements.lock

clean: ## Remove everything that make created; ./data only if it has the demo
	rm -rf $(VENV) $(VENV)-duckdb2 $(VENV)-bench-forecast $(VENV)-bench-peer $(VENV)-superset $(VENV)-clients $(VENV)-spark site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@if [ -e "$(DRAWDOWN_HOME)/sandbox-accounts.toml" ]; then rm -rf "$(DRAWDOWN_HOME)"; fi
