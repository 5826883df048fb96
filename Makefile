# Every target sets itself up: Python >= 3.11, pip and make are all it needs.
#
#   make demo ARGS=--quick          hand arguments on
#   make test PYTHON=python3.12     build .venv with another Python (after `make clean`)

PYTHON ?= python3
ARGS ?=
VENV := .venv
FLOOR := .venv-floor
FLOOR_TORCH := 2.9.0
# The interpreter of the Triton that this torch brings takes no newer numpy.
FLOOR_NUMPY := 2.3.5
PIP_INSTALL := -m pip install --disable-pip-version-check
SETUP := pyproject.toml constraints.txt

define check_python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "minibert needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>/dev/null || echo not there)." >&2; \
  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-floor lint format en-encoder zh-encoder clean

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: $(VENV)/.core  ## tokenizer, pretraining, fine-tuning, report and predictions on text that Python brings along
	$(VENV)/bin/minibert demo --overwrite-output-dir $(ARGS)

test: lint  ## lint, types, and every test that is not slow
	$(VENV)/bin/python -m pytest $(ARGS)

test-slow: $(VENV)/.test  ## only the slow tests
	$(VENV)/bin/python -m pytest -m slow $(ARGS)

test-floor: $(FLOOR)/.test  ## the tests with the lowest torch that is supported, in an environment of its own
	$(FLOOR)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.test  ## rules, layout and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy minibert

format: $(VENV)/.test  ## lay out the code and mend what can be mended
	$(VENV)/bin/ruff check --fix --exit-zero .
	$(VENV)/bin/ruff format .

en-encoder: $(VENV)/.test  ## half an hour of English pretraining: the encoder of the race, in runs/race/en/race
	$(VENV)/bin/python benchmarks/race.py en --encoder-only $(ARGS)

zh-encoder: $(VENV)/.test  ## the same in Chinese: the encoder of the benchmarks' Chinese rows, in runs/race/zh/race
	$(VENV)/bin/python benchmarks/race.py zh --encoder-only $(ARGS)

clean:  ## remove environments, caches and build output; runs/ stays
	rm -rf $(VENV) $(FLOOR) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find minibert tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The builder comes from the constraints as well, so nothing is fetched that they do not name.
$(VENV)/.core: $(SETUP)
	$(check_python)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP_INSTALL) -c constraints.txt setuptools
	$(VENV)/bin/python $(PIP_INSTALL) -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(VENV)/bin/python $(PIP_INSTALL) -c constraints.txt --no-build-isolation -e '.[test]'
	@touch $@

$(FLOOR)/.test: $(SETUP)
	$(check_python)
	$(PYTHON) -m venv $(FLOOR)
	sed 's/^torch==.*/torch==$(FLOOR_TORCH)/; s/^numpy==.*/numpy==$(FLOOR_NUMPY)/; /^nvidia-/d; /^cuda-/d; /^triton==/d' constraints.txt > $(FLOOR)/constraints.txt
	$(FLOOR)/bin/python $(PIP_INSTALL) -c $(FLOOR)/constraints.txt setuptools
	$(FLOOR)/bin/python $(PIP_INSTALL) -c $(FLOOR)/constraints.txt --no-build-isolation -e '.[test]'
	@touch $@
