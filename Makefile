# Everything runs in .venv, which is made on first use with any Python from 3.11 on.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo demo-review test docs site prove bench corpus format clean

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev --group runtime
	touch $(READY)

demo: $(READY)
	@bash scripts/demo $(abspath $(BIN))/leakfix

# The review on the same service, driven by keys; makes the pictures in docs/screens anew.
demo-review: $(READY)
	@$(BIN)/python scripts/review_screens.py

test: $(READY)
	$(BIN)/pytest -q -n auto --dist loadgroup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python scripts/readme.py
	$(BIN)/python scripts/configuration.py
	$(BIN)/python scripts/frameworks.py

# The documentation as a site, in build/site; nothing is loaded from elsewhere.
site: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Leaky services on a PostgreSQL of their own, under load, before and after their repair; writes docs/proof.md.
PROVE_READY := $(VENV)/.ready-prove
$(PROVE_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group runtime --group apps --group prove
	touch $(PROVE_READY)

prove: $(PROVE_READY)
	@PYTHONPATH=benchmarks $(BIN)/python -m prove $(OPTIONS)

# leakfix beside ruff, ripgrep and others on published packages; writes docs/performance.md.
BENCH_READY := $(VENV)/.ready-bench
$(BENCH_READY): $(READY)
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check ruff semgrep pylint fixit codemodder
	$(BIN)/python -m compileall -q src codemods $(VENV)/lib || true
	touch $(BENCH_READY)

bench: $(BENCH_READY)
	@PYTHONPATH=benchmarks $(BIN)/python -m speed --peers $(abspath $(VENV))/peers/bin $(OPTIONS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# Real code as a yardstick; not part of the tests: it needs the repositories (CORPUS names the folder they are in).
CORPUS ?= .corpus
corpus: $(READY)
	$(BIN)/python scripts/corpus.py --repositories $(CORPUS) $(OPTIONS)
