# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(CURDIR)/.cache
export PATH := $(CACHE)/venv/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CACHE)/dev:$(CACHE)/vendor
export PYTHONDONTWRITEBYTECODE := 1
# Molecule's own default is one folder for all checkouts of the same name.
export MOLECULE_EPHEMERAL_DIRECTORY := $(CACHE)/molecule
# Which Molecule scenarios: all, or for example `make molecule SCENARIO=default`.
SCENARIO ?=
# More words for pytest: `make unit ARGS='-k cookie'`.
ARGS ?=

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: deps deps-python deps-containers deps-httpd deps-openbao deps-mitogen deps-databases deps-docs deps-units deps-importer deps-site deps-browser
deps: deps-containers deps-python  ## install what is missing (podman and others by apt; Python tools in .cache/venv)
deps-python:
	@tools/deps python
deps-containers:
	@tools/deps containers
deps-httpd:
	@tools/deps httpd
deps-openbao:
	@tools/deps openbao
deps-mitogen:
	@tools/deps mitogen
deps-databases:
	@tools/deps databases
deps-docs:
	@tools/deps docs
deps-units:
	@tools/deps units
deps-importer:
	@tools/deps importer
deps-site:
	@tools/deps site
deps-browser:
	@tools/deps browser

.PHONY: lint ruff mypy yamllint ansible-lint
lint: ruff mypy yamllint ansible-lint  ## all static checks; each also by its own name
ruff: deps-python
	ruff check -q .
mypy: deps-python
	mypy --no-error-summary
yamllint: deps-python
	yamllint -s .
ansible-lint: deps-python deps-databases
	ansible-lint -q

.PHONY: sanity
sanity: deps-python  ## ansible-test sanity on the built collection, with every Python here from 3.9 on (ARGS='--test import')
	tools/sanity $(CACHE)/sanity $(ARGS)

.PHONY: docs-lint docs-pages changelog licences
docs-lint: docs-pages changelog licences  ## documentation pages, changelog fragments, licences; each also by its own name
docs-pages: deps-docs
	$(CACHE)/docs/bin/antsibull-docs lint-collection-docs --plugin-docs .
changelog: deps-docs
	$(CACHE)/docs/bin/antsibull-changelog lint
licences: deps-docs
	$(CACHE)/docs/bin/reuse lint --quiet || $(CACHE)/docs/bin/reuse lint

.PHONY: importer
importer: build deps-importer  ## what Ansible Galaxy does with an upload; any warning fails
	tools/importer $(CACHE)

.PHONY: docs-site
docs-site: deps-python deps-site  ## the documentation as pages, in .cache/site/html
	tools/site $(CACHE)/site

.PHONY: unit
unit: deps-python deps-openbao deps-databases  ## unit and property tests
	pytest tests/unit $(ARGS)

.PHONY: units
units: deps-units deps-openbao deps-databases  ## the same by ansible-test (ARGS=tests/unit/test_cookie.py for some)
	tools/units $(CACHE)/units $(ARGS)

.PHONY: protocol
protocol: deps-python  ## the rotation protocol in 100,000 random steps, and without each of its gates (more: PROTOCOL_STEPS=2000000)
	pytest tests/protocol $(ARGS)

.PHONY: molecule
molecule: deps deps-openbao deps-databases deps-mitogen  ## the scenarios on real httpd in containers (SCENARIO=name for one)
	@rm -rf $(MOLECULE_EPHEMERAL_DIRECTORY)  # an earlier run that was cut off may remember containers that are gone
	molecule test $(if $(SCENARIO),--scenario-name $(SCENARIO),--all)

.PHONY: browser
browser: deps deps-browser  ## a real browser on the demo: its session stays while a node goes and returns
	pytest tests/browser $(ARGS)

.PHONY: test
test: deps-httpd lint docs-lint sanity unit protocol importer molecule browser  ## what CI runs: all of these

.PHONY: demo demo-up demo-deploy demo-down
demo: demo-deploy  ## a fleet on this machine: three nodes, a load balancer, one session
	@. demo/env && ansible-playbook -i demo/inventory httpd_fleet.mod_session.check -e session_check_report_dir=$(CACHE)/demo/report
	@python demo/show.py
demo-up: deps
	@python demo/fleet.py up demo/fleet.json
	@python demo/make_secrets.py
	@. demo/env && ansible-playbook -i demo/inventory demo/site.yml
demo-deploy: demo-up
	@. demo/env && ansible-playbook -i demo/inventory httpd_fleet.mod_session.ring -e session_ring_verb=init
	@. demo/env && ansible-playbook -i demo/inventory httpd_fleet.mod_session.deploy
demo-down:  ## remove the demo: containers, network, keys, certificates
	@tools/deps python
	@python demo/fleet.py down demo/fleet.json
	@rm -rf $(CACHE)/demo
	@$(if $(filter clean,$(MAKECMDGOALS)),,echo 'Kept for a quick next start: the images and .cache/venv; `make clean` removes them.')

.PHONY: proof
proof: deps  ## sessions lost when the key changes, by this collection and by textbook ways: real nodes under load (ARGS=--quick)
	python tests/proof/proof.py $(ARGS)

.PHONY: matrix
matrix: deps  ## a journey with each ansible-core on each Python that is here, on Debian 11, 12 and 13 (ARGS=2.19:3.12 for one)
	python tests/matrix/matrix.py $(ARGS)

.PHONY: bench-check
bench-check: deps-python  ## how long a check of 1,000 and of 10,000 addresses takes, beside a replay (needs httpd and ab)
	python tests/bench/bench_check.py $(ARGS)

.PHONY: bench-ring
bench-ring: deps-python  ## what a rotation of 100, 1,000 and 10,000 nodes costs the controller beside asking them: a simulation
	python tests/bench/bench_ring.py $(ARGS)

.PHONY: bench-store
bench-store: deps  ## what a session costs in a cookie and in each database, by its size, in containers (needs ab)
	python tests/bench/bench_store.py $(ARGS)

.PHONY: bench bench-quick
bench: deps deps-httpd deps-mitogen  ## what all of it costs, beside ping and textbook playbooks: 24 containers
	python tests/bench/bench.py $(ARGS)
bench-quick: deps deps-httpd deps-mitogen  ## the same in short: four nodes, one round
	python tests/bench/bench.py --quick $(ARGS)

.PHONY: build
build: deps-python  ## the collection as an installable file, in .cache
	ansible-galaxy collection build --force --output-path $(CACHE)

.PHONY: lock
lock:  ## write requirements.txt anew from requirements.in (needs network)
	@tools/deps lock

.PHONY: clean
clean: demo-down  ## remove all that was generated, the images as well
	@python demo/fleet.py down molecule/field/fleet.json
	@python demo/fleet.py down tests/proof/fleet.json
	@python demo/fleet.py down tests/matrix/fleet.json
	@python demo/fleet.py down tests/bench/store_fleet.json
	@python demo/fleet.py down tests/bench/fleet.json
	@python demo/fleet.py remove-images
	rm -rf $(CACHE) .ansible .hypothesis
