# SPDX-License-Identifier: Apache-2.0
"""What other tools make of a model when they are asked for 4-bit weights, each with the flags that serve it best.

    other_tools.py model.onnx -o folder

writes folder/TOOL.onnx, or .mnn, for each tool that is installed (requirements-bench.txt), prints the paths of those
that ONNX Runtime, or MNN, can load, and says what became of the others.
"""
import argparse
import importlib.util
import os
import subprocess
import sys

QUANTIZE_RS = ("import sys, quantize_rs; quantize_rs.quantize(sys.argv[1], sys.argv[2], bits=4, per_channel=True,"
               " symmetric=True, native_int4=True)")
LOAD = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
# By its module: the console script of MNN runs pip for a package by which it reports each conversion to its makers.
MNN_CONVERT = ("import os, sys, _tools; _tools.mnnconvert(sys.argv);"
               " sys.exit(None if os.path.exists(sys.argv[-1]) else 'MNN made no model')")
MNN_LOAD = "import sys, MNN.nn; MNN.nn.load_module_from_file(sys.argv[1], [], [])"
MNN_MODELS = {"mnn-hqq": ["--hqq"], "mnn-hqq-block32": ["--hqq", "--weightQuantBlock", "32"]}
TOOLS = ("quantization-rs", "onnxsim", *MNN_MODELS)
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


def mnn_commands(source, target):
    """The same with MNN, whose models are not ONNX: all Convs, a float scale and zero point a channel or block."""
    if not importlib.util.find_spec("MNN"):
        return {}
    convert = [sys.executable, "-c", MNN_CONVERT, "-f", "ONNX", "--modelFile", source, "--weightQuantBits", "4"]
    return {name: [*convert, *options, "--MNNModel", target] for name, options in MNN_MODELS.items()}


def failure(command):
    """The last line that a command says when it fails, else None."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else lines[-1] if lines else f"status {done.returncode}"


def make(command, load, target):
    """Why the command made no target that the program `load` can read; None if it did."""
    if os.path.exists(target):
        os.remove(target)
    return failure(command) or failure([sys.executable, "-c", load, target])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    args = parser.parse_args(argv)
    os.makedirs(args.output, exist_ok=True)
    missing = set(TOOLS)
    for find, ending, load in ((commands, ".onnx", LOAD), (mnn_commands, ".mnn", MNN_LOAD)):
        for tool in find(args.model, ""):
            missing.discard(tool)
            target = os.path.join(args.output, tool + ending)
            why = make(find(args.model, target)[tool], load, target)
            if why:
                print(f"other_tools.py: {tool}: {why}", file=sys.stderr)
            else:
                print(target)
    for tool in sorted(missing):
        print(f"other_tools.py: {tool}: not installed", file=sys.stderr)
