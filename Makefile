# keyring_external: `make` lists the targets.

CARGO ?= cargo
PREFIX ?= /usr/local
PLUGIN_DIR ?= /usr/lib/mysql/plugin
DESTDIR ?=
MAN_DIR ?= $(PREFIX)/share/man/man1
BASH_DIR ?= $(PREFIX)/share/bash-completion/completions
ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
FISH_DIR ?= $(PREFIX)/share/fish/vendor_completions.d

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet test bench fuzz build bindings lint fmt docs install deb rpm clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build mysql ## Show the main job from nothing: encrypt, take the volume away, bring it back
	@scripts/demo.sh

demo-fleet: build mysql engines ## Show three servers on one etcd: a node killed, a server moved, the engine down
	@scripts/demo-fleet.sh

test: ## Run all tests, on a real MySQL server too
	@scripts/test.sh

build: ## Build the library and keyringctl into target/release
	@echo "build: the library and keyringctl, into target/release"
	@$(CARGO) build --release --locked

bench: ## Measure beside component_keyring_file, into docs/BENCHMARKS.md (QUICK=1, RECORD=1, ONLY=part, DIR=/path)
	@scripts/bench.sh

fuzz: ## Fuzz everything that parses foreign bytes (SECONDS=600 for each target, TARGET=name); needs nightly Rust and cargo-fuzz
	@SECONDS_EACH=$(or $(SECONDS),600) scripts/fuzz.sh $(TARGET)

bindings: ## Make src/abi/sys.rs anew from include/ (installs Debian's libclang-dev when it is missing)
	@scripts/bindings.sh

lint: ## Check formatting, clippy's and the project's own rules, and the links in the documentation of the code
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(CARGO) clippy --locked -p keyring_external --no-default-features --all-targets -- -D warnings
	@scripts/rules.py
	@scripts/rules.py --self-test
	@$(MAKE) --no-print-directory docs

fmt: ## Format the code
	@$(CARGO) fmt --all

docs: ## Build the documentation of the code into target/doc
	@RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --workspace --no-deps --document-private-items

install: build ## Install plugin, component, keyringctl, its manual and completions (DESTDIR, PREFIX, PLUGIN_DIR)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" PLUGIN_DIR="$(PLUGIN_DIR)" MAN_DIR="$(MAN_DIR)" BASH_DIR="$(BASH_DIR)" \
		ZSH_DIR="$(ZSH_DIR)" FISH_DIR="$(FISH_DIR)" scripts/install.sh target/release

deb: ## Build a Debian package into target/deb, for glibc 2.28 and later
	@scripts/deb.sh

rpm: ## Build an RPM for Red Hat's family into target/rpm, for glibc 2.28 and later
	@scripts/rpm.sh

clean: ## Remove what was built, the test server included
	rm -rf target

include mysql-plugin-tests/server.mk
