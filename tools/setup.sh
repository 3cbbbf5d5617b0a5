# Sourced by ./check and ./quickstart: say what is missing and install it with the system's package
# manager. Nothing is installed when everything is there.

run_as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "these packages are missing and need root to install: $*" >&2
        exit 1
    fi
}

# install_missing PACKAGE:TEST... - TEST is a command name, or a pkg-config module after "pc=".
install_missing() {
    local wanted=() item package test
    for item in "$@"; do
        package=${item%%:*}
        test=${item#*:}
        case $test in
        pc=*) pkg-config --exists "${test#pc=}" 2>/dev/null || wanted+=("$package") ;;
        file=*) [ -e "${test#file=}" ] || wanted+=("$package") ;;
        *) command -v "$test" >/dev/null || wanted+=("$package") ;;
        esac
    done
    [ ${#wanted[@]} = 0 ] && return 0
    if command -v apt-get >/dev/null; then
        echo "installing: ${wanted[*]}"
        run_as_root apt-get update -qq
        run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${wanted[@]}" >/dev/null
    else
        echo "please install (Debian names): ${wanted[*]}" >&2
        exit 1
    fi
}

need_build_tools() {
    install_missing pkg-config:pkg-config
    install_missing gcc:cc cmake:cmake ninja-build:ninja zlib1g-dev:pc=zlib libjansson-dev:pc=jansson \
        libpng-dev:pc=libpng libjpeg62-turbo-dev:pc=libjpeg scdoc:scdoc
}

need_test_tools() {
    install_missing libcmocka-dev:pc=cmocka python3:python3 binutils:nm clang-14:clang-14 \
        mandoc:mandoc
    "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || install_missing python3-venv:none
    need_python numpy pytest hypothesis
}

# Sets PYTHON to an interpreter that has the named modules (pip's names, which are also theirs; NAME or
# NAME==VERSION): the system's when it has them, in any version, else that of a virtual environment in
# build-python/ made from it.
need_python() {
    PYTHON=${PYTHON:-python3}
    if ! python_has "$@"; then
        [ -x build-python/bin/python ] || "$PYTHON" -m venv --system-site-packages build-python
        PYTHON=$PWD/build-python/bin/python
        python_has "$@" || "$PYTHON" -m pip install --quiet "$@"
    fi
    export PYTHON
}

python_has() {
    "$PYTHON" -c 'import importlib.util, sys
sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))' "${@%%==*}"
}

need_full_tools() {
    install_missing gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc qemu-user-static:qemu-aarch64-static \
        valgrind:valgrind libclang-rt-14-dev:file=/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a
}
