# Two commands on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
BUDGET ?= 180
# Two tests at a time, one thread each: what two cores can do. Each half in its order, so that what the tests of a file
# share is mostly made once; who is done first takes from the other's.
TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: help setup demo test test-long check docs bench clean

help:
	@echo "make demo       train on handwritten digits for three minutes, sample, evaluate: runs/demo/report.html"
	@echo "make test       all checks and tests (make test-long: the long proofs too)"
	@echo "make check      format, lint, types and the floors of the architecture"
	@echo "make docs       the site: tutorials, how-to, reference, explanation: docs/_build/html/index.html"
	@echo "make bench      the scripts behind the published numbers (MNIST=FOLDER for those on MNIST); hours"
	@echo "                NAME=growth ARGS="--only side" is one of them: python -m benchmarks lists them"
	@echo "make setup      .venv with everything that is needed"

# Reinstalled whenever what it depends on has changed; the stamp is written last, so a broken install is tried again.
setup: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ddpm needs Python 3.11 or later; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/ddpm demo --budget $(BUDGET)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports

test: check
	$(TWO) -m 'not long'

test-long: check
	$(TWO)

docs: setup
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,docs]'
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: setup
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,bench]'
ifdef NAME
	$(BIN)/python -m benchmarks $(NAME) $(ARGS)
else
	$(BIN)/python -m benchmarks.agreement
	$(BIN)/python -m benchmarks.sampler_overhead
	$(BIN)/python -m benchmarks.cheap_bound
	$(BIN)/python -m benchmarks.likelihoods
	$(BIN)/python -m benchmarks.beside_peers
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.checkpoint_cost
	$(BIN)/python -m benchmarks.exact_training
	$(BIN)/python -m benchmarks.learned_schedule
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python -m benchmarks.digits
	$(BIN)/python -m benchmarks.time_to_quality
	$(if $(MNIST),$(BIN)/python -m benchmarks.mnist $(MNIST),@echo "MNIST=FOLDER makes the comparison on MNIST too")
endif

clean:
	rm -rf .venv build dist docs/_build docs/generated examples/runs .pytest_cache .ruff_cache
