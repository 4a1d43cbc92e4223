# SPDX-License-Identifier: Apache-2.0
"""The library that computes com.int4q::ConvNBits in ONNX Runtime: where it is, and who asks for it."""
import argparse
import os
from functools import cache

import onnx
import onnxruntime

from int4q import installation
from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.files import file_sha256

DOMAIN, NONE = "com.int4q", "none"
LIBRARY = installation.LIBRARY
VARIABLE = installation.LIBRARY_VARIABLE  # processes that this one starts see it too


def add_operators_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ops-library", metavar="FILE", help=f"{LIBRARY}, for models with ConvNBits; {NONE}: they "
                        f"run by their function bodies (default: ${VARIABLE}, the one that came with this, or that of int4q "
                        "in PATH)")


def use_library(wanted: str | None) -> None:
    """What --ops-library says, for all sessions that follow."""
    if wanted:
        os.environ[VARIABLE] = NONE if wanted == NONE else os.path.abspath(wanted)
    find_library()  # for its error


def find_library() -> str | None:
    """Path of the library; None where there is none, or it is not wanted."""
    wanted = os.environ.get(VARIABLE)
    if wanted == NONE:
        return None
    if wanted and not os.path.exists(wanted):
        raise Error(f"{wanted}: no such library")
    return wanted or installation.find_library()


def register(options: onnxruntime.SessionOptions) -> None:
    path = find_library()
    if path:
        try:
            options.register_custom_ops_library(path)
        except Exception as error:  # ONNX Runtime's own classes of errors
            raise Error(f"{path}: {one_line(error)}") from error


def is_asked_for(model: onnx.ModelProto) -> bool:
    return any(opset.domain == DOMAIN for opset in model.opset_import)


def library_digest(model: onnx.ModelProto) -> str | None:
    """Of what computes in this model beside ONNX Runtime: results of it depend on it."""
    path = find_library() if is_asked_for(model) else None
    return digest_of(path, os.stat(path).st_mtime_ns) if path else None


@cache
def digest_of(path: str, _: int) -> str:
    return file_sha256(path)
