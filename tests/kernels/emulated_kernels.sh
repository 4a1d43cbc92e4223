#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# emulated_kernels.sh neon|avx512 SOURCE_DIR: builds the kernels and their checks for a CPU that this one is not, and
# runs them: NEON under qemu-user; AVX-512 and VNNI with intrinsics that SIMDe makes of AVX2's, so that each set is
# tested on other machines too. Exit 77 (skipped) where compiler, emulator or SIMDe is missing.
set -eu

skip() {
    echo "skipped: there is no $1" >&2
    exit 77
}

# How a source is compiled.
options() {
    case $1/$2 in
    neon/*neondot*) echo "-march=armv8.2-a+dotprod" ;;
    avx512/*src/kernels/*avx*) echo "-mavx2 -mfma -mf16c -Wno-psabi -include tests/kernels/emulated.h" ;;
    esac
}

kind=$1
cd "$2"
case $kind in
neon)
    compiler=aarch64-linux-gnu-gcc run=qemu-aarch64 other=avx cpu=src/platform/cpu.c
    command -v "$run" >/dev/null || skip "$run"
    ;;
avx512)
    compiler=cc run='' other=neon cpu=tests/kernels/emulated_cpu.c
    grep -qsw avx2 /proc/cpuinfo || skip "AVX2"
    [ -e /usr/include/simde/x86/avx512.h ] || skip "SIMDe"
    ;;
esac
command -v "$compiler" >/dev/null || skip "$compiler"

cache=$(command -v ccache || true)
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for source in src/kernels/*.c $cpu src/platform/threads.c src/platform/linux/native.c src/base/elementary.c \
    src/base/error.c src/base/half.c tests/kernels/emulated_main.c tests/kernels/*_checks.c; do
    case $source in
    *"$other"*) continue ;;
    esac
    # shellcheck disable=SC2046 # words
    $cache "$compiler" -std=c17 -O2 $(options "$kind" "$source") -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra \
        -Wno-unused-parameter -Wno-missing-field-initializers -Werror -Isrc -Itests/kernels -c "$source" \
        -o "$objects/$(echo "$source" | tr / _).o"
done
"$compiler" -static "$objects"/*.o -lm -o "$objects/checks"
$run "$objects/checks"
