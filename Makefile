# Trunkline. `make run` builds and starts it, `make test` runs every test, `make e2e` talks to a real model.
# The first build takes some minutes on two cores; later ones take seconds.

CARGO ?= cargo
ARGS ?=
ROUNDS ?= 2000
SEED ?= $(shell date +%s)

.PHONY: help run build test soak bench bench-parts bench-scale bench-soak bench-spend guard e2e fmt lint deny

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: ## Build and start (ARGS="--config config.yaml --port 4000")
	$(CARGO) run --release --locked -- $(ARGS)

build: ## Build the release binary
	$(CARGO) build --release --locked

test: ## Every test: format, lints, unit, integration, docs, SDKs
	bash tests/run.sh

soak: ## Kills the gateway thousands of times and checks its books (ROUNDS=2000 SEED=1)
	TRUNKLINE_SOAK_ROUNDS=$(ROUNDS) TRUNKLINE_SOAK_SEED=$(SEED) $(CARGO) test --locked --test it -- --nocapture killed_at_any_moment

e2e: ## A real small language model behind the gateway
	bash tests/e2e/run.sh

bench: ## What it costs beside nginx (ARGS=--quick; BENCH_PEERS=1 beside LiteLLM too)
	bash bench/run.sh run $(ARGS)

bench-parts: ## How long the parts take that every request pays for, timed by Criterion
	$(CARGO) run --release --features criterion --manifest-path bench/guard/Cargo.toml --target-dir target/guard

bench-scale: ## Its cost by the number of keys, deployments and streams, drawn into docs/performance.md
	bash bench/run.sh scale $(ARGS)

bench-soak: ## Half an hour at a constant rate with 50,000 keys: does anything grow? (ARGS="--minutes 5")
	bash bench/run.sh soak $(ARGS)

guard: ## Instructions and system calls of a request against their budget (BLESS=1 rewrites it)
	BLESS=$(BLESS) python3 bench/guard.py

bench-spend: ## How long questions to large books take, on SQLite and PostgreSQL (TRUNKLINE_BENCH_ROWS)
	$(CARGO) test --release --locked --test it -- --ignored --nocapture --test-threads 1 spend_bench

fmt: ## Format the sources
	$(CARGO) fmt --all

lint: ## Lints, warnings denied
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny: ## Licences, duplicate and banned crates, advisories (needs cargo-deny)
	$(CARGO) deny check
