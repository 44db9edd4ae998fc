# Each target installs what it lacks (packages by apt, crates by cargo, Python's by pip) and keeps it in
# ~/.cache/weir. The steps are in scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo test chaos ci bench bench-cluster fuzz images release fmt docs

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Decode a real capture to Parquet and query it
	@scripts/demo.sh

test: ## Run all tests, and read the records with other programs
	@scripts/test.sh

chaos: ## Kill and cut off everything at random, SEEDS times (200) from FIRST_SEED (1): no record is lost or doubled
	@scripts/chaos.sh

ci: ## What must pass before a change lands: test, formatting, lints, licences, docs
	@scripts/ci.sh

bench: ## Measure speed, beside the limits of this machine
	@scripts/bench.sh

bench-cluster: ## Measure agent, processor, sink and broker: costs, or WHAT=restart, types, day
	@scripts/bench-cluster.sh

fuzz: ## Run each fuzz target for SECONDS_EACH seconds (300)
	@scripts/fuzz.sh

images: ## Build the images without an engine, and run their programs as containers do
	@scripts/images.sh

release: ## Make a release of the commit for this machine's architecture; with CHECK=1 twice, and compare
	@scripts/release.sh

fmt: ## Format the code
	@git ls-files '*.rs' | xargs rustfmt --edition 2024

docs: ## Write the pages of docs/ that are generated, and the code's own documentation
	@scripts/docs.sh
