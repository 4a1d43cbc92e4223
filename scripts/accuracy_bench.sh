#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# accuracy_bench.sh MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]: what each method leaves of a detector's mAP. Sets
# up, builds int4q, takes statistics on 16 calibration images (NUMBER=n: on n of them), rewrites the model in every way
# of the list below and by the other tools that quantize to 4 bits (OTHERS=: not by these), evaluates them all beside the
# float model, and leaves models and results.json in OUT (tmp/accuracy). ANNOTATIONS are those of COCO. Set INT4Q to take a
# program that is built already.
set -eu -o pipefail
[ $# -ge 4 ] || { sed -n '3,8s/^# //p' "$0" >&2; exit 2; }
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

model=$(realpath "$1") calibration=$(realpath "$2") images=$(realpath "$3") annotations=$(realpath "$4")
out=$(realpath -m "${5:-$root/tmp/accuracy}")
statistics=$out/stats.safetensors sequential=$out/sequential.safetensors

# name of the model written, then options of `int4q rewrite`
recipes="
absmax
signed                  --scale signed
mse                     --scale mse
l2.4                    --scale l2.4
asymmetric              --asymmetric
asymmetric-mse          --asymmetric --scale mse
asymmetric-l2.4         --asymmetric --scale l2.4
squant                  --method squant
squant-block32          --method squant --block 32
squant-10-int8          --method squant --rank weights --keep 10 --keep-format int8
squant-19-percent       --method squant --rank weights --keep-format int8 --target-size 19%
calibrated              --method calibrated --calibration $statistics
calibrated-descent      --method calibrated --rounding descent --calibration $statistics
calibrated-sequential   --method calibrated --calibration $sequential
calibrated-block32      --method calibrated --block 32 --calibration $statistics
calibrated-10-int8      --method calibrated --rank stats --keep 10 --keep-format int8 --calibration $statistics
calibrated-19-percent   --method calibrated --rank stats --keep-format int8 --target-size 19% --calibration $statistics
int8                    --format int8
"

if [ -z "${INT4Q-}" ]; then
    echo "building int4q"
    build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
    INT4Q=$root/build/release/int4q
fi
mkdir -p "$out"
calibrate=("$python" "$root/scripts/calibrate.py" "$model" --images "$calibration" -n "${NUMBER:-16}" --int4q "$INT4Q")
"${calibrate[@]}" -o "$statistics"
"${calibrate[@]}" --sequential -o "$sequential"
models=()
while read -r name options; do
    [ -n "$name" ] || continue
    # shellcheck disable=SC2086 # the options are words
    "$INT4Q" rewrite "$model" -q -f $options -o "$out/$name.onnx"
    models+=("$out/$name.onnx")
done <<<"$recipes"
if [ -n "${OTHERS-yes}" ]; then
    install_requirements "$root/build/bench-venv" requirements-bench.txt
    python=$root/build/bench-venv/bin/python # it has MNN, which runs the models of MNN
    mapfile -t others < <("$python" "$root/scripts/other_tools.py" "$model" -o "$out")
    models+=("${others[@]}")
fi
"$python" "$root/scripts/eval_coco.py" "$model" "${models[@]}" --images "$images" --annotations "$annotations" \
    --json "$out/results.json"
