#!/bin/sh
# Run every example of a build: examples.sh BUILD
#
# tests/examples/NAME.out is what an example must print; the others must end well and print the line
# that is asked for below.  An example without either is an error, so that none is forgotten.
set -u
[ $# -eq 1 ] || { echo "usage: examples.sh BUILD" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-examples.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 2
mkdir build
failed=0

fail() {
    echo "FAIL $1: $2"
    failed=$((failed + 1))
}

for source in "$top"/examples/*.c; do
    name=$(basename "$source" .c)
    program=$build/examples/$name
    [ -x "$program" ] || { fail "$name" "is not built"; continue; }
    case $name in
    digits) "$program" "$top/examples/digits" 0 > "$name.got" 2>&1 ;;
    *) "$program" > "$name.got" 2>&1 ;;
    esac
    code=$?
    if [ $code -ne 0 ]; then
        fail "$name" "exit $code"
        cat "$name.got"
        continue
    fi
    case $name in
    digits)
        percent=$(sed -n 's/^accuracy on .* images: \([0-9.]*\) %.*/\1/p' "$name.got")
        awk -v p="${percent:-0}" 'BEGIN { exit !(p >= 97) }' || fail digits "accuracy '$percent', needs 97"
        ;;
    encoder_block)
        grep -q '^first token: -*[0-9]' "$name.got" && grep -q ' instructions from ' "$name.got" ||
            fail "$name" "no result, or no program"
        ;;
    *)
        diff -u "$top/tests/examples/$name.out" "$name.got" || fail "$name" "other output"
        ;;
    esac
done
[ $failed -eq 0 ] && echo "examples: all passed"
