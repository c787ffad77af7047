PYTHON ?= python3
PIP_ARGS ?=
STEPS ?= 200000
MINUTES ?= 10
PROCESSES ?= 2
PROMPTS ?= 2000
STREAMS ?= 500
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo bench test soak chaos storm streams check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12  the Python that .venv is made with"
	@echo "  PIP_ARGS='...'     more arguments for pip install"
	@echo "  ARGS='...'         arguments for rowmill demo or bench, or for pytest"
	@echo "  PROCESSES=2        how many processes share the tests; 0: none but pytest itself"
	@echo "  STEPS=200000       how many engine steps a soak makes"
	@echo "  MINUTES=10         how long a chaos run pushes jobs"
	@echo "  PROMPTS=2000       how many prompts a storm samples"
	@echo "  STREAMS=500        how many streams a gateway bears at once"

install: $(STAMP) ## make .venv with what is tested; nothing to do when it is current

$(STAMP): pyproject.toml constraints.txt scripts/install_test_programs.sh $(wildcard engine/native/*.cpp engine/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Rowmill needs Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	sh scripts/install_test_programs.sh
	@touch $@

demo: install ## ask the shipped model questions through the queue
	$(BIN)/rowmill demo $(ARGS)

bench: install ## measure the engine side by side with others; about half an hour
	$(BIN)/rowmill bench $(ARGS)

test: install ## run all tests, in PROCESSES side by side
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

soak: install ## search for a row that its company changes, for STEPS engine steps
	$(BIN)/python -m pytest -s tests/engine/test_soak.py --soak-steps $(STEPS) $(ARGS)

chaos: install ## kill, stop and cut off all that a queue hangs on, for MINUTES minutes
	$(BIN)/python -m pytest -s tests/integration/chaos/test_chaos.py \
		--chaos-seconds $$(( $(MINUTES) * 60 )) $(ARGS)

storm: install ## kill rowmill sample and all that it starts, until PROMPTS prompts are sampled
	$(BIN)/python -m pytest -s tests/integration/chaos/test_sample_storm.py \
		tests/integration/test_sample_kill.py --kill-stride 1 --timeout 0 \
		--sample-prompts $(PROMPTS) $(ARGS)

streams: install ## let a gateway bear STREAMS streams at once, over and over; it must not grow
	$(BIN)/python -m pytest -s tests/integration/test_gateway_soak.py --timeout 0 \
		--soak-streams $(STREAMS) --soak-rounds 20 $(ARGS)

check: install ## lint, format, types and the import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_arrows.py

clean: ## remove .venv and what builds and tests leave behind
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f engine/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
