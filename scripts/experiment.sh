#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# experiment.sh MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]: from a detector to a table of candidates and a page
# with the Pareto front, in OUT (tmp/experiment). Sets up, builds int4q, and runs the scripts of docs/experiments.md one
# after another with their defaults. Stopped or killed, it goes on where it was.
set -eu -o pipefail
case ${1-} in -h | --help)
    sed -n '3,5s/^# //p' "$0"
    exit 0
    ;;
esac
[ $# -ge 4 ] || { sed -n '3,5s/^# //p' "$0" >&2; exit 2; }
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
    >/dev/null
run sensitivity_sweep "$model" --images "$calibration" -o "$out/sens.json"
run calibrate "$model" --images "$calibration" -o "$out/stats.safetensors"
run int8_baseline "$model" --images "$calibration" -o "$out/int8"
run make_schemes "$out/sens.json" --method absmax,squant,calibrated --calibration "$out/stats.safetensors" -o "$out/schemes"
run run_schemes "$out/schemes/schemes.json" --images "$images" --annotations "$annotations" \
    --models "$out"/int8/*.onnx -o "$out"
