# `make demo` and `make test` are all that a newcomer needs; each makes its own .venv.
VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
TORCH  ?= 1
export PYTHON TORCH

.PHONY: demo test lint bench clean

demo: $(VENV)/.stamp-core
	$(BIN)/dcsim run scenarios/baseline-10mw-h100.yaml

# Tests start hundreds of processes: each keeps the bytecode of what it imports, and one thread of arithmetic.
test: export PYTHONDONTWRITEBYTECODE :=
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.stamp-test
	scripts/system-deps
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict dcsim calibration reports
	$(BIN)/pytest -n auto --dist worksteal

bench: $(VENV)/.stamp-test
	$(BIN)/python tests/benchmarks/bench.py

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build *.egg-info

$(VENV)/.stamp-core: pyproject.toml constraints.txt scripts/make-venv
	scripts/make-venv core

$(VENV)/.stamp-test: $(VENV)/.stamp-core
	scripts/make-venv test
