#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run_test.sh [--record] INT4Q NAME.sh: runs one test, see README.md.
set -u -o pipefail

record=
if [ "$1" = --record ]; then
    record=1
    shift
fi
int4q=$(realpath "$1")
TESTS=$(cd "$(dirname "$0")" && pwd)
test=$TESTS/$2
name=${test%.sh}
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
mkdir "$SCRATCH/bin" "$SCRATCH/work"
ln -s "$int4q" "$SCRATCH/bin/int4q"
PATH=$SCRATCH/bin:$PATH
LC_ALL=C
export TESTS SCRATCH PATH LC_ALL

status=0
(cd "$SCRATCH/work" && bash "$test") >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null || status=$?
version=$("$int4q" --version | sed -n 's/^int4q //p')
sed -i "s/\"$version\"/\"VERSION\"/; s/^int4q $version\$/int4q VERSION/" "$SCRATCH/out" "$SCRATCH/err"

if [ -n "$record" ]; then
    cp "$SCRATCH/out" "$name.stdout"
    if [ -s "$SCRATCH/err" ]; then cp "$SCRATCH/err" "$name.stderr"; else rm -f "$name.stderr"; fi
    if [ "$status" -ne 0 ]; then echo "$status" >"$name.exit"; else rm -f "$name.exit"; fi
    exit 0
fi

failed=0
compare() { # compare WHAT EXPECTED ACTUAL
    diff -u --label "$1 expected" --label "$1" "$2" "$3" || failed=1
}
[ ! -e "$name.stdout" ] || compare stdout "$name.stdout" "$SCRATCH/out"
if [ -e "$name.stderr" ]; then compare stderr "$name.stderr" "$SCRATCH/err"; else compare stderr /dev/null "$SCRATCH/err"; fi
expected=0
[ ! -e "$name.exit" ] || expected=$(cat "$name.exit")
if [ "$status" -ne "$expected" ]; then
    echo "exit status $status, $expected expected"
    failed=1
fi
exit "$failed"
