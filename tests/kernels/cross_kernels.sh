#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cross_kernels.sh SOURCE_DIR: builds the kernel checks for AArch64 and runs them under qemu-user, so that the NEON
# set is tested on other machines too. Exit 77 (skipped) where the cross compiler or the emulator is missing.
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
program=$(mktemp)
trap 'rm -f "$program"' EXIT
"$compiler" -std=c17 -O2 -static -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra -Werror -Isrc -Itests/kernels \
    tests/kernels/neon_main.c tests/kernels/kernel_checks.c src/kernels/sets.c src/kernels/quantize_scalar.c src/kernels/quantize_neon.c src/platform/cpu.c \
    src/base/half.c src/base/error.c -lm -o "$program"
"$emulator" "$program"
