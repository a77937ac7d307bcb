# Each target does all of its own set-up in .venv; a second run finds it done.
# Needs Python 3.11 or newer, make and a package index (pip's own settings hold).
#
#   make demo     sort TPC-H lineitem on an embedded cluster, check it, print the report
#   make test     run the tests          make bench    compare with Dask, Polars, DuckDB
#   make lint     run every checker      make format   rewrite the code as lint wants it
#   make options  write docs/options.md anew, after a change of dlsort/options/sort_options.py
#   make readers  write docs/readers.md anew: what other readers see (Spark needs Java)
#   make docs     build the docs site in build/site; a warning is an error
#   make figures  draw the figures of docs/how-it-works.md anew
#   make clean    remove all that make made here (the images stay with the Docker engine)
#   make bench-frames  compare the sorts of persisted Dask frames with Dask's own
#   make bench-local   compare the sorts in one process with NumPy, pandas, Polars, …
#   make cluster-model   time and cost on 10 to 1,000 workers, from what is measured here
#   make bench-scale   grow: rows, partitions, less memory, uneven keys, many small files
#   make bench-control-plane   tasks, messages and scheduler time with 8 to 400 workers
#   make bench-profile   where the time of two cores goes: idle, Python, kernels, Arrow (with perf)
#   make bench-terasort   the sort benchmark's records, beside a copy and a sort of their keys
#   make bench-lock    the share of time that each step holds Python's lock, and many cores
#   make bench-tuning  how far automatic plans are from the best of a grid by hand
#   make bench-frame-memory   frames larger than the workers: peaks, hangs, lost workers
#   make bench-lost-worker   what a worker costs that is killed on the way
#   make image         the Docker image, dlsort, from a folder of wheels
#   make cluster-up    a scheduler and workers in containers; cluster-down takes them away
#   make cluster-demo  the demo on that cluster, run from a client container
#   make fuzz          random sorts against pandas' until something differs
#   make fuzz-parquet  mutated Parquet files: each refused, or sorted as pyarrow reads it
#   make chaos         kill, cut off, fill up and restart a cluster while it sorts; the tally
#   make test-upstream   Dask's and pandas' own tests of sorting, through dlsort
#
# Settings: PYTHON=python3.12 (interpreter), SF=1 (demo's size), ARGS="..." (for tests, bench, fuzz),
# BASE=image (base of the image: any that has the Python of .venv), and those of docker/compose.yaml.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-upstream bench bench-frames bench-local bench-scale bench-control-plane bench-terasort bench-profile bench-lock bench-tuning bench-frame-memory bench-lost-worker cluster-model wheels image cluster-up cluster-demo cluster-down fuzz fuzz-parquet chaos lint format options readers docs figures clean

VENV := .venv
BIN := $(VENV)/bin
SF ?= 1
DEMO := build/demo
LINEITEM := $(DEMO)/lineitem-sf$(SF)
SORTED := $(DEMO)/sorted
BY := l_shipdate,l_orderkey:desc,l_linenumber

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start a thousand processes; without compiled modules each takes 0.2 s longer.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n 's/^#   //p' Makefile

# ---------------------------------------------------------------- what users run

demo: $(VENV)/installed-demo $(LINEITEM)/complete
	@echo "== demo 2/3: sorting by $(BY)"
	@$(BIN)/dlsort sort $(LINEITEM)/lineitem $(SORTED) --by "$(BY)" --overwrite --report $(DEMO)/report.json
	@echo "== demo 3/3: checking the order, and rows against the source"
	@$(BIN)/dlsort check $(SORTED) --by "$(BY)" --against $(LINEITEM)/lineitem
	@echo "== demo: done; the sorted rows are in $(SORTED), the report in $(DEMO)/report.json"

# The image of the tests and a browser first: the first time takes longer than any test may.
test: $(VENV)/installed-test
	@$(if $(ARGS),,$(BIN)/python tests/kits/docker_kit.py)
	@$(if $(ARGS),,tests/kits/install_browser.sh)
	@$(BIN)/python -m pytest $(or $(ARGS),--numprocesses auto --dist worksteal)

test-upstream: $(VENV)/installed-test
	@$(BIN)/python tests/kits/upstream/run.py $(ARGS)

bench: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.end_to_end.datasets $(ARGS)

bench-frames: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.end_to_end.frames $(ARGS)

