# Everything from a fresh clone, with nothing but python3: a virtual environment is made in .venv.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: demo test lint bench soak docs layer release-check clean

demo: $(VENV)/demo.stamp
	$(RUN) -m examples.check_demo

# Whoever starts it, the tests run as an ordinary user; root runs those that need root afterwards.
test: $(VENV)/test.stamp
	tests/as_user $(RUN) -m pytest -n auto --dist loadfile --durations 25
	test "$$(id -u)" -ne 0 || $(RUN) -m pytest -m root

lint: $(VENV)/lint.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/test.stamp
	$(RUN) -m benchmarks

soak: $(VENV)/test.stamp
	$(RUN) -m soak

# Wheel and source distribution, each installed into an empty environment and used there.
release-check: $(VENV)/release.stamp
	$(RUN) -m release.check

# A layer for Lambda and this Python, for each architecture: in dist.
layer: $(VENV)/release.stamp
	$(RUN) -m release.layer

# The site, in build/site; `make docs && python3 -m http.server -d build/site` to read it.
docs: $(VENV)/docs.stamp
	$(RUN) -m mkdocs build --strict --site-dir build/site

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

$(VENV)/%.stamp: pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade "pip>=25.1" # knows dependency groups
	$(RUN) -m pip install --quiet --editable . --group $*
	touch $@
