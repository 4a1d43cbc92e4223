#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh MINUTES [TARGET]: fuzzes the targets of tests/fuzz one after another, or just one, for so many minutes
# altogether. Inputs that reach new code are kept in build/fuzz-corpus. What breaks a target lies in build/fuzz-finds
# then, and the exit status is 1. Prints executions, and the line coverage of what reads and changes models.
set -eu -o pipefail
more_packages=(clang libclang-rt-dev llvm) no_python=1
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

all=(wire roundtrip rewrite restore exchange export inspect external sensitivity statistics patterns names kernels)
covered=(wire model model_index tensor external plan plan_quantize rewrite opset opset_rules opset_tools opset_names propagate
    propagate_activation propagate_conv propagation)
wanted=85 # percent

[[ "${1-}" =~ ^[1-9][0-9]*$ ]] || { echo "usage: fuzz.sh MINUTES [${all[*]}]" >&2; exit 2; }
targets=("${all[@]}")
[ $# -lt 2 ] || targets=("$2")
seconds=$(($1 * 60 / ${#targets[@]}))
fuzz=$root/tests/fuzz tree=$root/build/fuzz finds=$root/build/fuzz-finds

# Targets without seeds of their own take models.
fuzz_target() {
    local target=$1 seeds=("$fuzz/corpus/onnx" "$root/tests/data") options=("-dict=$fuzz/onnx.dict") corpus status=0
    if [ -d "$fuzz/corpus/$target" ]; then
        seeds=("$fuzz/corpus/$target")
        options=()
        [ ! -f "$fuzz/$target.dict" ] || options=("-dict=$fuzz/$target.dict")
    fi
    corpus=$root/build/fuzz-corpus/$(basename "${seeds[0]}")
    mkdir -p "$corpus" "$finds"
    LLVM_PROFILE_FILE=$tree/$target.profraw "${runner[@]}" "$tree/tests/fuzz/fuzz_$target" "${options[@]}" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$finds/$target-" "$corpus" "${seeds[@]}" >"$log" 2>&1 || status=$?
    printf '%-12s %9s executions\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")"
    [ "$status" -eq 0 ] || { grep -v '^#' "$log"; return 1; }
}

# Targets that broke leave no profile. llvm-cov cannot pick sources of which the binary has no absolute path.
print_coverage() {
    local binaries=() name
    for name in "${targets[@]}"; do
        [ ! -s "$tree/$name.profraw" ] || binaries+=(-object "$tree/tests/fuzz/fuzz_$name")
    done
    [ "${#binaries[@]}" -gt 0 ] || return 0
    llvm-profdata merge -o "$tree/profdata" "$tree"/*.profraw
    llvm-cov report "${binaries[@]:1}" -instr-profile="$tree/profdata" 2>"$log" |
        awk -v wanted="$wanted" -v covered=" ${covered[*]} " '
        sub(/^.*src\//, "", $1) && sub(/\.c$/, "", $1) && index(covered, " " $1 " ") {
            printf "%-20s %5d lines %8s%s\n", $1, $8, $10, $10 + 0 < wanted ? "  below " wanted " %" : ""
        }'
}

keep_addresses
build_tree fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DINT4Q_FUZZ=ON -DINT4Q_WERROR=ON \
    -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping"
rm -f "$tree"/*.profraw
failed=()
for target in "${targets[@]}"; do
    fuzz_target "$target" || failed+=("$target")
done
print_coverage
[ "${#failed[@]}" -eq 0 ] || { echo "broken: ${failed[*]}; the inputs are in $finds" >&2; exit 1; }
