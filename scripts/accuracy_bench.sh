#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# accuracy_bench.sh MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]: what each method leaves of a detector's mAP. Sets
# up, builds int4q, takes statistics on 16 calibration images (NUMBER=n: on n of them), rewrites the model in every way
# of the list below and by the other tools that quantize to 4 bits (OTHERS=: not by these), evaluates them all beside the
# float model, and leaves models and results.json in OUT (tmp/accuracy). ANNOTATIONS are those of COCO. What has quantized
# activations, or a budget of BITS (3.5 4.2 4.5 5.2) stored bits a weight, is made with statistics of 3 draws of the images (DRAWS=n: of n; 0: not at all), and its means stand in a
# table of their own, beside those of ONNX Runtime's static quantizer. Set INT4Q to take a program that is built already.
set -eu -o pipefail
[ $# -ge 4 ] || { sed -n '3,9s/^# //p' "$0" >&2; exit 2; }
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

model=$(realpath "$1") calibration=$(realpath "$2") images=$(realpath "$3") annotations=$(realpath "$4")
out=$(realpath -m "${5:-$root/tmp/accuracy}")
statistics=$out/stats.safetensors sequential=$out/sequential.safetensors sensitive=$out/activations.json

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

# the same for what stands beside each other as means over draws, with the statistics of each
channel="--activation-scales channel"
drawn="
w4                      --method calibrated
w4a8                    --method calibrated --activations uint8
w4a8-channel            --method calibrated --activations uint8 $channel
w4a6-channel            --method calibrated --activations uint6 $channel
w4a4                    --method calibrated --activations uint4
w4a4-channel            --method calibrated --activations uint4 $channel
w4a4-channel-tenth      --method calibrated --activations uint4 $channel --keep-activations $sensitive
w4a4-channel-8          --method calibrated --activations uint4 $channel --keep-activations 8
w8a8                    --format int8 --activations uint8
w8a8-channel            --format int8 --activations uint8 $channel
"
draws=${DRAWS:-3}
for bits in ${BITS-3.5 4.2 4.5 5.2}; do
    recipes+="squant-$bits-bits --method squant --format packed-u8 --bits $bits
"
    drawn+="$bits-bits --method calibrated --format packed-u8 --bits $bits
"
done

if [ -z "${INT4Q-}" ]; then
    echo "building int4q"
    build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
    INT4Q=$root/build/release/int4q
fi
mkdir -p "$out"
pictures=("$model" --images "$calibration" -n "${NUMBER:-16}" --int4q "$INT4Q")
models=()
rewrite() { # rewrite LIST SUFFIX [options]: every way of a list
    local name options
    while read -r name options; do
        [ -n "$name" ] || continue
        # shellcheck disable=SC2086 # the options are words
        "$INT4Q" rewrite "$model" -q -f "${@:3}" $options -o "$out/$name$2.onnx"
        models+=("$out/$name$2.onnx")
    done <<<"$1"
}
"$python" "$root/scripts/calibrate.py" "${pictures[@]}" -o "$statistics"
"$python" "$root/scripts/calibrate.py" "${pictures[@]}" --sequential -o "$sequential"
rewrite "$recipes" ""
if [ "$draws" -gt 0 ]; then
    "$python" "$root/scripts/sensitivity_sweep.py" "$model" --images "$calibration" -n 4 --int4q "$INT4Q" --what activations \
        --rewrite "--calibration $statistics --activations uint4 $channel" --work "$out/sweep" -o "$sensitive"
fi
for ((draw = 0; draw < draws; draw++)); do
    calibrated=$out/stats-$draw.safetensors
    "$python" "$root/scripts/calibrate.py" "${pictures[@]}" --seed "$draw" -o "$calibrated"
    rewrite "$drawn" "-draw$draw" --calibration "$calibrated"
    "$python" "$root/scripts/int8_baseline.py" "${pictures[@]}" --seed "$draw" --kind ort -o "$out/int8-$draw"
    cp "$out/int8-$draw/ort-w8a8.onnx" "$out/ort-w8a8-draw$draw.onnx"
    models+=("$out/ort-w8a8-draw$draw.onnx")
done
if [ -n "${OTHERS-yes}" ]; then
    install_requirements "$root/build/bench-venv" requirements-bench.txt
    python=$root/build/bench-venv/bin/python # it has MNN, which runs the models of MNN
    mapfile -t others < <("$python" "$root/scripts/other_tools.py" "$model" -o "$out")
    models+=("${others[@]}")
fi
"$python" "$root/scripts/eval_coco.py" "$model" "${models[@]}" --images "$images" --annotations "$annotations" \
    --json "$out/results.json"
