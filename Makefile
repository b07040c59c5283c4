# The two commands: `make run` shows a whole night, and with STAY=1 stays up, with its console; `make test` proves the
# house. Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where containers set it, each process that a test begins, and each worker of pytest, would compile all of it anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint rewritten types tests cover databases servers stories faults damage chaos soak fuzz bench env lock clean

run: env
	@$(BIN)/nightkey demo $(if $(STAY),--stay)

# mypy keeps one core busy: the tests begin beside it. Each worker of pytest would read and rewrite all tests anew
# where no other has: so one does, beside the linters.
test: env
	@$(MAKE) --no-print-directory --jobs 2 lint rewritten
	@$(MAKE) --no-print-directory --jobs 2 types tests

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# What is wrong with a test that cannot be read is said by `tests`
rewritten: env
	@$(BIN)/pytest --collect-only -qq --numprocesses 0 >/dev/null 2>&1 || true

types: env
	$(BIN)/mypy

# Two cores have work for three: many tests wait for a process or a server
tests: env
	MAKEFLAGS= $(BIN)/pytest --numprocesses 3 --dist worksteal

# The same tests, with what they leave out
cover: env
	$(BIN)/pytest --numprocesses 2 --dist worksteal --cov --cov-report=term:skip-covered

# What is decided by rules, on PostgreSQL as well: `make test` asks most of it on SQLite alone
databases: env
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m "long and rules"

# Against the servers that the system's packages bring (OpenSSH, Postfix with Dovecot, RabbitMQ, PgBouncer), and
# Valkey: by files, for each of them is begun once for all tests of its file
servers: env
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m long --ignore tests/integration/console tests/integration

# The longest stories: the README's walk, the demonstration, an `up` whose processes are killed, a hunt for values
# after a whole night, and every page of the console under axe
stories: env
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m long tests/acceptance tests/contract tests/integration/console

# Kills at every point of every story of a rotation, and more chaos, on both databases (make faults ONLY=sqlite:
# on one), and an `up` whose wall clock jumps
faults: env
	$(BIN)/pytest --numprocesses 2 -m long tests/faults $(if $(ONLY),-k "$(ONLY) or wall_clock")

# A whole night for each kind of damage that each stored field can take, and statements over tens of thousands of rows
damage: env
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m long tests/services/test_damage.py tests/services/test_mac_writing.py

# Rotations among kills, doubled and lost messages, faults and clock jumps: make chaos N=10000 SEED=1
N := 1000
DATABASE := sqlite
chaos: env
	$(BIN)/python -m tests.faults.chaos --rotations $(N) $(if $(SEED),--seed $(SEED)) --database $(DATABASE)

# `nightkey up` while its database, its broker and its workers are stopped, restarted and emptied, by chance:
# make soak MINUTES=60 ENGINES=postgresql+rabbitmq SEED=1
MINUTES := 3
ENGINES := sqlite+folder
soak: env
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --engines $(ENGINES) $(if $(SEED),--seed $(SEED))

# Hostile input by chance: make fuzz SECONDS=600 SEED=1
SECONDS := 60
fuzz: env
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# make bench WRITE=1 writes the tables into deploy/figures.md. Full sizes are asked for by hand: the page has them
FIGURES := rotations life roles workers durable memory audit messages sweeps scan looks notices start
bench: env
	$(BIN)/python -m tests.benchmarks.peers
	for name in $(FIGURES); do \
	  $(BIN)/python -m tests.benchmarks.$$name $(if $(WRITE),--write deploy/figures.md) || exit 1; \
	done
	$(BIN)/python -m tests.benchmarks.documents
	$(BIN)/python -m tests.benchmarks.masking
	$(BIN)/python -m tests.benchmarks.wrong_keys
	$(BIN)/python -m tests.benchmarks.lists

env: $(VENV)/.made

# Made anew when the lock changes; a half-made one has no mark and is made again. The lock is whole, so that nothing
# is resolved: a resolver wants hashes for `coverage[toml]` from the day on which a newer coverage comes out.
$(VENV)/.made: requirements.lock pyproject.toml deploy/demo/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Nightkey needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Making $(VENV) from requirements.lock (about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable deploy/demo
	@touch $@

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --quiet --group dev --extra postgres --extra ssh --extra soap --extra jwt --extra web --extra redis --extra demo --no-emit-package nightkey-demo --no-emit-package nightkey pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
