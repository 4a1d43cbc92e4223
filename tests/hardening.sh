#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hardening.sh PROGRAM WISHES: whether it was built so that bugs are hard to use. WISHES are words in one argument: static,
# and fortified, which is to check calls of libc and takes optimization. Exit status 77: it has sanitizers instead.
set -eu -o pipefail
program=$1
grep -qE "__(asan|tsan|msan)_init" "$program" && exit 77
headers=$(readelf -Wlhd "$program")
symbols=$(readelf -Ws "$program")
failed=0
expect() { # expect WHAT PATTERN TEXT
    grep -qE "$2" <<<"$3" || { echo "missing: $1"; failed=1; }
}
expect "position-independent executable" 'Type: +DYN' "$headers"
expect "read-only relocations" GNU_RELRO "$headers"
expect "relocations bound at start" 'BIND_NOW|Flags: .*NOW' "$headers"
expect "a stack that is not executable" 'GNU_STACK .* RW ' "$headers"
expect "stack protector" __stack_chk_fail "$symbols"
grep -qE 'LOAD .* RWE' <<<"$headers" && { echo "a segment is writable and executable"; failed=1; }
grep -qE 'RPATH|RUNPATH' <<<"$headers" && { echo "it looks for libraries in odd places"; failed=1; }
for wish in ${2-}; do
    case $wish in
    static) grep -qE 'INTERP|NEEDED' <<<"$headers" && { echo "it is not static"; failed=1; } ;;
    fortified) expect "checked calls of libc" '__(vsn|sn|f)printf_chk' "$symbols" ;;
    *) echo "what is $wish?" && failed=1 ;;
    esac
done
exit $failed
