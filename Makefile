# Every target makes the virtual environment and installs the locked dependencies by itself.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-313 check serve bench chaos loadtest lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make the virtual environment with the locked dependencies

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

demo: $(STAMP) ## four calls through the whole system, no keys, no network (REALTIME=openai: the real model)
	$(BIN)/triage-bridge demo $(if $(REALTIME),--realtime $(REALTIME))

test: check ## every check, every test, and the core once more on Python 3.13 where there is one
	$(BIN)/python -m pytest -n 4
	@$(MAKE) --no-print-directory test-313

# Where 3.13 is not what the tests above ran on: audioop comes from audioop-lts, and asyncio differs.
PYTHON313 ?= $(shell for found in python3.13 $(HOME)/.pyenv/versions/3.13.*/bin/python3.13; do \
	"$$found" -c "import sys; sys.exit(sys.version_info[:2] != (3, 13))" 2>/dev/null && echo "$$found" && break; done)
CORE := $(addprefix tests/,audiocodecs dispatch bridge/call bridge/protocol bridge/web bridge/test_*.py \
	bridge/legs/test_wire.py bridge/legs/test_hundred_calls.py bridge/e2e/test_routes.py)

test-313: ## codecs, protocols, call core, dispatch, sockets and whole calls on Python 3.13
	@found="$(PYTHON313)"; if $(BIN)/python -c "import sys; sys.exit(sys.version_info[:2] != (3, 13))" 2>/dev/null; then \
		echo "Python 3.13: everything ran on it"; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.13: not on this machine"; \
	else \
		$(MAKE) --no-print-directory venv VENV=.venv313 PYTHON="$$found" && \
		.venv313/bin/python -m pytest -n 4 $(CORE); \
	fi

bench: $(STAMP) ## calls on one core, beside a bare relay, in the same run
	$(BIN)/python -m loadtest.bench

chaos: $(STAMP) ## break everything around CALLS calls (100), drawn from SEED (a new one)
	$(BIN)/triage-bridge chaos --calls $(or $(CALLS),100) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

loadtest: $(STAMP) ## CALLS callers (20) for FOR (50s) against our own bridge, judged by gates; no keys, no network
	$(BIN)/triage-bridge loadtest run --own-bridge --calls $(or $(CALLS),20) --for $(or $(FOR),50s) --profile fast --seed 1 \
		--gate first_model_audio.p95=800ms --gate first_audio_out.p95=1400ms --gate barge_in.p95=300ms \
		--gate greeting.p95=250ms --gate greetings_missing=0 --gate unanswered_turns=0 --gate barge_ins_ignored=0 \
		--gate lost_frames=0 --gate crossed_frames=0 --gate lost_audio_ms=0 --gate duplicate_audio_ms=0 \
		--gate clipped_starts=0 --gate clipped_ends=0 --gate audio_after_end=0 \
		--gate calls_failed=0 --gate misrouted=0 --gate not_routed=0

serve: $(STAMP) ## take calls (settings from the environment; see .env.example)
	$(BIN)/triage-bridge serve

check: $(STAMP) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## pin the dependencies anew, with hashes and without download addresses (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove what was made
	rm -rf .venv .venv313 out .mypy_cache .ruff_cache .pytest_cache .hypothesis
