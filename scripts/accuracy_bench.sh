#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# accuracy_bench.sh [options] MODEL CALIBRATION_IMAGES IMAGES ANNOTATIONS [OUT]: what each method leaves of a detector's
# mAP, beside the float model and other tools. Sets up, builds int4q (or takes the program that INT4Q names), makes
# the model of each row, evaluates them all, and leaves models, results.json and missing.txt, which says why a row is not
# there, in OUT (tmp/accuracy). ANNOTATIONS are those of COCO.
#   -n N           images to calibrate with (16)
#   --limit N      images to evaluate with: the first N (all)
#   --draws N      draws of the calibration images, for rows that are means over them (3; 0: none of these)
#   --bits LIST    budgets of stored bits a weight, each a row with and one without images (3.5,4.2,4.5,5.2)
#   --rows LIST    only the rows of these names, or patterns, as squant,w4a8,'*-bits' (all)
#   --no-others    no rows of other tools
#   --list         only say which rows there are, and how they are made
#   -j N           threads (1)
# Other tools are installed into build/bench-venv; NNCF and ModelOpt want environments of their own: NNCF_PYTHON and
# MODELOPT_PYTHON name a Python that has them, and Pillow and tqdm. On one idle core all rows of YOLOv10n take about 30
# minutes with 102 images, those of NanoDet-m 10; `-n 2 --limit 4 --draws 1` 3 and 1, for figures that mean nothing.
set -eu -o pipefail
usage() { sed -n '3,19s/^# //p' "$0"; }
fail() { echo "accuracy_bench.sh: $1" >&2; exit "${2:-2}"; }

