# SPDX-License-Identifier: Apache-2.0
"""int4q in Python: the program int4q, called with paths, bytes or models in memory, and its reports as objects.

    import int4q
    report = int4q.rewrite("yolov10n.onnx", "yolov10n-int4.onnx", method="squant")

The work is done by the program; there is no second implementation here. `int4q.lab` holds the experiments around it,
which need the packages of `pip install 'int4q[lab]'`.
"""
from importlib import metadata

from int4q.calls import Error, ToolWarning, inspect, restore, rewrite
from int4q.installation import find_program, ops_library
from int4q.reports import Inspection, Report, Restoration, schema

__all__ = ["Error", "Inspection", "Report", "Restoration", "ToolWarning", "find_program", "inspect", "ops_library",
           "restore", "rewrite", "schema"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return metadata.version("int4q")
    raise AttributeError(f"module 'int4q' has no attribute '{name}'")
