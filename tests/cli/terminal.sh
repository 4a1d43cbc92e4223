#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# On a terminal the report is as wide as that, and low ratios have a colour; NO_COLOR and dumb ones have none.
model good-detector
on_terminal() { # on_terminal COLUMNS COMMAND ...: what it prints, with ^ for ESC and without what ends a line
    python3 -c 'import fcntl, os, struct, subprocess, sys, termios
ours, theirs = os.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
run = subprocess.Popen(sys.argv[2:], stdout=theirs)
os.close(theirs)
text = b""
try:
    while piece := os.read(ours, 65536):
        text += piece
except OSError: # the other end has gone
    pass
run.wait()
print(text.decode().replace("\r\n", "\n").replace("\33", "^"), end="")' "$@" 2>/dev/null
}
export TERM=xterm
for columns in 100 80 60 40 20; do
    on_terminal $columns int4q rewrite good-detector.onnx -n --table --keep 1 --rank weights | sed '/^$/,$d'
done
on_terminal 200 int4q rewrite good-detector.onnx -n | sed '/^$/,$d'
on_terminal 50 int4q rewrite good-detector.onnx -n | sed '/^$/,/^error/d; /^file/,$d'
on_terminal 80 int4q rewrite good-detector.onnx -n --format int2 | sed '/^$/,$d'
TERM=dumb on_terminal 200 int4q inspect good-detector.onnx --table | sed '/^$/,$d'
NO_COLOR=1 on_terminal 200 int4q inspect good-detector.onnx --require int4=3 | tail -1
on_terminal 200 int4q inspect good-detector.onnx --require int4=3 | tail -1
int4q inspect good-detector.onnx | head -2
fails 2 int4q inspect good-detector.onnx --table --summary
int4q inspect good-detector.onnx -v --summary 2>/dev/null | head -1
int4q inspect good-detector.onnx -v 2>/dev/null | head -1
