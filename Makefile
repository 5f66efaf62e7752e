# `make help` lists the targets. Nothing here needs more than a Rust toolchain and a package manager.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-valkey test-litellm alerts dashboards llmock smtp-sink check lint bench operations bench-peers durability chaos chaos-bugs effects runbook validate-deploy coverage install-deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## watch real jobs go through HTTP, Redis and two worker processes
	@scripts/install-deps.sh redis
	cargo build --locked
	@cargo run --quiet --locked --bin windlass -- demo

TEST_NEEDS := redis promtool alertmanager faketime curl jq openssl
test: ## everything that proves it: unit, property, integration, contract and alert rule tests
	@scripts/install-deps.sh $(TEST_NEEDS)
	@scripts/test.sh

alerts: ## the alert rules with their cases, then a real Prometheus and Alertmanager over a stack whose workers die
	@scripts/install-deps.sh redis promtool alertmanager
	@scripts/alert-rules.sh
	cargo test --locked --test it -- alerts:: --nocapture

dashboards: ## write deploy/grafana/dashboards anew from deploy/grafana/generate.py
	@python3 deploy/grafana/generate.py

check: lint ## formatting, lints, conventions, documentation
	cargo test --locked --test tidy
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	@for script in scripts/*.sh deploy/scripts/*.sh .ci/run; do bash -n "$$script"; done
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo "cargo-deny is not installed: advisories and licences were not checked (bans were)"; fi

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --features chaos --bins --test chaos --test effects -- -D warnings

test-litellm: ## model calls and their costs against LiteLLM's proxy, which it installs (over 700 MB)
	@scripts/litellm.sh >/dev/null
	cargo test --locked --test litellm

llmock: ## only install llmock into target, the judge of LLM calls that `make test` starts
	@scripts/llmock.sh

smtp-sink: ## only install aiosmtpd into target, the mail server that `make test` sends to
	@scripts/smtp_sink.sh

test-cluster: ## the store's tests on a shard of a three-server cluster
	@scripts/install-deps.sh redis
	WINDLASS_TEST_TOPOLOGY=cluster cargo test --locked --test it -- store::

test-valkey: ## the store's tests, and those of a cluster, against valkey-server
	@scripts/install-deps.sh redis
	server=$$(scripts/valkey.sh) && WINDLASS_TEST_SERVER=$$server cargo test --locked --test it -- store:: topology::cluster

bench: ## throughput, latency and memory, as a table (release build)
	@scripts/install-deps.sh redis
	cargo bench --locked --bench queue

operations: ## a million dead letters grouped, looked at and redriven, with a process killed in between
	@scripts/install-deps.sh redis
	cargo bench --locked --bench queue -- operations

bench-peers: ## the same beside BullMQ, apalis-redis, rusty-sidekiq and Dramatiq, which it installs
	@scripts/install-deps.sh redis
	@scripts/install-peers.sh
	cargo bench --locked --bench peers

MINUTES ?= 2
SEED ?= 7
FAULTS ?=
chaos: ## real processes under faults, judged by a checker: MINUTES=30 SEED=42 FAULTS=redis_kill,promotion
	@scripts/install-deps.sh redis faketime
	cargo test --locked --features chaos --test chaos -- run --minutes $(MINUTES) --seed $(SEED) --faults "$(FAULTS)"

BUGS ?=
chaos-bugs: ## the proof that the checker bites: a run for each bug that it must name; BUGS="depth_drift drain_drops"
	@scripts/install-deps.sh redis faketime
	cargo test --locked --features chaos --test chaos -- bugs $(BUGS)

effects: ## 10,000 mails, issues and webhooks, workers killed inside 300 effects; then fewer without the guard, which shows why
	@scripts/install-deps.sh redis
	cargo test --locked --features chaos --test effects -- --jobs 10000 --kills 300
	cargo test --locked --features chaos --test effects -- --jobs 800 --kills 20 --unguarded

ONLY ?=
runbook: ## every command of runbook.md, run against a live stack that is in the trouble it is for (ONLY="Dead letters")
	@scripts/install-deps.sh redis curl jq openssl
	cargo test --locked --test runbook -- $(if $(ONLY),"$(ONLY)")

durability: ## acknowledged jobs lost to failovers and power cuts, by default and under strict (ROUNDS=5)
	@scripts/install-deps.sh redis
	cargo bench --locked --profile dev --bench durability -- $(or $(ROUNDS),5)

validate-deploy: ## compose, image, units, Kubernetes, Helm, proxies and workflows, by the tools that read them
	@scripts/validate_deploy.sh

coverage: ## which lines the tests run, into target/lcov.info; needs cargo-llvm-cov
	@scripts/install-deps.sh $(TEST_NEEDS)
	@scripts/llmock.sh >/dev/null && scripts/smtp_sink.sh >/dev/null && scripts/proxies.sh >/dev/null
	cargo llvm-cov --locked --lcov --output-path target/lcov.info

install-deps: ## only install what demo and test need
	@scripts/install-deps.sh $(TEST_NEEDS)
