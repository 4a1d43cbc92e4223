# SPDX-License-Identifier: Apache-2.0
"""The library that computes com.int4q::ConvNBits in ONNX Runtime: where it is, and who asks for it."""
import argparse
import glob
import os
import shutil
from functools import cache

import onnx
import onnxruntime

from int4q.lab.base import places
from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.files import file_sha256

DOMAIN, LIBRARY, NONE = "com.int4q", "libint4q_ort.so", "none"
VARIABLE = "INT4Q_OPS_LIBRARY"  # processes that this one starts see it too


def add_operators_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ops-library", metavar="FILE", help=f"{LIBRARY}, for models with ConvNBits; {NONE}: they run by "
                        f"their function bodies (default: ${VARIABLE}, the one of build/release, or that of int4q in PATH)")


def use_library(wanted: str | None) -> None:
    """What --ops-library says, for all sessions that follow."""
    if wanted:
        os.environ[VARIABLE] = NONE if wanted == NONE else os.path.abspath(wanted)
    find_library()  # for its error


def installed_libraries() -> list[str]:
    """Beside the program that is built, and below the folder that the one in PATH is installed in."""
    program = shutil.which("int4q")
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(program))) if program else ""
    places_of = [os.path.join(prefix, "lib*", part, LIBRARY) for part in ("", "*")] if prefix else []
    return [os.path.join(places.ROOT, "build", "release", LIBRARY), *(p for g in places_of for p in sorted(glob.glob(g)))]


def find_library() -> str | None:
    """Path of the library; None where there is none, or it is not wanted."""
    wanted = os.environ.get(VARIABLE)
    if wanted == NONE:
        return None
    if wanted and not os.path.exists(wanted):
        raise Error(f"{wanted}: no such library")
    return wanted or next((path for path in installed_libraries() if os.path.exists(path)), None)


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
