# Everything a person needs: `make demo` to see it, `make test` and `make check` to trust it.
VENV ?= .venv
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --locked --no-sync
export PYTHONUTF8 := 1
unexport PYTHONDONTWRITEBYTECODE  # servers, workers and programs start by the dozen

.PHONY: demo serve dash test test-long check format clean

$(VENV)/.synced: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || test -x .uv/bin/uv || { python3 -m venv .uv && .uv/bin/pip install --quiet 'uv>=0.8'; }
	$(UV) sync --locked --quiet
	@touch $@

demo serve dash: $(VENV)/.synced
	@$(RUN) greenroom $@ $(ARGS)

test: $(VENV)/.synced
	$(RUN) pytest -n 4 -q -m "not (live or browser or terminal or quiet or long)" $(ARGS)
	$(RUN) pytest -n 3 -q --dist loadfile -m "(live or browser or terminal) and not (quiet or long)" $(ARGS)  # they mostly wait
	$(RUN) pytest -q -m "quiet and not long" $(ARGS)  # one by one: they measure speed

test-long: $(VENV)/.synced
	$(RUN) pytest -m long $(ARGS)

check: $(VENV)/.synced
	$(RUN) ruff check toolkit tui tests
	$(RUN) ruff format --check toolkit tui tests
	$(RUN) mypy
	$(RUN) lint-imports

format: $(VENV)/.synced
	$(RUN) ruff format toolkit tui tests
	$(RUN) ruff check --fix toolkit tui tests

clean:
	rm -rf $(VENV) .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
