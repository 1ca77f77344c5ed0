# Everything runs in .venv, made from the locks in requirements/. Nothing outside the checkout is needed but Python.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
PERSON ?= priya
ROUNDS ?= 200
PYTEST_ARGS ?= -n 2 --dist loadscope --no-loadscope-reorder
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: -r
# Settings are read by the checks too; these values reach no server.
CHECK := env SECRET_KEY=only-for-checks-abcdefghijklmnopqrstuvwxyz-0123456789 DATABASE_URL=postgres://check@/check?host=/nonexistent
CHECKED := $(CHECK) $(RUN)
LOCK = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 $(UPGRADE)

.PHONY: help run code manage test lint bench races states images lock clean programs
# A lock that is newer than its stamp is installed again; a failed install leaves no stamp.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "AMPDR needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "This Python cannot make environments. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.demo: requirements/demo.txt | $(VENV)/bin/python
	@echo "Installing requirements/demo.txt, a minute or so ..."
	@$(PIP) $< && touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	@echo "Installing requirements/dev.txt, a minute or two ..."
	@$(PIP) $< && touch $@ $(VENV)/.demo

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.demo  ## start the portal with its demonstration world (PORT=8000)
	@exec $(RUN) -m ampdr.run --port $(PORT)

code: $(VENV)/.demo  ## a demo person's code, beside a running `make run` (PERSON=priya)
	@exec $(RUN) -m ampdr.run --manage demo_code "$(PERSON)"

manage: $(VENV)/.demo  ## a management command, beside a running `make run` (ARGS="sync_inventory --dry-run")
	@exec $(RUN) -m ampdr.run --port $(PORT) --manage $(ARGS)

test: $(VENV)/.dev programs lint  ## all checks and all tests (PYTEST_ARGS are handed to pytest)
	$(CHECKED) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(RUN) -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## style, types and the import law
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(CHECKED) -m mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/.dev  ## measure the promised figures
	$(RUN) -m bench

races: $(VENV)/.dev  ## race verbs against each other over HTTP, 200 rounds of each pair (ROUNDS=200), and kills at every moment
	$(RUN) -m tests.races --rounds $(ROUNDS)
	$(RUN) -m pytest tests/kill_moments.py

states: $(VENV)/.demo  ## print every state table
	@$(CHECKED) manage.py print_lifecycles

images: $(VENV)/.dev programs  ## take the pictures of the documentation
	$(RUN) -m tests.images

lock:  ## renew requirements/*.txt from pyproject.toml (needs uv; UPGRADE=--upgrade for newer versions)
	$(LOCK) pyproject.toml -o requirements/production.txt
	$(LOCK) --extra demo pyproject.toml -c requirements/production.txt -o requirements/demo.txt
	$(LOCK) --extra demo --extra dev pyproject.toml -c requirements/demo.txt -o requirements/dev.txt

clean:  ## remove the environment, the caches and the data of `make run`
	@if test -e .run; then rm -rf "$$(readlink -f .run)" .run; fi
	@rm -rf $(VENV) staticfiles test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

programs:
	@{ test -x /usr/bin/chromium && command -v curl >/dev/null; } \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium curl; } \
	  || { echo "The tests need /usr/bin/chromium and curl: install these Debian packages as root."; exit 1; }
