# One entry for everything. `make test` and `make demo` need only Python, pip and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(shell find src -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
NATIVE_C := $(shell find src tests -name '*.h' -o -path '*/native/*.c')
BINS := $(wildcard bins/*)
CC ?= cc

# At a time: of the fast ones four on two cores, as most wait for processes of theirs as long as
# they compute; of the slow ones, which are whole systems and browsers, two.
PYTEST := $(BIN)/pytest -q -n 4 --dist worksteal
FAST := tests/unit tests/stress tests/system
HOUSE_RULES := tests/unit/test_tidy.py
DAYS := $(wildcard tests/days)
CLIENTS := $(wildcard tests/clients)
# What the days are: how many, and one of them again.
N ?= 1000
SEED ?=
# How many simulated runs of fresh seeds.
SEEDS ?= 10
SOURCE ?=

.PHONY: venv check mentions format test test-slow seeds days nightly explore bench bench-venv bench-against clients clients-venv typescript demo stress chaos wheel dist-wheel clean tools

tools:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON). Install Python 3.11, 3.12 or 3.13, or say PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "wrong version: $$($(PYTHON) --version). Python 3.11, 3.12 or 3.13 is needed; say PYTHON=/path/to/python3.12."; exit 1; }
	@$(PYTHON) -m venv -h >/dev/null 2>&1 || { echo "missing: the venv module (on Debian: apt-get install python3-venv)."; exit 1; }
	@command -v $(CC) >/dev/null || { echo "missing: a C compiler '$(CC)' (on Debian: apt-get install gcc python3-dev), or say CC=/path/to/cc."; exit 1; }
	@$(PYTHON) -c 'import sysconfig, os; sys_h = os.path.join(sysconfig.get_paths()["include"], "Python.h"); raise SystemExit(not os.path.exists(sys_h))' || { echo "missing: Python.h (on Debian: apt-get install python3-dev)."; exit 1; }

$(STAMP): pyproject.toml setup.py requirements.lock $(NATIVE) $(BINS) | tools
	@echo "1 of 3: a virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "2 of 3: $$(grep -c '==' requirements.lock) packages from PyPI into it"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@echo "3 of 3: $(words $(filter %.pyx,$(NATIVE))) native modules, by $(CC): a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "built: ./spread-ctl --help"
	@touch $@

venv: $(STAMP)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(NATIVE_C)
	@# Its workers give up where a machine is so busy that they start late; then one process does it.
	$(BIN)/mypy src tests || $(BIN)/mypy --num-workers 0 src tests
	$(BIN)/pytest -q $(HOUSE_RULES)

# Names in documentation, docstrings and comments that are not there any more.
mentions: $(STAMP)
	$(BIN)/python docs/mentions.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE_C)

# Within twelve minutes on two cores. The house rules were held by `make check`.
test: $(STAMP) typescript
	$(PYTEST) -m "not slow" --ignore $(HOUSE_RULES) $(FAST)

# What takes longer: simulated days, other people's clients, a booted systemd, a browser. Nothing
# collected is pytest's exit code 5, and no failure.
test-slow: $(STAMP) clients-venv typescript
	$(PYTEST) -n 2 -m slow $(FAST) $(DAYS) $(CLIENTS) || [ $$? -eq 5 ]

seeds: $(STAMP)
	$(BIN)/python tests/system/seeds.py --count $(SEEDS)

days: $(STAMP)
	$(if $(DAYS),SPREAD_DAYS=$(N) SPREAD_DAYS_SEED=$(SEED) SPREAD_DAYS_SOURCE=$(SOURCE) $(PYTEST) $(DAYS) --timeout 86400,@echo "there are no days here")

# The long forms, one after the other: hours.
nightly: $(STAMP)
	$(MAKE) check test test-slow
	$(MAKE) explore
	$(MAKE) stress
	$(MAKE) chaos
	$(MAKE) seeds
	$(MAKE) days N=24
	SPREAD_EXPLORE=1 SPREAD_WEEKS=20 $(PYTEST) -m slow tests/unit/alerts/test_week.py
	SPREAD_EXPLORE=1 SPREAD_KILLS=200 $(PYTEST) tests/unit/recorder/test_recorder_process.py
	SPREAD_GATEWAY_S=3600 $(PYTEST) -m slow tests/unit/gateway/test_gateway_stream.py
	SPREAD_FLOOD_S=1800 $(PYTEST) -m slow tests/unit/recorder/test_recorder_process.py
	SPREAD_LOG=long $(PYTEST) -m slow tests/unit/wal/test_log_damage.py

# Other examples of everything that is tried at random, at every run; those of `make test` stay.
explore: $(STAMP)
	SPREAD_EXPLORE=1 $(PYTEST) -m "not slow" $(shell grep -rlE "hypothesis|bed\.seed|bed import .*seed" tests/unit tests/system --include=test_*.py)

stress: $(STAMP)
	SPREAD_EXPLORE=1 SPREAD_STRESS=long $(BIN)/pytest -q tests/stress tests/unit/engine tests/system/test_feed_sim.py --timeout 3600

chaos: $(STAMP)
	SPREAD_CHAOS=long $(BIN)/pytest -q tests/system/test_chaos.py tests/system/test_recorded_day.py --timeout 3600

bench-venv: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.lock

bench: bench-venv
	$(BIN)/spread-bench $(GROUP)

# The feed's and the engine's figures beside those of an earlier commit, which is built for it; ONLY
# some of them (ONLY=engine).
ONLY ?=
TREE ?=
bench-against: bench-venv
	$(BIN)/python tests/bench/against.py $(or $(COMMIT),$(error say COMMIT=...)) --only "$(ONLY)" $(if $(TREE),--tree $(TREE))

# Independent clients keep the simulator honest; their packages never meet the product's.
CLIENTS_VENV := .venv-clients
$(CLIENTS_VENV)/.installed: requirements-clients.lock | tools
	@test -x $(CLIENTS_VENV)/bin/python || $(PYTHON) -m venv $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-clients.lock
	@touch $@

clients-venv: $(CLIENTS_VENV)/.installed

clients: $(STAMP) clients-venv
	$(BIN)/pytest -q tests/clients

# The gateway's client for Node and browsers, where there is npm; elsewhere its tests are skipped by name.
TYPESCRIPT := clients/typescript
$(TYPESCRIPT)/dist/.built: $(addprefix $(TYPESCRIPT)/,package-lock.json tsconfig.json) $(wildcard $(TYPESCRIPT)/src/*.ts)
	cd $(TYPESCRIPT) && npm ci --silent --no-audit --no-fund && npm run --silent build && touch dist/.built

typescript: $(if $(shell command -v npm),$(TYPESCRIPT)/dist/.built)

demo: $(STAMP)
	$(BIN)/spread-ctl demo

# As root it is built by the owner of the checkout: what root leaves there, its owner cannot replace.
OWNER := $(shell [ "$$(id -u)" != 0 ] || stat -c '%u %g' . | grep -v '^0 ')
wheel:
ifneq ($(OWNER),)
	@setpriv --reuid $(word 1,$(OWNER)) --regid $(word 2,$(OWNER)) --clear-groups \
		env HOME="$$(getent passwd $(word 1,$(OWNER)) | cut -d : -f 6)" $(MAKE) --no-print-directory wheel
else
	@$(MAKE) --no-print-directory dist-wheel
endif

dist-wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls -1 dist/*.whl

clean:
	rm -rf $(VENV) build dist src/*.egg-info
	find src -name '*.so' -delete
	find src -name '_*.c' -delete
