#!/bin/sh
# One wheel, every CPython: the Python tests on each version that is found
#
#     check_pythons.sh BUILD       BUILD has the command; the wheel is built from the tree
#
# Looks for python3.11 ... python3.15 on PATH and under ~/.pyenv.  Each gets a virtual environment with
# the wheel, NumPy, pytest and hypothesis; a version that is not there, or for which pip finds no NumPy,
# is named at the end.
set -eu
[ $# -eq 1 ] || { echo "usage: check_pythons.sh BUILD" >&2; exit 2; }
cd "$(dirname "$0")/.."
command=$(cd "$1" && pwd)/aneforge
work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-pythons.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
sh tools/check_wheel.sh "$work"

find_python() { # VERSION: an interpreter that runs; a shim of pyenv may be there and not run
    for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/python; do
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null && { echo "$candidate"; break; }
    done
    return 0
}

tested=0
missing=
for version in 3.11 3.12 3.13 3.14 3.15; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        missing="$missing $version"
        continue
    fi
    "$python" -m venv "$work/$version"
    own=$work/$version/bin/python
    if ! "$own" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        numpy pytest hypothesis "$work"/aneforge-*.whl 2>"$work/log"; then
        tail -n 2 "$work/log"
        missing="$missing $version (no packages)"
        continue
    fi
    site=$("$own" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
    printf '%s, NumPy %s: ' "$("$own" -c 'import sys; print("CPython", sys.version.split()[0])')" \
        "$("$own" -c 'import numpy; print(numpy.__version__)')"
    "$own" -m pytest -q -p no:cacheprovider tests/python --aneforge "$command" --module "$site" \
        >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    tail -n 1 "$work/log"
    tested=$((tested + 1))
done
[ -z "$missing" ] || echo "not found:$missing"
[ $tested -gt 0 ] || { echo "check_pythons: no CPython was found" >&2; exit 1; }
