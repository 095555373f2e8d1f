# Every command of the project. `make` lists them.

# The interpreter that the virtual environment is made from; Lambda runs the same version of Python.
PYTHON ?= python3
PORT ?= 3000
STAGE ?= dev
AWS_PORT ?= 4566

ifeq ($(AWS),emulated)
# Made-up credentials, and nothing of what may be configured on this machine.
export AWS_ENDPOINT_URL := http://127.0.0.1:$(AWS_PORT)
export AWS_ACCESS_KEY_ID := test
export AWS_SECRET_ACCESS_KEY := test
export AWS_DEFAULT_REGION := us-east-1
export AWS_CONFIG_FILE := /dev/null
export AWS_SHARED_CREDENTIALS_FILE := /dev/null
export NO_PROXY := 127.0.0.1
export no_proxy := 127.0.0.1
unexport AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
else ifneq ($(AWS),)
$(error AWS is emulated, or left out)
endif

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv/$(VERSION)
BIN := $(VENV)/bin

.PHONY: help run test lint format package emulator deploy url logs delete bench clean

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' Makefile | expand -t 18

run: $(VENV)/installed ## Serve on http://127.0.0.1:3000, reloading (PORT=8000 for another port)
	@$(BIN)/python -m tools.run "$(PORT)" </dev/null

test: $(VENV)/installed ## Run all tests
	@# Eight at once: a deploy mostly waits. Tests of one xdist_group share what their fixture starts.
	@$(BIN)/pytest --numprocesses=8 --dist=loadgroup

lint: $(VENV)/installed ## Check style, types and workflows
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --offline --quiet --no-progress .github

format: $(VENV)/installed ## Put the code into its style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

package: $(VENV)/installed ## Write build/deployment.zip and build/sam.json (STAGE=prod for prod)
	@AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} \
		$(BIN)/python -m tools.package .chalice/deployed package $(STAGE) $(CURDIR)/build

emulator: $(VENV)/installed ## Start an emulated AWS on this machine, for AWS=emulated below
	@$(BIN)/python -m emulated.aws "$(AWS_PORT)"

deploy url logs delete: $(VENV)/installed
	@$(BIN)/python -m tools.deploy $@ "$(STAGE)"
deploy: ## Deploy to your AWS account (AWS=emulated: to the emulated one; STAGE=prod for prod)
url: ## Print the address of what is deployed
logs: ## Print the logs of the last ten minutes
delete: ## Delete what was deployed

bench: $(VENV)/installed ## Measure against no framework and the alternatives, in about two minutes
	@$(BIN)/python -m benchmarks.run

clean: ## Remove everything that was built or installed
	rm -rf build .venv .chalice/deployments

# One environment for each version of Python, made again only when the requirements change.
$(VENV)/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo 'Python 3.10 or newer is needed; say which: make PYTHON=python3.12'; exit 1; }
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
