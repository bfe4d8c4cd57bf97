# The same commands that CI runs. They need make, Python 3.11 or later, and the package registries.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
SPARK := .venv/.spark
DEMO_LAKE ?= demo-lake
WORKERS ?= 3
FAULTS ?= 200
BATCHES ?= 20000
MINUTES ?= 5
RATE ?= 1200
EVENTS ?= 2000000

.DEFAULT_GOAL := help
.PHONY: help demo test check warm unit format bench soak kafka spark clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

$(READY): pyproject.toml uv.lock scripts/bootstrap.py
	@$(or $(PYTHON),python3) scripts/bootstrap.py
	@touch $@

$(SPARK): $(READY) scripts/spark-jars.txt
	@$(or $(PYTHON),python3) scripts/bootstrap.py --extra spark
	@$(BIN)/python scripts/spark_jars.py
	@touch $@

demo: $(READY) ## three days end to end: simulate, train, stream, prove; leaves ./demo-lake
	@$(BIN)/lakewarden demo --lake $(DEMO_LAKE)
	@printf '\nThe command is in $(BIN):  export PATH="$$PWD/$(BIN):$$PATH"\n'

test: $(READY) ## everything that CI runs: check, then every test
	@$(MAKE) --no-print-directory -j 3 -O check warm $(SPARK)
	@$(MAKE) --no-print-directory unit

check: $(READY) ## format, lint, types, the one-way imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

warm: $(READY)
	@$(BIN)/python scripts/warm.py

unit: $(SPARK) ## the tests alone
	@$(BIN)/python -m compileall -q src # once, and not in each process that a test starts where PYTHONDONTWRITEBYTECODE is set
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

format: $(READY) ## write the code in its usual form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(SPARK) ## measure (ONLY="latency memory" for some), and write benchmarks/results/latest.json
	$(BIN)/python benchmarks/run.py $(ONLY)

soak: $(SPARK) ## FAULTS=200 faults, BATCHES=20000 micro-batches, EVENTS=2000000 on both engines, MINUTES=5 at RATE=1200: nothing is lost, doubled, or grows
	$(BIN)/python benchmarks/soak_faults.py --faults $(FAULTS)
	$(BIN)/python benchmarks/soak_batches.py --batches $(BATCHES)
	LAKEWARDEN_KILLS=50 $(BIN)/pytest -q tests/crash/test_kill.py tests/crash/test_swap_kill.py tests/crash/test_takeover.py tests/crash/test_spark_kill.py
	$(BIN)/pytest -q -m soak
	$(BIN)/python benchmarks/soak_engines.py --events $(EVENTS)
	$(BIN)/python benchmarks/soak_engines.py --handbook
	$(BIN)/python benchmarks/soak.py --minutes $(MINUTES) --rate $(RATE)

kafka: $(READY) ## a Kafka broker with the topic transactions-stream, on KAFKA_PORT=9092, until Ctrl-C
	@$(BIN)/python scripts/kafka.py start --foreground --port $(or $(KAFKA_PORT),9092)

spark: $(SPARK) ## PySpark (0.5 GB) into .venv, and the jars that it needs; prints where they are. Java 17 or 21 is yours to install
	@$(BIN)/python scripts/spark_jars.py

clean: ## remove what the targets above made (not your lakes)
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist catboost_info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
