# Two commands do all the set-up: `make demo` and `make test`. Each makes .venv and installs into it. `make peers` makes
# an environment for every library that benchmarks/peers compares with; they share nothing, and every file lists all that
# is needed, so that nothing has to be resolved.
PYTHON ?= python3
BIN := .venv/bin
COMPAT := .compat/transformers-4.57
PARALLEL := -n 2 --dist loadfile
PEERS := $(patsubst benchmarks/peers/requirements/%.txt,.peers/%/installed,$(wildcard benchmarks/peers/requirements/*.txt))

.PHONY: demo test test-compat lint peers clean

demo: .venv/demo
	$(BIN)/clinx demo

test: lint test-compat
	$(BIN)/python -m pytest $(PARALLEL)

# The code that model repos carry, under the oldest transformers that it supports.
test-compat: .venv/test $(COMPAT)
	PYTHONPATH=$(COMPAT) $(BIN)/python -m pytest tests/modeling_clinx -m "compat and not slow" $(PARALLEL)

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

peers: .venv/test $(PEERS)

.peers/%/installed: benchmarks/peers/requirements/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-deps --requirement $<
	$(@D)/bin/pip check
	touch $@

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test: .venv/demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,bench,space]"
	touch $@

$(COMPAT):
	rm -rf $@ $@.partial
	$(BIN)/pip install --quiet --no-deps --target $@.partial "transformers==4.57.6" "huggingface_hub==0.36.2" "tokenizers==0.22.2"
	mv $@.partial $@

clean:
	rm -rf .venv .compat .peers build *.egg-info
