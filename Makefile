# Every command of the project, one line each. `make` lists them.

# The interpreter for the virtual environment. Lambda runs the same version of Python.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 3000
STAGE ?= dev
AWS_PORT ?= 4566

# Neither make nor the shell expands what you set, such as a STAGE with `$(shell ...)` in it: `value`
# is the text itself, and the recipes read it from the environment.
override HOST := $(value HOST)
override PORT := $(value PORT)
override STAGE := $(value STAGE)
override AWS_PORT := $(value AWS_PORT)
export HOST PORT STAGE AWS_PORT

# Drop variables that redirect imports or pip; use UTF-8.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_DRY_RUN
export PYTHONUTF8 := 1

AWS_OPTIONS := --stage "$$STAGE"
ifeq ($(AWS),emulated)
AWS_OPTIONS += --emulated --emulator-port "$$AWS_PORT"
else ifneq ($(AWS),)
$(error Unknown AWS=$(AWS). Use AWS=emulated, or leave AWS unset)
endif
# `make run` uses your account if you name its profile here, not in the shell's environment.
ifeq ($(origin AWS_PROFILE),command line)
override AWS_PROFILE := $(value AWS_PROFILE)
export AWS_PROFILE
AWS_OPTIONS += --profile "$$AWS_PROFILE"
endif

ifeq ($(origin VENV),command line)
# `make test VENV=...` uses an existing virtual environment: there is nothing to install.
KIT :=
DEV :=
else
# make's own is one for each version of Python. Two empty files in it say what is installed: KIT the
# kit, and DEV what else you need for development.
PRINT_VERSION := 'import sys; print("%d.%d" % sys.version_info[:2])'
VERSION := $(or $(shell "$(PYTHON)" -c $(PRINT_VERSION) 2>/dev/null),none)
VENV := .venv/$(VERSION)
KIT := $(VENV)/kit
DEV := $(VENV)/dev
endif
# `exec` leaves no shell between make and the program, so the program ends when make ends.
RUN := @exec "$(VENV)/bin/python" -m
RUN_KIT := $(RUN) chalicekit --make
RUN_IN_KIT := @venv="$$(cd "$(VENV)" && pwd)" && cd kit && exec "$$venv/bin/python" -m

.PHONY: help run test check lint format package emulator deploy url logs delete bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(KIT) ## Serve on http://127.0.0.1:3000 and restart after changes (PORT=8000 for another port)
	$(RUN_KIT) local --host "$$HOST" --port "$$PORT" $(AWS_OPTIONS)

# `chalicekit install` installs requirements.txt, the app's, into build/.
test: $(DEV) ## Test the app: in process, served, and deployed to the emulated AWS
	$(RUN_KIT) install
	$(RUN) pytest

check: lint test ## Check everything: style, types, the app, production, the documents and the kit
	$(RUN) pytest --numprocesses=4 --dist=loadfile production docs benchmarks
	$(RUN_IN_KIT) pytest --numprocesses=4 --dist=loadgroup

lint: $(DEV) ## Check style, types and workflows
	$(RUN_KIT) install
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN_IN_KIT) mypy
	$(RUN) check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@exec "$(VENV)/bin/zizmor" --offline --quiet --no-progress .github

format: $(DEV) ## Format the code
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

package: $(KIT) ## Write build/deployment.zip and build/sam.json (STAGE=prod for prod)
	$(RUN_KIT) package --stage "$$STAGE" --merge-template production/template.json build

emulator: $(KIT) ## Start an emulated AWS on this machine (for AWS=emulated)
	$(RUN_KIT) emulator --port "$$AWS_PORT"

deploy url logs delete: $(KIT)
	$(RUN_KIT) $@ $(AWS_OPTIONS)
# What `make` lists of these.
deploy: ## Deploy dev to your AWS account (AWS=emulated for the emulated one)
url: ## Print the URL of the deployed API
logs: ## Print the logs of the last ten minutes
delete: ## Delete the deployment

bench: $(DEV) ## Run the benchmark (about four minutes)
	$(RUN) benchmarks.measure

clean: ## Remove builds, installations and caches
	rm -rf build .venv .chalice/deployments .mypy_cache .pytest_cache .ruff_cache kit/.*_cache

PIP := @"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile
SITE := $(VENV)/lib/python$(VERSION)/site-packages

$(VENV)/bin/python:
	@case $(VERSION) in \
	3.1[0-4]) exit;; \
	none) reason='$(PYTHON) does not run';; \
	*) reason='Lambda has no Python $(VERSION)';; \
	esac; \
	echo "$$reason: choose Python 3.10 to 3.14, for example make PYTHON=python3.13" >&2; exit 1
	@"$(PYTHON)" -m venv --without-pip $(VENV)

$(KIT): kit/requirements.txt kit/pyproject.toml | $(VENV)/bin/python
	@echo "Installing the kit into $(VENV), which takes 10 seconds or more" >&2
	@"$(VENV)/bin/python" -m ensurepip >/dev/null
	$(PIP) --require-hashes -r kit/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable kit
	@# Python finds the kit, and after it the app's requirements. pip has written the first file with
	@# an absolute path; with this one, the project can be moved.
	@echo ../../../../../kit/src > $(SITE)/chalicekit.pth
	@echo ../../../../../build/requirements/here > $(SITE)/requirements.pth
	@touch $@

$(DEV): requirements-dev.txt $(KIT)
	@echo "Installing the development packages into $(VENV), which takes 20 seconds or more" >&2
	$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
