# What one does with Mayfly, from a clone on Debian 12. Each target installs what it misses (scripts/apt-packages.txt).
# The work is in scripts/, CMake and CTest; this file only names it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: asan bench bench-cluster bench-events bench-scaling build chaos clean cluster cluster-down cluster-tools coverage e2e format fuzz help images install kubectl lint manifests run server-kafka server-nats server-postgres server-redis test tidy tsan

JOBS ?= $(shell nproc)
SECONDS_EACH := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
PREFIX ?= /usr/local
NODES ?= 1
export JOBS

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

run: build ## Build, then serve the examples: mayfly up examples/ (PORT=9000 make run moves it)
	@exec build/release/bin/mayfly up examples/

build: ## Build what users run: build/release/bin
	@scripts/install-packages build
	@scripts/build release

test: ## Build and run every test and check: programs as users have them, their parts under sanitizers
	@scripts/install-packages test servers
	@tests/servers/server prepare
	@scripts/build release all mayfly_integration_tests
	@scripts/test release
	@$(MAKE) --no-print-directory asan

bench: ## Measure against bare gRPC, Beast, cpp-httplib and workerd; build/bench/spine.json
	@scripts/install-packages bench
	@scripts/build release all mayfly_benchmarks
	@tests/bench/run

bench-cluster: ## Measure on a real Kubernetes, as root; build/bench/cluster.json
	@scripts/install-packages bench cluster test
	@scripts/build release all mayfly_benchmarks
	@tests/bench/run_cluster

bench-events: ## Measure events: JetStream beside a client in C, the store, schedules; build/bench/events.json
	@scripts/install-packages bench servers
	@tests/servers/server prepare
	@scripts/build release all mayfly_benchmarks
	@tests/bench/run_events

bench-scaling: ## Measure scaling and cold starts on a real Kubernetes, as root; build/bench/scaling.json
	@scripts/install-packages bench cluster test
	@scripts/build release all
	@tests/bench/run_scaling

chaos: ## 100,000 requests while workers and runtimes are killed; build/chaos/storm.json
	@scripts/install-packages test
	@scripts/build release all storm
	@build/release/chaos/storm build/chaos/storm.json

cluster: ## A real Kubernetes on this machine, as root: NODES=2 for two nodes
	@scripts/install-packages cluster
	@tests/cluster/cluster up --nodes $(NODES)

cluster-down: ## End it; WIPE=1 forgets what was stored in it too
	@tests/cluster/cluster down $(if $(WIPE),--wipe)

images: ## Build its images, give them to it; FROM_BUILD=1: quickly, from build/release; REGISTRY=HOST/PATH pushes instead
	@scripts/install-packages cluster $(if $(FROM_BUILD),build)
	@scripts/images $(if $(FROM_BUILD),--from-build) $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(PLAIN_HTTP),--plain-http)

manifests: ## Make deploy/install.yaml of charts/mayfly, and its CRDs of deploy/crds
	@scripts/deploy-manifests

kubectl: ## Ask it: make kubectl ARGS="get nodes"
	@tests/cluster/cluster kubectl $(ARGS)

cluster-tools: ## Build Kubernetes and what belongs to it, once, into ~/.cache/mayfly/tools (half an hour)
	@scripts/install-packages cluster
	@tests/cluster/cluster tools

e2e: build ## The end-to-end tests on a real Kubernetes, as root; brings one up if none is: PARTS="pods faults" for some
	@scripts/install-packages cluster test
	@scripts/build release mayfly_kubernetes_tests
	@tests/e2e/run $(PARTS)

server-kafka: ## Run Kafka, one broker on port 9092, as the tests use it; PORT=9093 moves it
	@scripts/install-packages servers
	@tests/servers/server prepare
	@exec tests/servers/server kafka $(if $(PORT),--port $(PORT))

server-nats: ## Run a NATS server with JetStream on port 4222, as the tests use it; PORT=4333 moves it
	@scripts/install-packages servers
	@tests/servers/server prepare
	@exec tests/servers/server nats $(if $(PORT),--port $(PORT))

server-postgres: ## Run a PostgreSQL server for triggers on port 5433, as the tests use it; PORT=5444 moves it
	@scripts/install-packages servers
	@exec tests/servers/server postgres $(if $(PORT),--port $(PORT))

server-redis: ## Run a Redis server on port 6379, as the tests use it; PORT=6380 moves it
	@scripts/install-packages servers
	@exec tests/servers/server redis $(if $(PORT),--port $(PORT))

lint: ## The quick checks alone: formatting, include rules, headers, lists
	@scripts/install-packages test
	@tests/lint/lint.py

format: ## Format the tree as `make lint` wants it
	@scripts/install-packages test
	@tests/lint/lint.py --fix

tidy: ## clang-tidy and clang's thread-safety analysis; CHANGED=1: files changed since main; FOLDERS="base admin"
	@scripts/install-packages clang
	@scripts/tidy

asan: ## The tests of parts alone, under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/install-packages test servers clang
	@tests/servers/server prepare
	@scripts/build dev mayfly_unit_tests
	@scripts/test dev

tsan: ## The tests of what has threads, under ThreadSanitizer
	@scripts/install-packages test servers
	@tests/servers/server prepare
	@scripts/build tsan mayfly_race_tests
	@scripts/test tsan

fuzz: ## Run each fuzzer for SECONDS (60)
	@scripts/install-packages clang
	@scripts/build fuzz mayfly_fuzzers
	@scripts/fuzz fuzz $(SECONDS_EACH)

coverage: ## Which lines the tests reach: build/coverage/report/index.html
	@scripts/install-packages coverage
	@scripts/build coverage all mayfly_tests
	@scripts/coverage

install: build ## Install programs, SDK and CMake package under PREFIX (/usr/local)
	@cmake --install build/release --prefix $(PREFIX)

clean: ## Remove what was built
	@rm -rf build
