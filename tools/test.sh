#!/usr/bin/env bash
# The quick tier: build with warnings as errors (gcc, then the library with clang), C tests, checks of
# the tree, Python tests, the command, the examples, an out-of-tree consumer.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-test}
jobs=$(nproc)
step() { printf '\n== %s\n' "$*"; }

step "build (gcc, warnings as errors)"
python=(-DANEFORGE_PYTHON=ON -DPython3_EXECUTABLE="$(command -v "${PYTHON:-python3}")")
cmake -G Ninja -S . -B "$build" -DANEFORGE_WERROR=ON "${python[@]}" >"$build-configure.log" 2>&1 ||
    { cat "$build-configure.log"; exit 1; }
rm -f "$build-configure.log"
cmake --build "$build" -j "$jobs"

if command -v clang-14 >/dev/null; then
    step "build (clang, warnings as errors)"
    cmake -G Ninja -S . -B "$build-clang" -DCMAKE_C_COMPILER=clang-14 -DANEFORGE_WERROR=ON \
        -DANEFORGE_BENCH=OFF "${python[@]}" >/dev/null
    cmake --build "$build-clang" -j "$jobs"
fi

step "checks of the tree"
python3 tools/check_layers.py
sh tools/check_symbols.sh "$build/libaneforge.so" "$build/libaneforge.a"
"$build/gen_ops" --check --header include/aneforge_ops.h --docs docs/ops.md
python3 tools/check_messages.py
"${PYTHON:-python3}" tools/gen_python.py --check "$build/python/aneforge/_core.abi3.so"
"${PYTHON:-python3}" -m mypy --strict --cache-dir "$build/mypy" python/aneforge
echo aneforge._ops.Operand >"$build/stubtest.allow" # an alias of a type that only NumPy has
PYTHONPATH=$build/python "${PYTHON:-python3}" -m mypy.stubtest --allowlist "$build/stubtest.allow" aneforge
if command -v mandoc >/dev/null && [ -d "$build/man" ]; then
    mandoc -Tlint -W error "$build"/man/*.1
fi

step "C tests"
ctest --test-dir "$build" --output-on-failure -j "$jobs"

step "Python tests"
"${PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests --aneforge "$build/aneforge"

step "the command"
sh tests/cli/run.sh "$build/aneforge"

step "examples"
sh tests/examples.sh "$build"

step "install and build a consumer outside the tree"
sh tests/consumer.sh "$build"

step "source archive, wheel, install"
sh tools/check_wheel.sh
