# The commands of the project; `make` lists them. Longer ones are scripts in dev/.

MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
# what `make test-matrix` runs on: the newest, or 1.12.7, for before a release
ORTHANC := 1.13.0
# on all cores; a module's tests stay together, since they share their servers
PYTEST := $(PYTHON) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
WEB := orthancproxy/static/orthancproxy/.web-built
# what the tests use besides Orthanc: a command, and the Debian packages that provide it
TEST_TOOLS := /usr/bin/chromium=chromium,fonts-noto-cjk dcmftest=dcmtk dciodvfy=dicom3tools cc=gcc,libc6-dev
TEST_TOOLS += nginx=nginx-light rsync=rsync systemd-analyze=systemd pgbouncer=pgbouncer
# it checks the metrics and the alerts
TEST_TOOLS += promtool=prometheus
# a syslog receiver with TLS, by GnuTLS and by OpenSSL
ifeq ($(and $(wildcard /usr/lib/*/rsyslog/lmnsd_gtls.so),$(wildcard /usr/lib/*/rsyslog/lmnsd_ossl.so)),)
TEST_TOOLS += /no-rsyslog-tls=rsyslog,rsyslog-gnutls,rsyslog-openssl
endif
# the index of the Orthanc that is installed
TEST_TOOLS += /usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so=orthanc-postgresql
# a decoder for the Orthanc that is installed
TEST_TOOLS += /usr/share/orthanc/plugins/libOrthancGdcm.so=orthanc-gdcm
# Playwright's Node needs this library, whose folder is named for the machine
ifeq ($(wildcard /usr/lib/*/libatomic.so.1 /usr/lib/libatomic.so.1 /usr/lib64/libatomic.so.1),)
TEST_TOOLS += /no-libatomic=libatomic1
endif
# each version has a folder of its own
ifeq ($(wildcard /usr/lib/postgresql/*/bin/initdb),)
TEST_TOOLS += /no-initdb=postgresql
endif
# tests that run on Node: an identity provider, and the audits of GraphQL over HTTP
NODE_TESTS := tests/identity tests/schema/audits
WEB_SOURCES := schema/schema.graphql $(shell find orthancproxy/web \( -name node_modules -o -name generated \) -prune -o -type f -print)

.PHONY: help run ohif test test-matrix test-uncached test-indexed oracle staleness bench bench-large soak drill drill-systemd check sdl docs messages web lock clean
.DEFAULT_GOAL := help

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: .venv/.synced web ## Serve with a local Orthanc and sample studies (PORT, HOST, ORTHANC_BASE_URL)
	@dev/install-orthanc
	@exec $(PYTHON) manage.py sandbox

ohif: .venv/.synced web ## The same, with the OHIF viewer at /ohif/, which is fetched from the npm registry
	@dev/install-orthanc
	@dev/install-ohif
	@OHIF_DIR=$(CURDIR)/.ohif ORTHANC_VIEWER_URL='/ohif/viewer?StudyInstanceUIDs={StudyInstanceUID}' exec $(PYTHON) manage.py sandbox

test: .venv/.synced web ## Run all tests, the live ones on the Orthanc that is installed (ARGS: more for pytest)
	@dev/install-orthanc
	@dev/install-debian-packages $(TEST_TOOLS)
	@dev/install-node-packages $(NODE_TESTS)
	@dev/install-ohif
	$(PYTEST) $(ARGS)

test-matrix: .venv/.synced web ## Run the tests that depend on Orthanc's version on another (ORTHANC=1.12.7, ARGS)
	@dev/install-debian-packages $(TEST_TOOLS)
	@dev/install-node-packages $(NODE_TESTS)
	root=$$(dev/orthanc-root $(ORTHANC)) && ORTHANC_ROOT=$$root $(PYTEST) -m "live and not once" $(ARGS)

test-uncached: .venv/.synced web ## Run the tests of GraphQL and REST on another Orthanc without the cache of instances (ORTHANC=1.12.7, ARGS)
	root=$$(dev/orthanc-root $(ORTHANC)) && ORTHANC_ROOT=$$root ORTHANC_CACHE_BYTES=0 $(PYTEST) -m "live and not once" tests/schema tests/rest tests/resolvers $(ARGS)

