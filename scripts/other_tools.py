#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other tools make of a model when they are asked for 4-bit weights, each with the flags that serve it best.

    other_tools.py model.onnx -o folder

writes folder/TOOL.onnx for each tool that is installed (requirements-bench.txt), prints the paths of those that ONNX
Runtime can load, and says what became of the others.
"""
import argparse
import importlib.util
import os
import subprocess
import sys

QUANTIZE_RS = ("import sys, quantize_rs; quantize_rs.quantize(sys.argv[1], sys.argv[2], bits=4, per_channel=True,"
               " symmetric=True, native_int4=True)")
LOAD = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
ONNXSIM = os.path.join(os.path.dirname(sys.executable), "onnxsim")


def commands(source, target, external=False):
    """{tool: the command that quantizes source to 4 bits, into target}, of the tools that are installed."""
    found = {}
    if importlib.util.find_spec("quantize_rs"):
        found["quantization-rs"] = [sys.executable, "-c", QUANTIZE_RS, source, target]
    if os.path.exists(ONNXSIM):
        found["onnxsim"] = [ONNXSIM, source, target, "--weight-only-quantize-int4", "--target-opset", "21",
                            *(["--save-as-external-data"] if external else [])]
    return found


def failure(command):
    """The last line that a command says when it fails, else None."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else lines[-1] if lines else f"status {done.returncode}"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    args = parser.parse_args(argv)
    os.makedirs(args.output, exist_ok=True)
    for tool in commands(args.model, ""):
        target = os.path.join(args.output, f"{tool}.onnx")
        why = failure(commands(args.model, target)[tool]) or failure([sys.executable, "-c", LOAD, target])
        if why:
            print(f"other_tools.py: {tool}: {why}", file=sys.stderr)
        else:
            print(target)


if __name__ == "__main__":
    main()
