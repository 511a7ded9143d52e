# What people run is what CI runs. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/installed
TEST_STAMP := $(VENV)/test-installed
PIP_INSTALL := $(VENV)/bin/pip install --quiet --disable-pip-version-check

# Jupyter refuses to run as root (as in many containers) unless told to.
ROOT_ARGS := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB_ARGS ?=

.PHONY: help lab test test-setup check slow lessons browser soak export notebooks restore bench ladder ablation optimizers tokenizers patience race races shipped lock audit setup
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

lab: setup ## install, fetch the text, open JupyterLab at the first lesson
	$(VENV)/bin/jupyter lab --ServerApp.root_dir=notebooks \
	    --LabApp.default_url=/lab/tree/00_device.ipynb --LabApp.news_url=None \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	    $(ROOT_ARGS) $(LAB_ARGS)

test: check slow lessons browser ## everything that CI runs

check: test-setup ## the fast part: style, unit tests, export, architecture, notebooks
	$(RUN) -m ruff format --check gpt_lib tests
	$(RUN) -m ruff check gpt_lib tests
	$(RUN) -m pytest tests --ignore=tests/browser --quiet --numprocesses=2

slow: test-setup # compilers, kills, every exercise in a kernel
	$(RUN) -m pytest tests --ignore=tests/browser --quiet -m slow --numprocesses=2

# These measure time, so nothing else may run beside them; the others share two cores.
TIMED := $(foreach number,11 12 12b 13 15,$(wildcard notebooks/$(number)_*.ipynb))
NBVAL := --nbval-lax --nbval-current-env --quiet --durations=5

lessons: test-setup # re-execute every lesson and compare
	OMP_NUM_THREADS=1 $(RUN) -m pytest $(filter-out $(TIMED),$(sort $(wildcard notebooks/*.ipynb))) \
	    $(NBVAL) --numprocesses=2 --dist=loadscope
	$(RUN) -m pytest $(TIMED) $(NBVAL)

browser: test-setup # JupyterLab in a real browser
	$(RUN) -m pytest tests/browser --quiet -rs

soak: test-setup ## what only a release needs: long kills, every planted fault
	$(RUN) -m pytest tests --ignore=tests/browser --quiet -m soak

export: setup ## write every lesson's modules (LESSON=02 for one)
	$(RUN) -m gpt_lib.course.export $(LESSON)

notebooks: setup ## re-execute the lessons and save them (LESSON=02 for one)
	$(RUN) -m gpt_lib.course.execute $(LESSON)

restore: setup ## bring LESSON=02 back as it was; your version is kept
	$(RUN) -m gpt_lib.course.restore $(LESSON)

bench: setup ## figures beside other libraries (95 minutes; PART=step for one part)
	$(PIP_INSTALL) -e '.[bench]'
	$(RUN) -m gpt_lib.experiments.bench $(PART)
	$(if $(PART),,$(RUN) -m pytest tests/browser/bench_playground.py --quiet --capture=no)

ablation: setup ## undo each swap of lesson 13, three seeds each (15 minutes)
	$(RUN) -m gpt_lib.experiments.ablation

optimizers: setup ## Muon against AdamW, a grid with three seeds (30 minutes)
	$(RUN) -m gpt_lib.experiments.optimizers

tokenizers: setup ## which vocabulary is best: five on two texts, three seeds (an hour)
	$(RUN) -m gpt_lib.experiments.tokenizers

patience: setup ## what early stopping costs and saves, three seeds (10 minutes)
	$(RUN) -m gpt_lib.experiments.early_stopping

races: setup ## the committed races: three seeds at each time (45 minutes, nothing else)
	$(RUN) -m gpt_lib.experiments.race --all

race: setup ## the best loss in SECONDS=100, with SEED=1
	$(RUN) -m gpt_lib.experiments.race --seconds $(or $(SECONDS),100) --seed $(or $(SEED),1)

ladder: setup ## train every stage again, three seeds each (40 minutes)
	$(RUN) -m gpt_lib.experiments.ladder

shipped: setup ## train the models that come with the course again (25 minutes)
	$(RUN) -m gpt_lib.experiments.shipped

# For maintainers; both need a network. Their tools stay out of what people install.
TOOLS := $(VENV)/tools

lock: setup ## pin what the pinned packages bring along, in requirements.lock
	$(RUN) -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet uv
	$(TOOLS)/bin/uv pip compile requirements.txt pyproject.toml --extra test \
	    --universal --python-version 3.11.5 \
	    --no-header --no-annotate --no-emit-package gpt-lib --quiet -o $(TOOLS)/lock
	{ grep '^#' requirements.lock; cat $(TOOLS)/lock; } > $(TOOLS)/new
	mv $(TOOLS)/new requirements.lock

audit: setup ## look for known holes in what is pinned
	$(RUN) -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet pip-audit
	$(TOOLS)/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

setup: $(STAMP)
	@$(RUN) -m gpt_lib.course.fetch

$(STAMP): requirements.txt requirements.lock pyproject.toml
	@$(PYTHON) -V >/dev/null 2>&1 || { \
	    echo "$(PYTHON) is not installed, or does not run:" \
	         "sudo apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || { \
	    echo "$$($(PYTHON) -V) is too old, 3.11.5 or newer is needed:" \
	         "install one and name it, such as: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "this Python lacks venv: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.txt -c requirements.lock
	@touch $@

# All that the tests need, so that they run without a network.
test-setup: setup $(TEST_STAMP)
	@$(RUN) -m gpt_lib.course.fetch --all
	@GPT_FETCH=1 $(RUN) -m gpt_lib fetch smollm2

$(TEST_STAMP): $(STAMP)
	$(PIP_INSTALL) -e '.[test]' -c requirements.lock
	@touch $@