test-indexed: .venv/.synced web ## Run the tests of GraphQL and REST on another Orthanc with the index (ORTHANC=1.12.7, ARGS)
	@dev/install-node-packages $(NODE_TESTS)
	root=$$(dev/orthanc-root $(ORTHANC)) && ORTHANC_ROOT=$$root GATEWAY_INDEX=1 $(PYTEST) -m "live and not once" tests/schema tests/rest tests/resolvers $(ARGS)

oracle: .venv/.synced ## Compare filters, orders and pages of a random archive with an oracle (SEED, REQUESTS, ORTHANC_ROOT)
	@dev/install-orthanc
	ORACLE_SEED=$(or $(SEED),$$(date +%s)) ORACLE_REQUESTS=$(or $(REQUESTS),2000) $(PYTHON) -m pytest -q tests/archive/test_oracle.py

staleness: .venv/.synced ## Compare two gateways with Orthanc while it changes (STEPS, REPORT, ORTHANC)
	@dev/install-debian-packages $(TEST_TOOLS)
	root=$$(dev/orthanc-root $(ORTHANC)) && ORTHANC_ROOT=$$root STALENESS_STEPS=$(or $(STEPS),10000) STALENESS_REPORT=$(or $(REPORT),/dev/stderr) \
	$(PYTHON) -m pytest -q tests/staleness

bench: .venv/.synced ## Measure the gateway against Orthanc itself (ARGS: see docs/performance.md)
	@dev/install-orthanc
	$(PYTHON) -m benchmarks --plot docs/growth.png $(ARGS)

bench-large: .venv/.synced ## The same over 1,000,000 instances, as found and tuned (ARGS, ORTHANC=1.13.0)
	root=$$(dev/orthanc-root $(ORTHANC)) && ORTHANC_ROOT=$$root $(PYTHON) -m benchmarks \
		--only large --rounds 7 --memory-rounds 1 --plot-large docs/growth-large.png --update docs/performance.md $(ARGS)

soak: .venv/.synced ## Read, upload and delete with 16 clients for ten minutes, then attack; check the result (ARGS=--help)
	@dev/install-orthanc
	$(PYTHON) -m benchmarks.soak $(ARGS)

drill: .venv/.synced ## Kill, stop and starve each part of two hosts under load, on two Orthancs; compare (ARGS=--help)
	@dev/install-orthanc
	@dev/install-debian-packages $(TEST_TOOLS)
	root=$$(dev/orthanc-root $(ORTHANC)) && $(PYTHON) -m benchmarks.drill --orthanc-root= --orthanc-root=$$root $(ARGS)

drill-systemd: .venv/.synced ## Install the gateway in a copy of this system that boots with systemd, and check its services (as root, on Debian)
	@dev/drill-systemd

check: .venv/.synced ## Lint, types, import contracts, migrations, the committed schema and docs, the lock files, the front end
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) manage.py makemigrations --check --dry-run
	$(PYTHON) manage.py export_schema orthancproxy.schema | diff -u schema/schema.graphql -
	$(PYTHON) -m dev.generate_docs --check
	dev/lint-docker
	dev/lock --check
	dev/check-web

sdl: .venv/.synced ## Write schema/schema.graphql from the code
	$(PYTHON) manage.py export_schema orthancproxy.schema > .schema.graphql && mv .schema.graphql schema/schema.graphql

docs: .venv/.synced ## Write the generated sections of docs/, such as the tables of settings
	$(PYTHON) -m dev.generate_docs

messages: .venv/.synced ## Compile the translations of orthancproxy/locale
	$(PYTHON) -m dev.compile_messages

web: $(WEB) ## Build the page for people and GraphiQL, with Node from PyPI if there is none or an old one

# the environment first: its uv installs Node if there is none
$(WEB): $(WEB_SOURCES) | .venv/.synced
	@dev/build-web

lock: .venv/.synced ## Update the lock files from pyproject.toml (ARGS=--upgrade: and from PyPI)
	dev/lock $(ARGS)

clean: ## Remove everything that the other commands made, including the sample data
	rm -rf .venv .uv .node .data .ohif .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf orthancproxy/web/node_modules orthancproxy/static $(NODE_TESTS:=/node_modules)

.venv/.synced: requirements-dev.txt dev/make-environment
	@dev/make-environment
	@touch $@
