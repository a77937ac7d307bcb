# Each target does all of its own set-up in .venv; a second run finds it done.
# Needs Python 3.11 or newer, make and a package index (pip's own settings hold).
#
#   make demo     sort TPC-H lineitem on an embedded cluster, check it, print the report
#   make test     run the tests          make bench    compare with Dask, Polars, DuckDB
#   make lint     run every checker      make format   rewrite the code as lint wants it
#   make clean    remove all that make made
#   make bench-frames  compare the sorts of persisted Dask frames with Dask's own
#   make bench-local   compare the sorts in one process with NumPy, pandas, Polars, …
#   make cluster-model   time and cost on 10 to 1,000 workers, from what is measured here
#   make bench-scale   grow: rows, partitions, less memory, uneven keys, many small files
#   make bench-profile   where the time of two cores goes: idle, Python, kernels, Arrow (with perf)
#   make bench-lost-worker   what a worker costs that is killed on the way
#   make fuzz          random sorts against pandas' until something differs
#   make fuzz-parquet  mutated Parquet files: each refused, or sorted as pyarrow reads it
#   make chaos         kill, cut off, fill up and restart a cluster while it sorts; the tally
#   make test-upstream   Dask's and pandas' own tests of sorting, through dlsort
#   make image         build the image dlsort of wheels; the base is made where none can be pulled
#   make cluster-up    start scheduler and workers in containers, which see build/demo as /data
#   make cluster-demo  the demo, on that cluster        make cluster-down  stop and remove it
#
# Settings: PYTHON=python3.12 (interpreter), SF=1 (demo's size), ARGS="..." (for tests, bench, fuzz).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-upstream bench bench-frames bench-local bench-scale bench-profile bench-lost-worker cluster-model fuzz fuzz-parquet image cluster-up cluster-demo cluster-down lint format clean

VENV := .venv
BIN := $(VENV)/bin
SF ?= 1
DEMO := build/demo
LINEITEM := $(DEMO)/lineitem-sf$(SF)
SORTED := $(DEMO)/sorted
BY := l_shipdate,l_orderkey:desc,l_linenumber

export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:
	@sed -n 's/^#   //p' Makefile

# ---------------------------------------------------------------- what users run

demo: $(VENV)/installed-demo $(LINEITEM)/complete
	@echo "== demo 2/3: sorting by $(BY)"
	@$(BIN)/dlsort sort $(LINEITEM)/lineitem $(SORTED) --by "$(BY)" --overwrite --report $(DEMO)/report.json
	@echo "== demo 3/3: checking the order, and rows against the source"
	@$(BIN)/dlsort check $(SORTED) --by "$(BY)" --against $(LINEITEM)/lineitem
	@echo "== demo: done; the sorted rows are in $(SORTED), the report in $(DEMO)/report.json"

test: $(VENV)/installed-test
	@$(BIN)/python -m pytest $(ARGS)

test-upstream: $(VENV)/installed-test
	@$(BIN)/python tests/upstream/run.py $(ARGS)

bench: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/end_to_end.py $(ARGS)

bench-frames: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/frames.py $(ARGS)

bench-local: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/local_sort.py $(ARGS)

bench-scale: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/scale.py $(ARGS)

bench-profile: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/profile_cores.py $(ARGS)

bench-lost-worker: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/lost_worker.py $(ARGS)

cluster-model: $(VENV)/installed-bench
	@$(BIN)/python benchmarks/cluster_model.py $(ARGS)

fuzz: $(VENV)/installed-test
	@$(BIN)/python tests/fuzz_local_sort.py $(ARGS)

fuzz-parquet: $(VENV)/installed-test
	@$(BIN)/python tests/fuzz_parquet.py $(ARGS)

chaos: $(VENV)/installed-test
	@$(BIN)/python tests/chaos/run.py $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir build/import-linter
	$(BIN)/codespell

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .hypothesis
	find dlsort kernels cluster tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- a cluster in containers

# The image has the Python that the wheels are made with.
BASE = dlsort-base:$(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
COMPOSE = DLSORT_DATA=$(abspath $(DEMO)) DLSORT_USER=$$(id -u) docker/compose.sh

image: $(VENV)/created
	@$(BIN)/python docker/wheels.py
	@docker/base.sh $(lastword $(subst :, ,$(BASE))) $(BASE)
	@echo "== image: building dlsort on $(BASE)"
	@docker build --quiet --network none --build-arg BASE=$(BASE) --file docker/Dockerfile --tag dlsort .

# Engines that make what is missing of a folder make it root's.
cluster-up: image
	@mkdir -p $(DEMO)
	@$(COMPOSE) up --detach
	@$(COMPOSE) ps

cluster-demo: cluster-up $(LINEITEM)/complete
	@echo "== demo 2/3: sorting by $(BY) on the cluster"
	@$(COMPOSE) run --rm client sort $(notdir $(LINEITEM))/lineitem sorted-on-cluster --by "$(BY)" --overwrite --scheduler tcp://scheduler:8786
	@echo "== demo 3/3: checking the order, and rows against the source"
	@$(COMPOSE) run --rm client check sorted-on-cluster --by "$(BY)" --against $(notdir $(LINEITEM))/lineitem
	@echo "== demo: done; the sorted rows are in $(DEMO)/sorted-on-cluster, the dashboard on http://127.0.0.1:$${DLSORT_DASHBOARD:-8787}"

cluster-down:
	@$(COMPOSE) down --volumes

# ---------------------------------------------------------------- set-up

# One stamp for each extra, newer than pyproject.toml once the extra is installed.
$(VENV)/installed-%: pyproject.toml $(VENV)/created
	@echo "== set-up: installing dlsort[$*] into $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@

# The first interpreter that is new enough and can really make an environment:
# a version manager's shim may stand in the path and run nothing.
PYTHONS = $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python)
$(VENV)/created:
	@set -e; for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        echo "== set-up: making $(VENV) with $$("$$python" --version)"; \
	        rm -rf $(VENV); "$$python" -m venv $(VENV); touch $@; exit 0; \
	    fi; \
	done; \
	echo "make: no Python 3.11 or newer with its venv module among: $(PYTHONS)." >&2; \
	echo "make: install one (on Debian and Ubuntu python3-venv too), or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

# Kept for the next demo, also when the environment is made anew.
$(LINEITEM)/complete: | $(VENV)/installed-demo
	@echo "== demo 1/3: making TPC-H lineitem at scale factor $(SF) in $(LINEITEM)"
	@rm -rf $(LINEITEM)
	@$(BIN)/tpchgen-cli parquet -s $(SF) --tables=lineitem --parts=8 --output-dir $(LINEITEM)
	@touch $@
