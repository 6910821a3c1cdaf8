# Everything a command needs is made by scripts/setup first; a second run finds it ready and needs no network.

.DEFAULT_GOAL := help
.PHONY: help setup setup-with-clients scenarios test format container shuffle bench mutants clean

# Every process of the suite starts a Python: without bytecode each start takes two to three times as long.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
export PYTHON

BIN := .venv/bin/
# Further options for pytest, e.g. make scenarios ARGS="-k claim"
ARGS ?=
TIMES ?= 20
# What make mutants tries; all five packages by default
PACKAGES ?= guards writers services handlers bus
TYPED := worker sim tests scripts $(wildcard benchmarks)

help:
	@echo 'make scenarios   play every scenario on the embedded Postgres'
	@echo 'make test        format check, lint, types, import contracts, tests, file operations against strace, scenarios'
	@echo 'make format      rewrite the code in the house format'
	@echo 'make container   the scenarios on a Postgres container (needs Docker; SIM_POSTGRES_IMAGE picks the image)'
	@echo 'make shuffle     tests and scenarios TIMES=20 times, each time in another order'
	@echo 'make bench       the benchmarks, as readable tables'
	@echo 'make mutants     changes the worker a line at a time and sees that a test notices (hours; PACKAGES="guards writers")'
	@echo 'make clean       remove .venv and caches'
	@echo
	@echo 'ARGS="..." is passed to pytest; PYTHON=/path/to/python3.x picks the Python for .venv.'

setup:
	@scripts/setup

# Other people's clients of the exchange, which tests/clients runs, in an environment of their own.
setup-with-clients:
	@scripts/setup --clients

scenarios: setup
	$(BIN)pytest -n auto sim/scenarios $(ARGS)

test: setup-with-clients
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)mypy $(TYPED)
	$(BIN)lint-imports
	$(BIN)pytest -n auto tests $(ARGS)
	scripts/count_file_operations
	$(BIN)pytest -n auto sim/scenarios $(ARGS)

format: setup
	$(BIN)ruff format .
	$(BIN)ruff check --fix .

container: setup
	$(BIN)pytest -n auto sim/scenarios --postgres=container $(ARGS)

shuffle: setup-with-clients
	scripts/shuffle $(TIMES) $(ARGS)

bench:
	@scripts/setup --benchmarks
	@for benchmark in benchmarks/[a-z]*.py; do echo "== $$benchmark"; $(BIN)python "$$benchmark" || exit 1; done

mutants:
	@scripts/setup --mutants
	@echo 'on two busy cores guards and writers take about a quarter of an hour each; services, handlers and bus, which need a'
	@echo 'database for most tests, take longer; ARGS=--keep goes on where a run was stopped'
	$(BIN)python -m tests.mutants.run $(ARGS) $(PACKAGES)

clean:
	rm -rf .venv .venv-clients .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find worker sim tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
