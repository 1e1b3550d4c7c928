# `make` or `make help` lists the targets. Everything that they need, they install.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SHELLFLAGS := -euo pipefail -c

UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
RUN := $(UV) run --quiet --frozen
SOURCES := operator hack tests bench
# End-to-end tests mostly wait for pods and stages: they run beside each other, each in the order that they are given.
BESIDE := --numprocesses 4 --maxprocesses 4 --maxschedchunk 1
# A test that failed runs once more, up to three of them in a part; how it failed is shown in any case: see
# docs/design/testing.md.
REPEAT := --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks
CLUSTER_CLI := $(RUN) python -m hack.cluster

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_%-]+:.*## / {printf "  \033[1m%-22s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/uv/bin/uv:
	@echo "uv is not here: installing $(UV_VERSION) from PyPI into .tools/uv"
	python3 -m venv .tools/uv
	.tools/uv/bin/pip install --quiet "uv==$(UV_VERSION)"

.PHONY: setup
setup: $(if $(findstring .tools,$(UV)),.tools/uv/bin/uv) ## Install uv (when missing) and the locked Python environment
	$(UV) sync --quiet --frozen

.PHONY: generate
generate: setup ## Write everything that is generated: CRDs, manifests, reference docs
	$(RUN) python -m hack.generate
	$(RUN) python -m hack.generate.manifests

.PHONY: verify
verify: setup ## Fail when something generated is out of date
	$(UV) lock --check --quiet
	$(RUN) python -m hack.generate --check
	$(RUN) python -m hack.generate.manifests --check

.PHONY: lint
lint: setup ## Check style, import contracts and file sizes
	$(RUN) ruff check --quiet $(SOURCES)
	$(RUN) ruff format --quiet --check $(SOURCES)
	$(RUN) lint-imports --no-cache | tail -n 8

.PHONY: type
type: setup ## Check types, strictly
	$(RUN) mypy -p sophia_operator -p hack
	$(RUN) mypy tests bench

.PHONY: test
test: lint type verify ## Everything: checks, then all tests, with the real cluster for the end-to-end ones
	$(CLUSTER_CLI) binaries
	$(CLUSTER_CLI) images
	$(RUN) pytest -m "not e2e and not waits" --numprocesses 2 $(REPEAT)
	$(RUN) pytest -m "e2e or waits" $(BESIDE) $(REPEAT)

.PHONY: test-unit
test-unit: setup ## Only the tests that need no cluster
	$(CLUSTER_CLI) binaries
	$(RUN) pytest -m "not e2e" --numprocesses 2

.PHONY: test-search
test-search: setup ## Property and model tests alone, with other examples each time than `make test` draws
	$(CLUSTER_CLI) binaries
	$(RUN) pytest -m hypothesis --hypothesis-profile=search --numprocesses 2

.PHONY: test-e2e
test-e2e: setup ## Only the end-to-end tests, on the real cluster (brought up if it is not)
	$(CLUSTER_CLI) images
	$(RUN) pytest -m e2e $(BESIDE)

.PHONY: demo
demo: setup ## Bring up everything; a good change, a bad one, failovers, a cache, all under load; then clean up
	$(RUN) python -m hack.demo

.PHONY: cluster-up
cluster-up: setup ## Bring up a cluster with gateway, Prometheus and the operator (CLUSTER=existing|kind|node)
	$(CLUSTER_CLI) up

.PHONY: cluster-down
cluster-down: setup ## Take that cluster away
	$(CLUSTER_CLI) down

.PHONY: images
images: setup ## Build the images
	$(CLUSTER_CLI) images

.PHONY: chart
chart: setup ## Check the Helm chart and package it into dist/
	$(RUN) python -m hack.chart

.PHONY: bench
bench: bench-rollback_latency bench-overhead bench-scale bench-pool_connect bench-pool_failover bench-pool_scale bench-cache_flush bench-cache_scan bench-model_failover bench-recovery-replay ## Run every benchmark; results in out/bench/

.PHONY: bench-%
bench-%: setup
	$(RUN) python -m bench.$(subst -,_,$*)
