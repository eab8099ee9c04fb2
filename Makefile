# make demo   what a user would type, on the demo collection
# make test   all tests
# make check  ruff, mypy strict, pyright
# make bench  the benchmarks of benchmarks/expected.toml whose collections are in COLLECTIONS; fails on
#             a drift in quality. BENCH="--only demo", "--systems bm25", "--keep": see --help
# make docs   the table of results in README.md, from benchmarks/cards
#
# Each sets itself up in .venv from the package index, pinned by constraints.txt, and needs no other.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
COLLECTIONS ?= ../shared/collections
BENCH ?=
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SEARCH := HF_HUB_OFFLINE=1 $(BIN)/search

.PHONY: demo test check bench docs clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[offline]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[offline,train,ir-datasets]" --group dev
	touch $@

demo: $(VENV)/installed
	$(SEARCH) demo $(DEMO)
	$(SEARCH) build-index $(DEMO)/corpus.parquet --index $(DEMO)/index
	$(SEARCH) query "where does the gold in jewellery come from" --index $(DEMO)/index --cutoff 3
	$(SEARCH) query "why does a thin trickle from the kitchen faucet turn into beads" --index $(DEMO)/index --cutoff 3 --explain
	$(SEARCH) query "magnets lose their order above a certain temperature" --index $(DEMO)/index --cutoff 3 --mode rerank
	$(SEARCH) run $(DEMO)/topics.tsv --index $(DEMO)/index --mode bm25 --output $(DEMO)/bm25.run --tag bm25
	$(SEARCH) run $(DEMO)/topics.tsv --index $(DEMO)/index --mode hybrid --output $(DEMO)/hybrid.run --tag hybrid
	$(SEARCH) evaluate $(DEMO)/bm25.run $(DEMO)/hybrid.run $(DEMO)/qrels.txt

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --quiet

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

bench: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/python -P -m scisearch.benchmarks.bench --collections $(COLLECTIONS) $(BENCH)

docs: $(VENV)/installed
	$(BIN)/python -P -m scisearch.console.readme_table

clean:
	rm -rf $(VENV) $(DEMO) .bench build dist *.egg-info
