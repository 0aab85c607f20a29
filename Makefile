# Two commands on a bare machine: `make demo` and `make test`. Both make the same environment in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs promises audit torture fuzz bench executorch clean

demo: $(VENV)/ready
	$(BIN)/nat run --space mbv3 --surrogate rbf

test: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

check: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=.:plugins:search_spaces $(BIN)/lint-imports

docs: $(VENV)/ready
	$(BIN)/python docs/generate.py

promises: $(VENV)/ready
	$(BIN)/python -m pytest -m promise --promises=docs/promises.json --numprocesses 2 --dist worksteal
	$(BIN)/python docs/promises.py

audit: $(VENV)/ready
	$(BIN)/python tests/promises/audit.py

torture: $(VENV)/ready
	$(BIN)/python tests/promises/torture.py

fuzz: $(VENV)/ready
	$(BIN)/python -m pip install --quiet "atheris>=2.3"
	$(BIN)/python tests/promises/fuzz.py

bench: $(VENV)/ready
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/overhead.py

executorch: $(VENV)-executorch/ready
	$(VENV)-executorch/bin/python -m pytest tests/cli/test_export.py tests/nat_exporters -k executorch

clean:
	rm -rf $(VENV) $(VENV)-executorch build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "nat needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Name another: make demo PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# ExecuTorch brings 350 MB: it gets an environment of its own, over the other one.
$(VENV)-executorch/ready: $(VENV)/ready
	$(BIN)/python -m venv $(VENV)-executorch
	under=`$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`; \
	over=`$(VENV)-executorch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`; \
	echo "import site; site.addsitedir('$$under')" > "$$over/under.pth"
	$(VENV)-executorch/bin/python -m pip install --quiet "executorch>=1.5"
	$(VENV)-executorch/bin/python -W ignore -c "import executorch.exir"
	touch $@
