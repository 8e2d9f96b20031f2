# Haechi: every command that people and CI use. `make help` lists them.
#
#   VARIANT=release|debug   BOARD=qemu-virt   BOOT=direct|uefi   MEM=MiB   TPM=1   DISPLAY_LOG=1   IMAGE=FOLDER   SEED=N
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run cloud test image qemu button operator test-device torture inspect bench fmt lint

VARIANT ?= release
BOARD ?= qemu-virt
BOOT ?= direct
MEM ?=
TPM ?=
DISPLAY_LOG ?=
IMAGE ?= Images/out/$(BOARD)-$(VARIANT)
SEED ?=
# Of the machine that `make qemu` runs.
MONITOR = Images/out/$(BOARD)-$(VARIANT).monitor
MODE ?= quick
# Tests at a time: more of them would only wait for one another's processor, and run into the deadlines of what they test.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH ?= 4
ONLY ?=

SCRIPTS = $(shell git ls-files | xargs -r awk 'FNR == 1 && /^\#!.*bash/ { print FILENAME }')
PYTHON = $(shell git ls-files '*.py'; git ls-files | xargs -r awk 'FNR == 1 && /^\#!.*python3/ { print FILENAME }')

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  haechi --help       the operator's command line (.build/debug/haechi)"

run: ## build for this machine, start a throwaway device and a cloud, claim it, show it living (Ctrl-C ends it)
	@Toolchain/need host
	@Toolchain/run-virtual

cloud: ## a broker for the devices of your owner, mutual TLS 1.3, on 127.0.0.1:8883 until Ctrl-C: PORT=
	@Toolchain/need host
	@Toolchain/run-cloud

test: ## run every host test
	@Toolchain/need host
	python3 -m unittest discover -s Toolchain/tests -p 'test_*.py'
	python3 -m unittest discover -s Images/tests -p 'test_*.py'
	python3 -m unittest discover -s Benchmarks/tests -p 'test_*.py'
	swift test
	swift build --product haechid && swift build --product haechi
	Toolchain/python-tool pytest -p no:cacheprovider -q --tb=short Tests/Device/test_roles.py --virtual
	Tests/Network/dnsmasq-test "$$(swift build --show-bin-path)/dhcp-probe" || { status=$$?; [ $$status -eq 77 ] || exit $$status; }

image: ## make a bootable image: VARIANT=release|debug BOARD=qemu-virt
	@Toolchain/need image
	Images/make-image --variant "$(VARIANT)" --board "$(BOARD)"

qemu: ## boot that image, port 8443 on 127.0.0.1: VARIANT= BOOT=direct|uefi MEM= TPM=1 DISPLAY_LOG=1
	@Toolchain/need device
	Images/qemu --variant "$(VARIANT)" --board "$(BOARD)" --boot "$(BOOT)" --monitor "$(MONITOR)" $(if $(MEM),--mem $(MEM)) $(if $(TPM),--tpm) $(if $(DISPLAY_LOG),--display-log)

button: ## press the button of the machine that make qemu runs (release images)
	@Images/press-button "$(MONITOR)"

operator: ## build haechi; what it prints, evaluated, puts it on the PATH and names the throwaway maker
	@Toolchain/need host image
	@swift build --product haechi >&2
	@echo "export PATH='$$(swift build --show-bin-path)':\$$PATH MAKER='$$(Images/make-maker-ca | tail -n 1)'"

test-device: ## black-box suite against booted release and debug images, and the board's own tests inside QEMU
	@Toolchain/need host image device
	Tests/Device/run

torture: ## the long campaigns, on demand: SEED=N repeats one; HAECHI_CUT_JOBS=2 looks at two power cuts at a time
	@Toolchain/need host image device
	$(if $(SEED),HAECHI_SEED=$(SEED)) HAECHI_VAULT_CUTS=20000 swift test --filter VaultTests.PowerCutTests
	$(if $(SEED),HAECHI_SEED=$(SEED)) HAECHI_AUDIT_CUTS=5000 swift test --filter AuditPowerCutTests
	Tests/Device/run --torture $(if $(SEED),--seed $(SEED))

inspect: ## look into an image as an evaluator would: IMAGE=FOLDER
	Images/inspect "$(IMAGE)"

bench: ## measure beside peers, into Benchmarks/results: MODE=quick|full ONLY=tls,api,…
	@Toolchain/need host image device bench
	@Benchmarks/run --mode "$(MODE)" $(if $(ONLY),--only "$(ONLY)")

fmt: ## format the Swift and Python sources
	swift format format --in-place --parallel --recursive Sources Tests Benchmarks/Sources Benchmarks/Package.swift Package.swift
	Toolchain/python-tool ruff format $(PYTHON)

lint: ## lint with warnings as errors
	@Toolchain/need host
	swift format lint --strict --parallel --recursive Sources Tests Benchmarks/Sources Benchmarks/Package.swift Package.swift
	@# FoundationEssentials costs a device an eighth of its firmware, Foundation far more.
	! grep -rnE 'import Foundation(Essentials)?$$' Sources/DeviceCore Sources/Board Sources/Product Sources/haechid
	shellcheck $(SCRIPTS)
	Toolchain/python-tool ruff check --quiet $(PYTHON)
	Toolchain/python-tool ruff format --check --quiet $(PYTHON)
