# The chores of pg_cdc_ods. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help setup lint unit pgtest e2e test clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing: Debian packages, cargo-pgrx
	@scripts/setup.sh

lint: setup ## formatting and clippy, warnings are errors
	@scripts/test.sh format clippy

unit: setup ## unit tests: no server
	@scripts/test.sh unit

pge2e: setup ## end-to-end tests: real pieces, driven from outside
	@scripts/test.sh e2e

test: setup ## tests inside a server of their own
	@scripts/test.sh pgtest

e2e: setup ## end-to-end tests: real pieces, driven from outside
	@scripts/test.sh e2e

test: setup ## everything that must pass before a change lands
	@scripts/test.sh format clippy docs unit pgtest e2e

clean: ## remove what was built
	@rm -rf target
