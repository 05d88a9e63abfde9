# Everything that is done with this project, each as one target. `make` alone lists them.
PREFIX ?= /usr/local
DESTDIR ?=

# What `show version` says; a release archive without git says "unknown".
export MILLRACE_COMMIT ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# DPDK=off builds without the driver `dpdk`, and needs no libdpdk-dev.
export DPDK ?= on
FEATURES = $(if $(filter off,$(DPDK)),,--features dpdk)

# The tests make network namespaces, so they run as root.
ifneq ($(shell id -u),0)
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER = sudo -E
endif

.PHONY: help deps packages tools build demo test fuzz bench lint fmt doc install

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

deps: packages tools ## Install what build, tests and checks need (Debian packages, cargo tools)

packages: ## Install the Debian packages alone
	@scripts/packages.sh

tools: ## Install the cargo tools alone
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny

build: packages ## Build the release: target/release/millrace and millctl
	cargo build --release --bins $(FEATURES)

DEMO ?= router
demo: build ## Run a demo with real traffic, then its CLI: a router of both families, or DEMO=vswitch
	@scripts/demos/$(DEMO).sh

test: packages ## Run all tests
	cargo build --workspace --bins $(FEATURES)
	cargo test --workspace $(FEATURES)

# Stable Rust does, with the switch for its own bootstrap. Leaks are the target's own to find: a pool is never freed.
SECONDS ?= 600
FUZZ ?= nat44 ip6 vxlan memif vhost
fuzz: packages ## Fuzz packet paths and devices' peers (FUZZ), each for SECONDS (600)
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in $(FUZZ); do mkdir -p fuzz/corpus/$$target && \
		RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=quarantine_size_mb=8 cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
		-max_total_time=$(SECONDS) -timeout=10 -max_len=600 -len_control=20 -detect_leaks=0 || exit 1; done

bench: build ## Measure, and compare with the recorded baselines
	target/release/millrace-perf

lint: packages tools ## Check format, lints, licences and house rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	cargo deny --workspace check --hide-inclusion-graph licenses bans sources
	scripts/house-rules.sh

fmt: ## Format the code
	cargo fmt --all

doc: ## Build the documentation of the code: target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps $(FEATURES)

install: build ## Install below PREFIX (/usr/local), with a systemd unit
	install -D -t $(DESTDIR)$(PREFIX)/bin target/release/millrace target/release/millctl
	test -e $(DESTDIR)/etc/millrace/millrace.yaml || install -D -m 644 configs/router.yaml $(DESTDIR)/etc/millrace/millrace.yaml
	sed 's|/usr/local|$(PREFIX)|' packaging/millrace.service | install -D -m 644 /dev/stdin $(DESTDIR)/etc/systemd/system/millrace.service
