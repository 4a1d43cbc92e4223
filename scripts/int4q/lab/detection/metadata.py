# SPDX-License-Identifier: Apache-2.0
"""What ultralytics' exports say of themselves: the task, and what the classes are called."""
import ast

import onnx


def said_by(model: onnx.ModelProto) -> dict[str, str]:
    return {p.key: p.value for p in model.metadata_props}


def task_of(model: onnx.ModelProto) -> str | None:
    """detect, segment, pose, obb, classify; None where it is not said."""
    return said_by(model).get("task")


def input_side(model: onnx.ModelProto) -> list[int] | None:
    """[H, W], or one side of both."""
    said = said_by(model).get("imgsz", "").strip("[]()").split(",")
    return [int(s) for s in said] if all(s.strip().isdigit() for s in said) else None


def class_names(model: onnx.ModelProto) -> list[str] | None:
    """What each class is called, from "{0: 'person', ...}" or a list; None where that is not said of all."""
    try:
        said = ast.literal_eval(said_by(model).get("names", ""))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    found = [said.get(i) for i in range(len(said))] if isinstance(said, dict) else said
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        return None
    return [str(name) for name in found]
