# make demo, make test, make lint: each makes its own .venv and reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# Your own photos, drawn before the others: make demo PHOTO=me.jpg
PHOTO ?=
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo docs test test-all test-lowest lint clean

help:
	@echo "make demo   skeletons on photographs; then train, quantize and measure a small model"
	@echo "make docs   the documentation site, in build/site"
	@echo "make test   format check, lint, types, tests"
	@echo "make lint   format check, lint, types only"
	@echo "make clean  remove .venv and demo/"

# $(call install,ENVIRONMENT,REQUIREMENTS): by uv where it is there, which is many times as fast.
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
install = $(PYTHON) -m venv $(1) && \
  $(1)/bin/python -m pip install --quiet --disable-pip-version-check -r $(2)
else
install = $(UV) venv --quiet --allow-existing --seed --python $(PYTHON) $(1) && \
  $(UV) pip install --quiet --python $(1)/bin/python -r $(2)
endif

# The stamp is written last, so that an interrupted installation is done again.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  f"keras_pose needs Python 3.11 to 3.13, and {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(call install,$(VENV),requirements.txt)
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python training/demo.py $(PHOTO) --output $(DEMO)

# In an environment of its own: none of it is needed for anything else.
DOCS_VENV := build/docs_venv
$(DOCS_VENV)/.installed: requirements-docs.txt
	$(call install,$(DOCS_VENV),requirements-docs.txt)
	@touch $@

docs: $(DOCS_VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@echo "open build/site/index.html"

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy keras_pose

# One process a core: most of a test is Python building graphs. A process that has no tests
# left takes some from another.
test: lint
	$(BIN)/python -m pytest -m "not very_slow" -n auto --dist worksteal

# Words for pytest, such as a folder of tests, and the file for their CPU seconds.
TESTS :=
SECONDS_FILE := build/cpu_seconds.json
test-all: lint
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest $(TESTS) -n auto --dist worksteal --durations=40 \
	  --kinds --kinds-json $(SECONDS_FILE)

# With the lowest versions of pyproject.toml: what makes files, and what runs them.
LOWEST_VENV := build/lowest_venv
$(LOWEST_VENV)/.installed: requirements-lowest.txt
	$(call install,$(LOWEST_VENV),requirements-lowest.txt)
	@touch $@

test-lowest: $(LOWEST_VENV)/.installed
	$(LOWEST_VENV)/bin/python -m pytest -m "not slow and not very_slow" -n auto \
	  tests/unit/exporting/quantization tests/unit/runtime tests/unit/contracts

clean:
	rm -rf $(VENV) $(DEMO)
