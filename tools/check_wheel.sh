#!/bin/sh
# Source archive, wheel from it, installed in a folder of its own
#
#     check_wheel.sh [FOLDER]      FOLDER gets a copy of the wheel
#
# PYTHON names the interpreter that builds and, with its NumPy, runs what was installed.  The wheel must
# be one for every CPython from 3.11 on; tools/check_pythons.sh tests it on those that are there.
set -eu
[ $# -eq 0 ] || keep=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
top=$(pwd)
python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"$python" -c 'import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])' \
    "$work" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check \
    -w "$work" "$work"/aneforge-*.tar.gz
ls "$work"/aneforge-*-cp311-abi3-*.whl
[ -z "${keep:-}" ] || cp "$work"/aneforge-*.whl "$keep"
"$python" -m pip install --quiet --no-deps --no-index --disable-pip-version-check \
    --target "$work/site" "$work"/aneforge-*.whl
cd "$work"
export PYTHONPATH="$work/site"
for example in "$top"/examples/python/*.py; do
    "$python" -B "$example" >"$work/log" || { cat "$work/log"; exit 1; }
done
"$python" -c '
import pathlib, sys, aneforge
folder = pathlib.Path(aneforge.__file__).parent
assert folder == pathlib.Path(sys.argv[1], "aneforge"), folder
assert {p.name for p in folder.iterdir()} >= {"__init__.py", "_ops.py", "_core.pyi", "py.typed"}
print("aneforge", aneforge.__version__, "runs as installed")' "$work/site"
