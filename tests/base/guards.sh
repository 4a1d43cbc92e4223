#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guards.sh CC SOURCE: builds for machines that the code is not written for fail.
set -u
compiler=$1
source=$2/src/base/target.c
status=0

refuses() { # refuses MESSAGE [options]
    local message=$1 said
    shift
    if said=$("$compiler" -std=c17 -ffreestanding -fsyntax-only "$@" "$source" 2>&1) || ! grep -q "$message" <<<"$said"; then
        echo "not refused with '$message': $* ($said)"
        status=1
    fi
}

"$compiler" -std=c17 -ffreestanding -fsyntax-only "$source" || exit 1
refuses little-endian -Wno-builtin-macro-redefined -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__
"$compiler" -m32 -E -x c /dev/null >/dev/null 2>&1 || exit $status # another architecture
refuses '64 bits' -m32 -msse2 -mfpmath=sse
refuses 'excess precision' -m32 -mfpmath=387
exit $status