bench-local: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.local.sort $(ARGS)

bench-scale: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.scale.growing $(ARGS)

bench-terasort: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.scale.terasort $(ARGS)

bench-control-plane: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.scale.control_plane $(ARGS)

bench-profile: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.profile.cores $(ARGS)

bench-lock: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.profile.lock $(ARGS)

bench-tuning: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.self_tuning.run $(ARGS)

bench-frame-memory: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.end_to_end.frame_memory $(ARGS)

bench-lost-worker: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.end_to_end.lost_worker $(ARGS)

cluster-model: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.scale.cluster_model $(ARGS)

fuzz: $(VENV)/installed-test
	@$(BIN)/python tests/kits/fuzz_local_sort.py $(ARGS)

fuzz-parquet: $(VENV)/installed-test
	@$(BIN)/python tests/kits/fuzz_parquet.py $(ARGS)

chaos: $(VENV)/installed-test
	@$(BIN)/python tests/kits/chaos/run.py $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir build/import-linter
	$(BIN)/codespell

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

options: $(VENV)/installed-test
	@$(BIN)/python tests/kits/options_page.py

readers: $(VENV)/installed-readers
	@$(BIN)/python tests/kits/readers_page.py

# Without Material's notice that it ends in May 2027. (With --quiet no warning would be counted.)
docs: $(VENV)/installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

figures: $(VENV)/installed-test
	@$(BIN)/python docs/figures/draw.py

clean:
	rm -rf $(VENV) build dist docker/wheels .hypothesis
	find dlsort kernels cluster tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- in containers

PYTHON_VERSION = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_python_version())')
COMPOSE := docker/compose.sh
BASE ?=
CLUSTER_SORTED := cluster-sorted-sf$(SF)
export DLSORT_DATA ?= $(CURDIR)/$(DEMO)
export DLSORT_USER ?= $(shell id -u):$(shell id -g)
export DLSORT_CLUSTER_WORKERS ?= 2
export DLSORT_DASHBOARD ?= 8787

wheels: $(VENV)/created
	@$(BIN)/python docker/wheels.py

image: wheels
	@$(if $(BASE),,docker/base.sh $(PYTHON_VERSION) dlsort-base:$(PYTHON_VERSION))
	@echo "== image: building dlsort (minutes the first time, then only what has changed)"
	@docker/image.sh $(or $(BASE),dlsort-base:$(PYTHON_VERSION))

# Started means that all workers have come to the scheduler.
cluster-up: image
	@mkdir -p $(DLSORT_DATA)
	@$(COMPOSE) up --detach
	@$(COMPOSE) exec -T scheduler python -c "from distributed import Client; \
	    Client('tcp://localhost:8786', timeout=120).wait_for_workers($(DLSORT_CLUSTER_WORKERS), timeout=120)"
	@echo "== cluster: $(DLSORT_CLUSTER_WORKERS) workers; dashboard at http://localhost:$(DLSORT_DASHBOARD); they see $(DLSORT_DATA) as /data"

cluster-demo: $(LINEITEM)/complete cluster-up
	@echo "== cluster demo: sorting by $(BY)"
	@$(COMPOSE) run --rm client sort $(notdir $(LINEITEM))/lineitem $(CLUSTER_SORTED) \
	    --by "$(BY)" --overwrite --scheduler tcp://scheduler:8786
	@echo "== cluster demo: checking the order, and rows against the source"
	@$(COMPOSE) run --rm client check $(CLUSTER_SORTED) --by "$(BY)" --against $(notdir $(LINEITEM))/lineitem
	@echo "== cluster demo: done; the sorted rows are in $(DEMO)/$(CLUSTER_SORTED)"

# With their scratch space, which has no name; a volume of data is kept.
cluster-down:
	@$(COMPOSE) rm --stop --force -v
	@$(COMPOSE) down --remove-orphans

# ---------------------------------------------------------------- set-up

# One stamp for each extra, newer than pyproject.toml once the extra is installed.
$(VENV)/installed-%: pyproject.toml $(VENV)/created
	@echo "== set-up: installing dlsort[$*] into $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet "hatchling>=1.26" editables
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[$*]"
	@$(BIN)/python -m dlsort_kernels >/dev/null
	@touch $@ $(if $(filter dev,$*),$(VENV)/installed-test)  # the dev extra has all of the tests'

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
