#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test.sh [ctest options]: sets up and runs every test: as built for use, with the scalar kernels, and under
# AddressSanitizer and UndefinedBehaviorSanitizer. The last line sums up.
set -eu -o pipefail
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

options=(-DINT4Q_WERROR=ON "-DINT4Q_PYTHON=$python")
passed=0 failed=0 skipped=0

# run_tests TITLE TREE [NAME=VALUE ...] -- [ctest options]
run_tests() {
    local title=$1 tree=$root/build/$2 settings=() counts status=0
    shift 2
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    shift
    echo "== $title"
    rm -f "$tree/results.xml"
    env "${settings[@]}" "${runner[@]}" ctest --test-dir "$tree" --output-on-failure -j2 \
        --output-junit "$tree/results.xml" "$@" || status=$?
    counts=$("$python" - "$tree/results.xml" <<'END'
import sys
import xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()
total, failed, skipped = (int(suite.get(key) or 0) for key in ("tests", "failures", "skipped"))
print(total - failed - skipped, failed, skipped)
END
    )
    read -r p f s <<<"$counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || failed=$((failed + 1)) # ctest itself went wrong
}

build_tree test -DCMAKE_BUILD_TYPE=RelWithDebInfo "${options[@]}"
run_tests "as built" test -- "$@"
run_tests "scalar kernels" test INT4Q_CPU=scalar -- "$@"
keep_addresses
build_tree asan -DCMAKE_BUILD_TYPE=Debug -DINT4Q_SANITIZE=address,undefined "${options[@]}"
# What GCC 14 and clang look for by default, GCC 12 does only when it is told.
run_tests "AddressSanitizer, UndefinedBehaviorSanitizer" asan ASAN_OPTIONS=detect_stack_use_after_return=1 -- "$@"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
