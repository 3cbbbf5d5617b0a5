#!/bin/sh
# Tests of the command: run.sh [--update] COMMAND [NAME...]
#
# A test is NAME.sh, what it must print is NAME.out: stdout and stderr together, and the exit code of
# every command.  Each runs in an empty folder of its own and may use
#     t ARGS...        run the command: its line, its output, "exit N"
#     q ARGS...        the same when only success matters: silent, unless it fails
#     no_times          filter: durations, rates and counts of calls become words
#     skip REASON      leave the test out
#     $TOP $DATA       the source tree, and the files for tests in it
# --update rewrites NAME.out; read the difference before it is committed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$here/../.." && pwd)
DATA=$here/data
update=false
if [ "${1-}" = --update ]; then
    update=true
    shift
fi
if [ $# -lt 1 ]; then
    echo "usage: run.sh [--update] COMMAND [NAME...]" >&2
    exit 2
fi
case $1 in
/*) ANEFORGE=$1 ;;
*) ANEFORGE=$PWD/$1 ;;
esac
shift
[ -x "$ANEFORGE" ] || { echo "run.sh: $ANEFORGE is no program" >&2; exit 2; }

unset ANEFORGE_ISA ANEFORGE_THREADS ANEFORGE_TARGET
LC_ALL=C
export LC_ALL

t() {
    printf '$ aneforge'
    for word; do
        printf ' %s' "$word"
    done
    echo
    "$ANEFORGE" "$@" 2>&1
    echo "exit $?"
}

q() {
    "$ANEFORGE" "$@" || echo "exit $? of aneforge $*"
}

no_times() {
    sed -E -e 's/ *[0-9]+(\.[0-9]+)? (ns|us|ms|s)\>/ TIME/g' \
        -e 's/^( TIME.*TIME) +[0-9.]+ +[0-9.]+ +[0-9.]+  /\1 SHARE RATE RATE  /' \
        -e 's/^((ref|avx2|avx512|avx512fp16|neon) .*TIME) +[0-9.]+ +[0-9]+$/\1 RATE CALLS/'
}

skip() {
    echo "SKIPPED $1"
    exit 77
}

work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-cli.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || set -- $(cd "$here" && for f in *.sh; do [ "$f" = run.sh ] || echo "${f%.sh}"; done)
failed=0 passed=0 skipped=0
for name; do
    mkdir "$work/$name"
    (cd "$work/$name" && . "$here/$name.sh") > "$work/$name.out" 2>&1
    code=$?
    if [ $code -eq 77 ]; then
        echo "skip $name: $(sed -n 's/^SKIPPED //p' "$work/$name.out")"
        skipped=$((skipped + 1))
    elif $update; then
        cp "$work/$name.out" "$here/$name.out"
        passed=$((passed + 1))
    elif diff -u "$here/$name.out" "$work/$name.out"; then
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
done
echo "cli: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
