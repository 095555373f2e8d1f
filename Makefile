# Every command of the project. `make` lists them.

# The interpreter that the virtual environment is made from; Lambda runs the same version of Python.
PYTHON ?= python3
PORT ?= 3000
STAGE ?= dev
AWS_PORT ?= 4566

# The programs read these from the environment: make and the shell only pass them on.
override PORT := $(value PORT)
override STAGE := $(value STAGE)
override AWS_PORT := $(value AWS_PORT)
export PORT STAGE AWS_PORT

# Python finds the project's modules, pip writes to the virtual environment, and files are UTF-8.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_DRY_RUN
export PYTHONUTF8 := 1

ifeq ($(AWS),emulated)
# Made-up credentials, and nothing of what may be configured on this machine.
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
$(error AWS=$(AWS) is not known: write AWS=emulated, or leave it out)
endif

# `make test VENV=...` takes a virtual environment as it is, and installs nothing.
VENV_IS_GIVEN := $(filter command,$(origin VENV))
ifndef VENV_IS_GIVEN
VERSION := 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 10) else "")'
VENV := .venv/$(shell "$(PYTHON)" -c $(VERSION) 2>/dev/null)
endif
# No shell stays between make and the program, so that what ends make ends the program.
RUN := @exec "$(VENV)/bin/python" -m

.PHONY: help run-tools dev-tools run test lint format package emulator deploy url logs delete bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: run-tools ## Serve on http://127.0.0.1:3000, reloading (PORT=8000 for another port)
	$(RUN) tools.run "$$PORT" "$$STAGE" </dev/null

test: dev-tools ## Run all tests
	@# Eight at once: a deploy mostly waits. Tests of one xdist_group share what their fixture starts.
	$(RUN) pytest --numprocesses=8 --dist=loadgroup

lint: dev-tools ## Check style, types and workflows
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@exec "$(VENV)/bin/zizmor" --offline --quiet --no-progress .github

format: dev-tools ## Put the code into its style
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

package: run-tools ## Write build/deployment.zip and build/sam.json (STAGE=prod for prod)
	@export AWS_DEFAULT_REGION="$${AWS_DEFAULT_REGION:-us-east-1}"; \
		exec "$(VENV)/bin/python" -m tools.package .chalice/deployed package "$$STAGE" build </dev/null

emulator: dev-tools ## Start an emulated AWS on this machine, for AWS=emulated below
	$(RUN) emulated.aws "$$AWS_PORT"

deploy url logs delete: run-tools
	$(RUN) tools.deploy $@ "$$STAGE" </dev/null
deploy: ## Deploy to your AWS account (AWS=emulated: to the emulated one; STAGE=prod for prod)
url: ## Print the address of what is deployed
logs: ## Print the logs of the last ten minutes
delete: ## Delete what was deployed

bench: dev-tools ## Measure against no framework and the alternatives, in about four minutes
	$(RUN) benchmarks.measure

clean: ## Remove everything that was built or installed
	rm -rf build .venv .chalice/deployments

# Each version of Python has a virtual environment of its own.
run-tools dev-tools:
ifeq ($(VENV),.venv/)
	@echo 'Python 3.10 or newer is needed; say which: make PYTHON=python3.12' >&2; exit 1
else ifndef VENV_IS_GIVEN
	@exec "$(PYTHON)" -m tools.install "$(VENV)" $(@:-tools=)
endif
