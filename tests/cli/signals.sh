#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# A signal ends the program as shells expect, and leaves no temporary file.
ulimit -c 0
for signal in INT TERM HUP QUIT ABRT ALRM USR1 USR2 PROF VTALRM XCPU XFSZ IO PWR STKFLT TRAP SYS ILL FPE SEGV RTMIN+1 RTMAX; do
    # Sanitizers have ways of their own with the last ones.
    case $signal in ILL | FPE | SEGV) grep -qE "__(asan|tsan|msan)_init" "$(command -v int4q)" && echo "$signal $signal" && continue ;; esac
    mkfifo pipe
    env --default-signal="$signal" int4q rewrite pipe -o out.onnx & # the shell ignores INT for it
    pid=$!
    exec 3>pipe # now int4q has opened its output and waits for the model
    until compgen -G "*.tmp" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do :; done
    kill -s "$signal" "$pid"
    wait "$pid" 2>/dev/null
    echo "$signal $(kill -l $?)"
    exec 3>&-
    rm pipe
    ls -A
done
# A pipe that nobody reads any more: by the signal, or where it is ignored, with a message.
model good-detector
mkfifo pipe
exec 3<>pipe
exec 4>pipe
exec 3>&-
env --default-signal=PIPE int4q rewrite good-detector.onnx -q -o - >&4
echo "PIPE $(kill -l $?)"
env --ignore-signal=PIPE int4q rewrite good-detector.onnx -q -o - >&4
echo "status $?"
# A limit on the size of files: the same, and where the signal is ignored, an ordinary error.
echo old >out.onnx
for how in default ignore; do
    { (ulimit -f 1 && env --$how-signal=XFSZ int4q rewrite good-detector.onnx -qfo out.onnx) 2>message; } 2>/dev/null
    echo "$how: status $? $(cat message)"
    rm message
    cat out.onnx
    ls -A
done
