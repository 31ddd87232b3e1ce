# A newcomer's two commands: `make demo` and `make test`. Only Python >= 3.11 and make are needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

SECONDS ?= 600

.PHONY: demo case-study test faults fuzz clean

demo: $(READY)
	$(BIN)/halfmap demo --out halfmap-demo --overwrite

case-study: $(READY)
	$(BIN)/python examples/case_study.py --out halfmap-case-study

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --cov --cov-report=term

# What halfmap does when things go wrong: docs/FAULTS.md
faults: $(READY)
	$(BIN)/python -m pytest tests/faults tests/fuzz tests/contracts/test_resume.py tests/jobs/test_kept.py

# The readers of STAR, MRC and .cs meet changed files; make fuzz SECONDS=60 for less processor time each
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# The marker is written last, so an installation that broke off is begun again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "halfmap needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $(READY)

clean:
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .coverage halfmap-demo halfmap-case-study
