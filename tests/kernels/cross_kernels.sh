#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cross_kernels.sh SOURCE_DIR: builds the kernels and their checks for AArch64 and runs them under qemu-user, so that
# the NEON sets are tested on other machines too. Exit 77 (skipped) where the cross compiler or the emulator is missing.
set -eu

compiler=aarch64-linux-gnu-gcc
emulator=qemu-aarch64
for tool in "$compiler" "$emulator"; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: there is no $tool" >&2
        exit 77
    fi
done

cd "$1"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for source in src/kernels/*.c src/platform/cpu.c src/platform/threads.c src/platform/posix/native.c src/base/elementary.c src/base/error.c src/base/half.c tests/kernels/neon_main.c \
    tests/kernels/*_checks.c; do
    case $source in
    *avx*) continue ;;
    *neondot*) machine=-march=armv8.2-a+dotprod ;;
    *) machine= ;;
    esac
    # shellcheck disable=SC2086 # nothing, or one word
    "$compiler" -std=c17 -O2 $machine -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra -Wno-unused-parameter \
        -Wno-missing-field-initializers -Werror -Isrc -Itests/kernels -c "$source" \
        -o "$objects/$(echo "$source" | tr / _).o"
done
"$compiler" -static "$objects"/*.o -lm -o "$objects/checks"
"$emulator" "$objects/checks"
