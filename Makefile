# The targets of this project. Each runs a few commands, which you can also run by hand.

PREFIX ?= /usr/local
WORLDS ?= 1000000
TARGET ?=
TIME ?= 60
# enos-sim needs OpenSSL's headers, which a build without TLS must not require.
SIMULATOR = $(if $(shell grep -s ENOS_WITH_TLS:BOOL=OFF build/CMakeCache.txt),OFF,ON)

.DEFAULT_GOAL := build
.PHONY: help build demo check test soak worlds fuzz bench fleet outages docs cross deb header layout messages install clean

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## /    make \1\t/p' Makefile | expand -t 20

build: ## builds libenos.so and enos-sim, in build/
	scripts/setup
	cmake -S . -B build -DCMAKE_INSTALL_PREFIX="$(PREFIX)" -DENOS_BUILD_SIMULATOR=$(SIMULATOR) \
		-DENOS_CARGO_TARGET_DIR="$(CURDIR)/target"
	cmake --build build

demo: ## activates a device against the simulator, and reports from it
	scripts/setup demo
	scripts/demo

check: ## runs the quick tests and lints, for work in progress; scripts/test NAME runs one
	scripts/setup demo test
	scripts/test check

test: ## runs every test and lint; the last line has the count
	scripts/setup demo test bench docs deb msrv
	scripts/test

soak: ## runs the tests that are too long for every day at their full counts
	scripts/setup demo test soak
	scripts/soak

worlds: ## runs the session and the outbox in a million random worlds; WORLDS=<how many>
	scripts/setup demo test
	scripts/worlds $(WORLDS)

fuzz: ## goes on fuzzing from the inputs that are kept; TARGET=<one of them> TIME=<seconds for each>
	scripts/setup demo test fuzz
	scripts/fuzz $(TARGET) $(TIME)

bench: ## measures libenos beside Paho C, libmosquitto, OpenSSL and cJSON
	scripts/setup demo bench
	scripts/bench

docs: ## writes the headers' documentation as HTML, to build/docs/html
	scripts/setup demo docs
	cmake -S . -B build -DCMAKE_INSTALL_PREFIX="$(PREFIX)" -DENOS_CARGO_TARGET_DIR="$(CURDIR)/target"
	cmake --build build --target enos_docs

fleet: ## runs a million devices through an outage, in virtual time; writes docs/fleet.md and its plot
	scripts/setup demo test
	cargo bench --locked --quiet --bench fleet

outages: ## tries each kind of outage with a real broker; writes docs/outages.md
	scripts/setup demo test
	ENOS_WRITE_DOCS=1 cargo test --locked --quiet --workspace --test programs -- outages:: --nocapture

cross: ## builds for arm64 and for armhf with Debian's packages, and tests that under QEMU
	scripts/setup demo cross
	scripts/cross arm64
	scripts/cross armhf

deb: ## builds libenos1, libenos-dev, libenos1-dbgsym and enos-sim, for Debian, in build/deb/packages/
	scripts/setup demo deb
	cmake -S . -B build/deb -DCMAKE_INSTALL_PREFIX=/usr -DENOS_BUILD_SIMULATOR=ON -DENOS_CARGO_TARGET_DIR="$(CURDIR)/target" \
		-DENOS_WITH_OTA=$(shell pkg-config --exists libcurl && echo ON || echo OFF)
	cmake --build build/deb
	cd build/deb && cpack -G DEB -B packages

header: ## writes include/enos.h from the sources
	cargo run --locked --quiet -p enos-generate -- header

layout: ## writes tests/golden/abi-layout.txt, the sizes and values of the ABI, from the header
	cargo run --locked --quiet -p enos-generate -- layout

messages: ## writes docs/messages.md, a page on each EnOS message, from the table of operations
	cargo run --locked --quiet -p enos-generate -- messages

# With sudo, Rust may not be on PATH: then install what was built before.
install: $(if $(shell command -v cargo),build) ## installs the library, the header, files for CMake and pkg-config, and enos-sim; PREFIX=/usr/local
	cmake --install build --prefix "$(PREFIX)"

clean: ## removes everything that was built
	rm -rf build target
