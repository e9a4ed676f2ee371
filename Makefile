# The whole contributor interface. `make help` lists it.

.DEFAULT_GOAL := build
SHELL := bash

FILTERS := rate-limit response-cache circuit-breaker trace-headers seawall
# Narrows `make test` to one filter: make test FILTER=rate-limit
FILTER ?=

.PHONY: build
build: ## Build the modules into dist/
	@tools/build.sh $(FILTERS)

.PHONY: envoy
envoy: ## Put Envoy into .tools/
	@tools/setup.sh envoy

.PHONY: tools
tools: ## Put Envoy, and what else the tests need and the machine lacks, into .tools/
	@tools/setup.sh

.PHONY: test
test: tools build ## Run everything: lint, unit and property tests, the cores on wasm32, the real-Envoy tests; FILTER=rate-limit narrows it
	@tools/test.sh $(FILTER)

.PHONY: lint
lint: ## Check the format, clippy, licences and known advisories; RUSTSEC_DB=clone where the database cannot be fetched
	@ADVISORIES=1 tools/lint.sh $(FILTERS)

.PHONY: fmt
fmt: ## Format the code
	@cargo fmt --all

.PHONY: demo
demo: envoy build ## Break things behind a real Envoy and show what each filter does
	@ENVOY_BIN=$${ENVOY_BIN:-$(CURDIR)/.tools/bin/envoy} cargo run --quiet --locked -p seawall-tests --bin demo

.PHONY: run
run: envoy build ## Leave the same stack up; PORT=10000 ADMIN_PORT=9901 ORIGIN_PORT=8081 LIVE_PORT=8090
	@ENVOY_BIN=$${ENVOY_BIN:-$(CURDIR)/.tools/bin/envoy} cargo run --quiet --locked -p seawall-tests --bin run

.PHONY: bench
bench: envoy build ## Measure what each filter costs beside its peers; BENCH="--rounds 9" changes how
	@tools/bench.sh $(BENCH)

.PHONY: cli
cli: ## Build the seawall command into target/release/
	@cargo build --quiet --locked --release -p seawall-cli

.PHONY: package
package: build ## Put checksums and images (OCI layouts, no engine needed) beside the modules in dist/
	@tools/package.sh $(FILTERS)

.PHONY: deny
deny: ## Check licences, sources and known advisories of what is depended on
	@tools/deny.sh --advisories

.PHONY: fuzz
fuzz: ## Fuzz every parser; SECONDS_EACH=20 says for how long
	@tools/fuzz.sh $(or $(SECONDS_EACH),20)

.PHONY: soak
soak: envoy build ## Flood all four filters with a million requests; REQUESTS=1000000
	@tools/soak.sh $(REQUESTS)

.PHONY: versions
versions: envoy build ## Run the real-Envoy tests on the oldest and the newest Envoy
	@tools/versions.sh

.PHONY: reproducible
reproducible: ## Build the modules twice from nothing and compare them
	@tools/reproducible.sh $(FILTERS)

.PHONY: doctor
doctor: ## Say what this computer lacks
	@tools/doctor.sh

.PHONY: clean
clean: ## Remove what was built; .tools/ stays
	@rm -rf target dist

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
