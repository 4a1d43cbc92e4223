#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Before the model is read, the process has given up what it does not need; outputs of every kind still work.
model good-detector
mkfifo pipe
for option in --sandboxed --no-sandbox; do
    # Sanitizers need what the sandbox takes away, and not every system has one.
    [ $option = --sandboxed ] && ! int4q rewrite -nv good-detector.onnx 2>&1 | grep -q 'sandbox' && printf '1\n2\nstatus 0\n' && continue
    int4q inspect -q pipe ${option#--sandboxed} &
    exec 3>pipe # returns when int4q opens the model
    sed -n 's/^\(NoNewPrivs\|Seccomp\):\t//p' "/proc/$!/status"
    cat good-detector.onnx >&3
    exec 3>&-
    wait $!
    echo "status $?"
done
mkdir sub
int4q rewrite good-detector.onnx -q -o sub/out.onnx --json sub/report.json && ls sub
int4q rewrite good-detector.onnx -q -o /dev/null && int4q rewrite good-detector.onnx -q -o - | int4q inspect -q - --require valid
int4q rewrite <(cat good-detector.onnx) -qf -o sub/out.onnx && int4q restore sub/out.onnx -q -o back.onnx && ls
