# What can be done here. Each target is a line or two that can be run by hand as well.

PREFIX ?= /usr/local

.DEFAULT_GOAL := build
.PHONY: help build demo test soak bench header install clean

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## /    make \1\t/p' Makefile | expand -t 20

build: ## builds libenos.so, in build/
	scripts/setup
	cmake -S . -B build -DCMAKE_INSTALL_PREFIX="$(PREFIX)" -DENOS_CARGO_TARGET_DIR="$(CURDIR)/target"
	cmake --build build

demo: ## activates a device against the simulator, and reports from it
	scripts/setup demo
	scripts/demo

test: ## runs every test and lint; the last line has the count
	scripts/setup demo test bench
	scripts/test

soak: ## runs the tests that are too long for every day at their full counts
	scripts/setup demo test bench
	ENOS_SOAK=1 scripts/test

bench: ## measures libenos beside Paho C, libmosquitto, OpenSSL and cJSON
	scripts/setup demo bench
	scripts/bench

header: ## writes include/enos.h from the sources
	ENOS_WRITE_HEADER=1 cargo test --locked --quiet --test header

# By sudo there may be no Rust on PATH: what was built before is installed then.
install: $(if $(shell command -v cargo),build) ## installs the library, the header, and files for CMake and pkg-config; PREFIX=/usr/local
	cmake --install build --prefix "$(PREFIX)"

clean: ## removes everything that was built
	rm -rf build target
