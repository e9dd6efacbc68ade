# Works on a machine that has Python and make only; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# The rooms whose tests need no process of their own and no other library's models.
FAST := tests/contract tests/core tests/commands tests/images tests/render tests/report

.DEFAULT_GOAL := help
.PHONY: help install demo check test lint bench docs clean

help:  ## Show what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml
	@echo "Installing PyTorch and the rest into .venv: about 5.5 GB, some minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# A group of [dependency-groups] in pyproject.toml: test, bench, docs.
.venv/installed-%: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group $*
	touch $@

install: .venv/installed  ## Install cnnexplain into .venv
	@echo "Installed. Try: $(BIN)/cnnexplain --help"

demo: .venv/installed  ## Explain a real photo with the bundled model
	$(BIN)/cnnexplain gradcam bundled:efficientnet_lite0 docs/photos/chelsea.png docs/photos/coffee.png \
		--target top3 -o demo
	@echo "Look at demo/index.html in a browser, or at the pictures beside it."

check: lint  ## Check style and types, and run the fast tests: about three minutes
	$(PYTEST) -m "not slow" $(FAST)

test: .venv/installed-test  ## Run all tests
	$(PYTEST)
	@echo "All tests passed. Figures: make bench; the documentation: docs/."

lint: .venv/installed-test  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(SHELL) cnnexplain/report/scripts/check.sh .venv/typescript

bench: .venv/installed-bench  ## Measure speed, side by side with the peers
	$(BIN)/python benchmarks/run.py

docs: .venv/installed-docs  ## Make the pictures and the command reference in docs/ again
	$(BIN)/python docs/make.py

clean:  ## Remove what was installed and made
	rm -rf .venv demo
