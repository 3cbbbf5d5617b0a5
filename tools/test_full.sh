#!/usr/bin/env bash
# The full tier, part by part; stops at the first failure:
#
#     tools/test_full.sh               every part
#     tools/test_full.sh arm64 fuzz    only these
#
# BUILD_FULL (build-full) is the folder of its builds, FUZZ_SECONDS (60) the time for each fuzz target,
# ORACLE_EXAMPLES (500) the number of random graphs that are compared with float64.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/setup.sh
base=${BUILD_FULL:-build-full}
jobs=${JOBS:-$(nproc)}
seconds=${FUZZ_SECONDS:-60}
mkdir -p "$base"
base=$(cd "$base" && pwd)

# Kernel files with sanitizers take several times longer to compile at -O2, or with all of -g.
slow=(-DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=-O1 -g1")

step() { printf '\n== %s  [%s]\n' "$*" "$(date +%H:%M:%S)"; }
need() { command -v "$1" > /dev/null || { echo "test_full: $1 is missing ($2)" >&2; exit 1; }; }

# build FOLDER CMAKE-ARGS... : quiet, unless it fails
build() {
    local dir=$base/$1
    shift
    cmake -G Ninja -S . -B "$dir" -DANEFORGE_BENCH=OFF "$@" \
        > "$dir.log" 2>&1 && cmake --build "$dir" -j "$jobs" >> "$dir.log" 2>&1 ||
        { tail -n 60 "$dir.log"; exit 1; }
}

run_tests() { # FOLDER [CTEST-ARGS...]
    local dir=$base/$1
    shift
    ctest --test-dir "$dir" --output-on-failure -j "$jobs" --timeout 1800 "$@" > "$dir.ctest" 2>&1 ||
        { cat "$dir.ctest"; exit 1; }
    tail -n 3 "$dir.ctest" | head -n 1
}

part_asan_gcc() {
    step "address and undefined behaviour sanitizers, gcc"
    build asan-gcc "${slow[@]}" -DANEFORGE_SANITIZE=address,undefined
    run_tests asan-gcc
}

part_asan_clang() {
    step "address and undefined behaviour sanitizers, clang"
    need clang-14 "Debian package clang-14"
    build asan-clang -DCMAKE_C_COMPILER=clang-14 "${slow[@]}" \
        -DANEFORGE_SANITIZE=address,undefined
    run_tests asan-clang
}

part_tsan() {
    step "thread sanitizer"
    build tsan "${slow[@]}" -DANEFORGE_SANITIZE=thread -DANEFORGE_CLI=OFF
    run_tests tsan -R '^test_(threads|api|ops|model_file)$'
}

part_python() {
    step "the Python module under the address and undefined behaviour sanitizers"
    need_python numpy pytest hypothesis
    build asan-python "${slow[@]}" -DANEFORGE_SANITIZE=address,undefined -DANEFORGE_TESTS=OFF \
        -DANEFORGE_EXAMPLES=OFF -DANEFORGE_PYTHON=ON -DPython3_EXECUTABLE="$(command -v "$PYTHON")"
    # The interpreter is not instrumented, so the runtimes are loaded before it. What it keeps until it
    # ends is no leak; its own allocator would hide what is read after it is freed.
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
        PYTHONMALLOC=malloc MISUSE_EXAMPLES=${MISUSE_EXAMPLES:-3000} \
        "$PYTHON" -m pytest -q -p no:cacheprovider tests/python --aneforge "$base/asan-python/aneforge" \
        -k 'not leak and not kept_once'
}

part_pythons() {
    step "one wheel on every CPython that is here"
    need_python numpy scikit_build_core
    build pythons -DANEFORGE_TESTS=OFF -DANEFORGE_EXAMPLES=OFF
    sh tools/check_pythons.sh "$base/pythons"
}

part_debug() {
    step "debug checks: tiny arena blocks, graphs verified between passes"
    build debug "${slow[@]}" -DANEFORGE_DEBUG_CHECKS=ON
    run_tests debug
}

part_oracles() {
    step "every operator against NumPy and PyTorch in float64"
    need_python numpy pytest hypothesis torch==2.13.0
    build debug "${slow[@]}" -DANEFORGE_DEBUG_CHECKS=ON
    ORACLE_EXAMPLES=${ORACLE_EXAMPLES:-500} "$PYTHON" -m pytest -q -p no:cacheprovider tests/oracle \
        --aneforge "$base/debug/aneforge" --require-torch
}

part_valgrind() {
    step "valgrind"
    need valgrind "Debian package valgrind"
    build debug "${slow[@]}" -DANEFORGE_DEBUG_CHECKS=ON
    # Valgrind computes in the default rounding mode only, so that one test cannot pass under it. Leaks
    # are what the address sanitizer looks for.
    local name code
    for name in test_api test_model_file; do
        code=0
        valgrind --quiet --error-exitcode=99 --leak-check=no "$base/debug/tests/$name" \
            > "$base/valgrind.$name" 2>&1 || code=$?
        if [ $code = 99 ] || { [ $code != 0 ] && grep '^\[  FAILED  \] test_' "$base/valgrind.$name" |
            grep -qv test_host_environment_does_not_matter; }; then
            tail -n 60 "$base/valgrind.$name"
            exit 1
        fi
        echo "$name: no errors"
    done
}

part_arm64() {
    step "arm64 under emulation: NEON against the reference"
    need aarch64-linux-gnu-gcc "Debian package gcc-aarch64-linux-gnu"
    need qemu-aarch64-static "Debian package qemu-user-static"
    local dir=$base/arm64 run="qemu-aarch64-static -L /usr/aarch64-linux-gnu" name
    # No other libraries: the core needs none, and the host's are of the wrong architecture.
    PKG_CONFIG_LIBDIR=/nonexistent build arm64 -DCMAKE_SYSTEM_NAME=Linux \
        -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc \
        -DANEFORGE_WERROR=ON -DANEFORGE_TESTS=OFF -DANEFORGE_CLI=OFF -DANEFORGE_EXAMPLES=OFF
    compile_for() { # COMPILER LIBRARY SOURCE PROGRAM [LIBS...]
        local cc=$1 library=$2 source=$3 program=$4
        shift 4
        "$cc" -std=c11 -O2 -ffp-contract=off -D_POSIX_C_SOURCE=200809L -DANF_STATIC -DANF_TEST_PLAIN \
            -Iinclude -Isrc -Itests/kernels "$source" -o "$program" "$library" "$@" -lpthread -lm
    }
    for source in tests/kernels/test_*.c tests/ops/test_ops.c; do
        name=$(basename "$source" .c)
        compile_for aarch64-linux-gnu-gcc "$dir/libaneforge.a" "$source" "$dir/$name"
        $run "$dir/$name" > "$dir/$name.out" 2>&1 || { tail -n 30 "$dir/$name.out"; exit 1; }
        tail -n 1 "$dir/$name.out"
    done

    step "a model saved here, loaded on arm64, and the other way"
    build native -DANEFORGE_TESTS=OFF -DANEFORGE_CLI=OFF -DANEFORGE_EXAMPLES=OFF \
        -DDISABLE_ZLIB=ON -DDISABLE_JANSSON=ON
    compile_for gcc "$base/native/libaneforge.a" tests/arm64/model_bytes.c "$base/native/model_bytes"
    compile_for aarch64-linux-gnu-gcc "$dir/libaneforge.a" tests/arm64/model_bytes.c "$dir/model_bytes"
    rm -rf "$base/models"
    mkdir -p "$base/models/here" "$base/models/arm64"
    "$base/native/model_bytes" save "$base/models/here" > "$base/models/here.saved"
    $run "$dir/model_bytes" load "$base/models/here" > "$base/models/here.loaded"
    $run "$dir/model_bytes" save "$base/models/arm64" > "$base/models/arm64.saved"
    "$base/native/model_bytes" load "$base/models/arm64" > "$base/models/arm64.loaded"
    for other in here.loaded arm64.saved arm64.loaded; do
        diff "$base/models/here.saved" "$base/models/$other" || { echo "other bits: $other"; exit 1; }
    done
    diff -r "$base/models/here" "$base/models/arm64" || { echo "other model files"; exit 1; }
    echo "$(wc -l < "$base/models/here.saved") models: the same files and the same bits"
}

part_fuzz() {
    step "fuzzing, $seconds s each"
    need clang-14 "Debian packages clang-14 and libclang-rt-14-dev"
    build fuzz -DCMAKE_C_COMPILER=clang-14 "${slow[@]}" -DANEFORGE_FUZZ=ON \
        -DANEFORGE_TESTS=OFF -DANEFORGE_CLI=OFF -DANEFORGE_EXAMPLES=OFF
    local source what
    for source in fuzz/fuzz_*.c; do
        what=$(basename "$source" .c)
        what=${what#fuzz_}
        mkdir -p "$base/found/$what"
        "$base/fuzz/fuzz/fuzz_$what" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
            -max_len=8192 -artifact_prefix="$base/found/" "$base/found/$what" "fuzz/corpus/$what" \
            > "$base/fuzz.$what" 2>&1 || { tail -n 40 "$base/fuzz.$what"; exit 1; }
        echo "$what: $(tail -n 1 "$base/fuzz.$what")"
    done
}

need_full_tools
parts=${*:-asan_gcc asan_clang tsan python pythons debug oracles valgrind arm64 fuzz}
for part in $parts; do
    declare -F "part_$part" > /dev/null || { echo "test_full: there is no part '$part'" >&2; exit 2; }
    "part_$part"
done
step "full tests passed: $parts"
