#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# experiment.sh [options] MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]
# experiment.sh [options] MODEL DATA_YAML: from a detector to a table of candidates and a page that answers which to take,
# in OUT (tmp/experiment). Sets up, builds int4q, and runs `int4q-lab experiment`, whose --help tells more. Stopped or
# killed, it goes on where it was.
#   -n N           images to calibrate with (16)
#   --limit N      images to evaluate with: the first N (all)
#   --method LIST  of absmax, squant, calibrated (all)
#   --family NAME  of the detector, where it is not recognized
#   --workers N    processes (one a processor)
#   --no-int8      no 8-bit models of other tools to compare with
#   --bits, --choices, --keep, --target, --block LIST    which candidates: see make_schemes.py
#   --size, --seed, --bootstrap N                        see run_schemes.py
set -eu -o pipefail
usage() { sed -n '3,14s/^# //p' "$0"; }
options=()
while [[ ${1-} == -* ]]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --no-int8) options+=("$1"); shift; continue ;;
    -n | -j | --limit | --method | --family | --workers | --bits | --choices | --keep | --target | --block | --size | \
        --seed | --bootstrap) ;;
    *) echo "experiment.sh: unknown option '$1'" >&2; exit 2 ;;
    esac
    [ $# -ge 2 ] || { usage >&2; exit 2; }
    options+=("$1" "$2")
    shift 2
done
case $#:${*: -1} in
[4-9]:* | [23]:*.yaml | [23]:*.yml) ;;
*) usage >&2; exit 2 ;;
esac
for path in "${@:1:4}"; do
    [ -e "$path" ] || { echo "experiment.sh: $path: no such file or directory" >&2; exit 1; }
done
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [ -z "${INT4Q-}" ]; then
    echo "building int4q"
    build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
    export INT4Q=$root/build/release/int4q
fi
"$python" "$root/scripts/experiment.py" "${options[@]}" "$@"
