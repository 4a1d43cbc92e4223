#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# experiment.sh [options] MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]: from a detector to a table of candidates
# and a page with the Pareto front, in OUT (tmp/experiment). Sets up, builds int4q, and runs the scripts of
# docs/experiments.md one after another. Stopped or killed, it goes on where it was.
#   -n N           images to calibrate with (16)
#   --limit N      images to evaluate with: the first N (all)
#   --method LIST  of absmax, squant, calibrated (all)
#   --family NAME  of the detector, where it is not recognized
#   --workers N    processes (one a processor)
set -eu -o pipefail
usage() { sed -n '3,10s/^# //p' "$0"; }
methods=absmax,squant,calibrated number=() limit=() family=() workers=()
while [[ ${1-} == -* ]]; do
    [[ $1 != -h && $1 != --help ]] || { usage; exit 0; }
    [ $# -ge 2 ] || { usage >&2; exit 2; }
    case $1 in
    -n) number=(-n "$2") ;;
    --limit) limit=(--limit "$2") ;;
    --method) methods=$2 ;;
    --family) family=(--family "$2") ;;
    --workers) workers=(--workers "$2") ;;
    *) echo "experiment.sh: unknown option '$1'" >&2; exit 2 ;;
    esac
    shift 2
done
[ $# -ge 4 ] || { usage >&2; exit 2; }
for path in "${@:1:4}"; do
    [ -e "$path" ] || { echo "experiment.sh: $path: no such file or directory" >&2; exit 1; }
done
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

model=$1 calibration=$2 images=$3 annotations=$4 out=${5:-$(realpath -m --relative-to=. "$root/tmp/experiment")}

run() { # run SCRIPT [arguments]
    local begin=$SECONDS
    echo "+ scripts/$1.py ${*:2}"
    "$python" "$root/scripts/$1.py" "${@:2}"
    echo "  ($((SECONDS - begin)) s)"
}

if [ -z "${INT4Q-}" ]; then
    echo "building int4q"
    build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
    export INT4Q=$root/build/release/int4q
fi
mkdir -p "$out"
# What takes minutes should not end in a model that nobody knows, or in annotations of other pictures.
"$python" "$root/scripts/eval_coco.py" "$model" --images "$images" --annotations "$annotations" --limit 1 --bootstrap 0 \
    "${family[@]}" >/dev/null
run sensitivity_sweep "$model" --images "$calibration" "${number[@]}" "${family[@]}" "${workers[@]}" -o "$out/sens.json"
run calibrate "$model" --images "$calibration" "${number[@]}" "${family[@]}" -o "$out/stats.safetensors"
run int8_baseline "$model" --images "$calibration" "${number[@]}" "${family[@]}" -o "$out/int8"
run make_schemes "$out/sens.json" --method "$methods" --calibration "$out/stats.safetensors" -o "$out/schemes"
run run_schemes "$out/schemes/schemes.json" --images "$images" --annotations "$annotations" \
    --models "$out"/int8/*.onnx "${limit[@]}" "${family[@]}" "${workers[@]}" -o "$out"
