# SPDX-License-Identifier: Apache-2.0
"""Other tools that quantize models to 4 bits, each with the flags that serve it best."""
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

from int4q.lab.base.errors import last_line
from int4q.lab.models.session import copy_model

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


def commands(source: str, target: str, external: bool = False) -> dict[str, list[str]]:
    """{tool: the command that quantizes source to 4 bits, into target}, of the tools that are installed."""
    found = {}
    if importlib.util.find_spec("quantize_rs"):
        found["quantization-rs"] = [sys.executable, "-c", QUANTIZE_RS, source, target]
    if os.path.exists(ONNXSIM):
        found["onnxsim"] = [ONNXSIM, source, target, "--weight-only-quantize-int4", "--target-opset", "21",
                            *(["--save-as-external-data"] if external else [])]
    return found


def mnn_commands(source: str, target: str) -> dict[str, list[str]]:
    """The same with MNN, whose models are not ONNX: all Convs, a float scale and zero point a channel or block."""
    if not importlib.util.find_spec("MNN"):
        return {}
    convert = [sys.executable, "-c", MNN_CONVERT, "-f", "ONNX", "--modelFile", source, "--weightQuantBits", "4"]
    return {name: [*convert, *options, "--MNNModel", target] for name, options in MNN_MODELS.items()}


class Kind(NamedTuple):
    """A form of models: who makes them, and the program that loads one."""
    commands: Callable[[str, str], dict[str, list[str]]]
    ending: str
    load: str


KINDS = (Kind(commands, ".onnx", LOAD), Kind(mnn_commands, ".mnn", MNN_LOAD))


def failure(command: Sequence[str], folder: str) -> str | None:
    """The last line that a command, run in the folder, says when it fails, else None."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return last_line(done.stderr, done.returncode) if done.returncode else None


def make(kind: Kind, tool: str, model: str, target: str) -> str | None:
    """Why the tool made no target of the model that can be loaded; None if it did. Nothing else is left behind."""
    if os.path.exists(target):
        os.remove(target)
    with tempfile.TemporaryDirectory() as folder:
        source, made = copy_model(model, folder), os.path.join(folder, "made" + kind.ending)
        command = kind.commands(source, made)[tool]
        why = failure(command, folder) or failure([sys.executable, "-c", kind.load, made], folder)
        if not why:
            shutil.move(made, target)
    return why
