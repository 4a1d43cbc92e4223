#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh [MODEL [SENS]]: sets up, builds int4q, and takes a YOLOv10m through it. Without MODEL, one with
# synthetic weights is made.
set -eu -o pipefail
case ${1-} in -h | --help)
    sed -n '3,4s/^# //p' "$0"
    exit 0
    ;;
esac
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

run() {
    echo "+ $*"
    "$@"
}

echo "building int4q"
build_tree release -DCMAKE_BUILD_TYPE=Release -DINT4Q_TESTS=OFF
int4q=$root/build/release/int4q

model=${1:+$(realpath "$1")}
sens=${2:+$(realpath "$2")}
work=$root/tmp/quickstart
mkdir -p "$work"
cd "$work"
if [ -z "$model" ]; then
    model=yolov10m.onnx
    sens=sens.json
    run "$python" "$root/scripts/make_yolov10.py" --size m --head e2e -o "$model" --sens "$sens"
fi

run "$int4q" rewrite "$model" --method squant ${sens:+--topk "$sens"} -f
run "$int4q" inspect out.onnx
run "$int4q" inspect -q out.onnx --require valid --require 'int4>=1'
run "$python" "$root/scripts/smoke_run.py" out.onnx --reference "$model" --int4q "$int4q"

before=$(stat -c %s "$model")
after=$(stat -c %s out.onnx)
cat <<END

made     $work/out.onnx
         $after bytes, from $before: $((after * 1000 / before / 10)).$((after * 1000 / before % 10)) %
tool     $int4q

next:    $int4q rewrite YOUR_MODEL.onnx --method squant
         $int4q rewrite --help
END
