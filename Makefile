# The chores of pg_cdc_ods. `make help` lists them; scripts/ does them.

.DEFAULT_GOAL := help
.PHONY: help setup build demo bench test unit pgtest e2e fuzz lint fmt install clean

# Of `make demo`: events a minute (0 or max: as many as go), seconds (until Ctrl-C if empty; `make fuzz` has it, too), seed
# of the generator (any if empty; 1 for `make bench`).
export RATE ?= 5000
export DURATION ?=
export SEED ?=

# Of `make bench`: 1 for a run of minutes, names of measures with commas between them (all if empty), and orders of the
# grown store (2,000,000 if empty), and a Python that has Pathway, to have that measured, too. It has SEED as well.
export QUICK ?=
export ONLY ?=
export STORED_ORDERS ?=
export PATHWAY_PYTHON ?=

help: ## show this list
	@sed -n -E 's/^([a-z][a-z0-9]*):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## install what is missing: Debian packages, cargo-pgrx, libsolclient
	@scripts/setup.sh

build: setup ## build bridge and extension for production into target/release
	@scripts/build.sh release

demo: ## the whole pipeline, live; RATE=5000 events a minute, DURATION= seconds, SEED=
	@setpriv --pdeathsig TERM scripts/demo.sh

bench: ## measure the extension beside hand-written SQL and PostgreSQL's limits; QUICK=1, SEED=1, ONLY=apply,copy
	@setpriv --pdeathsig TERM scripts/bench.sh

test: ## everything that must pass before a change lands
	@scripts/test.sh

unit: ## the tests that need no server
	@scripts/test.sh unit

pgtest: ## the tests inside a server
	@scripts/test.sh pgtest

e2e: ## the tests of the real pieces together
	@scripts/test.sh e2e

fuzz: ## a long run of the property tests, of which `make unit` has a short one; DURATION=600 seconds
	@scripts/fuzz.sh

lint: ## formatting, clippy and documentation; a warning is an error
	@scripts/test.sh format clippy docs

fmt: ## format the code
	@cargo fmt --all

install: setup ## install the extension into the system's PostgreSQL
	@scripts/install.sh

clean: ## remove what was built; what setup installed stays
	@rm -rf target
