# Every target works from nothing: it makes .venv and installs what it needs first. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test slow bench bench-paper bench-posterior bench-agreement bench-groups bench-own bench-checks bench-comparison bench-models bench-real-models bench-studies calibrate docs pictures check format build clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# Options for what is run, for example: make test ARGS="-k kernels"
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One stamp for each set of extras; a changed pyproject.toml installs again.
$(VENV)/.installed: pyproject.toml .ci/environment
	@.ci/environment $(VENV)
	@touch $@

$(VENV)/.installed-%: pyproject.toml .ci/environment
	@.ci/environment $(VENV) $*
	@touch $@

setup: $(VENV)/.installed-dev ## make .venv with the package and the tools of its developers

demo: $(VENV)/.installed ## run the whole pipeline on a simulated study; tables and pictures
	$(BIN)/hierrl demo

test: setup ## the fast test suite
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile $(ARGS)

slow: setup ## the slow tests
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile $(ARGS)

bench: setup $(VENV)/.installed-bench ## benchmarks against the peers, with ratios
	$(BIN)/python benchmarks/convex.py

# In the reference package threads of BLAS wait for each other over arrays of five numbers.
bench-paper: export OPENBLAS_NUM_THREADS = 1
bench-paper: setup $(VENV)/.installed-bench ## the paper's experiments, and docs/paper.md with what comes out
	$(BIN)/python benchmarks/paper.py $(ARGS)
	$(BIN)/python benchmarks/paper_page.py

calibrate: setup ## calibration of the posteriors, and docs/calibration.md (ARGS=--quick: small, no page)
	$(BIN)/python benchmarks/calibration.py $(ARGS)
	$(if $(findstring --quick,$(ARGS)),,$(BIN)/python benchmarks/calibration_page.py)

# The real studies are not part of the project: make bench-groups DATA=<folder with the tables>
DATA ?= ../shared/data

bench-agreement: setup ## both samplers against each other and against quadrature, and docs/marginal.md
	$(BIN)/python benchmarks/agreement.py $(if $(wildcard $(DATA)),--folder $(DATA)) $(ARGS)
	$(BIN)/python benchmarks/agreement_page.py

bench-groups: setup ## two real studies of groups (DATA=<folder>), and docs/groups.md
	$(BIN)/python benchmarks/groups.py $(DATA) $(ARGS)
	$(BIN)/python benchmarks/groups_page.py

bench-own: setup ## what a gradient of a model of one's own costs
	$(BIN)/python benchmarks/own_model.py

bench-checks: setup ## two real studies checked (DATA=<folder>), and docs/checks.md
	$(BIN)/python benchmarks/checks.py $(DATA) $(ARGS)
	$(BIN)/python benchmarks/checks_page.py

bench-comparison: setup ## models of two real studies compared (DATA=<folder>), and docs/comparison.md
	$(BIN)/python benchmarks/comparison.py $(DATA) $(ARGS)
	$(BIN)/python benchmarks/comparison_page.py

bench-models: setup ## every model of the catalogue tried at everything, and docs/model_table.md
	$(BIN)/python benchmarks/models.py $(ARGS)
	$(BIN)/python benchmarks/models_page.py

bench-real-models: setup ## models of two real studies (DATA=<folder>), and docs/real_models.md
	$(BIN)/python benchmarks/real_models.py $(DATA) $(ARGS)
	$(BIN)/python benchmarks/real_models_page.py

bench-studies: setup ## simulation studies of designs (DATA=<folder>), and docs/studies.md
	$(BIN)/python benchmarks/studies.py $(DATA) $(ARGS)
	$(BIN)/python benchmarks/studies_page.py

bench-posterior: setup $(VENV)/.installed-bench ## the posterior engine against NumPyro, PyMC and Stan, and docs/speed.md
	$(BIN)/python benchmarks/posterior.py $(ARGS)
	$(BIN)/python benchmarks/posterior_page.py

# Code of pages and examples is run, which takes minutes. While writing, leave that out:
# make docs ARGS="-D run_pages=0 -D sphinx_gallery_conf.run_stale_examples=0"
docs: setup $(VENV)/.installed-docs ## the documentation, into docs/_build/html; runs every example in it
	rm -rf docs/generated
	$(BIN)/python -m sphinx -E -W --keep-going --quiet -b html docs docs/_build/html $(ARGS)
	@echo "Open docs/_build/html/index.html"

pictures: setup ## pictures and tables of the documentation that are kept, not made by `make docs`
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_tables.py

check: setup ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup ## mend what lint and formatting can mend by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: setup ## a wheel, tried in an environment of its own
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	.ci/try-wheel $(BIN)/python dist/*.whl

clean: ## remove what the targets made, except .venv
	rm -rf build dist docs/_build docs/examples docs/generated .pytest_cache .ruff_cache .hypothesis
	find hierrl tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
