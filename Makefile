# Works on a machine that has Python and make only; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench docs clean

help:  ## Show what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml
	@echo "Installing PyTorch and the rest into .venv: about 5.5 GB, some minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

install: .venv/installed  ## Install cnnexplain into .venv
	@echo "Installed. Try: $(BIN)/cnnexplain --help"

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

demo: .venv/installed  ## Explain a real photo with the bundled model
	$(BIN)/cnnexplain gradcam bundled:efficientnet_lite0 docs/photos/chelsea.png docs/photos/coffee.png \
		--target top3 -o demo
	@echo "Look at demo/index.html in a browser, or at the pictures beside it."

test: .venv/installed-test  ## Run all tests
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
	@echo "All tests passed. Figures: make bench; the documentation: docs/."

lint: .venv/installed-test  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-bench  ## Measure speed, side by side with the peers
	$(BIN)/python benchmarks/run.py

docs: .venv/installed-docs  ## Make the pictures and the command reference in docs/ anew
	$(BIN)/python docs/make.py

clean:  ## Remove what was installed and made
	rm -rf .venv demo
