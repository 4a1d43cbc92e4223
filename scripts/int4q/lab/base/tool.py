# SPDX-License-Identifier: Apache-2.0
"""The tool int4q, as the scripts call it."""
import argparse
import os
import platform
import subprocess

import numpy as np
import onnx
import onnxruntime

from int4q.installation import PROGRAM_VARIABLE, find_program
from int4q.lab.base.errors import Error, one_line


def add_tool_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--int4q", metavar="PROGRAM",
                        help="the tool (default: $INT4Q, the one that came with this, or in PATH)")


def find_int4q(wanted: str | None = None) -> str:
    """Path of the tool."""
    try:
        return find_program(wanted)
    except FileNotFoundError as error:
        raise Error(str(error) if wanted or PROGRAM_VARIABLE in os.environ else f"{error}, or by --int4q") from error


def call_int4q(tool: str, *args: object, statuses: tuple[int, ...] = (0,)) -> str:
    """Standard output of the tool; its own line of error becomes ours."""
    done = subprocess.run([tool, *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode not in statuses:
        raise Error(one_line(done.stderr) or f"{tool} {args[0]}: ended with {done.returncode}")
    return done.stdout


def what_it_is(path: str) -> str:
    """What a file is that is no ONNX model, in the words of int4q, which knows what is often taken for one; or nothing."""
    try:
        call_int4q(find_int4q(), "inspect", "-q", path)
    except Error as error:
        return str(error).partition("not an ONNX model: ")[2]
    return ""


def tool_version(tool: str) -> str:
    return call_int4q(tool, "--version").splitlines()[0]


def versions(tool: str | None) -> dict[str, str]:
    """Of everything that a result depends on; not of the tool where it has no part."""
    return {**({"int4q": tool_version(tool)} if tool else {}), "python": platform.python_version(),
            "numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