declare -A given=([-n]=16 [--limit]='' [--draws]=3 [--bits]='3.5,4.2,4.5,5.2' [--rows]='*' [-j]=1)
others=yes list=
while [[ ${1-} == -* ]]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --no-others) others= ; shift; continue ;;
    --list) list=yes; shift; continue ;;
    esac
    [[ -v given[$1] ]] || fail "unknown option '$1'"
    [ $# -ge 2 ] || fail "$1 needs a value"
    given[$1]=$2
    shift 2
done
for option in -n --limit --draws -j; do
    [[ ${given[$option]:-0} =~ ^[0-9]+$ ]] || fail "$option: '${given[$option]}' is no number"
done
draws=${given[--draws]:-0}

# Files in OUT (@) that rows need; they are made where a row that was chosen names them.
statistics=@stats.safetensors sequential=@sequential.safetensors sensitive=@activations.json
channel="--activation-scales channel"

# name of the row, then options of `int4q rewrite`
once="
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

# the same for what is a mean over draws, with the statistics of each
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
for bits in ${given[--bits]//,/ }; do
    once+="squant-$bits-bits --method squant --format packed-u8 --bits $bits"$'\n'
    drawn+="$bits-bits --method calibrated --format packed-u8 --bits $bits"$'\n'
done

# those of other tools: of int8_baseline.py (--kind) and of other_tools.py (--tool)
drawn_others="
ort-w8a8                int8 ort
"
once_others="
nncf-w8a8               int8 nncf
modelopt-w8a8           int8 modelopt
quantization-rs         int4 quantization-rs
onnxsim                 int4 onnxsim
mnn-hqq                 int4 mnn-hqq
mnn-hqq-block32         int4 mnn-hqq-block32
"

patterns=()
IFS=, read -ra patterns <<<"${given[--rows]}"
chosen() { # chosen LIST: the rows of it that are wanted
    local name rest pattern
    while read -r name rest; do
        for pattern in "${patterns[@]}"; do
            # shellcheck disable=SC2053 # a pattern
            [[ -z $name || $name != $pattern ]] || { echo "$name $rest"; break; }
        done
    done <<<"$1"
}
once=$(chosen "$once")
drawn=$([ "$draws" -eq 0 ] || chosen "$drawn")
drawn_others=$([ "$draws" -eq 0 ] || [ -z "$others" ] || chosen "$drawn_others")
once_others=$([ -z "$others" ] || chosen "$once_others")
rows=$(printf '%s\n' "$once" "$drawn" "$drawn_others" "$once_others" | sed '/^$/d')
[ -n "$rows" ] || fail "--rows ${given[--rows]}: no such row; --list tells of all"
if [ -n "$list" ]; then
    printf '%s\n' "${rows//@/}"
    exit 0
fi
[ $# -ge 4 ] || { usage >&2; exit 2; }
for path in "${@:1:4}"; do
    [ -e "$path" ] || fail "$path: no such file or directory" 1
done
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

model=$(realpath "$1") calibration=$(realpath "$2") images=$(realpath "$3") annotations=$(realpath "$4")
out=$(realpath -m "${5:-$root/tmp/accuracy}")
mkdir -p "$out"
lacks=$out/missing.txt models=() status=0
: >"$lacks"

if [ -z "${INT4Q-}" ]; then
    echo "building int4q"
    build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
    INT4Q=$root/build/release/int4q
fi
export INT4Q
pictures=("$model" --images "$calibration" -n "${given[-n]}" -j "${given[-j]}")

needed() { [[ $rows == *"$1"* ]]; } # whether a row names this file
lab() { "$python" "$root/scripts/$1" "${@:2}"; }
attempt() { # attempt NAME COMMAND: a row that cannot be made is told of in the end, and the others go on
    echo "making $1"
    "${@:2}" >"$log" 2>&1 && return
    echo "$1: $(sed '/^$/d' "$log" | tail -n 1)" >>"$lacks"
    return 1
}
rewrite() { # rewrite LIST SUFFIX [options]: the rows of a list
    local row options made
    while read -ra row; do
        [ ${#row[@]} -gt 0 ] || continue
        made=$out/${row[0]}$2.onnx options=("${row[@]:1}")
        if attempt "${row[0]}$2" "$INT4Q" rewrite "$model" -q -f "${@:3}" "${options[@]//@/$out/}" -o "$made"; then
            models+=("$made")
        else
            status=1
        fi
    done <<<"$1"
}
other() { # other LIST SUFFIX SEED: rows of other tools, those that can be had
    local name kind tool own command made
    while read -r name kind tool; do
        [ -n "$name" ] || continue
        own=${tool^^}_PYTHON
        case $kind in
        int8) command=("${!own:-$python}" "$root/scripts/int8_baseline.py" "${pictures[@]}" --seed "$3" --kind "$tool") ;;
        int4) command=("$python" "$root/scripts/other_tools.py" "$model" --tool "$tool") ;;
        esac
        attempt "$name$2" "${command[@]}" -o "$out/others$2" || continue
        made=$(compgen -G "$out/others$2/$name.*nn*") # .onnx or .mnn
        cp "$made" "$out/$name$2.${made##*.}"
        models+=("$out/$name$2.${made##*.}")
    done <<<"$1"
}

if needed "$statistics"; then lab calibrate.py "${pictures[@]}" -o "$out/stats.safetensors"; fi
if needed "$sequential"; then lab calibrate.py "${pictures[@]}" --sequential -o "$out/sequential.safetensors"; fi
rewrite "$once" ""
if needed "$sensitive"; then
    lab sensitivity_sweep.py "$model" --images "$calibration" -n $((given[-n] < 4 ? given[-n] : 4)) --what activations \
        --rewrite "--calibration $out/stats.safetensors --activations uint4 $channel" --work "$out/sweep" \
        -o "$out/activations.json"
fi
for ((draw = 0; draw < draws; draw++)); do
    measured=$out/stats-$draw.safetensors
    if [ -n "$drawn" ]; then
        lab calibrate.py "${pictures[@]}" --seed "$draw" -o "$measured"
        rewrite "$drawn" "-draw$draw" --calibration "$measured"
    fi
    other "$drawn_others" "-draw$draw" "$draw"
done
if needed " int4 "; then
    if install_requirements "$root/build/bench-venv" requirements-bench.txt; then
        python=$root/build/bench-venv/bin/python # it has MNN, which runs the models of MNN
    else
        echo "requirements-bench.txt: its packages cannot be installed" >>"$lacks"
    fi
fi
other "$once_others" "" 0
lab eval_coco.py "$model" "${models[@]}" --images "$images" --annotations "$annotations" -j "${given[-j]}" \
    ${given[--limit]:+--limit "${given[--limit]}"} --json "$out/results.json"
[ ! -s "$lacks" ] || sed 's/^/not measured: /' "$lacks"
exit "$status"
