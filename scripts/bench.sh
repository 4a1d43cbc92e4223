#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench.sh [options]: sets up, builds int4q, installs what it is measured against, and prints tables of time and memory;
# options are those of bench.py. bench.sh runtime [options]: how fast ONNX Runtime is with the results; see
# bench_runtime.py.
set -eu -o pipefail
more_packages=(eatmydata) no_python=1
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

venv=$root/build/bench-venv
install_requirements "$venv" requirements-bench.txt
build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
program=bench.py
if [ "${1-}" = runtime ]; then
    program=bench_runtime.py
    shift
fi
mkdir -p "$root/build/bench"
"$venv/bin/python" "$root/scripts/$program" --int4q "$root/build/release/int4q" --dir "$root/build/bench" "$@"
