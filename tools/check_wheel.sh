#!/bin/sh
# Source archive, wheel from it, clean environment
#
# PYTHON names the interpreter that builds and, with its NumPy, runs what was installed.  The wheel must
# be one for every CPython from 3.11 on.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"$python" -c 'import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])' \
    "$work" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check \
    -w "$work" "$work"/aneforge-*.tar.gz
ls "$work"/aneforge-*-cp311-abi3-*.whl
"$python" -m venv --system-site-packages "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --no-deps --no-index --disable-pip-version-check \
    "$work"/aneforge-*.whl
cp examples/python/*.py "$work"
cd "$work"
for example in "$work"/*.py; do
    "$work/venv/bin/python" "$example" >/dev/null
done
"$work/venv/bin/python" -c '
import pathlib, sys, aneforge
folder = pathlib.Path(aneforge.__file__).parent
assert folder.is_relative_to(sys.prefix), folder
assert {p.name for p in folder.iterdir()} >= {"__init__.py", "_ops.py", "_core.pyi", "py.typed"}
print("aneforge", aneforge.__version__, "from", "site-packages")'
