# A short front for CMake: every build description is in CMakeLists.txt.
BUILD ?= build
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60

all: build

$(BUILD)/build.ninja: CMakeLists.txt
	cmake -G Ninja -S . -B $(BUILD) $(CMAKE_FLAGS)

# The library, the command and the examples.
build:
	@cmake -G Ninja -S . -B $(BUILD) -DANEFORGE_TESTS=OFF -DANEFORGE_BENCH=OFF $(CMAKE_FLAGS) >$(BUILD)-configure.log 2>&1 \
	  || { cat $(BUILD)-configure.log; exit 1; }; rm -f $(BUILD)-configure.log
	@cmake --build $(BUILD) -j $(JOBS)

# Quick tests: what ./check and CI run.
test:
	tools/test.sh $(BUILD)-test

# Everything: sanitizers, PyTorch as an oracle, arm64 under emulation, valgrind, fuzzing for
# FUZZ_SECONDS a target.
test-full: test
	FUZZ_SECONDS=$(FUZZ_SECONDS) tools/test_full.sh

# Rewrite include/aneforge_ops.h and docs/ops.md from the operator table.
generate:
	@cmake -G Ninja -S . -B $(BUILD) $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target generate

# Beside other engines: build/bench-results/summary.md and compare.png.
bench: bench-build
	python3 bench/compare.py --worker $(BUILD)/bench/bench_worker --out $(BUILD)/bench-results

# How cost grows with size: build/bench-results/scaling.md and plots.
bench-scaling: bench-build
	python3 bench/scaling.py --worker $(BUILD)/bench/bench_worker --out $(BUILD)/bench-results

# Every operator by itself, beside PyTorch: build/bench-results/operators.md.
bench-operators:
	@cmake -G Ninja -S . -B $(BUILD) -DANEFORGE_PYTHON=ON $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	PYTHONPATH=$(BUILD)/python python3 bench/operators.py --out $(BUILD)/bench-results

# The figures of docs/performance.md, from one session of about half an hour.
bench-docs: bench bench-scaling
	python3 bench/compare.py --worker $(BUILD)/bench/bench_worker --out $(BUILD)/bench-results-avx2 \
	  --isa avx2 --minutes 8
	python3 bench/update_docs.py $(BUILD)/bench-results $(BUILD)/bench-results-avx2

bench-build: build
	@cmake -G Ninja -S . -B $(BUILD) -DANEFORGE_BENCH=ON $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

# Install the peers that `make bench` compares with.
bench-peers:
	python3 -m pip install -r bench/requirements.txt

install: build
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) $(if $(PREFIX),--prefix "$(PREFIX)")

clean:
	rm -rf build build-*

.PHONY: all build test test-full generate bench bench-scaling bench-operators bench-docs bench-build bench-peers install clean
