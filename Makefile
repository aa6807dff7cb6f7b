# make help    lists the targets.
# PYTHON=…     the Python that makes the environment (3.11 or newer; found by itself)
# VENV=…       where the environment lies (.venv)
# JOBS=…       test processes at once (2)
# SUBMISSIONS=… ASSIGNMENT=… go to `make grade`
# BENCH=…      where the environment of `make bench` lies (.venv-bench); PART=… ARGS=… go to `python -m tools.bench`

VENV ?= .venv
JOBS ?= 2
PRESET ?= $(if $(filter experiments,$(MAKECMDGOALS)),full,ddpm-cpu)
BENCH ?= .venv-bench
BIN := $(VENV)/bin
LIGHT := $(VENV)/.book
READY := $(VENV)/.ready
CANARY := .venv-canary
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3 python,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
LABS := $(sort $(wildcard notebooks/*.ipynb notebooks/assignments/*.ipynb))

# One thread for each numeric library, so that sums are taken in the same order everywhere.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYTHONHASHSEED := 0
export MPLCONFIGDIR := $(abspath $(VENV))/.matplotlib  # its list of fonts is this environment's own
unexport PYTHONDONTWRITEBYTECODE  # packages come uncompiled: each process would compile torch again
unexport JPY_SESSION_NAME  # labs that make runs have no one to move a slider

BUILD := $(BIN)/jupyter-book build . -n -W --keep-going
CLEAN_BUILD := rm -rf _build/html _build/.doctrees _build/jupyter_execute _build/vi && $(BUILD)
SECOND := $(BIN)/python -m tools.publish.editions build
PYTEST := $(BIN)/python -m pytest
PUBLISH := $(BIN)/python -m tools.publish

HALF := $(shell echo $$(( ($(JOBS) + 1) / 2 )))
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)  # a stage's lines stay together

# $(call stage,title,command): run a command, and say how long it took
define stage
	@echo; echo "── $(1)"; start=$$(date +%s); $(2) && echo "── $(1): $$(( $$(date +%s) - start )) s"
endef

.DEFAULT_GOAL := help
.PHONY: help book pdf test lint unit labs pages browse unit-lane labs-lane browse-lane execute assignments grade replica train experiments bench canary clean distclean

help:
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# stop where there is no Python that is new enough
define python
	@test -n "$(strip $(PYTHON))" || { \
		echo "No Python 3.11 or newer found. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is no Python 3.11 or newer. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
endef

# $(call environment,folder,requirements file,options): make a folder with its packages; one that was cut short is
# taken up again. Packages are compiled when they are first used, which halves what the book's take.
define environment
	$(python)
	@echo "── environment in $(1), from $(2) (downloads packages the first time)"
	@$(PYTHON) -c 'import venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check --no-compile $(3) -r $(2)
endef

$(LIGHT): book/requirements.txt
	$(call environment,$(VENV),book/requirements.txt)
	@touch $@

$(READY): $(LIGHT) requirements.txt pyproject.toml
	$(call environment,$(VENV),requirements.txt)
	@touch $@

$(BENCH)/.ready: tools/bench/requirements.txt pyproject.toml
	$(call environment,$(BENCH),tools/bench/requirements.txt)
	$(BENCH)/bin/python -m pip install --disable-pip-version-check --no-deps -e .
	@touch $@

book: $(LIGHT) ## render the book into _build/html, in Vietnamese into _build/html/vi
	@start=$$(date +%s); $(CLEAN_BUILD) && $(SECOND) && \
		echo "The book is ready ($$(( $$(date +%s) - start )) s): file://$(CURDIR)/_build/html/index.html"

pdf: book $(READY) ## the book, and as PDF beside its pages (needs a Chromium)
	@$(PUBLISH).pdf

test: $(READY) ## everything that CI runs, quick things first
	@$(MAKE) --no-print-directory -j$(if $(filter 1,$(JOBS)),1,2) $(WHOLE) lint pages unit-lane browse-lane

# Two lanes side by side, each with half of the processes: what one worker has loaded and proved serves all its
# tests. The browser waits at times, and has all that are left.
unit-lane: pages
	@$(MAKE) --no-print-directory unit JOBS=$(HALF)

labs-lane: lint
	@$(MAKE) --no-print-directory labs JOBS=$(HALF)

browse-lane: labs-lane pages
	@$(MAKE) --no-print-directory browse

lint: $(READY) ## style and types
	$(call stage,style,$(BIN)/ruff check .)
	$(call stage,types,$(BIN)/mypy --strict lib/lowerbound tools/grading)

unit: $(READY) ## unit, property and bridge tests
	$(call stage,unit tests,$(PYTEST) tests --ignore=tests/browser -p no:nbval -n $(JOBS) --dist loadscope --durations=5)

labs: $(READY) ## every lab, executed and compared with its stored outputs
	$(call stage,labs,$(PYTEST) $(LABS) -p tools.reproduce.cells --nbval --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-sanitize-with=tests/nbval_sanitize.cfg -n $(JOBS) --dist loadscope)

pages: $(LIGHT)
	$(call stage,book,$(CLEAN_BUILD) -q && $(SECOND) -q)

browse: $(READY) ## the built book: links, and every page in a browser
	@$(BIN)/python -m tools.publish.site || $(BIN)/python -m playwright install chromium || true
	@echo; echo "── built book"; $(PYTEST) tests/browser --confcutdir=tests/browser -p no:nbval \
		-n $(JOBS) --dist loadgroup --durations=5

execute: $(READY) ## run every lab and store its outputs
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --coalesce-streams --ExecutePreprocessor.timeout=600 \
		--ExecutePreprocessor.record_timing=False $(LABS)

assignments: $(READY) ## the student versions, from the instructor's sources
	$(BIN)/python -m tools.grading build

grade: $(READY) ## points: make grade SUBMISSIONS=export.zip; then, with points by hand, make grade
	$(BIN)/python -m tools.grading $(if $(SUBMISSIONS),grade "$(SUBMISSIONS)" --jobs $(JOBS) \
		$(if $(ASSIGNMENT),--assignment $(ASSIGNMENT)),report) $(ARGS)

replica: $(READY)
	$(call stage,replica of Colab,$(BIN)/nox -f tools/reproduce/noxfile.py -s colab -- --check $(ARGS))

train: $(READY) ## train a model: make train PRESET=ddpm-cpu
	env -u OMP_NUM_THREADS -u MKL_NUM_THREADS $(BIN)/python -m lowerbound.train $(PRESET) $(ARGS)

experiments: $(READY) ## what chapters 3 to 7 measure (days); what is left: make experiments ARGS=--list
	env -u OMP_NUM_THREADS -u MKL_NUM_THREADS $(BIN)/python -m tools.experiments $(NAME) --preset $(PRESET) \
		--jobs $(JOBS) $(if $(filter smoke,$(PRESET)),--out results-smoke) $(ARGS)

bench: $(BENCH)/.ready ## speed and quality beside other libraries (hours); one part: make bench PART=speed
	env -u OMP_NUM_THREADS -u MKL_NUM_THREADS $(BENCH)/bin/python -m tools.bench $(PART) $(ARGS)

canary: ## the book with plain Sphinx and the newest theme and parser, beside Jupyter Book's, into _build/canary
	$(call environment,$(CANARY),tools/publish/canary/requirements.txt,--upgrade)
	$(call stage,canary,$(CANARY)/bin/sphinx-build -c tools/publish/canary -E -n -W --keep-going -q . _build/canary)

clean: ## remove what was built
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis build

distclean: clean
	rm -rf $(VENV) $(BENCH) $(CANARY)
