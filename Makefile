# Every command of the project. `make` lists them.

# The interpreter for the virtual environment. Lambda runs the same version of Python.
PYTHON ?= python3
PORT ?= 3000
STAGE ?= dev
AWS_PORT ?= 4566

# The recipes read these from the environment, so that neither make nor the shell expands them.
override PORT := $(value PORT)
override STAGE := $(value STAGE)
override AWS_PORT := $(value AWS_PORT)
export PORT STAGE AWS_PORT

# So that Python finds the project's modules, pip writes to the virtual environment, files are UTF-8.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_DRY_RUN
export PYTHONUTF8 := 1

ifeq ($(AWS),emulated)
# Made-up credentials; the AWS configuration of this machine does not apply.
unexport $(filter AWS_%,$(.VARIABLES))
override AWS_ENDPOINT_URL := http://127.0.0.1:$(AWS_PORT)
override AWS_ACCESS_KEY_ID := test
override AWS_SECRET_ACCESS_KEY := test
override AWS_DEFAULT_REGION := us-east-1
override AWS_CONFIG_FILE := /dev/null
override AWS_SHARED_CREDENTIALS_FILE := /dev/null
override NO_PROXY := 127.0.0.1,$(NO_PROXY)
override no_proxy := 127.0.0.1,$(no_proxy)
export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION
export AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE NO_PROXY no_proxy AWS_PORT
else ifneq ($(AWS),)
$(error AWS=$(AWS) is not known: write AWS=emulated, or omit it for your AWS account)
endif

# `make test VENV=...` uses an existing virtual environment and installs nothing.
VENV_IS_GIVEN := $(filter command,$(origin VENV))
ifndef VENV_IS_GIVEN
PRINT_VERSION := 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 10) else "")'
VENV := .venv/$(shell "$(PYTHON)" -c $(PRINT_VERSION) 2>/dev/null)
endif
# `exec` leaves no shell between make and the program, so the program ends when make ends.
RUN := @exec "$(VENV)/bin/python" -m

.PHONY: help run-tools dev-tools run test lint format package emulator deploy url logs delete bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: run-tools ## Serve on http://127.0.0.1:3000 and restart after changes (PORT=8000 for another port)
	$(RUN) tools.run "$$PORT" "$$STAGE" </dev/null

test: dev-tools ## Run all tests
	@# Eight at a time: a deploy mostly waits. Tests of one xdist_group share their fixture's server.
	$(RUN) pytest --numprocesses=8 --dist=loadgroup

lint: dev-tools ## Check style, types and workflows
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@exec "$(VENV)/bin/zizmor" --offline --quiet --no-progress .github

format: dev-tools ## Format the code
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

package: run-tools ## Write build/deployment.zip and build/sam.json (STAGE=prod for prod)
	$(RUN) tools.package "$$STAGE" </dev/null

emulator: dev-tools ## Start an emulated AWS on this machine (for AWS=emulated)
	$(RUN) emulated.aws "$$AWS_PORT"

deploy url logs delete: run-tools
	$(RUN) tools.deploy $@ "$$STAGE" </dev/null
deploy: ## Deploy to your AWS account (AWS=emulated for the emulated one, STAGE=prod for prod)
url: ## Print the URL of the deployed API
logs: ## Print the logs of the last ten minutes
delete: ## Delete the deployment

bench: dev-tools ## Run the benchmark (about four minutes)
	$(RUN) benchmarks.measure

clean: ## Remove builds, installations and caches
	rm -rf build .venv .chalice/deployments .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Each version of Python has its own virtual environment.
run-tools dev-tools:
ifeq ($(VENV),.venv/)
	@echo 'You need Python 3.10 or newer; choose it, for example: make PYTHON=python3.12' >&2; exit 1
else ifndef VENV_IS_GIVEN
	@exec "$(PYTHON)" -m tools.install "$(VENV)" $(@:-tools=)
endif
