#!/bin/sh
# Exported symbols: the shared library exports anf_* and nothing else, exactly those the headers declare.
set -eu
shared=$1
root=$(dirname "$0")/..
exported=$(nm -D --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u)
bad=$(printf '%s\n' "$exported" | grep -v '^anf_' || true)
[ -z "$bad" ] || { echo "exported but not anf_*: $bad"; exit 1; }
declared=$(grep -hoE '^ANF_API [^;(]*[ *](anf_[a-z0-9_]+)\(' "$root/include/aneforge.h" |
    grep -oE 'anf_[a-z0-9_]+\($' | tr -d '(' | sort -u)
[ "$exported" = "$declared" ] || {
    echo "declared in the header and exported by the library differ:"
    printf '%s\n' "$declared" >"${TMPDIR:-/tmp}/anf_declared.$$"
    printf '%s\n' "$exported" | diff "${TMPDIR:-/tmp}/anf_declared.$$" - || true
    rm -f "${TMPDIR:-/tmp}/anf_declared.$$"
    exit 1
}
echo "symbols: $(printf '%s\n' "$exported" | wc -l) exported, all declared"
