# `make` builds the book; `make help` lists the rest. README.md has the same commands without make.

# Named, so that every command goes through it and finds the programs of .venv first.
SHELL := bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The first Python on the PATH that is new enough; or say which: make PYTHON=/path/to/python3
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
PORT ?= 8000

START := $(shell date +%s)
done = @s=$$(($$(date +%s) - $(START))); echo "$(1) ($$((s / 60)) min $$((s % 60)) s)"

.DEFAULT_GOAL := book
.PHONY: bubblewrap book test colab-test paper offline classroom slides serve artifacts full bench address constraints clean help chromium

book: .venv/.ready ## build the book into _build/html
	jupyter-book build -n -W --keep-going .
	$(call done,The book: $(CURDIR)/_build/html/index.html)

test: .venv/.ready chromium bubblewrap ## style, unit tests, every notebook, the built book in a real browser
	ruff check . && ruff format --check .
	OMP_NUM_THREADS=1 pytest tests -n 2 -m "not site"
	rm -rf _tested && mkdir _tested && cp -r notebooks book _config.yml _toc.yml _tested/
	OMP_NUM_THREADS=1 pytest -n 2 --nbmake --overwrite --nbmake-timeout=1500 _tested/notebooks
	MIH_EXECUTED=1 jupyter-book build -n -W --keep-going _tested
	MIH_SITE=_tested/_build/html pytest tests/test_book.py tests/test_page.py -n 2 -m site
	$(call done,All tests passed; the book they read: $(CURDIR)/_tested/_build/html/index.html)

colab-test: .venv/.ready ## run every chapter's Colab copy with Colab's versions, without the package
	python tools/colab_test.py
	$(call done,All copies ran to their last cell)

paper: .venv/.ready chromium _build/html/index.html ## the built book as one PDF and as an EPUB, linked from its pages
	python tools/paper.py _build/html
	$(call done,PDF and EPUB are in $(CURDIR)/_build/html/_static)

offline: .venv/.ready _build/html/index.html ## site, notebooks, PDF and what a classroom without internet needs, as one zip
	python tools/offline.py
	$(call done,Carry it to the classroom: $(CURDIR)/_build/offline.zip)

classroom: .venv/.ready ## the assignments: for students, for teachers, for the grader, for Gradescope and nbgrader
	python -m classroom build
	$(call done,Everything is in $(CURDIR)/dist/classroom; the book's teaching guide says what to do with it)

slides: .venv/.ready chromium _build/html/index.html ## the built book's figures as slides and as files to reuse
	python tools/slides.py _build/html
	$(call done,Slides and figures are in $(CURDIR)/dist/slides)

serve: .venv/.ready _build/html/index.html ## show the built book in the browser
	@echo "The book: http://127.0.0.1:$(PORT)/ (Ctrl-C stops)"
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
	  (sleep 1; python -m webbrowser -t http://127.0.0.1:$(PORT)/ >/dev/null) & fi
	python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

_build/html/index.html:
	@$(MAKE) --no-print-directory book

artifacts: .venv/.ready ## compute everything in artifacts/ again
	python tools/artifacts.py
	$(call done,The artifacts: $(CURDIR)/artifacts)

full: .venv/.ready ## train again at the paper's scale, for a GPU; goes on where it was stopped
	python tools/paper_scale.py
	$(call done,The claims at the paper's scale: $(CURDIR)/book/paper_scale.json)

bench: .venv/.ready ## how fast it is, beside a plain implementation
	python tools/bench.py
	$(call done,The ratios are printed above)

address: ## write the project's address into the book: make address URL=https://… (empty: take it out)
	@[ "$(origin URL)" = "command line" ] || { echo "Say which: make address URL=https://…, or URL= to take it out"; exit 1; }
	@$(PYTHON) tools/address.py "$(URL)"

constraints: .venv/.ready ## choose the newest versions, for every Python and system, into constraints.txt
	pip install uv
	uv pip compile -q --universal --python-version 3.10 --upgrade --extra book --extra test --extra cluster --no-annotate --custom-compile-command "make constraints" pyproject.toml -o constraints.txt
	$(call done,The versions: $(CURDIR)/constraints.txt)

clean: ## delete what was built (.venv stays)
	rm -rf _build _tested dist .pytest_cache .ruff_cache .hypothesis
	@echo "Deleted what was built; rm -rf .venv deletes the installation, too"

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "Python 3.10 or newer is needed and '$(or $(PYTHON),python3)' is not: make PYTHON=/path/to/python3"; exit 1; }
	@[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	pip install -c constraints.txt -e ".[book,test,cluster]"
	@touch $@

# The browser that reads the book in `make test`. Without one those tests are skipped, in CI they fail.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	  command -v apt-get >/dev/null && $$sudo true 2>/dev/null && \
	  (set -x; $$sudo apt-get update && $$sudo apt-get install -y chromium); } || { \
	  echo "No Chromium found, and the browser tests need one:"; \
	  echo "  sudo apt-get install chromium, sudo dnf install chromium or brew install --cask chromium"; }

# The sandbox in which the grader runs students' code. Without one its tests are skipped, in CI they fail.
bubblewrap:
	@command -v bwrap >/dev/null || { \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	  command -v apt-get >/dev/null && $$sudo true 2>/dev/null && \
	  (set -x; $$sudo apt-get update && $$sudo apt-get install -y bubblewrap); } || \
	  echo "No bubblewrap found, and the grader needs one: sudo apt-get install bubblewrap"
