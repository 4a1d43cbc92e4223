#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guards.sh CC SOURCE: builds for machines that the code is not written for fail. Machines that CC does not know are left out.
set -u
compiler=$1
source=$2/src/base/target.c
status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compiles() { # compiles FILE [options]
    local file=$1
    shift
    "$compiler" -std=c17 -ffreestanding "$@" -x c -c "$file" -o "$scratch/object"
}

refuses() { # refuses MESSAGE [options]
    local message=$1 said
    shift
    compiles /dev/null "$@" 2>/dev/null || return 0
    if said=$(compiles "$source" "$@" 2>&1) || ! grep -q "$message" <<<"$said"; then
        echo "not refused with '$message': $* ($said)"
        status=1
    fi
}

compiles "$source" || status=1
refuses little-endian -Wno-builtin-macro-redefined -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__
refuses '64 bits' -m32 -msse2 -mfpmath=sse
refuses 'excess precision' -m32 -mfpmath=387
exit $status
